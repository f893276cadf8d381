// SPDX-License-Identifier: GPL-2.0-only
/*
 *   bind of a host: slot      \
 *                              slot = neighbour (device, address -> MAC)
 *   rsip_routes: peer -> slot /
 *
 * Hosts and their neighbours, and what netlink tells: the kernel's routes say
 * through which neighbour (neighbours.c) of which interface (interfaces.c) a host
 * or a peer (routes.c) is reached.
 */
#include "rsipd/nexthop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/log.h"
#include "rsipd/changes.h"
#include "rsipd/handed.h"
#include "rsipd/interfaces.h"
#include "rsipd/neighbours.h"
#include "rsipd/recheck.h"
#include "rsipd/routes.h"

#define TICK_MS		1000

struct nexthops {
	struct nexthop_calls calls;
	struct netlink *netlink;
	struct interfaces interfaces;
	struct neighbours neighbours;
	struct routes routes;
	struct handed handed;
	struct recheck recheck;		/* of hosts; it has them all */
	uint64_t next_tick;
	struct changes changed;		/* since the events before were dealt with */
	bool moved;		/* an interface is another device now */
	struct log_limit limit;
};

/* --- hosts ---------------------------------------------------------------------------- */

static void host_join(struct nexthops *nh, struct nexthop_host *host, struct neighbour *n)
{
	host->via = n;
	DL_APPEND(n->hosts, host);
	neighbour_used(&nh->neighbours, n);
}

/* Its binds name the new slot before the old one is anybody else's. */
static void host_lead(struct nexthops *nh, struct nexthop_host *host, struct neighbour *n)
{
	struct neighbour *before = host->via;

	if (n == before)
		return;
	DL_DELETE(before->hosts, host);
	host_join(nh, host, n);
	nh->calls.moved(host, nh->calls.arg);
	neighbour_left(&nh->neighbours, before);
}

/* By which interface packets to the host may leave right now, or NULL. */
static struct interface *host_resolve(struct nexthops *nh, struct nexthop_host *host)
{
	struct interface *interface;

	host_lead(nh, host, neighbour_towards(&nh->neighbours, host->addr, false, host->via, &interface));
	return interface;
}

static void host_register(struct nexthops *nh, struct nexthop_host *host, struct neighbour *n)
{
	host_join(nh, host, n);
	recheck_add(&nh->recheck, host);
}

void nexthop_host_add(struct nexthops *nh, struct nexthop_host *host)
{
	struct neighbours *neighbours = &nh->neighbours;
	struct interface *interface;

	host_register(nh, host, neighbour_towards(neighbours, host->addr, false, neighbour_unknown(neighbours), &interface));
}

void nexthop_host_adopt(struct nexthops *nh, struct nexthop_host *host, uint32_t slot)
{
	struct neighbour *n = slot < FIXED_SLOTS ? NULL : neighbour_inherit(&nh->neighbours, slot);

	host_register(nh, host, n ? n : neighbour_unknown(&nh->neighbours));
}

void nexthop_host_remove(struct nexthops *nh, struct nexthop_host *host)
{
	recheck_remove(&nh->recheck, host);
	DL_DELETE(host->via->hosts, host);
	neighbour_left(&nh->neighbours, host->via);
}

uint32_t nexthop_host_slot(const struct nexthop_host *host)
{
	return host->via->slot;
}

/* What the data plane reads of the way to it. */
static const struct rsip_nexthop *hop_of(const struct nexthops *nh, const struct nexthop_host *host)
{
	return &nh->neighbours.slots[host->via->slot].hop;
}

uint32_t nexthop_host_device(const struct nexthops *nh, __be32 addr)
{
	const struct nexthop_host *host = nh->calls.find(addr, nh->calls.arg);

	return host ? hop_of(nh, host)->ifindex : 0;
}

/* --- handed packets ------------------------------------------------------------------- */

void nexthop_packet(struct nexthops *nh, const struct rsip_event_resolve *event, uint64_t now)
{
	struct nexthop_host *host = NULL;
	struct interface *interface = NULL;

	nh->neighbours.now = now;
	if (event->inbound)
		host = nh->calls.find(event->dst, nh->calls.arg);	/* a packet may come late: it has gone */
	if (host && hop_of(nh, host)->state != RSIP_NEXTHOP_REJECT)
		interface = host_resolve(nh, host);
	else if (!event->inbound)
		interface = routes_resolve(&nh->routes, event->dst);
	if (interface)
		handed_send(&nh->handed, event, interface, now);
}

/* --- what netlink tells ----------------------------------------------------------------- */

static void on_route(const struct addr_prefix *changed, void *arg)
{
	struct nexthops *nh = arg;

	changes_add(&nh->changed, changed);
}

/* Once for all events that came together: peers' routes are forgotten now, hosts looked up again. */
static void ways_changed(struct nexthops *nh)
{
	routes_changed(&nh->routes, &nh->changed);
	recheck_changed(&nh->recheck, &nh->changed);
	nh->changed.count = 0;
}

static void on_link(const struct netlink_link *link, bool gone, void *arg)
{
	struct nexthops *nh = arg;
	struct interface *interface = interface_by_ifindex(&nh->interfaces, link->ifindex);
	struct netlink_link now = *link;

	if (!interface && !gone)
		interface = interface_by_name(&nh->interfaces, link->name);
	if (!interface)
		return;
	if (gone)
		now.up = false;
	else if (netlink_link_get(nh->netlink, link->ifindex, NULL, &now))
		return;		/* gone meanwhile: the next event says so */
	if (interface->link.ifindex != now.ifindex) {
		/* What was known by its old index is of no use. */
		neighbours_unname(&nh->neighbours, interface);
		log_info("%s was made anew", interface->name);
	}
	if (interface->link.ifindex != now.ifindex || interface->link.lower != now.lower)
		nh->moved = true;
	if (interface->link.up != now.up)
		log_info("%s is %s", interface->name, now.up ? "up" : gone ? "gone" : "down");
	/* The kernel drops the neighbours with either, and routes without telling. Down may be over by now. */
	if (interface->link.up != now.up || (interface->link.up && !link->up) || interface->link.ifindex != now.ifindex ||
	    memcmp(interface->link.mac, now.mac, sizeof(now.mac)))
		changes_add_everything(&nh->changed);
	interface->link = now;
	neighbours_changed(&nh->neighbours, interface);
}

static void on_neigh(const struct netlink_neigh *neigh, bool gone, void *arg)
{
	struct nexthops *nh = arg;

	neighbour_event(&nh->neighbours, neigh, gone);
}

static void on_lost(void *arg)
{
	struct nexthops *nh = arg;

	if (log_allowed(&nh->limit, 1, nh->neighbours.now))
		log_warn("netlink: events were lost; looking at everything again");
	for (size_t i = 0; i < nh->interfaces.count; i++) {
		const struct interface *interface = &nh->interfaces.at[i];
		struct netlink_link link;

		if (netlink_link_get(nh->netlink, 0, interface->name, &link) == 0)
			on_link(&link, false, nh);
		else
			on_link(&interface->link, true, nh);
	}
	neighbours_look(&nh->neighbours);
	changes_add_everything(&nh->changed);
}

void nexthops_ready(struct nexthops *nh, uint64_t now)
{
	const struct netlink_events events = {
		.link = on_link, .neigh = on_neigh, .route = on_route, .lost = on_lost, .arg = nh,
	};

	nh->neighbours.now = now;
	netlink_read(nh->netlink, &events);
	if (nh->changed.count)
		ways_changed(nh);
}

bool nexthops_recheck(struct nexthops *nh, uint64_t now)
{
	unsigned int work = RECHECK_PART;
	struct nexthop_host *host;

	nh->neighbours.now = now;
	for (host = recheck_next(&nh->recheck, &work); host; host = recheck_next(&nh->recheck, &work))
		host_resolve(nh, host);
	return recheck_pending(&nh->recheck);
}

bool nexthops_moved(struct nexthops *nh)
{
	bool moved = nh->moved;

	nh->moved = false;
	return moved;
}

/* --- time ------------------------------------------------------------------------------- */

/* Who may not be reached there may be reached by now: the next packet asks. */
static void leave(struct nexthops *nh, struct neighbour *refusing)
{
	routes_leave(&nh->routes, refusing);
	while (refusing->hosts)
		host_lead(nh, refusing->hosts, neighbour_unknown(&nh->neighbours));
}

void nexthops_tick(struct nexthops *nh, uint64_t now)
{
	nh->neighbours.now = now;
	if (now < nh->next_tick)
		return;
	nh->next_tick = now + TICK_MS;
	leave(nh, neighbours_tick(&nh->neighbours));
	routes_tick(&nh->routes);
}

void nexthops_settle(struct nexthops *nh, uint64_t now)
{
	struct changes everything = { 0 };

	changes_add_everything(&everything);
	nh->neighbours.now = now;
	routes_resolve_all(&nh->routes);
	recheck_changed(&nh->recheck, &everything);
}

/* --- life -------------------------------------------------------------------------------- */

int nexthops_new(const struct config *config, struct netlink *netlink, const struct nexthop_calls *calls,
		 struct nexthop_slot *slots, uint32_t slot_count, struct rsip_route *routes, struct nexthops **out)
{
	struct nexthops *nh = calloc(1, sizeof(*nh));
	int err;

	if (!nh)
		return -ENOMEM;
	nh->calls = *calls;
	nh->netlink = netlink;
	err = handed_init(&nh->handed);
	if (!err)
		err = interfaces_init(&nh->interfaces, config, netlink);
	if (!err)
		err = neighbours_init(&nh->neighbours, netlink, &nh->interfaces, slots, slot_count);
	if (err) {
		nexthops_free(nh);
		return err;
	}
	routes_init(&nh->routes, routes, &nh->neighbours);
	*out = nh;
	return 0;
}

void nexthops_release(struct nexthops *nh)
{
	neighbours_release(&nh->neighbours);
}

void nexthops_free(struct nexthops *nh)
{
	if (!nh)
		return;
	neighbours_fini(&nh->neighbours);
	interfaces_fini(&nh->interfaces);
	handed_fini(&nh->handed);
	free(nh);
}
