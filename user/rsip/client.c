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
#define EXTEND_LAST_MS	200u	/* nearer to its end a lease is not extended any more */
#define CHECK_MS	60000u	/* reports of violations lead to one check in this time */
#define STALE_MS	5000u	/* older than this, a REGISTER_REQUEST is no duplicate (T-37) */
#define QUERY_TUPLES_MAX 65400u	/* fits a datagram with the rest of the message */
#define NEVER		UINT64_MAX

struct request {
	uint8_t type;			/* 0: none */
	uint32_t client_id, bind_id;	/* those of the request, or 0 */
	bool named;			/* ASSIGN: asked for an address or ports by name */
	uint64_t first_ms;		/* first sending of these bytes: leases count from here (LSE-10) */
};

/* The request in flight, its bytes kept for repeats (T-16). */
struct pending {
	struct request is;
	uint32_t sends;
	uint64_t due_us, wait_us;	/* next sending, or failure */
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
	bool started_over;		/* since the last grant, because the gateway and we disagreed */
	bool last_try;			/* a DE-REGISTER_REQUEST of client_stop() was refused */
	uint64_t retry_at;		/* REGISTER and ASSIGN not before this */
	uint64_t backoff_ms;
	uint64_t check_at;		/* violations are not looked into before this (ASY-08) */

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

static void end_query(struct client *c, const struct msg *response)
{
	if (!c->asking)
		return;
	c->asking = false;
	free(c->tuples);
	c->tuples = NULL;
	c->tuples_len = 0;
	c->ops->answer(response, c->arg);
}

static void end_registration(struct client *c, enum client_end why)
{
	c->registered = false;
	c->to_free = false;
	end_lease(c, why);
	end_query(c, NULL);
	show_state(c);
}

/* The next REGISTER or ASSIGN waits, twice as long each time. Returns when. */
static uint64_t back_off(struct client *c, uint64_t now)
{
	c->retry_at = now + c->backoff_ms;
	c->backoff_ms = c->backoff_ms * 2 < BACKOFF_LAST_MS ? c->backoff_ms * 2 : BACKOFF_LAST_MS;
	return c->retry_at;
}

static void reset_backoff(struct client *c)
{
	c->backoff_ms = BACKOFF_FIRST_MS;
	c->retry_at = 0;
}

/* The gateway knows this ID, or did: clear its side, then register. At once, but no second time without a lease between. */
static uint64_t start_over(struct client *c, uint32_t old_id, uint64_t now)
{
	c->forget = true;
	c->forget_id = old_id;
	if (c->started_over)
		return back_off(c, now);
	c->started_over = true;
	return c->retry_at = now;
}

/* The gateway does not know us as we know ourselves: drop all and begin anew (FAIL-06, FAIL-07). Returns when. */
static uint64_t lose(struct client *c, uint64_t now)
{
	if (!c->registered)
		return c->retry_at;
	end_registration(c, CLIENT_LOST);
	return start_over(c, c->client_id, now);
}

/* --- sending ----------------------------------------------------------------------- */

static uint64_t due_ms(const struct client *c)
{
	return (c->pending.due_us + US_PER_MS - 1) / US_PER_MS;
}

static void transmit(struct client *c, uint64_t now)
{
	if (c->pending.sends++)
		c->resent++;
	else
		c->sent++;
	c->pending.due_us = now * US_PER_MS + c->pending.wait_us;
	c->pending.wait_us *= 2;
	c->ops->send(c->pending.bytes, c->pending.len, c->arg);
}

static void begin_schedule(struct client *c, uint64_t now)
{
	c->pending.sends = 0;
	c->pending.wait_us = c->first_us;
	transmit(c, now);
}

/*
 * Sends a request; always with a counter, over TCP too. The counter of
 * one that got no answer is used again: the same bytes may have been
 * answered long ago, and their lease counts from then.
 */
static void request(struct client *c, struct msg *m, uint64_t now)
{
	struct pending *p = &c->pending;
	uint8_t bytes[RSIP_MESSAGE_MAX];
	uint64_t first = now;
	size_t len;

	m->has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	m->counter = c->counter;
	len = msg_encode(m, bytes, sizeof(bytes));
	if (len == p->len && !memcmp(bytes, p->bytes, len))
		first = p->is.first_ms;
	if (m->type == RSIP_REGISTER_REQUEST && first + STALE_MS < now)
		first = now - STALE_MS;
	p->is = (struct request){
		.type = m->type,
		.client_id = m->client_id,
		.bind_id = m->bind_id,
		.named = (m->has & MSG_HAS_LOCAL && !m->local.any) ||
			 (m->has & MSG_HAS_LPORTS && m->lports.form == MSG_RUN),
		.first_ms = first,
	};
	memcpy(p->bytes, bytes, len);
	p->len = len;
	begin_schedule(c, now);
}

/* The request in flight got its answer: the next one has the next counter, never 0 (T-15). */
static struct request settle(struct client *c)
{
	struct request was = c->pending.is;

	c->pending.is.type = 0;
	c->counter = c->counter == UINT32_MAX ? 1 : c->counter + 1;
	return was;
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
static void want_ports(const struct client_want *want, bool named, struct msg *m)
{
	if (!want->ports && want->ipsec) {
		m->lports.form = m->rports.form = MSG_NOT_NEEDED;
		return;
	}
	m->lports.form = want->first_port && named ? MSG_RUN : MSG_ANY;
	m->lports.first = want->first_port;
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

	want_ports(want, !c->unnamed, &m);
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
	request(c, &m, now);
}

/* Sends what is to be done next. False: nothing, now. */
static bool next_request(struct client *c, uint64_t now)
{
	struct msg reg = { .type = RSIP_REGISTER_REQUEST };
	bool may = now >= c->retry_at;

	if (c->forget)
		request_with_ids(c, RSIP_DEREGISTER_REQUEST, c->forget_id, 0, now);
	else if (c->stopping && c->registered && may)
		request_with_ids(c, RSIP_DEREGISTER_REQUEST, c->client_id, 0, now);
	else if (c->stopping || !c->wanted)
		return false;
	else if (c->registered && c->to_free)
		request_with_ids(c, RSIP_FREE_REQUEST, c->client_id, c->free_id, now);
	else if (c->registered && c->asking)
		request_with_ids(c, RSIP_QUERY_REQUEST, c->client_id, 0, now);
	else if (c->has_lease && now >= c->extend_at)
		request_with_ids(c, RSIP_EXTEND_REQUEST, c->client_id, c->lease.bind_id, now);
	else if (!c->registered && may)
		request(c, &reg, now);
	else if (c->registered && !c->has_lease && may)
		request_assignment(c, now);
	return c->pending.is.type != 0;
}

/* --- what becomes of a request -------------------------------------------------------- */

static bool is_assign_request(uint8_t type)
{
	return type == RSIP_ASSIGN_REQUEST_RSAP || type == RSIP_ASSIGN_REQUEST_RSIPSEC;
}

static bool is_assign_response(uint8_t type)
{
	return type == RSIP_ASSIGN_RESPONSE_RSA || type == RSIP_ASSIGN_RESPONSE_RSAP ||
	       type == RSIP_LISTEN_RESPONSE || type == RSIP_ASSIGN_RESPONSE_RSIPSEC;
}

static void fail(struct client *c, uint8_t type, uint16_t error, uint64_t again)
{
	c->ops->failed(type, error, c->stopping ? 0 : again, c->arg);
}

/* De-registered, or as good as. */
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

	c->extend_at = now + (left / 2 > EXTEND_LAST_MS ? left / 2 : left);
}

/* No answer to all sendings: every state falls back to where it came from (FAIL-12). */
static void time_out(struct client *c, uint64_t now)
{
	uint8_t type = c->pending.is.type;
	uint64_t again = 0;

	c->pending.is.type = 0;
	switch (type) {
	case RSIP_REGISTER_REQUEST:
	case RSIP_ASSIGN_REQUEST_RSAP:
	case RSIP_ASSIGN_REQUEST_RSIPSEC:
		again = back_off(c, now);
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
	fail(c, type, 0, again);
}

static void take_registration(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	if (!m->lease) {
		fail(c, was->type, 0, back_off(c, now));
		return;
	}
	c->registered = true;
	c->client_id = m->client_id;
	c->registration_expires = was->first_ms + (uint64_t)m->lease * MS_PER_S;
	c->local_policy = m->local_policy;
	c->remote_policy = m->remote_policy;
	memcpy(c->methods, m->methods, sizeof(c->methods));
	c->method_count = m->method_count;
	memcpy(c->tunnels, m->tunnels, sizeof(c->tunnels));
	c->tunnel_count = m->tunnel_count;
	if (!c->started_over)
		reset_backoff(c);
	c->retry_at = 0;
	show_state(c);
}

/* 1-255 are reserved (RFC 4303 2.1): no stack takes them. */
static bool spis_usable(const struct client_want *want, const struct msg_spis *spis)
{
	if (spis->form == MSG_ANY || spis->count < want->spis)
		return false;
	for (unsigned int i = 0; i < spis->count; i++) {
		if (msg_spi_at(spis, i) < RSIP_SPI_FIRST)
			return false;
	}
	return true;
}

/* Can this host use what the answer grants, and is it what was asked for? */
static bool usable(const struct client *c, const struct request *was, const struct msg *m)
{
	const struct client_want *want = &c->want;
	uint8_t tunnel = m->tunnel_count ? m->tunnels[0] : RSIP_TUNNEL_IPIP;	/* */
	bool no_ports = want->ipsec && !want->ports;

	if (m->local.type != RSIP_ADDR_IPV4 || m->local.any || !m->lease)
		return false;
	if (was->named && want->local && m->local.v4 != want->local)
		return false;
	if (m->has & MSG_HAS_ENDPOINT && m->endpoint.type != RSIP_ADDR_IPV4)
		return false;
	if (no_ports ? m->lports.form != MSG_NOT_NEEDED :
		       m->lports.form == MSG_NOT_NEEDED || m->lports.form == MSG_ANY || m->lports.count < want->ports)
		return false;
	if (want->ipsec && !spis_usable(want, &m->spis))
		return false;
	if (want->tunnel && tunnel != want->tunnel)
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
static void set_expiry(struct client *c, const struct request *was, uint32_t seconds, uint64_t now)
{
	c->lease.expires = was->first_ms + (uint64_t)seconds * MS_PER_S;
	if (c->registration_expires < c->lease.expires)
		c->registration_expires = c->lease.expires;
	plan_extension(c, now);
}

/* An assignment that cannot be used goes back (FAIL-14). */
static void give_back(struct client *c, const struct request *was, uint32_t bind_id, uint64_t now)
{
	c->to_free = true;
	c->free_id = bind_id;
	fail(c, was->type, 0, back_off(c, now));
}

static void take_assignment(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	struct client_lease lease = {
		.bind_id = m->bind_id,
		.local = m->local.v4,
		.endpoint = m->has & MSG_HAS_ENDPOINT ? m->endpoint.v4 : 0,
		.ports = m->lports,
		.spis = m->spis,
		.tunnel = m->tunnel_count ? m->tunnels[0] : RSIP_TUNNEL_IPIP,
	};

	/* Given to a sending so old that it may have run out since: asked for anew, with the next counter. */
	if (was->first_ms + (uint64_t)m->lease * MS_PER_S <= now && m->lease) {
		c->to_free = true;
		c->free_id = m->bind_id;
		return;
	}
	if (!usable(c, was, m) || !keep_spis(&lease.spis)) {
		give_back(c, was, m->bind_id, now);
		return;
	}
	c->lease = lease;
	c->has_lease = true;
	c->started_over = false;
	set_expiry(c, was, m->lease, now);
	reset_backoff(c);
	show_state(c);
	c->ops->granted(&c->lease, c->arg);
}

static void take_extension(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	if (!c->has_lease || m->bind_id != c->lease.bind_id) {
		c->to_free = true;	/* we let it run out meanwhile */
		c->free_id = m->bind_id;
		return;
	}
	set_expiry(c, was, m->lease, now);
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
	struct request was = settle(c);

	/* The registration ended while this was on its way. */
	if (!c->registered && m->type != RSIP_REGISTER_RESPONSE && m->type != RSIP_DEREGISTER_RESPONSE)
		return;
	switch (m->type) {
	case RSIP_REGISTER_RESPONSE:
		take_registration(c, &was, m, now);
		break;
	case RSIP_ASSIGN_RESPONSE_RSAP:
	case RSIP_ASSIGN_RESPONSE_RSIPSEC:
		take_assignment(c, &was, m, now);
		break;
	case RSIP_EXTEND_RESPONSE:
		take_extension(c, &was, m, now);
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

/* The gateway knows no such registration: 301, and what other gateways may send for it. */
static bool means_unregistered(uint16_t error)
{
	return error == RSIP_E_REGISTER_FIRST || error == RSIP_E_ALREADY_UNREGISTERED || error == RSIP_E_BAD_CLIENT_ID;
}

/* any other error leaves us registered; once more, then it has to do. */
static uint64_t refused_deregistration(struct client *c, uint16_t error, uint64_t now)
{
	if (c->forget || c->last_try || means_unregistered(error)) {
		forgotten(c);
		return 0;
	}
	c->last_try = true;
	return c->retry_at = now + BACKOFF_FIRST_MS;
}

static uint64_t refused_registration(struct client *c, const struct msg *m, uint64_t now)
{
	if (m->error == RSIP_E_ALREADY_REGISTERED && m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID))
		return start_over(c, m->client_id, now);	/* FAIL-02 */
	return back_off(c, now);
}

/* HOST-11: what was asked for by name is asked for again without; what is short is waited for. */
static uint64_t refused_assignment(struct client *c, const struct request *was, uint16_t error, uint64_t now)
{
	if ((error == RSIP_E_LOCAL_ADDRPORT_INUSE || error == RSIP_E_IPSEC_SPI_INUSE) && was->named) {
		c->unnamed = true;
		return c->retry_at = now;
	}
	return back_off(c, now);
}

static uint64_t refused_extension(struct client *c, const struct request *was, uint16_t error, uint64_t now)
{
	if (error == RSIP_E_BAD_BIND_ID)
		lose_bind(c, was->bind_id, now);
	else if (c->has_lease)
		plan_extension(c, now);
	return c->has_lease ? c->extend_at : c->retry_at;
}

/* What an error means for what was asked. Returns when that is tried again, 0: not at all. */
static uint64_t refused(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	if (m->error == RSIP_E_USE_TCP && !c->tcp_tried) {
		c->tcp_tried = true;
		c->ops->use_tcp(c->arg);	/* HOST-12: the same goes out again */
		return now;
	}
	if (was->type == RSIP_DEREGISTER_REQUEST)
		return refused_deregistration(c, m->error, now);
	if (was->type == RSIP_QUERY_REQUEST)
		end_query(c, NULL);
	if (was->type == RSIP_FREE_REQUEST)
		c->to_free = false;
	if (means_unregistered(m->error))
		return lose(c, now);
	switch (was->type) {
	case RSIP_REGISTER_REQUEST:
		return refused_registration(c, m, now);
	case RSIP_ASSIGN_REQUEST_RSAP:
	case RSIP_ASSIGN_REQUEST_RSIPSEC:
		return refused_assignment(c, was, m->error, now);
	case RSIP_EXTEND_REQUEST:
		return refused_extension(c, was, m->error, now);
	case RSIP_FREE_REQUEST:
		/* 306: it is free. Otherwise only a new registration frees it (FREE-06). */
		return m->error == RSIP_E_BAD_BIND_ID ? 0 : lose(c, now);
	}
	return 0;
}

static void take_error(struct client *c, const struct msg *m, uint64_t now)
{
	struct request was = settle(c);
	uint64_t again;

	c->last_error = m->error;
	again = refused(c, &was, m, now);
	fail(c, was.type, m->error, again);
}

/* --- input ------------------------------------------------------------------------------- */

/* A report of the data plane: is our state what the gateway has? One EXTEND tells; reports come in swarms (ASY-08). */
static void take_report(struct client *c, uint16_t error, uint64_t now)
{
	uint64_t again = 0;

	c->last_error = error;
	if (means_unregistered(error)) {
		again = lose(c, now);
	} else if (c->has_lease && now >= c->check_at) {
		c->check_at = now + CHECK_MS;
		c->extend_at = again = now;
	}
	fail(c, RSIP_ERROR_RESPONSE, error, again);
}

/* The gateway speaks for itself (ASY-01); what we wait for is still to come (ASY-02). */
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
		take_report(c, m->error, now);
		break;
	}
}

/* Is it the type that is waited for? FREE_RESPONSE may stand in for EXTEND_RESPONSE. */
static bool type_answers(uint8_t request, uint8_t response)
{
	return response == msg_response_of(request) ||
	       (request == RSIP_EXTEND_REQUEST && response == RSIP_FREE_RESPONSE);
}

/*
 * Is it what the pending request waits for (T-36)? A gateway that serves TCP
 * without counters may leave it out (T-26), but not in an error: that could be
 * asynchronous.
 */
static bool answers(const struct client *c, const struct msg *m)
{
	const struct request *is = &c->pending.is;
	bool has_counter = m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);

	if (!is->type || (has_counter && m->counter != c->counter))
		return false;
	if (m->type == RSIP_ERROR_RESPONSE)
		return has_counter;
	if (!type_answers(is->type, m->type))
		return false;
	if (is->bind_id && m->bind_id != is->bind_id)
		return false;
	return !is->client_id || m->client_id == is->client_id;
}

/* An assignment in answer to ours that is not understood, but can be named: it goes back. */
static void take_foreign(struct client *c, uint8_t type, uint32_t client_id, uint32_t bind_id, uint32_t counter,
			 uint64_t now)
{
	struct request was;

	if (!is_assign_request(c->pending.is.type) || !is_assign_response(type) ||
	    client_id != c->pending.is.client_id || counter != c->counter)
		return;
	was = settle(c);
	if (c->registered)
		give_back(c, &was, bind_id, now);
}

void client_input(struct client *c, const uint8_t *data, size_t len, uint64_t now)
{
	struct msg_fault f;
	bool has_counter;
	struct msg m;

	c->received++;
	if (!msg_decode(data, len, MSG_AT_HOST, 0, &m, &f)) {
		if (f.has_client && f.has_bind && f.has_counter)
			take_foreign(c, f.type, f.client_id, f.bind_id, f.counter, now);
		return;
	}
	has_counter = m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	if (has_counter && m.counter == 0) {
		take_asynchronous(c, &m, now);
	} else if (answers(c, &m)) {
		if (m.type == RSIP_ERROR_RESPONSE)
			take_error(c, &m, now);
		else
			take_answer(c, &m, now);
	} else if (!has_counter) {
		take_asynchronous(c, &m, now);
	} else {
		take_foreign(c, m.type, m.client_id, m.bind_id, m.counter, now);
	}
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
	if (c->stopping)
		return;
	c->wanted = false;
	c->stopping = true;
	c->last_try = false;
	c->retry_at = 0;
	end_query(c, NULL);
	end_lease(c, CLIENT_RELEASED);	/* first: nothing of ours arrives when it is freed (REG-17) */
	/* A REGISTER_REQUEST must end: its answer has the ID to de-register. */
	if (c->pending.is.type != RSIP_REGISTER_REQUEST)
		c->pending.is.type = 0;
	client_run(c, now);
}

/* Tuples as the request has them, or NULL: too many, not to be asked, no memory. */
static uint8_t *query_tuples(const struct msg_tuple *tuples, size_t count, size_t *len)
{
	uint8_t *bytes = malloc(QUERY_TUPLES_MAX), scratch[RSIP_MESSAGE_MAX];
	struct msg m = { .type = RSIP_QUERY_REQUEST, .has = MSG_HAS(RSIP_PARAM_CLIENT_ID), .tuples = bytes };
	size_t written;

	for (size_t i = 0; bytes && i < count; i++) {
		written = msg_tuple_write(&tuples[i], bytes + m.tuples_len, QUERY_TUPLES_MAX - m.tuples_len);
		if (!written)
			goto refuse;
		m.tuples_len += written;
		m.has |= MSG_HAS_TUPLES;
	}
	if (!bytes || !msg_encode(&m, scratch, sizeof(scratch)))
		goto refuse;
	*len = m.tuples_len;
	return bytes;
refuse:
	free(bytes);
	return NULL;
}

bool client_query(struct client *c, const struct msg_tuple *tuples, size_t count, uint64_t now)
{
	if (!c->registered || c->stopping || c->asking)
		return false;
	c->tuples = query_tuples(tuples, count, &c->tuples_len);
	if (!c->tuples)
		return false;
	c->asking = true;
	client_run(c, now);
	return true;
}

void client_reconnected(struct client *c, uint64_t now)
{
	if (c->pending.is.type)
		begin_schedule(c, now);
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
	if (c->pending.is.type)
		return earlier(due, due_ms(c));
	if (c->has_lease)
		due = earlier(due, c->extend_at);
	else if (c->wanted || c->stopping)
		due = earlier(due, c->retry_at);
	return due == NEVER ? 0 : due > now ? due : now + 1;
}

uint64_t client_run(struct client *c, uint64_t now)
{
	expire(c, now);
	if (c->pending.is.type && now * US_PER_MS >= c->pending.due_us) {
		if (c->pending.sends < c->sends)
			transmit(c, now);
		else
			time_out(c, now);
	}
	if (!c->pending.is.type && !next_request(c, now) && c->stopping && !c->registered) {
		c->stopping = false;
		c->ops->stopped(c->arg);
	}
	return next_due(c, now);
}

void client_status(const struct client *c, struct client_status *out)
{
	*out = (struct client_status){
		.state = c->shown,
		.pending = c->pending.is.type ? msg_type_name(c->pending.is.type) : NULL,
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
