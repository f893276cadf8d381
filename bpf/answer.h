/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors that N itself sends: a packet is too big, its TTL ended, there
 * is no way. The packet becomes the answer and leaves where it came in:
 *
 *   to Y    | Ethernet [VLAN] | IPv4 N-Y, ICMP | the packet, as it came
 *   to X    | Ethernet [VLAN] | IPv4 Na-Xa [GRE] | IPv4 N-Nb, ICMP | the same
 *
 * Rare and limited, so it may look at the clock.
 */
#pragma once

#include "csum.h"
#include "encap.h"
#include "icmp.h"
#include "maps.h"
#include "packet.h"
#include "relay.h"

#define ANSWER_LEN	(IPV4_LEN + ICMP_LEN)
#define ANSWER_QUOTE	548	/* 576 bytes in all (RFC 1812 4.3.2.3) */
#define ANSWER_TOS	0xc0	/* internetwork control (RFC 1812 4.3.2.5) */
#define ANSWER_TTL	64
#define ICMP_NET_UNREACHABLE	0
#define ICMP_FRAG_NEEDED	4

struct link_header {
	__u8   dst[ETH_ALEN];
	__u8   src[ETH_ALEN];
	__be16 type[1 + 2 * RSIP_VLANS];	/* with VLAN tags: the type of each, the tag, the type of what follows */
};

struct answer {
	__u8   type;
	__u8   code;
	__u16  mtu;		/* of ICMP_FRAG_NEEDED */
	__be32 from;		/* N's address, as the receiver shall see it */
	struct tunnel tunnel;	/* that it goes through; proto 0: none, it is for the peer */
};

/* A token for one message, from the bucket of one side on this CPU. */
static __always_inline bool answer_allowed(__u32 side)
{
	struct rsip_bucket *bucket = bpf_map_lookup_elem(&rsip_buckets, &side);
	__u64 now = bpf_ktime_get_coarse_ns(), more;

	if (!bucket)
		return false;
	more = now > bucket->time ? (now - bucket->time) / (SECOND_NS / RSIP_BUCKET_RATE) : 0;
	if (more) {
		bucket->time = now;
		bucket->tokens = more + bucket->tokens > RSIP_BUCKET_BURST ? RSIP_BUCKET_BURST : more + bucket->tokens;
	}
	if (!bucket->tokens)
		return false;
	bucket->tokens--;
	return true;
}

/* RFC 1122 3.2.2: nobody is told of an error, of a later fragment, or where an address is not one host's. */
static __always_inline bool answer_fits(const void *data, const void *end, struct packet *p)
{
	if ((p->kind != PACKET_PROTOCOL && p->kind != PACKET_FRAGMENT) || p->ip.frag & bpf_htons(IPV4_OFFSET) ||
	    !is_peer(p->ip.src) || !is_peer(p->ip.dst))
		return false;
	if (p->ip.proto != IPPROTO_ICMP)
		return true;
	p->kind = PACKET_PROTOCOL;	/* a first fragment says it as well */
	return icmp_read(data, end, p) && icmp_class(p->icmp_type) != ICMP_CLASS_ERROR;
}

static __always_inline __be32 answer_speaker(__be32 addr, __be32 otherwise)
{
	const struct rsip_address *address = bpf_map_lookup_elem(&rsip_addresses, &addr);

	return address && address->speaker ? address->speaker : otherwise;
}

/* Of ICMP header and quote, `len` bytes at `at` of the frame, both multiples of 4 or near; folded, not inverted. */
RARE int answer_sum(struct xdp_md *ctx, __u32 at, __u32 len)
{
	const void *end = (void *)(long)ctx->data_end;
	const __u16 *word = (void *)(long)ctx->data + (at & 0xff);
	__u64 sum = 0;

	for (__u32 i = 0; i < (ICMP_LEN + ANSWER_QUOTE) / 4; i++, word += 2) {
		if (i * 4 >= len || (const void *)(word + 2) > end)
			break;
		sum += (__u32)word[0] + word[1];
	}
	return csum_fold(sum);
}

/* IPv4 and ICMP headers at `at`, but for the ICMP checksum. */
static __always_inline struct icmphdr *answer_write(void *at, const void *end, const struct answer *a, __be32 to,
						    __u32 quote)
{
	struct iphdr *ip = at;
	struct icmphdr *icmp = (void *)(ip + 1);

	if ((const void *)(icmp + 1) > end)
		return NULL;
	*(__u8 *)ip = 0x45;
	ip->tos = ANSWER_TOS;
	ip->tot_len = bpf_htons(ANSWER_LEN + quote);
	ip->id = 0;
	ip->frag_off = bpf_htons(IPV4_DF);
	ip->ttl = ANSWER_TTL;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = a->from;
	ip->daddr = to;
	ip->check = csum_header(ip);
	icmp->type = a->type;
	icmp->code = a->code;
	icmp->checksum = 0;
	icmp->un.frag.__unused = 0;
	icmp->un.frag.mtu = bpf_htons(a->mtu);
	return icmp;
}

/* The link header of what came, the other way round. */
static __always_inline bool answer_ethernet(void *data, const void *end, const struct link_header *link)
{
	struct link_header *to = data;

	if (data + sizeof(*to) > end)
		return false;
	__builtin_memcpy(to->dst, link->src, ETH_ALEN);
	__builtin_memcpy(to->src, link->dst, ETH_ALEN);
	to->type[0] = link->type[0];
	if (is_vlan(link->type[0])) {
		to->type[1] = link->type[1];
		to->type[2] = link->type[2];
	}
	if (is_vlan(link->type[0]) && is_vlan(link->type[2])) {
		to->type[3] = link->type[3];
		to->type[4] = link->type[4];
	}
	return true;
}

/*
 * Makes the answer of the frame, cut behind the quote, headers in front of it,
 * and sends it back. Not by XDP_TX: that waits in a veth whose other end has no
 * XDP program. `link_len`: where the outermost IPv4 header stands.
 */
static __always_inline bool answer_send(struct xdp_md *ctx, const struct packet *p, __u32 link_len,
					const struct answer *a)
{
	__u32 push = a->tunnel.proto ? outer_len(a->tunnel.proto) : 0;
	__u32 quote = p->ip.len > ANSWER_QUOTE ? ANSWER_QUOTE : p->ip.len & ~3;
	struct link_header link;
	struct icmphdr *icmp;
	void *data, *end;

	if (bpf_xdp_load_bytes(ctx, 0, &link, sizeof(link)) ||
	    bpf_xdp_adjust_tail(ctx, (int)(p->ip_at + quote - p->frame_len)) ||
	    bpf_xdp_adjust_head(ctx, (int)(p->ip_at - link_len - push - ANSWER_LEN)))
		return false;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	icmp = answer_write(data + link_len + push, end, a, p->ip.src, quote);
	if (!icmp || !answer_ethernet(data, end, &link) ||
	    (push && !outer_put(data + link_len, end, &a->tunnel, ANSWER_LEN + quote + push)))
		return false;
	icmp->checksum = ~answer_sum(ctx, link_len + push + IPV4_LEN, ICMP_LEN + quote);
	return bpf_redirect_map(&rsip_devices, ctx->ingress_ifindex, 0) == XDP_REDIRECT;
}

/* An echo request in a tunnel (its header without options) becomes the reply of the address it was sent to, and goes back. */
static __always_inline bool answer_echo(struct xdp_md *ctx, const struct packet *p, __u32 link_len)
{
	const struct tunnel tunnel = { p->outer.dst, p->outer.src, p->outer.proto };
	__u32 push = outer_len(tunnel.proto);
	struct link_header link;
	struct icmphdr *icmp;
	struct iphdr *ip;
	__be16 *word, old;
	void *data, *end;

	if (bpf_xdp_load_bytes(ctx, 0, &link, sizeof(link)) || !trim(ctx, p) ||
	    bpf_xdp_adjust_head(ctx, (int)(p->ip_at - link_len - push)))
		return false;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ip = data + link_len + push;
	icmp = (void *)(ip + 1);
	if ((void *)(icmp + 1) > end)
		return false;
	ip->saddr = p->ip.dst;
	ip->daddr = p->ip.src;
	word = (__be16 *)&ip->ttl;
	old = *word;
	ip->ttl = ANSWER_TTL;
	ip->check = csum_update(ip->check, old, *word);
	word = (__be16 *)icmp;
	old = *word;
	icmp->type = ICMP_ECHO_REPLY;
	icmp->checksum = csum_update(icmp->checksum, old, *word);
	return answer_ethernet(data, end, &link) && outer_put(data + link_len, end, &tunnel, p->ip.len + push) &&
	       bpf_redirect_map(&rsip_devices, ctx->ingress_ifindex, 0) == XDP_REDIRECT;
}
