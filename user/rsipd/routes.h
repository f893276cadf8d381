/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rsip_routes, the cache of ways to peers: which neighbour's slot leads to a
 * peer. A set of few ways for each peer's address; a full one replaces one way
 * after the other. A route names the neighbour that it counts on.
 */
#pragma once

#include <stdint.h>

#include <rsip/datapath.h>
#include "rsipd/changes.h"
#include "rsipd/neighbours.h"

struct routes {
	struct rsip_route *at;		/* the mapping */
	struct neighbours *neighbours;
	uint32_t victim, refresh;
};

/* What an earlier daemon left in the mapping stays, and takes the slots that it names. The mapping and
 * `neighbours` must outlive it. */
void routes_init(struct routes *routes, struct rsip_route *mapping, struct neighbours *neighbours);

/* Asks for the way to a peer and remembers it. The interface by which packets to it may leave right now, or NULL. */
struct interface *routes_resolve(struct routes *routes, __be32 peer);
/* The same for every peer that is known, without a gap. */
void routes_resolve_all(struct routes *routes);

/* Forgets those that may be others by now; the next packet asks again. */
void routes_changed(struct routes *routes, const struct changes *changes);
/* Forgets those that lead to that neighbour. */
void routes_leave(struct routes *routes, const struct neighbour *n);
/* Once a second: forgets some, so that each is asked for again within ten minutes. */
void routes_tick(struct routes *routes);
