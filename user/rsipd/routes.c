// SPDX-License-Identifier: GPL-2.0-only
/* See routes.h. */
#include "rsipd/routes.h"

#include <string.h>

#define ROUTES		(RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS)
#define REFRESH_S	600	/* every route is looked up again after so many seconds */

static void route_store(struct routes *routes, uint32_t at, __be32 addr, struct neighbour *n)
{
	struct neighbours *neighbours = routes->neighbours;
	struct rsip_route old = routes->at[at], want = { .addr = addr, .nexthop = n ? n->slot : 0 };
	struct neighbour *before = old.addr ? neighbour_of(neighbours, old.nexthop) : NULL;
	__u64 word;

	if (!memcmp(&old, &want, sizeof(old)))
		return;
	if (addr) {
		n->routes++;
		neighbour_used(neighbours, n);
	}
	memcpy(&word, &want, sizeof(word));
	__atomic_store_n((__u64 *)&routes->at[at], word, __ATOMIC_RELEASE);
	if (before) {
		before->routes--;
		neighbour_left(neighbours, before);
	}
}

static void route_clear(struct routes *routes, uint32_t at)
{
	route_store(routes, at, 0, NULL);
}

/* The way of the set that holds `addr`, or a free one, or the next to be replaced. */
static uint32_t route_place(struct routes *routes, __be32 addr)
{
	uint32_t first = rsip_route_set(addr) * RSIP_ROUTE_WAYS, free_way = RSIP_ROUTE_WAYS;

	for (uint32_t i = 0; i < RSIP_ROUTE_WAYS; i++) {
		if (routes->at[first + i].addr == addr)
			return first + i;
		if (!routes->at[first + i].addr && free_way == RSIP_ROUTE_WAYS)
			free_way = i;
	}
	return first + (free_way < RSIP_ROUTE_WAYS ? free_way : routes->victim++ % RSIP_ROUTE_WAYS);
}

struct interface *routes_resolve(struct routes *routes, __be32 peer)
{
	struct neighbours *neighbours = routes->neighbours;
	uint32_t at = route_place(routes, peer);
	struct neighbour *from = neighbour_unknown(neighbours);
	struct interface *interface;

	if (routes->at[at].addr == peer)
		from = neighbour_of(neighbours, routes->at[at].nexthop);
	route_store(routes, at, peer, neighbour_towards(neighbours, peer, true, from, &interface));
	return interface;
}

void routes_resolve_all(struct routes *routes)
{
	for (uint32_t i = 0; i < ROUTES; i++)
		if (routes->at[i].addr)
			routes_resolve(routes, routes->at[i].addr);
}

void routes_changed(struct routes *routes, const struct changes *changes)
{
	for (uint32_t i = 0; i < ROUTES; i++)
		if (routes->at[i].addr && changes_touch(changes, routes->at[i].addr))
			route_clear(routes, i);
}

void routes_leave(struct routes *routes, const struct neighbour *n)
{
	for (uint32_t i = 0; i < ROUTES && n->routes; i++)
		if (routes->at[i].addr && routes->at[i].nexthop == n->slot)
			route_clear(routes, i);
}

void routes_tick(struct routes *routes)
{
	for (uint32_t i = 0; i < ROUTES / REFRESH_S + 1; i++) {
		route_clear(routes, routes->refresh);
		routes->refresh = (routes->refresh + 1) % ROUTES;
	}
}

void routes_init(struct routes *routes, struct rsip_route *mapping, struct neighbours *neighbours)
{
	routes->at = mapping;
	routes->neighbours = neighbours;
	for (uint32_t i = 0; i < ROUTES; i++) {
		struct neighbour *n = mapping[i].addr ? neighbour_inherit(neighbours, mapping[i].nexthop) : NULL;

		if (n)
			n->routes++;
		else
			mapping[i] = (struct rsip_route){ 0 };
	}
}
