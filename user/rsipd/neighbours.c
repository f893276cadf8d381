// SPDX-License-Identifier: GPL-2.0-only
/* See neighbours.h. */
#include "rsipd/neighbours.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/neighbour.h>
#include <utlist.h>

#define REJECT_MS	2000	/* does not answer: not tried again before */
#define IDLE_MS		60000	/* a neighbour that nobody uses is kept so long */
#define NEIGH_VALID	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

/* --- what the data plane sees ---------------------------------------------------- */

static void store_state(struct rsip_nexthop *slot, uint32_t state)
{
	__atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
}

/* The state goes first and comes last: no packet is built from half a change. */
static void store(struct nexthop_slot *slot, const struct rsip_nexthop *want)
{
	struct rsip_nexthop *to = &slot->hop;

	if (!memcmp(to, want, sizeof(*want)))
		return;
	store_state(to, want->state == RSIP_NEXTHOP_REJECT ? RSIP_NEXTHOP_REJECT : RSIP_NEXTHOP_UNRESOLVED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	to->ifindex = want->ifindex;
	to->mtu = want->mtu;
	memcpy(to->dst, want->dst, sizeof(to->dst));
	memcpy(to->src, want->src, sizeof(to->src));
	memcpy(to->vlan, want->vlan, sizeof(to->vlan));
	store_state(to, want->state);
}

/* What leads through a device to a MAC address. */
static struct rsip_nexthop way_through(const struct netlink_link *link, const uint8_t mac[static 6])
{
	struct rsip_nexthop way = { .state = RSIP_NEXTHOP_VALID, .ifindex = link->lower, .mtu = link->mtu };

	memcpy(way.vlan, link->vlan, sizeof(way.vlan));
	memcpy(way.dst, mac, sizeof(way.dst));
	memcpy(way.src, link->mac, sizeof(way.src));
	return way;
}

static void publish(struct neighbours *all, struct neighbour *n)
{
	struct rsip_nexthop want = { .state = RSIP_NEXTHOP_UNRESOLVED };

	if (n->wait == WAIT_REJECTED)
		want.state = RSIP_NEXTHOP_REJECT;
	else if (n->inherited && !n->valid)
		return;
	else if (n->valid && n->interface->link.up)
		want = way_through(&n->interface->link, n->mac);
	n->inherited = false;
	store(&all->slots[n->slot], &want);
}

/* --- waiting ------------------------------------------------------------------------ */

static void wait_end(struct neighbours *all, struct neighbour *n)
{
	if (n->wait == WAIT_REJECTED)
		DL_DELETE2(all->rejected, n, wait_prev, wait_next);
	else if (n->wait == WAIT_IDLE)
		DL_DELETE2(all->idle, n, wait_prev, wait_next);
	n->wait = WAIT_NO;
}

static void reject(struct neighbours *all, struct neighbour *n)
{
	wait_end(all, n);
	n->wait = WAIT_REJECTED;
	n->deadline = all->now + REJECT_MS;
	DL_APPEND2(all->rejected, n, wait_prev, wait_next);
	publish(all, n);
}

/* --- they come and go ------------------------------------------------------------------ */

static struct neighbour *neighbour_find(const struct neighbours *all, uint32_t ifindex, __be32 addr)
{
	struct neighbour *found, key = { .key = { ifindex, addr } };

	HASH_FIND(hh, all->by_key, &key.key, sizeof(key.key), found);
	return found;
}

struct neighbour *neighbour_of(const struct neighbours *all, uint32_t slot)
{
	return slot < all->slot_count ? all->by_slot[slot] : NULL;
}

/* From now on nobody knows whose its slot is. */
static void neighbour_unname(struct neighbours *all, struct neighbour *n)
{
	if (!n->interface)
		return;
	if (n->kept)
		netlink_neigh_release(all->netlink, n->key.ifindex, n->key.addr);
	HASH_DEL(all->by_key, n);
	n->interface = NULL;
	n->valid = n->kept = n->inherited = false;
}

static void neighbour_free(struct neighbours *all, struct neighbour *n)
{
	wait_end(all, n);
	neighbour_unname(all, n);
	n->inherited = false;
	publish(all, n);
	all->by_slot[n->slot] = NULL;
	slots_give(&all->free, n->slot);
	free(n);
}

void neighbour_left(struct neighbours *all, struct neighbour *n)
{
	if (n->routes || n->hosts || n->slot < FIXED_SLOTS || n->wait != WAIT_NO)
		return;
	if (!n->interface) {
		neighbour_free(all, n);
		return;
	}
	n->wait = WAIT_IDLE;
	n->deadline = all->now + IDLE_MS;
	DL_APPEND2(all->idle, n, wait_prev, wait_next);
}

void neighbour_used(struct neighbours *all, struct neighbour *n)
{
	if (n->wait == WAIT_IDLE)
		wait_end(all, n);
}

static struct neighbour *neighbour_at(struct neighbours *all, uint32_t slot)
{
	struct neighbour *n = calloc(1, sizeof(*n));

	if (!n) {
		slots_give(&all->free, slot);
		return NULL;
	}
	n->slot = slot;
	n->asked = UINT64_MAX;
	all->by_slot[slot] = n;
	return n;
}

static struct neighbour *neighbour_new(struct neighbours *all)
{
	uint32_t slot = slots_take(&all->free);

	if (slot == SLOT_NONE && all->idle) {
		neighbour_free(all, all->idle);
		slot = slots_take(&all->free);
	}
	return slot == SLOT_NONE ? NULL : neighbour_at(all, slot);
}

struct neighbour *neighbour_inherit(struct neighbours *all, uint32_t slot)
{
	struct neighbour *n = neighbour_of(all, slot);

	if (n || !slots_claim(&all->free, slot))
		return n;
	n = neighbour_at(all, slot);
	if (n)
		n->inherited = all->slots[slot].hop.state == RSIP_NEXTHOP_VALID;
	return n;
}

/* --- the way to somebody ----------------------------------------------------------------- */

static bool is_valid(const struct netlink_neigh *neigh)
{
	return (neigh->state & NEIGH_VALID) && neigh->has_mac;
}

/* Does a slot of an earlier daemon say what the kernel says of that neighbour? */
static bool says_the_same(const struct neighbours *all, const struct neighbour *n, const struct interface *interface,
			  __be32 addr)
{
	struct netlink_neigh now;
	struct rsip_nexthop want;

	if (!n->inherited || n->interface || netlink_neigh_get(all->netlink, interface->link.ifindex, addr, &now) ||
	    !is_valid(&now))
		return false;
	want = way_through(&interface->link, now.mac);
	return !memcmp(&all->slots[n->slot].hop, &want, sizeof(want));
}

/*
 * The neighbour with that address, for somebody whose way led through `from` so far: what
 * that has from an earlier daemon goes on until we know better. NULL: no room.
 */
static struct neighbour *neighbour_get(struct neighbours *all, struct interface *interface, __be32 addr,
				       struct neighbour *from)
{
	struct neighbour *n = neighbour_find(all, interface->link.ifindex, addr);

	if (n)
		return n;
	n = says_the_same(all, from, interface, addr) ? from : neighbour_new(all);
	if (!n)
		return NULL;
	n->key.ifindex = interface->link.ifindex;
	n->key.addr = addr;
	n->interface = interface;
	HASH_ADD(hh, all->by_key, key, sizeof(n->key), n);
	if (from->inherited && n != from) {
		n->inherited = true;
		store(&all->slots[n->slot], &all->slots[from->slot].hop);
	}
	publish(all, n);
	return n;
}

/* Takes over what the kernel says; NUD_NONE: nothing any more. A static entry needs nobody to keep it fresh. */
static void neighbour_set(struct neighbours *all, struct neighbour *n, const struct netlink_neigh *now)
{
	n->valid = is_valid(now);
	if (n->valid)
		memcpy(n->mac, now->mac, sizeof(n->mac));
	n->again = n->again && !n->valid;
	if (n->valid && !n->kept && !(now->state & (NUD_PERMANENT | NUD_NOARP)))
		n->kept = netlink_neigh_keep(all->netlink, n->key.ifindex, n->key.addr) == 0;
	if (now->state & NUD_FAILED) {
		reject(all, n);
		return;
	}
	if ((n->valid || now->state == NUD_NONE) && n->wait == WAIT_REJECTED)
		wait_end(all, n);
	publish(all, n);
	neighbour_left(all, n);
}

/* Asks the kernel for a neighbour's state. Unknown, or an earlier search failed: it is looked for. */
static void neighbour_look(struct neighbours *all, struct neighbour *n)
{
	struct netlink_neigh now;

	if (netlink_neigh_get(all->netlink, n->key.ifindex, n->key.addr, &now) == 0 && (now.state & NEIGH_VALID)) {
		neighbour_set(all, n, &now);
		return;
	}
	n->asked = all->now;
	netlink_neigh_ask(all->netlink, n->key.ifindex, n->key.addr);
}

struct neighbour *neighbour_unknown(struct neighbours *all)
{
	return &all->fixed[UNRESOLVED_SLOT];
}

struct neighbour *neighbour_towards(struct neighbours *all, __be32 dst, bool public_side, struct neighbour *from,
				    struct interface **interface)
{
	struct neighbour *n;
	__be32 addr;

	*interface = interface_towards(all->interfaces, dst, public_side, &addr);
	if (!*interface)
		return &all->fixed[all->reject_slot];
	n = neighbour_get(all, *interface, addr, from);
	if (!n)
		return neighbour_unknown(all);
	if (n->wait == WAIT_REJECTED)
		*interface = NULL;
	else if (!n->valid && n->asked != all->now)
		neighbour_look(all, n);
	return n;
}

/* --- what the kernel tells --------------------------------------------------------------- */

void neighbour_event(struct neighbours *all, const struct netlink_neigh *event, bool gone)
{
	struct neighbour *n = neighbour_find(all, event->ifindex, event->addr);
	struct netlink_neigh now = *event;

	if (!n)
		return;
	if (gone) {
		/* What the kernel was told to keep went with it; the next packet asks again. */
		n->kept = false;
		now.state = NUD_NONE;
	}
	neighbour_set(all, n, &now);
}

void neighbours_look(struct neighbours *all)
{
	struct netlink_neigh now;
	struct neighbour *n, *next;

	HASH_ITER(hh, all->by_key, n, next) {
		if (netlink_neigh_get(all->netlink, n->key.ifindex, n->key.addr, &now))
			now = (struct netlink_neigh){ .state = NUD_NONE };
		n->kept = n->kept && now.state != NUD_NONE;
		neighbour_set(all, n, &now);
	}
}

void neighbours_changed(struct neighbours *all, const struct interface *interface)
{
	struct neighbour *n, *next;

	HASH_ITER(hh, all->by_key, n, next) {
		if (n->interface != interface)
			continue;
		if (n->wait == WAIT_REJECTED)
			wait_end(all, n);
		n->again = true;
		publish(all, n);
		neighbour_left(all, n);
	}
}

void neighbours_unname(struct neighbours *all, const struct interface *interface)
{
	struct neighbour *n, *next;

	HASH_ITER(hh, all->by_key, n, next) {
		if (n->interface != interface)
			continue;
		wait_end(all, n);
		neighbour_unname(all, n);
		publish(all, n);
		neighbour_left(all, n);
	}
}

/* --- time ----------------------------------------------------------------------------------- */

static void neighbour_try_again(struct neighbours *all, struct neighbour *n)
{
	n->again = false;
	neighbour_look(all, n);
}

static void end_rejections(struct neighbours *all)
{
	while (all->rejected && all->now >= all->rejected->deadline) {
		struct neighbour *n = all->rejected;

		wait_end(all, n);
		publish(all, n);
		if (!n->routes && !n->hosts)
			neighbour_free(all, n);
		else if (n->again && n->interface)
			neighbour_try_again(all, n);
	}
}

static void end_idle(struct neighbours *all)
{
	while (all->idle && all->now >= all->idle->deadline)
		neighbour_free(all, all->idle);
}

struct neighbour *neighbours_tick(struct neighbours *all)
{
	end_rejections(all);
	end_idle(all);
	all->reject_slot = REJECT_FIRST + (all->reject_slot - REJECT_FIRST + 1) % REJECT_SLOTS;
	return &all->fixed[all->reject_slot];
}

/* --- life ------------------------------------------------------------------------------------ */

static void fix_slots(struct neighbours *all)
{
	for (uint32_t i = 0; i < FIXED_SLOTS; i++) {
		all->fixed[i].slot = i;
		all->by_slot[i] = &all->fixed[i];
		store_state(&all->slots[i].hop, i == UNRESOLVED_SLOT ? RSIP_NEXTHOP_UNRESOLVED : RSIP_NEXTHOP_REJECT);
	}
	all->reject_slot = REJECT_FIRST;
}

int neighbours_init(struct neighbours *all, struct netlink *netlink, const struct interfaces *interfaces,
		    struct nexthop_slot *slots, uint32_t slot_count)
{
	int err;

	all->netlink = netlink;
	all->interfaces = interfaces;
	all->slots = slots;
	all->slot_count = slot_count;
	all->by_slot = calloc(slot_count, sizeof(struct neighbour *));
	err = all->by_slot ? slots_init(&all->free, FIXED_SLOTS, slot_count) : -ENOMEM;
	if (!err)
		fix_slots(all);
	return err;
}

void neighbours_release(struct neighbours *all)
{
	struct neighbour *n, *next;

	HASH_ITER(hh, all->by_key, n, next) {
		if (n->kept)
			netlink_neigh_release(all->netlink, n->key.ifindex, n->key.addr);
		n->kept = false;
	}
}

void neighbours_fini(struct neighbours *all)
{
	HASH_CLEAR(hh, all->by_key);
	for (uint32_t i = FIXED_SLOTS; i < all->free.fresh; i++)
		free(all->by_slot[i]);
	slots_fini(&all->free);
	free(all->by_slot);
}
