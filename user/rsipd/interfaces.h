/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configured interfaces as links of the kernel, and which of them its routes
 * lead through.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "rsipd/config.h"
#include "rsipd/netlink.h"

struct interface {
	char name[IF_NAMESIZE];
	bool public_side;
	struct netlink_link link;	/* changed by who hears of changes */
};

struct interfaces {
	struct netlink *netlink;
	struct interface *at;
	size_t count;
};

/* Looks at each of them; `netlink` must outlive it. 0 or -errno, logged; interfaces_fini() is right after either. */
int interfaces_init(struct interfaces *all, const struct config *config, struct netlink *netlink);
void interfaces_fini(struct interfaces *all);

/* NULL: no interface of ours. */
struct interface *interface_by_ifindex(const struct interfaces *all, uint32_t ifindex);
struct interface *interface_by_name(const struct interfaces *all, const char *name);

/* Asks the kernel for the interface and the neighbour that lead to `dst`. NULL: there is no way, or none
 * that packets of that side may take (EG-16). */
struct interface *interface_towards(const struct interfaces *all, __be32 dst, bool public_side, __be32 *neighbour);
