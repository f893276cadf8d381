// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gateway's own programs, each behind a step that writes a new packet for a
 * random bind, so that they can be run millions of times on one buffer; the
 * same step followed by less, to compare with; and generators and a sink.
 */
#include "../../bpf/rsip.bpf.c"
#include "packets.h"

#define PAYLOAD		64
#define PLAIN_LEN	(ETHERNET_LEN + IPV4_LEN + PAYLOAD)
#define TUNNEL_LEN	(PLAIN_LEN + IPV4_LEN)

const volatile __u32 binds = 1, cookies = 1;	/* in the tables */
const volatile __u32 lan_ifindex, wan_ifindex;	/* keys in rsip_devices */
__u32 random_state = 1;
__u32 in_turn;		/* 1: one bind after the other, not at random */
__u32 next_bind, next_spi;	/* of the next packet: drawn one ahead */
__u32 next_flow;		/* of the generators for NAT */
__u64 sunk;		/* packets that arrived; one CPU runs everything */

/* SPIs of the binds, as they were chosen. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_spis SEC(".maps");

static __always_inline __u32 below(__u32 n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (__u64)random_state * n >> 32;
}

/*
 * A bind of the first `count`, and its SPI. A packet that arrives carries its SPI:
 * the miss of our own array must not stand between it and its bind. So the load
 * is begun one packet ahead, and nothing waits for it.
 */
static __always_inline __u32 draw(__u32 count, __u32 *spi)
{
	__u32 bind = next_bind < count ? next_bind : 0;
	const __u32 *ahead;

	*spi = next_spi;
	next_bind = in_turn ? bind + 1 : below(count);
	ahead = bpf_map_lookup_elem(&bench_spis, &next_bind);
	if (ahead)
		next_spi = bpf_htonl(*ahead);
	return bind;
}

/* --- packets ---------------------------------------------------------------------- */

/* To 02:00:00:00:00:01, which both interfaces of the gateway have. */
static __always_inline void write_ethernet(struct ethhdr *ethernet)
{
	__u16 *to = (__u16 *)ethernet;

	to[0] = to[3] = bpf_htons(0x0200);
	to[1] = to[4] = 0;
	to[2] = bpf_htons(1);
	to[5] = bpf_htons(2);
	ethernet->h_proto = bpf_htons(ETH_P_IP);
}

static __always_inline void write_ip(struct iphdr *ip, __u8 proto, __u32 payload, __u32 src, __u32 dst)
{
	*(__u16 *)ip = 0x45;
	ip->tot_len = bpf_htons(IPV4_LEN + payload);
	ip->id = 0;
	ip->frag_off = bpf_htons(IPV4_DF);
	ip->ttl = 64;
	ip->protocol = proto;
	ip->saddr = bpf_htonl(src);
	ip->daddr = bpf_htonl(dst);
	ip->check = csum_header(ip);
}

/* Over zeros but for what is given: NAT has to keep it right. */
static __always_inline void write_udp(__u16 *udp, __u16 sport, __u16 dport, __u32 src, __u32 dst)
{
	__u32 sum = (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff) + IPPROTO_UDP + PAYLOAD + sport + dport +
		    PAYLOAD;

	udp[0] = bpf_htons(sport);
	udp[1] = bpf_htons(dport);
	udp[2] = bpf_htons(PAYLOAD);
	udp[3] = bpf_htons((__u16)~csum_fold(sum));
}

/* The payload of `kind` for bind `i`; returns the protocol. */
static __always_inline __u8 write_payload(__u32 *to, enum packet_kind kind, __u32 i, __u32 spi, bool out, __u32 src,
					  __u32 dst)
{
	switch (kind) {
	case PACKET_ESP:
		to[0] = spi;
		return RSIP_PROTO_ESP;
	case PACKET_AH:
		to[0] = bpf_htonl(0x04040000);
		to[1] = spi;
		return RSIP_PROTO_AH;
	case PACKET_NATT:
		write_udp((__u16 *)to, 4500, 4500, src, dst);
		to[2] = spi;
		return IPPROTO_UDP;
	case PACKET_IKE:
		write_udp((__u16 *)to, 500, 500, src, dst);
		*(__u64 *)(to + 2) = bench_cookie(i);
		return IPPROTO_UDP;
	default:
		write_udp((__u16 *)to, out ? bench_port(i) : 4500, out ? 4500 : bench_port(i), src, dst);
		return IPPROTO_UDP;
	}
}

/* Brings the packet back to `len` bytes: a run before this one may have moved its head. */
static __always_inline void *restore(struct xdp_md *ctx, __u32 len)
{
	if (bpf_xdp_adjust_head(ctx, (int)(ctx->data_end - ctx->data) - (int)len))
		return NULL;
	return (void *)(long)ctx->data + len > (void *)(long)ctx->data_end ? NULL : (void *)(long)ctx->data;
}

static __always_inline bool write_plain(struct xdp_md *ctx, enum packet_kind kind, __u32 count)
{
	void *data = restore(ctx, PLAIN_LEN);
	struct iphdr *ip = data + ETHERNET_LEN;
	__u32 spi, i = draw(count, &spi);
	__u8 proto;

	if (!data)
		return false;
	write_ethernet(data);
	proto = write_payload((__u32 *)(ip + 1), kind, i, spi, false, BENCH_PEER, bench_addr(i));
	write_ip(ip, proto, PAYLOAD, BENCH_PEER, bench_addr(i));
	return true;
}

static __always_inline bool write_tunnelled(struct xdp_md *ctx, enum packet_kind kind, __u32 count)
{
	void *data = restore(ctx, TUNNEL_LEN);
	struct iphdr *outer = data + ETHERNET_LEN, *ip = outer + 1;
	__u32 spi, i = draw(count, &spi);
	__u8 proto;

	if (!data)
		return false;
	write_ethernet(data);
	write_ip(outer, RSIP_PROTO_IPIP, IPV4_LEN + PAYLOAD, bench_host(i), BENCH_GATEWAY);
	proto = write_payload((__u32 *)(ip + 1), kind, i, spi, true, bench_addr(i), BENCH_PEER);
	write_ip(ip, proto, PAYLOAD, bench_addr(i), BENCH_PEER);
	return true;
}

/* --- timed programs ----------------------------------------------------------------- */

static __always_inline int bare_redirect(struct xdp_md *ctx, __u32 ifindex)
{
	if (!parse_ethernet((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	return bpf_redirect_map(&rsip_devices, ifindex, 0);
}

static __always_inline int gateway_in(struct xdp_md *ctx)
{
	struct packet p = {};

	parse_plain((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	return finish(inbound(ctx, &p), p.frame_len);
}

static __always_inline int gateway_out(struct xdp_md *ctx)
{
	struct packet p;

	packet_init(&p);
	parse_tunnelled((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	return finish(outbound(ctx, &p), p.frame_len);
}

#define TIMED(name, write, kind, count, last)				\
	SEC("xdp")							\
	int name(struct xdp_md *ctx)					\
	{								\
		return write(ctx, kind, count) ? (last) : XDP_ABORTED;	\
	}

#define BOTH(name, kind, count)							\
	TIMED(in_##name, write_plain, kind, count, gateway_in(ctx))	\
	TIMED(out_##name, write_tunnelled, kind, count, gateway_out(ctx))

/* AH, as IKE, of every fourth bind: hosts that send both with each of their SPIs are none. */
BOTH(esp, PACKET_ESP, binds)
BOTH(ah, PACKET_AH, cookies)
BOTH(natt, PACKET_NATT, binds)
BOTH(ike, PACKET_IKE, cookies)
BOTH(port, PACKET_PORT, binds)

TIMED(in_nothing, write_plain, PACKET_ESP, binds, XDP_DROP)
TIMED(out_nothing, write_tunnelled, PACKET_ESP, binds, XDP_DROP)
TIMED(in_redirect, write_plain, PACKET_ESP, binds, bare_redirect(ctx, lan_ifindex))
TIMED(out_redirect, write_tunnelled, PACKET_ESP, binds, bare_redirect(ctx, wan_ifindex))

/* --- the lab ------------------------------------------------------------------------- */

TIMED(send_in, write_plain, PACKET_ESP, binds, XDP_TX)
TIMED(send_out, write_tunnelled, PACKET_ESP, binds, XDP_TX)

/* ESP in UDP of one of the flows through NAT, or of the same flows without it. */
static __always_inline int send_flow(struct xdp_md *ctx, bool out, __u32 near)
{
	void *data = restore(ctx, PLAIN_LEN);
	struct iphdr *ip = data + ETHERNET_LEN;
	__u32 i = next_flow++ % BENCH_FLOWS;
	__u32 host = near ? near : bench_host(i), src = out ? host : BENCH_PEER, dst = out ? BENCH_PEER : host;
	__u16 port = (__u16)(10000 + i);

	if (!data)
		return XDP_ABORTED;
	write_ethernet(data);
	write_udp((__u16 *)(ip + 1), out ? port : 4500, out ? 4500 : port, src, dst);
	write_ip(ip, IPPROTO_UDP, PAYLOAD, src, dst);
	return XDP_TX;
}

SEC("xdp")
int send_flow_out(struct xdp_md *ctx)
{
	return send_flow(ctx, true, 0);
}

SEC("xdp")
int send_flow_in(struct xdp_md *ctx)
{
	return send_flow(ctx, false, 0);
}

SEC("xdp")
int send_flow_nat_in(struct xdp_md *ctx)
{
	return send_flow(ctx, false, BENCH_PUBLIC);
}

SEC("xdp")
int only_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int only_redirect_in(struct xdp_md *ctx)
{
	return bare_redirect(ctx, lan_ifindex);
}

SEC("xdp")
int only_redirect_out(struct xdp_md *ctx)
{
	return bare_redirect(ctx, wan_ifindex);
}

SEC("xdp")
int sink(struct xdp_md *ctx)
{
	sunk++;
	return XDP_DROP;
}
