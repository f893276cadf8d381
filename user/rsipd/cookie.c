// SPDX-License-Identifier: GPL-2.0-only
/* One array of nodes for all cookies; each bind is a chain through it, oldest first. */
#include "rsipd/cookie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rsipd/slots.h"

struct node {
	struct cookie_entry entry;
	uint64_t used;		/* when a packet was last known of, ms */
	uint32_t next;		/* in the bind's chain */
	bool live;
};

struct chain {
	uint32_t oldest, newest, count;	/* the ends are valid while count is not 0 */
};

struct cookies {
	struct chain *chains;	/* by bind slot */
	uint32_t binds;
	struct node *nodes;
	struct slots free;
	uint32_t swept;		/* the next node to look at */
	uint64_t sweep_started;	/* when node 0 was due, ms; 0: not yet */
};

struct cookies *cookies_new(uint32_t binds, uint32_t capacity)
{
	struct cookies *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->binds = binds;
	c->chains = calloc(binds, sizeof(*c->chains));
	c->nodes = calloc(capacity, sizeof(*c->nodes));
	if (!c->chains || !c->nodes || slots_init(&c->free, 0, capacity)) {
		cookies_free(c);
		return NULL;
	}
	return c;
}

void cookies_free(struct cookies *c)
{
	if (!c)
		return;
	slots_fini(&c->free);
	free(c->nodes);
	free(c->chains);
	free(c);
}

/* Finds a node in its bind's chain, and the one before it (SLOT_NONE: it is the oldest). */
static uint32_t find(const struct cookies *c, const struct chain *chain, const struct rsip_cookie_key *key,
		     uint32_t *before)
{
	uint32_t at = chain->oldest;

	*before = SLOT_NONE;
	for (uint32_t i = 0; i < chain->count; i++) {
		if (!memcmp(&c->nodes[at].entry.key, key, sizeof(*key)))
			return at;
		*before = at;
		at = c->nodes[at].next;
	}
	return SLOT_NONE;
}

static void unchain(struct cookies *c, struct chain *chain, uint32_t at, uint32_t before)
{
	if (before == SLOT_NONE)
		chain->oldest = c->nodes[at].next;
	else
		c->nodes[before].next = c->nodes[at].next;
	if (chain->newest == at)
		chain->newest = before;
	chain->count--;
	c->nodes[at].live = false;
	slots_give(&c->free, at);
}

int cookie_learned(struct cookies *c, const struct cookie_entry *entry, uint64_t now)
{
	struct chain *chain;
	uint32_t at, before;

	if (entry->target.bind >= c->binds)
		return -EINVAL;
	chain = &c->chains[entry->target.bind];
	if (find(c, chain, &entry->key, &before) != SLOT_NONE)
		return 0;
	at = slots_take(&c->free);
	if (at == SLOT_NONE)
		return -ENOSPC;
	c->nodes[at] = (struct node){ .entry = *entry, .used = now, .live = true };
	if (chain->count)
		c->nodes[chain->newest].next = at;
	else
		chain->oldest = at;
	chain->newest = at;
	chain->count++;
	return 0;
}

uint32_t cookie_count(const struct cookies *c, uint32_t bind)
{
	return bind < c->binds ? c->chains[bind].count : 0;
}

bool cookie_take_oldest(struct cookies *c, uint32_t bind, struct cookie_entry *out)
{
	if (!cookie_count(c, bind))
		return false;
	*out = c->nodes[c->chains[bind].oldest].entry;
	unchain(c, &c->chains[bind], c->chains[bind].oldest, SLOT_NONE);
	return true;
}

void cookie_forget(struct cookies *c, uint32_t bind, const struct rsip_cookie_key *key)
{
	uint32_t at, before;

	if (!cookie_count(c, bind))
		return;
	at = find(c, &c->chains[bind], key, &before);
	if (at != SLOT_NONE)
		unchain(c, &c->chains[bind], at, before);
}

void cookie_each(const struct cookies *c, uint32_t bind,
		 bool (*visit)(const struct cookie_entry *entry, void *arg), void *arg)
{
	uint32_t left = cookie_count(c, bind);

	for (uint32_t at = left ? c->chains[bind].oldest : 0; left; left--) {
		if (!visit(&c->nodes[at].entry, arg))
			return;
		at = c->nodes[at].next;
	}
}

static void look_at(struct cookies *c, struct node *node, uint64_t now, const struct cookie_sweep *sweep)
{
	struct cookie_entry entry = node->entry;

	if (!node->live)
		return;
	if (sweep->used(&entry, sweep->arg)) {
		node->used = now;
	} else if (now - node->used >= COOKIE_IDLE_MS) {
		sweep->idle(&entry, sweep->arg);
		cookie_forget(c, entry.target.bind, &entry.key);
	}
}

/* The nodes are spread evenly over COOKIE_SWEEP_MS, so that no call has much to do. */
void cookie_sweep(struct cookies *c, uint64_t now, const struct cookie_sweep *sweep)
{
	uint64_t elapsed, due;

	if (!c->sweep_started)
		c->sweep_started = now;
	elapsed = now - c->sweep_started;
	due = elapsed >= COOKIE_SWEEP_MS ? c->free.count : c->free.count * elapsed / COOKIE_SWEEP_MS;
	while (c->swept < due)
		look_at(c, &c->nodes[c->swept++], now, sweep);
	if (elapsed >= COOKIE_SWEEP_MS) {
		c->swept = 0;
		c->sweep_started = now;
	}
}
