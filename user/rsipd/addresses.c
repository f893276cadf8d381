// SPDX-License-Identifier: GPL-2.0-only
/* See addresses.h. */
#include "rsipd/addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <string.h>

#include <bpf/bpf.h>

#include "lib/log.h"
#include "rsipd/realm.h"

/* --- the realm ------------------------------------------------------------------------------- */

static bool is_public(const struct config *config, const struct ifaddrs *entry)
{
	bool found = false;

	if (!entry->ifa_addr || entry->ifa_addr->sa_family != AF_INET)
		return false;
	for (size_t i = 0; i < config->public_count && !found; i++)
		found = !strcmp(config->public_interfaces[i].name, entry->ifa_name);
	return found;
}

#define PUBLIC_ADDRESSES	64	/* looked at */

static size_t public_addresses(const struct config *config, __be32 out[static PUBLIC_ADDRESSES])
{
	struct ifaddrs *entries;
	size_t count = 0;

	if (getifaddrs(&entries))
		return 0;
	for (const struct ifaddrs *entry = entries; entry && count < PUBLIC_ADDRESSES; entry = entry->ifa_next) {
		if (is_public(config, entry))
			out[count++] = ((const struct sockaddr_in *)entry->ifa_addr)->sin_addr.s_addr;
	}
	freeifaddrs(entries);
	return count;
}

static int fill_realm(const struct bpfmaps *maps, const struct config *config)
{
	__be32 addresses[PUBLIC_ADDRESSES];
	struct rsip_realm realm;
	size_t lost = realm_of(config, addresses, public_addresses(config, addresses), &realm);

	if (lost)
		log_warn("data plane: forged sources are looked for in %u ranges of pools and local-networks, not in the "
			 "%zu smaller ones", realm.count, lost);
	return bpfmaps_put(maps->fd[BPFMAP_REALM], &(__u32){ 0 }, &realm);
}

/* --- pools and our own ------------------------------------------------------------------------ */

static void address_key(unsigned int i, void *key, const void *arg)
{
	const struct addr_range *range = arg;

	*(__be32 *)key = htonl(range->first + i);
}

/* What else is known of the address, its RSA-IP bind above all, stays. */
static int fill_address(const struct bpfmaps *maps, __be32 addr, __u32 clear, __u32 set, __be32 speaker)
{
	int fd = maps->fd[BPFMAP_ADDRESSES];
	struct rsip_address address = { 0 };
	bool known = !bpf_map_lookup_elem(fd, &addr, &address);
	__u32 flags = (address.flags & ~clear) | set;

	if (known && address.flags == flags && (!speaker || address.speaker == speaker))
		return 0;
	address.flags = flags;
	address.speaker = speaker ? speaker : address.speaker;
	return bpfmaps_put(fd, &addr, &address);
}

static int fill_pool(const struct bpfmaps *maps, const struct config_pool *pool, __be32 speaker)
{
	__u32 set = RSIP_ADDRESS_POOL | (pool->gateway_address ? RSIP_ADDRESS_SHARED : 0);
	int err = 0;

	for (size_t i = 0; i < pool->address_count && !err; i++) {
		const struct addr_range *range = &pool->addresses[i];

		for (uint64_t at = range->first; at <= range->last && !err; at++)
			err = fill_address(maps, htonl((uint32_t)at), RSIP_ADDRESS_SHARED, set, speaker);
	}
	return err;
}

int addresses_add(const struct bpfmaps *maps, const struct config *config, __be32 speaker)
{
	int err = fill_realm(maps, config);

	for (size_t i = 0; i < config->pool_count && !err; i++)
		err = fill_pool(maps, &config->pools[i], speaker);
	for (size_t i = 0; i < config->private_count && !err; i++)
		err = fill_address(maps, config->private_interfaces[i].address, 0, RSIP_ADDRESS_TUNNEL, 0);
	return err;
}

/* Of the addresses from `at` to `last`, the first that no pool has, and in *end the last one in a row. */
static bool find_unlent(const struct config *config, uint64_t at, uint32_t last, struct addr_range *out)
{
	bool lent = true;

	while (lent && at <= last) {
		lent = false;
		*out = (struct addr_range){ (uint32_t)at, last };
		for (size_t p = 0; p < config->pool_count; p++) {
			for (size_t i = 0; i < config->pools[p].address_count; i++) {
				const struct addr_range *range = &config->pools[p].addresses[i];

				if (range->first <= at && at <= range->last) {
					lent = true;
					at = (uint64_t)range->last + 1;
				} else if (range->first > at && range->first <= out->last) {
					out->last = range->first - 1;
				}
			}
		}
	}
	return !lent;
}

static void forget_range(const struct bpfmaps *maps, const struct addr_range *range, const struct config *now)
{
	struct addr_range gone;
	uint64_t at = range->first;

	for (; at <= range->last && find_unlent(now, at, range->last, &gone); at = (uint64_t)gone.last + 1)
		bpfmaps_delete(maps->fd[BPFMAP_ADDRESSES], sizeof(__be32), gone.last - gone.first + 1,
			       address_key, &gone);
}

void addresses_remove(const struct bpfmaps *maps, const struct config *before, const struct config *now)
{
	for (size_t p = 0; p < before->pool_count; p++) {
		for (size_t i = 0; i < before->pools[p].address_count; i++)
			forget_range(maps, &before->pools[p].addresses[i], now);
	}
}

int addresses_lend(const struct bpfmaps *maps, __be32 addr, struct rsip_target target)
{
	int fd = maps->fd[BPFMAP_ADDRESSES];
	struct rsip_address address;

	if (bpf_map_lookup_elem(fd, &addr, &address))
		return -errno;
	address.whole = target;
	return bpfmaps_put(fd, &addr, &address);
}

/* --- from an earlier daemon --------------------------------------------------------------------- */

static bool has_address(const struct config *config, __be32 addr)
{
	uint32_t host = ntohl(addr);

	for (size_t i = 0; i < config->private_count; i++)
		if (config->private_interfaces[i].address == addr)
			return true;
	for (size_t p = 0; p < config->pool_count; p++)
		for (size_t i = 0; i < config->pools[p].address_count; i++)
			if (host >= config->pools[p].addresses[i].first && host <= config->pools[p].addresses[i].last)
				return true;
	return false;
}

struct sweep {
	const struct bpfmaps *maps;
	const struct config *config;
};

static void sweep_address(const void *key, const void *value, void *arg)
{
	const struct sweep *sweep = arg;

	if (!has_address(sweep->config, *(const __be32 *)key))
		bpf_map_delete_elem(sweep->maps->fd[BPFMAP_ADDRESSES], key);
}

void addresses_sweep(const struct bpfmaps *maps, const struct config *config)
{
	struct sweep sweep = { maps, config };

	bpfmaps_each(maps->fd[BPFMAP_ADDRESSES], sizeof(__be32), sizeof(struct rsip_address), sweep_address, &sweep);
}
