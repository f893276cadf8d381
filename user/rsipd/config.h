/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration of rsipd, as rsipd.yaml(5) describes it: read with libyaml
 * into this struct, every value checked. Addresses are network order, ranges
 * host order, times seconds.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "rsipd/config_error.h"

#define CONFIG_ADDRESSES_MAX	65536	/* in all pools */
#define CONFIG_INTERFACES_MAX	64	/* of each side */

struct config_interface {
	char name[IF_NAMESIZE];
	__be32 address;			/* private: Na; public: 0 */
	unsigned int line, address_line;	/* where they stand in the file */
};

struct config_pool {
	char *name;
	struct addr_range *addresses;
	size_t address_count;
	unsigned int line;		/* where `addresses` stands in the file */
	bool rsa, rsap, rsipsec;	/* methods */
	struct num_range ports;		/* within 1-65535 */
	struct num_range spis;		/* within 0x100-0xffffffff */
	bool gateway_address;
};

enum config_listen { CONFIG_LISTEN_NEVER, CONFIG_LISTEN_POLICY, CONFIG_LISTEN_ALWAYS };

struct config_client {			/* first match wins */
	struct addr_prefix match;
	uint8_t local_policy;		/* enum rsip_policy */
	uint8_t remote_policy;
	bool ipsec;
	uint8_t listen;			/* enum config_listen */
	uint32_t max_binds, max_ports, max_spis, max_addresses;
	uint32_t max_requests;		/* a second; 0: no limit */
	uint8_t *key;			/* AUTH_KEY_LEN bytes, lib/auth.h; NULL: no authentication */
};

#define CONFIG_FOLLOW_MAX	8

struct config_follow {			/* an interface whose address is lent, and what that was */
	char name[IF_NAMESIZE];
	__be32 address;
};

enum config_mode { CONFIG_MODE_AUTO, CONFIG_MODE_NATIVE, CONFIG_MODE_GENERIC };

struct config {
	struct config_interface *private_interfaces, *public_interfaces;
	size_t private_count, public_count;
	struct config_pool *pools;
	size_t pool_count;
	struct config_follow follow[CONFIG_FOLLOW_MAX];	/* in the pools, as addresses[] too */
	size_t follow_count;
	struct config_client *clients;
	size_t client_count;
	struct {
		uint32_t registration, normal, maximum, hold_down;
	} leases;
	struct {
		uint16_t port;
		bool tcp, udp;
	} server;
	struct addr_prefix *local_networks;
	size_t local_network_count;
	bool query_all;			/* the answer to every QUERY has all local networks */
	uint8_t tunnels[2];		/* enum rsip_tunnel, the first is the default */
	size_t tunnel_count;
	struct {
		enum config_mode mode;
		char *pin;
		uint32_t max_bindings;
		bool peer_rekey;	/* IKE that a peer begins goes to the only host that has IKE with it */
	} datapath;
	char *state, *control;
	char *metrics;			/* "ADDRESS:PORT", or NULL: off */
	/* where they stand in the file; a key that is left out: its map */
	unsigned int interfaces_line, server_line, datapath_line, state_line, control_line, metrics_line;
};

/*
 * Reads and checks a file. NULL and *error on a fault. Checks everything that
 * can be known without the system: unknown and repeated keys, ranges, overlap
 * of pools, references. The caller frees with config_free().
 */
struct config *config_load(const char *path, struct config_error *error);

void config_free(struct config *config);

/* The first rule that matches a host, or NULL: 304. */
const struct config_client *config_client_for(const struct config *config, __be32 host);

/* The first pool that has addresses in common with a range, but for that very range (by its place, so that
 * one of a pool can be held against all others); NULL: none. */
const struct config_pool *config_pool_with(const struct config *config, const struct addr_range *range);
