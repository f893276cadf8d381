/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From bytes to fields, the only code that walks a packet (what ICMP quotes:
 * icmp.h). It says what a packet is, never what becomes of it. Needs no helper,
 * so that it builds natively as well.
 */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <rsip/datapath.h>
#include <rsip/proto.h>

#define ETHERNET_LEN	14
#define VLAN_LEN	4
#define IPV4_LEN	20	/* without options */
#define UDP_LEN		8
#define TCP_LEN		20	/* without options */
#define ESP_LEN		8	/* SPI and sequence number */
#define AH_LEN		12	/* without the check value */
#define GRE_LEN		4	/* without optional fields */
#define NATT_MARKER_LEN	4	/* RFC 3948 2.2: zeros where ESP has its SPI */
#define COOKIE_LEN	8

#define ECN_MASK	0x03	/* of tos */
#define ECN_ECT1	0x01
#define ECN_ECT0	0x02
#define ECN_CE		0x03

#define IPV4_DF		0x4000
#define IPV4_MF		0x2000	/* more fragments */
#define IPV4_OFFSET	0x1fff	/* in units of 8 bytes */
#define IPV4_FRAGMENT	(IPV4_MF | IPV4_OFFSET)

/* The first five go on, and stand in the order of the outcomes IN_ESP and OUT_ESP on. So does PACKET_WHOLE. */
enum packet_kind {
	PACKET_ESP,
	PACKET_AH,
	PACKET_IKE,		/* UDP 500, or 4500 with the marker: has a cookie */
	PACKET_NATT,		/* UDP 4500: ESP without the marker */
	PACKET_PORT,		/* other UDP and TCP */
	PACKET_KEEPALIVE,	/* UDP 4500: one byte of ones */
	PACKET_IKE_SHORT,	/* as IKE, but too short for a cookie (IN-27) */
	PACKET_NATT_SHORT,	/* as NATT, but too short for ESP */
	PACKET_ICMP,
	PACKET_FRAGMENT,
	PACKET_TUNNEL,		/* IP-IP or GRE */
	PACKET_PROTOCOL,	/* any other */
	PACKET_MALFORMED,	/* addresses are known, the rest is not to be trusted */
	PACKET_FOREIGN,		/* not IPv4, or not a tunnel where one is looked for */
	PACKET_WHOLE,		/* no matter what: its address was found to be one host's alone (RSA-IP) */
};

enum packet_side {
	SIDE_PUBLIC,		/* the leased port is the destination */
	SIDE_PRIVATE,		/* the leased port is the source */
};

struct ipv4 {
	__be32 src;
	__be32 dst;
	__u16  len;		/* header and payload */
	__be16 frag;		/* flags and offset, as in the header */
	__u8   header;		/* length, with options */
	__u8   tos;
	__u8   ttl;
	__u8   proto;
};

struct packet {
	__u32  frame_len;	/* as it arrived */
	enum packet_kind kind;
	__u16  ip_at;		/* where `ip` starts in the frame */
	struct ipv4 outer;	/* private side: the header to strip */
	struct ipv4 ip;		/* the packet itself; len 0: not reached */
	__be16 sport;		/* UDP and TCP, and behind AH (APD-02); of an ICMP query, identifier */
	__be16 dport;		/* and sequence number (icmp.h) */
	bool   ports;		/* these two can be seen, and are ports */
	__u8   icmp_type;	/* icmp.h */
	__be32 spi;		/* ESP, AH, NATT */
	__u64  cookie;		/* IKE, bytes as on the wire */
};

/*
 * Empty, and in memory: of two headers there are more fields than registers, and
 * clang writes a zero for each that is still missing at each of the many ways out.
 */
static __always_inline void packet_init(struct packet *p)
{
	*p = (struct packet){ 0 };
	asm volatile("" : "+m"(*p));
}

static __always_inline bool packet_has_spi(const struct packet *p)
{
	return p->kind == PACKET_ESP || p->kind == PACKET_AH || p->kind == PACKET_NATT;
}

/* clang makes 32 bits of the difference where no more are used: "32-bit pointer arithmetic prohibited". */
static __always_inline __u32 frame_length(const void *data, const void *end)
{
	__u64 len = end - data;

	barrier_var(len);
	return len;
}

static __always_inline bool is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* Where the IPv4 header starts: after Ethernet and at most two VLAN tags. 0: no IPv4. */
static __always_inline __u32 parse_ethernet(const void *data, const void *end)
{
	const __be16 *type = data + ETHERNET_LEN - sizeof(*type);

	if (data + ETHERNET_LEN + RSIP_VLANS * VLAN_LEN > end)
		return 0;
	if (*type == bpf_htons(ETH_P_IP))
		return ETHERNET_LEN;
	if (!is_vlan(*type))
		return 0;
	if (type[2] == bpf_htons(ETH_P_IP))
		return ETHERNET_LEN + VLAN_LEN;
	if (is_vlan(type[2]) && type[4] == bpf_htons(ETH_P_IP))
		return ETHERNET_LEN + 2 * VLAN_LEN;
	return 0;
}

/*
 * The header at `at`, of a packet that has at most `room` bytes. The checksum
 * is not verified: it is only ever updated by differences, so that a wrong one
 * stays wrong and the next hop drops the packet.
 */
static __always_inline enum packet_kind parse_ipv4(const void *at, const void *end, __u32 room,
						   struct ipv4 *ip)
{
	const struct iphdr *header = at;
	__u8 first;

	if (at + IPV4_LEN > end)
		return PACKET_FOREIGN;
	first = *(const __u8 *)at;
	ip->src = header->saddr;
	ip->dst = header->daddr;
	ip->len = bpf_ntohs(header->tot_len);
	ip->header = (first & 0x0f) * 4;
	ip->tos = header->tos;
	ip->ttl = header->ttl;
	ip->proto = header->protocol;
	ip->frag = header->frag_off;
	if (first >> 4 != 4 || ip->header < IPV4_LEN || ip->len < ip->header || ip->len > room)
		return PACKET_MALFORMED;
	return ip->frag & bpf_htons(IPV4_FRAGMENT) ? PACKET_FRAGMENT : PACKET_PROTOCOL;
}

/* Identification of the header at `at`, which was parsed. */
static __always_inline __be16 ip_id(const void *at, const void *end)
{
	const struct iphdr *header = at;

	return at + IPV4_LEN > end ? 0 : header->id;
}

/* In two loads: what follows IPv4 is aligned to 4 bytes, which some machines insist on. */
static __always_inline __u64 cookie_read(const void *at)
{
	const __u32 *half = at;
	union {
		__u32 half[2];
		__u64 whole;
	} cookie = { { half[0], half[1] } };

	return cookie.whole;
}

/* UDP on port 4500 (RFC 3948 2). */
static __always_inline enum packet_kind parse_natt(const void *payload, const void *end, __u32 len,
						   struct packet *p)
{
	if (len == 1 && payload + 1 <= end && *(const __u8 *)payload == 0xff)
		return PACKET_KEEPALIVE;
	if (len < NATT_MARKER_LEN || payload + NATT_MARKER_LEN > end)
		return PACKET_NATT_SHORT;
	p->spi = *(const __be32 *)payload;
	if (p->spi)
		return len < ESP_LEN ? PACKET_NATT_SHORT : PACKET_NATT;
	if (len < NATT_MARKER_LEN + COOKIE_LEN || payload + NATT_MARKER_LEN + COOKIE_LEN > end)
		return PACKET_IKE_SHORT;
	p->cookie = cookie_read(payload + NATT_MARKER_LEN);
	return PACKET_IKE;
}

/* `first`: of a first fragment, whose UDP length is that of the whole packet. */
static __always_inline enum packet_kind parse_udp(const void *at, const void *end, __u32 room,
						  enum packet_side side, bool first, struct packet *p)
{
	const struct udphdr *udp = at;
	__be16 leased;
	__u32 len;

	if (room < UDP_LEN || at + UDP_LEN > end)
		return PACKET_MALFORMED;
	len = bpf_ntohs(udp->len);
	if (len < UDP_LEN || (len > room && !first))
		return PACKET_MALFORMED;
	if (len > room)
		len = room;
	p->sport = udp->source;
	p->dport = udp->dest;
	p->ports = true;
	len -= UDP_LEN;
	at += UDP_LEN;
	leased = side == SIDE_PUBLIC ? p->dport : p->sport;
	if (leased == bpf_htons(RSIP_NATT_PORT))
		return parse_natt(at, end, len, p);
	if (leased != bpf_htons(RSIP_IKE_PORT))
		return PACKET_PORT;
	if (len < COOKIE_LEN || at + COOKIE_LEN > end)
		return PACKET_IKE_SHORT;
	p->cookie = cookie_read(at);
	return PACKET_IKE;
}

static __always_inline enum packet_kind parse_tcp(const void *at, const void *end, __u32 room,
						  struct packet *p)
{
	const __be16 *port = at;
	__u32 header;

	if (room < TCP_LEN || at + TCP_LEN > end)
		return PACKET_MALFORMED;
	header = (((const __u8 *)at)[12] >> 4) * 4;
	if (header < TCP_LEN || header > room)
		return PACKET_MALFORMED;
	p->sport = port[0];
	p->dport = port[1];
	p->ports = true;
	return PACKET_PORT;
}

static __always_inline enum packet_kind parse_esp(const void *at, const void *end, __u32 room,
						  struct packet *p)
{
	if (room < ESP_LEN || at + ESP_LEN > end)
		return PACKET_MALFORMED;
	p->spi = *(const __be32 *)at;
	return PACKET_ESP;
}

static __always_inline enum packet_kind parse_ah(const void *at, const void *end, __u32 room,
						 struct packet *p)
{
	__u32 header;

	if (room < AH_LEN || at + AH_LEN > end)
		return PACKET_MALFORMED;
	header = (((const __u8 *)at)[1] + 2) * 4;	/* RFC 4302 2.2: in words, minus 2 */
	if (header < AH_LEN || header > room)
		return PACKET_MALFORMED;
	p->spi = ((const __be32 *)at)[1];
	/* Transport mode. What is too short for ports has ports of 0: no flow policy allows them. */
	p->ports = *(const __u8 *)at == IPPROTO_UDP || *(const __u8 *)at == IPPROTO_TCP;
	if (p->ports && room >= header + 4 && at + header + 4 <= end) {
		p->sport = ((const __be16 *)(at + header))[0];
		p->dport = ((const __be16 *)(at + header))[1];
	}
	return PACKET_AH;
}

/* What p->ip, which stands at `at`, carries. */
static __always_inline enum packet_kind parse_payload(const void *at, const void *end,
						      enum packet_side side, bool first, struct packet *p)
{
	__u32 room = p->ip.len - p->ip.header;

	at += p->ip.header;
	switch (p->ip.proto) {
	case IPPROTO_UDP:
		return parse_udp(at, end, room, side, first, p);
	case IPPROTO_TCP:
		return parse_tcp(at, end, room, p);
	case RSIP_PROTO_ESP:
		return parse_esp(at, end, room, p);
	case RSIP_PROTO_AH:
		return parse_ah(at, end, room, p);
	case IPPROTO_ICMP:
		return PACKET_ICMP;
	case RSIP_PROTO_IPIP:
	case RSIP_PROTO_GRE:
		return PACKET_TUNNEL;
	}
	return PACKET_PROTOCOL;
}

/* Public side: a plain packet up to its IPv4 header. PACKET_PROTOCOL: there is a payload to be read. */
static __always_inline void parse_plain_header(const void *data, const void *end, struct packet *p)
{
	p->frame_len = frame_length(data, end);
	p->kind = PACKET_FOREIGN;
	p->ip_at = parse_ethernet(data, end);
	if (!p->ip_at)
		return;
	p->kind = parse_ipv4(data + p->ip_at, end, p->frame_len - p->ip_at, &p->ip);
}

static __always_inline void parse_plain(const void *data, const void *end, struct packet *p)
{
	parse_plain_header(data, end, p);
	if (p->kind == PACKET_PROTOCOL)
		p->kind = parse_payload(data + p->ip_at, end, SIDE_PUBLIC, false, p);
}

#define GRE_CHECKSUM	0x8000
#define GRE_KEY		0x2000
#define GRE_SEQUENCE	0x1000
#define GRE_REFUSED	0x4c07	/* routing, source route, bit 5 (RFC 2784 2.3), version */

/* Length of the GRE header, its optional fields ignored. 0: not one we read. */
static __always_inline __u32 parse_gre(const void *at, const void *end)
{
	const __be16 *field = at;
	__u32 flags;

	if (at + GRE_LEN > end)
		return 0;
	flags = bpf_ntohs(field[0]);
	if (flags & GRE_REFUSED || field[1] != bpf_htons(ETH_P_IP))
		return 0;
	return GRE_LEN + !!(flags & GRE_CHECKSUM) * 4 + !!(flags & GRE_KEY) * 4 +
	       !!(flags & GRE_SEQUENCE) * 4;
}

/* Private side: a packet in a tunnel. `outer_at` is where the outer header starts. */
static __always_inline enum packet_kind parse_inner(const void *data, const void *end, __u32 outer_at,
						    struct packet *p)
{
	__u32 strip = p->outer.header;
	enum packet_kind kind;

	if (p->outer.proto == RSIP_PROTO_GRE) {
		__u32 gre = parse_gre(data + outer_at + strip, end);

		if (!gre)
			return PACKET_MALFORMED;
		strip += gre;
	}
	if (p->outer.len < strip + IPV4_LEN)
		return PACKET_MALFORMED;
	p->ip_at = outer_at + strip;
	kind = parse_ipv4(data + p->ip_at, end, p->outer.len - strip, &p->ip);
	return kind == PACKET_FOREIGN ? PACKET_MALFORMED : kind;
}

/* Private side: up to the IPv4 header of the packet inside, or as far as it goes. */
static __always_inline void parse_tunnelled_header(const void *data, const void *end, struct packet *p)
{
	__u32 outer_at = parse_ethernet(data, end);

	p->frame_len = frame_length(data, end);
	p->kind = PACKET_FOREIGN;
	if (!outer_at)
		return;
	p->kind = parse_ipv4(data + outer_at, end, p->frame_len - outer_at, &p->outer);
	if (p->outer.proto != RSIP_PROTO_IPIP && p->outer.proto != RSIP_PROTO_GRE)
		p->kind = PACKET_FOREIGN;
	if (p->kind == PACKET_PROTOCOL)
		p->kind = parse_inner(data, end, outer_at, p);
}

static __always_inline void parse_tunnelled(const void *data, const void *end, struct packet *p)
{
	parse_tunnelled_header(data, end, p);
	if (p->kind == PACKET_PROTOCOL)
		p->kind = parse_payload(data + p->ip_at, end, SIDE_PRIVATE, false, p);
}

/* After parse_*_header(): what a whole packet carries, or a first fragment, as far as it goes. */
static __always_inline void parse_first(const void *data, const void *end, enum packet_side side, struct packet *p)
{
	bool first = p->kind == PACKET_FRAGMENT && p->ip.len && !(p->ip.frag & bpf_htons(IPV4_OFFSET));

	if (first || p->kind == PACKET_PROTOCOL)
		p->kind = parse_payload(data + p->ip_at, end, side, first, p);
}
