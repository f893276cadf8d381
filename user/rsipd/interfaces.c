// SPDX-License-Identifier: GPL-2.0-only
/* See interfaces.h. */
#include "rsipd/interfaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "lib/log.h"

static int interface_open(const struct interfaces *all, struct interface *interface, const char *name, bool public_side)
{
	int err = netlink_link_get(all->netlink, 0, name, &interface->link);

	if (err) {
		log_error("%s: cannot look at the interface: %s", name, strerror(-err));
		return err;
	}
	snprintf(interface->name, sizeof(interface->name), "%s", name);
	interface->public_side = public_side;
	if (!interface->link.ethernet)
		log_warn("%s is no Ethernet interface: nothing can be sent through it", name);
	return 0;
}

int interfaces_init(struct interfaces *all, const struct config *config, struct netlink *netlink)
{
	int err = 0;

	all->netlink = netlink;
	all->at = calloc(config->private_count + config->public_count, sizeof(*all->at));
	if (!all->at)
		return -ENOMEM;
	for (size_t i = 0; i < config->private_count && !err; i++)
		err = interface_open(all, &all->at[all->count++], config->private_interfaces[i].name, false);
	for (size_t i = 0; i < config->public_count && !err; i++)
		err = interface_open(all, &all->at[all->count++], config->public_interfaces[i].name, true);
	return err;
}

void interfaces_fini(struct interfaces *all)
{
	free(all->at);
	all->at = NULL;
}

struct interface *interface_by_ifindex(const struct interfaces *all, uint32_t ifindex)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->at[i].link.ifindex == ifindex)
			return &all->at[i];
	return NULL;
}

struct interface *interface_by_name(const struct interfaces *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (!strcmp(all->at[i].name, name))
			return &all->at[i];
	return NULL;
}

struct interface *interface_towards(const struct interfaces *all, __be32 dst, bool public_side, __be32 *neighbour)
{
	struct netlink_route route;
	struct interface *interface;

	if (netlink_route_get(all->netlink, dst, &route) || route.type != RTN_UNICAST)
		return NULL;
	interface = interface_by_ifindex(all, route.ifindex);
	if (!interface || interface->public_side != public_side || !interface->link.ethernet)
		return NULL;
	*neighbour = route.gateway ? route.gateway : dst;
	return interface;
}
