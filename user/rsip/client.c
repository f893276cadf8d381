// SPDX-License-Identifier: GPL-2.0-only
/*
 * See client.h. There is no queue of requests: what to send next follows from
 * what is known and what is wanted (next_request()), so that an answer, a lost
 * registration or a new wish can come in any order.
 */
#include "rsip/client.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define MS_PER_S	1000u
#define US_PER_MS	1000u
#define BACKOFF_FIRST_MS 1000u
#define BACKOFF_LAST_MS	60000u
#define NEVER		UINT64_MAX

/* The request in flight, its bytes kept for repeats (T-16). */
struct pending {
	uint8_t type;			/* 0: none */
	uint32_t bind_id;		/* EXTEND, FREE */
	bool named;			/* ASSIGN: asked for an address by name */
	uint64_t start_us;		/* first sending: leases count from here (LSE-10) */
	uint32_t sends;
	size_t len;
	uint8_t bytes[RSIP_MESSAGE_MAX];
};

struct client {
	const struct client_ops *ops;
	void *arg;
	uint32_t first_us, sends;
	struct pending pending;
	uint32_t counter;		/* of the request in flight, or of the next one */

	bool wanted, stopping;
	struct client_want want;
	bool unnamed;			/* the named address was refused: ask for any (HOST-11) */
	bool tcp_tried;			/* 102 was followed once (HOST-12) */
	uint64_t retry_at;		/* REGISTER and ASSIGN not before this */
	uint64_t backoff_ms;

	bool registered;
	uint32_t client_id;
	uint64_t registration_expires;
	uint8_t local_policy, remote_policy;
	uint8_t methods[MSG_REPEAT_MAX], method_count, tunnels[MSG_REPEAT_MAX], tunnel_count;

	bool has_lease;
	struct client_lease lease;
	uint64_t extend_at;

	bool forget;			/* DE-REGISTER this ID first: the gateway and we disagree */
	uint32_t forget_id;
	bool to_free;			/* a bind that cannot be used */
	uint32_t free_id;

	bool asking;			/* client_query() */
	uint8_t *tuples;
	size_t tuples_len;

	enum client_state shown;
	uint32_t sent, resent, received;
	uint16_t last_error;
};

struct client *client_new(const struct client_ops *ops, const struct client_timing *timing, void *arg)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ops = ops;
	c->arg = arg;
	c->first_us = timing && timing->first_us ? timing->first_us : RSIP_RETRY_FIRST_US;
	c->sends = timing && timing->sends ? timing->sends : RSIP_RETRY_SENDS;
	c->counter = 1;
	c->backoff_ms = BACKOFF_FIRST_MS;
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	free((void *)c->lease.spis.list);
	free(c->tuples);
	free(c);
}

/* --- state ------------------------------------------------------------------------- */

static void show_state(struct client *c)
{
	enum client_state state = c->has_lease ? CLIENT_ASSIGNED :
				  c->registered ? CLIENT_REGISTERED : CLIENT_UNREGISTERED;

	if (state == c->shown)
		return;
	c->shown = state;
	c->ops->state(state, c->arg);
}

static void end_lease(struct client *c, enum client_end why)
{
	struct client_lease lease = c->lease;

	if (!c->has_lease)
		return;
	c->has_lease = false;
	c->lease = (struct client_lease){};
	c->ops->ended(&lease, why, c->arg);
	free((void *)lease.spis.list);
	show_state(c);
}

static void end_registration(struct client *c, enum client_end why)
{
	c->registered = false;
	end_lease(c, why);
	show_state(c);
}

/* The gateway does not know us as we know ourselves: drop all, clear its side, begin anew (FAIL-06, FAIL-07). */
static void lose(struct client *c)
{
	if (!c->registered)
		return;
	c->forget = true;
	c->forget_id = c->client_id;
	c->to_free = false;
	end_registration(c, CLIENT_LOST);
}

/* The next REGISTER or ASSIGN waits, twice as long each time. Returns when. */
static uint64_t back_off(struct client *c, uint64_t now)
{
	c->retry_at = now + c->backoff_ms;
	c->backoff_ms = c->backoff_ms * 2 < BACKOFF_LAST_MS ? c->backoff_ms * 2 : BACKOFF_LAST_MS;
	return c->retry_at;
}

static void succeed(struct client *c)
{
	c->backoff_ms = BACKOFF_FIRST_MS;
	c->retry_at = 0;
}

/* --- sending ----------------------------------------------------------------------- */

/* When the next sending, or the failure, is due: first wait times 2^n - 1 after the start (T-17). */
static uint64_t due_us(const struct client *c)
{
	return c->pending.start_us + (uint64_t)c->first_us * ((1ull << c->pending.sends) - 1);
}

static uint64_t due_ms(const struct client *c)
{
	return (due_us(c) + US_PER_MS - 1) / US_PER_MS;
}

static void transmit(struct client *c)
{
	if (c->pending.sends++)
		c->resent++;
	else
		c->sent++;
	c->ops->send(c->pending.bytes, c->pending.len, c->arg);
}

/* Encodes and sends a request; always with a counter, over TCP too. */
static void request(struct client *c, struct msg *m, uint64_t now)
{
	m->has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	m->counter = c->counter;
	c->pending.len = msg_encode(m, c->pending.bytes, sizeof(c->pending.bytes));
	if (!c->pending.len)
		return;
	c->pending.type = m->type;
	c->pending.bind_id = m->bind_id;
	c->pending.start_us = now * US_PER_MS;
	c->pending.sends = 0;
	transmit(c);
}

static void request_with_ids(struct client *c, uint8_t type, uint32_t client_id, uint32_t bind_id, uint64_t now)
{
	struct msg m = { .type = type, .has = MSG_HAS(RSIP_PARAM_CLIENT_ID), .client_id = client_id };

	if (type == RSIP_EXTEND_REQUEST || type == RSIP_FREE_REQUEST) {
		m.has |= MSG_HAS(RSIP_PARAM_BIND_ID);
		m.bind_id = bind_id;
	}
	if (type == RSIP_EXTEND_REQUEST && c->want.lease) {
		m.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
		m.lease = c->want.lease;
	}
	if (type == RSIP_QUERY_REQUEST && c->tuples_len) {
		m.has |= MSG_HAS_TUPLES;
		m.tuples = c->tuples;
		m.tuples_len = c->tuples_len;
	}
	request(c, &m, now);
}

static struct msg_addr want_addr(__be32 addr)
{
	return (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = !addr, .v4 = addr };
}

/* Don't-need ports stand in both places or in none. */
static void want_ports(const struct client_want *want, struct msg *m)
{
	if (!want->ports && want->ipsec) {
		m->lports.form = m->rports.form = MSG_NOT_NEEDED;
		return;
	}
	m->lports.form = MSG_ANY;
	m->lports.count = want->ports ? want->ports : 1;
	m->rports.form = want->remote_port ? MSG_RUN : MSG_ANY;
	m->rports.count = 1;
	m->rports.first = want->remote_port;
}

static void request_assignment(struct client *c, uint64_t now)
{
	const struct client_want *want = &c->want;
	struct msg m = {
		.type = want->ipsec ? RSIP_ASSIGN_REQUEST_RSIPSEC : RSIP_ASSIGN_REQUEST_RSAP,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS_LOCAL | MSG_HAS_LPORTS | MSG_HAS_REMOTE |
		       MSG_HAS_RPORTS,
		.client_id = c->client_id,
		.local = want_addr(c->unnamed ? 0 : want->local),
		.remote = want_addr(want->remote),
	};

	want_ports(want, &m);
	if (want->ipsec) {
		m.has |= MSG_HAS(RSIP_PARAM_SPI);
		m.spis.form = MSG_ANY;
		m.spis.count = want->spis ? want->spis : 1;
	}
	if (want->lease) {
		m.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
		m.lease = want->lease;
	}
	if (want->tunnel) {
		m.has |= MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
		m.tunnels[m.tunnel_count++] = want->tunnel;
	}
	c->pending.named = !m.local.any;
	request(c, &m, now);
}

/* Sends what is to be done next. False: nothing, now. */
static bool next_request(struct client *c, uint64_t now)
{
	struct msg reg = { .type = RSIP_REGISTER_REQUEST };

	if (c->forget)
		request_with_ids(c, RSIP_DEREGISTER_REQUEST, c->forget_id, 0, now);
	else if (c->stopping && c->registered)
		request_with_ids(c, RSIP_DEREGISTER_REQUEST, c->client_id, 0, now);
	else if (c->stopping || !c->wanted)
		return false;
	else if (c->registered && c->to_free)
		request_with_ids(c, RSIP_FREE_REQUEST, c->client_id, c->free_id, now);
	else if (c->registered && c->asking)
		request_with_ids(c, RSIP_QUERY_REQUEST, c->client_id, 0, now);
	else if (c->has_lease && now >= c->extend_at)
		request_with_ids(c, RSIP_EXTEND_REQUEST, c->client_id, c->lease.bind_id, now);
	else if (!c->registered && now >= c->retry_at)
		request(c, &reg, now);
	else if (c->registered && !c->has_lease && now >= c->retry_at)
		request_assignment(c, now);
	return c->pending.type != 0;
}

/* --- what becomes of a request -------------------------------------------------------- */

static void stopped(struct client *c)
{
	c->stopping = false;
	c->ops->stopped(c->arg);
}

static void end_query(struct client *c, const struct msg *response)
{
	c->asking = false;
	free(c->tuples);
	c->tuples = NULL;
	c->tuples_len = 0;
	c->ops->answer(response, c->arg);
}

/* De-registered, or as good as: nobody waits for more. */
static void forgotten(struct client *c)
{
	bool was_ours = !c->forget;

	c->forget = false;
	if (was_ours)
		end_registration(c, CLIENT_RELEASED);
}

/* Half of what is left, again and again, but not every instant at the end (EXT-07, SCALE-03). */
static void plan_extension(struct client *c, uint64_t now)
{
	uint64_t left = c->lease.expires > now ? c->lease.expires - now : 0;

	c->extend_at = now + (left / 2 > MS_PER_S ? left / 2 : left > MS_PER_S ? MS_PER_S : left);
}

/* Seven sends and no answer: every state falls back to where it came from (FAIL-12). The counter is used again. */
static void time_out(struct client *c, uint64_t now)
{
	uint8_t type = c->pending.type;
	uint64_t again = 0;

	c->pending.type = 0;
	switch (type) {
	case RSIP_REGISTER_REQUEST:
	case RSIP_ASSIGN_REQUEST_RSAP:
	case RSIP_ASSIGN_REQUEST_RSIPSEC:
		again = c->stopping ? 0 : back_off(c, now);
		break;
	case RSIP_EXTEND_REQUEST:
		plan_extension(c, now);
		again = c->extend_at;
		break;
	case RSIP_FREE_REQUEST:
		c->to_free = false;
		break;
	case RSIP_DEREGISTER_REQUEST:
		forgotten(c);
		break;
	case RSIP_QUERY_REQUEST:
		end_query(c, NULL);
		break;
	}
	c->ops->failed(type, 0, again, c->arg);
}

static void take_registration(struct client *c, const struct msg *m)
{
	c->registered = true;
	c->client_id = m->client_id;
	c->registration_expires = c->pending.start_us / US_PER_MS + (uint64_t)m->lease * MS_PER_S;
	c->local_policy = m->local_policy;
	c->remote_policy = m->remote_policy;
	memcpy(c->methods, m->methods, sizeof(c->methods));
	c->method_count = m->method_count;
	memcpy(c->tunnels, m->tunnels, sizeof(c->tunnels));
	c->tunnel_count = m->tunnel_count;
	succeed(c);
	show_state(c);
}

/* Can this host use what the answer grants? */
static bool usable(const struct client *c, const struct msg *m)
{
	uint8_t tunnel = m->tunnel_count ? m->tunnels[0] : RSIP_TUNNEL_IPIP;	/* */

	if (m->local.type != RSIP_ADDR_IPV4 || m->local.any || !m->local.v4 || !m->lease)
		return false;
	if ((m->has & MSG_HAS_ENDPOINT) && m->endpoint.type != RSIP_ADDR_IPV4)
		return false;
	if (m->lports.form == MSG_ANY || (m->lports.form == MSG_NOT_NEEDED) != (c->want.ipsec && !c->want.ports))
		return false;
	if (c->want.ipsec && (m->spis.form == MSG_ANY || m->spis.count < c->want.spis))
		return false;
	if (c->want.tunnel && tunnel != c->want.tunnel)
		return false;
	return tunnel == RSIP_TUNNEL_IPIP || tunnel == RSIP_TUNNEL_GRE;
}

/* The SPI list of a message, as our own copy. False: no memory. */
static bool keep_spis(struct msg_spis *spis)
{
	uint8_t *copy;

	if (spis->form != MSG_LIST) {
		spis->list = NULL;
		return true;
	}
	copy = malloc((size_t)spis->count * sizeof(uint32_t));
	if (!copy)
		return false;
	memcpy(copy, spis->list, (size_t)spis->count * sizeof(uint32_t));
	spis->list = copy;
	return true;
}

/* R = max(R, Bi), which both sides compute (LSE-03). */
static void set_expiry(struct client *c, uint32_t seconds, uint64_t now)
{
	c->lease.expires = c->pending.start_us / US_PER_MS + (uint64_t)seconds * MS_PER_S;
	if (c->registration_expires < c->lease.expires)
		c->registration_expires = c->lease.expires;
	plan_extension(c, now);
}

/* An assignment that cannot be used goes back (FAIL-14). */
static void give_back(struct client *c, uint32_t bind_id, uint64_t now)
{
	c->to_free = true;
	c->free_id = bind_id;
	c->ops->failed(c->pending.type, 0, back_off(c, now), c->arg);
}

static void take_assignment(struct client *c, const struct msg *m, uint64_t now)
{
	struct client_lease lease = {
		.bind_id = m->bind_id,
		.local = m->local.v4,
		.endpoint = m->has & MSG_HAS_ENDPOINT ? m->endpoint.v4 : 0,
		.ports = m->lports,
		.spis = m->spis,
		.tunnel = m->tunnel_count ? m->tunnels[0] : RSIP_TUNNEL_IPIP,
	};

	if (!usable(c, m) || !keep_spis(&lease.spis)) {
		give_back(c, m->bind_id, now);
		return;
	}
	c->lease = lease;
	c->has_lease = true;
	set_expiry(c, m->lease, now);
	succeed(c);
	show_state(c);
	c->ops->granted(&c->lease, c->arg);
}

static void take_extension(struct client *c, const struct msg *m, uint64_t now)
{
	if (!c->has_lease || m->bind_id != c->lease.bind_id)
		return;
	set_expiry(c, m->lease, now);
	c->ops->extended(&c->lease, c->arg);
}

/* The bind is gone, by the gateway's will: ask anew, not at once. */
static void lose_bind(struct client *c, uint32_t bind_id, uint64_t now)
{
	if (!c->has_lease || bind_id != c->lease.bind_id)
		return;
	end_lease(c, CLIENT_TAKEN_BACK);
	back_off(c, now);
}

static void take_answer(struct client *c, const struct msg *m, uint64_t now)
{
	switch (m->type) {
	case RSIP_REGISTER_RESPONSE:
		take_registration(c, m);
		break;
	case RSIP_ASSIGN_RESPONSE_RSAP:
	case RSIP_ASSIGN_RESPONSE_RSIPSEC:
		take_assignment(c, m, now);
		break;
	case RSIP_EXTEND_RESPONSE:
		take_extension(c, m, now);
		break;
	case RSIP_FREE_RESPONSE:
		c->to_free = false;
		lose_bind(c, m->bind_id, now);	/* in place of an EXTEND_RESPONSE */
		break;
	case RSIP_DEREGISTER_RESPONSE:
		forgotten(c);
		break;
	case RSIP_QUERY_RESPONSE:
		end_query(c, m);
		break;
	}
}

/* --- errors ---------------------------------------------------------------------------- */

/* The gateway still knows us from before: clear that, then register (FAIL-02). */
static uint64_t resynchronise(struct client *c, uint32_t old_id, uint64_t now)
{
	bool again = c->backoff_ms > BACKOFF_FIRST_MS;	/* it did not help the last time */

	c->forget = true;
	c->forget_id = old_id;
	back_off(c, now);
	if (!again)
		c->retry_at = now;
	return c->retry_at;
}

/* 102: the same again over TCP, once (HOST-12). */
static uint64_t change_transport(struct client *c, uint64_t now)
{
	if (c->tcp_tried)
		return back_off(c, now);
	c->tcp_tried = true;
	c->ops->use_tcp(c->arg);
	return c->retry_at = now;
}

static uint64_t refused_registration(struct client *c, const struct msg *m, uint64_t now)
{
	if (m->error == RSIP_E_ALREADY_REGISTERED && m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID))
		return resynchronise(c, m->client_id, now);
	if (m->error == RSIP_E_USE_TCP)
		return change_transport(c, now);
	return back_off(c, now);
}

/* HOST-11: what was asked for by name is asked for again without; what is short is waited for. */
static uint64_t refused_assignment(struct client *c, const struct msg *m, uint64_t now)
{
	if ((m->error == RSIP_E_LOCAL_ADDRPORT_INUSE || m->error == RSIP_E_IPSEC_SPI_INUSE) && c->pending.named) {
		c->unnamed = true;
		return c->retry_at = now;
	}
	return back_off(c, now);
}

static void take_error(struct client *c, const struct msg *m, uint64_t now)
{
	uint8_t type = c->pending.type;
	uint64_t again = 0;

	switch (type) {
	case RSIP_DEREGISTER_REQUEST:
		/* 301, 303, 305: unregistered; any other: there is no better way to ask */
		forgotten(c);
		break;
	case RSIP_REGISTER_REQUEST:
		again = refused_registration(c, m, now);
		break;
	case RSIP_ASSIGN_REQUEST_RSAP:
	case RSIP_ASSIGN_REQUEST_RSIPSEC:
		again = refused_assignment(c, m, now);
		break;
	case RSIP_EXTEND_REQUEST:
		if (m->error == RSIP_E_BAD_BIND_ID)
			lose_bind(c, c->pending.bind_id, now);
		else
			plan_extension(c, now);
		again = c->has_lease ? c->extend_at : c->retry_at;
		break;
	case RSIP_FREE_REQUEST:
		c->to_free = false;
		break;
	case RSIP_QUERY_REQUEST:
		end_query(c, NULL);
		break;
	}
	if (m->error == RSIP_E_REGISTER_FIRST || m->error == RSIP_E_ALREADY_UNREGISTERED ||
	    m->error == RSIP_E_BAD_CLIENT_ID) {
		lose(c);
		again = c->retry_at = now;
	}
	c->ops->failed(type, m->error, c->stopping ? 0 : again, c->arg);
}

/* --- input ------------------------------------------------------------------------------- */

/* Counter 0: the gateway speaks for itself (ASY-01); what we wait for is still to come (ASY-02). */
static void take_asynchronous(struct client *c, const struct msg *m, uint64_t now)
{
	if (!c->registered || !(m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID)) || m->client_id != c->client_id)
		return;
	switch (m->type) {
	case RSIP_DEREGISTER_RESPONSE:
		end_registration(c, CLIENT_TAKEN_BACK);
		back_off(c, now);
		break;
	case RSIP_FREE_RESPONSE:
		lose_bind(c, m->bind_id, now);
		break;
	case RSIP_ERROR_RESPONSE:
		c->last_error = m->error;
		c->ops->failed(RSIP_ERROR_RESPONSE, m->error, 0, c->arg);
		break;
	}
}

/* Is it what the pending request waits for? FREE_RESPONSE may stand in for EXTEND_RESPONSE. */
static bool answers(const struct client *c, const struct msg *m)
{
	uint8_t type = c->pending.type;

	if (!type)
		return false;
	if (m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER) && m->counter != c->counter)
		return false;
	if (m->type == RSIP_ERROR_RESPONSE)
		return m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	if (m->type != msg_response_of(type) && !(type == RSIP_EXTEND_REQUEST && m->type == RSIP_FREE_RESPONSE))
		return false;
	if (m->type == RSIP_REGISTER_RESPONSE)
		return true;
	return m->client_id == (type == RSIP_DEREGISTER_REQUEST && c->forget ? c->forget_id : c->client_id);
}

/* The pending request is over: the next one has the next counter, never 0 (T-15). */
static void advance(struct client *c)
{
	c->counter = c->counter == UINT32_MAX ? 1 : c->counter + 1;
}

/* A message that is none: only an assignment that can still be named is answered (A-21, W-31). */
static void take_faulty(struct client *c, const struct msg_fault *fault, uint64_t now)
{
	if (!c->pending.type || fault->type != msg_response_of(c->pending.type) ||
	    (c->pending.type != RSIP_ASSIGN_REQUEST_RSAP && c->pending.type != RSIP_ASSIGN_REQUEST_RSIPSEC))
		return;
	if (!fault->has_client || !fault->has_bind || fault->client_id != c->client_id ||
	    !fault->has_counter || fault->counter != c->counter)
		return;
	give_back(c, fault->bind_id, now);
	c->pending.type = 0;
	advance(c);
}

void client_input(struct client *c, const uint8_t *data, size_t len, uint64_t now)
{
	struct msg_fault fault;
	struct msg m;

	c->received++;
	if (!msg_decode(data, len, MSG_AT_HOST, 0, &m, &fault)) {
		take_faulty(c, &fault, now);
		return;
	}
	if (m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER) && m.counter == 0) {
		take_asynchronous(c, &m, now);
		return;
	}
	if (!answers(c, &m)) {
		if (!(m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER)))
			take_asynchronous(c, &m, now);
		return;
	}
	if (m.type == RSIP_ERROR_RESPONSE) {
		c->last_error = m.error;
		take_error(c, &m, now);
	} else {
		take_answer(c, &m, now);
	}
	c->pending.type = 0;
	advance(c);
}

/* --- the outside -------------------------------------------------------------------------- */

void client_start(struct client *c, const struct client_want *want, uint64_t now)
{
	c->want = *want;
	c->wanted = true;
	c->unnamed = false;
	c->stopping = false;
	client_run(c, now);
}

void client_stop(struct client *c, uint64_t now)
{
	c->wanted = false;
	c->stopping = true;
	/* a REGISTER_REQUEST must end first: its answer has the ID to de-register */
	if (c->pending.type && c->pending.type != RSIP_REGISTER_REQUEST)
		c->pending.type = 0;
	client_run(c, now);
}

bool client_query(struct client *c, const struct msg_tuple *tuples, size_t count, uint64_t now)
{
	size_t capacity = RSIP_MESSAGE_MAX - 64, len = 0, written;
	uint8_t *bytes;

	if (!c->registered || c->asking || !(bytes = malloc(capacity)))
		return false;
	for (size_t i = 0; i < count; i++) {
		written = msg_tuple_write(&tuples[i], bytes + len, capacity - len);
		if (!written) {
			free(bytes);
			return false;
		}
		len += written;
	}
	c->asking = true;
	c->tuples = bytes;
	c->tuples_len = len;
	client_run(c, now);
	return true;
}

void client_reconnected(struct client *c, uint64_t now)
{
	if (!c->pending.type)
		return;
	c->pending.start_us = now * US_PER_MS;
	c->pending.sends = 0;
	transmit(c);
}

/* What runs out by itself. */
static void expire(struct client *c, uint64_t now)
{
	if (c->has_lease && now >= c->lease.expires)
		end_lease(c, CLIENT_EXPIRED);
	if (c->registered && now >= c->registration_expires)
		end_registration(c, CLIENT_EXPIRED);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The next moment at which client_run() has something to do. */
static uint64_t next_due(const struct client *c, uint64_t now)
{
	uint64_t due = NEVER;

	if (c->registered)
		due = earlier(due, c->registration_expires);
	if (c->has_lease)
		due = earlier(due, c->lease.expires);
	if (c->pending.type)
		return earlier(due, due_ms(c));
	if (c->wanted && c->has_lease)
		due = earlier(due, c->extend_at);
	if (c->wanted && !c->has_lease)
		due = earlier(due, c->retry_at);
	return due == NEVER ? 0 : due > now ? due : now + 1;
}

uint64_t client_run(struct client *c, uint64_t now)
{
	expire(c, now);
	while (c->pending.type && now * US_PER_MS >= due_us(c)) {
		if (c->pending.sends < c->sends)
			transmit(c);
		else
			time_out(c, now);
	}
	if (!c->pending.type && !next_request(c, now) && c->stopping && !c->registered)
		stopped(c);
	return next_due(c, now);
}

void client_status(const struct client *c, struct client_status *out)
{
	*out = (struct client_status){
		.state = c->shown,
		.pending = c->pending.type ? msg_type_name(c->pending.type) : NULL,
		.registered = c->registered,
		.client_id = c->client_id,
		.registration_expires = c->registration_expires,
		.local_policy = c->local_policy,
		.remote_policy = c->remote_policy,
		.method_count = c->method_count,
		.tunnel_count = c->tunnel_count,
		.lease = c->has_lease ? &c->lease : NULL,
		.sent = c->sent,
		.resent = c->resent,
		.received = c->received,
		.last_error = c->last_error,
	};
	memcpy(out->methods, c->methods, sizeof(out->methods));
	memcpy(out->tunnels, c->tunnels, sizeof(out->tunnels));
}
