// SPDX-License-Identifier: GPL-2.0-only
/*
 *   rsip_routes: peer -> slot \
 *                              slot -> hop -> neighbour (device, address -> MAC)
 *   client, bind: slot        /
 *
 * A hop is the daemon's side of a slot of rsip_nexthops. The routes say through
 * which neighbour it goes; the neighbour's MAC address and its device's state
 * make what the data plane reads.
 */
#include "rsipd/nexthop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <uthash.h>
#include <utlist.h>

#include "lib/log.h"
#include "rsipd/slots.h"
#include "rsipd/split.h"

#define REJECT_MS	2000	/* no way: not tried again before */
#define IDLE_MS		60000	/* a hop that no route names is kept so long */
#define TICK_MS		1000
#define ROUTES		(RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS)
#define REFRESH_S	600	/* every route is looked up again after so many seconds */
#define CHANGES_MAX	16	/* prefixes remembered one by one; more: everything */
#define RECHECK_MAX	4096	/* hosts looked up again in one go */
#define RECHECK_SCAN	65536	/* slots passed over in one go */
#define NEIGH_VALID	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

/*
 * A destination that is refused has a route to one of these slots, which stay
 * REJECT. They are used for a second each, in turn; before one is used again
 * the routes to it are dropped, so a refusal lasts 2 to 3 seconds.
 */
#define REJECT_SLOTS	3

struct port {			/* a configured interface */
	char name[IF_NAMESIZE];
	bool public_side;
	struct netlink_link link;
};

struct neighbour {
	struct {
		uint32_t ifindex;
		__be32 addr;
	} key;
	struct port *port;
	bool valid, kept;	/* kept: the kernel was told to keep it fresh */
	uint8_t mac[6];
	struct hop *hops;	/* that go through it */
	struct hop *peers;	/* the one of them that peers share, or NULL */
	UT_hash_handle hh;
};

enum hop_kind { HOP_FREE, HOP_HOST, HOP_PEERS };
enum hop_wait { WAIT_NO, WAIT_REJECTED, WAIT_IDLE };

struct hop {
	enum hop_kind kind;
	enum hop_wait wait;
	bool inherited;		/* the slot says what an earlier daemon found, until we know better */
	__be32 dst;		/* HOP_HOST */
	uint32_t refs;		/* HOP_PEERS: routes that name it */
	uint64_t deadline;	/* while waiting, ms */
	struct neighbour *via;	/* NULL: no way known */
	struct hop *prev, *next;		/* in via->hops */
	struct hop *wait_prev, *wait_next;	/* in a queue, soonest first */
};

struct changes {		/* what routes changed about */
	struct addr_prefix prefix[CHANGES_MAX];
	unsigned int count;	/* above CHANGES_MAX: everything */
};

struct nexthops {
	struct netlink *netlink;
	struct port *ports;
	size_t port_count;
	struct nexthop_slot *slots;
	uint32_t slot_count;
	struct rsip_route *routes;
	struct hop *hops;	/* by slot */
	struct slots free;
	struct neighbour *neighbours;
	struct hop *rejected, *idle;	/* queues */
	uint32_t reject_slot, victim, refresh;
	uint64_t now, next_tick;
	struct changes changed;		/* since the events before were dealt with */
	struct changes checking, check_next;	/* the pass over the hosts, and what came after it started */
	uint32_t cursor;	/* slot the pass is at; slot_count: no pass */
	bool moved;		/* an interface is another device now */
	int raw;		/* sends handed packets */
	struct log_limit limit;
};

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

static uint32_t slot_of(const struct nexthops *nh, const struct hop *hop)
{
	return (uint32_t)(hop - nh->hops);
}

static void publish(struct nexthops *nh, struct hop *hop)
{
	const struct neighbour *via = hop->via;
	struct rsip_nexthop want = { .state = RSIP_NEXTHOP_UNRESOLVED };

	if (hop->wait == WAIT_REJECTED) {
		want.state = RSIP_NEXTHOP_REJECT;
	} else if (hop->inherited && !(via && via->valid)) {
		return;
	} else if (via && via->valid && via->port->link.up) {
		const struct netlink_link *link = &via->port->link;

		want = (struct rsip_nexthop){
			.state = RSIP_NEXTHOP_VALID, .ifindex = link->lower, .mtu = link->mtu,
		};
		memcpy(want.vlan, link->vlan, sizeof(want.vlan));
		memcpy(want.dst, via->mac, sizeof(want.dst));
		memcpy(want.src, link->mac, sizeof(want.src));
	}
	hop->inherited = false;
	store(&nh->slots[slot_of(nh, hop)], &want);
}

/* --- waiting ------------------------------------------------------------------------ */

static void wait_end(struct nexthops *nh, struct hop *hop)
{
	if (hop->wait == WAIT_REJECTED)
		DL_DELETE2(nh->rejected, hop, wait_prev, wait_next);
	else if (hop->wait == WAIT_IDLE)
		DL_DELETE2(nh->idle, hop, wait_prev, wait_next);
	hop->wait = WAIT_NO;
}

static void reject(struct nexthops *nh, struct hop *hop)
{
	wait_end(nh, hop);
	hop->wait = WAIT_REJECTED;
	hop->deadline = nh->now + REJECT_MS;
	DL_APPEND2(nh->rejected, hop, wait_prev, wait_next);
	publish(nh, hop);
}

/* --- neighbours --------------------------------------------------------------------- */

static struct neighbour *neighbour_find(const struct nexthops *nh, uint32_t ifindex, __be32 addr)
{
	struct neighbour *found, key = { .key = { ifindex, addr } };

	HASH_FIND(hh, nh->neighbours, &key.key, sizeof(key.key), found);
	return found;
}

/* Takes over what the kernel says; NUD_NONE: nothing any more. A static entry needs nobody to keep it fresh. */
static void neighbour_set(struct nexthops *nh, struct neighbour *n, const struct netlink_neigh *now)
{
	struct hop *hop, *next;

	n->valid = (now->state & NEIGH_VALID) && now->has_mac;
	if (n->valid)
		memcpy(n->mac, now->mac, sizeof(n->mac));
	if (n->valid && !n->kept && !(now->state & (NUD_PERMANENT | NUD_NOARP)))
		n->kept = netlink_neigh_keep(nh->netlink, n->key.ifindex, n->key.addr) == 0;
	DL_FOREACH_SAFE(n->hops, hop, next) {
		if (now->state & NUD_FAILED) {
			reject(nh, hop);
			continue;
		}
		if ((n->valid || now->state == NUD_NONE) && hop->wait == WAIT_REJECTED)
			wait_end(nh, hop);
		publish(nh, hop);
	}
}

static struct neighbour *neighbour_get(struct nexthops *nh, struct port *port, __be32 addr)
{
	struct neighbour *n = neighbour_find(nh, port->link.ifindex, addr);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->key.ifindex = port->link.ifindex;
	n->key.addr = addr;
	n->port = port;
	HASH_ADD(hh, nh->neighbours, key, sizeof(n->key), n);
	return n;
}

static void neighbour_drop(struct nexthops *nh, struct neighbour *n)
{
	if (n->kept)
		netlink_neigh_release(nh->netlink, n->key.ifindex, n->key.addr);
	HASH_DEL(nh->neighbours, n);
	free(n);
}

/* --- hops --------------------------------------------------------------------------- */

static void hop_leave(struct nexthops *nh, struct hop *hop)
{
	struct neighbour *via = hop->via;

	if (!via)
		return;
	DL_DELETE(via->hops, hop);
	if (via->peers == hop)
		via->peers = NULL;
	hop->via = NULL;
	if (!via->hops)
		neighbour_drop(nh, via);
}

/* Asks the kernel for a neighbour's state. Unknown, or an earlier search failed: it is looked for. */
static void neighbour_look(struct nexthops *nh, struct neighbour *n)
{
	struct netlink_neigh now;

	if (netlink_neigh_get(nh->netlink, n->key.ifindex, n->key.addr, &now) == 0 && (now.state & NEIGH_VALID))
		neighbour_set(nh, n, &now);
	else
		netlink_neigh_ask(nh->netlink, n->key.ifindex, n->key.addr);
}

/* Leads a hop through a neighbour. false: memory is short. */
static bool hop_lead(struct nexthops *nh, struct hop *hop, struct port *port, __be32 addr)
{
	struct neighbour *n = neighbour_get(nh, port, addr);

	if (!n)
		return false;
	if (hop->via != n) {
		hop_leave(nh, hop);
		hop->via = n;
		DL_APPEND(n->hops, hop);
	}
	wait_end(nh, hop);
	if (!n->valid)
		neighbour_look(nh, n);
	if (hop->wait == WAIT_NO)
		publish(nh, hop);
	return true;
}

static struct hop *hop_new(struct nexthops *nh, enum hop_kind kind)
{
	uint32_t slot = slots_take(&nh->free);
	struct hop *hop;

	if (slot == SLOT_NONE)
		return NULL;
	hop = &nh->hops[slot];
	*hop = (struct hop){ .kind = kind };
	return hop;
}

static void hop_free(struct nexthops *nh, struct hop *hop)
{
	wait_end(nh, hop);
	hop_leave(nh, hop);
	hop->kind = HOP_FREE;
	hop->inherited = false;
	publish(nh, hop);
	slots_give(&nh->free, slot_of(nh, hop));
}

/* --- routes: where the kernel would send ---------------------------------------------- */

static struct port *port_by_ifindex(const struct nexthops *nh, uint32_t ifindex)
{
	for (size_t i = 0; i < nh->port_count; i++)
		if (nh->ports[i].link.ifindex == ifindex)
			return &nh->ports[i];
	return NULL;
}

/* The interface and neighbour that lead to `dst`, if packets of that side may take them; else NULL. */
static struct port *way_to(struct nexthops *nh, __be32 dst, bool public_side, __be32 *neighbour)
{
	struct netlink_route route;
	struct port *port;

	if (netlink_route_get(nh->netlink, dst, &route) || route.type != RTN_UNICAST)
		return NULL;
	port = port_by_ifindex(nh, route.ifindex);
	if (!port || port->public_side != public_side || !port->link.ethernet)
		return NULL;
	*neighbour = route.gateway ? route.gateway : dst;
	return port;
}

static bool host_resolve(struct nexthops *nh, struct hop *hop)
{
	__be32 neighbour;
	struct port *port = way_to(nh, hop->dst, false, &neighbour);

	if (port && hop_lead(nh, hop, port, neighbour))
		return true;
	hop_leave(nh, hop);
	reject(nh, hop);
	return false;
}

static struct hop *peers_through(struct nexthops *nh, struct port *port, __be32 addr)
{
	struct neighbour *n = neighbour_find(nh, port->link.ifindex, addr);
	struct hop *hop = n ? n->peers : NULL;

	if (hop && hop->wait == WAIT_REJECTED)
		return hop;
	if (!hop) {
		hop = hop_new(nh, HOP_PEERS);
		if (!hop)
			return NULL;
	}
	if (!hop_lead(nh, hop, port, addr)) {
		hop_free(nh, hop);
		return NULL;
	}
	hop->via->peers = hop;
	return hop;
}

/* --- the route cache -------------------------------------------------------------------- */

static struct hop *peers_by_slot(const struct nexthops *nh, uint32_t slot)
{
	return slot < nh->slot_count && nh->hops[slot].kind == HOP_PEERS ? &nh->hops[slot] : NULL;
}

static void hop_unref(struct nexthops *nh, struct hop *hop)
{
	if (!hop || --hop->refs)
		return;
	wait_end(nh, hop);
	hop->wait = WAIT_IDLE;
	hop->deadline = nh->now + IDLE_MS;
	DL_APPEND2(nh->idle, hop, wait_prev, wait_next);
}

static void route_store(struct nexthops *nh, uint32_t at, __be32 addr, uint32_t slot)
{
	struct rsip_route old = nh->routes[at], want = { .addr = addr, .nexthop = slot };
	struct hop *hop = addr ? peers_by_slot(nh, slot) : NULL;
	__u64 word;

	if (!memcmp(&old, &want, sizeof(old)))
		return;
	if (hop)
		hop->refs++;
	memcpy(&word, &want, sizeof(word));
	__atomic_store_n((__u64 *)&nh->routes[at], word, __ATOMIC_RELEASE);
	if (old.addr)
		hop_unref(nh, peers_by_slot(nh, old.nexthop));
}

static void route_clear(struct nexthops *nh, uint32_t at)
{
	route_store(nh, at, 0, 0);
}

/* The way of the set that holds `addr`, or a free one, or the next to be replaced. */
static uint32_t route_place(struct nexthops *nh, __be32 addr)
{
	uint32_t first = rsip_route_set(addr) * RSIP_ROUTE_WAYS, free_way = RSIP_ROUTE_WAYS;

	for (uint32_t i = 0; i < RSIP_ROUTE_WAYS; i++) {
		if (nh->routes[first + i].addr == addr)
			return first + i;
		if (!nh->routes[first + i].addr && free_way == RSIP_ROUTE_WAYS)
			free_way = i;
	}
	return first + (free_way < RSIP_ROUTE_WAYS ? free_way : nh->victim++ % RSIP_ROUTE_WAYS);
}

static bool peer_resolve(struct nexthops *nh, __be32 peer, struct port **port)
{
	struct hop *hop = NULL;
	__be32 neighbour;

	*port = way_to(nh, peer, true, &neighbour);
	if (*port)
		hop = peers_through(nh, *port, neighbour);
	route_store(nh, route_place(nh, peer), peer, hop ? slot_of(nh, hop) : nh->reject_slot);
	return hop && nh->slots[slot_of(nh, hop)].hop.state != RSIP_NEXTHOP_REJECT;
}

/* --- handed packets ------------------------------------------------------------------------ */

struct handed {			/* a packet on its way out, for split_packet() */
	struct nexthops *nh;
	const struct port *port;
	__be32 dst;
};

/*
 * The kernel finds the neighbour and holds the packet meanwhile. It leaves the
 * packet alone but for an Identification of 0 without DF, which it replaces.
 */
static bool send_part(const uint8_t *packet, size_t len, void *arg)
{
	const struct handed *handed = arg;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = handed->dst };
	struct iovec data = { (void *)packet, len };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = { 0 };
	struct msghdr message = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &data, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct in_pktinfo info = { .ipi_ifindex = (int)handed->port->link.ifindex };

	control.header.cmsg_level = IPPROTO_IP;
	control.header.cmsg_type = IP_PKTINFO;
	control.header.cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
	return sendmsg(handed->nh->raw, &message, MSG_DONTWAIT) >= 0;
}

/* What stands in front of a host's packet in its tunnel: IPv4, and GRE. */
static size_t tunnel_headers(const struct rsip_event_resolve *event)
{
	const struct iphdr *outer = (const void *)event->packet;

	if (!event->inbound)
		return 0;
	return sizeof(*outer) + (outer->protocol == RSIP_PROTO_GRE ? 4 : 0);
}

/* The kernel does not fragment what a raw socket sends. A host gets fragments of its packet, not of the tunnel's. */
static void send_packet(struct nexthops *nh, const struct rsip_event_resolve *event, const struct port *port)
{
	struct handed handed = { nh, port, event->dst };
	int err = 0;

	if (event->len > port->link.mtu)
		err = split_packet(event->packet, event->len, tunnel_headers(event), port->link.mtu, send_part, &handed);
	else if (!send_part(event->packet, event->len, &handed))
		err = -errno;
	if (err && log_allowed(&nh->limit, 5, nh->now)) {
		char text[ADDR_TEXT_LEN];

		log_warn("next hop: a packet of %u bytes to %s through %s is lost: %s", event->len,
			 addr_text(event->dst, text), port->name, strerror(-err));
	}
}

void nexthop_packet(struct nexthops *nh, const struct rsip_event_resolve *event, uint64_t now)
{
	struct port *port = NULL;
	struct hop *hop;

	nh->now = now;
	if (event->inbound) {
		hop = event->nexthop < nh->slot_count ? &nh->hops[event->nexthop] : NULL;
		/* A packet may come late: the slot has ended, or was given to another host. */
		if (!hop || hop->kind != HOP_HOST || hop->dst != event->dst)
			return;
		if (hop->wait != WAIT_REJECTED && host_resolve(nh, hop) && hop->wait == WAIT_NO)
			port = hop->via->port;
	} else if (!peer_resolve(nh, event->dst, &port)) {
		return;
	}
	if (port)
		send_packet(nh, event, port);
}

/* --- hosts ----------------------------------------------------------------------------------- */

int nexthop_host_add(struct nexthops *nh, __be32 host, uint32_t *slot)
{
	struct hop *hop = hop_new(nh, HOP_HOST);

	if (!hop)
		return -ENOSPC;
	hop->dst = host;
	host_resolve(nh, hop);
	*slot = slot_of(nh, hop);
	return 0;
}

int nexthop_host_adopt(struct nexthops *nh, __be32 host, uint32_t *slot)
{
	struct hop *hop;

	if (*slot < REJECT_SLOTS || !slots_claim(&nh->free, *slot)) {
		hop = hop_new(nh, HOP_HOST);
		if (!hop)
			return -ENOSPC;
		hop->dst = host;
		publish(nh, hop);
		*slot = slot_of(nh, hop);
		return 0;
	}
	nh->hops[*slot] = (struct hop){ .kind = HOP_HOST, .inherited = true, .dst = host };
	return 0;
}

void nexthop_host_remove(struct nexthops *nh, uint32_t slot)
{
	if (slot < nh->slot_count && nh->hops[slot].kind == HOP_HOST)
		hop_free(nh, &nh->hops[slot]);
}

/* --- what netlink tells ------------------------------------------------------------------------ */

static void changes_add(struct changes *changes, const struct addr_prefix *prefix)
{
	if (!prefix->length)
		changes->count = CHANGES_MAX + 1;
	else if (changes->count < CHANGES_MAX)
		changes->prefix[changes->count++] = *prefix;
	else
		changes->count = CHANGES_MAX + 1;
}

static bool changes_touch(const struct changes *changes, __be32 addr)
{
	if (changes->count > CHANGES_MAX)
		return true;
	for (unsigned int i = 0; i < changes->count; i++)
		if (addr_in_prefix(addr, &changes->prefix[i]))
			return true;
	return false;
}

static void on_route(const struct addr_prefix *changed, void *arg)
{
	struct nexthops *nh = arg;

	changes_add(&nh->changed, changed);
}

static void everything_changed(struct nexthops *nh)
{
	nh->changed.count = CHANGES_MAX + 1;
}

/* Once for all events that came together: peers' routes are forgotten now, hosts looked up again. */
static void routes_changed(struct nexthops *nh)
{
	for (uint32_t i = 0; i < ROUTES; i++)
		if (nh->routes[i].addr && changes_touch(&nh->changed, nh->routes[i].addr))
			route_clear(nh, i);
	for (unsigned int i = 0; i < nh->changed.count && i < CHANGES_MAX; i++)
		changes_add(&nh->check_next, &nh->changed.prefix[i]);
	if (nh->changed.count > CHANGES_MAX)
		nh->check_next.count = CHANGES_MAX + 1;
	nh->changed.count = 0;
}

static void publish_port(struct nexthops *nh, const struct port *port)
{
	struct neighbour *n, *next;
	struct hop *hop;

	HASH_ITER(hh, nh->neighbours, n, next)
		if (n->port == port)
			DL_FOREACH(n->hops, hop)
				publish(nh, hop);
}

static struct port *port_by_name(const struct nexthops *nh, const char *name)
{
	for (size_t i = 0; i < nh->port_count; i++)
		if (!strcmp(nh->ports[i].name, name))
			return &nh->ports[i];
	return NULL;
}

/* An interface was made anew under its old name: what was known by its old index is of no use. */
static void port_move(struct nexthops *nh, struct port *port)
{
	struct neighbour *n, *next;

	HASH_ITER(hh, nh->neighbours, n, next) {
		bool last = n->port != port;

		while (!last) {
			struct hop *hop = n->hops;

			last = !hop->next;	/* then the neighbour goes as well */
			wait_end(nh, hop);
			hop_leave(nh, hop);
			publish(nh, hop);
		}
	}
	log_info("%s was made anew", port->name);
}

static void on_link(const struct netlink_link *link, bool gone, void *arg)
{
	struct nexthops *nh = arg;
	struct port *port = port_by_ifindex(nh, link->ifindex);
	struct netlink_link now = *link;

	if (!port && !gone)
		port = port_by_name(nh, link->name);
	if (!port)
		return;
	if (gone)
		now.up = false;
	else if (netlink_link_get(nh->netlink, link->ifindex, NULL, &now))
		return;		/* gone meanwhile: the next event says so */
	if (port->link.ifindex != now.ifindex)
		port_move(nh, port);
	if (port->link.ifindex != now.ifindex || port->link.lower != now.lower)
		nh->moved = true;
	if (port->link.up != now.up)
		log_info("%s is %s", port->name, now.up ? "up" : gone ? "gone" : "down");
	/* The kernel drops the neighbours with either, and routes without telling. */
	if (port->link.up != now.up || port->link.ifindex != now.ifindex ||
	    memcmp(port->link.mac, now.mac, sizeof(now.mac)))
		everything_changed(nh);
	port->link = now;
	publish_port(nh, port);
}

static void on_neigh(const struct netlink_neigh *neigh, bool gone, void *arg)
{
	struct nexthops *nh = arg;
	struct neighbour *n = neighbour_find(nh, neigh->ifindex, neigh->addr);
	struct netlink_neigh now = *neigh;

	if (!n)
		return;
	if (gone) {
		/* What the kernel was told to keep went with it; the next packet asks again. */
		n->kept = false;
		now.state = NUD_NONE;
	}
	neighbour_set(nh, n, &now);
}

static void on_lost(void *arg)
{
	struct nexthops *nh = arg;
	struct netlink_neigh now;
	struct neighbour *n, *next;

	if (log_allowed(&nh->limit, 1, nh->now))
		log_warn("netlink: events were lost; looking at everything again");
	for (size_t i = 0; i < nh->port_count; i++) {
		struct netlink_link link;

		if (netlink_link_get(nh->netlink, 0, nh->ports[i].name, &link) == 0)
			on_link(&link, false, nh);
		else
			on_link(&nh->ports[i].link, true, nh);
	}
	HASH_ITER(hh, nh->neighbours, n, next) {
		if (netlink_neigh_get(nh->netlink, n->key.ifindex, n->key.addr, &now))
			now = (struct netlink_neigh){ .state = NUD_NONE };
		n->kept = n->kept && now.state != NUD_NONE;
		neighbour_set(nh, n, &now);
	}
	everything_changed(nh);
}

/* Looks up again the hosts that changed routes may concern: a part of them in each call. */
static void recheck(struct nexthops *nh)
{
	uint32_t looked = 0, end;

	if (nh->cursor >= nh->slot_count) {
		if (!nh->check_next.count)
			return;
		nh->checking = nh->check_next;
		nh->check_next.count = 0;
		nh->cursor = REJECT_SLOTS;
	}
	end = nh->free.fresh - nh->cursor > RECHECK_SCAN ? nh->cursor + RECHECK_SCAN : nh->free.fresh;
	for (; nh->cursor < end && looked < RECHECK_MAX; nh->cursor++) {
		struct hop *hop = &nh->hops[nh->cursor];

		if (hop->kind != HOP_HOST || !changes_touch(&nh->checking, hop->dst))
			continue;
		host_resolve(nh, hop);
		looked++;
	}
	if (nh->cursor >= nh->free.fresh)
		nh->cursor = nh->slot_count;
}

void nexthops_ready(struct nexthops *nh, uint64_t now)
{
	const struct netlink_events events = {
		.link = on_link, .neigh = on_neigh, .route = on_route, .lost = on_lost, .arg = nh,
	};

	nh->now = now;
	netlink_read(nh->netlink, &events);
	if (nh->changed.count)
		routes_changed(nh);
	recheck(nh);
}

bool nexthops_moved(struct nexthops *nh)
{
	bool moved = nh->moved;

	nh->moved = false;
	return moved;
}

/* --- time --------------------------------------------------------------------------------------- */

static void end_rejections(struct nexthops *nh)
{
	while (nh->rejected && nh->now >= nh->rejected->deadline) {
		struct hop *hop = nh->rejected;

		wait_end(nh, hop);
		publish(nh, hop);
		if (hop->kind == HOP_PEERS && !hop->refs)
			hop_free(nh, hop);
	}
	nh->reject_slot = (nh->reject_slot + 1) % REJECT_SLOTS;
	for (uint32_t i = 0; i < ROUTES; i++)
		if (nh->routes[i].addr && nh->routes[i].nexthop == nh->reject_slot)
			route_clear(nh, i);
}

static void end_idle(struct nexthops *nh)
{
	while (nh->idle && nh->now >= nh->idle->deadline)
		hop_free(nh, nh->idle);
}

static void refresh_some(struct nexthops *nh)
{
	for (uint32_t i = 0; i < ROUTES / REFRESH_S + 1; i++) {
		route_clear(nh, nh->refresh);
		nh->refresh = (nh->refresh + 1) % ROUTES;
	}
}

void nexthops_tick(struct nexthops *nh, uint64_t now)
{
	nh->now = now;
	if (now < nh->next_tick)
		return;
	nh->next_tick = now + TICK_MS;
	end_rejections(nh);
	end_idle(nh);
	refresh_some(nh);
	recheck(nh);
}

/* --- from an earlier daemon ---------------------------------------------------------------------- */

/* The slots that routes name are peers', before anybody else takes them. */
static void inherit_peers(struct nexthops *nh)
{
	for (uint32_t i = 0; i < ROUTES; i++) {
		uint32_t slot = nh->routes[i].nexthop;

		if (nh->routes[i].addr && slots_claim(&nh->free, slot))
			nh->hops[slot] = (struct hop){ .kind = HOP_PEERS, .inherited = true };
	}
}

/* Leads an inherited hop through the neighbour that the route has now; false: that has another hop. */
static bool inherit_way(struct nexthops *nh, struct hop *hop, struct port *port, __be32 addr)
{
	struct neighbour *n = neighbour_find(nh, port->link.ifindex, addr);

	if (hop->via)
		return hop->via == n;
	if ((n && n->peers) || !hop_lead(nh, hop, port, addr))
		return false;
	hop->via->peers = hop;
	return true;
}

/* A route stays if its slot still leads where the kernel would send; else the next packet asks. */
static void settle_route(struct nexthops *nh, uint32_t at)
{
	struct rsip_route route = nh->routes[at];
	struct hop *hop = peers_by_slot(nh, route.nexthop);
	struct port *port;
	__be32 neighbour;

	if (hop)
		hop->refs++;	/* the route's, which is counted off if it goes */
	port = hop ? way_to(nh, route.addr, true, &neighbour) : NULL;
	if (!port)
		route_clear(nh, at);
	else if (!inherit_way(nh, hop, port, neighbour))
		peer_resolve(nh, route.addr, &port);
}

void nexthops_settle(struct nexthops *nh, uint64_t now)
{
	nh->now = now;
	for (uint32_t i = 0; i < ROUTES; i++) {
		if (nh->routes[i].addr)
			settle_route(nh, i);
	}
	for (uint32_t i = REJECT_SLOTS; i < nh->slot_count; i++) {
		struct hop *hop = &nh->hops[i];

		if (hop->kind == HOP_PEERS && !hop->refs)
			hop_free(nh, hop);
		else if (hop->kind == HOP_FREE && nh->slots[i].hop.state)
			store_state(&nh->slots[i].hop, RSIP_NEXTHOP_UNRESOLVED);
	}
	nh->check_next.count = CHANGES_MAX + 1;
}

/* --- life ---------------------------------------------------------------------------------------- */

static int port_open(struct nexthops *nh, struct port *port, const char *name, bool public_side)
{
	int err = netlink_link_get(nh->netlink, 0, name, &port->link);

	if (err) {
		log_error("%s: cannot look at the interface: %s", name, strerror(-err));
		return err;
	}
	snprintf(port->name, sizeof(port->name), "%s", name);
	port->public_side = public_side;
	if (!port->link.ethernet)
		log_warn("%s is no Ethernet interface: nothing can be sent through it", name);
	return 0;
}

static int ports_open(struct nexthops *nh, const struct config *config)
{
	int err = 0;

	nh->ports = calloc(config->private_count + config->public_count, sizeof(*nh->ports));
	if (!nh->ports)
		return -ENOMEM;
	for (size_t i = 0; i < config->private_count && !err; i++)
		err = port_open(nh, &nh->ports[nh->port_count++], config->private_interfaces[i].name, false);
	for (size_t i = 0; i < config->public_count && !err; i++)
		err = port_open(nh, &nh->ports[nh->port_count++], config->public_interfaces[i].name, true);
	return err;
}

int nexthops_new(const struct config *config, struct netlink *netlink, struct nexthop_slot *slots,
		 uint32_t slot_count, struct rsip_route *routes, struct nexthops **out)
{
	struct nexthops *nh = calloc(1, sizeof(*nh));
	int err;

	if (!nh)
		return -ENOMEM;
	nh->netlink = netlink;
	nh->slots = slots;
	nh->slot_count = nh->cursor = slot_count;
	nh->routes = routes;
	nh->hops = calloc(slot_count, sizeof(*nh->hops));
	nh->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (nh->raw < 0)
		err = -errno;
	else
		err = nh->hops ? slots_init(&nh->free, REJECT_SLOTS, slot_count) : -ENOMEM;
	if (!err)
		err = ports_open(nh, config);
	if (err) {
		nexthops_free(nh);
		return err;
	}
	for (uint32_t i = 0; i < REJECT_SLOTS; i++)
		store_state(&nh->slots[i].hop, RSIP_NEXTHOP_REJECT);
	inherit_peers(nh);
	*out = nh;
	return 0;
}

void nexthops_release(struct nexthops *nh)
{
	struct neighbour *n, *next;

	HASH_ITER(hh, nh->neighbours, n, next) {
		if (n->kept)
			netlink_neigh_release(nh->netlink, n->key.ifindex, n->key.addr);
		n->kept = false;
	}
}

void nexthops_free(struct nexthops *nh)
{
	struct neighbour *n, *next;

	if (!nh)
		return;
	HASH_ITER(hh, nh->neighbours, n, next) {
		HASH_DEL(nh->neighbours, n);
		free(n);
	}
	slots_fini(&nh->free);
	free(nh->hops);
	free(nh->ports);
	if (nh->raw >= 0)
		close(nh->raw);
	free(nh);
}
