/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Next hops: which MAC address on which device leads to a host or to a peer.
 * Fills rsip_nexthops and rsip_routes from the kernel's routes and neighbours
 * and follows them by netlink, so that the data plane never asks.
 *
 * There is a slot for each neighbour: a router, or a host or peer on a link.
 * Hosts name it in their binds, peers are led to it by the route cache, so that
 * the packets of all who are behind one router use one line of the processor's
 * cache. Hosts are reached by private interfaces, peers by public ones; anything
 * else is refused (EG-16).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <rsip/datapath.h>
#include "rsipd/config.h"
#include "rsipd/netlink.h"

struct nexthops;

/* An element of the mapping of rsip_nexthops: array elements are 8-byte aligned. */
struct nexthop_slot {
	struct rsip_nexthop hop;
} __attribute__((aligned(8)));

/* So many slots besides one for each host, which may all be on a link: peers, routers, and fixed ones. */
#define NEXTHOP_PEERS	65536

struct neighbour;

struct nexthop_host {			/* in its owner's struct of a host */
	__be32 addr;			/* set by the owner, as long as it is added; the rest is ours */
	struct neighbour *via;
	struct nexthop_host *prev, *next, *all_prev, *all_next;
};

struct nexthop_calls {
	/* The host that was added with that address, or NULL. */
	struct nexthop_host *(*find)(__be32 addr, void *arg);
	/* The host has another slot than it had: its binds have to name it before this returns. Not
	 * from within nexthop_host_add() and nexthop_host_adopt(). */
	void (*moved)(struct nexthop_host *host, void *arg);
	void *arg;
};

/*
 * `slots` and `routes` are the mappings; `netlink` and they must outlive it. What an
 * earlier daemon put there stays in use until nexthops_settle(). 0 or -errno.
 */
int nexthops_new(const struct config *config, struct netlink *netlink, const struct nexthop_calls *calls,
		 struct nexthop_slot *slots, uint32_t slot_count, struct rsip_route *routes, struct nexthops **out);
/* Everything that shall live on has been added again: the rest goes, and what lives
 * on is looked up anew, at leisure and without a gap. */
void nexthops_settle(struct nexthops *nh, uint64_t now);
/* The kernel need not keep any neighbour fresh any more. */
void nexthops_release(struct nexthops *nh);
/* Neighbours stay kept, for the programs and the next daemon. */
void nexthops_free(struct nexthops *nh);

/* Leads to a host from now on; where no way is known, or no slot is free, packets to it pass through the daemon. */
void nexthop_host_add(struct nexthops *nh, struct nexthop_host *host);
/* The same for a host whose binds name `slot`, as an earlier daemon left them; without a look at
 * the way: what the slot says stays until nexthops_settle() has looked. */
void nexthop_host_adopt(struct nexthops *nh, struct nexthop_host *host, uint32_t slot);
void nexthop_host_remove(struct nexthops *nh, struct nexthop_host *host);
/* The slot that leads to it. */
uint32_t nexthop_host_slot(const struct nexthop_host *host);
/* The device by which a host is reached; 0: not known. */
uint32_t nexthop_host_device(const struct nexthops *nh, __be32 addr);

/* A packet that the data plane could not send: finds the way and sends it. */
void nexthop_packet(struct nexthops *nh, const struct rsip_event_resolve *event, uint64_t now);

/* Reads netlink's events. */
void nexthops_ready(struct nexthops *nh, uint64_t now);
/* Looks up again a part of the hosts whose ways may have changed, by events or by nexthops_settle(): some
 * milliseconds, whatever their number. Those in prefixes that changed come first. true: some are left. */
bool nexthops_recheck(struct nexthops *nh, uint64_t now);
/* Since the last call: is one of the interfaces another device than it was (made anew,
 * or the VLAN is on another one)? */
bool nexthops_moved(struct nexthops *nh);
/* Once a second: what was refused may be tried again, what nobody uses is forgotten. */
void nexthops_tick(struct nexthops *nh, uint64_t now);
