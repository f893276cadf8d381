/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hairpin (IN-23): a host sends to an address that hosts lease. The packet is
 * turned round here, as if it had gone out and come back, but for one hop less:
 *
 *   from X1     | Ethernet | IPv4 X1-Na [GRE] | IPv4 Nb-Nb' ...
 *   to X2       | Ethernet | IPv4 Na-X2 [GRE] | IPv4 Nb-Nb' ...	TTL - 1, ECN
 *
 * So are ICMP errors and replies; requests to leased addresses are N's to answer
 * (IN-15). Fragments have entries of their own in rsip_fragments for who gets
 * them, beside those of their sender.
 */
#pragma once

#include "answer.h"
#include "demux.h"
#include "encap.h"
#include "forward.h"
#include "fragment.h"
#include "learn.h"
#include "packet.h"
#include "policy.h"
#include "relay.h"

static __always_inline bool is_leased(__be32 addr)
{
	const struct rsip_address *address = address_of(addr);

	return address && address->flags & RSIP_ADDRESS_POOL;
}

/* What the packet in the tunnel, or its first fragment, is to somebody who receives it: another port names the host. */
static __always_inline void parse_turned(const void *data, const void *end, struct packet *p)
{
	parse_tunnelled_header(data, end, p);
	parse_first(data, end, SIDE_PUBLIC, p);
}

/* Whose is it? On one address a cookie is its sender's, and tells of no other host. */
static __always_inline bool demux_turned(struct packet *p, struct lease *lease)
{
	if (!demux(p, lease) && !lease_by_address(address_of(p->ip.dst), p, lease))
		return false;
	return p->kind != PACKET_IKE || lease->bind->client != p->outer.src;
}

/* `why` of the public side, on this one. Where a packet is nobody's, or not allowed, it is as good as unreachable. */
static __always_inline enum rsip_outcome turned(enum rsip_outcome why)
{
	switch (why) {
	case RSIP_GO_ON:
	case RSIP_OUT_TURNED:
	case RSIP_ERROR:
		return why;
	case RSIP_IN_RESOLVE:
		return RSIP_OUT_RESOLVE;
	case RSIP_IN_SPLIT:
		return RSIP_OUT_SPLIT;
	default:
		return RSIP_OUT_UNREACHABLE;
	}
}

/* Into the tunnel of the other host. */
static __always_inline int turn_deliver(struct xdp_md *ctx, struct packet *p, const struct lease *lease)
{
	__u32 push = outer_len(lease->bind->tunnel), len = p->ip.len + push;
	struct way way = {};
	enum rsip_outcome why;

	why = way_by_slot(lease->bind->nexthop, &way) ? RSIP_GO_ON : RSIP_IN_UNREACHABLE;
	if (!why)
		why = way_check(&way, p, len, RSIP_IN_UNREACHABLE, RSIP_IN_TOO_BIG);
	if (why == RSIP_IN_TOO_BIG && way.hop)
		return TOO_BIG(RSIP_OUT_TOO_BIG, way.hop->mtu - push);
	if (!why && lease->new_cookie)
		why = learn_from_peer(p, &lease->target);
	if (!why)
		why = encapsulate(ctx, p, lease->bind, &way);
	if (!why && !lease_lasts(lease))
		why = RSIP_IN_UNREACHABLE;
	if (!why)
		why = way.state == RSIP_NEXTHOP_VALID ? redirect(&way, RSIP_OUT_TURNED) : hand(ctx, &way, len, true);
	return turned(why);
}

/* A whole packet that its sender may send. */
RARE int turn_packet(struct xdp_md *ctx)
{
	struct packet p = {};
	struct lease lease = {};

	parse_turned((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	if (!demux_turned(&p, &lease) || policy_inbound(&p, &lease))
		return RSIP_OUT_UNREACHABLE;
	return turn_deliver(ctx, &p, &lease);
}

/* --- ICMP ------------------------------------------------------------------------- */

/* An error goes to the host whose packet it quotes, a reply to who asked. RSIP_OUT_ECHO: see turn_echo(). */
RARE int turn_icmp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum rsip_outcome why = RSIP_IN_ICMP, sent;
	struct packet p = {};
	struct lease lease = {};

	parse_tunnelled_header(data, end, &p);
	if (icmp_read(data, end, &p))
		why = relay_inbound(data, end, &p, &lease, &sent);
	if (why == RSIP_IN_ICMP_REQUEST && p.icmp_type == ICMP_ECHO && p.ip.header == IPV4_LEN)
		return RSIP_OUT_ECHO;
	return why ? RSIP_OUT_UNREACHABLE : turn_deliver(ctx, &p, &lease);
}

/* An echo request to a leased address: N answers for it, as it does to peers. */
RARE int turn_echo(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 link_len = parse_ethernet(data, end);
	struct packet p = {};

	if (!link_len)
		return RSIP_ERROR;
	parse_tunnelled_header(data, end, &p);
	return answer_echo(ctx, &p, link_len) ? RSIP_OUT_ECHO : RSIP_ERROR;
}

/* --- fragments -------------------------------------------------------------------- */

static __always_inline void turned_key(const void *data, const void *end, const struct packet *p,
				       struct rsip_fragment_key *key)
{
	fragment_key(p, ip_id(data + p->ip_at, end), key);
	key->turned = 1;
}

/* Who gets the packet of which this is the first fragment? Noted for those that follow. */
RARE int turn_first(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum rsip_outcome why = RSIP_GO_ON;
	struct rsip_fragment_key key;
	struct packet p = {};
	struct lease lease = {};
	enum fragment_way way;
	struct piece piece;

	parse_turned(data, end, &p);
	if (!fragment_place(&p, &piece))
		return RSIP_OUT_FRAGMENT;
	turned_key(data, end, &p, &key);
	if (!demux_turned(&p, &lease) || policy_inbound(&p, &lease))
		why = RSIP_OUT_UNREACHABLE;
	if (!why && lease.new_cookie)
		why = turned(learn_from_peer(&p, &lease.target));
	way = fragment_first(&key, &piece, &lease.target, why ? RSIP_FRAGMENT_REFUSED : 0);
	if (why || way == FRAGMENT_SEND)
		return why;
	return way == FRAGMENT_HOLD ? RSIP_OUT_FRAGMENT_HELD : RSIP_OUT_FRAGMENT;
}

/* May this later one go to where its first went, or must it wait? */
RARE int turn_later(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct rsip_fragment *there;
	struct rsip_fragment_key key;
	struct packet p = {};
	struct piece piece;

	parse_tunnelled_header(data, end, &p);
	if (!fragment_place(&p, &piece))
		return RSIP_OUT_FRAGMENT;
	turned_key(data, end, &p, &key);
	switch (fragment_follow(&key, &piece, &there)) {
	case FRAGMENT_SEND:
		return RSIP_GO_ON;
	case FRAGMENT_HOLD:
		return RSIP_OUT_FRAGMENT_HELD;
	default:
		return RSIP_OUT_FRAGMENT;
	}
}

/* After these two: to the host that was noted. */
RARE int turn_noted(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct rsip_fragment *there;
	struct rsip_fragment_key key;
	struct packet p = {};
	struct lease lease = {};

	parse_tunnelled_header(data, end, &p);
	turned_key(data, end, &p, &key);
	there = bpf_map_lookup_elem(&rsip_fragments, &key);
	if (!there || !lease_get(&there->target, &lease))
		return RSIP_OUT_FRAGMENT;
	return turn_deliver(ctx, &p, &lease);
}
