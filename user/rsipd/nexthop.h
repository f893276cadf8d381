/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Next hops: which MAC address on which device leads to a host or to a peer.
 * Fills rsip_nexthops and rsip_routes from the kernel's routes and neighbours
 * and follows them by netlink, so that the data plane never asks.
 *
 * A host has a slot of its own from registration to its end, since its binds
 * name that slot; its packets leave by a private interface. Peers share a slot
 * for each router or neighbour, found through the route cache; theirs leave by
 * a public interface. Anything else is refused (EG-16).
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

/* So many slots besides one for each host: routers and peers on a link, and fixed ones. */
#define NEXTHOP_PEERS	65536

/*
 * `slots` and `routes` are the mappings; `netlink` and they must outlive it. What an
 * earlier daemon put there stays in use until nexthops_settle(). 0 or -errno.
 */
int nexthops_new(const struct config *config, struct netlink *netlink, struct nexthop_slot *slots,
		 uint32_t slot_count, struct rsip_route *routes, struct nexthops **out);
/* Everything that shall live on has been added again: the rest goes, and what lives
 * on is looked up anew, at leisure and without a gap. */
void nexthops_settle(struct nexthops *nh, uint64_t now);
/* The kernel need not keep any neighbour fresh any more. */
void nexthops_release(struct nexthops *nh);
/* Neighbours stay kept, for the programs and the next daemon. */
void nexthops_free(struct nexthops *nh);

/* A slot that leads to a host, from now on. 0 or -ENOSPC. */
int nexthop_host_add(struct nexthops *nh, __be32 host, uint32_t *slot);
/* The same for a host that an earlier daemon gave *slot; without a look at the way: what
 * the slot says stays until nexthops_settle() has looked. *slot may become another. */
int nexthop_host_adopt(struct nexthops *nh, __be32 host, uint32_t *slot);
void nexthop_host_remove(struct nexthops *nh, uint32_t slot);

/* A packet that the data plane could not send: finds the way and sends it. */
void nexthop_packet(struct nexthops *nh, const struct rsip_event_resolve *event, uint64_t now);

/* Reads netlink's events. */
void nexthops_ready(struct nexthops *nh, uint64_t now);
/* Since the last call: is one of the interfaces another device than it was (made anew,
 * or the VLAN is on another one)? */
bool nexthops_moved(struct nexthops *nh);
/* Once a second: what was refused may be tried again, what nobody uses is forgotten. */
void nexthops_tick(struct nexthops *nh, uint64_t now);
