/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the program on connect() (bpf/connect.bpf.c) and `rsip` share: which
 * destinations are local, and from which leased ends a connection to the
 * others may come.
 */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum rsip_place {		/* value of rsip_places */
	RSIP_PLACE_UNKNOWN,	/* nobody said: taken as remote, and asked about */
	RSIP_PLACE_LOCAL,
	RSIP_PLACE_REMOTE,
	RSIP_PLACE_OWN,		/* a leased address */
};

struct rsip_place_key {		/* longest prefix match */
	__u32  length;
	__be32 addr;
};

struct rsip_end {		/* an address and a port */
	__be32 addr;
	__be16 port;
	__u16  pad;		/* 0 */
};

#define RSIP_ENDS_MAX	1024	/* a power of two */

/* Value of rsip_sources, whose key is the peer: addr and port, port 0: any, both 0: any peer. */
struct rsip_ends {
	__u32 count;
	__u32 pad;
	struct rsip_end list[RSIP_ENDS_MAX];
};

enum rsip_wish_kind {
	RSIP_WISH_PLACE,	/* is this destination local? */
	RSIP_WISH_PORTS,	/* all ports are taken towards it, or none is leased for it */
};

struct rsip_wish {		/* in the ring rsip_wishes */
	__be32 addr;
	__be16 port;
	__u16  kind;
};

#ifndef __bpf__
_Static_assert(sizeof(struct rsip_end) == 8, "hidden padding in a map key");
#endif
