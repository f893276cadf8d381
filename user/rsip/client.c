// SPDX-License-Identifier: GPL-2.0-only
/* What others want of the client, what it is, and what is due: see client.h; its inside is client_state.h. */
#include "rsip/client.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "rsip/client_answer.h"
#include "rsip/client_request.h"

#define QUERY_TUPLES_MAX 65400u	/* fits a datagram with the rest of the message */

/* --- life ---------------------------------------------------------------------------- */

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

/* --- what is wanted ------------------------------------------------------------------ */

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
		slot_free_bind(slot, slot->lease.bind_id);
	slot->dropped = true;
	client_end_lease(c, slot, CLIENT_RELEASED);
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
	client_end_query(c, NULL);
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

/* --- time ---------------------------------------------------------------------------- */

void client_reconnected(struct client *c, uint64_t now)
{
	if (c->pending.is.type)
		request_begin(c, now);
}

/* What runs out by itself. */
static void expire(struct client *c, uint64_t now)
{
	struct slot *slot;

	LL_FOREACH(c->slots, slot)
		if (slot->has_lease && now >= slot->lease.expires)
			client_end_lease(c, slot, CLIENT_EXPIRED);
	if (c->registered && now >= c->registration_expires)
		client_end_registration(c, CLIENT_EXPIRED);
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
		return earlier(due, request_due_ms(c));
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
			request_transmit(c, now);
		else
			answer_none(c, now);
	}
	sweep(c);
	if (!c->pending.is.type && !request_next(c, now) && c->stopping && !c->registered) {
		c->stopping = false;
		c->ops->stopped(c->arg);
	}
	return next_due(c, now);
}

/* --- what can be seen ---------------------------------------------------------------- */

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
		.next_send = pending ? request_due_ms(c) : 0,
		.register_at = c->reg.at,
		.sent = c->sent,
		.resent = c->resent,
		.received = c->received,
		.unauthentic = c->unauthentic,
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
