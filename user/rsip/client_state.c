// SPDX-License-Identifier: GPL-2.0-only
/* See client_state.h. */
#include "rsip/client_state.h"

#include <stdlib.h>
#include <utlist.h>

#define BACKOFF_LAST_MS	60000u
#define EXTEND_LAST_MS	200u	/* nearer to its end a lease is not extended any more */

/* --- slots --------------------------------------------------------------------------- */

struct slot *slot_new(struct client *c, const struct want *want)
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

void slot_free(struct slot *slot)
{
	free((void *)slot->lease.spis.list);
	free(slot);
}

struct slot *slot_by_id(const struct client *c, unsigned int id)
{
	struct slot *slot;

	LL_SEARCH_SCALAR(c->slots, slot, id, id);
	return slot;
}

struct slot *slot_by_bind(const struct client *c, uint32_t bind_id)
{
	struct slot *slot;

	LL_FOREACH(c->slots, slot)
		if (slot->has_lease && slot->lease.bind_id == bind_id)
			return slot;
	return NULL;
}

struct slot *slot_with_lease(const struct client *c)
{
	struct slot *slot;

	LL_SEARCH_SCALAR(c->slots, slot, has_lease, true);
	return slot;
}

uint64_t slot_plan_extension(struct slot *slot, uint64_t now)
{
	uint64_t left = slot->lease.expires > now ? slot->lease.expires - now : 0;

	return slot->extend_at = now + (left / 2 > EXTEND_LAST_MS ? left / 2 : left);
}

void slot_free_bind(struct slot *slot, uint32_t bind_id)
{
	slot->to_free = true;
	slot->free_id = bind_id;
}

/* --- when to try again --------------------------------------------------------------- */

uint64_t backoff_next(struct backoff *backoff, uint64_t now)
{
	backoff->at = now + backoff->ms;
	backoff->ms = backoff->ms * 2 < BACKOFF_LAST_MS ? backoff->ms * 2 : BACKOFF_LAST_MS;
	return backoff->at;
}

void backoff_reset(struct backoff *backoff)
{
	*backoff = (struct backoff){ .ms = BACKOFF_FIRST_MS };
}

/* --- what is told -------------------------------------------------------------------- */

void client_show_state(struct client *c)
{
	enum client_state state = slot_with_lease(c) ? CLIENT_ASSIGNED :
				  c->registered ? CLIENT_REGISTERED : CLIENT_UNREGISTERED;

	if (state == c->shown)
		return;
	c->shown = state;
	c->ops->state(state, c->arg);
}

void client_fail(struct client *c, uint8_t type, uint16_t error, unsigned int slot, uint64_t again)
{
	struct client_failure failure = { .type = type, .error = error, .id = slot };

	failure.again_ms = c->stopping || again == NEVER ? 0 : again;
	c->ops->failed(&failure, c->arg);
}

/* --- what ends ----------------------------------------------------------------------- */

void client_end_lease(struct client *c, struct slot *slot, enum client_end why)
{
	struct client_lease lease = slot->lease;

	if (!slot->has_lease)
		return;
	slot->has_lease = false;
	slot->lease = (struct client_lease){};
	c->ops->ended(&lease, why, c->arg);
	free((void *)lease.spis.list);
	client_show_state(c);
}

static void end_leases(struct client *c, enum client_end why)
{
	struct slot *slot;

	LL_FOREACH(c->slots, slot)
		client_end_lease(c, slot, why);
}

void client_end_query(struct client *c, const struct msg *response)
{
	if (!c->asking)
		return;
	c->asking = false;
	free(c->tuples);
	c->tuples = NULL;
	c->tuples_len = 0;
	c->ops->answer(response, c->arg);
}

void client_end_registration(struct client *c, enum client_end why)
{
	struct slot *slot;

	c->registered = false;
	LL_FOREACH(c->slots, slot)
		slot->to_free = false;
	end_leases(c, why);
	client_end_query(c, NULL);
	client_show_state(c);
}

uint64_t client_start_over(struct client *c, uint32_t old_id, uint64_t now)
{
	c->forget = true;
	c->forget_id = old_id;
	if (c->started_over)
		return backoff_next(&c->reg, now);
	c->started_over = true;
	return c->reg.at = now;
}

uint64_t client_lose(struct client *c, uint64_t now)
{
	if (!c->registered)
		return c->reg.at;
	client_end_registration(c, CLIENT_LOST);
	return client_start_over(c, c->client_id, now);
}

void client_lose_bind(struct client *c, uint32_t bind_id, uint64_t now)
{
	struct slot *slot = slot_by_bind(c, bind_id);

	if (!slot)
		return;
	backoff_next(&slot->ask, now);
	client_end_lease(c, slot, CLIENT_TAKEN_BACK);
}

void client_forgotten(struct client *c)
{
	bool was_ours = !c->forget;

	c->forget = false;
	if (was_ours)
		client_end_registration(c, CLIENT_RELEASED);
}
