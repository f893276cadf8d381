/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads ICMP: what kind of message, and the packet that an error quotes. Like
 * packet.h it needs no helper and decides nothing. A quoted packet is read
 * into a struct packet too, as far as it goes; its lengths are not looked at.
 */
#pragma once

#include "packet.h"

#define ICMP_LEN		8
#define ICMP_QUOTE_MIN		8	/* bytes behind the quoted IPv4 header (RFC 792) */

#define ICMP_ECHO_REPLY		0
#define ICMP_UNREACHABLE	3
#define ICMP_ECHO		8
#define ICMP_TIME_EXCEEDED	11
#define ICMP_PARAMETER		12
#define ICMP_TIMESTAMP		13
#define ICMP_TIMESTAMP_REPLY	14
#define ICMP_MASK		17
#define ICMP_MASK_REPLY		18

enum icmp_class {
	ICMP_CLASS_ERROR,
	ICMP_CLASS_REQUEST,
	ICMP_CLASS_REPLY,
	ICMP_CLASS_OTHER,	/* redirects and the like: not to be relayed */
};

static __always_inline enum icmp_class icmp_class(__u8 type)
{
	switch (type) {
	case ICMP_UNREACHABLE:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER:
		return ICMP_CLASS_ERROR;
	case ICMP_ECHO:
	case ICMP_TIMESTAMP:
	case ICMP_MASK:
		return ICMP_CLASS_REQUEST;
	case ICMP_ECHO_REPLY:
	case ICMP_TIMESTAMP_REPLY:
	case ICMP_MASK_REPLY:
		return ICMP_CLASS_REPLY;
	}
	return ICMP_CLASS_OTHER;
}

/*
 * The message of p->ip, which stands at p->ip_at, as type, identifier and
 * sequence number. Makes the kind, so far PACKET_PROTOCOL, PACKET_ICMP. False:
 * it is something else or too short.
 */
static __always_inline bool icmp_read(const void *data, const void *end, struct packet *p)
{
	const struct icmphdr *icmp = data + p->ip_at + p->ip.header;

	if (p->kind != PACKET_PROTOCOL || p->ip.proto != IPPROTO_ICMP || p->ip.len - p->ip.header < ICMP_LEN ||
	    (const void *)(icmp + 1) > end)
		return false;
	p->kind = PACKET_ICMP;
	p->icmp_type = icmp->type;
	p->sport = icmp->un.echo.id;
	p->dport = icmp->un.echo.sequence;
	return true;
}

/* UDP from (or to) ports 500 and 4500, of which `room` bytes are quoted behind the UDP header. */
static __always_inline enum packet_kind quote_udp(const void *payload, const void *end, __u32 room, __be16 leased,
						  struct packet *q)
{
	if (leased == bpf_htons(RSIP_NATT_PORT)) {
		if (room < NATT_MARKER_LEN || payload + NATT_MARKER_LEN > end)
			return PACKET_NATT_SHORT;
		q->spi = *(const __be32 *)payload;
		if (q->spi)
			return PACKET_NATT;
		payload += NATT_MARKER_LEN;
		room -= NATT_MARKER_LEN;
	} else if (leased != bpf_htons(RSIP_IKE_PORT)) {
		return PACKET_PORT;
	}
	if (room < COOKIE_LEN || payload + COOKIE_LEN > end)
		return PACKET_IKE_SHORT;
	q->cookie = cookie_read(payload);
	return PACKET_IKE;
}

static __always_inline enum packet_kind quote_payload(const void *at, const void *end, __u32 room,
						      enum packet_side side, struct packet *q)
{
	const __be16 *half = at;

	switch (q->ip.proto) {
	case IPPROTO_UDP:
	case IPPROTO_TCP:
		q->sport = half[0];
		q->dport = half[1];
		q->ports = true;
		if (q->ip.proto == IPPROTO_TCP)
			return PACKET_PORT;
		return quote_udp(at + UDP_LEN, end, room - UDP_LEN, side == SIDE_PUBLIC ? q->dport : q->sport, q);
	case RSIP_PROTO_ESP:
		q->spi = *(const __be32 *)at;
		return PACKET_ESP;
	case RSIP_PROTO_AH:
		q->spi = ((const __be32 *)at)[1];
		return PACKET_AH;
	case IPPROTO_ICMP:
		q->icmp_type = *(const __u8 *)at;
		q->sport = half[2];
		q->dport = half[3];
		return PACKET_ICMP;
	}
	return PACKET_PROTOCOL;
}

/*
 * What the error at p->ip quotes; `side`: the one that the quoted packet came
 * in on. PACKET_MALFORMED: too little of it, or a later fragment.
 */
static __always_inline void icmp_quote(const void *data, const void *end, const struct packet *p,
				       enum packet_side side, struct packet *q)
{
	const void *at = data + p->ip_at + p->ip.header + ICMP_LEN;
	__u32 room = p->ip.len - p->ip.header - ICMP_LEN;
	const struct iphdr *ip = at;
	__u8 first;

	q->kind = PACKET_MALFORMED;
	if (room < IPV4_LEN || at + IPV4_LEN > end)
		return;
	first = *(const __u8 *)at;
	q->ip.src = ip->saddr;
	q->ip.dst = ip->daddr;
	q->ip.proto = ip->protocol;
	q->ip.header = (first & 0x0f) * 4;
	if (first >> 4 != 4 || q->ip.header < IPV4_LEN || ip->frag_off & bpf_htons(IPV4_OFFSET) ||
	    room < q->ip.header + ICMP_QUOTE_MIN)
		return;
	at += q->ip.header;
	if (at + ICMP_QUOTE_MIN > end)
		return;
	q->kind = quote_payload(at, end, room - q->ip.header, side, q);
}
