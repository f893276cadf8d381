/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host changes in and asks of the kernel's network state, by
 * rtnetlink: links, addresses, routes, rules. Actions return 0 or -errno.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "lib/addr.h"

struct mnl_socket;

#define KERNEL_PROTOCOL	155	/* "proto" of our routes and rules: who put them there */
#define KERNEL_ALIAS_MAX	64

struct kernel {
	struct mnl_socket *socket;
	uint32_t seq;
};

int kernel_open(struct kernel *k);
void kernel_close(struct kernel *k);

struct kernel_link {
	int index;
	unsigned short type;	/* ARPHRD_* */
	unsigned int flags;	/* IFF_* */
	uint32_t mtu;
	uint8_t mac[6];		/* zero unless ARPHRD_ETHER */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	char name[IFNAMSIZ];
	char alias[KERNEL_ALIAS_MAX];
};

/* A device to make. kind "ipip" and "gre": a tunnel from `local` to `remote`; other kinds leave them 0. */
struct kernel_device {
	const char *name, *kind;
	uint32_t mtu;
	__be32 local, remote;
};

/* The kernel's own way to `dst` */
struct kernel_path {
	int index;		/* interface */
	__be32 source;		/* the source address it would take */
	uint32_t mtu;		/* of the interface, or less if the route says so */
};

struct kernel_rule {		/* what comes `from` there, or goes `out` there, looks up `table` */
	uint32_t preference, table;
	__be32 from;		/* 0: from anywhere */
	char out[IFNAMSIZ];	/* empty: out anywhere */
	uint8_t protocol;
};

int kernel_device_add(struct kernel *k, const struct kernel_device *device);
int kernel_link_delete(struct kernel *k, int index);
int kernel_link_up(struct kernel *k, int index);
/* Cannot be given when the link is made: the kernel leaves it out. */
int kernel_link_alias(struct kernel *k, int index, const char *alias);
/* No link-local address, so no neighbour or router discovery. Without IPv6 in the kernel: -EAFNOSUPPORT. */
int kernel_link_no_ipv6(struct kernel *k, int index);
int kernel_link_mtu(struct kernel *k, int index, uint32_t mtu);
int kernel_link_get(struct kernel *k, int index, struct kernel_link *out);
int kernel_address_add(struct kernel *k, int index, __be32 addr);	/* addr/32 */

/* The default route of `table`: through `index` with source `source`, or, index 0, unreachable
 * and behind every other. */
int kernel_default_add(struct kernel *k, uint32_t table, int index, __be32 source);
int kernel_default_delete(struct kernel *k, uint32_t table, int index);
int kernel_rule_add(struct kernel *k, const struct kernel_rule *rule);
int kernel_rule_delete(struct kernel *k, const struct kernel_rule *rule);
/* Is this an address of this host? */
bool kernel_is_local(struct kernel *k, __be32 addr);
/* `source` 0: the kernel's choice */
int kernel_path(struct kernel *k, __be32 dst, __be32 source, struct kernel_path *out);

/* Lists: `each` is called for every one; the socket is free again when it is called. */
int kernel_links(struct kernel *k, void (*each)(const struct kernel_link *link, void *arg), void *arg);
/* What is on a link of this host, by the main table. */
int kernel_subnets(struct kernel *k, void (*each)(const struct addr_prefix *prefix, void *arg), void *arg);
int kernel_rules(struct kernel *k, void (*each)(const struct kernel_rule *rule, void *arg), void *arg);
/* Is there a route in this table? */
bool kernel_table_used(struct kernel *k, uint32_t table);
/* Is there a filter at the clsact qdisc of this interface, either direction? */
bool kernel_has_filters(struct kernel *k, int index);

/* A socket that becomes readable when links, IPv4 addresses or routes change. */
int kernel_watch(struct kernel *k);
int kernel_watch_fd(const struct kernel *k);
/* Reads what is there; true: something changed (or news were lost). */
bool kernel_watch_read(struct kernel *k);
