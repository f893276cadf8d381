// SPDX-License-Identifier: GPL-2.0-only
/* Version, kind, fields, checksum: all big-endian. See record.h. */
#include "rsipd/record.h"

#include <arpa/inet.h>
#include <string.h>
#include <zlib.h>

#include "lib/buf.h"

#define CHECKSUM_LEN	4

/* In which the flags of a client stand. */
#define CLIENT_TCP	0x01
#define CLIENT_COUNTED	0x02
#define CLIENT_RESYNC	0x04
#define CLIENT_FLAGS	0x07

/* And those of its last request. */
#define LAST_KNOWN	0x01
#define LAST_TCP	0x02
#define LAST_ANSWER	0x04	/* is kept */
#define LAST_FLAGS	0x07

/* --- fields ---------------------------------------------------------------------- */

static void write_u64(struct writer *w, uint64_t v)
{
	write_u32(w, (uint32_t)(v >> 32));
	write_u32(w, (uint32_t)v);
}

static uint64_t read_u64(struct reader *r)
{
	uint64_t high = read_u32(r);

	return high << 32 | read_u32(r);
}

static void write_addr(struct writer *w, __be32 addr)
{
	write_bytes(w, &addr, sizeof(addr));
}

static __be32 read_addr(struct reader *r)
{
	return htonl(read_u32(r));
}

static void read_copy(struct reader *r, void *to, size_t len)
{
	const uint8_t *at = read_bytes(r, len);

	if (at)
		memcpy(to, at, len);
}

/* Over the number as well, so that a record that stands under another's is found. */
static uint32_t checksum(uint64_t number, const uint8_t *data, size_t len)
{
	uint8_t head[8];
	struct writer w = { .data = head, .capacity = sizeof(head) };

	write_u64(&w, number);
	return (uint32_t)crc32(crc32(0, head, sizeof(head)), data, (uInt)len);
}

/* --- writing ----------------------------------------------------------------------- */

static struct writer begin(enum record_kind kind, uint8_t *out)
{
	struct writer w = { .data = out, .capacity = RECORD_MAX };

	write_u8(&w, RECORD_VERSION);
	write_u8(&w, kind);
	return w;
}

static size_t end(struct writer *w, uint64_t number)
{
	write_u32(w, checksum(number, w->data, w->len));
	return w->failed ? 0 : w->len;
}

size_t record_clock_encode(uint64_t number, const struct record_clock *clock, uint8_t *out)
{
	struct writer w = begin(RECORD_CLOCK, out);

	write_u64(&w, clock->journal);
	write_u64(&w, clock->monotonic);
	write_u64(&w, clock->wall);
	write_bytes(&w, clock->boot, sizeof(clock->boot));
	return end(&w, number);
}

static void write_last(struct writer *w, const struct replay *last)
{
	write_u8(w, (last->known ? LAST_KNOWN : 0) | (last->tcp ? LAST_TCP : 0) | (last->answer ? LAST_ANSWER : 0));
	write_u64(w, last->hash);
	write_u64(w, last->when);
	write_u32(w, last->counter);
	write_u32(w, last->len);
	write_u8(w, last->type);
	write_u16(w, (uint16_t)last->answer_len);
	write_bytes(w, last->answer, last->answer_len);
}

size_t record_client_encode(uint64_t number, const struct record_client *client, uint8_t *out)
{
	struct writer w = begin(RECORD_CLIENT, out);

	write_u32(&w, client->client_id);
	write_addr(&w, client->origin.source);
	write_addr(&w, client->origin.local);
	write_u16(&w, ntohs(client->origin.source_port));
	write_u8(&w, (client->origin.tcp ? CLIENT_TCP : 0) | (client->counted ? CLIENT_COUNTED : 0) |
			     (client->resync ? CLIENT_RESYNC : 0));
	write_u8(&w, client->local_policy);
	write_u8(&w, client->remote_policy);
	write_u32(&w, client->bind_ids);
	write_u64(&w, client->registered);
	write_u64(&w, client->expires);
	write_last(&w, &client->last);
	return end(&w, number);
}

static void write_grant(struct writer *w, const struct pool_grant *grant)
{
	write_addr(w, grant->addr);
	write_u8(w, (uint8_t)grant->port_form);
	write_u16(w, grant->port_count);
	write_u16(w, grant->port_first);
	for (unsigned int i = 0; grant->port_form == MSG_LIST && i < grant->port_count; i++)
		write_u16(w, grant->port_list[i]);
	write_u16(w, grant->spi_count);
	if (!grant->spi_count)
		return;
	write_u8(w, (uint8_t)grant->spi_form);
	for (unsigned int i = 0; i < (grant->spi_form == MSG_LIST ? grant->spi_count : 1u); i++)
		write_u32(w, grant->spis[i]);
}

size_t record_bind_encode(uint64_t number, const struct record_bind *bind, uint8_t *out)
{
	struct writer w = begin(RECORD_BIND, out);

	write_u32(&w, bind->client_id);
	write_u32(&w, bind->bind_id);
	write_u8(&w, (uint8_t)bind->kind);
	write_u8(&w, bind->tunnel);
	write_addr(&w, bind->gateway);
	write_addr(&w, bind->remote);
	write_u16(&w, bind->remote_port);
	write_u8(&w, bind->remote_count);
	for (unsigned int i = 0; i < bind->remote_count; i++)
		write_addr(&w, bind->remotes[i]);
	write_u8(&w, bind->grant.whole);
	write_addr(&w, bind->grant.ike_peer);
	write_u32(&w, bind->slot);
	write_u64(&w, bind->granted);
	write_u64(&w, bind->expires);
	write_u64(&w, bind->rests);
	write_grant(&w, &bind->grant);
	return end(&w, number);
}

/* --- reading ------------------------------------------------------------------------- */

static const char *read_clock(struct reader *r, struct record_clock *clock)
{
	clock->journal = read_u64(r);
	clock->monotonic = read_u64(r);
	clock->wall = read_u64(r);
	read_copy(r, clock->boot, sizeof(clock->boot));
	return NULL;
}

static const char *read_last(struct reader *r, struct replay *last)
{
	uint8_t flags = read_u8(r);

	last->known = flags & LAST_KNOWN;
	last->tcp = flags & LAST_TCP;
	last->hash = read_u64(r);
	last->when = read_u64(r);
	last->counter = read_u32(r);
	last->len = read_u32(r);
	last->type = read_u8(r);
	last->answer_len = read_u16(r);
	last->answer = (uint8_t *)read_bytes(r, last->answer_len);
	if (flags & ~LAST_FLAGS || !!(flags & LAST_ANSWER) != !!last->answer_len)
		return "the last request has flags that make no sense";
	if (!last->answer_len)
		last->answer = NULL;
	return NULL;
}

static const char *read_client(struct reader *r, struct record_client *client)
{
	uint8_t flags;

	client->client_id = read_u32(r);
	client->origin.source = read_addr(r);
	client->origin.local = read_addr(r);
	client->origin.source_port = htons(read_u16(r));
	flags = read_u8(r);
	client->origin.tcp = flags & CLIENT_TCP;
	client->counted = flags & CLIENT_COUNTED;
	client->resync = flags & CLIENT_RESYNC;
	client->local_policy = read_u8(r);
	client->remote_policy = read_u8(r);
	client->bind_ids = read_u32(r);
	client->registered = read_u64(r);
	client->expires = read_u64(r);
	if (!client->client_id || !client->origin.source)
		return "a host without Client ID or address";
	if (flags & ~CLIENT_FLAGS)
		return "unknown flags";
	if (client->local_policy > RSIP_POLICY_NONE || client->remote_policy > RSIP_POLICY_NONE)
		return "an unknown flow policy";
	return read_last(r, &client->last);
}

static const char *read_ports(struct reader *r, struct pool_grant *grant, uint16_t *list)
{
	grant->port_form = read_u8(r);
	grant->port_count = read_u16(r);
	grant->port_first = read_u16(r);
	if (grant->port_form != MSG_NOT_NEEDED && grant->port_form != MSG_RUN && grant->port_form != MSG_LIST)
		return "ports in an unknown form";
	if (grant->port_count > RSIP_PORTS_MAX || !grant->port_count != (grant->port_form == MSG_NOT_NEEDED) ||
	    grant->port_first + grant->port_count > 65536)
		return "a number of ports that cannot be";
	if (grant->port_form == MSG_RUN && !grant->port_first)
		return "a run from port 0";
	if (grant->port_form != MSG_LIST)
		return NULL;
	for (unsigned int i = 0; i < grant->port_count; i++) {
		list[i] = read_u16(r);
		if (!list[i])
			return "port 0 in a list";
	}
	grant->port_list = list;
	return NULL;
}

static const char *read_spis(struct reader *r, struct pool_grant *grant, uint32_t *list)
{
	uint32_t first;

	grant->spi_count = read_u16(r);
	if (!grant->spi_count)
		return NULL;
	grant->spis = list;
	grant->spi_form = read_u8(r);
	if (grant->spi_form == MSG_LIST) {
		for (unsigned int i = 0; i < grant->spi_count; i++) {
			list[i] = read_u32(r);
			if (!list[i])
				return "SPI 0 in a list";
		}
		return NULL;
	}
	first = read_u32(r);
	if (grant->spi_form != MSG_RUN || !first || first > UINT32_MAX - (grant->spi_count - 1u))
		return "a run of SPIs that cannot be";
	for (unsigned int i = 0; i < grant->spi_count; i++)
		list[i] = first + i;
	return NULL;
}

static const char *read_remotes(struct reader *r, struct record *out)
{
	struct record_bind *bind = &out->bind;

	bind->remote_count = read_u8(r);
	if (bind->remote_count == 1 || bind->remote_count > RSIP_REMOTES_MAX)
		return "it has too many remotes, or a list of one";
	bind->remotes = bind->remote_count ? out->remotes : NULL;
	for (unsigned int i = 0; i < bind->remote_count; i++)
		out->remotes[i] = read_addr(r);
	return NULL;
}

static const char *read_bind(struct reader *r, struct record *out)
{
	struct record_bind *bind = &out->bind;
	const char *why;
	uint8_t whole;

	bind->client_id = read_u32(r);
	bind->bind_id = read_u32(r);
	bind->kind = read_u8(r);
	bind->tunnel = read_u8(r);
	bind->gateway = read_addr(r);
	bind->remote = read_addr(r);
	bind->remote_port = read_u16(r);
	why = read_remotes(r, out);
	if (why)
		return why;
	whole = read_u8(r);
	bind->grant.whole = whole;
	bind->grant.ike_peer = read_addr(r);
	bind->slot = read_u32(r);
	bind->granted = read_u64(r);
	bind->expires = read_u64(r);
	bind->rests = read_u64(r);
	bind->grant.addr = read_addr(r);
	if (bind->kind > LEASE_LISTEN)
		return "a lease of an unknown kind";
	if (whole != (bind->kind == LEASE_RSA) || (bind->grant.ike_peer && bind->kind != LEASE_LISTEN))
		return "a lease that is not what its kind is";
	if (!bind->client_id || !bind->bind_id)
		return "a lease without Client ID or Bind ID";
	why = read_ports(r, &bind->grant, out->ports);
	return why ? why : read_spis(r, &bind->grant, out->spis);
}

/* What holds for every record: length, version, checksum. The fields are left to *r. */
static const char *check(uint64_t number, const uint8_t *data, size_t len, struct reader *r)
{
	struct reader sum;

	if (len < 2 + CHECKSUM_LEN || len > RECORD_MAX)
		return "its length cannot be";
	if (data[0] != RECORD_VERSION)
		return "its version is unknown";
	sum = (struct reader){ .at = data + len - CHECKSUM_LEN, .left = CHECKSUM_LEN };
	if (read_u32(&sum) != checksum(number, data, len - CHECKSUM_LEN))
		return "its checksum is wrong";
	*r = (struct reader){ .at = data + 2, .left = len - 2 - CHECKSUM_LEN };
	return NULL;
}

const char *record_decode(uint64_t number, const uint8_t *data, size_t len, struct record *out)
{
	struct reader r;
	const char *why = check(number, data, len, &r);

	if (why)
		return why;
	/* The lists are written before they are read. */
	memset(out, 0, offsetof(struct record, ports));
	out->kind = data[1];
	switch (out->kind) {
	case RECORD_CLOCK:
		why = read_clock(&r, &out->clock);
		break;
	case RECORD_CLIENT:
		why = read_client(&r, &out->client);
		break;
	case RECORD_BIND:
		why = read_bind(&r, out);
		break;
	default:
		return "its kind is unknown";
	}
	if (!why && (r.failed || r.left))
		why = "it is too short or too long";
	return why;
}
