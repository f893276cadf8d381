/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's end of the tunnel: an interface rsipN that owns the leased
 * address, and the policy routing that sends traffic from that address, and
 * no other, into it. The kernel's ipip or gre device does the work where there
 * is one, else the tc programs of bpf/tunnel.bpf.c on a dummy or ifb device.
 *
 * What stands for slot N: interface rsipN, table and rule preference
 * TUNNEL_BASE + N, tc filters of priority TUNNEL_PRIORITY and handle N + 1.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include <rsip/encap.h>

#define TUNNEL_BASE	4555
#define TUNNEL_PRIORITY	45

struct tunnel;

struct tunnel_spec {
	__be32 host;		/* Xa: outer source */
	__be32 end;		/* outer destination, and the only outer source taken */
	__be32 address;		/* Nb */
	uint8_t type;		/* enum rsip_tunnel: IP-IP or GRE */
};

struct tunnel_info {
	char name[IFNAMSIZ], underlay[IFNAMSIZ];
	const char *way;	/* "ipip", "gre": the kernel's device; "tc/BPF" */
	uint32_t mtu;
	uint32_t table;		/* and rule preference */
};

/* Removes what a run for this gateway ("ADDRESS:PORT") left when it was killed: once, before the first is opened. */
int tunnel_clean(const char *gateway);
int tunnel_open(struct tunnel **out, const char *gateway);
void tunnel_close(struct tunnel *t);	/* lowers it; accepts NULL */

/* Logs what is wrong when it fails; nothing is left behind then. */
int tunnel_raise(struct tunnel *t, const struct tunnel_spec *spec);
void tunnel_lower(struct tunnel *t);
bool tunnel_is_up(const struct tunnel *t);

/* Follows the host's own links and routes. 0: as before or adapted; -ENODEV: rsipN is
 * gone; -EADDRNOTAVAIL: Xa is no address of this host any more; else there is no way
 * to the end point at present. */
int tunnel_follow(struct tunnel *t);

/* Only while it is up */
const struct tunnel_info *tunnel_info(const struct tunnel *t);
/* By enum rsip_tunnel_counter. Of a kernel device only the first four are known. */
void tunnel_counters(struct tunnel *t, uint64_t out[static RSIP_TUNNEL_COUNTER_COUNT]);
