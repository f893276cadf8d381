/* SPDX-License-Identifier: GPL-2.0-only */
/* RSIP messages: which parameters each has, in which order; the checks of row E-02. */
#include "lib/msg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/param.h"

#define REQUIRED_MAX	10	/* of one message, with SLOT_NONE at the end */
#define OPTIONAL_MAX	4
#define PARAMS		(RSIP_PARAM_SPI + 1)

/* RFC 3103 9 and RFC 3104 6.1: one row per message. Requests have even types, their responses follow. */
struct grammar {
	const char *name;
	uint8_t required[REQUIRED_MAX];		/* enum slot, in order */
	uint8_t optional[OPTIONAL_MAX];		/* any order; the one we send */
	uint8_t off;				/* MSG_NO_*: the flag that makes it 208 */
	bool loose;				/* hosts take Lease Time and Tunnel Type as they come */
};

#define FROM_HOST	SLOT_CLIENT
#define GRANT		SLOT_CLIENT, SLOT_BIND
#define LOCAL		SLOT_LOCAL, SLOT_LPORTS
#define REMOTE		SLOT_REMOTE, SLOT_RPORTS

static const struct grammar grammars[] = {
	[RSIP_ERROR_RESPONSE] = { "ERROR_RESPONSE",
		{ SLOT_ERROR }, { SLOT_COUNTER, SLOT_CLIENT, SLOT_BIND } },
	[RSIP_REGISTER_REQUEST] = { "REGISTER_REQUEST",
		{ SLOT_NONE }, { SLOT_COUNTER } },
	[RSIP_REGISTER_RESPONSE] = { "REGISTER_RESPONSE",
		{ SLOT_CLIENT, SLOT_LEASE, SLOT_FLOW }, { SLOT_COUNTER, SLOT_METHODS, SLOT_TUNNELS } },
	[RSIP_DEREGISTER_REQUEST] = { "DE-REGISTER_REQUEST",
		{ SLOT_CLIENT }, { SLOT_COUNTER } },
	[RSIP_DEREGISTER_RESPONSE] = { "DE-REGISTER_RESPONSE",
		{ SLOT_CLIENT }, { SLOT_COUNTER } },
	[RSIP_ASSIGN_REQUEST_RSA] = { "ASSIGN_REQUEST_RSA-IP",
		{ FROM_HOST, SLOT_LOCAL, REMOTE }, { SLOT_COUNTER, SLOT_LEASE, SLOT_TUNNEL }, .off = MSG_NO_RSA },
	[RSIP_ASSIGN_RESPONSE_RSA] = { "ASSIGN_RESPONSE_RSA-IP",
		{ GRANT, SLOT_LOCAL, REMOTE, SLOT_LEASE, SLOT_TUNNEL }, { SLOT_ENDPOINT, SLOT_COUNTER }, .loose = true },
	[RSIP_ASSIGN_REQUEST_RSAP] = { "ASSIGN_REQUEST_RSAP-IP",
		{ FROM_HOST, LOCAL, REMOTE }, { SLOT_COUNTER, SLOT_LEASE, SLOT_TUNNEL } },
	[RSIP_ASSIGN_RESPONSE_RSAP] = { "ASSIGN_RESPONSE_RSAP-IP",
		{ GRANT, LOCAL, REMOTE, SLOT_LEASE, SLOT_TUNNEL }, { SLOT_ENDPOINT, SLOT_COUNTER }, .loose = true },
	[RSIP_EXTEND_REQUEST] = { "EXTEND_REQUEST",
		{ SLOT_CLIENT, SLOT_BIND }, { SLOT_LEASE, SLOT_COUNTER } },
	[RSIP_EXTEND_RESPONSE] = { "EXTEND_RESPONSE",
		{ SLOT_CLIENT, SLOT_BIND, SLOT_LEASE }, { SLOT_COUNTER } },
	[RSIP_FREE_REQUEST] = { "FREE_REQUEST",
		{ SLOT_CLIENT, SLOT_BIND }, { SLOT_COUNTER } },
	[RSIP_FREE_RESPONSE] = { "FREE_RESPONSE",
		{ SLOT_CLIENT, SLOT_BIND }, { SLOT_COUNTER } },
	[RSIP_QUERY_REQUEST] = { "QUERY_REQUEST",
		{ SLOT_CLIENT }, { SLOT_COUNTER, SLOT_TUPLES } },
	[RSIP_QUERY_RESPONSE] = { "QUERY_RESPONSE",
		{ SLOT_CLIENT }, { SLOT_COUNTER, SLOT_TUPLES } },
	[RSIP_LISTEN_REQUEST] = { "LISTEN_REQUEST",
		{ FROM_HOST, LOCAL, REMOTE }, { SLOT_COUNTER, SLOT_LEASE, SLOT_TUNNELS }, .off = MSG_NO_LISTEN },
	[RSIP_LISTEN_RESPONSE] = { "LISTEN_RESPONSE",
		{ GRANT, LOCAL, REMOTE, SLOT_TUNNEL, SLOT_LEASE }, { SLOT_ENDPOINT, SLOT_COUNTER }, .loose = true },
	[RSIP_ASSIGN_REQUEST_RSIPSEC] = { "ASSIGN_REQUEST_RSIPSEC",
		{ FROM_HOST, LOCAL, REMOTE, SLOT_SPI }, { SLOT_COUNTER, SLOT_LEASE, SLOT_TUNNEL }, .off = MSG_NO_IPSEC },
	[RSIP_ASSIGN_RESPONSE_RSIPSEC] = { "ASSIGN_RESPONSE_RSIPSEC",
		{ GRANT, LOCAL, REMOTE, SLOT_SPI, SLOT_LEASE, SLOT_TUNNEL }, { SLOT_ENDPOINT, SLOT_COUNTER }, .loose = true },
};

static const struct grammar *grammar_of(uint8_t type)
{
	const size_t count = sizeof(grammars) / sizeof(grammars[0]);

	return type < count && grammars[type].name ? &grammars[type] : NULL;
}

static bool is_response(uint8_t type)
{
	return type % 2;
}

static bool knows_param(uint8_t type)
{
	return (type >= RSIP_PARAM_ADDRESS && type <= RSIP_PARAM_VENDOR) || type == RSIP_PARAM_SPI;
}

/* --- where a parameter stands ------------------------------------------------- */

struct place {
	const struct grammar *grammar;
	bool loose;			/* read as a host does */
	uint8_t next;			/* index of the next required one */
	uint8_t seen[PARAMS];		/* how many of each parameter, no more than the grammar has */
};

/* The slot of the next parameter of this type. SLOT_NONE: *error is 203 or 202. */
static enum slot place_slot(struct place *p, uint8_t param, uint16_t *error)
{
	const struct grammar *g = p->grammar;
	unsigned int nth = 0;
	enum slot slot;

	if (param == RSIP_PARAM_VENDOR)
		return SLOT_VENDOR;
	for (unsigned int i = 0; i < REQUIRED_MAX + OPTIONAL_MAX; i++) {
		slot = i < REQUIRED_MAX ? g->required[i] : g->optional[i - REQUIRED_MAX];
		if (!slot || slot_infos[slot].param != param)
			continue;
		if (slot_infos[slot].repeat)
			return slot;
		if (nth++ == p->seen[param]) {
			p->seen[param]++;
			return slot;
		}
	}
	*error = nth ? RSIP_E_DUPLICATE_PARAM : RSIP_E_EXTRA_PARAM;
	return SLOT_NONE;
}

/* The next required slot. Its absence is no fault when a host reads and it is the Tunnel Type. */
static enum slot place_wanted(struct place *p, enum slot slot)
{
	enum slot wanted = p->grammar->required[p->next];

	if (p->loose && wanted == SLOT_TUNNEL && slot != SLOT_TUNNEL)
		wanted = p->grammar->required[++p->next];
	return wanted;
}

/* May this slot stand here? Required ones come first and in order. */
static bool place_take(struct place *p, enum slot slot)
{
	enum slot wanted;

	if (slot == SLOT_VENDOR)
		return true;
	wanted = place_wanted(p, slot);
	if (wanted == slot)
		p->next++;
	else if (wanted != SLOT_NONE)
		return p->loose && wanted == SLOT_LEASE && slot == SLOT_TUNNEL;
	return true;
}

static bool place_complete(struct place *p)
{
	return place_wanted(p, SLOT_NONE) == SLOT_NONE;
}

/* --- reading ------------------------------------------------------------------ */

struct parse {
	const uint8_t *data;
	size_t len;
	enum msg_role role;
	unsigned int flags;
	struct msg *m;
	struct msg_fault *fault;
	struct place place;
	struct param_in in;
	enum tuple_place tuple;		/* what the open tuple needs next */
};

__attribute__((format(printf, 3, 4)))
static bool fail(struct parse *p, uint16_t error, const char *format, ...)
{
	va_list args;

	p->fault->error = error;
	va_start(args, format);
	vsnprintf(p->fault->text, sizeof(p->fault->text), format, args);
	va_end(args);
	return false;
}

static struct reader params_of(const uint8_t *data, size_t len)
{
	return (struct reader){ data + RSIP_HEADER_LEN, len - RSIP_HEADER_LEN, false };
}

static bool header_ok(struct parse *p)
{
	const struct grammar *g;
	uint16_t overall;
	uint8_t type;

	if (p->len < RSIP_HEADER_LEN)
		return fail(p, 0, "%zu bytes, below the %u of a header", p->len, RSIP_HEADER_LEN);
	type = p->data[1];
	overall = p->data[2] << 8 | p->data[3];
	p->fault->close = !(p->flags & MSG_UDP);
	if (p->data[0] != RSIP_VERSION)
		return fail(p, RSIP_E_UNSUPPORTED_RSIP_VERSION, "version %u, not %u", p->data[0], RSIP_VERSION);
	/* Before any other answer: two gateways must not talk errors to each other (E-01). */
	if (type == RSIP_ERROR_RESPONSE && p->role == MSG_AT_GATEWAY)
		return fail(p, 0, "ERROR_RESPONSE sent to a gateway");
	if (p->flags & MSG_UDP && p->flags & MSG_REFUSE_UDP)
		return fail(p, RSIP_E_USE_TCP, "UDP, but TCP only is served");
	if (overall != p->len)
		return fail(p, RSIP_E_BAD_MESSAGE, "overall length %u in %zu bytes", overall, p->len);
	p->fault->close = false;
	g = grammar_of(type);
	if (!g)
		return fail(p, RSIP_E_ILLEGAL_MESSAGE, "message type %u", type);
	if (is_response(type) != (p->role == MSG_AT_HOST))
		return fail(p, 0, "%s sent to a %s", g->name, p->role == MSG_AT_HOST ? "host" : "gateway");
	if (p->flags & g->off && p->role == MSG_AT_GATEWAY)
		return fail(p, RSIP_E_UNSUPPORTED_MESSAGE, "%s is off", g->name);
	p->place.grammar = g;
	p->place.loose = p->role == MSG_AT_HOST && g->loose;
	p->in.message = p->m->type = type;
	return true;
}

static bool framing_ok(struct parse *p)
{
	struct reader r = params_of(p->data, p->len);
	struct tlv t = { 0 };
	size_t left;

	do {
		left = r.left;
	} while (tlv_next(&r, &t));
	if (!r.failed)
		return true;
	if (left < RSIP_PARAM_HEADER_LEN)
		return fail(p, RSIP_E_BAD_MESSAGE, "%zu bytes where a parameter should be", left);
	return fail(p, RSIP_E_BAD_MESSAGE, "parameter %u of %u bytes with %zu left", t.type, t.len,
		    left - RSIP_PARAM_HEADER_LEN);
}

/* A parameter stands where `wanted` should: is that one missing, or only elsewhere? */
static bool out_of_order(struct parse *p, enum slot wanted, uint8_t param)
{
	const struct slot_info *info = &slot_infos[wanted];
	struct reader r = params_of(p->data, p->len);
	unsigned int there = 0, needed = 0;
	struct tlv t;

	while (tlv_next(&r, &t))
		there += t.type == info->param;
	for (unsigned int i = 0; i < REQUIRED_MAX; i++)
		needed += slot_infos[p->place.grammar->required[i]].param == info->param;
	return fail(p, there < needed ? RSIP_E_MISSING_PARAM : RSIP_E_BAD_MESSAGE, "parameter %u before %s, which is %s",
		    param, info->name, there < needed ? "missing" : "behind");
}

/* A parameter stands inside a tuple, whose rest follows at `r` or does not. */
static bool tuple_cut(struct parse *p, struct reader r, uint8_t param)
{
	struct tlv t;

	while (param != RSIP_PARAM_INDICATOR && tlv_next(&r, &t) && t.type != RSIP_PARAM_INDICATOR) {
		if (t.type == RSIP_PARAM_ADDRESS)
			return fail(p, RSIP_E_BAD_MESSAGE, "parameter %u inside a tuple", param);
	}
	return fail(p, RSIP_E_MISSING_PARAM, "parameter %u inside a tuple without its Address", param);
}

static void keep_order(struct parse *p, uint8_t param)
{
	if (p->m->order_count < MSG_ORDER_MAX)
		p->m->order[p->m->order_count++] = param;
}

/* An Address in a message that has tuples. */
static bool read_tuple_addr(struct parse *p, const struct tlv *t)
{
	struct msg_addr addr;

	if (!param_read_tuple_addr(p->tuple, t, &p->in, &addr))
		return fail(p, RSIP_E_BAD_PARAM, "%s", p->in.why);
	if (p->tuple == TUPLE_NONE)
		return fail(p, RSIP_E_MISSING_PARAM, "Address without Indicator");
	p->tuple = p->tuple == TUPLE_NETWORK ? TUPLE_MASK : TUPLE_NONE;
	if (p->tuple == TUPLE_NONE)
		p->m->tuples_len = t->value + t->len - p->m->tuples;
	return true;
}

static bool read_indicator(struct parse *p, const struct tlv *t, struct reader rest)
{
	enum slot wanted = place_wanted(&p->place, SLOT_TUPLES);
	uint16_t indicator;

	if (!param_read_indicator(t, &p->in, &indicator))
		return fail(p, RSIP_E_BAD_PARAM, "%s", p->in.why);
	if (p->tuple != TUPLE_NONE)
		return tuple_cut(p, rest, t->type);
	if (wanted != SLOT_NONE)
		return out_of_order(p, wanted, t->type);
	p->tuple = indicator % 2 ? TUPLE_ADDRESS : TUPLE_NETWORK;
	if (!p->m->tuples) {
		p->m->tuples = t->value - RSIP_PARAM_HEADER_LEN;
		p->m->has |= MSG_HAS_TUPLES;
		keep_order(p, t->type);
	}
	return true;
}

/* One parameter, left to right: 204, 203, 202, 205, then 207 or 201 (E-02). */
static bool param_ok(struct parse *p, const struct tlv *t, struct reader rest)
{
	bool has_tuples = p->m->type == RSIP_QUERY_REQUEST || p->m->type == RSIP_QUERY_RESPONSE;
	unsigned int held;
	uint16_t error;
	enum slot slot;

	if (!knows_param(t->type))
		return p->role == MSG_AT_HOST || fail(p, RSIP_E_ILLEGAL_PARAM, "parameter %u", t->type); /* */
	if (has_tuples && t->type == RSIP_PARAM_ADDRESS)
		return read_tuple_addr(p, t);
	slot = place_slot(&p->place, t->type, &error);
	if (slot == SLOT_NONE)
		return fail(p, error, "parameter %u %s in %s", t->type,
			    error == RSIP_E_EXTRA_PARAM ? "has no place" : "once more", p->place.grammar->name);
	if (slot == SLOT_TUPLES)
		return read_indicator(p, t, rest);
	held = param_count(slot, p->m);
	if (!param_read(slot, t, &p->in, p->m))
		return fail(p, RSIP_E_BAD_PARAM, "%s", p->in.why);
	if (p->tuple != TUPLE_NONE)
		return tuple_cut(p, rest, t->type);
	if (!place_take(&p->place, slot))
		return out_of_order(p, place_wanted(&p->place, slot), t->type);
	p->m->has |= slot_infos[slot].has;
	if (param_count(slot, p->m) > held)
		keep_order(p, t->type);
	return true;
}

static bool params_ok(struct parse *p)
{
	struct reader r = params_of(p->data, p->len);
	struct tlv t;

	while (tlv_next(&r, &t)) {
		if (!param_ok(p, &t, r))
			return false;
	}
	if (p->tuple != TUPLE_NONE)
		return fail(p, RSIP_E_MISSING_PARAM, "the last tuple is not complete");
	if (!place_complete(&p->place))
		return fail(p, RSIP_E_MISSING_PARAM, "%s is missing",
			    slot_infos[place_wanted(&p->place, SLOT_NONE)].name);
	if (p->flags & MSG_UDP && !(p->m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER)))
		return fail(p, RSIP_E_MESSAGE_COUNTER_REQUIRED, "no Message Counter over UDP");
	return true;
}

/* What can be read of a message that cannot: up to the end or the first framing fault. */
static void salvage(const struct parse *p, struct msg_fault *f)
{
	size_t overall = p->data[2] << 8 | p->data[3], len = overall < p->len ? overall : p->len;
	struct reader r, value;
	struct tlv t;

	if (len < RSIP_HEADER_LEN)
		return;
	r = params_of(p->data, len);
	while (tlv_next(&r, &t)) {
		value = (struct reader){ t.value, t.len, false };
		if (t.len != 4)
			continue;
		if (t.type == RSIP_PARAM_MESSAGE_COUNTER && !f->has_counter) {
			f->has_counter = true;
			f->counter = read_u32(&value);
		} else if (t.type == RSIP_PARAM_CLIENT_ID && !f->has_client) {
			f->has_client = true;
			f->client_id = read_u32(&value);
		} else if (t.type == RSIP_PARAM_BIND_ID && !f->has_bind) {
			f->has_bind = true;
			f->bind_id = read_u32(&value);
		}
	}
}

/* Table 1.4, "Carries": these errors go without the Client ID, and none of a parser's names a bind. */
static void trim(struct msg_fault *f)
{
	f->has_bind = false;
	f->bind_id = 0;
	if (f->error == RSIP_E_USE_TCP || f->error == RSIP_E_MESSAGE_COUNTER_REQUIRED ||
	    f->error == RSIP_E_UNSUPPORTED_RSIP_VERSION || f->error == RSIP_E_ILLEGAL_MESSAGE) {
		f->has_client = false;
		f->client_id = 0;
	}
}

bool msg_decode(const uint8_t *data, size_t len, enum msg_role role, unsigned int flags,
		struct msg *out, struct msg_fault *fault)
{
	char why[PARAM_WHY_LEN] = "";
	struct parse p = {
		.data = data, .len = len, .role = role, .flags = flags, .m = out, .fault = fault,
		.in = { .role = role, .why = why }, .tuple = TUPLE_NONE,
	};

	memset(out, 0, sizeof(*out));
	memset(fault, 0, sizeof(*fault));
	if (header_ok(&p) && framing_ok(&p) && params_ok(&p))
		return true;
	fault->type = len > 1 ? data[1] : 0;
	if (len >= RSIP_HEADER_LEN)
		salvage(&p, fault);
	if (role == MSG_AT_HOST)
		fault->error = 0;
	else
		trim(fault);
	return false;
}

int msg_frame_len(const uint8_t *data, size_t len)
{
	size_t overall;

	if (len < RSIP_HEADER_LEN)
		return 0;
	overall = data[2] << 8 | data[3];
	if (overall < RSIP_HEADER_LEN)
		return -1;
	return len < overall ? 0 : (int)overall;
}

uint32_t msg_spi_at(const struct msg_spis *spis, unsigned int i)
{
	struct reader r = { NULL, 4, false };

	if (spis->form != MSG_LIST)
		return spis->first + i;
	r.at = spis->list + 4 * (size_t)i;
	return read_u32(&r);
}

uint16_t msg_port_at(const struct msg_ports *ports, unsigned int i)
{
	return ports->form == MSG_LIST ? ports->list[i] : ports->first + i;
}

/* The next parameter of this type, over what a host may have skipped between tuples. */
static bool next_of(struct reader *r, uint8_t type, struct tlv *t)
{
	while (tlv_next(r, t)) {
		if (t->type == type)
			return true;
	}
	return false;
}

bool msg_tuple_next(const uint8_t **at, size_t *left, struct msg_tuple *out)
{
	char why[PARAM_WHY_LEN];
	const struct param_in in = { .message = RSIP_QUERY_RESPONSE, .role = MSG_AT_HOST, .why = why };
	struct reader r = { *at, *left, false };
	struct msg_addr mask = { 0 };
	struct msg_tuple tuple;
	struct tlv t;
	bool network;

	if (!next_of(&r, RSIP_PARAM_INDICATOR, &t) || !param_read_indicator(&t, &in, &tuple.indicator))
		return false;
	network = tuple.indicator % 2 == 0;
	if (!next_of(&r, RSIP_PARAM_ADDRESS, &t) ||
	    !param_read_tuple_addr(network ? TUPLE_NETWORK : TUPLE_ADDRESS, &t, &in, &tuple.addr))
		return false;
	if (network && (!next_of(&r, RSIP_PARAM_ADDRESS, &t) || !param_read_tuple_addr(TUPLE_MASK, &t, &in, &mask)))
		return false;
	tuple.mask = mask.v4;
	*at = r.at;
	*left = r.left;
	*out = tuple;
	return true;
}

/* --- writing -------------------------------------------------------------------- */

struct sequence {		/* what stands in a message, in order */
	uint8_t slot[MSG_ORDER_MAX], index[MSG_ORDER_MAX];
	unsigned int count;
};

static bool sequence_add(struct sequence *s, enum slot slot, unsigned int index)
{
	if (s->count == MSG_ORDER_MAX)
		return false;
	s->slot[s->count] = slot;
	s->index[s->count++] = index;
	return true;
}

static bool sequence_all(struct sequence *s, enum slot slot, const struct msg *m)
{
	unsigned int count = param_count(slot, m);

	for (unsigned int i = 0; i < count; i++) {
		if (!sequence_add(s, slot, i))
			return false;
	}
	return true;
}

/* The order of the grammar, for messages made here. */
static bool sequence_grammar(struct sequence *s, const struct grammar *g, const struct msg *m)
{
	for (unsigned int i = 0; i < REQUIRED_MAX && g->required[i]; i++) {
		if (!sequence_all(s, g->required[i], m))
			return false;
	}
	for (unsigned int i = 0; i < OPTIONAL_MAX && g->optional[i]; i++) {
		if (!sequence_all(s, g->optional[i], m))
			return false;
	}
	return sequence_all(s, SLOT_VENDOR, m);
}

/* The order in which they stood, for messages that were read. */
static bool sequence_order(struct sequence *s, const struct grammar *g, const struct msg *m)
{
	struct place place = { .grammar = g };
	uint8_t values[SLOT_COUNT] = { 0 };
	uint16_t error;
	enum slot slot;

	if (m->order_count > MSG_ORDER_MAX)
		return false;
	for (unsigned int i = 0; i < m->order_count; i++) {
		if (m->order[i] >= PARAMS)
			return false;
		slot = place_slot(&place, m->order[i], &error);
		if (slot == SLOT_NONE || values[slot] >= param_count(slot, m))
			return false;
		sequence_add(s, slot, values[slot]++);
	}
	return true;
}

static bool sequence_of(struct sequence *s, const struct grammar *g, const struct msg *m)
{
	s->count = 0;
	if (m->tunnel_count > MSG_REPEAT_MAX || m->method_count > MSG_REPEAT_MAX || m->vendor_count > MSG_REPEAT_MAX)
		return false;
	return m->order_count ? sequence_order(s, g, m) : sequence_grammar(s, g, m);
}

/* Nothing is sent that we would not take ourselves. */
static bool valid(const uint8_t *data, size_t len)
{
	struct msg_fault fault;
	struct msg m;

	return msg_decode(data, len, is_response(data[1]) ? MSG_AT_HOST : MSG_AT_GATEWAY, 0, &m, &fault);
}

size_t msg_encode(const struct msg *m, uint8_t *out, size_t capacity)
{
	struct writer w = { .data = out, .capacity = capacity < RSIP_MESSAGE_MAX ? capacity : RSIP_MESSAGE_MAX };
	const struct grammar *g = grammar_of(m->type);
	struct place place = { .grammar = g };
	struct sequence s;

	if (!g || !sequence_of(&s, g, m))
		return 0;
	write_u8(&w, RSIP_VERSION);
	write_u8(&w, m->type);
	write_u16(&w, 0);
	for (unsigned int i = 0; i < s.count; i++) {
		if (!place_take(&place, s.slot[i]))
			return 0;
		param_write(s.slot[i], s.index[i], m, &w);
	}
	write_u16_at(&w, 2, w.len);
	if (w.failed || !place_complete(&place) || !valid(out, w.len))
		return 0;
	return w.len;
}

/* --- names ---------------------------------------------------------------------- */

const char *msg_type_name(uint8_t type)
{
	const struct grammar *g = grammar_of(type);

	return g ? g->name : "unknown";
}

const char *msg_error_name(uint16_t error)
{
	switch (error) {
#define X(code, name)		\
	case code:		\
		return #name;
		RSIP_ERRORS(X)
#undef X
	}
	return "?";
}

static const char *name_in(const char *const *names, size_t count, uint8_t value)
{
	return value < count && names[value] ? names[value] : "?";
}
#define NAME_IN(names, value) name_in(names, sizeof(names) / sizeof(names[0]), value)

const char *msg_tunnel_name(uint8_t tunnel)
{
	static const char *const names[] = {
		[RSIP_TUNNEL_IPIP] = "IP-IP", [RSIP_TUNNEL_GRE] = "GRE", [RSIP_TUNNEL_L2TP] = "L2TP",
	};

	return NAME_IN(names, tunnel);
}

const char *msg_method_name(uint8_t method)
{
	static const char *const names[] = {
		[RSIP_METHOD_RSA] = "RSA-IP", [RSIP_METHOD_RSAP] = "RSAP-IP", [RSIP_METHOD_RSIPSEC] = "RSIPSEC",
	};

	return NAME_IN(names, method);
}

const char *msg_policy_name(uint8_t policy)
{
	static const char *const names[] = {
		[RSIP_POLICY_MACRO] = "macro", [RSIP_POLICY_MICRO] = "micro", [RSIP_POLICY_NONE] = "none",
	};

	return NAME_IN(names, policy);
}

uint8_t msg_response_of(uint8_t type)
{
	return grammar_of(type) && !is_response(type) ? type + 1 : 0;
}

const char *msg_text(const struct msg *m, char *out, size_t capacity)
{
	struct writer w = { .data = (uint8_t *)out, .capacity = capacity };
	const struct grammar *g = grammar_of(m->type);
	struct sequence s = { .count = 0 };

	if (capacity)
		out[0] = '\0';
	text_add(&w, "%s(", msg_type_name(m->type));
	if (g)
		sequence_of(&s, g, m);
	for (unsigned int i = 0; i < s.count; i++) {
		if (i)
			text_add(&w, " ");
		param_text(s.slot[i], s.index[i], m, &w);
	}
	text_add(&w, ")");
	return out;
}
