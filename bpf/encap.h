/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Headers on and off. Neither decides: the packet fits and may go.
 *
 *   inbound     | Ethernet [VLAN] |                    | IPv4 ...	as it came from Y
 *               | Ethernet [VLAN] | IPv4 Na-Xa [GRE]   | IPv4 ...	TTL - 1
 *   outbound    | Ethernet [VLAN] | IPv4 Xa-Na [GRE+]  | IPv4 ...	as it came from X
 *               | Ethernet [VLAN] |                    | IPv4 ...	TTL - 1, ECN
 */
#pragma once

#include "csum.h"
#include "forward.h"
#include "maps.h"
#include "packet.h"

#define OUTER_TTL	64

struct tunnel {			/* as N sends into it */
	__be32 src, dst;
	__u8   proto;		/* RSIP_PROTO_IPIP or RSIP_PROTO_GRE */
};

static __always_inline struct tunnel tunnel_of(const struct rsip_bind *bind)
{
	return (struct tunnel){ bind->gateway, bind->client, bind->tunnel };
}

static __always_inline __u32 outer_len(__u8 proto)
{
	return proto == RSIP_PROTO_GRE ? IPV4_LEN + GRE_LEN : IPV4_LEN;
}

/* What Ethernet (or a rogue sender) put behind the IPv4 packet does not go on. */
static __always_inline bool trim(struct xdp_md *ctx, const struct packet *p)
{
	int extra = p->frame_len - p->ip_at - p->ip.len;

	return !extra || !bpf_xdp_adjust_tail(ctx, -extra);
}

static __always_inline void decrease_ttl(struct iphdr *ip)
{
	__u32 sum = ip->check + (__u32)bpf_htons(0x0100);

	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
}

/*
 * DSCP and ECN are copied (TUN-10, RFC 6040 4.1), and so is DF: path MTU
 * discovery by Y must see the tunnel too, and what may be fragmented inside may
 * as well be outside. The ID matters without DF only; the inner one then
 * serves.
 */
static __always_inline void outer_write(struct iphdr *outer, const struct iphdr *inner,
					const struct tunnel *tunnel, __u32 len)
{
	__be16 df = inner->frag_off & bpf_htons(IPV4_DF);

	*(__u8 *)outer = 0x45;
	outer->tos = inner->tos;
	outer->tot_len = bpf_htons(len);
	outer->id = df ? 0 : inner->id;
	outer->frag_off = df;
	outer->ttl = OUTER_TTL;
	outer->protocol = tunnel->proto;
	outer->saddr = tunnel->src;
	outer->daddr = tunnel->dst;
	outer->check = csum_header(outer);
}

/* The tunnel's headers at `at`, in front of an IPv4 header; `len` with them. False: beyond the frame. */
static __always_inline bool outer_put(void *at, const void *end, const struct tunnel *tunnel, __u32 len)
{
	__u32 push = outer_len(tunnel->proto);
	struct iphdr *outer = at, *inner = at + push;

	if ((const void *)(inner + 1) > end)
		return false;
	outer_write(outer, inner, tunnel, len);
	if (push > IPV4_LEN) {
		__be16 *gre = (void *)(outer + 1);

		gre[0] = 0;
		gre[1] = bpf_htons(ETH_P_IP);
	}
	return true;
}

/* RFC 6040 4.2: what the outer header tells of congestion goes into the inner one. DSCP stays. */
static __always_inline void inner_ecn(struct iphdr *ip, __u8 outer_tos)
{
	__u8 outer = outer_tos & ECN_MASK, inner = ip->tos & ECN_MASK;
	const __be16 *word = (const __be16 *)ip;
	__be16 old = *word;

	if (outer == ECN_CE && inner != ECN_CE)
		ip->tos |= ECN_CE;
	else if (outer == ECN_ECT1 && inner == ECN_ECT0)
		ip->tos ^= ECN_MASK;
	else
		return;
	ip->check = csum_update(ip->check, old, *word);
}

/* `p` came plain, or in a tunnel that comes off (turn.h). */
static __always_inline enum rsip_outcome encapsulate(struct xdp_md *ctx, struct packet *p,
						     const struct rsip_bind *bind, const struct way *way)
{
	struct tunnel tunnel = tunnel_of(bind);
	__u32 push = outer_len(tunnel.proto);
	void *data, *end;
	struct iphdr *inner;

	if (!trim(ctx, p) || bpf_xdp_adjust_head(ctx, (int)(p->ip_at - way->ip_at - push)))
		return RSIP_ERROR;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	inner = data + way->ip_at + push;
	if ((void *)(inner + 1) > end)
		return RSIP_ERROR;
	decrease_ttl(inner);
	inner_ecn(inner, p->outer.tos);
	if (!outer_put(data + way->ip_at, end, &tunnel, p->ip.len + push))
		return RSIP_ERROR;
	return ethernet_write(data, end, way);
}

static __always_inline enum rsip_outcome decapsulate(struct xdp_md *ctx, struct packet *p, const struct way *way)
{
	void *data, *end;
	struct iphdr *ip;

	if (!trim(ctx, p) || bpf_xdp_adjust_head(ctx, (int)(p->ip_at - way->ip_at)))
		return RSIP_ERROR;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ip = data + way->ip_at;
	if ((void *)(ip + 1) > end)
		return RSIP_ERROR;
	decrease_ttl(ip);
	inner_ecn(ip, p->outer.tos);
	return ethernet_write(data, end, way);
}
