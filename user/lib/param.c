/* SPDX-License-Identifier: GPL-2.0-only */
/* The value of one RSIP parameter: bytes to struct, struct to bytes and to text. */
#include "lib/param.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/addr.h"

#define LABEL_MAX	63	/* bytes between the dots of a name (RFC 1035 2.3.4) */
#define VENDOR_MIN	4	/* Vendor ID and Subtype */
#define V6_ANY		((uint8_t[16]){ 0 })

const struct slot_info slot_infos[SLOT_COUNT] = {
	[SLOT_CLIENT]   = { "client",   RSIP_PARAM_CLIENT_ID, false, MSG_HAS(RSIP_PARAM_CLIENT_ID) },
	[SLOT_BIND]     = { "bind",     RSIP_PARAM_BIND_ID, false, MSG_HAS(RSIP_PARAM_BIND_ID) },
	[SLOT_LOCAL]    = { "local",    RSIP_PARAM_ADDRESS, false, MSG_HAS_LOCAL },
	[SLOT_LPORTS]   = { "lports",   RSIP_PARAM_PORTS, false, MSG_HAS_LPORTS },
	[SLOT_REMOTE]   = { "remote",   RSIP_PARAM_ADDRESS, false, MSG_HAS_REMOTE },
	[SLOT_RPORTS]   = { "rports",   RSIP_PARAM_PORTS, false, MSG_HAS_RPORTS },
	[SLOT_SPI]      = { "spi",      RSIP_PARAM_SPI, false, MSG_HAS(RSIP_PARAM_SPI) },
	[SLOT_LEASE]    = { "lease",    RSIP_PARAM_LEASE_TIME, false, MSG_HAS(RSIP_PARAM_LEASE_TIME) },
	[SLOT_TUNNEL]   = { "tunnel",   RSIP_PARAM_TUNNEL_TYPE, false, MSG_HAS(RSIP_PARAM_TUNNEL_TYPE) },
	[SLOT_TUNNELS]  = { "tunnel",   RSIP_PARAM_TUNNEL_TYPE, true, MSG_HAS(RSIP_PARAM_TUNNEL_TYPE) },
	[SLOT_METHODS]  = { "method",   RSIP_PARAM_METHOD, true, MSG_HAS(RSIP_PARAM_METHOD) },
	[SLOT_ENDPOINT] = { "endpoint", RSIP_PARAM_ADDRESS, false, MSG_HAS_ENDPOINT },
	[SLOT_ERROR]    = { "error",    RSIP_PARAM_ERROR, false, MSG_HAS(RSIP_PARAM_ERROR) },
	[SLOT_FLOW]     = { "flow",     RSIP_PARAM_FLOW_POLICY, false, MSG_HAS(RSIP_PARAM_FLOW_POLICY) },
	[SLOT_COUNTER]  = { "counter",  RSIP_PARAM_MESSAGE_COUNTER, false, MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER) },
	[SLOT_TUPLES]   = { "tuple",    RSIP_PARAM_INDICATOR, true, MSG_HAS_TUPLES },
	[SLOT_VENDOR]   = { "vendor",   RSIP_PARAM_VENDOR, true, MSG_HAS(RSIP_PARAM_VENDOR) },
};

unsigned int param_count(enum slot slot, const struct msg *m)
{
	switch (slot) {
	case SLOT_TUNNEL:
	case SLOT_TUNNELS:
		return m->tunnel_count;
	case SLOT_METHODS:
		return m->method_count;
	case SLOT_VENDOR:
		return m->vendor_count;
	default:
		return !!(m->has & slot_infos[slot].has);
	}
}

bool tlv_next(struct reader *r, struct tlv *out)
{
	if (!r->left)
		return false;
	out->type = read_u8(r);
	out->len = read_u16(r);
	out->value = read_bytes(r, out->len);
	return !r->failed;
}

/* --- reading ---------------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static bool bad(const struct param_in *in, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(in->why, PARAM_WHY_LEN, format, args);
	va_end(args);
	return false;
}

static bool length_is(const struct tlv *t, const struct param_in *in, const char *name, unsigned int len)
{
	return t->len == len || bad(in, "%s of length %u, not %u", name, t->len, len);
}

static bool read_number(const struct tlv *t, const struct param_in *in, const char *name, uint32_t *out)
{
	struct reader r = { t->value, t->len, false };

	if (!length_is(t, in, name, 4))
		return false;
	*out = read_u32(&r);
	return true;
}

/* 0 marks the messages that a gateway sends of its own accord (RFC 3103 10.1). */
static bool read_counter(const struct tlv *t, const struct param_in *in, uint32_t *out)
{
	if (!read_number(t, in, "Message Counter", out))
		return false;
	return *out || in->message == RSIP_ERROR_RESPONSE || in->message == RSIP_DEREGISTER_RESPONSE ||
	       in->message == RSIP_FREE_RESPONSE || bad(in, "Message Counter 0");
}

/* Numbers of one byte. 0 is reserved: the gateway has an answer for it (307), the host drops it (W-26). */
static bool read_choice(const struct tlv *t, const struct param_in *in, const char *name, uint8_t *list, uint8_t *count)
{
	if (!length_is(t, in, name, 1))
		return false;
	if (!t->value[0] && in->role == MSG_AT_HOST)
		return bad(in, "%s 0 is reserved", name);
	if (*count < MSG_REPEAT_MAX)
		list[(*count)++] = t->value[0];
	return true;
}

static bool read_flow(const struct tlv *t, const struct param_in *in, struct msg *m)
{
	uint8_t local, remote;

	if (!length_is(t, in, "Flow Policy", 2))
		return false;
	local = t->value[0];
	remote = t->value[1];
	if (local < RSIP_POLICY_MACRO || local > RSIP_POLICY_MICRO)
		return bad(in, "local flow policy %u, neither 1 nor 2", local);
	if (remote < RSIP_POLICY_MACRO || remote > RSIP_POLICY_NONE)
		return bad(in, "remote flow policy %u, not 1 to 3", remote);
	m->local_policy = local;
	m->remote_policy = remote;
	return true;
}

static bool read_error(const struct tlv *t, const struct param_in *in, uint16_t *out)
{
	struct reader r = { t->value, t->len, false };

	if (!length_is(t, in, "Error", 2))
		return false;
	*out = read_u16(&r);
	return true;
}

static bool read_vendor(const struct tlv *t, const struct param_in *in, struct msg *m)
{
	struct reader r = { t->value, t->len, false };
	struct msg_vendor *v = &m->vendors[m->vendor_count];

	if (t->len < VENDOR_MIN)
		return bad(in, "Vendor Specific of length %u, below %u", t->len, VENDOR_MIN);
	if (m->vendor_count == MSG_REPEAT_MAX)
		return true;
	v->id = read_u16(&r);
	v->subtype = read_u16(&r);
	v->len = r.left;
	v->value = r.at;
	m->vendor_count++;
	return true;
}

bool param_read_indicator(const struct tlv *t, const struct param_in *in, uint16_t *out)
{
	unsigned int max = in->message == RSIP_QUERY_REQUEST ? RSIP_QUERY_NETWORK : RSIP_REMOTE_NETWORK;
	uint16_t value;

	if (t->len != 1 && t->len != 2)		/* */
		return bad(in, "Indicator of length %u, neither 2 nor 1", t->len);
	value = t->len == 1 ? t->value[0] : t->value[0] << 8 | t->value[1];
	if (value < 1 || value > max)
		return bad(in, "Indicator %u, not 1 to %u", value, max);
	*out = value;
	return true;
}

/* Labels of printable ASCII between dots; a last dot, for the root, is taken. */
static bool read_name(const struct param_in *in, const uint8_t *name, unsigned int len)
{
	unsigned int label = 0;

	for (unsigned int i = 0; i < len; i++) {
		if (name[i] == '.') {
			if (!label)
				return bad(in, "FQDN with an empty label at byte %u of %u", i, len);
			label = 0;
		} else if (name[i] <= ' ' || name[i] >= 0x7f) {
			return bad(in, "FQDN with byte 0x%02x at %u of %u", name[i], i, len);
		} else if (++label > LABEL_MAX) {
			return bad(in, "FQDN with a label over %u bytes", LABEL_MAX);
		}
	}
	return true;
}

/* An address of any form, by its own rules: type and size. `any`: no address bytes. */
static bool read_addr(const struct tlv *t, const struct param_in *in, struct msg_addr *out)
{
	struct msg_addr addr = { 0 };
	const uint8_t *bytes = t->value + 1;
	unsigned int len = t->len - 1u, want = 0;

	if (!t->len)
		return bad(in, "Address of length 0, without type");
	addr.type = t->value[0];
	addr.any = !len;
	switch (addr.type) {
	case RSIP_ADDR_RESERVED:
		break;
	case RSIP_ADDR_IPV4:
	case RSIP_ADDR_NETMASK:
		want = 4;
		break;
	case RSIP_ADDR_IPV6:
		want = 16;
		break;
	case RSIP_ADDR_FQDN:
		want = len;
		if (len > RSIP_FQDN_MAX)
			return bad(in, "FQDN of %u bytes, over %u", len, RSIP_FQDN_MAX);
		if (len && !read_name(in, bytes, len))
			return false;
		break;
	default:
		return bad(in, "address type %u", addr.type);
	}
	if (len && len != want)
		return bad(in, "address type %u with %u bytes, not %u", addr.type, len, want);
	if (len && want == 4) {
		memcpy(&addr.v4, bytes, 4);
	} else if (len && want == 16) {
		memcpy(addr.v6, bytes, 16);
	}
	if (len && addr.type == RSIP_ADDR_FQDN) {
		addr.name = bytes;
		addr.name_len = len;
	}
	*out = addr;
	return true;
}

static bool is_zero(const struct msg_addr *addr)
{
	return (addr->type == RSIP_ADDR_IPV4 && !addr->v4) ||
	       (addr->type == RSIP_ADDR_IPV6 && !memcmp(addr->v6, V6_ANY, 16));
}

static bool read_side(enum slot slot, const struct tlv *t, const struct param_in *in, struct msg_addr *out)
{
	struct msg_addr addr;

	if (!read_addr(t, in, &addr))
		return false;
	if (addr.type == RSIP_ADDR_NETMASK)
		return bad(in, "netmask as %s address", slot_infos[slot].name);
	if (addr.type == RSIP_ADDR_FQDN && slot != SLOT_REMOTE)
		return bad(in, "FQDN as %s address", slot_infos[slot].name);
	addr.any = addr.any || is_zero(&addr);
	if (addr.any && slot == SLOT_ENDPOINT)
		return bad(in, "don't-care as %s", slot_infos[slot].name);
	*out = addr;
	return true;
}

bool param_read_tuple_addr(enum tuple_place place, const struct tlv *t, const struct param_in *in, struct msg_addr *out)
{
	static const char *const names[] = { "queried address", "queried network", "netmask" };
	struct msg_addr addr;
	bool netmask;

	if (!read_addr(t, in, &addr))
		return false;
	netmask = addr.type == RSIP_ADDR_NETMASK;
	if (place != TUPLE_NONE && (addr.any || netmask != (place == TUPLE_MASK) ||
				    (place == TUPLE_NETWORK && addr.type == RSIP_ADDR_FQDN)))
		return bad(in, "address type %u of length %u as %s", addr.type, t->len, names[place]);
	if (place == TUPLE_MASK && addr_mask_length(addr.v4) < 0)
		return bad(in, "netmask 0x%08x with holes", ntohl(addr.v4));
	*out = addr;
	return true;
}

static bool ports_differ(const uint16_t *list, unsigned int count)
{
	uint64_t seen[65536 / 64] = { 0 };

	for (unsigned int i = 0; i < count; i++) {
		if (seen[list[i] / 64] & 1ull << list[i] % 64)
			return false;
		seen[list[i] / 64] |= 1ull << list[i] % 64;
	}
	return true;
}

/* `fields` port fields after the Number, which is in p->count. */
static bool read_port_fields(struct reader *r, unsigned int fields, const struct param_in *in, struct msg_ports *p)
{
	if (fields != 1) {
		p->form = MSG_LIST;
		for (unsigned int i = 0; i < fields; i++) {
			p->list[i] = read_u16(r);
			if (!p->list[i])
				return bad(in, "port 0 in a list");
		}
		return ports_differ(p->list, fields) || bad(in, "a port twice in a list of %u", fields);
	}
	p->first = read_u16(r);
	p->form = p->first ? MSG_RUN : MSG_ANY;		/* */
	if (p->form == MSG_RUN && !p->count)
		return bad(in, "0 ports from %u", p->first);
	if (p->first + p->count > 65536)
		return bad(in, "%u ports from %u pass 65535", p->count, p->first);
	return true;
}

static bool read_ports(enum slot slot, const struct tlv *t, const struct param_in *in, struct msg_ports *p)
{
	struct reader r = { t->value, t->len, false };
	bool ipsec = in->message == RSIP_ASSIGN_REQUEST_RSIPSEC || in->message == RSIP_ASSIGN_RESPONSE_RSIPSEC;
	unsigned int fields = t->len / 2;	/* (Length - 1) / 2 of an odd length */

	p->count = p->first = 0;
	if (!t->len) {
		p->form = MSG_NOT_NEEDED;
		return ipsec || bad(in, "Ports of length 0 outside RSIPSEC");
	}
	p->count = read_u8(&r);
	if (t->len % 2 == 0)
		return bad(in, "Ports of length %u: half a port", t->len);
	if (!p->count && slot == SLOT_LPORTS)
		return bad(in, "0 local ports");
	if (fields > 1 && fields != p->count)
		return bad(in, "%u ports with %u port fields", p->count, fields);
	if (fields)
		return read_port_fields(&r, fields, in, p);
	p->form = MSG_ANY;
	return true;
}

/* Radix sort, so that a hostile list costs no more than another one. */
static void sort(uint32_t *values, uint32_t *scratch, unsigned int count)
{
	uint32_t *from = values, *to = scratch, *swap;

	for (unsigned int shift = 0; shift < 32; shift += 8) {
		unsigned int starts[257] = { 0 };

		for (unsigned int i = 0; i < count; i++)
			starts[(from[i] >> shift & 0xff) + 1]++;
		for (unsigned int i = 1; i < 257; i++)
			starts[i] += starts[i - 1];
		for (unsigned int i = 0; i < count; i++)
			to[starts[from[i] >> shift & 0xff]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
}

static bool spis_differ(const struct msg_spis *s)
{
	uint32_t values[RSIP_SPIS_MAX], scratch[RSIP_SPIS_MAX];

	for (unsigned int i = 0; i < s->count; i++)
		values[i] = msg_spi_at(s, i);
	sort(values, scratch, s->count);
	for (unsigned int i = 1; i < s->count; i++) {
		if (values[i] == values[i - 1])
			return false;
	}
	return true;
}

static bool read_spis(const struct tlv *t, const struct param_in *in, struct msg_spis *s)
{
	struct reader r = { t->value, t->len, false };
	unsigned int fields = t->len / 4;

	if (t->len % 4 != 2)
		return bad(in, "SPI of length %u, not 2, 6, 10, ...", t->len);
	s->count = read_u16(&r);
	s->first = 0;
	s->list = NULL;
	s->form = MSG_ANY;
	if (!s->count)
		return bad(in, "0 SPIs");
	if (fields > 1 && fields != s->count)
		return bad(in, "%u SPIs with %u SPI fields", s->count, fields);
	if (fields == 1) {
		s->first = read_u32(&r);
		s->form = s->first ? MSG_RUN : MSG_ANY;		/* */
		if (s->first > UINT32_MAX - (s->count - 1u))
			return bad(in, "%u SPIs from 0x%08x pass 0xffffffff", s->count, s->first);
	} else if (fields) {
		s->form = MSG_LIST;
		s->list = r.at;
		for (unsigned int i = 0; i < fields; i++) {
			if (!msg_spi_at(s, i))
				return bad(in, "SPI 0 in a list");
		}
		return spis_differ(s) || bad(in, "an SPI twice in a list of %u", fields);
	}
	return true;
}

bool param_read(enum slot slot, const struct tlv *t, const struct param_in *in, struct msg *m)
{
	switch (slot) {
	case SLOT_CLIENT:
		return read_number(t, in, "Client ID", &m->client_id);
	case SLOT_BIND:
		return read_number(t, in, "Bind ID", &m->bind_id);
	case SLOT_LEASE:
		return read_number(t, in, "Lease Time", &m->lease);
	case SLOT_COUNTER:
		return read_counter(t, in, &m->counter);
	case SLOT_LOCAL:
		return read_side(slot, t, in, &m->local);
	case SLOT_REMOTE:
		return read_side(slot, t, in, &m->remote);
	case SLOT_ENDPOINT:
		return read_side(slot, t, in, &m->endpoint);
	case SLOT_LPORTS:
		return read_ports(slot, t, in, &m->lports);
	case SLOT_RPORTS:
		return read_ports(slot, t, in, &m->rports);
	case SLOT_SPI:
		return read_spis(t, in, &m->spis);
	case SLOT_TUNNEL:
	case SLOT_TUNNELS:
		return read_choice(t, in, "Tunnel Type", m->tunnels, &m->tunnel_count);
	case SLOT_METHODS:
		return read_choice(t, in, "RSIP Method", m->methods, &m->method_count);
	case SLOT_ERROR:
		return read_error(t, in, &m->error);
	case SLOT_FLOW:
		return read_flow(t, in, m);
	case SLOT_VENDOR:
		return read_vendor(t, in, m);
	case SLOT_TUPLES:
	case SLOT_NONE:
	case SLOT_COUNT:
		break;
	}
	return false;
}

/* --- writing ---------------------------------------------------------------- */

static void write_addr(const struct msg_addr *addr, struct writer *w)
{
	/* Don't-care: the type alone, never the reserved one. */
	write_u8(w, addr->any && addr->type == RSIP_ADDR_RESERVED ? RSIP_ADDR_IPV4 : addr->type);
	if (addr->any)
		return;
	switch (addr->type) {
	case RSIP_ADDR_IPV4:
	case RSIP_ADDR_NETMASK:
		write_bytes(w, &addr->v4, 4);
		break;
	case RSIP_ADDR_IPV6:
		write_bytes(w, addr->v6, 16);
		break;
	case RSIP_ADDR_FQDN:
		write_bytes(w, addr->name, addr->name_len);
		break;
	default:
		w->failed = true;
	}
}

static void write_ports(const struct msg_ports *p, struct writer *w)
{
	if (p->form == MSG_NOT_NEEDED)
		return;
	if (p->count > RSIP_PORTS_MAX) {
		w->failed = true;
		return;
	}
	/* Number 0 is read for a remote port only, and not sent. */
	write_u8(w, p->form == MSG_ANY && !p->count ? 1 : p->count);
	if (p->form == MSG_RUN)
		write_u16(w, p->first);
	for (unsigned int i = 0; p->form == MSG_LIST && i < p->count; i++)
		write_u16(w, p->list[i]);
}

static void write_spis(const struct msg_spis *s, struct writer *w)
{
	write_u16(w, s->count);
	if (s->form == MSG_RUN)
		write_u32(w, s->first);
	else if (s->form == MSG_LIST)
		write_bytes(w, s->list, 4u * s->count);
}

static void write_vendor(const struct msg_vendor *v, struct writer *w)
{
	write_u16(w, v->id);
	write_u16(w, v->subtype);
	write_bytes(w, v->value, v->len);
}

static void write_value(enum slot slot, unsigned int index, const struct msg *m, struct writer *w)
{
	switch (slot) {
	case SLOT_CLIENT:
		return write_u32(w, m->client_id);
	case SLOT_BIND:
		return write_u32(w, m->bind_id);
	case SLOT_LEASE:
		return write_u32(w, m->lease);
	case SLOT_COUNTER:
		return write_u32(w, m->counter);
	case SLOT_LOCAL:
		return write_addr(&m->local, w);
	case SLOT_REMOTE:
		return write_addr(&m->remote, w);
	case SLOT_ENDPOINT:
		return write_addr(&m->endpoint, w);
	case SLOT_LPORTS:
		return write_ports(&m->lports, w);
	case SLOT_RPORTS:
		return write_ports(&m->rports, w);
	case SLOT_SPI:
		return write_spis(&m->spis, w);
	case SLOT_TUNNEL:
	case SLOT_TUNNELS:
		return write_u8(w, m->tunnels[index]);
	case SLOT_METHODS:
		return write_u8(w, m->methods[index]);
	case SLOT_ERROR:
		return write_u16(w, m->error);
	case SLOT_FLOW:
		write_u8(w, m->local_policy);
		return write_u8(w, m->remote_policy);
	case SLOT_VENDOR:
		return write_vendor(&m->vendors[index], w);
	case SLOT_TUPLES:
	case SLOT_NONE:
	case SLOT_COUNT:
		break;
	}
	w->failed = true;
}

/* Starts a parameter; the length is put in by end_param(). */
static size_t begin_param(uint8_t type, struct writer *w)
{
	write_u8(w, type);
	write_u16(w, 0);
	return w->len;
}

static void end_param(size_t start, struct writer *w)
{
	if (w->len - start > UINT16_MAX)
		w->failed = true;
	if (!w->failed)
		write_u16_at(w, start - 2, w->len - start);
}

static void write_tuple(const struct msg_tuple *tuple, struct writer *w)
{
	const struct msg_addr mask = { .type = RSIP_ADDR_NETMASK, .v4 = tuple->mask };
	size_t start;

	start = begin_param(RSIP_PARAM_INDICATOR, w);
	write_u16(w, tuple->indicator);
	end_param(start, w);
	start = begin_param(RSIP_PARAM_ADDRESS, w);
	write_addr(&tuple->addr, w);
	end_param(start, w);
	if (tuple->indicator % 2)
		return;
	start = begin_param(RSIP_PARAM_ADDRESS, w);
	write_addr(&mask, w);
	end_param(start, w);
}

size_t msg_tuple_write(const struct msg_tuple *tuple, uint8_t *out, size_t capacity)
{
	struct writer w = { .data = out, .capacity = capacity };

	write_tuple(tuple, &w);
	return w.failed ? 0 : w.len;
}

void param_write(enum slot slot, unsigned int index, const struct msg *m, struct writer *w)
{
	const uint8_t *at = m->tuples;
	size_t left = m->tuples_len, start;
	struct msg_tuple tuple;

	if (slot == SLOT_TUPLES) {
		while (msg_tuple_next(&at, &left, &tuple))
			write_tuple(&tuple, w);
		return;
	}
	start = begin_param(slot_infos[slot].param, w);
	write_value(slot, index, m, w);
	end_param(start, w);
}

/* --- text -------------------------------------------------------------------- */

void text_add(struct writer *w, const char *format, ...)
{
	size_t room = w->capacity - w->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf((char *)w->data + w->len, room, format, args);
	va_end(args);
	if (len < 0)
		return;
	w->len += room && (size_t)len >= room ? room - 1 : (size_t)len;
}

static void text_addr(const struct msg_addr *addr, struct writer *w)
{
	static const char *const any[] = { "any", "any-v4", "any", "any-v6", "any-name" };
	char text[INET6_ADDRSTRLEN];

	if (addr->any) {
		text_add(w, "%s", addr->type < sizeof(any) / sizeof(any[0]) ? any[addr->type] : "any");
	} else if (addr->type == RSIP_ADDR_FQDN) {
		text_add(w, "\"%.*s\"", addr->name_len, (const char *)addr->name);
	} else if (addr->type == RSIP_ADDR_IPV6) {
		text_add(w, "%s", inet_ntop(AF_INET6, addr->v6, text, sizeof(text)));
	} else {
		text_add(w, "%s", addr_text(addr->v4, text));
	}
}

static void text_ports(const struct msg_ports *p, struct writer *w)
{
	switch (p->form) {
	case MSG_NOT_NEEDED:
		text_add(w, "not-needed");
		break;
	case MSG_ANY:
		text_add(w, p->count ? "%u-any" : "any(%u)", p->count);
		break;
	case MSG_RUN:
		text_add(w, "%u", p->first);
		if (p->count > 1)
			text_add(w, "..%u", p->first + p->count - 1);
		break;
	case MSG_LIST:
		for (unsigned int i = 0; i < p->count; i++)
			text_add(w, "%c%u", i ? ',' : '{', p->list[i]);
		text_add(w, "}");
		break;
	}
}

static void text_spis(const struct msg_spis *s, struct writer *w)
{
	switch (s->form) {
	case MSG_NOT_NEEDED:
	case MSG_ANY:
		text_add(w, "%u-any", s->count);
		break;
	case MSG_RUN:
		text_add(w, "0x%08x", s->first);
		if (s->count > 1)
			text_add(w, "..0x%08x", s->first + (s->count - 1u));
		break;
	case MSG_LIST:
		for (unsigned int i = 0; i < s->count && w->len + 1 < w->capacity; i++)
			text_add(w, "%c0x%08x", i ? ',' : '{', msg_spi_at(s, i));
		text_add(w, "}");
		break;
	}
}

static void text_named(const char *name, uint8_t number, struct writer *w)
{
	if (name[0] == '?')
		text_add(w, "%u", number);
	else
		text_add(w, "%s", name);
}

static void text_tuples(const struct msg *m, struct writer *w)
{
	static const char *const names[] = { "local-address", "local-network", "remote-address", "remote-network" };
	const uint8_t *at = m->tuples;
	size_t left = m->tuples_len;
	struct msg_tuple tuple;
	const char *name, *space = "";
	char mask[ADDR_TEXT_LEN];

	while (w->len + 1 < w->capacity && msg_tuple_next(&at, &left, &tuple)) {
		name = names[(tuple.indicator - 1) % 4];
		text_add(w, "%s%s(", space, m->type == RSIP_QUERY_REQUEST ? strchr(name, '-') + 1 : name);
		text_addr(&tuple.addr, w);
		if (tuple.indicator % 2 == 0)
			text_add(w, "/mask %s", addr_text(tuple.mask, mask));
		text_add(w, ")");
		space = " ";
	}
}

static void text_vendor(const struct msg_vendor *v, struct writer *w)
{
	text_add(w, "%u/%u[", v->id, v->subtype);
	for (unsigned int i = 0; i < v->len && w->len + 1 < w->capacity; i++)
		text_add(w, "%02x", v->value[i]);
	text_add(w, "]");
}

void param_text(enum slot slot, unsigned int index, const struct msg *m, struct writer *w)
{
	if (slot == SLOT_TUPLES)
		return text_tuples(m, w);
	text_add(w, "%s=", slot_infos[slot].name);
	switch (slot) {
	case SLOT_CLIENT:
		return text_add(w, "%u", m->client_id);
	case SLOT_BIND:
		return text_add(w, "%u", m->bind_id);
	case SLOT_LEASE:
		return text_add(w, "%u", m->lease);
	case SLOT_COUNTER:
		return text_add(w, "%u", m->counter);
	case SLOT_LOCAL:
		return text_addr(&m->local, w);
	case SLOT_REMOTE:
		return text_addr(&m->remote, w);
	case SLOT_ENDPOINT:
		return text_addr(&m->endpoint, w);
	case SLOT_LPORTS:
		return text_ports(&m->lports, w);
	case SLOT_RPORTS:
		return text_ports(&m->rports, w);
	case SLOT_SPI:
		return text_spis(&m->spis, w);
	case SLOT_TUNNEL:
	case SLOT_TUNNELS:
		return text_named(msg_tunnel_name(m->tunnels[index]), m->tunnels[index], w);
	case SLOT_METHODS:
		return text_named(msg_method_name(m->methods[index]), m->methods[index], w);
	case SLOT_ERROR:
		return text_add(w, "%u(%s)", m->error, msg_error_name(m->error));
	case SLOT_FLOW:
		return text_add(w, "local-%s/remote-%s", msg_policy_name(m->local_policy),
				msg_policy_name(m->remote_policy));
	case SLOT_VENDOR:
		return text_vendor(&m->vendors[index], w);
	case SLOT_TUPLES:
	case SLOT_NONE:
	case SLOT_COUNT:
		break;
	}
}
