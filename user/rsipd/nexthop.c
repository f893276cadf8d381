// SPDX-License-Identifier: GPL-2.0-only
/*
 *   bind of a host: slot      \
 *                              slot = neighbour (device, address -> MAC)
 *   rsip_routes: peer -> slot /
 *
 * A neighbour is the daemon's side of a slot of rsip_nexthops. The kernel's
 * routes say who is reached through it; its MAC address and its device's state
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

#define REJECT_MS	2000	/* does not answer: not tried again before */
#define IDLE_MS		60000	/* a neighbour that nobody uses is kept so long */
#define TICK_MS		1000
#define ROUTES		(RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS)
#define REFRESH_S	600	/* every route is looked up again after so many seconds */
#define CHANGES_MAX	16	/* prefixes remembered one by one; more: everything */
#define RECHECK_MAX	4096	/* hosts looked up again in one go */
#define RECHECK_SCAN	65536	/* hosts passed over in one go */
#define NEIGH_VALID	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

/*
 * The first slots stand for no neighbour. One stays unresolved: packets to whom
 * it is the way pass through the daemon. The others stay REJECT: they are where
 * those go who may not be reached, one of them for a second each, in turn;
 * before it is used again everybody leaves it, so a refusal lasts 2 to 3 seconds.
 */
#define UNRESOLVED_SLOT	0
#define REJECT_FIRST	1
#define REJECT_SLOTS	3
#define FIXED_SLOTS	(REJECT_FIRST + REJECT_SLOTS)

struct port {			/* a configured interface */
	char name[IF_NAMESIZE];
	bool public_side;
	struct netlink_link link;
};

enum neighbour_wait { WAIT_NO, WAIT_REJECTED, WAIT_IDLE };

struct neighbour {
	struct {
		uint32_t ifindex;
		__be32 addr;
	} key;
	struct port *port;	/* NULL: nobody knows whose the slot is: a fixed one, an inherited one, or one of a device
				 * that is no more */
	uint32_t slot;
	bool inherited;		/* the slot says what an earlier daemon found, until we know better */
	bool valid, kept;	/* kept: the kernel was told to keep it fresh */
	bool again;		/* its device changed: a search may have begun before that, and fails in vain */
	uint8_t mac[6];
	uint32_t routes;	/* that name it */
	struct nexthop_host *hosts;	/* that are reached through it */
	enum neighbour_wait wait;
	uint64_t deadline;	/* while waiting, ms */
	struct neighbour *wait_prev, *wait_next;	/* in a queue, soonest first */
	UT_hash_handle hh;
};

struct changes {		/* what routes changed about */
	struct addr_prefix prefix[CHANGES_MAX];
	unsigned int count;	/* above CHANGES_MAX: everything */
};

struct nexthops {
	struct nexthop_calls calls;
	struct netlink *netlink;
	struct port *ports;
	size_t port_count;
	struct nexthop_slot *slots;
	uint32_t slot_count;
	struct rsip_route *routes;
	struct neighbour **by_slot;
	struct neighbour *by_key;
	struct neighbour fixed[FIXED_SLOTS];
	struct slots free;
	struct nexthop_host *hosts;	/* all of them */
	struct neighbour *rejected, *idle;	/* queues */
	uint32_t reject_slot, victim, refresh;
	uint64_t now, next_tick;
	struct changes changed;		/* since the events before were dealt with */
	struct changes checking, check_next;	/* the pass over the hosts, and what came after it started */
	struct nexthop_host *cursor;	/* the pass is at this one; NULL: no pass */
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

/* What leads through a device to a MAC address. */
static struct rsip_nexthop way_through(const struct netlink_link *link, const uint8_t mac[static 6])
{
	struct rsip_nexthop way = { .state = RSIP_NEXTHOP_VALID, .ifindex = link->lower, .mtu = link->mtu };

	memcpy(way.vlan, link->vlan, sizeof(way.vlan));
	memcpy(way.dst, mac, sizeof(way.dst));
	memcpy(way.src, link->mac, sizeof(way.src));
	return way;
}

static void publish(struct nexthops *nh, struct neighbour *n)
{
	struct rsip_nexthop want = { .state = RSIP_NEXTHOP_UNRESOLVED };

	if (n->wait == WAIT_REJECTED)
		want.state = RSIP_NEXTHOP_REJECT;
	else if (n->inherited && !n->valid)
		return;
	else if (n->valid && n->port->link.up)
		want = way_through(&n->port->link, n->mac);
	n->inherited = false;
	store(&nh->slots[n->slot], &want);
}

/* --- waiting ------------------------------------------------------------------------ */

static void wait_end(struct nexthops *nh, struct neighbour *n)
{
	if (n->wait == WAIT_REJECTED)
		DL_DELETE2(nh->rejected, n, wait_prev, wait_next);
	else if (n->wait == WAIT_IDLE)
		DL_DELETE2(nh->idle, n, wait_prev, wait_next);
	n->wait = WAIT_NO;
}

static void reject(struct nexthops *nh, struct neighbour *n)
{
	wait_end(nh, n);
	n->wait = WAIT_REJECTED;
	n->deadline = nh->now + REJECT_MS;
	DL_APPEND2(nh->rejected, n, wait_prev, wait_next);
	publish(nh, n);
}

/* --- neighbours come and go ---------------------------------------------------------- */

static struct neighbour *neighbour_find(const struct nexthops *nh, uint32_t ifindex, __be32 addr)
{
	struct neighbour *found, key = { .key = { ifindex, addr } };

	HASH_FIND(hh, nh->by_key, &key.key, sizeof(key.key), found);
	return found;
}

static struct neighbour *neighbour_of(const struct nexthops *nh, uint32_t slot)
{
	return slot < nh->slot_count ? nh->by_slot[slot] : NULL;
}

/* From now on nobody knows whose its slot is. */
static void neighbour_unname(struct nexthops *nh, struct neighbour *n)
{
	if (!n->port)
		return;
	if (n->kept)
		netlink_neigh_release(nh->netlink, n->key.ifindex, n->key.addr);
	HASH_DEL(nh->by_key, n);
	n->port = NULL;
	n->valid = n->kept = n->inherited = false;
}

static void neighbour_free(struct nexthops *nh, struct neighbour *n)
{
	wait_end(nh, n);
	neighbour_unname(nh, n);
	n->inherited = false;
	publish(nh, n);
	nh->by_slot[n->slot] = NULL;
	slots_give(&nh->free, n->slot);
	free(n);
}

/* Has somebody left? What nobody uses any more is kept for a while, should they come back. */
static void neighbour_left(struct nexthops *nh, struct neighbour *n)
{
	if (n->routes || n->hosts || n->slot < FIXED_SLOTS || n->wait != WAIT_NO)
		return;
	if (!n->port) {
		neighbour_free(nh, n);
		return;
	}
	n->wait = WAIT_IDLE;
	n->deadline = nh->now + IDLE_MS;
	DL_APPEND2(nh->idle, n, wait_prev, wait_next);
}

static void neighbour_used(struct nexthops *nh, struct neighbour *n)
{
	if (n->wait == WAIT_IDLE)
		wait_end(nh, n);
}

static struct neighbour *neighbour_at(struct nexthops *nh, uint32_t slot)
{
	struct neighbour *n = calloc(1, sizeof(*n));

	if (!n) {
		slots_give(&nh->free, slot);
		return NULL;
	}
	n->slot = slot;
	nh->by_slot[slot] = n;
	return n;
}

static struct neighbour *neighbour_new(struct nexthops *nh)
{
	uint32_t slot = slots_take(&nh->free);

	if (slot == SLOT_NONE && nh->idle) {
		neighbour_free(nh, nh->idle);
		slot = slots_take(&nh->free);
	}
	return slot == SLOT_NONE ? NULL : neighbour_at(nh, slot);
}

static bool is_valid(const struct netlink_neigh *neigh)
{
	return (neigh->state & NEIGH_VALID) && neigh->has_mac;
}

/* Does a slot of an earlier daemon say what the kernel says of that neighbour? */
static bool says_the_same(const struct nexthops *nh, const struct neighbour *n, const struct port *port, __be32 addr)
{
	struct netlink_neigh now;
	struct rsip_nexthop want;

	if (!n->inherited || n->port || netlink_neigh_get(nh->netlink, port->link.ifindex, addr, &now) || !is_valid(&now))
		return false;
	want = way_through(&port->link, now.mac);
	return !memcmp(&nh->slots[n->slot].hop, &want, sizeof(want));
}

/*
 * The neighbour with that address, for somebody whose way led through `from` so far: what
 * that has from an earlier daemon goes on until we know better. NULL: no room.
 */
static struct neighbour *neighbour_get(struct nexthops *nh, struct port *port, __be32 addr, struct neighbour *from)
{
	struct neighbour *n = neighbour_find(nh, port->link.ifindex, addr);

	if (n)
		return n;
	n = says_the_same(nh, from, port, addr) ? from : neighbour_new(nh);
	if (!n)
		return NULL;
	n->key.ifindex = port->link.ifindex;
	n->key.addr = addr;
	n->port = port;
	HASH_ADD(hh, nh->by_key, key, sizeof(n->key), n);
	if (from->inherited && n != from) {
		n->inherited = true;
		store(&nh->slots[n->slot], &nh->slots[from->slot].hop);
	}
	publish(nh, n);
	return n;
}

/* Takes over what the kernel says; NUD_NONE: nothing any more. A static entry needs nobody to keep it fresh. */
static void neighbour_set(struct nexthops *nh, struct neighbour *n, const struct netlink_neigh *now)
{
	n->valid = is_valid(now);
	if (n->valid)
		memcpy(n->mac, now->mac, sizeof(n->mac));
	n->again = n->again && !n->valid;
	if (n->valid && !n->kept && !(now->state & (NUD_PERMANENT | NUD_NOARP)))
		n->kept = netlink_neigh_keep(nh->netlink, n->key.ifindex, n->key.addr) == 0;
	if (now->state & NUD_FAILED) {
		reject(nh, n);
		return;
	}
	if ((n->valid || now->state == NUD_NONE) && n->wait == WAIT_REJECTED)
		wait_end(nh, n);
	publish(nh, n);
	neighbour_left(nh, n);
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

/*
 * The neighbour through which `dst` is reached, or what stands for none. `from`: as for
 * neighbour_get(). *port: by which packets may leave right now, or NULL.
 */
static struct neighbour *lead_to(struct nexthops *nh, __be32 dst, bool public_side, struct neighbour *from,
				 struct port **port)
{
	struct neighbour *n;
	__be32 addr;

	*port = way_to(nh, dst, public_side, &addr);
	if (!*port)
		return &nh->fixed[nh->reject_slot];
	n = neighbour_get(nh, *port, addr, from);
	if (!n)
		return &nh->fixed[UNRESOLVED_SLOT];
	if (n->wait == WAIT_REJECTED)
		*port = NULL;
	else if (!n->valid)
		neighbour_look(nh, n);
	return n;
}

/* --- hosts ---------------------------------------------------------------------------- */

static void host_join(struct nexthops *nh, struct nexthop_host *host, struct neighbour *n)
{
	host->via = n;
	DL_APPEND(n->hosts, host);
	neighbour_used(nh, n);
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
	neighbour_left(nh, before);
}

/* By which interface packets to the host may leave right now, or NULL. */
static struct port *host_resolve(struct nexthops *nh, struct nexthop_host *host)
{
	struct port *port;

	host_lead(nh, host, lead_to(nh, host->addr, false, host->via, &port));
	return port;
}

static void host_register(struct nexthops *nh, struct nexthop_host *host, struct neighbour *n)
{
	host_join(nh, host, n);
	/* Where a pass that is under way does not come any more: it has been looked up just now. */
	DL_PREPEND2(nh->hosts, host, all_prev, all_next);
}

void nexthop_host_add(struct nexthops *nh, struct nexthop_host *host)
{
	struct port *port;

	host_register(nh, host, lead_to(nh, host->addr, false, &nh->fixed[UNRESOLVED_SLOT], &port));
}

static struct neighbour *inherit(struct nexthops *nh, uint32_t slot)
{
	struct neighbour *n = neighbour_of(nh, slot);

	if (n || !slots_claim(&nh->free, slot))
		return n;
	n = neighbour_at(nh, slot);
	if (n)
		n->inherited = nh->slots[slot].hop.state == RSIP_NEXTHOP_VALID;
	return n;
}

void nexthop_host_adopt(struct nexthops *nh, struct nexthop_host *host, uint32_t slot)
{
	struct neighbour *n = slot < FIXED_SLOTS ? NULL : inherit(nh, slot);

	host_register(nh, host, n ? n : &nh->fixed[UNRESOLVED_SLOT]);
}

void nexthop_host_remove(struct nexthops *nh, struct nexthop_host *host)
{
	if (nh->cursor == host)
		nh->cursor = host->all_next;
	DL_DELETE2(nh->hosts, host, all_prev, all_next);
	DL_DELETE(host->via->hosts, host);
	neighbour_left(nh, host->via);
}

uint32_t nexthop_host_slot(const struct nexthop_host *host)
{
	return host->via->slot;
}

uint32_t nexthop_host_device(const struct nexthops *nh, __be32 addr)
{
	const struct nexthop_host *host = nh->calls.find(addr, nh->calls.arg);

	return host ? nh->slots[host->via->slot].hop.ifindex : 0;
}

/* --- the route cache -------------------------------------------------------------------- */

static void route_store(struct nexthops *nh, uint32_t at, __be32 addr, struct neighbour *n)
{
	struct rsip_route old = nh->routes[at], want = { .addr = addr, .nexthop = n ? n->slot : 0 };
	struct neighbour *before = old.addr ? neighbour_of(nh, old.nexthop) : NULL;
	__u64 word;

	if (!memcmp(&old, &want, sizeof(old)))
		return;
	if (addr) {
		n->routes++;
		neighbour_used(nh, n);
	}
	memcpy(&word, &want, sizeof(word));
	__atomic_store_n((__u64 *)&nh->routes[at], word, __ATOMIC_RELEASE);
	if (before) {
		before->routes--;
		neighbour_left(nh, before);
	}
}

static void route_clear(struct nexthops *nh, uint32_t at)
{
	route_store(nh, at, 0, NULL);
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

/* By which interface packets to the peer may leave right now, or NULL. */
static struct port *peer_resolve(struct nexthops *nh, __be32 peer)
{
	uint32_t at = route_place(nh, peer);
	struct neighbour *from = &nh->fixed[UNRESOLVED_SLOT];
	struct port *port;

	if (nh->routes[at].addr == peer)
		from = neighbour_of(nh, nh->routes[at].nexthop);
	route_store(nh, at, peer, lead_to(nh, peer, true, from, &port));
	return port;
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
	struct nexthop_host *host = NULL;
	struct port *port = NULL;

	nh->now = now;
	if (event->inbound)
		host = nh->calls.find(event->dst, nh->calls.arg);	/* a packet may come late: it has gone */
	if (host && nh->slots[host->via->slot].hop.state != RSIP_NEXTHOP_REJECT)
		port = host_resolve(nh, host);
	else if (!event->inbound)
		port = peer_resolve(nh, event->dst);
	if (port)
		send_packet(nh, event, port);
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

/* Whoever did not answer through it may do so now. */
static void port_changed(struct nexthops *nh, const struct port *port)
{
	struct neighbour *n, *next;

	HASH_ITER(hh, nh->by_key, n, next) {
		if (n->port != port)
			continue;
		if (n->wait == WAIT_REJECTED)
			wait_end(nh, n);
		n->again = true;
		publish(nh, n);
		neighbour_left(nh, n);
	}
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

	HASH_ITER(hh, nh->by_key, n, next) {
		if (n->port != port)
			continue;
		wait_end(nh, n);
		neighbour_unname(nh, n);
		publish(nh, n);
		neighbour_left(nh, n);
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
	port_changed(nh, port);
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
	HASH_ITER(hh, nh->by_key, n, next) {
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
	uint32_t looked = 0, passed = 0;

	if (!nh->cursor && nh->check_next.count) {
		nh->checking = nh->check_next;
		nh->check_next.count = 0;
		nh->cursor = nh->hosts;
	}
	for (; nh->cursor && looked < RECHECK_MAX && passed < RECHECK_SCAN; passed++) {
		struct nexthop_host *host = nh->cursor;

		nh->cursor = host->all_next;
		if (!changes_touch(&nh->checking, host->addr))
			continue;
		host_resolve(nh, host);
		looked++;
	}
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

static void neighbour_try_again(struct nexthops *nh, struct neighbour *n)
{
	n->again = false;
	neighbour_look(nh, n);
}

static void end_rejections(struct nexthops *nh)
{
	struct neighbour *fixed;

	while (nh->rejected && nh->now >= nh->rejected->deadline) {
		struct neighbour *n = nh->rejected;

		wait_end(nh, n);
		publish(nh, n);
		if (!n->routes && !n->hosts)
			neighbour_free(nh, n);
		else if (n->again && n->port)
			neighbour_try_again(nh, n);
	}
	nh->reject_slot = REJECT_FIRST + (nh->reject_slot - REJECT_FIRST + 1) % REJECT_SLOTS;
	fixed = &nh->fixed[nh->reject_slot];
	for (uint32_t i = 0; i < ROUTES && fixed->routes; i++)
		if (nh->routes[i].addr && nh->routes[i].nexthop == nh->reject_slot)
			route_clear(nh, i);
	while (fixed->hosts)
		host_lead(nh, fixed->hosts, &nh->fixed[UNRESOLVED_SLOT]);
}

static void end_idle(struct nexthops *nh)
{
	while (nh->idle && nh->now >= nh->idle->deadline)
		neighbour_free(nh, nh->idle);
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

/* The slots that routes name, before anybody else takes them. */
static void inherit_routes(struct nexthops *nh)
{
	for (uint32_t i = 0; i < ROUTES; i++) {
		struct neighbour *n = nh->routes[i].addr ? inherit(nh, nh->routes[i].nexthop) : NULL;

		if (n)
			n->routes++;
		else
			nh->routes[i] = (struct rsip_route){ 0 };
	}
}

void nexthops_settle(struct nexthops *nh, uint64_t now)
{
	nh->now = now;
	for (uint32_t i = 0; i < ROUTES; i++) {
		if (nh->routes[i].addr)
			peer_resolve(nh, nh->routes[i].addr);
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

static void fix_slots(struct nexthops *nh)
{
	for (uint32_t i = 0; i < FIXED_SLOTS; i++) {
		nh->fixed[i].slot = i;
		nh->by_slot[i] = &nh->fixed[i];
		store_state(&nh->slots[i].hop, i == UNRESOLVED_SLOT ? RSIP_NEXTHOP_UNRESOLVED : RSIP_NEXTHOP_REJECT);
	}
	nh->reject_slot = REJECT_FIRST;
}

int nexthops_new(const struct config *config, struct netlink *netlink, const struct nexthop_calls *calls,
		 struct nexthop_slot *slots, uint32_t slot_count, struct rsip_route *routes, struct nexthops **out)
{
	struct nexthops *nh = calloc(1, sizeof(*nh));
	int err;

	if (!nh)
		return -ENOMEM;
	nh->calls = *calls;
	nh->netlink = netlink;
	nh->slots = slots;
	nh->slot_count = slot_count;
	nh->routes = routes;
	nh->by_slot = calloc(slot_count, sizeof(struct neighbour *));
	nh->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (nh->raw < 0)
		err = -errno;
	else
		err = nh->by_slot ? slots_init(&nh->free, FIXED_SLOTS, slot_count) : -ENOMEM;
	if (!err)
		err = ports_open(nh, config);
	if (err) {
		nexthops_free(nh);
		return err;
	}
	fix_slots(nh);
	inherit_routes(nh);
	*out = nh;
	return 0;
}

void nexthops_release(struct nexthops *nh)
{
	struct neighbour *n, *next;

	HASH_ITER(hh, nh->by_key, n, next) {
		if (n->kept)
			netlink_neigh_release(nh->netlink, n->key.ifindex, n->key.addr);
		n->kept = false;
	}
}

void nexthops_free(struct nexthops *nh)
{
	if (!nh)
		return;
	HASH_CLEAR(hh, nh->by_key);
	for (uint32_t i = FIXED_SLOTS; i < nh->free.fresh; i++)
		free(nh->by_slot[i]);
	slots_fini(&nh->free);
	free(nh->by_slot);
	free(nh->ports);
	if (nh->raw >= 0)
		close(nh->raw);
	free(nh);
}
