/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What rsipd asks the kernel's routing about, and what the kernel tells: links,
 * routes and neighbours by netlink. Requests are answered before they return;
 * events are read when netlink_fd() is readable.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include <rsip/datapath.h>
#include "lib/addr.h"

struct netlink;

struct netlink_link {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	uint32_t lower;			/* a VLAN, or one on another: the device below; else the link itself */
	struct rsip_vlan vlan[RSIP_VLANS];	/* tags towards `lower`, the outer one first */
	bool ethernet;
	bool up;			/* administratively, and with a carrier */
	uint32_t mtu;
	uint8_t mac[6];
};

struct netlink_route {
	uint8_t type;			/* RTN_UNICAST, ... */
	uint32_t ifindex;
	__be32 gateway;			/* 0: the destination is on the link */
};

struct netlink_neigh {
	uint32_t ifindex;
	__be32 addr;
	uint16_t state;			/* NUD_* */
	bool has_mac;
	uint8_t mac[6];
};

/* The events' socket is opened first: what changes after this is told. 0 or -errno. */
int netlink_open(struct netlink **out);
void netlink_close(struct netlink *nl);
int netlink_fd(const struct netlink *nl);

/* By index, or by name when `ifindex` is 0. 0, -ENODEV, other -errno. */
int netlink_link_get(struct netlink *nl, uint32_t ifindex, const char *name, struct netlink_link *out);
/* The first IPv4 address of a link; 0: none. */
__be32 netlink_address_get(struct netlink *nl, uint32_t ifindex);
/* The route N's own packets to `dst` take. 0 or -errno; -ENETUNREACH, -EHOSTUNREACH: none. */
int netlink_route_get(struct netlink *nl, __be32 dst, struct netlink_route *out);
/* 0; -ENOENT when the kernel knows nothing of it. */
int netlink_neigh_get(struct netlink *nl, uint32_t ifindex, __be32 addr, struct netlink_neigh *out);

/* Makes the kernel look for a neighbour, once. */
int netlink_neigh_ask(struct netlink *nl, uint32_t ifindex, __be32 addr);
/* Makes the kernel keep it fresh from now on, and no longer. */
int netlink_neigh_keep(struct netlink *nl, uint32_t ifindex, __be32 addr);
int netlink_neigh_release(struct netlink *nl, uint32_t ifindex, __be32 addr);

struct netlink_events {
	/* as the kernel tells it: QinQ shows by netlink_link_get() only */
	void (*link)(const struct netlink_link *link, bool gone, void *arg);
	void (*neigh)(const struct netlink_neigh *neigh, bool gone, void *arg);
	void (*route)(const struct addr_prefix *changed, void *arg);
	void (*lost)(void *arg);	/* events were lost: everything may have changed */
	void *arg;
};

/* Reads what is there, within a bound; the rest keeps the descriptor readable. */
void netlink_read(struct netlink *nl, const struct netlink_events *events);
