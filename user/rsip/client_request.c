// SPDX-License-Identifier: GPL-2.0-only
/*
 * There is no queue of requests: what to send next follows from what is known and
 * what is wanted (request_next()), so that an answer, a lost registration or a new
 * wish can come in any order. See client_request.h.
 */
#include "rsip/client_request.h"

#include <string.h>
#include <utlist.h>

#define STALE_MS	5000u	/* older than this, a REGISTER_REQUEST is no duplicate (T-37) */

/* --- one request in flight ----------------------------------------------------------- */

uint64_t request_due_ms(const struct client *c)
{
	return (c->pending.due_us + US_PER_MS - 1) / US_PER_MS;
}

void request_transmit(struct client *c, uint64_t now)
{
	if (c->pending.sends++)
		c->resent++;
	else
		c->sent++;
	c->pending.due_us = now * US_PER_MS + c->pending.wait_us;
	c->pending.wait_us *= 2;
	c->ops->send(c->pending.sealed, c->pending.sealed_len, c->arg);
}

void request_begin(struct client *c, uint64_t now)
{
	c->pending.sends = 0;
	c->pending.wait_us = c->first_us;
	request_transmit(c, now);
}

void request_seal(struct client *c)
{
	struct pending *p = &c->pending;

	memcpy(p->sealed, p->bytes, p->len);
	p->sealed_len = p->len;
	if (c->has_key)
		p->sealed_len = auth_seal(c->key, auth_ask(&c->auth), p->sealed, p->len, sizeof(p->sealed));
}

/*
 * Sends a request; always with a counter, over TCP too. The counter of
 * one that got no answer is used again: the same bytes may have been
 * answered long ago, and their lease counts from then.
 */
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
	request_seal(c);
	request_begin(c, now);
}

struct request request_settle(struct client *c)
{
	struct request was = c->pending.is;

	c->pending.is.type = 0;
	c->counter = c->counter == UINT32_MAX ? 1 : c->counter + 1;
	return was;
}

/* --- what is asked ------------------------------------------------------------------- */

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

/* --- what is next -------------------------------------------------------------------- */

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
		client_fail(c, want_request_type(&slot->want), RSIP_E_FLOW_POLICY_VIOLATION, slot->id, NEVER);
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

bool request_next(struct client *c, uint64_t now)
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
