/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Neighbours: the daemon's side of the slots of rsip_nexthops. A router, or a
 * host or peer on a link, has one; its MAC address and its device's state make
 * what the data plane reads. The kernel finds it and keeps it fresh as long as
 * somebody is led to it: who says so by neighbour_used() and neighbour_left().
 *
 * The first slots stand for no neighbour. One stays unresolved: packets to whom
 * it is the way pass through the daemon. The others stay REJECT: they are where
 * those go who may not be reached, one of them for a second each, in turn;
 * before it is used again everybody leaves it, so a refusal lasts 2 to 3 seconds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "rsipd/interfaces.h"
#include "rsipd/nexthop.h"
#include "rsipd/slots.h"

#define UNRESOLVED_SLOT	0
#define REJECT_FIRST	1
#define REJECT_SLOTS	3
#define FIXED_SLOTS	(REJECT_FIRST + REJECT_SLOTS)

enum neighbour_wait { WAIT_NO, WAIT_REJECTED, WAIT_IDLE };

struct neighbour {
	struct {
		uint32_t ifindex;
		__be32 addr;
	} key;
	struct interface *interface;	/* NULL: nobody knows whose the slot is: a fixed one, an inherited one, or one
					 * of a device that is no more */
	uint32_t slot;
	bool inherited;		/* the slot says what an earlier daemon found, until we know better */
	bool valid, kept;	/* kept: the kernel was told to keep it fresh */
	bool again;		/* its device changed: a search may have begun before that, and fails in vain */
	uint8_t mac[6];
	uint64_t asked;		/* ms: when a search for it was begun last; its many hosts need not begin one each */
	uint32_t routes;	/* that name it */
	struct nexthop_host *hosts;	/* that are reached through it */
	enum neighbour_wait wait;
	uint64_t deadline;	/* while waiting, ms */
	struct neighbour *wait_prev, *wait_next;	/* in a queue, soonest first */
	UT_hash_handle hh;
};

struct neighbours {
	struct netlink *netlink;
	const struct interfaces *interfaces;
	struct nexthop_slot *slots;	/* the mapping */
	uint32_t slot_count;
	struct neighbour **by_slot;
	struct neighbour *by_key;
	struct neighbour fixed[FIXED_SLOTS];
	struct slots free;
	struct neighbour *rejected, *idle;	/* queues */
	uint32_t reject_slot;
	uint64_t now;		/* ms, set by the owner before it calls anything */
};

/* The mapping and the others must outlive it. 0 or -errno; neighbours_fini() is right after either. */
int neighbours_init(struct neighbours *all, struct netlink *netlink, const struct interfaces *interfaces,
		    struct nexthop_slot *slots, uint32_t slot_count);
/* Slots and what the kernel keeps fresh stay as they are. */
void neighbours_fini(struct neighbours *all);
/* The kernel need not keep any of them fresh any more. */
void neighbours_release(struct neighbours *all);

/* What stands for those whose way is not known. */
struct neighbour *neighbour_unknown(struct neighbours *all);
/* Whose slot that is, or NULL. */
struct neighbour *neighbour_of(const struct neighbours *all, uint32_t slot);
/* A slot that somebody names since an earlier daemon, which goes on saying what it says. NULL: there
 * is no such slot. */
struct neighbour *neighbour_inherit(struct neighbours *all, uint32_t slot);

/*
 * Asks the kernel for the neighbour through which `dst` is reached; what stands for none if there is no way
 * for packets of that side, or no room. `from` is the one so far: what that has from an earlier daemon
 * goes on until we know better. *interface: by which packets may leave right now, or NULL.
 */
struct neighbour *neighbour_towards(struct neighbours *all, __be32 dst, bool public_side, struct neighbour *from,
				    struct interface **interface);
/* Somebody is led to it from now on, and is counted already. */
void neighbour_used(struct neighbours *all, struct neighbour *n);
/* Somebody has left, and is not counted any more: what nobody uses is kept for a minute, should they come back. */
void neighbour_left(struct neighbours *all, struct neighbour *n);

/* The kernel tells of a neighbour, which may be none of ours. */
void neighbour_event(struct neighbours *all, const struct netlink_neigh *event, bool gone);
/* The kernel told what nobody heard: asks it about each of them. */
void neighbours_look(struct neighbours *all);
/* The interface's link is another, or in another state: whoever did not answer through it may do so now. */
void neighbours_changed(struct neighbours *all, const struct interface *interface);
/* The interface was made anew: nobody knows any more whose the slots of its neighbours are. */
void neighbours_unname(struct neighbours *all, const struct interface *interface);

/* Once a second: what was refused may be tried again, what nobody used for long is given back. Returns
 * the slot that refuses next, which everybody must leave now. */
struct neighbour *neighbours_tick(struct neighbours *all);
