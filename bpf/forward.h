/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way out: which next hop, its Ethernet header, the redirect. A packet
 * whose next hop is not known yet goes to the daemon, finished from its IPv4
 * header on.
 */
#pragma once

#include "maps.h"
#include "packet.h"

#define WAY_SPLIT	(RSIP_NEXTHOP_REJECT + 1)	/* known, but the daemon has to fragment the packet */

/* An outcome with the MTU that would have been small enough, until the sender is told. */
#define TOO_BIG(outcome, mtu)	((outcome) | (mtu) << 8)
#define OUTCOME(why)		((why) & 0xff)
_Static_assert(RSIP_OUTCOME_COUNT <= 256, "an outcome does not fit");

struct way {
	const struct rsip_nexthop *hop;	/* NULL: not in the cache */
	__u32 state;		/* RSIP_NEXTHOP_* or WAY_SPLIT */
	__u32 ip_at;		/* where IPv4 starts in the frame that leaves */
};

static __always_inline bool way_by_slot(__u32 slot, struct way *way)
{
	way->hop = bpf_map_lookup_elem(&rsip_nexthops, &slot);
	if (!way->hop)
		return false;
	way->state = way->hop->state;
	way->ip_at = ETHERNET_LEN;
	if (way->hop->vlan[0].proto)
		way->ip_at = way->hop->vlan[1].proto ? ETHERNET_LEN + 2 * VLAN_LEN : ETHERNET_LEN + VLAN_LEN;
	return true;
}

/* Multicast (MC-02), broadcast, loopback and "this network" are nobody's peer. */
static __always_inline bool is_peer(__be32 addr)
{
	__u32 first = bpf_ntohl(addr) >> 24;

	return first && first != 127 && first < 224;
}

/* True without a hop for a peer that is not in the cache: the daemon finds out. */
static __always_inline bool way_by_peer(__be32 peer, struct way *way)
{
	__u32 key = rsip_route_set(peer) * RSIP_ROUTE_WAYS;

#pragma unroll
	for (int i = 0; i < RSIP_ROUTE_WAYS; i++, key++) {
		const volatile __u64 *entry = bpf_map_lookup_elem(&rsip_routes, &key);
		struct rsip_route route;

		if (!entry)
			return false;
		*(__u64 *)&route = *entry;
		if (route.addr == peer)
			return peer && way_by_slot(route.nexthop, way);
	}
	way->hop = NULL;
	way->state = RSIP_NEXTHOP_UNRESOLVED;
	way->ip_at = ETHERNET_LEN;
	return is_peer(peer);
}

/*
 * May `len` bytes from IPv4 on go there? What is too big and has no DF is the
 * daemon's to fragment. An unresolved next hop has no MTU yet: it checks then.
 */
static __always_inline enum rsip_outcome way_check(struct way *way, const struct packet *p, __u32 len,
						   enum rsip_outcome unreachable, enum rsip_outcome too_big)
{
	if (way->state == RSIP_NEXTHOP_REJECT)
		return unreachable;
	if (way->state == RSIP_NEXTHOP_VALID && way->hop && len > way->hop->mtu) {
		if (p->ip.frag & bpf_htons(IPV4_DF))
			return too_big;
		way->state = WAY_SPLIT;
	}
	return RSIP_GO_ON;
}

/* Of a way that is known; otherwise the daemon sends from IPv4 on. */
static __always_inline enum rsip_outcome ethernet_write(void *data, void *end, const struct way *way)
{
	struct ethhdr *ethernet = data;
	__be16 *type = &ethernet->h_proto;

	if (!way->hop)
		return RSIP_GO_ON;
	if (data + ETHERNET_LEN + RSIP_VLANS * VLAN_LEN > end)
		return RSIP_ERROR;
	__builtin_memcpy(ethernet->h_dest, way->hop->dst, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, way->hop->src, ETH_ALEN);
	if (way->ip_at > ETHERNET_LEN) {
		type[0] = way->hop->vlan[0].proto;
		type[1] = way->hop->vlan[0].id;
		type += 2;
	}
	if (way->ip_at > ETHERNET_LEN + VLAN_LEN) {
		type[0] = way->hop->vlan[1].proto;
		type[1] = way->hop->vlan[1].id;
		type += 2;
	}
	*type = bpf_htons(ETH_P_IP);
	return RSIP_GO_ON;
}

/* The packet, `len` bytes from its IPv4 header at `ip_at` on, to the daemon. False: it does not take it. */
RARE int hand_packet(struct xdp_md *ctx, __u32 ip_at, __u32 len, int inbound)
{
	struct rsip_event_resolve *event;

	if (!len || len > RSIP_EVENT_PACKET_MAX)
		return false;
	event = bpf_ringbuf_reserve(&rsip_events, sizeof(*event), 0);
	if (!event)
		return false;
	event->kind = RSIP_EVENT_RESOLVE;
	event->inbound = inbound;
	event->len = len;
	/* Linux 6.1: "R3 min value is outside": its verifier does not see that len is not 0. */
	len--;
	barrier_var(len);
	len &= RSIP_EVENT_PACKET_MAX - 1;
	if (bpf_xdp_load_bytes(ctx, ip_at, event->packet, len + 1)) {
		bpf_ringbuf_discard(event, 0);
		return false;
	}
	event->dst = ((const struct iphdr *)event->packet)->daddr;
	bpf_ringbuf_submit(event, 0);
	return true;
}

static __always_inline enum rsip_outcome hand(struct xdp_md *ctx, const struct way *way, __u32 len, bool inbound)
{
	if (!hand_packet(ctx, way->ip_at, len, inbound))
		return RSIP_ERROR;
	if (way->state == WAY_SPLIT)
		return inbound ? RSIP_IN_SPLIT : RSIP_OUT_SPLIT;
	return inbound ? RSIP_IN_RESOLVE : RSIP_OUT_RESOLVE;
}

/* `sent` is the outcome if it leaves at once. */
static __always_inline enum rsip_outcome redirect(const struct way *way, enum rsip_outcome sent)
{
	if (!way->hop || bpf_redirect_map(&rsip_devices, way->hop->ifindex, 0) != XDP_REDIRECT)
		return RSIP_ERROR;
	return sent;
}
