// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XDP programs of the gateway, one for each side. Each is the story of a
 * packet as a list of steps, which live in the headers. A step returns
 * RSIP_GO_ON or the outcome that ends the packet. The third program tells the
 * daemon what time it is for them.
 */
#include "demux.h"
#include "encap.h"
#include "forward.h"
#include "learn.h"
#include "maps.h"
#include "packet.h"
#include "policy.h"
#include "stats.h"

/* Kinds that go on stand in the order of the outcomes. */
_Static_assert(RSIP_IN_PORT - RSIP_IN_ESP == PACKET_PORT, "kinds and outcomes differ");
_Static_assert(RSIP_OUT_PORT - RSIP_OUT_ESP == PACKET_PORT, "kinds and outcomes differ");

/* From a peer, perhaps for a host: into the host's tunnel. */
static __always_inline enum rsip_outcome inbound(struct xdp_md *ctx, struct packet *p)
{
	struct lease lease = {};
	struct way way = {};
	enum rsip_outcome why;
	__u32 len;

	if (p->kind == PACKET_FOREIGN)
		return RSIP_IN_PASS;
	if (!demux(p, &lease)) {
		const struct rsip_address *address = address_of(p->ip.dst);

		if (!lease_by_address(address, p, &lease))
			return unmatched_inbound(p, address);
	}
	len = p->ip.len + outer_len(lease.bind);
	why = policy_inbound(p, &lease);
	if (!why)
		why = way_by_slot(lease.bind->nexthop, &way) ? RSIP_GO_ON : RSIP_IN_UNREACHABLE;
	if (!why)
		why = way_check(&way, len, RSIP_IN_UNREACHABLE, RSIP_IN_TOO_BIG);
	if (!why && lease.new_cookie)
		why = learn_from_peer(p, &lease.target);
	if (!why)
		why = encapsulate(ctx, p, lease.bind, &way);
	if (!why && !lease_lasts(&lease))
		why = RSIP_IN_UNREACHABLE;
	if (why)
		return why;
	if (way.state != RSIP_NEXTHOP_VALID)
		return hand(ctx, &way, len, RSIP_IN_RESOLVE);
	return redirect(&way, p->kind == PACKET_WHOLE ? RSIP_IN_WHOLE : RSIP_IN_ESP + p->kind);
}

static __always_inline enum rsip_outcome sent_outbound(enum packet_kind kind)
{
	switch (kind) {
	case PACKET_WHOLE:
		return RSIP_OUT_WHOLE;
	case PACKET_KEEPALIVE:
		return RSIP_OUT_NATT;
	default:
		return RSIP_OUT_ESP + kind;
	}
}

/* From a host through its tunnel, perhaps to a peer: checked, and out of the tunnel. */
static __always_inline enum rsip_outcome outbound(struct xdp_md *ctx, struct packet *p)
{
	struct lease lease = {};
	struct way way = {};
	enum rsip_outcome why;

	why = admit(p, &lease);
	if (!why)
		why = policy_outbound(p, &lease);
	if (why)
		return refuse(p, &lease, why);
	why = way_by_peer(p->ip.dst, &way) ? RSIP_GO_ON : RSIP_OUT_UNREACHABLE;
	if (!why)
		why = way_check(&way, p->ip.len, RSIP_OUT_UNREACHABLE, RSIP_OUT_TOO_BIG);
	if (!why && lease.new_cookie)
		why = learn(p, &lease.target);
	if (!why)
		why = decapsulate(ctx, p, &way);
	if (why)
		return why;
	if (way.state != RSIP_NEXTHOP_VALID)
		return hand(ctx, &way, p->ip.len, RSIP_OUT_RESOLVE);
	return redirect(&way, sent_outbound(p->kind));
}

SEC("xdp")
int rsip_public(struct xdp_md *ctx)
{
	struct packet p = {};

	parse_plain((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	return finish(inbound(ctx, &p), p.frame_len);
}

SEC("xdp")
int rsip_private(struct xdp_md *ctx)
{
	struct packet p = {};

	parse_tunnelled((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	return finish(outbound(ctx, &p), p.frame_len);
}

SEC("syscall")
int rsip_clock(struct rsip_clock *now)
{
	now->jiffies = bpf_jiffies64();
	now->ns = bpf_ktime_get_ns();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
