// SPDX-License-Identifier: GPL-2.0-only
/* See realm.h. */
#include "rsipd/realm.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct ranges {
	struct addr_range *at;
	size_t count;
};

static size_t most_ranges(const struct config *config)
{
	size_t count = config->local_network_count;

	for (size_t i = 0; i < config->pool_count; i++)
		count += config->pools[i].address_count;
	return count;
}

static void add_pools(struct ranges *ranges, const struct config *config)
{
	for (size_t i = 0; i < config->pool_count; i++) {
		for (size_t j = 0; j < config->pools[i].address_count; j++)
			ranges->at[ranges->count++] = config->pools[i].addresses[j];
	}
}

static struct addr_range range_of(const struct addr_prefix *prefix)
{
	uint32_t hosts = ~ntohl(addr_mask(prefix->length));
	uint32_t first = ntohl(prefix->network);

	return (struct addr_range){ first, first + hosts };
}

static bool overlap(const struct addr_range *a, const struct addr_range *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* `pools` are the first of the ranges. */
static bool is_public_too(const struct ranges *ranges, size_t pools, const struct addr_range *network,
			  const __be32 *addresses, size_t count)
{
	for (size_t i = 0; i < pools; i++) {
		if (overlap(network, &ranges->at[i]))
			return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (network->first <= ntohl(addresses[i]) && ntohl(addresses[i]) <= network->last)
			return true;
	}
	return false;
}

static int by_first(const void *a, const void *b)
{
	const struct addr_range *left = a, *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

static int by_size(const void *a, const void *b)
{
	const struct addr_range *left = a, *right = b;
	uint32_t spans[] = { left->last - left->first, right->last - right->first };

	return spans[0] > spans[1] ? -1 : spans[0] < spans[1];
}

/* What overlaps or follows at once becomes one. */
static void merge(struct ranges *ranges)
{
	size_t kept = 0;

	qsort(ranges->at, ranges->count, sizeof(*ranges->at), by_first);
	for (size_t i = 0; i < ranges->count; i++) {
		struct addr_range *last = kept ? &ranges->at[kept - 1] : NULL;

		if (!last || (ranges->at[i].first > last->last && ranges->at[i].first - last->last > 1))
			ranges->at[kept++] = ranges->at[i];
		else if (ranges->at[i].last > last->last)
			last->last = ranges->at[i].last;
	}
	ranges->count = kept;
}

size_t realm_of(const struct config *config, const __be32 *public_addresses, size_t count, struct rsip_realm *out)
{
	struct ranges ranges = { .at = calloc(most_ranges(config) + 1, sizeof(*ranges.at)) };
	size_t pools, lost;

	memset(out, 0, sizeof(*out));
	if (!ranges.at)
		return most_ranges(config);
	add_pools(&ranges, config);
	pools = ranges.count;
	for (size_t i = 0; i < config->local_network_count; i++) {
		struct addr_range network = range_of(&config->local_networks[i]);

		if (!is_public_too(&ranges, pools, &network, public_addresses, count))
			ranges.at[ranges.count++] = network;
	}
	merge(&ranges);
	qsort(ranges.at, ranges.count, sizeof(*ranges.at), by_size);
	lost = ranges.count > RSIP_REALM_RANGES ? ranges.count - RSIP_REALM_RANGES : 0;
	out->count = (__u32)(ranges.count - lost);
	for (size_t i = 0; i < out->count; i++)
		out->ranges[i] = (struct rsip_range){ ranges.at[i].first, ranges.at[i].last - ranges.at[i].first };
	free(ranges.at);
	return lost;
}
