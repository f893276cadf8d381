// SPDX-License-Identifier: GPL-2.0-only
/* Fragments that wait. */
#include "rsipd/fragments.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#define UNIT	8	/* offsets count in it */

struct source {
	__be32 addr;
	size_t packets, bytes;
	UT_hash_handle hh;
};

struct piece {
	uint32_t from, to;		/* bytes of the packet's payload */
	struct rsip_event_fragment *event;	/* NULL: has gone on */
	struct piece *prev, *next;
};

struct packet {
	struct {
		struct rsip_fragment_key key;
		__u32 kind;		/* RSIP_EVENT_FRAGMENT or RSIP_EVENT_OUTER */
	} key;
	struct rsip_target target;	/* generation 0: not known yet */
	struct source *source;
	struct piece *pieces;
	unsigned int count;
	uint32_t covered, end;		/* bytes; end 0: the last piece has not come */
	bool spoilt;			/* remembered only, so that what is still to come is dropped */
	uint64_t deadline;
	struct packet *prev, *next;	/* oldest first */
	UT_hash_handle hh;
};

struct fragments {
	struct fragments_calls calls;
	struct packet *packets, *oldest;
	struct source *sources;
	struct fragments_held held;
};

struct fragments *fragments_new(const struct fragments_calls *calls)
{
	struct fragments *f = calloc(1, sizeof(*f));

	if (f)
		f->calls = *calls;
	return f;
}

/* --- what is held ------------------------------------------------------------------- */

static size_t event_size(const struct rsip_event_fragment *event)
{
	return offsetof(struct rsip_event_fragment, packet) + event->len;
}

static void piece_let_go(struct fragments *f, struct packet *packet, struct piece *piece)
{
	if (!piece->event)
		return;
	packet->source->bytes -= piece->event->len;
	f->held.bytes -= piece->event->len;
	free(piece->event);
	piece->event = NULL;
}

static void pieces_free(struct fragments *f, struct packet *packet)
{
	struct piece *piece, *next;

	DL_FOREACH_SAFE(packet->pieces, piece, next) {
		piece_let_go(f, packet, piece);
		free(piece);
	}
	packet->pieces = NULL;
}

static void source_leave(struct fragments *f, struct source *source)
{
	if (--source->packets)
		return;
	HASH_DEL(f->sources, source);
	free(source);
}

static void packet_end(struct fragments *f, struct packet *packet)
{
	pieces_free(f, packet);
	source_leave(f, packet->source);
	HASH_DEL(f->packets, packet);
	DL_DELETE(f->oldest, packet);
	f->held.packets--;
	if (packet->key.kind == RSIP_EVENT_FRAGMENT)
		f->calls.done(&packet->key.key, f->calls.arg);
	free(packet);
}

/* Nothing of it goes on any more. */
static void packet_spoil(struct fragments *f, struct packet *packet)
{
	pieces_free(f, packet);
	packet->spoilt = true;
}

static struct source *source_join(struct fragments *f, __be32 addr)
{
	struct source *source;

	HASH_FIND(hh, f->sources, &addr, sizeof(addr), source);
	if (source)
		return source->packets < FRAGMENTS_SOURCE_PACKETS ? source : NULL;
	source = calloc(1, sizeof(*source));
	if (!source)
		return NULL;
	source->addr = addr;
	HASH_ADD(hh, f->sources, addr, sizeof(source->addr), source);
	return source;
}

static struct packet *packet_new(struct fragments *f, const struct rsip_event_fragment *event, uint64_t now)
{
	__be32 from = event->key.client ? event->key.client : event->key.src;
	struct source *source = f->held.packets < FRAGMENTS_PACKETS ? source_join(f, from) : NULL;
	struct packet *packet = source ? calloc(1, sizeof(*packet)) : NULL;

	if (!packet) {
		if (source && !source->packets) {
			HASH_DEL(f->sources, source);
			free(source);
		}
		return NULL;
	}
	source->packets++;
	packet->source = source;
	packet->key.key = event->key;
	packet->key.kind = event->kind;
	packet->deadline = now + FRAGMENTS_MS;
	packet->covered = event->passed * UNIT;
	HASH_ADD(hh, f->packets, key, sizeof(packet->key), packet);
	DL_APPEND(f->oldest, packet);
	f->held.packets++;
	return packet;
}

static struct packet *packet_find(const struct fragments *f, const struct rsip_event_fragment *event)
{
	struct packet *packet, key = { .key = { event->key, event->kind } };

	HASH_FIND(hh, f->packets, &key.key, sizeof(key.key), packet);
	return packet;
}

/* --- one fragment ------------------------------------------------------------------- */

static const struct iphdr *header_of(const struct rsip_event_fragment *event)
{
	return (const void *)event->packet;
}

/* Where it belongs; false: it makes no sense. */
static bool place(const struct rsip_event_fragment *event, struct piece *out, bool *last)
{
	const struct iphdr *ip = header_of(event);
	uint32_t header, offset;

	if (event->len < sizeof(*ip) || event->len > sizeof(event->packet))
		return false;
	header = ip->ihl * 4u;
	offset = ntohs(ip->frag_off);
	*last = !(offset & IP_MF);
	out->from = (offset & IP_OFFMASK) * UNIT;
	out->to = out->from + event->len - header;
	return ip->version == 4 && header >= sizeof(*ip) && header < event->len && ntohs(ip->tot_len) == event->len &&
	       header + out->to <= IP_MAXPACKET && (*last || (out->to - out->from) % UNIT == 0);
}

enum fit { FITS, FITS_AGAIN, FITS_NOT };

/* What overlaps is a trick, unless it is a fragment that came twice. */
static enum fit fit(const struct packet *packet, const struct piece *piece, bool last, uint32_t passed)
{
	const struct piece *other;

	if (piece->from < passed * UNIT)
		return FITS_AGAIN;	/* the data plane saw it */
	DL_FOREACH(packet->pieces, other) {
		if (other->from == piece->from && other->to == piece->to)
			return FITS_AGAIN;
		if (other->from < piece->to && piece->from < other->to)
			return FITS_NOT;
		if (last && other->to > piece->to)
			return FITS_NOT;
	}
	if (packet->end && (last ? piece->to != packet->end : piece->to >= packet->end))
		return FITS_NOT;
	return FITS;
}

static bool keep(struct fragments *f, struct packet *packet, const struct piece *where,
		 const struct rsip_event_fragment *event)
{
	struct piece *piece = NULL;

	if (packet->count < FRAGMENTS_PIECES && f->held.bytes + event->len <= FRAGMENTS_BYTES &&
	    packet->source->bytes + event->len <= FRAGMENTS_SOURCE_BYTES)
		piece = calloc(1, sizeof(*piece));
	if (!piece)
		return false;
	*piece = *where;
	piece->event = malloc(event_size(event));
	if (!piece->event) {
		free(piece);
		return false;
	}
	memcpy(piece->event, event, event_size(event));
	packet->source->bytes += event->len;
	f->held.bytes += event->len;
	packet->covered += piece->to - piece->from;
	packet->count++;
	DL_APPEND(packet->pieces, piece);
	return true;
}

/* --- what can go ----------------------------------------------------------------------- */

static void send_held(struct fragments *f, struct packet *packet)
{
	struct piece *piece;

	DL_FOREACH(packet->pieces, piece) {
		if (!piece->event)
			continue;
		piece->event->target = packet->target;
		f->calls.send(piece->event, f->calls.arg);
		piece_let_go(f, packet, piece);
	}
}

static uint16_t checksum(const uint8_t *header, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(header[i] << 8 | header[i + 1]);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~(sum + (sum >> 16));
}

/* Header of the first piece, payload of all; a congestion mark on any of them counts (RFC 3168 5.3). */
static size_t put_together(const struct packet *packet, uint8_t out[static IP_MAXPACKET])
{
	const struct piece *piece;
	struct iphdr head;
	uint32_t header = 0;
	bool marked = false;

	DL_FOREACH(packet->pieces, piece)
		if (!piece->from)
			header = header_of(piece->event)->ihl * 4u;
	if (header + packet->end > IP_MAXPACKET)
		return 0;
	DL_FOREACH(packet->pieces, piece) {
		uint32_t own = header_of(piece->event)->ihl * 4u;

		if (!piece->from)
			memcpy(out, piece->event->packet, header);
		memcpy(out + header + piece->from, piece->event->packet + own, piece->to - piece->from);
		marked |= (header_of(piece->event)->tos & IPTOS_ECN_MASK) == IPTOS_ECN_CE;
	}
	memcpy(&head, out, sizeof(head));
	head.tot_len = htons((uint16_t)(header + packet->end));
	head.frag_off = 0;
	head.check = 0;
	head.tos |= marked ? IPTOS_ECN_CE : 0;
	memcpy(out, &head, sizeof(head));
	head.check = htons(checksum(out, header));
	memcpy(out, &head, sizeof(head));
	return header + packet->end;
}

static void go_on(struct fragments *f, struct packet *packet)
{
	bool complete = packet->end && packet->covered == packet->end;
	uint8_t whole[IP_MAXPACKET];
	size_t len;

	if (packet->key.kind == RSIP_EVENT_FRAGMENT && packet->target.generation)
		send_held(f, packet);
	else if (packet->key.kind == RSIP_EVENT_FRAGMENT || !complete)
		return;
	if (!complete)
		return;
	if (packet->key.kind == RSIP_EVENT_OUTER) {
		len = put_together(packet, whole);
		if (len)
			f->calls.whole(whole, len, f->calls.arg);
	}
	packet_end(f, packet);
}

/* --- public ------------------------------------------------------------------------------ */

static bool add(struct fragments *f, struct packet *packet, const struct rsip_event_fragment *event)
{
	struct piece piece = { 0 };
	enum fit how;
	bool last;

	if (packet->spoilt || !place(event, &piece, &last))
		return false;
	how = fit(packet, &piece, last, event->passed);
	if (how == FITS_AGAIN)
		return false;
	if (how == FITS_NOT || (packet->target.generation && event->target.generation &&
				memcmp(&packet->target, &event->target, sizeof(packet->target)))) {
		packet_spoil(f, packet);
		return false;
	}
	if (!keep(f, packet, &piece, event))
		return false;
	if (last)
		packet->end = piece.to;
	if (event->target.generation)
		packet->target = event->target;
	return true;
}

void fragments_add(struct fragments *f, const struct rsip_event_fragment *event, uint64_t now)
{
	struct packet *packet;

	fragments_tick(f, now);
	packet = packet_find(f, event);
	if (!packet)
		packet = packet_new(f, event, now);
	if (packet && add(f, packet, event))
		go_on(f, packet);
	else
		f->held.dropped++;
}

void fragments_tick(struct fragments *f, uint64_t now)
{
	while (f->oldest && now >= f->oldest->deadline)
		packet_end(f, f->oldest);
}

struct fragments_held fragments_held(const struct fragments *f)
{
	return f->held;
}

void fragments_free(struct fragments *f)
{
	if (!f)
		return;
	while (f->oldest)
		packet_end(f, f->oldest);
	free(f);
}
