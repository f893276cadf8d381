/* SPDX-License-Identifier: GPL-2.0-only */
/* See config_change.h. */
#include "rsipd/config_change.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_interfaces(const struct config_interface *a, size_t a_count, const struct config_interface *b,
			    size_t b_count)
{
	bool same = a_count == b_count;

	for (size_t i = 0; same && i < a_count; i++)
		same = !strcmp(a[i].name, b[i].name) && a[i].address == b[i].address;
	return same;
}

static bool same_datapath(const struct config *a, const struct config *b)
{
	return a->datapath.mode == b->datapath.mode && !strcmp(a->datapath.pin, b->datapath.pin) &&
	       a->datapath.max_bindings == b->datapath.max_bindings && a->datapath.peer_rekey == b->datapath.peer_rekey;
}

int config_check_change(const struct config *running, const struct config *fresh, const char *path,
			struct config_error *error)
{
	const struct {
		const char *key;
		bool same;
		unsigned int line;
	} fixed[] = {
		{ "interfaces",
		  same_interfaces(running->private_interfaces, running->private_count, fresh->private_interfaces,
				  fresh->private_count) &&
		  same_interfaces(running->public_interfaces, running->public_count, fresh->public_interfaces,
				  fresh->public_count), fresh->interfaces_line },
		{ "server", running->server.port == fresh->server.port && running->server.tcp == fresh->server.tcp &&
		  running->server.udp == fresh->server.udp, fresh->server_line },
		{ "datapath", same_datapath(running, fresh), fresh->datapath_line },
		{ "state", same_text(running->state, fresh->state), fresh->state_line },
		{ "control", same_text(running->control, fresh->control), fresh->control_line },
		{ "metrics", same_text(running->metrics, fresh->metrics), fresh->metrics_line },
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (!fixed[i].same)
			return config_error_set(error, path, fixed[i].line ? fixed[i].line : 1, "%s: cannot change while rsipd "
						"runs: what it runs with is allowed, or a restart", fixed[i].key);
	}
	return 0;
}

#define SWAP(a, b)				\
	do {					\
		__typeof__(a) was = (a);	\
						\
		(a) = (b);			\
		(b) = was;			\
	} while (0)

void config_swap(struct config *running, struct config *fresh)
{
	SWAP(running->pools, fresh->pools);
	SWAP(running->pool_count, fresh->pool_count);
	for (size_t i = 0; i < CONFIG_FOLLOW_MAX; i++)
		SWAP(running->follow[i], fresh->follow[i]);
	SWAP(running->follow_count, fresh->follow_count);
	SWAP(running->clients, fresh->clients);
	SWAP(running->client_count, fresh->client_count);
	SWAP(running->leases, fresh->leases);
	SWAP(running->local_networks, fresh->local_networks);
	SWAP(running->local_network_count, fresh->local_network_count);
	SWAP(running->query_all, fresh->query_all);
	for (size_t i = 0; i < sizeof(running->tunnels); i++)
		SWAP(running->tunnels[i], fresh->tunnels[i]);
	SWAP(running->tunnel_count, fresh->tunnel_count);
}
