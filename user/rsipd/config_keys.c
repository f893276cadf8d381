/* SPDX-License-Identifier: GPL-2.0-only */
/* A table for each map of the file, and what only its values need. See config_keys.h. */
#include "rsipd/config_keys.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <rsip/proto.h>
#include "lib/auth.h"
#include "rsipd/config.h"
#include "rsipd/config_system.h"
#include "rsipd/yaml_values.h"

/* What bounds the memory a file can ask for. */
#define POOLS_MAX		256
#define RANGES_MAX		4096	/* in all pools */
#define CLIENTS_MAX		1024
#define NETWORKS_MAX		65536
#define TEXT_MAX		255

#define LEASE_MAX		31536000	/* a year */
#define LIMIT_MAX		1048576		/* of one host's binds, ports or SPIs */

/* --- values of their own ------------------------------------------------------------ */

/* The path of a key file; what counts is what is in it. */
static int read_key(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	uint8_t **key = to;
	const char *why;
	char *path;
	int err = value_path(l, row, node, &path);

	if (err)
		return err;
	*key = malloc(AUTH_KEY_LEN);
	if (!*key)
		err = loader_fail(l, node, "out of memory");
	else if (auth_load_key(path, *key, &why))
		err = loader_fail(l, node, "the key file " LOADER_SHOWN ": %s", path, why);
	free(path);
	return err;
}

/* An interface stands for the address it has. */
static int read_follow(struct loader *l, yaml_node_t *node, const char *name, struct addr_range *to)
{
	struct config *config = l->whole;
	struct config_follow *follow = &config->follow[config->follow_count];

	if (config->follow_count == CONFIG_FOLLOW_MAX)
		return loader_fail(l, node, "one interface too many: %d in all pools are allowed", CONFIG_FOLLOW_MAX);
	snprintf(follow->name, sizeof(follow->name), "%s", name);
	follow->address = config_interface_address(name);
	if (!follow->address)
		return loader_fail(l, node, "%s has no IPv4 address: an interface that has one is allowed", name);
	config->follow_count++;
	to->first = to->last = ntohl(follow->address);
	return 0;
}

static int read_addresses(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "an IPv4 address, ADDRESS/LENGTH, FIRST-LAST or an interface";
	const char *text = loader_scalar(l, node, wanted);

	if (!text)
		return -1;
	if (!addr_parse_range(text, to))
		return if_nametoindex(text) ? read_follow(l, node, text, to) :
					      loader_refuse(l, node, text, wanted);
	return 0;
}

/* Remembers the line first: a range that overlaps is reported with it. */
static int read_pool_addresses(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	struct config_pool *pool = (struct config_pool *)((char *)to - row->at);

	pool->line = loader_line(node);
	return row_list(l, row, node, to);
}

static int read_tunnels(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	unsigned int values[4];
	int count = value_choices(l, row, node, values);

	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++)
		((uint8_t *)to)[i] = (uint8_t)values[i];
	*(size_t *)((char *)to - row->at + row->count_at) = (size_t)count;
	return 0;
}

/* Row A-47: RSAP-IP is always among the methods; RSA-IP lends whole addresses and stands alone. */
static int read_methods(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	struct config_pool *pool = (struct config_pool *)((char *)to - row->at);
	unsigned int values[4];
	int count = value_choices(l, row, node, values);

	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		pool->rsa = pool->rsa || values[i] == RSIP_METHOD_RSA;
		pool->rsap = pool->rsap || values[i] == RSIP_METHOD_RSAP;
		pool->rsipsec = pool->rsipsec || values[i] == RSIP_METHOD_RSIPSEC;
	}
	if (pool->rsa ? count > 1 : !pool->rsap)
		return loader_fail(l, node, "these methods do not go together: [rsap-ip], [rsap-ip, rsipsec] or [rsa-ip] "
				     "is allowed");
	return 0;
}

/* --- what goes with what ----------------------------------------------------------- */

static int check_interface(struct loader *l, yaml_node_t *node, void *to)
{
	struct config *config = l->whole;
	struct config_interface *added = to;

	for (size_t i = 0; i < config->private_count + config->public_count; i++) {
		struct config_interface *other = i < config->private_count ?
			&config->private_interfaces[i] : &config->public_interfaces[i - config->private_count];

		if (other == added)
			continue;
		if (!strcmp(other->name, added->name))
			return loader_fail_at(l, added->line, "%s stands in line %u already: each interface once is allowed",
					      added->name, other->line);
		if (added->address && other->address == added->address)
			return loader_fail_at(l, added->address_line, "the address of %s in line %u already: each address once "
					      "is allowed", other->name, other->address_line);
	}
	return 0;
}

/* Remembers the line, for what is found wrong later. */
static int check_interface_name(struct loader *l, yaml_node_t *node, void *to)
{
	struct config_interface *interface = (struct config_interface *)
		((char *)to - offsetof(struct config_interface, name));

	interface->line = loader_line(node);
	return 0;
}

/* May not be lent and not be a tunnel's end: what no host on a network has. */
static bool is_special(uint32_t first, uint32_t last)
{
	return first < 0x01000000 || last >= 0xe0000000 || (first < 0x80000000 && last >= 0x7f000000);
}

static int check_interface_address(struct loader *l, yaml_node_t *node, void *to)
{
	struct config_interface *interface = (struct config_interface *)
		((char *)to - offsetof(struct config_interface, address));

	interface->address_line = loader_line(node);
	if (is_special(ntohl(interface->address), ntohl(interface->address)))
		return loader_fail(l, node, "not the address of an interface: a unicast address is allowed");
	return 0;
}

/* Of all pools so far. */
static void count_ranges(const struct config *config, uint64_t *ranges, uint64_t *addresses)
{
	for (size_t p = 0; p < config->pool_count; p++) {
		const struct config_pool *pool = &config->pools[p];

		*ranges += pool->address_count;
		for (size_t i = 0; i < pool->address_count; i++)
			*addresses += (uint64_t)pool->addresses[i].last - pool->addresses[i].first + 1;
	}
}

static int check_pool_range(struct loader *l, yaml_node_t *node, void *to)
{
	const struct config *config = l->whole;
	const struct addr_range *range = to;
	const struct config_pool *other;
	uint64_t ranges = 0, addresses = 0;

	count_ranges(config, &ranges, &addresses);
	if (ranges > RANGES_MAX || addresses > CONFIG_ADDRESSES_MAX)
		return loader_fail(l, node, "the pools have %llu addresses in %llu ranges: %u in %u are allowed",
				   (unsigned long long)addresses, (unsigned long long)ranges, CONFIG_ADDRESSES_MAX,
				   RANGES_MAX);
	other = config_pool_with(config, range);
	if (other)
		return loader_fail(l, node, "overlaps the addresses in line %u: each address once is allowed", other->line);
	if (is_special(range->first, range->last))
		return loader_fail(l, node, "holds addresses that no host can have: unicast addresses are allowed");
	return 0;
}

static int check_pool_name(struct loader *l, yaml_node_t *node, void *to)
{
	const struct config *config = l->whole;
	const char *name = *(char **)to;

	for (size_t p = 0; p < config->pool_count; p++) {
		const struct config_pool *other = &config->pools[p];

		if (&other->name != to && other->name && !strcmp(other->name, name))
			return loader_fail(l, node, "another pool is called \"%s\": each name once is allowed", name);
	}
	return 0;
}

static int check_leases(struct loader *l, yaml_node_t *node, void *to)
{
	const struct config *config = l->whole;

	if (config->leases.normal > config->leases.maximum)
		return loader_fail(l, node, "default is %u and maximum is %u: a default up to the maximum is allowed",
				   config->leases.normal, config->leases.maximum);
	return 0;
}

static int check_server(struct loader *l, yaml_node_t *node, void *to)
{
	const struct config *config = l->whole;

	if (!config->server.tcp && !config->server.udp)
		return loader_fail(l, node, "tcp and udp are both false: one at least must be true");
	return 0;
}

/* --- the tables ---------------------------------------------------------------------- */

#define AT(type, member) .at = offsetof(type, member)
#define LINE(member) .line_at = offsetof(struct config, member)

static const struct row private_rows[] = {
	{ "name", value_interface, AT(struct config_interface, name), .check = check_interface_name },
	{ "address", value_address, AT(struct config_interface, address), .check = check_interface_address },
	{ 0 }
};
static const struct row public_rows[] = {
	{ "name", value_interface, AT(struct config_interface, name), .check = check_interface_name },
	{ 0 }
};
static const struct row private_item = { "", row_map, .more = private_rows, .check = check_interface };
static const struct row public_item = { "", row_map, .more = public_rows, .check = check_interface };

static const struct row interfaces_rows[] = {
	{ "private", row_list, AT(struct config, private_interfaces), .min = 1, .max = CONFIG_INTERFACES_MAX,
	  .more = &private_item, .size = sizeof(struct config_interface),
	  .count_at = offsetof(struct config, private_count) },
	{ "public", row_list, AT(struct config, public_interfaces), .min = 1, .max = CONFIG_INTERFACES_MAX,
	  .more = &public_item, .size = sizeof(struct config_interface),
	  .count_at = offsetof(struct config, public_count) },
	{ 0 }
};

static const struct word method_words[] = {
	{ "rsap-ip", RSIP_METHOD_RSAP }, { "rsipsec", RSIP_METHOD_RSIPSEC }, { "rsa-ip", RSIP_METHOD_RSA }, { 0 }
};
static const struct row pool_range = { "", read_addresses, .check = check_pool_range };

static const struct row pool_rows[] = {
	{ "name", value_name, AT(struct config_pool, name), .max = 63, .check = check_pool_name },
	{ "addresses", read_pool_addresses, AT(struct config_pool, addresses), .min = 1, .max = RANGES_MAX,
	  .more = &pool_range, .size = sizeof(struct addr_range),
	  .count_at = offsetof(struct config_pool, address_count) },
	{ "methods", read_methods, AT(struct config_pool, rsa), "[rsap-ip, rsipsec]", .min = 1, .max = 3,
	  .more = method_words },
	{ "ports", value_range, AT(struct config_pool, ports), "1024-65535", .min = 1, .max = 65535 },
	{ "spis", value_range, AT(struct config_pool, spis), "0x100-0xffffffff", .min = RSIP_SPI_FIRST,
	  .max = UINT32_MAX },
	{ "gateway-address", value_bool, AT(struct config_pool, gateway_address), "false" },
	{ 0 }
};
static const struct row pool_item = { "", row_map, .more = pool_rows };

static const struct word local_policies[] = {
	{ "macro", RSIP_POLICY_MACRO }, { "micro", RSIP_POLICY_MICRO }, { 0 }
};
static const struct word remote_policies[] = {
	{ "none", RSIP_POLICY_NONE }, { "macro", RSIP_POLICY_MACRO }, { "micro", RSIP_POLICY_MICRO }, { 0 }
};

static const struct word listen_words[] = {
	{ "policy", CONFIG_LISTEN_POLICY }, { "always", CONFIG_LISTEN_ALWAYS }, { "never", CONFIG_LISTEN_NEVER }, { 0 }
};

static const struct row client_rows[] = {
	{ "match", value_prefix, AT(struct config_client, match), "10.0.0.0/8" },
	{ "local-policy", value_word, AT(struct config_client, local_policy), "macro", .more = local_policies,
	  .size = 1 },
	{ "remote-policy", value_word, AT(struct config_client, remote_policy), "none", .more = remote_policies,
	  .size = 1 },
	{ "ipsec", value_bool, AT(struct config_client, ipsec), "true" },
	{ "listen", value_word, AT(struct config_client, listen), "policy", .more = listen_words, .size = 1 },
	{ "max-binds", value_number, AT(struct config_client, max_binds), "64", .max = LIMIT_MAX },
	{ "max-ports", value_number, AT(struct config_client, max_ports), "1024", .max = LIMIT_MAX },
	{ "max-spis", value_number, AT(struct config_client, max_spis), "256", .max = LIMIT_MAX },
	{ "max-addresses", value_number, AT(struct config_client, max_addresses), "16", .max = LIMIT_MAX },
	{ "max-requests", value_number, AT(struct config_client, max_requests), "10000", .max = LIMIT_MAX },
	{ "key", read_key, AT(struct config_client, key), .max = TEXT_MAX, .optional = true },
	{ 0 }
};
static const struct row client_item = { "", row_map, .more = client_rows };

static const struct row leases_rows[] = {
	{ "registration", value_number, AT(struct config, leases.registration), "600", .min = 1, .max = LEASE_MAX },
	{ "default", value_number, AT(struct config, leases.normal), "600", .min = 1, .max = LEASE_MAX },
	{ "maximum", value_number, AT(struct config, leases.maximum), "3600", .min = 1, .max = LEASE_MAX },
	{ "hold-down", value_number, AT(struct config, leases.hold_down), "120", .max = 86400 },
	{ 0 }
};

static const struct row server_rows[] = {
	{ "port", value_number, AT(struct config, server.port), "4555", .min = 1, .max = 65535, .size = 2 },
	{ "tcp", value_bool, AT(struct config, server.tcp), "true" },
	{ "udp", value_bool, AT(struct config, server.udp), "true" },
	{ 0 }
};

static const struct word tunnel_words[] = {
	{ "ip-ip", RSIP_TUNNEL_IPIP }, { "gre", RSIP_TUNNEL_GRE }, { 0 }
};
static const struct row network_item = { "", value_prefix };

static const struct word mode_words[] = {
	{ "auto", CONFIG_MODE_AUTO }, { "native", CONFIG_MODE_NATIVE }, { "generic", CONFIG_MODE_GENERIC }, { 0 }
};

static const struct row datapath_rows[] = {
	{ "mode", value_word, AT(struct config, datapath.mode), "auto", .more = mode_words,
	  .size = sizeof(enum config_mode) },
	{ "pin", value_path, AT(struct config, datapath.pin), "/sys/fs/bpf/rsip", .max = TEXT_MAX },
	{ "max-bindings", value_number, AT(struct config, datapath.max_bindings), "1048576", .min = 1,
	  .max = 16777216 },
	{ "peer-rekey", value_bool, AT(struct config, datapath.peer_rekey), "false" },
	{ 0 }
};

static const struct word query_words[] = { { "asked", false }, { "all", true }, { 0 } };

/* Maps inside the file's map whose values are members of struct config itself are read at offset 0. */
static const struct row config_rows[] = {
	{ "interfaces", row_map, .more = interfaces_rows, LINE(interfaces_line) },
	{ "pools", row_list, AT(struct config, pools), .min = 1, .max = POOLS_MAX, .more = &pool_item,
	  .size = sizeof(struct config_pool), .count_at = offsetof(struct config, pool_count) },
	{ "clients", row_list, AT(struct config, clients), "[{}]", .max = CLIENTS_MAX, .more = &client_item,
	  .size = sizeof(struct config_client), .count_at = offsetof(struct config, client_count) },
	{ "leases", row_map, .preset = "{}", .more = leases_rows, .check = check_leases },
	{ "server", row_map, .preset = "{}", .more = server_rows, .check = check_server,
	  LINE(server_line) },
	{ "local-networks", row_list, AT(struct config, local_networks), "[10.0.0.0/8]", .max = NETWORKS_MAX,
	  .more = &network_item, .size = sizeof(struct addr_prefix),
	  .count_at = offsetof(struct config, local_network_count) },
	{ "query", value_word, AT(struct config, query_all), "asked", .more = query_words, .size = 1 },
	{ "tunnels", read_tunnels, AT(struct config, tunnels), "[ip-ip, gre]", .min = 1, .max = 2,
	  .more = tunnel_words, .count_at = offsetof(struct config, tunnel_count) },
	{ "datapath", row_map, .preset = "{}", .more = datapath_rows, LINE(datapath_line) },
	{ "state", value_path, AT(struct config, state), "/var/lib/rsip", .max = TEXT_MAX, LINE(state_line) },
	{ "control", value_path, AT(struct config, control), "/run/rsip/rsipd.sock",
	  .max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - sizeof(".lock"), LINE(control_line) },
	{ "metrics", value_listen, AT(struct config, metrics), .optional = true, LINE(metrics_line) },
	{ 0 }
};
const struct row config_keys = { "", row_map, .more = config_rows };
