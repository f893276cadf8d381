// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is given back. A grant is one allocation; released, it stands in the queue
 * of what rests. When its hold-down has ended its ports and SPIs become free and
 * it is gone, or, while its address is short of them, it stays in the queue of
 * that address, to be used up in order of release (RSAP-17).
 */
#include <stdlib.h>

#include "rsipd/pools.h"

#define SCARCE_MIN	16	/* scarce: so few are left, or a sixteenth */

static void queue_push(struct queue *queue, struct pool_grant *grant)
{
	grant->next = NULL;
	if (queue->last)
		queue->last->next = grant;
	else
		queue->first = grant;
	queue->last = grant;
}

static struct pool_grant *queue_pop(struct queue *queue)
{
	struct pool_grant *grant = queue->first;

	if (grant) {
		queue->first = grant->next;
		if (!queue->first)
			queue->last = NULL;
	}
	return grant;
}

void rest_free(struct queue *queue)
{
	struct pool_grant *grant;

	while ((grant = queue_pop(queue)))
		free(grant);
}

/* What a grant held is free again, and the grant is gone. */
static void dissolve(struct pool_address *address, struct pool_grant *grant)
{
	address_set_ports(address, grant, true);
	for (unsigned int i = 0; i < grant->spi_count; i++)
		spiset_remove(&address->spis, grant->spis[i]);
	if (grant->ike_peer)
		table_remove(&address->pools->ike_peers, &grant->by_peer);
	if (grant->whole)
		address->whole = false;
	address->held--;
	free(grant);
}

bool rest_reclaim(struct pool_address *address)
{
	struct pool_grant *grant = queue_pop(&address->rested);

	if (!grant)
		return false;
	address->rested_ports -= grant->port_count;
	address->rested_spis -= grant->spi_count;
	dissolve(address, grant);
	return true;
}

bool rest_reclaim_all(struct pool_address *address)
{
	bool any = false;

	while (rest_reclaim(address))
		any = true;
	return any;
}

static bool is_scarce(uint32_t left, uint32_t total)
{
	return left <= SCARCE_MIN || left <= total / 16;
}

static bool wants_order(const struct pool_address *address, const struct pool_grant *grant)
{
	struct room left = address_room(address), total = address->pool->total;

	return (grant->port_count && is_scarce(left.ports, total.ports)) ||
	       (grant->spi_count && is_scarce(left.spis, total.spis));
}

/* Whether all that a grant held may be lent again. */
static bool is_lendable(const struct pool_address *address, const struct pool_grant *grant)
{
	struct msg_ports ports;

	if (!address->pool)
		return false;
	if (!address->changed)
		return true;
	pool_grant_ports(grant, &ports);
	for (unsigned int i = 0; i < grant->spi_count; i++) {
		if (!pool_lends_spi(address->pool->config, grant->spis[i]))
			return false;
	}
	return pool_lends_ports(address->pool, &ports);
}

static void end_rest(struct pools *pools, struct pool_grant *grant)
{
	struct pool_address *address = grant->address;

	address->resting_ports -= grant->port_count;
	address->resting_spis -= grant->spi_count;
	if (!is_lendable(address, grant)) {
		dissolve(address, grant);
		address_update(address);
		address_close(pools, address);
		return;
	}
	address->rested_ports += grant->port_count;
	address->rested_spis += grant->spi_count;
	queue_push(&address->rested, grant);
	while (address->rested.first && !wants_order(address, address->rested.first))
		rest_reclaim(address);
	address_update(address);
	address_close(pools, address);
}

static bool is_rested(const struct pools *pools, uint64_t now)
{
	return pools->resting.first && pools->resting.first->released + pools->hold_down <= now;
}

bool pool_tick(struct pools *pools, uint64_t now)
{
	for (unsigned int n = 0; n < POOL_TICK_MAX && is_rested(pools, now); n++)
		end_rest(pools, queue_pop(&pools->resting));
	return is_rested(pools, now);
}

void pool_release(struct pools *pools, struct pool_grant *grant, uint64_t now)
{
	struct pool_address *address = grant->address;

	address->grants--;
	address->leased_ports -= grant->port_count;
	address->leased_spis -= grant->spi_count;
	address->resting_ports += grant->port_count;
	address->resting_spis += grant->spi_count;
	grant->released = now;
	queue_push(&pools->resting, grant);
}

void pool_cancel(struct pools *pools, struct pool_grant *grant)
{
	struct pool_address *address = grant->address;

	address->grants--;
	address->leased_ports -= grant->port_count;
	address->leased_spis -= grant->spi_count;
	dissolve(address, grant);
	address_update(address);
	address_close(pools, address);
}
