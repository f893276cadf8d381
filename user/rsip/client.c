// SPDX-License-Identifier: GPL-2.0-only
/*
 * See client.h. There is no queue of requests: what to send next follows from
 * what is known and what is wanted (next_request()), so that an answer, a lost
 * registration or a new wish can come in any order.
 */
#include "rsip/client.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

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
	unsigned int slot;		/* what it is about: its number, or 0 */
	bool named;			/* ASSIGN: asked for an address or ports by name */
	uint64_t first_ms;		/* first sending of these bytes: leases count from here (LSE-10) */
};

/* The request in flight, its bytes kept for repeats (T-16). */
struct pending {
	struct request is;
	uint32_t sends;
	uint64_t due_us, wait_us;	/* next sending, or failure */
	size_t len;			/* without the authenticator */
	uint8_t bytes[RSIP_MESSAGE_MAX];
	size_t sealed_len;
	uint8_t sealed[RSIP_MESSAGE_MAX];	/* what is sent */
};

struct backoff {
	uint64_t at;			/* not before this */
	uint64_t ms;			/* the next one */
};

/* One thing wanted, and the lease that is it. */
struct slot {
	struct slot *next;
	unsigned int id;
	struct want want;
	bool dropped;			/* taken off when nothing of it is left at the gateway */
	bool unnamed;			/* what was named was refused: ask for any (HOST-11) */
	struct backoff ask;
	bool has_lease;
	struct client_lease lease;
	uint64_t extend_at;
	bool to_free;			/* a bind of it that cannot be used, or is not wanted any more */
	uint32_t free_id;
};

struct client {
	const struct client_ops *ops;
	void *arg;
	uint32_t first_us, sends;
	struct pending pending;
	bool has_key;
	uint8_t key[AUTH_KEY_LEN];
	struct auth_host auth;
	uint32_t unauthentic;		/* messages dropped for it */
	uint32_t counter;		/* of the request in flight, or of the next one */

	bool wanted, stopping;
	struct slot *slots;		/* utlist */
	unsigned int last_id;
	bool tcp_tried;			/* 102 was followed once (HOST-12) */
	bool started_over;		/* since the last grant, because the gateway and we disagreed */
	bool last_try;			/* a DE-REGISTER_REQUEST of client_stop() was refused */
	struct backoff reg;		/* for REGISTER_REQUEST, and DE-REGISTER_REQUEST while stopping */
	uint64_t check_at;		/* violations are not looked into before this (ASY-08) */

	bool registered;
	uint32_t client_id;
	uint64_t registration_expires;
	uint8_t local_policy, remote_policy;
	uint8_t methods[MSG_REPEAT_MAX], method_count, tunnels[MSG_REPEAT_MAX], tunnel_count;

	bool forget;			/* DE-REGISTER this ID first: the gateway and we disagree */
	uint32_t forget_id;

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
	c->reg.ms = BACKOFF_FIRST_MS;
	return c;
}

static void slot_free(struct slot *slot)
{
	free((void *)slot->lease.spis.list);
	free(slot);
}

void client_use_key(struct client *c, const uint8_t key[static AUTH_KEY_LEN])
{
	c->has_key = true;
	memcpy(c->key, key, AUTH_KEY_LEN);
	auth_host_init(&c->auth);
}

void client_free(struct client *c)
{
	struct slot *slot, *next;

	if (!c)
		return;
	LL_FOREACH_SAFE(c->slots, slot, next)
		slot_free(slot);
	free(c->tuples);
	free(c);
}

/* --- state ------------------------------------------------------------------------- */

/* NULL: no memory */
static struct slot *slot_new(struct client *c, const struct want *want)
{
	struct slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->id = ++c->last_id;
	slot->want = *want;
	slot->ask.ms = BACKOFF_FIRST_MS;
	LL_APPEND(c->slots, slot);
	return slot;
}

static struct slot *slot_by_id(const struct client *c, unsigned int id)
{
	struct slot *slot;

	LL_SEARCH_SCALAR(c->slots, slot, id, id);
	return slot;
}

static struct slot *slot_by_bind(const struct client *c, uint32_t bind_id)
{
	struct slot *slot;

	LL_FOREACH(c->slots, slot)
		if (slot->has_lease && slot->lease.bind_id == bind_id)
			return slot;
	return NULL;
}

static struct slot *slot_with_lease(const struct client *c)
{
	struct slot *slot;

	LL_SEARCH_SCALAR(c->slots, slot, has_lease, true);
	return slot;
}

static void show_state(struct client *c)
{
	enum client_state state = slot_with_lease(c) ? CLIENT_ASSIGNED :
				  c->registered ? CLIENT_REGISTERED : CLIENT_UNREGISTERED;

	if (state == c->shown)
		return;
	c->shown = state;
	c->ops->state(state, c->arg);
}

static void end_lease(struct client *c, struct slot *slot, enum client_end why)
{
	struct client_lease lease = slot->lease;

	if (!slot->has_lease)
		return;
	slot->has_lease = false;
	slot->lease = (struct client_lease){};
	c->ops->ended(&lease, why, c->arg);
	free((void *)lease.spis.list);
	show_state(c);
}

static void end_leases(struct client *c, enum client_end why)
{
	struct slot *slot;

	LL_FOREACH(c->slots, slot)
		end_lease(c, slot, why);
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
	struct slot *slot;

	c->registered = false;
	LL_FOREACH(c->slots, slot)
		slot->to_free = false;
	end_leases(c, why);
	end_query(c, NULL);
	show_state(c);
}

/* The next try waits, twice as long each time. Returns when it is. */
static uint64_t back_off(struct backoff *backoff, uint64_t now)
{
	backoff->at = now + backoff->ms;
	backoff->ms = backoff->ms * 2 < BACKOFF_LAST_MS ? backoff->ms * 2 : BACKOFF_LAST_MS;
	return backoff->at;
}

static void reset(struct backoff *backoff)
{
	*backoff = (struct backoff){ .ms = BACKOFF_FIRST_MS };
}

/* The gateway knows this ID, or did: clear its side, then register. At once, but no second time without a lease between. */
static uint64_t start_over(struct client *c, uint32_t old_id, uint64_t now)
{
	c->forget = true;
	c->forget_id = old_id;
	if (c->started_over)
		return back_off(&c->reg, now);
	c->started_over = true;
	return c->reg.at = now;
}

/* The gateway does not know us as we know ourselves: drop all and begin anew (FAIL-06, FAIL-07). Returns when. */
static uint64_t lose(struct client *c, uint64_t now)
{
	if (!c->registered)
		return c->reg.at;
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
	c->ops->send(c->pending.sealed, c->pending.sealed_len, c->arg);
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
/* What is sent of the request: with a key, with an authenticator of its own (SEC-04). */
static void seal(struct client *c)
{
	struct pending *p = &c->pending;

	memcpy(p->sealed, p->bytes, p->len);
	p->sealed_len = p->len;
	if (c->has_key)
		p->sealed_len = auth_seal(c->key, auth_ask(&c->auth), p->sealed, p->len, sizeof(p->sealed));
}

/* One place for what comes in with a key: false, it is none of the gateway's, or an old one. */
static bool is_authentic(struct client *c, const uint8_t *data, size_t len, uint64_t now)
{
	struct auth_stamp stamp;

	if (!c->has_key)
		return true;
	if (!auth_open(c->key, data, len, &stamp)) {
		c->unauthentic++;
		return false;
	}
	switch (auth_hear(&c->auth, stamp, data[1] == RSIP_ERROR_RESPONSE)) {
	case AUTH_ANSWER:
	case AUTH_TOLD:
		return true;
	case AUTH_ASK_AGAIN:
		if (c->pending.is.type) {
			seal(c);
			begin_schedule(c, now);
		}
		break;
	case AUTH_NOTHING:
		break;
	}
	return false;
}

static void request(struct client *c, struct msg *m, const struct slot *slot, uint64_t now)
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
		.slot = slot ? slot->id : 0,
		.named = (m->has & MSG_HAS_LOCAL && !m->local.any) ||
			 (m->has & MSG_HAS_LPORTS && m->lports.form == MSG_RUN),
		.first_ms = first,
	};
	memcpy(p->bytes, bytes, len);
	p->len = len;
	seal(c);
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

static void request_deregistration(struct client *c, uint32_t client_id, uint64_t now)
{
	struct msg m = {
		.type = RSIP_DEREGISTER_REQUEST,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID),
		.client_id = client_id,
	};

	request(c, &m, NULL, now);
}

static void request_query(struct client *c, uint64_t now)
{
	struct msg m = {
		.type = RSIP_QUERY_REQUEST,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | (c->tuples_len ? MSG_HAS_TUPLES : 0),
		.client_id = c->client_id,
		.tuples = c->tuples,
		.tuples_len = c->tuples_len,
	};

	request(c, &m, NULL, now);
}

static void request_free(struct client *c, const struct slot *slot, uint64_t now)
{
	struct msg m = {
		.type = RSIP_FREE_REQUEST,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID),
		.client_id = c->client_id,
		.bind_id = slot->free_id,
	};

	request(c, &m, slot, now);
}

static void request_extension(struct client *c, const struct slot *slot, uint64_t now)
{
	struct msg m = {
		.type = RSIP_EXTEND_REQUEST,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID) |
		       (slot->want.lease ? MSG_HAS(RSIP_PARAM_LEASE_TIME) : 0),
		.client_id = c->client_id,
		.bind_id = slot->lease.bind_id,
		.lease = slot->want.lease,
	};

	request(c, &m, slot, now);
}

/* The address to ask for by name: the one that is wanted, or one that is ours already. 0: any. */
static __be32 address_for(const struct client *c, const struct slot *slot)
{
	const struct slot *other;

	if (slot->unnamed || slot->want.kind == WANT_WHOLE || slot->want.local)
		return slot->unnamed ? 0 : slot->want.local;
	LL_FOREACH(c->slots, other)
		if (other->has_lease && other->want.kind != WANT_WHOLE)
			return other->lease.local;
	return 0;
}

static void request_assignment(struct client *c, const struct slot *slot, uint64_t now)
{
	struct msg m;

	want_write(&slot->want, c->client_id, address_for(c, slot), !slot->unnamed, &m);
	request(c, &m, slot, now);
}

static void fail(struct client *c, uint8_t type, uint16_t error, unsigned int slot, uint64_t again)
{
	struct client_failure failure = { .type = type, .error = error, .id = slot };

	failure.again_ms = c->stopping || again == NEVER ? 0 : again;
	c->ops->failed(&failure, c->arg);
}

static bool wants_to_ask(const struct slot *slot, uint64_t now)
{
	return !slot->has_lease && !slot->dropped && now >= slot->ask.at;
}

/* The next one that has to be asked for. What the flow policy has no room for is not, before the next registration. */
static struct slot *slot_to_ask(struct client *c, uint64_t now)
{
	struct slot *slot;

	LL_FOREACH(c->slots, slot) {
		if (!wants_to_ask(slot, now))
			continue;
		if (want_permitted(&slot->want, c->local_policy, c->remote_policy))
			return slot;
		slot->ask.at = NEVER;
		fail(c, want_request_type(&slot->want), RSIP_E_FLOW_POLICY_VIOLATION, slot->id, NEVER);
	}
	return NULL;
}

/* Of those that have to be extended the one that ends first. */
static struct slot *slot_to_extend(const struct client *c, uint64_t now)
{
	struct slot *slot, *first = NULL;

	LL_FOREACH(c->slots, slot)
		if (slot->has_lease && now >= slot->extend_at && (!first || slot->lease.expires < first->lease.expires))
			first = slot;
	return first;
}

/* Sends what is to be done next for the leases. */
static void next_for_leases(struct client *c, uint64_t now)
{
	struct slot *slot;

	LL_SEARCH_SCALAR(c->slots, slot, to_free, true);
	if (slot)
		request_free(c, slot, now);
	else if (c->asking)
		request_query(c, now);
	else if ((slot = slot_to_extend(c, now)))
		request_extension(c, slot, now);
	else if ((slot = slot_to_ask(c, now)))
		request_assignment(c, slot, now);
}

/* Sends what is to be done next. False: nothing, now. */
static bool next_request(struct client *c, uint64_t now)
{
	struct msg reg = { .type = RSIP_REGISTER_REQUEST };
	bool may = now >= c->reg.at;

	if (c->forget)
		request_deregistration(c, c->forget_id, now);
	else if (c->stopping && c->registered && may)
		request_deregistration(c, c->client_id, now);
	else if (c->stopping || !c->wanted)
		return false;
	else if (c->registered)
		next_for_leases(c, now);
	else if (may)
		request(c, &reg, NULL, now);
	return c->pending.is.type != 0;
}

/* --- what becomes of a request -------------------------------------------------------- */

static bool is_assign_request(uint8_t type)
{
	return type == RSIP_ASSIGN_REQUEST_RSA || type == RSIP_ASSIGN_REQUEST_RSAP || type == RSIP_LISTEN_REQUEST ||
	       type == RSIP_ASSIGN_REQUEST_RSIPSEC;
}

static bool is_assign_response(uint8_t type)
{
	return type == RSIP_ASSIGN_RESPONSE_RSA || type == RSIP_ASSIGN_RESPONSE_RSAP ||
	       type == RSIP_LISTEN_RESPONSE || type == RSIP_ASSIGN_RESPONSE_RSIPSEC;
}

/* De-registered, or as good as. */
static void forgotten(struct client *c)
{
	bool was_ours = !c->forget;

	c->forget = false;
	if (was_ours)
		end_registration(c, CLIENT_RELEASED);
}

/* Half of what is left, again and again, but not every instant at the end (EXT-07, SCALE-03). Returns when. */
static uint64_t plan_extension(struct slot *slot, uint64_t now)
{
	uint64_t left = slot->lease.expires > now ? slot->lease.expires - now : 0;

	return slot->extend_at = now + (left / 2 > EXTEND_LAST_MS ? left / 2 : left);
}

/* No answer to all sendings: every state falls back to where it came from (FAIL-12). */
static void time_out(struct client *c, uint64_t now)
{
	struct request was = c->pending.is;
	struct slot *slot = slot_by_id(c, was.slot);
	uint64_t again = 0;

	c->pending.is.type = 0;
	if (was.type == RSIP_REGISTER_REQUEST)
		again = back_off(&c->reg, now);
	else if (is_assign_request(was.type))
		again = back_off(&slot->ask, now);
	else if (was.type == RSIP_EXTEND_REQUEST)
		again = plan_extension(slot, now);
	else if (was.type == RSIP_FREE_REQUEST)
		slot->to_free = false;
	else if (was.type == RSIP_DEREGISTER_REQUEST)
		forgotten(c);
	else
		end_query(c, NULL);
	fail(c, was.type, 0, was.slot, again);
}

/* Under local micro policy a bind has one port (FLOW-02): several ports are several leases. */
static void split_ports(struct client *c)
{
	struct slot *slot, *more;

	LL_FOREACH(c->slots, slot) {
		if (slot->want.kind != WANT_PORTS || slot->want.exact)
			continue;
		while (slot->want.ports > 1 && (more = slot_new(c, &slot->want))) {
			more->want.ports = 1;
			more->want.first_port = 0;
			slot->want.ports--;
		}
	}
}

static void take_registration(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	struct slot *slot;

	if (!m->lease) {
		fail(c, was->type, 0, 0, back_off(&c->reg, now));
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
		reset(&c->reg);
	if (c->local_policy == RSIP_POLICY_MICRO)
		split_ports(c);
	LL_FOREACH(c->slots, slot) {
		slot->ask.at = 0;
		slot->unnamed = false;
	}
	show_state(c);
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
static void set_expiry(struct client *c, struct slot *slot, const struct request *was, uint32_t seconds, uint64_t now)
{
	slot->lease.expires = was->first_ms + (uint64_t)seconds * MS_PER_S;
	if (c->registration_expires < slot->lease.expires)
		c->registration_expires = slot->lease.expires;
	plan_extension(slot, now);
}

static void free_bind(struct slot *slot, uint32_t bind_id)
{
	slot->to_free = true;
	slot->free_id = bind_id;
}

/* An assignment that cannot be used goes back (FAIL-14). */
static void give_back(struct client *c, struct slot *slot, const struct request *was, uint32_t bind_id, uint64_t now)
{
	free_bind(slot, bind_id);
	fail(c, was->type, 0, slot->id, back_off(&slot->ask, now));
}

/* The lease as the answer has it; false: no memory, or the host cannot use it. */
static bool take_lease(struct client *c, struct slot *slot, const struct request *was, const struct msg *m)
{
	struct client_lease lease = {
		.id = slot->id,
		.want = slot->want,
		.bind_id = m->bind_id,
		.local = m->local.v4,
		.endpoint = m->has & MSG_HAS_ENDPOINT ? m->endpoint.v4 : 0,
		.ports = m->lports,
		.spis = m->spis,
		.tunnel = m->tunnel_count ? m->tunnels[0] : RSIP_TUNNEL_IPIP,
	};

	if (!want_fits(&slot->want, was->named && !slot->unnamed, m) || !keep_spis(&lease.spis))
		return false;
	if (c->ops->accepts && !c->ops->accepts(&lease, c->arg)) {
		free((void *)lease.spis.list);
		return false;
	}
	slot->lease = lease;
	slot->has_lease = true;
	return true;
}

static void take_assignment(struct client *c, struct slot *slot, const struct request *was, const struct msg *m,
			    uint64_t now)
{
	/* Not wanted any more; or given to a sending so old that it may have run out since: asked for
	 * anew, with the next counter. */
	if (slot->dropped || (was->first_ms + (uint64_t)m->lease * MS_PER_S <= now && m->lease)) {
		free_bind(slot, m->bind_id);
		return;
	}
	if (!take_lease(c, slot, was, m)) {
		give_back(c, slot, was, m->bind_id, now);
		return;
	}
	c->started_over = false;
	set_expiry(c, slot, was, m->lease, now);
	reset(&slot->ask);
	reset(&c->reg);
	show_state(c);
	c->ops->granted(&slot->lease, c->arg);
}

static void take_extension(struct client *c, struct slot *slot, const struct request *was, const struct msg *m,
			   uint64_t now)
{
	if (!slot->has_lease || m->bind_id != slot->lease.bind_id) {
		free_bind(slot, m->bind_id);	/* we let it run out meanwhile */
		return;
	}
	set_expiry(c, slot, was, m->lease, now);
	c->ops->extended(&slot->lease, c->arg);
}

/* The bind is gone, by the gateway's will: ask anew, not at once. */
static void lose_bind(struct client *c, uint32_t bind_id, uint64_t now)
{
	struct slot *slot = slot_by_bind(c, bind_id);

	if (!slot)
		return;
	back_off(&slot->ask, now);
	end_lease(c, slot, CLIENT_TAKEN_BACK);
}

static void take_answer(struct client *c, const struct msg *m, uint64_t now)
{
	struct request was = settle(c);
	struct slot *slot = slot_by_id(c, was.slot);

	/* The registration ended while this was on its way. */
	if (!c->registered && m->type != RSIP_REGISTER_RESPONSE && m->type != RSIP_DEREGISTER_RESPONSE)
		return;
	switch (m->type) {
	case RSIP_REGISTER_RESPONSE:
		take_registration(c, &was, m, now);
		break;
	case RSIP_ASSIGN_RESPONSE_RSA:
	case RSIP_ASSIGN_RESPONSE_RSAP:
	case RSIP_ASSIGN_RESPONSE_RSIPSEC:
	case RSIP_LISTEN_RESPONSE:
		take_assignment(c, slot, &was, m, now);
		break;
	case RSIP_EXTEND_RESPONSE:
		take_extension(c, slot, &was, m, now);
		break;
	case RSIP_FREE_RESPONSE:
		slot->to_free = false;
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
	return c->reg.at = now + BACKOFF_FIRST_MS;
}

static uint64_t refused_registration(struct client *c, const struct msg *m, uint64_t now)
{
	if (m->error == RSIP_E_ALREADY_REGISTERED && m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID))
		return start_over(c, m->client_id, now);	/* FAIL-02 */
	return back_off(&c->reg, now);
}

/* Is an error about what was named, and can others do instead? Of an address that was only preferred
 * any error is. */
static bool try_unnamed(const struct slot *slot, const struct request *was, uint16_t error)
{
	if (!was->named || slot->want.exact)
		return false;
	if (error == RSIP_E_LOCAL_ADDRPORT_INUSE || error == RSIP_E_IPSEC_SPI_INUSE)
		return true;
	return !slot->want.local && !slot->want.first_port && error >= RSIP_E_LOCAL_ADDR_UNAVAILABLE;
}

/* HOST-11: what was asked for by name is asked for again without; what is short is waited for. */
static uint64_t refused_assignment(struct slot *slot, const struct request *was, uint16_t error, uint64_t now)
{
	if (!try_unnamed(slot, was, error))
		return back_off(&slot->ask, now);
	slot->unnamed = true;
	return slot->ask.at = now;
}

static uint64_t refused_extension(struct client *c, struct slot *slot, const struct request *was, uint16_t error,
				  uint64_t now)
{
	if (error == RSIP_E_BAD_BIND_ID)
		lose_bind(c, was->bind_id, now);
	else if (slot->has_lease)
		plan_extension(slot, now);
	return slot->has_lease ? slot->extend_at : slot->ask.at;
}

/* What an error means for what was asked. Returns when that is tried again, 0: not at all. */
static uint64_t refused(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	struct slot *slot = slot_by_id(c, was->slot);

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
		slot->to_free = false;
	if (means_unregistered(m->error))
		return lose(c, now);
	if (was->type == RSIP_REGISTER_REQUEST)
		return refused_registration(c, m, now);
	if (is_assign_request(was->type))
		return refused_assignment(slot, was, m->error, now);
	if (was->type == RSIP_EXTEND_REQUEST)
		return refused_extension(c, slot, was, m->error, now);
	/* 306: it is free. Otherwise only a new registration frees it (FREE-06). */
	if (was->type == RSIP_FREE_REQUEST && m->error != RSIP_E_BAD_BIND_ID)
		return lose(c, now);
	return 0;
}

static void take_error(struct client *c, const struct msg *m, uint64_t now)
{
	struct request was = settle(c);
	uint64_t again;

	c->last_error = m->error;
	again = refused(c, &was, m, now);
	fail(c, was.type, m->error, was.slot, again);
}

/* --- input ------------------------------------------------------------------------------- */

/* A report of the data plane: is our state what the gateway has? One EXTEND tells; reports come in swarms (ASY-08). */
static void take_report(struct client *c, const struct msg *m, uint64_t now)
{
	struct slot *slot = m->has & MSG_HAS(RSIP_PARAM_BIND_ID) ? slot_by_bind(c, m->bind_id) : slot_with_lease(c);
	uint64_t again = 0;

	c->last_error = m->error;
	if (means_unregistered(m->error)) {
		again = lose(c, now);
	} else if (slot && now >= c->check_at) {
		c->check_at = now + CHECK_MS;
		slot->extend_at = again = now;
	}
	fail(c, RSIP_ERROR_RESPONSE, m->error, slot ? slot->id : 0, again);
}

/* The gateway speaks for itself (ASY-01); what we wait for is still to come (ASY-02). */
static void take_asynchronous(struct client *c, const struct msg *m, uint64_t now)
{
	if (!c->registered || !(m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID)) || m->client_id != c->client_id)
		return;
	switch (m->type) {
	case RSIP_DEREGISTER_RESPONSE:
		end_registration(c, CLIENT_TAKEN_BACK);
		back_off(&c->reg, now);
		break;
	case RSIP_FREE_RESPONSE:
		lose_bind(c, m->bind_id, now);
		break;
	case RSIP_ERROR_RESPONSE:
		take_report(c, m, now);
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
		give_back(c, slot_by_id(c, was.slot), &was, bind_id, now);
}

void client_input(struct client *c, const uint8_t *data, size_t len, uint64_t now)
{
	struct msg_fault f;
	bool has_counter;
	struct msg m;

	c->received++;
	if (!is_authentic(c, data, len, now))
		return;
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

void client_start(struct client *c, uint64_t now)
{
	c->wanted = true;
	c->stopping = false;
	client_run(c, now);
}

unsigned int client_add(struct client *c, const struct want *want, uint64_t now)
{
	struct slot *slot;

	LL_FOREACH(c->slots, slot)
		if (want->kind == WANT_LISTEN && slot->want.kind == WANT_WHOLE && !slot->dropped)
			return 0;
	slot = slot_new(c, want);
	if (!slot)
		return 0;
	client_run(c, now);
	return slot->id;
}

/* First nothing of ours arrives any more, then it is freed (REG-17). */
static void drop(struct client *c, struct slot *slot)
{
	if (slot->has_lease)
		free_bind(slot, slot->lease.bind_id);
	slot->dropped = true;
	end_lease(c, slot, CLIENT_RELEASED);
}

void client_drop(struct client *c, unsigned int id, uint64_t now)
{
	struct slot *slot = slot_by_id(c, id);

	if (!slot || slot->dropped)
		return;
	drop(c, slot);
	client_run(c, now);
}

void client_stop(struct client *c, uint64_t now)
{
	struct slot *slot;

	if (c->stopping)
		return;
	c->wanted = false;
	c->stopping = true;
	c->last_try = false;
	c->reg.at = 0;
	end_query(c, NULL);
	LL_FOREACH(c->slots, slot) {
		drop(c, slot);
		slot->to_free = false;	/* the de-registration frees it */
	}
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
	struct slot *slot;

	LL_FOREACH(c->slots, slot)
		if (slot->has_lease && now >= slot->lease.expires)
			end_lease(c, slot, CLIENT_EXPIRED);
	if (c->registered && now >= c->registration_expires)
		end_registration(c, CLIENT_EXPIRED);
}

/* Takes off what is dropped and of which nothing is left. */
static void sweep(struct client *c)
{
	struct slot *slot, *next;
	unsigned int id;

	LL_FOREACH_SAFE(c->slots, slot, next) {
		if (!slot->dropped || slot->has_lease || slot->to_free ||
		    (c->pending.is.type && c->pending.is.slot == slot->id))
			continue;
		id = slot->id;
		LL_DELETE(c->slots, slot);
		slot_free(slot);
		if (c->ops->gone)
			c->ops->gone(id, c->arg);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When a lease has something to send: NEVER, if it has to wait for more than time. */
static uint64_t slot_due(const struct client *c, const struct slot *slot)
{
	if (slot->has_lease)
		return slot->extend_at;
	if (!c->registered || slot->dropped)
		return NEVER;
	return slot->ask.at;
}

/* The next moment at which client_run() has something to do. */
static uint64_t next_due(const struct client *c, uint64_t now)
{
	uint64_t due = c->registered ? c->registration_expires : NEVER;
	const struct slot *slot;

	LL_FOREACH(c->slots, slot)
		if (slot->has_lease)
			due = earlier(due, slot->lease.expires);
	if (c->pending.is.type)
		return earlier(due, due_ms(c));
	LL_FOREACH(c->slots, slot)
		due = earlier(due, slot_due(c, slot));
	if (c->stopping || (c->wanted && !c->registered))
		due = earlier(due, c->reg.at);
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
	sweep(c);
	if (!c->pending.is.type && !next_request(c, now) && c->stopping && !c->registered) {
		c->stopping = false;
		c->ops->stopped(c->arg);
	}
	return next_due(c, now);
}

/* --- what can be seen ---------------------------------------------------------------------- */

void client_status(const struct client *c, struct client_status *out)
{
	bool pending = c->pending.is.type != 0;

	*out = (struct client_status){
		.state = c->shown,
		.registered = c->registered,
		.client_id = c->client_id,
		.registration_expires = c->registration_expires,
		.local_policy = c->local_policy,
		.remote_policy = c->remote_policy,
		.method_count = c->method_count,
		.tunnel_count = c->tunnel_count,
		.pending = pending ? msg_type_name(c->pending.is.type) : NULL,
		.counter = c->counter,
		.sends = pending ? c->pending.sends : 0,
		.next_send = pending ? due_ms(c) : 0,
		.register_at = c->reg.at,
		.sent = c->sent,
		.resent = c->resent,
		.received = c->received,
		.last_error = c->last_error,
	};
	memcpy(out->methods, c->methods, sizeof(out->methods));
	memcpy(out->tunnels, c->tunnels, sizeof(out->tunnels));
}

const char *client_error_name(uint16_t error)
{
	const char *name = msg_error_name(error);

	return name[0] == '?' && error / 100 == 4 ? "IPsec failure" : name;
}

bool client_next(const struct client *c, unsigned int id, struct client_item *out)
{
	const struct slot *slot;

	LL_FOREACH(c->slots, slot)
		if (slot->id > id)
			break;
	if (!slot)
		return false;
	*out = (struct client_item){
		.id = slot->id,
		.want = &slot->want,
		.lease = slot->has_lease ? &slot->lease : NULL,
		.next = slot->has_lease ? slot->extend_at : slot->ask.at,
		.freeing = slot->to_free,
	};
	return true;
}
