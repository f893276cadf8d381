// SPDX-License-Identifier: GPL-2.0-only
/*
 * See pool.h and pools.h. Pools and their addresses, from one configuration to the
 * next. An address costs memory only while something is held on it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "rsipd/pools.h"

struct range {			/* of addresses; all of them, sorted */
	uint32_t first, last;
	struct pool *pool;
	uint32_t index;			/* of `first` in its pool */
};

/* --- what a pool lends --------------------------------------------------- */

bool pool_lends_port(const struct config_pool *config, uint32_t port)
{
	if (config->rsipsec && (port == RSIP_IKE_PORT || port == RSIP_NATT_PORT))
		return false;	/* RSAP-19, APG-03: by cookie */
	return port >= config->ports.first && port <= config->ports.last;
}

bool pool_lends_ports(const struct pool *pool, const struct msg_ports *ports)
{
	for (unsigned int i = 0; ports_are_named(ports) && i < ports->count; i++) {
		if (!pool_lends_port(pool->config, msg_port_at(ports, i)))
			return false;
	}
	return true;
}

/* The room of an address of which nothing is held. */
static struct room whole_address(const struct config_pool *config)
{
	struct room room = { .ports = config->ports.last - config->ports.first + 1 };

	if (config->rsa)
		return (struct room){ .whole = 1 };
	for (unsigned int port = RSIP_IKE_PORT; port <= RSIP_NATT_PORT; port += RSIP_NATT_PORT - RSIP_IKE_PORT) {
		if (port >= config->ports.first && port <= config->ports.last && config->rsipsec)
			room.ports--;
	}
	if (config->rsipsec)
		room.spis = config->spis.last - config->spis.first + 1;
	return room;
}

/* --- pools --------------------------------------------------------------- */

static int pool_init(struct pool *pool, const struct config_pool *config)
{
	uint64_t count = 0;

	pool->config = config;
	for (size_t i = 0; i < config->address_count; i++)
		count += (uint64_t)config->addresses[i].last - config->addresses[i].first + 1;
	if (count > UINT32_MAX / 4)
		return -1;
	pool->count = count;
	pool->total = whole_address(config);
	pool->addresses = calloc(pool->count, sizeof(struct pool_address *));
	return pool->addresses ? rooms_init(&pool->rooms, pool->count, pool->total) : -1;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int sort_ranges(struct pools *pools)
{
	size_t total = 0;

	for (size_t i = 0; i < pools->count; i++)
		total += pools->pools[i].config->address_count;
	pools->ranges = calloc(total ? total : 1, sizeof(*pools->ranges));
	if (!pools->ranges)
		return -1;
	for (size_t i = 0; i < pools->count; i++) {
		struct pool *pool = &pools->pools[i];
		uint32_t index = 0;

		for (size_t k = 0; k < pool->config->address_count; k++) {
			const struct addr_range *from = &pool->config->addresses[k];

			pools->ranges[pools->range_count++] =
				(struct range){ from->first, from->last, pool, index };
			index += from->last - from->first + 1;
		}
	}
	qsort(pools->ranges, total, sizeof(*pools->ranges), compare_ranges);
	return 0;
}

struct pools *pools_new(const struct config *config)
{
	struct pools *pools = calloc(1, sizeof(*pools));

	if (!pools)
		return NULL;
	pools->hold_down = config->leases.hold_down * 1000ULL;
	pools->pools = calloc(config->pool_count ? config->pool_count : 1, sizeof(*pools->pools));
	if (!pools->pools)
		goto fail;
	pools->count = config->pool_count;
	for (size_t i = 0; i < pools->count; i++) {
		if (pool_init(&pools->pools[i], &config->pools[i]))
			goto fail;
	}
	if (sort_ranges(pools) || table_init(&pools->ike_peers, config->datapath.max_bindings))
		goto fail;
	return pools;
fail:
	pools_free(pools);
	return NULL;
}

static void address_free(struct pool_address *address)
{
	if (!address)
		return;
	rest_free(&address->rested);
	spiset_free(&address->spis);
	free(address);
}

void pools_free(struct pools *pools)
{
	struct pool_address *address, *next;

	if (!pools)
		return;
	for (size_t i = 0; i < pools->count; i++) {
		struct pool *pool = &pools->pools[i];

		for (uint32_t at = 0; pool->addresses && at < pool->count; at++)
			address_free(pool->addresses[at]);
		free(pool->addresses);
		rooms_destroy(&pool->rooms);
	}
	DL_FOREACH_SAFE(pools->strays, address, next)
		address_free(address);
	rest_free(&pools->resting);
	table_destroy(&pools->ike_peers);
	free(pools->ranges);
	free(pools->pools);
	free(pools);
}

/* Addresses of a pool are counted over its ranges, in their order. */
static __be32 address_at(const struct pool *pool, uint32_t index)
{
	const struct addr_range *range = pool->config->addresses;

	while (index > range->last - range->first) {
		index -= range->last - range->first + 1;
		range++;
	}
	return htonl(range->first + index);
}

struct pool *pool_find(const struct pools *pools, __be32 addr, uint32_t *index)
{
	uint32_t host = ntohl(addr);
	size_t low = 0, high = pools->range_count;

	while (low < high) {
		const struct range *range = &pools->ranges[(low + high) / 2];

		if (host < range->first) {
			high = range - pools->ranges;
		} else if (host > range->last) {
			low = range - pools->ranges + 1;
		} else {
			*index = range->index + (host - range->first);
			return range->pool;
		}
	}
	return NULL;
}

const struct config_pool *pools_lender(const struct pools *pools, __be32 addr)
{
	uint32_t index;
	const struct pool *pool = pool_find(pools, addr, &index);

	return pool ? pool->config : NULL;
}

/* --- addresses ----------------------------------------------------------- */

struct pool_address *address_open(struct pools *pools, struct pool *pool, uint32_t index)
{
	struct pool_address *address = pool->addresses[index];

	if (address)
		return address;
	address = calloc(1, sizeof(*address));
	if (!address)
		return NULL;
	address->pools = pools;
	address->pool = pool;
	address->index = index;
	address->addr = address_at(pool, index);
	portmap_init(&address->ports, pool->config->ports, pool->config->rsipsec);
	pool->addresses[index] = address;
	return address;
}

void address_close(struct pools *pools, struct pool_address *address)
{
	if (address->held)
		return;
	if (address->pool)
		address->pool->addresses[address->index] = NULL;
	else
		DL_DELETE(pools->strays, address);
	address_free(address);
}

/* SPIs held outside of what is lent now count as well: too little is said rather than too much. */
uint32_t address_free_spis(const struct pool_address *address)
{
	uint32_t total = address->pool->total.spis, held = address->spis.count;

	return total > held ? total - held : 0;
}

struct room address_room(const struct pool_address *address)
{
	if (address->pool->config->rsa)
		return (struct room){ .whole = !address->held };
	if (address->whole)
		return (struct room){ 0 };
	return (struct room){
		.ports = address->ports.count + address->rested_ports,
		.spis = address_free_spis(address) + address->rested_spis,
	};
}

void address_update(const struct pool_address *address)
{
	if (address->pool)
		rooms_set(&address->pool->rooms, address->index, address_room(address));
}

void address_set_ports(struct pool_address *address, const struct pool_grant *grant, bool is_free)
{
	if (grant->port_form == MSG_RUN)
		portmap_set(&address->ports, grant->port_first, grant->port_count, is_free);
	for (unsigned int i = 0; grant->port_form == MSG_LIST && i < grant->port_count; i++)
		portmap_set(&address->ports, grant->port_list[i], 1, is_free);
}

void pool_grant_ports(const struct pool_grant *grant, struct msg_ports *out)
{
	if (grant->ike_peer) {
		*out = (struct msg_ports){ .form = MSG_RUN, .first = RSIP_IKE_PORT, .count = 1 };
		return;
	}
	out->form = grant->port_form;
	out->count = grant->port_count;
	out->first = grant->port_first;
	if (grant->port_form == MSG_LIST)
		memcpy(out->list, grant->port_list, grant->port_count * sizeof(*out->list));
}

/* --- another configuration ----------------------------------------------- */

static bool lends_the_same(const struct config_pool *a, const struct config_pool *b)
{
	return a->rsa == b->rsa && a->rsipsec == b->rsipsec && a->ports.first == b->ports.first &&
	       a->ports.last == b->ports.last && a->spis.first == b->spis.first && a->spis.last == b->spis.last;
}

/* `before`: the configuration of the pool it was in, or NULL. */
static void address_move(struct pool_address *address, struct pool *pool, uint32_t index,
			 const struct config_pool *before)
{
	address->pool = pool;
	address->index = index;
	pool->addresses[index] = address;
	if (!before || !lends_the_same(before, pool->config)) {
		rest_reclaim_all(address);	/* it counts as lent, and may not be any more */
		portmap_lend(&address->ports, pool->config->ports, pool->config->rsipsec);
		address->changed = true;
	}
	rooms_put(&pool->rooms, index, address_room(address));
}

static void address_stray(struct pools *pools, struct pool_address *address)
{
	address->pool = NULL;
	rest_reclaim_all(address);
	DL_APPEND(pools->strays, address);
	address_close(pools, address);
}

/* Hands the addresses on which something is held from their pools to those of `fresh`. */
static void move_addresses(struct pools *pools, struct pools *fresh)
{
	struct pool_address *address, *next;
	struct pool *to;
	uint32_t index;

	DL_FOREACH_SAFE(pools->strays, address, next) {
		to = pool_find(fresh, address->addr, &index);
		if (!to)
			continue;
		DL_DELETE(pools->strays, address);
		address_move(address, to, index, NULL);
	}
	for (size_t i = 0; i < pools->count; i++) {
		struct pool *from = &pools->pools[i];

		for (uint32_t at = 0; at < from->count; at++) {
			address = from->addresses[at];
			if (!address)
				continue;
			from->addresses[at] = NULL;
			to = pool_find(fresh, address->addr, &index);
			if (to)
				address_move(address, to, index, from->config);
			else
				address_stray(pools, address);
		}
	}
}

int pools_change(struct pools *pools, const struct config *config)
{
	struct pools *fresh = pools_new(config), old = *pools;

	if (!fresh)
		return -ENOMEM;
	move_addresses(pools, fresh);
	pools->pools = fresh->pools;
	pools->count = fresh->count;
	pools->ranges = fresh->ranges;
	pools->range_count = fresh->range_count;
	pools->hold_down = fresh->hold_down;
	for (size_t i = 0; i < pools->count; i++)
		rooms_join(&pools->pools[i].rooms);
	fresh->pools = old.pools;
	fresh->count = old.count;
	fresh->ranges = old.ranges;
	pools_free(fresh);
	return 0;
}

/* --- usage --------------------------------------------------------------- */

static struct pool_usage usage_of(const struct pool *pool, uint32_t index)
{
	const struct pool_address *address = pool->addresses[index];
	struct pool_usage usage = {
		.pool = pool->config->name,
		.addr = address_at(pool, index),
		.gateway_address = pool->config->gateway_address,
		.whole = pool->config->rsa,
		.ports = pool->total.ports,
		.spis = pool->total.spis,
	};

	if (!address)
		return usage;
	usage.ports_resting = address->resting_ports;
	usage.spis_resting = address->resting_spis;
	usage.ports_leased = address->leased_ports;
	usage.spis_leased = address->leased_spis;
	usage.grants = address->grants;
	return usage;
}

bool pools_usage(const struct pools *pools, size_t i, struct pool_usage *out)
{
	for (size_t p = 0; p < pools->count; p++) {
		if (i < pools->pools[p].count) {
			*out = usage_of(&pools->pools[p], (uint32_t)i);
			return true;
		}
		i -= pools->pools[p].count;
	}
	return false;
}

void pools_each(const struct pools *pools, bool (*visit)(const struct pool_usage *usage, void *arg), void *arg)
{
	for (size_t i = 0; i < pools->count; i++) {
		for (uint32_t at = 0; at < pools->pools[i].count; at++) {
			struct pool_usage usage = usage_of(&pools->pools[i], at);

			if (!visit(&usage, arg))
				return;
		}
	}
}
