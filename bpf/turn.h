/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hairpin (IN-23): a host sends to an address that hosts lease. The packet is
 * turned round here, as if it had gone out and come back, but for one hop less:
 *
 *   from X1     | Ethernet | IPv4 X1-Na [GRE] | IPv4 Nb-Nb' ...
 *   to X2       | Ethernet | IPv4 Na-X2 [GRE] | IPv4 Nb-Nb' ...	TTL - 1, ECN
 *
 * ICMP is not: N itself answers requests to leased addresses (IN-15).
 */
#pragma once

#include "demux.h"
#include "encap.h"
#include "forward.h"
#include "learn.h"
#include "packet.h"
#include "policy.h"

static __always_inline bool is_leased(__be32 addr)
{
	const struct rsip_address *address = address_of(addr);

	return address && address->flags & RSIP_ADDRESS_POOL;
}

/* What the packet in the tunnel is to somebody who receives it: another port names the host. */
static __always_inline void parse_turned(const void *data, const void *end, struct packet *p)
{
	parse_tunnelled_header(data, end, p);
	if (p->kind == PACKET_PROTOCOL)
		p->kind = parse_payload(data + p->ip_at, end, SIDE_PUBLIC, false, p);
}

/* Whose is it? On one address a cookie is its sender's, and tells of no other host. */
static __always_inline bool demux_turned(struct packet *p, struct lease *lease)
{
	if (!demux(p, lease) && !lease_by_address(address_of(p->ip.dst), p, lease))
		return false;
	return p->kind != PACKET_IKE || lease->bind->client != p->outer.src;
}

/* `why` of the public side, on this one. */
static __always_inline enum rsip_outcome turned(enum rsip_outcome why)
{
	switch (why) {
	case RSIP_GO_ON:
	case RSIP_OUT_TURNED:
	case RSIP_ERROR:
		return why;
	case RSIP_IN_TOO_BIG:
		return RSIP_OUT_TOO_BIG;
	case RSIP_IN_RESOLVE:
		return RSIP_OUT_RESOLVE;
	case RSIP_IN_SPLIT:
		return RSIP_OUT_SPLIT;
	default:
		return RSIP_OUT_UNREACHABLE;
	}
}

/* A packet that its sender may send. Where it is nobody's, or not allowed, it is as good as unreachable. */
RARE int turn(struct xdp_md *ctx)
{
	struct packet p = {};
	struct lease lease = {};
	struct way way = {};
	enum rsip_outcome why;
	__u32 len;

	parse_turned((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	if (!demux_turned(&p, &lease) || !way_by_slot(lease.bind->nexthop, &way))
		return RSIP_OUT_UNREACHABLE;
	len = p.ip.len + outer_len(lease.bind->tunnel);
	why = policy_inbound(&p, &lease);
	if (!why)
		why = way_check(&way, &p, len, RSIP_IN_UNREACHABLE, RSIP_IN_TOO_BIG);
	if (!why && lease.new_cookie)
		why = learn_from_peer(&p, &lease.target);
	if (!why)
		why = encapsulate(ctx, &p, lease.bind, &way);
	if (!why && !lease_lasts(&lease))
		why = RSIP_IN_UNREACHABLE;
	if (!why)
		why = way.state == RSIP_NEXTHOP_VALID ? redirect(&way, RSIP_OUT_TURNED) : hand(ctx, &way, len, true);
	return turned(why);
}
