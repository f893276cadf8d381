/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host's tc programs (bpf/tunnel.bpf.c) and `rsip` share.
 */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Written by rsip before the programs are attached; underlay may change later. */
struct rsip_tunnel_config {
	__be32 address;		/* Nb */
	__be32 host;		/* Xa: outer source of what we send */
	__be32 end;		/* the gateway or its tunnel end point: the only outer source we take */
	__u32  tunnel;		/* ifindex of rsipN */
	__u32  underlay;	/* ifindex of the interface towards `end`; 0: a kernel device does the tunnelling */
	__u8   proto;		/* outer protocol: 4 (IP-IP) or 47 (GRE) */
	__u8   mac[6];		/* of rsipN: what is decapsulated is addressed to it */
	__u8   pad;		/* 0 */
};

/* X(NAME, key in `rsip status`): append only, `counters` is indexed by it. */
#define RSIP_TUNNEL_COUNTERS(X)						\
	X(SENT,		"sent")						\
	X(SENT_BYTES,	"sent-bytes")	/* inner, layer 3 */		\
	X(RECEIVED,	"received")					\
	X(RECEIVED_BYTES, "received-bytes")				\
	X(DROP_SOURCE,	"dropped-not-leased")	/* out: source is not Nb, or not IPv4 */ \
	X(DROP_ECN,	"dropped-ecn")		/* in: CE outside, not ECN-capable inside (RFC 6040 4.2) */ \
	X(DROP_ARP,	"dropped-arp")		/* requests for Nb (RFC 3102 3.1) */ \
	X(DROP_ERROR,	"dropped-error")	/* a helper failed the packet */

enum rsip_tunnel_counter {
#define X(name, key) RSIP_TUNNEL_##name,
	RSIP_TUNNEL_COUNTERS(X)
#undef X
	RSIP_TUNNEL_COUNTER_COUNT
};

#ifndef __bpf__
_Static_assert(sizeof(struct rsip_tunnel_config) == 28, "hidden padding");
#endif
