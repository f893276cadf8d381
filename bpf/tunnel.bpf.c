// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's end of an RSIP tunnel, for kernels without the ipip and gre
 * devices, as two tc (clsact) programs:
 *
 *   rsip_encap, egress of rsipN:	Ethernet | inner IPv4 ...
 *     -> egress of the underlay:	Ethernet | outer IPv4 | (GRE) | inner IPv4 ...
 *   rsip_decap, ingress, the same way back to the ingress of rsipN.
 *
 * rsip_decap is attached to all Ethernet interfaces of the host: the gateway may
 * know the host by another one than the underlay, and nobody anywhere shall get
 * an ARP answer for the leased address. Beside a kernel tunnel device it does
 * only the latter. What is none of its business it leaves to the next filter
 * (TC_ACT_UNSPEC).
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <rsip/encap.h>

#define TC_ACT_UNSPEC	(-1)
#define TC_ACT_SHOT	2
#define ETH_P_IP	0x0800
#define ETH_P_ARP	0x0806
#define PROTO_IPIP	4
#define PROTO_GRE	47
#define IP_DF		0x4000
#define IP_FRAGMENT	0x3fff		/* more fragments, or an offset */
#define OUTER_TTL	64
#define ECN_MASK	3
#define ECN_ECT1	1
#define ECN_CE		3
#define ARP_REQUEST	1

#define ADJ_ROOM_MAC	1		/* room between the Ethernet and the IPv4 header */
#define ENCAP_L3_IPV4	(1ULL << 1)
#define ENCAP_L4_GRE	(1ULL << 3)
#define FIXED_GSO	(1ULL << 0)	/* rsipN's MTU leaves room: segments need not shrink */
#define REDIRECT_INGRESS 1

struct gre {				/* sent with flags 0; optional words are skipped */
	__be16 flags;
	__be16 protocol;
};

#define GRE_CHECKSUM	0x8000
#define GRE_KEY		0x2000
#define GRE_SEQUENCE	0x1000
#define GRE_OPTIONS	(GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)

struct arp {				/* IPv4 over Ethernet */
	__be16 hardware, protocol;
	__u8   hardware_len, protocol_len;
	__be16 operation;
	__u8   sender_mac[6], sender[4], target_mac[6], target[4];
};

#define OUTER_GRE	(sizeof(struct iphdr) + sizeof(struct gre))
#define OUTER_MASK	63		/* more than any outer header taken: 20 + 16 bytes */

struct rsip_tunnel_config config;
__u64 counters[RSIP_TUNNEL_COUNTER_COUNT];

static __always_inline void count(enum rsip_tunnel_counter which, __u64 n)
{
	__sync_fetch_and_add(&counters[which], n);
}

static __always_inline int drop(enum rsip_tunnel_counter why)
{
	count(why, 1);
	return TC_ACT_SHOT;
}

/* Makes `len` bytes readable in place. Packet pointers are taken after it. */
static __always_inline bool readable(struct __sk_buff *skb, __u32 len)
{
	if ((void *)(long)skb->data + len <= (void *)(long)skb->data_end)
		return true;
	return skb->len >= len && bpf_skb_pull_data(skb, len) == 0 &&
	       (void *)(long)skb->data + len <= (void *)(long)skb->data_end;
}

static __always_inline __be16 checksum(const struct iphdr *ip)
{
	const __be16 *word = (const void *)ip;
	__u32 sum = 0;

	for (unsigned int i = 0; i < sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* --- out ------------------------------------------------------------------------ */

/* Marks the packet as a tunnel packet too, so that segmentation and checksums are
 * put off as far as the underlay can. Inside another tunnel the skb has no room for
 * a second mark; a single packet then goes without. */
static __always_inline long make_room(struct __sk_buff *skb, __u32 room, bool gre)
{
	__u64 flags = FIXED_GSO | ENCAP_L3_IPV4 | (gre ? ENCAP_L4_GRE : 0);
	long err = bpf_skb_adjust_room(skb, room, ADJ_ROOM_MAC, flags);

	if (err && skb->gso_size == 0)
		err = bpf_skb_adjust_room(skb, room, ADJ_ROOM_MAC, 0);
	return err;
}

static __always_inline void write_outer(struct iphdr *ip, __u8 tos, __u32 len)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = tos;		/* DSCP and ECN of the inner header (RFC 6040 4.1, normal mode) */
	ip->tot_len = bpf_htons(len);
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = OUTER_TTL;
	ip->protocol = config.proto;
	ip->saddr = config.host;
	ip->daddr = config.end;
	ip->check = checksum(ip);
}

SEC("tc")
int rsip_encap(struct __sk_buff *skb)
{
	bool gre = config.proto == PROTO_GRE;
	__u32 room = gre ? OUTER_GRE : sizeof(struct iphdr);
	__u32 len = skb->len - sizeof(struct ethhdr);
	struct iphdr *ip;
	__u8 tos;

	if (skb->protocol != bpf_htons(ETH_P_IP) || !readable(skb, sizeof(struct ethhdr) + sizeof(*ip)))
		return drop(RSIP_TUNNEL_DROP_SOURCE);
	ip = (void *)(long)skb->data + sizeof(struct ethhdr);
	if ((void *)(ip + 1) > (void *)(long)skb->data_end || ip->saddr != config.address)
		return drop(RSIP_TUNNEL_DROP_SOURCE);
	tos = ip->tos;

	if (len + room > 0xffff || make_room(skb, room, gre))
		return drop(RSIP_TUNNEL_DROP_ERROR);
	if (!readable(skb, sizeof(struct ethhdr) + OUTER_GRE))
		return drop(RSIP_TUNNEL_DROP_ERROR);
	ip = (void *)(long)skb->data + sizeof(struct ethhdr);
	if ((void *)ip + OUTER_GRE > (void *)(long)skb->data_end)
		return drop(RSIP_TUNNEL_DROP_ERROR);
	write_outer(ip, tos, len + room);
	if (gre)
		*(struct gre *)(ip + 1) = (struct gre){ .protocol = bpf_htons(ETH_P_IP) };

	count(RSIP_TUNNEL_SENT, 1);
	count(RSIP_TUNNEL_SENT_BYTES, len);
	return bpf_redirect_neigh(config.underlay, NULL, 0, 0);
}

/* --- in ------------------------------------------------------------------------- */

static __always_inline int check_arp(struct __sk_buff *skb)
{
	struct arp *arp;
	__be32 target;

	if (!readable(skb, sizeof(struct ethhdr) + sizeof(*arp)))
		return TC_ACT_UNSPEC;
	arp = (void *)(long)skb->data + sizeof(struct ethhdr);
	if ((void *)(arp + 1) > (void *)(long)skb->data_end)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(&target, arp->target, sizeof(target));
	if (arp->operation != bpf_htons(ARP_REQUEST) || target != config.address)
		return TC_ACT_UNSPEC;
	return drop(RSIP_TUNNEL_DROP_ARP);
}

static __always_inline __u32 gre_length(const struct gre *gre)
{
	__u16 flags = bpf_ntohs(gre->flags);

	if (flags & ~GRE_OPTIONS || gre->protocol != bpf_htons(ETH_P_IP))
		return 0;
	return sizeof(*gre) + (flags & GRE_CHECKSUM ? 4 : 0) + (flags & GRE_KEY ? 4 : 0) +
	       (flags & GRE_SEQUENCE ? 4 : 0);
}

/* Bytes of outer headers if this is a packet from our end point, else 0. */
static __always_inline __u32 outer_length(struct __sk_buff *skb)
{
	struct iphdr *ip = (void *)(long)skb->data + sizeof(struct ethhdr);
	struct gre *gre = (void *)(ip + 1);
	__u32 gre_len;

	if ((void *)(gre + 1) > (void *)(long)skb->data_end)
		return 0;
	if (*(__u8 *)ip != 0x45 || ip->protocol != config.proto || ip->saddr != config.end ||
	    ip->daddr != config.host || ip->frag_off & bpf_htons(IP_FRAGMENT))
		return 0;
	if (ip->protocol == PROTO_IPIP)
		return sizeof(*ip);
	gre_len = gre_length(gre);
	return gre_len ? sizeof(*ip) + gre_len : 0;
}

/* Is there a whole IPv4 packet to Nb inside? */
static __always_inline bool inner_valid(struct __sk_buff *skb, const struct iphdr *outer, const struct iphdr *inner,
					__u32 outer_len)
{
	__u32 outside = bpf_ntohs(outer->tot_len), inside = bpf_ntohs(inner->tot_len);

	return inner->version == 4 && inner->ihl >= 5 && inside >= inner->ihl * 4u &&
	       inside + outer_len <= outside && outside <= skb->len - sizeof(struct ethhdr) &&
	       inner->daddr == config.address;
}

/* RFC 6040 4.2, figure 4. Returns false if the packet has to be dropped. */
static __always_inline bool combine_ecn(__u8 outer_tos, struct iphdr *inner)
{
	__u8 outer = outer_tos & ECN_MASK, ecn = inner->tos & ECN_MASK;
	__u32 sum;

	if (ecn == 0)
		return outer != ECN_CE;
	if (ecn == ECN_CE || (outer != ECN_CE && outer != ECN_ECT1) || outer == ecn)
		return true;
	/* RFC 1624 eqn. 3, for the word of version, length and TOS: HC' = ~(~HC + ~m + m') */
	sum = (__u16)~inner->check + (__u16)~*(__be16 *)inner;
	inner->tos = (inner->tos & ~ECN_MASK) | outer;
	sum += *(__be16 *)inner;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	inner->check = ~sum;
	return true;
}

static __always_inline int decapsulate(struct __sk_buff *skb)
{
	struct iphdr *outer, *inner;
	struct ethhdr *eth;
	__u32 outer_len, len;

	if (!readable(skb, sizeof(*eth) + sizeof(*outer) + sizeof(*inner)))
		return TC_ACT_UNSPEC;
	outer_len = outer_length(skb) & OUTER_MASK;
	if (outer_len == 0 || !readable(skb, sizeof(*eth) + outer_len + sizeof(*inner)))
		return TC_ACT_UNSPEC;
	eth = (void *)(long)skb->data;
	outer = (void *)(eth + 1);
	inner = (void *)outer + outer_len;
	if ((void *)(outer + 1) > (void *)(long)skb->data_end ||
	    (void *)(inner + 1) > (void *)(long)skb->data_end || !inner_valid(skb, outer, inner, outer_len))
		return TC_ACT_UNSPEC;
	if (!combine_ecn(outer->tos, inner))
		return drop(RSIP_TUNNEL_DROP_ECN);
	len = bpf_ntohs(inner->tot_len);
	__builtin_memcpy(eth->h_dest, config.mac, sizeof(eth->h_dest));

	if (bpf_skb_adjust_room(skb, -(__s32)outer_len, ADJ_ROOM_MAC, FIXED_GSO))
		return drop(RSIP_TUNNEL_DROP_ERROR);
	count(RSIP_TUNNEL_RECEIVED, 1);
	count(RSIP_TUNNEL_RECEIVED_BYTES, len);
	return bpf_redirect(config.tunnel, REDIRECT_INGRESS);
}

SEC("tc")
int rsip_decap(struct __sk_buff *skb)
{
	/* A tagged frame comes by again, on the VLAN interface it belongs to. */
	if (skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return check_arp(skb);
	if (skb->protocol == bpf_htons(ETH_P_IP) && config.underlay != 0)
		return decapsulate(skb);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
