// SPDX-License-Identifier: GPL-2.0-only
/* The naive model of both programs: see model.h. */
#include "model.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <criterion/criterion.h>

/* A run of bytes with a length; reading beyond it ends the test. */
struct bytes {
	const uint8_t *at;
	size_t len;
};

static unsigned int get8(struct bytes b, size_t i)
{
	if (i >= b.len)
		cr_assert_fail("the model read beyond a packet");
	return b.at[i];
}

static unsigned int get16(struct bytes b, size_t i)
{
	return get8(b, i) << 8 | get8(b, i + 1);
}

static uint32_t get32(struct bytes b, size_t i)
{
	return get16(b, i) << 16 | get16(b, i + 2);
}

static uint64_t get64(struct bytes b, size_t i)
{
	return (uint64_t)get32(b, i) << 32 | get32(b, i + 4);
}

static struct bytes tail(struct bytes b, size_t from)
{
	return (struct bytes){ b.at + from, b.len - from };
}

static struct bytes head(struct bytes b, size_t len)
{
	return (struct bytes){ b.at, len < b.len ? len : b.len };
}

static uint32_t addr(const char *name)
{
	return name ? ntohl(pkt_addr(name)) : 0;
}

static bool may_be_peer(uint32_t to)
{
	return to >> 24 != 0 && to >> 24 != 127 && to >> 24 < 224;
}

/* --- the world ------------------------------------------------------------------- */

static bool is_live(const struct world_bind *bind)
{
	return bind->slot != SLOT_FREE && bind->slot != SLOT_REUSED;
}

static const struct world_bind *bind_of_slot(uint32_t slot)
{
	for (size_t i = 0; i < WORLD_BINDS; i++)
		if (world_binds[i].slot == slot && is_live(&world_binds[i]))
			return &world_binds[i];
	return NULL;
}

static const struct world_bind *bind_of_spi(uint32_t dst, uint32_t spi)
{
	for (size_t i = 0; i < WORLD_BINDS; i++)
		if (spi && world_binds[i].spi == spi && addr(world_binds[i].addr) == dst && is_live(&world_binds[i]))
			return &world_binds[i];
	return NULL;
}

static const struct world_bind *bind_of_port(uint32_t dst, unsigned int port)
{
	for (size_t i = 0; i < WORLD_BINDS; i++)
		for (int p = 0; p < 2; p++)
			if (port && world_binds[i].ports[p] == port && addr(world_binds[i].addr) == dst &&
			    is_live(&world_binds[i]))
				return &world_binds[i];
	return NULL;
}

static const struct world_bind *bind_of_address(uint32_t dst)
{
	for (size_t i = 0; i < WORLD_BINDS; i++)
		if (world_binds[i].whole && addr(world_binds[i].addr) == dst && is_live(&world_binds[i]))
			return &world_binds[i];
	return NULL;
}

static bool is_remote(const struct world_bind *bind, uint32_t peer)
{
	if (bind->remotes[0])
		return addr(bind->remotes[0]) == peer || addr(bind->remotes[1]) == peer;
	return !bind->remote || addr(bind->remote) == peer;
}

static const struct model_cookie *cookie_of(const struct model *m, uint64_t cookie, uint32_t at, unsigned int port)
{
	for (size_t i = 0; i < m->cookie_count; i++)
		if (m->cookies[i].cookie == cookie && m->cookies[i].addr == at && m->cookies[i].port == port)
			return &m->cookies[i];
	return NULL;
}

static unsigned int flags_of(uint32_t at)
{
	for (size_t i = 0; i < WORLD_ADDRESSES; i++)
		if (addr(world_addresses[i].addr) == at)
			return world_addresses[i].flags;
	return 0;
}

static bool is_registered(uint32_t client)
{
	for (size_t i = 0; i < WORLD_CLIENTS; i++)
		if (addr(world_clients[i]) == client)
			return true;
	return false;
}

static const struct world_grant *grant_of(uint32_t client, uint32_t at, uint32_t remote)
{
	for (size_t i = 0; i < WORLD_GRANTS; i++)
		if (addr(world_grants[i].client) == client && addr(world_grants[i].addr) == at &&
		    addr(world_grants[i].remote) == remote)
			return &world_grants[i];
	return NULL;
}

/* --- reading ----------------------------------------------------------------------- */

enum kind {
	K_ESP,
	K_AH,
	K_IKE,
	K_NATT,
	K_PORT,
	K_KEEPALIVE,
	K_SHORT,		/* IKE without a cookie */
	K_CUT,			/* 4500 without anything that fits */
	K_ICMP,
	K_FRAGMENT,
	K_TUNNEL,
	K_OTHER,
	K_BAD,
	K_WHOLE,		/* of a RSA-IP bind */
};

struct read {
	struct bytes ip;	/* header and payload, no more */
	uint32_t src, dst;
	enum kind kind;
	unsigned int sport, dport;
	bool ports;		/* that the flow policy can see */
	uint32_t spi;
	uint64_t cookie;
	bool first;		/* a first fragment: UDP's length is that of the whole packet */
};

/* The IPv4 part of a frame; length 0: none, or no addresses. */
static struct bytes ipv4_of(const struct frame *f)
{
	struct bytes all = { f->data, f->len };

	for (size_t at = 12; at <= 20 && f->len >= at + 2 + 20; at += 4) {
		if (get16(all, at) == 0x0800)
			return tail(all, at + 2);
		if (get16(all, at) != 0x8100 && get16(all, at) != 0x88a8)
			break;
	}
	return (struct bytes){ 0 };
}

static bool header_is_good(struct bytes ip)
{
	unsigned int header = (get8(ip, 0) & 15) * 4, total = get16(ip, 2);

	return get8(ip, 0) >> 4 == 4 && header >= 20 && total >= header && total <= ip.len;
}

static bool is_fragment(struct bytes ip)
{
	return get16(ip, 6) & 0x3fff;
}

static struct bytes payload_of(struct bytes ip)
{
	return tail(ip, (get8(ip, 0) & 15) * 4);
}

static enum kind read_4500(struct bytes data, struct read *r)
{
	if (data.len == 1 && get8(data, 0) == 0xff)
		return K_KEEPALIVE;
	if (data.len >= 4 && get32(data, 0) == 0) {
		if (data.len < 12)
			return K_SHORT;
		r->cookie = get64(data, 4);
		return K_IKE;
	}
	if (data.len < 8)
		return K_CUT;
	r->spi = get32(data, 0);
	return K_NATT;
}

static enum kind read_udp(struct bytes udp, enum side side, struct read *r)
{
	unsigned int port;
	struct bytes data;

	if (udp.len < 8 || get16(udp, 4) < 8 || (get16(udp, 4) > udp.len && !r->first))
		return K_BAD;
	r->sport = get16(udp, 0);
	r->dport = get16(udp, 2);
	r->ports = true;
	data = tail(head(udp, get16(udp, 4)), 8);
	port = side == PUBLIC ? r->dport : r->sport;
	if (port == 4500)
		return read_4500(data, r);
	if (port != 500)
		return K_PORT;
	if (data.len < 8)
		return K_SHORT;
	r->cookie = get64(data, 0);
	return K_IKE;
}

static enum kind read_payload(struct bytes data, unsigned int proto, enum side side, struct read *r)
{
	switch (proto) {
	case 17:
		return read_udp(data, side, r);
	case 6:
		if (data.len < 20 || (get8(data, 12) >> 4) * 4 < 20 || (get8(data, 12) >> 4) * 4 > data.len)
			return K_BAD;
		r->sport = get16(data, 0);
		r->dport = get16(data, 2);
		r->ports = true;
		return K_PORT;
	case 50:
		if (data.len < 8)
			return K_BAD;
		r->spi = get32(data, 0);
		return K_ESP;
	case 51:
		if (data.len < 12 || get8(data, 1) < 1 || (get8(data, 1) + 2) * 4 > data.len)
			return K_BAD;
		r->spi = get32(data, 4);
		r->ports = get8(data, 0) == 6 || get8(data, 0) == 17;
		data = tail(data, (get8(data, 1) + 2) * 4);
		if (r->ports && data.len >= 4) {
			r->sport = get16(data, 0);
			r->dport = get16(data, 2);
		}
		return K_AH;
	case 1:
		return K_ICMP;
	case 4:
	case 47:
		return K_TUNNEL;
	default:
		return K_OTHER;
	}
}

static void read_ip(struct bytes ip, enum side side, struct read *r)
{
	*r = (struct read){ .ip = ip, .src = get32(ip, 12), .dst = get32(ip, 16), .kind = K_BAD };
	if (!header_is_good(ip))
		return;
	r->ip = head(ip, get16(ip, 2));
	r->kind = is_fragment(ip) ? K_FRAGMENT : read_payload(payload_of(r->ip), get8(ip, 9), side, r);
}

/* --- ICMP -------------------------------------------------------------------------- */

enum { ICMP_ERROR, ICMP_REQUEST, ICMP_REPLY, ICMP_NEITHER };

static int icmp_class(unsigned int type)
{
	static const int classes[] = {
		[0] = ICMP_REPLY, [3] = ICMP_ERROR, [8] = ICMP_REQUEST, [11] = ICMP_ERROR, [12] = ICMP_ERROR,
		[13] = ICMP_REQUEST, [14] = ICMP_REPLY, [17] = ICMP_REQUEST, [18] = ICMP_REPLY,
	};

	if (type > 18 || (type && !classes[type] && type != 3 && type != 11 && type != 12))
		return ICMP_NEITHER;
	return classes[type];
}

/* The message of a packet; length 0: it has none that can be read. */
static struct bytes icmp_of(const struct read *r)
{
	struct bytes message = payload_of(r->ip);

	return message.len < 8 ? (struct bytes){ 0 } : message;
}

/* What an error quotes, as the packet that once came in on `side`. False: it cannot be told. */
static bool read_quote(struct bytes message, enum side side, struct read *q)
{
	struct bytes ip = tail(message, 8), data;
	size_t header;

	if (ip.len < 20)
		return false;
	header = (get8(ip, 0) & 15) * 4;
	if (get8(ip, 0) >> 4 != 4 || header < 20 || get16(ip, 6) & 0x1fff || ip.len < header + 8)
		return false;
	*q = (struct read){ .ip = ip, .src = get32(ip, 12), .dst = get32(ip, 16), .kind = K_OTHER };
	data = tail(ip, header);
	switch (get8(ip, 9)) {
	case 6:
	case 17:
		q->sport = get16(data, 0);
		q->dport = get16(data, 2);
		q->ports = true;
		q->kind = K_PORT;
		break;
	case 50:
		q->spi = get32(data, 0);
		q->kind = K_ESP;
		break;
	case 51:
		q->spi = get32(data, 4);
		q->kind = K_AH;
		break;
	case 1:
		q->kind = K_ICMP;
	}
	if (get8(ip, 9) == 17) {
		unsigned int port = side == PUBLIC ? q->dport : q->sport;
		size_t skip = port == 4500 ? 12 : 8;

		if (port == 4500 && data.len >= 12 && get32(data, 8)) {
			q->spi = get32(data, 8);
			q->kind = K_NATT;
		} else if (port == 4500 && data.len < 12) {
			q->kind = K_CUT;
		} else if (port == 500 || port == 4500) {
			q->kind = data.len < skip + 8 ? K_SHORT : K_IKE;
			q->cookie = data.len < skip + 8 ? 0 : get64(data, skip);
		}
	}
	return true;
}

static struct model_note *note_of(struct model *m, const struct model_note *key)
{
	for (size_t i = 0; i < m->note_count; i++)
		if (m->notes[i].proto == key->proto && m->notes[i].type == key->type && m->notes[i].addr == key->addr &&
		    m->notes[i].peer == key->peer && m->notes[i].field == key->field)
			return &m->notes[i];
	return NULL;
}

static void note(struct model *m, const struct model_note *now)
{
	struct model_note *there = note_of(m, now);

	if (!there) {
		if (m->note_count == MODEL_NOTES)
			cr_assert_fail("no room for another note");
		there = &m->notes[m->note_count++];
	}
	*there = *now;
}

static struct model_note request_note(uint32_t at, uint32_t peer, unsigned int type, struct bytes message)
{
	return (struct model_note){ .proto = 1, .type = type, .addr = at, .peer = peer, .field = get32(message, 4) };
}

/* --- writing ----------------------------------------------------------------------- */

static void put(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->data + f->len, bytes, len);
	f->len += len;
}

static void put16(struct frame *f, unsigned int value)
{
	put(f, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static void put32(struct frame *f, uint32_t value)
{
	put16(f, value >> 16);
	put16(f, value & 0xffff);
}

static void checksum(uint8_t *header)
{
	unsigned long sum = 0;

	header[10] = header[11] = 0;
	for (int i = 0; i < (header[0] & 15) * 4; i += 2)
		sum += (unsigned int)header[i] << 8 | header[i + 1];
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	header[10] = (uint8_t)(~sum >> 8);
	header[11] = (uint8_t)~sum;
}

void model_fix(struct frame *f)
{
	struct bytes ip = ipv4_of(f);
	size_t at = (size_t)(ip.at - f->data), header;

	if (!ip.len)
		return;
	header = (get8(ip, 0) & 15) * 4;
	if (header > ip.len)
		return;
	checksum(f->data + at);
	if (get8(ip, 9) == 47 && header + 4 <= ip.len) {
		unsigned int flags = get16(ip, header);

		header += 4 + (flags >> 15 & 1) * 4 + (flags >> 13 & 1) * 4 + (flags >> 12 & 1) * 4;
	} else if (get8(ip, 9) != 4) {
		return;
	}
	if (header + 20 <= ip.len && header + (get8(ip, header) & 15) * 4 <= ip.len)
		checksum(f->data + at + header);
}

static void put_ethernet(struct frame *out, unsigned int hop)
{
	uint8_t mac[6];

	pkt_mac(world_hops[hop].dst, mac);
	put(out, mac, 6);
	pkt_mac("n", mac);
	put(out, mac, 6);
	if (world_hops[hop].vlan) {
		put16(out, 0x8100);
		put16(out, world_hops[hop].vlan);
	}
	put16(out, 0x0800);
}

static void put_inner(struct frame *out, struct bytes ip, unsigned int tos)
{
	uint8_t *header = out->data + out->len;

	put(out, ip.at, ip.len);
	header[1] = (uint8_t)tos;
	header[8]--;
	checksum(header);
}

static void put_tunnel(struct frame *out, unsigned int tunnel, uint32_t gateway, uint32_t client, struct bytes ip)
{
	bool gre = tunnel == RSIP_PROTO_GRE, df = get16(ip, 6) & 0x4000;
	uint8_t *header = out->data + out->len;

	put16(out, 0x4500 | get8(ip, 1));
	put16(out, (unsigned int)ip.len + 20 + gre * 4);
	put16(out, df ? 0 : get16(ip, 4));
	put16(out, df ? 0x4000 : 0);
	put16(out, 64 << 8 | tunnel);
	put16(out, 0);
	put32(out, gateway);
	put32(out, client);
	checksum(header);
	if (gre)
		put32(out, 0x0800);
}

static void put_outer(struct frame *out, const struct world_bind *bind, struct bytes ip)
{
	put_tunnel(out, bind->tunnel, addr("NA"), addr(bind->client), ip);
}

/* --- what N says itself -------------------------------------------------------------- */

/* Is anybody to be told about this packet? */
static bool may_tell(const struct read *r)
{
	struct bytes message;

	if (get16(r->ip, 6) & 0x1fff || !may_be_peer(r->src) || !may_be_peer(r->dst))
		return false;
	if (get8(r->ip, 9) != 1)
		return true;
	message = icmp_of(r);
	return message.len && icmp_class(get8(message, 0)) != ICMP_ERROR;
}

static uint32_t speaker_of(uint32_t at, uint32_t otherwise)
{
	for (size_t i = 0; i < WORLD_ADDRESSES; i++)
		if (addr(world_addresses[i].addr) == at && world_addresses[i].speaker)
			return addr(world_addresses[i].speaker);
	return otherwise;
}

/* An ICMP error about a packet, as an IPv4 packet in `out`. */
static void error_about(const struct read *r, unsigned int type, unsigned int code, size_t mtu, uint32_t from,
			struct frame *out)
{
	struct bytes quote = head(r->ip, 548);
	unsigned long sum = 0;

	quote.len -= quote.len % 4;
	out->len = 0;
	put16(out, 0x45c0);
	put16(out, (unsigned int)(28 + quote.len));
	put32(out, 0x4000);
	put16(out, 64 << 8 | 1);
	put16(out, 0);
	put32(out, from);
	put32(out, r->src);
	checksum(out->data);
	put16(out, type << 8 | code);
	put16(out, 0);
	put32(out, (uint32_t)mtu);
	put(out, quote.at, quote.len);
	for (size_t i = 20; i < out->len; i += 2)
		sum += (unsigned int)out->data[i] << 8 | out->data[i + 1];
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	out->data[22] = (uint8_t)(~sum >> 8);
	out->data[23] = (uint8_t)~sum;
}

/* The Ethernet header of what came, with the MAC addresses exchanged. */
static void put_back(struct frame *out, const struct frame *in, struct bytes ip)
{
	put(out, in->data + 6, 6);
	put(out, in->data, 6);
	put(out, in->data + 12, (size_t)(ip.at - in->data) - 12);
}

static void tell_peer(const struct frame *in, const struct read *r, size_t mtu, struct verdict *out)
{
	static struct frame error;

	if (!may_tell(r))
		return;
	if (out->outcome == RSIP_IN_TTL)
		error_about(r, 11, 0, 0, speaker_of(r->dst, r->dst), &error);
	else
		error_about(r, 3, 4, mtu, speaker_of(r->dst, r->dst), &error);
	out->outcome = out->outcome == RSIP_IN_TTL ? RSIP_IN_TTL_TOLD : RSIP_IN_TOO_BIG_TOLD;
	put_back(&out->out, in, r->ip);
	put(&out->out, error.data, error.len);
}

static void tell_host(const struct frame *in, struct bytes outer, const struct read *r, size_t mtu,
		      struct verdict *out)
{
	uint32_t from = speaker_of(r->src, get32(outer, 16));
	static struct frame error;
	struct bytes ip = { error.data, 0 };

	if (!may_tell(r))
		return;
	if (out->outcome == RSIP_OUT_TTL) {
		error_about(r, 11, 0, 0, from, &error);
		out->outcome = RSIP_OUT_TTL_TOLD;
	} else if (out->outcome == RSIP_OUT_TOO_BIG) {
		error_about(r, 3, 4, mtu, from, &error);
		out->outcome = RSIP_OUT_TOO_BIG_TOLD;
	} else {
		error_about(r, 3, 0, 0, from, &error);
		out->outcome = RSIP_OUT_UNREACHABLE_TOLD;
	}
	ip.len = error.len;
	put_back(&out->out, in, outer);
	put_tunnel(&out->out, get8(outer, 9), get32(outer, 16), get32(outer, 12), ip);
	put(&out->out, error.data, error.len);
}

/* A new cookie of a bind that may have `max`; false: no more. */
static bool learn(struct model *m, const struct world_bind *bind, const struct read *r, uint32_t at,
		  unsigned int port, uint32_t peer, size_t max)
{
	size_t held = bind->slot == SLOT_FULL ? RSIP_BIND_COOKIES : 0;

	for (size_t i = 0; i < m->cookie_count; i++)
		held += m->cookies[i].bind == bind;
	if (held >= max)
		return false;
	if (m->cookie_count == MODEL_COOKIES)
		cr_assert_fail("no room for another cookie");
	m->cookies[m->cookie_count++] = (struct model_cookie){ r->cookie, at, port, peer, bind };
	return true;
}

/* --- public side ------------------------------------------------------------------- */

static enum rsip_outcome nobodys(const struct read *r)
{
	static const enum rsip_outcome outcomes[] = {
		[K_ESP] = RSIP_IN_NO_SPI,	[K_AH] = RSIP_IN_NO_SPI,
		[K_IKE] = RSIP_IN_NO_COOKIE,	[K_NATT] = RSIP_IN_NO_SPI,
		[K_PORT] = RSIP_IN_NO_PORT,	[K_KEEPALIVE] = RSIP_IN_KEEPALIVE,
		[K_SHORT] = RSIP_IN_NO_COOKIE,	[K_CUT] = RSIP_IN_MALFORMED,
		[K_ICMP] = RSIP_IN_ICMP,	[K_FRAGMENT] = RSIP_IN_FRAGMENT,
		[K_TUNNEL] = RSIP_IN_PROTOCOL,	[K_OTHER] = RSIP_IN_PROTOCOL,
		[K_BAD] = RSIP_IN_MALFORMED,
	};

	return flags_of(r->dst) == RSIP_ADDRESS_POOL ? outcomes[r->kind] : RSIP_IN_PASS;
}

static bool is_inside(uint32_t at)
{
	for (size_t i = 0; i < WORLD_REALM; i++)
		if (world_realm[i].first <= at && at <= world_realm[i].last)
			return true;
	return false;
}

/* IKE that a peer begins. */
static const struct world_bind *listener(const struct read *r)
{
	for (size_t i = 0; i < WORLD_PEERS; i++)
		if (r->cookie && addr(world_peers[i].peer) == r->src && addr(world_peers[i].addr) == r->dst)
			return bind_of_slot(world_peers[i].slot);
	return NULL;
}

static const struct world_bind *by_number(const struct model *m, struct read *r, uint32_t *peer,
					  bool *is_new)
{
	const struct world_bind *bind = NULL;
	const struct model_cookie *cookie = NULL;

	*peer = 0;
	*is_new = false;
	if (r->kind == K_ESP || r->kind == K_AH || r->kind == K_NATT)
		bind = bind_of_spi(r->dst, r->spi);
	if (r->kind == K_IKE)
		cookie = cookie_of(m, r->cookie, r->dst, r->dport);
	if (cookie) {
		*peer = cookie->peer;
		bind = cookie->bind;
	}
	if (bind || r->kind == K_ESP || r->kind == K_AH || r->kind > K_CUT)
		return bind;
	bind = bind_of_port(r->dst, r->dport);
	if (bind)
		r->kind = K_PORT;
	else if (r->kind == K_IKE && (bind = listener(r)))
		*is_new = true;
	return bind;
}

static const struct world_bind *whose(const struct model *m, struct read *r, uint32_t *peer, bool *is_new)
{
	const struct world_bind *bind = by_number(m, r, peer, is_new);

	if (bind || r->kind == K_BAD || r->kind == K_ICMP)
		return bind;
	bind = bind_of_address(r->dst);
	if (!bind || (r->kind == K_FRAGMENT && bind->remote_port))
		return NULL;
	r->kind = K_WHOLE;
	return bind;
}

/* Ports are compared in the open, behind AH, and in all that comes to a whole address. */
static bool may_talk(const struct world_bind *bind, const struct read *r, uint32_t peer, unsigned int port)
{
	bool seen = r->ports && (r->kind == K_PORT || r->kind == K_AH || r->kind == K_WHOLE);

	return is_remote(bind, peer) && (!seen || !bind->remote_port || bind->remote_port == port);
}

/* Of an error or a reply: the host whose it is. `seen`: as whose packet the policy shall judge it. */
static const struct world_bind *whose_icmp(struct model *m, const struct read *r, struct read *seen, uint32_t *peer,
					   enum rsip_outcome *sent)
{
	struct bytes message = icmp_of(r);
	const struct model_cookie *cookie;
	struct model_note *found, key;
	struct read q;

	*peer = 0;
	*sent = RSIP_IN_ICMP_REPLY;
	if (icmp_class(get8(message, 0)) == ICMP_REPLY) {
		if (bind_of_address(r->dst))
			return bind_of_address(r->dst);
		key = request_note(r->dst, r->src, get8(message, 0) ? get8(message, 0) - 1 : 8, message);
		found = note_of(m, &key);
		return found ? found->bind : NULL;
	}
	*sent = RSIP_IN_ICMP_ERROR;
	if (!read_quote(message, PRIVATE, &q) || q.src != r->dst)
		return NULL;
	seen->src = q.dst;
	seen->sport = q.dport;
	seen->ports = q.ports;
	seen->kind = bind_of_address(r->dst) ? K_WHOLE : q.kind;
	if (seen->kind == K_WHOLE)
		return bind_of_address(r->dst);
	key = (struct model_note){ q.kind == K_AH ? 51 : 50, 0, q.src, q.dst, q.spi, NULL };
	if (q.kind == K_ICMP)
		key = request_note(q.src, q.dst, get8(payload_of(q.ip), 0), payload_of(q.ip));
	found = q.kind == K_ESP || q.kind == K_AH || q.kind == K_NATT || q.kind == K_ICMP ? note_of(m, &key) : NULL;
	if (found || q.kind == K_ESP || q.kind == K_AH || q.kind == K_ICMP || q.kind == K_OTHER)
		return found ? found->bind : NULL;
	cookie = q.kind == K_IKE ? cookie_of(m, q.cookie, q.src, q.sport) : NULL;
	if (cookie) {
		*peer = cookie->peer;
		return cookie->bind;
	}
	return bind_of_port(q.src, q.sport);
}

/* What the policy of the bind says to what it sees. */
static enum rsip_outcome judge(const struct read *r, const struct read *seen, uint32_t peer,
			       const struct world_bind *bind)
{
	if ((peer && peer != seen->src) || !may_talk(bind, seen, seen->src, seen->sport))
		return RSIP_IN_REMOTE;
	return get8(r->ip, 8) <= 1 ? RSIP_IN_TTL : RSIP_GO_ON;
}

/* Into the tunnel of the bind, if `why` is no reason against it. */
static void deliver(struct model *m, const struct frame *in, const struct read *r, enum rsip_outcome why,
		    const struct world_bind *bind, bool is_new, enum rsip_outcome sent, struct verdict *out)
{
	const struct world_hop *hop = &world_hops[bind->hop];
	size_t push = bind->tunnel == RSIP_PROTO_GRE ? 24 : 20, len = r->ip.len + push;

	if (why)
		out->outcome = why;
	else if (hop->state == RSIP_NEXTHOP_REJECT)
		out->outcome = RSIP_IN_UNREACHABLE;
	else if (hop->state == RSIP_NEXTHOP_VALID && len > hop->mtu && get16(r->ip, 6) & 0x4000)
		out->outcome = RSIP_IN_TOO_BIG;
	else if (is_new && !learn(m, bind, r, r->dst, r->dport, r->src, RSIP_BIND_COOKIES_PEER))
		out->outcome = RSIP_IN_NO_COOKIE;
	else if (hop->state == RSIP_NEXTHOP_VALID && len > hop->mtu)
		out->outcome = RSIP_IN_SPLIT;
	else if (hop->state != RSIP_NEXTHOP_VALID && len > RSIP_EVENT_PACKET_MAX)
		out->outcome = RSIP_ERROR;
	else
		out->outcome = hop->state == RSIP_NEXTHOP_VALID ? sent : RSIP_IN_RESOLVE;
	if (out->outcome == RSIP_IN_TTL || out->outcome == RSIP_IN_TOO_BIG)
		tell_peer(in, r, hop->mtu - push, out);
	if (out->outcome != sent && out->outcome != RSIP_IN_RESOLVE && out->outcome != RSIP_IN_SPLIT)
		return;
	put_ethernet(&out->out, bind->hop);
	put_outer(&out->out, bind, r->ip);
	put_inner(&out->out, r->ip, get8(r->ip, 1));
}

static void public_icmp(struct model *m, const struct frame *in, struct read *r, struct verdict *out)
{
	struct bytes message = icmp_of(r);
	int class = message.len ? icmp_class(get8(message, 0)) : ICMP_NEITHER;
	const struct world_bind *bind = NULL;
	enum rsip_outcome sent;
	struct read seen = *r;
	uint32_t peer;

	if (class == ICMP_ERROR || class == ICMP_REPLY)
		bind = whose_icmp(m, r, &seen, &peer, &sent);
	if (bind) {
		deliver(m, in, r, judge(r, &seen, peer, bind), bind, false, sent, out);
		return;
	}
	out->outcome = nobodys(r);
	if (out->outcome == RSIP_IN_ICMP && class == ICMP_REQUEST)
		out->outcome = RSIP_IN_ICMP_REQUEST;
}

/* --- fragments ----------------------------------------------------------------------- */

struct place {
	unsigned int from, to;	/* in units of 8 bytes */
	bool last;
};

static bool place_of(struct bytes ip, struct place *out)
{
	size_t header = (get8(ip, 0) & 15) * 4, len = ip.len - header;

	out->from = get16(ip, 6) & 0x1fff;
	out->to = out->from + (unsigned int)((len + 7) / 8);
	out->last = !(get16(ip, 6) & 0x2000);
	return len && header + out->from * 8 + len <= 65535 && (out->last || len % 8 == 0);
}

/* Which packet a fragment is of: of a host (0: none), and as its sender or, turned round, as its receiver sees it. */
struct fragment_of {
	const struct read *r;
	uint32_t client;
	bool turned;
};

static struct model_fragments *fragments_of(struct model *m, const struct fragment_of *of)
{
	const struct read *r = of->r;

	for (size_t i = 0; i < m->fragments_count; i++) {
		struct model_fragments *there = &m->fragments[i];

		if (there->src == r->src && there->dst == r->dst && there->client == of->client &&
		    there->turned == of->turned && there->id == get16(r->ip, 4) && there->proto == get8(r->ip, 9))
			return there;
	}
	return NULL;
}

static struct model_fragments *fragments_new(struct model *m, const struct fragment_of *of)
{
	struct model_fragments *there = fragments_of(m, of);
	const struct read *r = of->r;

	if (!there) {
		if (m->fragments_count == MODEL_NOTES)
			cr_assert_fail("no room for more fragments");
		there = &m->fragments[m->fragments_count++];
	}
	*there = (struct model_fragments){ .src = r->src, .dst = r->dst, .client = of->client, .turned = of->turned,
					   .id = get16(r->ip, 4), .proto = get8(r->ip, 9) };
	return there;
}

enum go { GO, HOLD, DROP, STACK };

/* A first fragment that may go to (or from) `bind`, or may not. */
static enum go first_came(struct model *m, const struct fragment_of *of, const struct place *where,
			  const struct world_bind *bind, enum rsip_outcome why)
{
	struct model_fragments *there = fragments_of(m, of);
	bool late = there && there->state == SLOW;

	if (!late) {
		there = fragments_new(m, of);
		there->next = where->to;
	}
	there->bind = bind;
	if (why)
		there->state = why == RSIP_IN_PASS || why == RSIP_IN_ICMP_REQUEST ? PASSED : REFUSED;
	return late ? HOLD : GO;
}

static enum go later_came(struct model *m, const struct fragment_of *of, const struct place *where,
			  const struct world_bind **bind)
{
	struct model_fragments *there = fragments_of(m, of);

	if (!there) {
		fragments_new(m, of)->state = SLOW;
		return HOLD;
	}
	*bind = there->bind;
	if (there->state != IN_ORDER)
		return there->state == SLOW ? HOLD : there->state == REFUSED ? DROP : STACK;
	if (where->from < there->next)
		return DROP;
	if (where->from > there->next) {
		there->state = SLOW;
		return HOLD;
	}
	there->next = where->to;
	return GO;
}

/* By whose bind, or why not. Fills r as far as the first fragment can be read. */
static enum rsip_outcome first_inbound(struct model *m, struct read *r, const struct world_bind **bind,
				       enum rsip_outcome *sent)
{
	static const enum rsip_outcome outcomes[] = {
		[K_ESP] = RSIP_IN_ESP,	 [K_AH] = RSIP_IN_AH,	  [K_IKE] = RSIP_IN_IKE,
		[K_NATT] = RSIP_IN_NATT, [K_PORT] = RSIP_IN_PORT, [K_WHOLE] = RSIP_IN_WHOLE,
	};
	uint32_t peer;
	bool is_new;

	r->first = true;
	r->kind = read_payload(payload_of(r->ip), get8(r->ip, 9), PUBLIC, r);
	if (r->kind == K_ICMP) {
		struct bytes message = icmp_of(r);
		struct read seen = *r;

		if (!message.len)
			return RSIP_IN_FRAGMENT;
		if (icmp_class(get8(message, 0)) == ICMP_REQUEST)
			return RSIP_IN_ICMP_REQUEST;
		*bind = icmp_class(get8(message, 0)) == ICMP_REPLY ? whose_icmp(m, r, &seen, &peer, sent) : NULL;
		return *bind ? judge(r, r, 0, *bind) : RSIP_IN_ICMP;
	}
	if (r->kind == K_BAD || r->kind == K_SHORT || r->kind == K_CUT)
		return RSIP_IN_FRAGMENT;
	*bind = whose(m, r, &peer, &is_new);
	if (!*bind)
		return nobodys(r);
	*sent = outcomes[r->kind];
	if (is_inside(r->src))
		return RSIP_IN_SPOOFED;
	if (is_new && (judge(r, r, peer, *bind) || !learn(m, *bind, r, r->dst, r->dport, r->src, RSIP_BIND_COOKIES_PEER)))
		return RSIP_IN_NO_COOKIE;
	return judge(r, r, peer, *bind);
}

static void public_fragment(struct model *m, const struct frame *in, struct read *r, struct verdict *out)
{
	enum rsip_outcome why = RSIP_GO_ON, sent = RSIP_IN_FRAGMENT_SENT;
	const struct fragment_of of = { r, 0, false };
	const struct world_bind *bind = NULL;
	struct place where;
	enum go go;

	out->outcome = RSIP_IN_PASS;
	if (!(flags_of(r->dst) & RSIP_ADDRESS_POOL))
		return;
	out->outcome = RSIP_IN_FRAGMENT;
	if (!place_of(r->ip, &where))
		return;
	if (where.from) {
		go = later_came(m, &of, &where, &bind);
		if (go == HOLD && flags_of(r->dst) & RSIP_ADDRESS_SHARED && !bind)
			go = STACK;
		why = go == GO || go == HOLD ? (get8(r->ip, 8) <= 1 ? RSIP_IN_TTL : RSIP_GO_ON) : RSIP_IN_FRAGMENT;
		if (go == STACK)
			why = RSIP_IN_PASS;
	} else {
		why = first_inbound(m, r, &bind, &sent);
		go = first_came(m, &of, &where, bind, why);
	}
	out->outcome = why;
	if (why == RSIP_IN_TTL)
		tell_peer(in, r, 0, out);
	else if (!why && go == HOLD)
		out->outcome = RSIP_IN_FRAGMENT_HELD;
	else if (!why)
		deliver(m, in, r, RSIP_GO_ON, bind, false, sent, out);
}

static void model_public(struct model *m, const struct frame *in, struct verdict *out)
{
	static const enum rsip_outcome sent[] = {
		[K_ESP] = RSIP_IN_ESP,	 [K_AH] = RSIP_IN_AH,	  [K_IKE] = RSIP_IN_IKE,
		[K_NATT] = RSIP_IN_NATT, [K_PORT] = RSIP_IN_PORT, [K_WHOLE] = RSIP_IN_WHOLE,
	};
	const struct world_bind *bind;
	struct bytes ip = ipv4_of(in);
	struct read r;
	uint32_t peer;
	bool is_new;

	out->outcome = RSIP_IN_PASS;
	if (!ip.len)
		return;
	read_ip(ip, PUBLIC, &r);
	if (r.kind == K_ICMP) {
		public_icmp(m, in, &r, out);
		return;
	}
	bind = whose(m, &r, &peer, &is_new);
	if (bind && is_inside(r.src))
		out->outcome = RSIP_IN_SPOOFED;
	else if (bind)
		deliver(m, in, &r, judge(&r, &r, peer, bind), bind, is_new, sent[r.kind], out);
	else if (r.kind == K_FRAGMENT)
		public_fragment(m, in, &r, out);
	else
		out->outcome = nobodys(&r);
}

/* --- private side ------------------------------------------------------------------ */

/* What a tunnel packet holds; length 0: nothing that can be read. */
static struct bytes tunnelled(struct bytes outer)
{
	struct bytes inside = payload_of(outer);

	if (get8(outer, 9) == 47) {
		unsigned int flags, optional;

		if (inside.len < 4)
			return (struct bytes){ 0 };
		flags = get16(inside, 0);
		optional = (flags >> 15 & 1) + (flags >> 13 & 1) + (flags >> 12 & 1);
		/* bits 1, 4 and 5 and the version must be 0 */
		if (flags & 0x4c07 || get16(inside, 2) != 0x0800 || inside.len < 4 + optional * 4)
			return (struct bytes){ 0 };
		inside = tail(inside, 4 + optional * 4);
	}
	return inside.len < 20 ? (struct bytes){ 0 } : inside;
}

/* The RSIPSEC bind for this, or why not. */
static const struct world_bind *ipsec_bind(uint32_t client, const struct read *r, enum rsip_outcome none,
					   enum rsip_outcome *why)
{
	const struct world_grant *grant = grant_of(client, r->src, 0);
	const struct world_bind *bind = NULL;

	*why = none;
	if (!grant)
		return NULL;
	bind = bind_of_slot(grant->slot);
	if (bind && is_remote(bind, r->dst))
		return bind;
	if (bind || grant->flags & RSIP_GRANT_BY_REMOTE)
		*why = RSIP_OUT_REMOTE_ADDRESS;
	if (!(grant->flags & RSIP_GRANT_BY_REMOTE))
		return NULL;
	grant = grant_of(client, r->src, r->dst);
	return grant ? bind_of_slot(grant->slot) : NULL;
}

static const struct world_bind *port_bind(uint32_t client, struct read *r)
{
	const struct world_bind *bind = bind_of_port(r->src, r->sport);

	if (!bind || addr(bind->client) != client)
		return NULL;
	r->kind = K_PORT;
	return bind;
}

/* The bind of the sender that has all of the source address. */
static const struct world_bind *whole_bind(uint32_t client, struct read *r)
{
	const struct world_bind *bind = bind_of_address(r->src);

	if (!bind || addr(bind->client) != client || (r->kind == K_FRAGMENT && bind->remote_port))
		return NULL;
	r->kind = K_WHOLE;
	return bind;
}

/* By which bind it may be sent; NULL and *why: by none. *learn: the cookie is new. */
static const struct world_bind *allowed_by(const struct model *m, uint32_t client, struct read *r, bool *learn,
					   enum rsip_outcome *why)
{
	const struct world_bind *bind = NULL;
	const struct model_cookie *cookie;

	*learn = false;
	*why = RSIP_OUT_NO_PORT;
	switch (r->kind) {
	case K_ESP:
	case K_AH:
		return ipsec_bind(client, r, RSIP_OUT_NO_IPSEC, why);
	case K_NATT:
	case K_KEEPALIVE:
		bind = ipsec_bind(client, r, RSIP_OUT_NO_PORT, why);
		return bind ? bind : port_bind(client, r);
	case K_PORT:
		return port_bind(client, r);
	case K_SHORT:
	case K_CUT:
		*why = RSIP_OUT_MALFORMED;
		return port_bind(client, r);
	default:
		break;
	}
	cookie = cookie_of(m, r->cookie, r->src, r->sport);
	if (cookie && addr(cookie->bind->client) == client && cookie->peer == r->dst)
		return cookie->bind;
	bind = port_bind(client, r);
	if (bind)
		return bind;
	bind = ipsec_bind(client, r, RSIP_OUT_NO_PORT, why);
	if (bind && cookie) {
		*why = RSIP_OUT_COOKIE_TAKEN;
		return NULL;
	}
	*learn = bind;
	return bind;
}

/* -1: dropped (RFC 6040, figure 4) */
static int tos_after(struct bytes outer, struct bytes inner)
{
	unsigned int out = get8(outer, 1) & 3, in = get8(inner, 1) & 3, dscp = get8(inner, 1) & ~3U;

	if (in == 0)
		return out == 3 ? -1 : (int)dscp;
	if (out == 3 || in == 3)
		return (int)(dscp | 3);
	return (int)(dscp | (out == 1 ? 1 : in));
}

/* The reason that is told for a refused packet. */
static enum rsip_outcome reason(struct bytes outer, const struct read *inner, enum rsip_outcome why)
{
	if (!(flags_of(get32(outer, 16)) & RSIP_ADDRESS_TUNNEL))
		return RSIP_OUT_PASS;
	if (why == RSIP_OUT_MALFORMED)
		return why;
	if (!is_registered(get32(outer, 12)))
		return RSIP_OUT_UNREGISTERED;
	if (why == RSIP_OUT_NESTED || !inner)
		return why;
	return grant_of(get32(outer, 12), inner->src, 0) ? why : RSIP_OUT_ADDRESS;
}

static enum rsip_outcome policy(struct bytes outer, const struct read *r, const struct world_bind *bind)
{
	if (get32(outer, 16) != addr("NA") || get8(outer, 9) != bind->tunnel)
		return RSIP_OUT_TUNNEL;
	if (!is_remote(bind, r->dst))
		return RSIP_OUT_REMOTE_ADDRESS;
	if (!may_talk(bind, r, r->dst, r->dport))
		return RSIP_OUT_REMOTE_PORT;
	if (tos_after(outer, r->ip) < 0)
		return RSIP_OUT_ECN;
	return get8(r->ip, 8) <= 1 ? RSIP_OUT_TTL : RSIP_GO_ON;
}

static unsigned int hop_of(uint32_t peer)
{
	for (size_t i = 0; i < WORLD_ROUTES; i++)
		if (addr(world_routes[i].peer) == peer)
			return world_routes[i].hop;
	return HOP_NONE;
}

/* What becomes of a packet that is turned round, in the words of the private side. */
static void turned(const struct frame *in, struct bytes outer, const struct read *r, size_t mtu, struct verdict *out)
{
	switch (out->outcome) {
	case RSIP_OUT_TURNED:
	case RSIP_OUT_FRAGMENT:
	case RSIP_OUT_FRAGMENT_HELD:
	case RSIP_ERROR:
		return;
	case RSIP_IN_RESOLVE:
		out->outcome = RSIP_OUT_RESOLVE;
		return;
	case RSIP_IN_SPLIT:
		out->outcome = RSIP_OUT_SPLIT;
		return;
	case RSIP_IN_TOO_BIG:
	case RSIP_IN_TOO_BIG_TOLD:
		*out = (struct verdict){ .outcome = RSIP_OUT_TOO_BIG };
		break;
	default:
		*out = (struct verdict){ .outcome = RSIP_OUT_UNREACHABLE };
	}
	tell_host(in, outer, r, mtu, out);
}

static size_t mtu_inside(const struct world_bind *bind)
{
	return bind ? world_hops[bind->hop].mtu - (bind->tunnel == RSIP_PROTO_GRE ? 24 : 20) : 0;
}

/* N's answer to an echo request, from the address that was asked. */
static void echo(const struct frame *in, struct bytes outer, const struct read *r, struct verdict *out)
{
	struct frame reply = { .len = 0 };
	unsigned int sum = get16(r->ip, 22);

	put(&reply, r->ip.at, r->ip.len);
	memcpy(reply.data + 12, r->ip.at + 16, 4);
	memcpy(reply.data + 16, r->ip.at + 12, 4);
	reply.data[8] = 64;
	checksum(reply.data);
	reply.data[20] = 0;
	sum += 0x800;		/* one's complement: what the type was is not in it any more */
	sum = (sum >> 16) + (sum & 0xffff);
	reply.data[22] = (uint8_t)(sum >> 8);
	reply.data[23] = (uint8_t)sum;
	out->outcome = RSIP_OUT_ECHO;
	put_back(&out->out, in, outer);
	put_tunnel(&out->out, get8(outer, 9), get32(outer, 16), get32(outer, 12), (struct bytes){ reply.data, reply.len });
	put(&out->out, reply.data, reply.len);
}

/* ICMP to an address that hosts lease. */
static void turn_icmp(struct model *m, const struct frame *in, struct bytes outer, const struct read *r,
		      const struct read *back, struct verdict *out)
{
	struct bytes message = icmp_of(back);
	int class = message.len ? icmp_class(get8(message, 0)) : ICMP_NEITHER;
	const struct world_bind *bind = NULL;
	struct read seen = *back;
	enum rsip_outcome sent;
	uint32_t peer;

	if (class == ICMP_REQUEST && get8(message, 0) == 8 && get8(back->ip, 0) == 0x45) {
		echo(in, outer, r, out);
		return;
	}
	if (class == ICMP_ERROR || class == ICMP_REPLY)
		bind = whose_icmp(m, back, &seen, &peer, &sent);
	out->outcome = RSIP_OUT_UNREACHABLE;
	if (bind)
		deliver(m, in, back, judge(back, &seen, peer, bind), bind, false, RSIP_OUT_TURNED, out);
	turned(in, outer, r, mtu_inside(bind), out);
}

/* Who gets the packet of this first fragment? Notes it. */
static enum go turn_first(struct model *m, const struct fragment_of *of, struct read *back, const struct place *where,
			  const struct world_bind **bind)
{
	bool may = false, is_new = false;
	uint32_t peer;

	back->first = true;
	back->kind = read_payload(payload_of(back->ip), get8(back->ip, 9), PUBLIC, back);
	*bind = whose(m, back, &peer, &is_new);
	if (*bind && (back->kind != K_IKE || addr((*bind)->client) != of->client))
		may = !judge(back, back, peer, *bind);
	if (may && is_new)
		may = learn(m, *bind, back, back->dst, back->dport, back->src, RSIP_BIND_COOKIES_PEER);
	return first_came(m, of, where, *bind, may ? RSIP_GO_ON : RSIP_OUT_UNREACHABLE) == HOLD && may ? HOLD : may ? GO : STACK;
}

/* A fragment to an address that hosts lease. STACK: as good as unreachable. */
static void turn_fragment(struct model *m, const struct frame *in, struct bytes outer, const struct read *r,
			  struct read *back, struct verdict *out)
{
	const struct fragment_of of = { back, get32(outer, 12), true };
	const struct world_bind *bind = NULL;
	struct place where;
	enum go go;

	out->outcome = RSIP_OUT_FRAGMENT;
	if (!place_of(back->ip, &where))
		return;
	if (where.from) {
		go = later_came(m, &of, &where, &bind);
		if (go == STACK)
			go = DROP;
	} else {
		go = turn_first(m, &of, back, &where, &bind);
	}
	if (go == DROP)
		return;
	out->outcome = go == HOLD ? RSIP_OUT_FRAGMENT_HELD : RSIP_OUT_UNREACHABLE;
	if (go == GO)
		deliver(m, in, back, RSIP_GO_ON, bind, false, RSIP_OUT_TURNED, out);
	turned(in, outer, r, mtu_inside(bind), out);
}

/* To an address that hosts lease: what a peer's packet would become there, with the marks of the tunnel it left. */
static void turn_round(struct model *m, const struct frame *in, struct bytes outer, const struct read *r,
		       struct verdict *out)
{
	struct frame copy = { .len = r->ip.len };
	const struct world_bind *bind;
	struct read back;
	uint32_t peer;
	bool is_new;

	memcpy(copy.data, r->ip.at, r->ip.len);
	copy.data[1] = (uint8_t)tos_after(outer, r->ip);
	checksum(copy.data);
	read_ip((struct bytes){ copy.data, copy.len }, PUBLIC, &back);
	if (back.kind == K_ICMP) {
		turn_icmp(m, in, outer, r, &back, out);
		return;
	}
	if (back.kind == K_FRAGMENT) {
		turn_fragment(m, in, outer, r, &back, out);
		return;
	}
	bind = whose(m, &back, &peer, &is_new);
	out->outcome = RSIP_OUT_UNREACHABLE;
	if (bind && (back.kind != K_IKE || addr(bind->client) != get32(outer, 12)))
		deliver(m, in, &back, judge(&back, &back, peer, bind), bind, is_new, RSIP_OUT_TURNED, out);
	turned(in, outer, r, mtu_inside(bind), out);
}

/* Allowed: the way to the peer, and what is learned. `sent`: the outcome when it leaves. */
static void leave(struct model *m, const struct frame *in, struct bytes outer, const struct read *r,
		  const struct world_bind *bind, bool is_new, enum rsip_outcome sent, struct verdict *out)
{
	unsigned int hop = hop_of(r->dst), state = hop ? world_hops[hop].state : RSIP_NEXTHOP_UNRESOLVED;
	bool big = state == RSIP_NEXTHOP_VALID && r->ip.len > world_hops[hop].mtu;

	if (!may_be_peer(r->dst) || state == RSIP_NEXTHOP_REJECT)
		out->outcome = RSIP_OUT_UNREACHABLE;
	else if (big && get16(r->ip, 6) & 0x4000)
		out->outcome = RSIP_OUT_TOO_BIG;
	else if (is_new && !r->cookie)
		out->outcome = RSIP_OUT_COOKIE_ZERO;
	else if (is_new && !learn(m, bind, r, r->src, r->sport, r->dst, RSIP_BIND_COOKIES))
		out->outcome = RSIP_OUT_COOKIE_LIMIT;
	else
		out->outcome = RSIP_GO_ON;
	if (out->outcome == RSIP_OUT_UNREACHABLE || out->outcome == RSIP_OUT_TOO_BIG)
		tell_host(in, outer, r, world_hops[hop].mtu, out);
	if (out->outcome)
		return;
	if (r->kind == K_ESP || r->kind == K_AH || r->kind == K_NATT)
		note(m, &(struct model_note){ r->kind == K_AH ? 51 : 50, 0, r->src, r->dst, r->spi, bind });
	if (!hop && flags_of(r->dst) & RSIP_ADDRESS_POOL) {
		turn_round(m, in, outer, r, out);
		return;
	}
	out->outcome = state == RSIP_NEXTHOP_VALID ? sent : RSIP_OUT_RESOLVE;
	if (big)
		out->outcome = RSIP_OUT_SPLIT;
	if (out->outcome == RSIP_OUT_RESOLVE && r->ip.len > RSIP_EVENT_PACKET_MAX) {
		out->outcome = RSIP_ERROR;
		return;
	}
	put_ethernet(&out->out, hop ? hop : HOP_YD);
	put_inner(&out->out, r->ip, (unsigned int)tos_after(outer, r->ip));
}

/* Any bind of the sender on this address that allows this peer. */
static const struct world_bind *any_bind(uint32_t client, const struct read *r, enum rsip_outcome *why)
{
	const struct world_grant *grant = grant_of(client, r->src, 0);
	const struct world_bind *bind = grant ? bind_of_slot(grant->any) : NULL;

	*why = grant ? RSIP_OUT_REMOTE_ADDRESS : RSIP_OUT_ICMP;
	if (!grant || (bind && is_remote(bind, r->dst)))
		return bind;
	grant = grant_of(client, r->src, r->dst);
	return grant ? bind_of_slot(grant->any) : NULL;
}

/* The bind that got the packet which the sender's error quotes; `seen`: what the policy shall judge. */
static const struct world_bind *quoted_bind(const struct model *m, uint32_t client, const struct read *r,
					    struct bytes message, struct read *seen)
{
	const struct world_bind *bind;
	struct read q;
	uint32_t peer;
	bool is_new;

	if (!read_quote(message, PUBLIC, &q) || q.dst != r->src || q.src != r->dst)
		return NULL;
	bind = by_number(m, &q, &peer, &is_new);
	if (!bind || is_new || addr(bind->client) != client)
		return NULL;
	seen->dport = q.sport;
	seen->ports = q.ports;
	seen->kind = q.kind;
	return bind;
}

static enum rsip_outcome learn_request(struct model *m, const struct world_bind *bind, const struct read *r,
				       struct bytes message)
{
	struct model_note now = request_note(r->src, r->dst, get8(message, 0), message), *there = note_of(m, &now);

	if (there && strcmp(there->bind->client, bind->client))
		return RSIP_OUT_ICMP_TAKEN;
	now.bind = bind;
	note(m, &now);
	return RSIP_GO_ON;
}

static void private_icmp(struct model *m, const struct frame *in, struct bytes outer, const struct read *r,
			 struct verdict *out)
{
	struct bytes message = icmp_of(r);
	int class = message.len ? icmp_class(get8(message, 0)) : ICMP_NEITHER;
	const struct world_bind *bind = NULL;
	enum rsip_outcome why = RSIP_OUT_ICMP;
	struct read seen = *r;

	if (class == ICMP_ERROR)
		bind = quoted_bind(m, get32(outer, 12), r, message, &seen);
	else if (class != ICMP_NEITHER)
		bind = any_bind(get32(outer, 12), r, &why);
	if (bind)
		why = policy(outer, &seen, bind);
	if (!why && class == ICMP_REQUEST)
		why = learn_request(m, bind, r, message);
	out->outcome = why;
	if (why == RSIP_OUT_TTL)
		tell_host(in, outer, r, 0, out);
	else if (why)
		out->outcome = reason(outer, r, why);
	else
		leave(m, in, outer, r, bind, false, class == ICMP_ERROR ? RSIP_OUT_ICMP_ERROR : RSIP_OUT_ICMP_QUERY, out);
}

static const enum rsip_outcome unfit[] = {
	[K_FRAGMENT] = RSIP_OUT_FRAGMENT, [K_TUNNEL] = RSIP_OUT_NESTED,
	[K_OTHER] = RSIP_OUT_PROTOCOL, [K_BAD] = RSIP_OUT_MALFORMED,
};

static const enum rsip_outcome sent_outbound[] = {
	[K_ESP] = RSIP_OUT_ESP,	  [K_AH] = RSIP_OUT_AH,	    [K_IKE] = RSIP_OUT_IKE,
	[K_NATT] = RSIP_OUT_NATT, [K_PORT] = RSIP_OUT_PORT, [K_KEEPALIVE] = RSIP_OUT_NATT,
	[K_WHOLE] = RSIP_OUT_WHOLE,
};

static enum rsip_outcome first_outbound(struct model *m, struct bytes outer, struct read *r,
					const struct world_bind **bind, bool *is_new, enum rsip_outcome *sent)
{
	enum rsip_outcome why;

	r->first = true;
	r->kind = read_payload(payload_of(r->ip), get8(r->ip, 9), PRIVATE, r);
	if (r->kind == K_ICMP) {
		struct bytes message = icmp_of(r);
		int class = message.len ? icmp_class(get8(message, 0)) : ICMP_NEITHER;

		*sent = RSIP_OUT_ICMP_QUERY;
		if (class != ICMP_REQUEST && class != ICMP_REPLY)
			return RSIP_OUT_ICMP;
		*bind = any_bind(get32(outer, 12), r, &why);
		why = *bind ? policy(outer, r, *bind) : why;
		return !why && class == ICMP_REQUEST ? learn_request(m, *bind, r, message) : why;
	}
	if (r->kind == K_BAD || r->kind == K_SHORT || r->kind == K_CUT)
		return RSIP_OUT_FRAGMENT;
	*bind = whole_bind(get32(outer, 12), r);
	if (!*bind && r->kind > K_CUT)
		return unfit[r->kind];
	if (!*bind)
		*bind = allowed_by(m, get32(outer, 12), r, is_new, &why);
	why = *bind ? policy(outer, r, *bind) : why;
	*sent = sent_outbound[r->kind];
	if (!why && (r->kind == K_ESP || r->kind == K_AH || r->kind == K_NATT))
		note(m, &(struct model_note){ r->kind == K_AH ? 51 : 50, 0, r->src, r->dst, r->spi, *bind });
	return why;
}

/* The daemon's; from the first of them is learned, and who gets the packet is noted, as if it went on. */
static void hold(struct model *m, const struct frame *in, struct bytes outer, const struct read *r,
		 const struct world_bind *bind, bool is_new, bool first, struct verdict *out)
{
	const struct world_bind *to;
	struct read back = *r;
	struct place where;

	out->outcome = RSIP_OUT_FRAGMENT_HELD;
	if (first && is_new && !r->cookie)
		out->outcome = RSIP_OUT_COOKIE_ZERO;
	else if (first && is_new && !learn(m, bind, r, r->src, r->sport, r->dst, RSIP_BIND_COOKIES))
		out->outcome = RSIP_OUT_COOKIE_LIMIT;
	else if (first && flags_of(r->dst) & RSIP_ADDRESS_POOL && place_of(r->ip, &where) &&
		 turn_first(m, &(struct fragment_of){ &back, get32(outer, 12), true }, &back, &where, &to) == STACK) {
		out->outcome = RSIP_OUT_UNREACHABLE;
		tell_host(in, outer, r, 0, out);
	}
}

static void private_fragment(struct model *m, const struct frame *in, struct bytes outer, struct read *r,
			     struct verdict *out)
{
	enum rsip_outcome why, sent = RSIP_OUT_FRAGMENT_SENT;
	const struct fragment_of of = { r, get32(outer, 12), false };
	const struct world_bind *bind = NULL;
	bool is_new = false;
	struct place where;
	enum go go;

	out->outcome = reason(outer, r, RSIP_OUT_FRAGMENT);
	if (out->outcome != RSIP_OUT_FRAGMENT || !place_of(r->ip, &where))
		return;
	if (where.from) {
		go = later_came(m, &of, &where, &bind);
		why = go != GO && go != HOLD ? RSIP_OUT_FRAGMENT : tos_after(outer, r->ip) < 0 ? RSIP_OUT_ECN :
		      get8(r->ip, 8) <= 1 ? RSIP_OUT_TTL : RSIP_GO_ON;
	} else {
		why = first_outbound(m, outer, r, &bind, &is_new, &sent);
		go = first_came(m, &of, &where, bind, why ? RSIP_OUT_FRAGMENT : RSIP_GO_ON);
	}
	out->outcome = why;
	if (why == RSIP_OUT_TTL)
		tell_host(in, outer, r, 0, out);
	else if (why)
		out->outcome = reason(outer, r, why);
	else if (go == HOLD)
		hold(m, in, outer, r, bind, is_new, where.from == 0, out);
	else
		leave(m, in, outer, r, bind, is_new, sent, out);
}

static void model_private(struct model *m, const struct frame *in, struct verdict *out)
{
	const struct world_bind *bind;
	enum rsip_outcome why = RSIP_GO_ON;
	struct bytes outer = ipv4_of(in), inside;
	struct read r;
	bool is_new = false;

	out->outcome = RSIP_OUT_PASS;
	if (!outer.len || (get8(outer, 9) != 4 && get8(outer, 9) != 47))
		return;
	if (!header_is_good(outer)) {
		out->outcome = reason(outer, NULL, RSIP_OUT_MALFORMED);
		return;
	}
	outer = head(outer, get16(outer, 2));
	if (is_fragment(outer)) {
		out->outcome = reason(outer, NULL, RSIP_OUT_FRAGMENT);
		if (out->outcome == RSIP_OUT_FRAGMENT)
			out->outcome = RSIP_OUT_FRAGMENT_HELD;
		return;
	}
	inside = tunnelled(outer);
	if (!inside.len) {
		out->outcome = reason(outer, NULL, RSIP_OUT_MALFORMED);
		return;
	}
	read_ip(inside, PRIVATE, &r);
	bind = r.kind == K_BAD ? NULL : whole_bind(get32(outer, 12), &r);
	if (!bind && r.kind == K_ICMP) {
		private_icmp(m, in, outer, &r, out);
		return;
	}
	if (!bind && r.kind == K_FRAGMENT) {
		private_fragment(m, in, outer, &r, out);
		return;
	}
	if (!bind && r.kind > K_CUT) {
		out->outcome = reason(outer, &r, unfit[r.kind]);
		return;
	}
	if (!bind)
		bind = allowed_by(m, get32(outer, 12), &r, &is_new, &why);
	if (bind)
		why = policy(outer, &r, bind);
	out->outcome = why;
	if (why == RSIP_OUT_TTL)
		tell_host(in, outer, &r, 0, out);
	else if (why)
		out->outcome = reason(outer, &r, why);
	else
		leave(m, in, outer, &r, bind, is_new, sent_outbound[r.kind], out);
}

void model_forget_requests(struct model *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->note_count; i++)
		if (m->notes[i].proto != IPPROTO_ICMP)
			m->notes[kept++] = m->notes[i];
	m->note_count = kept;
}

void model_run(struct model *m, enum side side, const struct frame *in, struct verdict *out)
{
	memset(out, 0, sizeof(*out));
	if (side == PUBLIC)
		model_public(m, in, out);
	else
		model_private(m, in, out);
}
