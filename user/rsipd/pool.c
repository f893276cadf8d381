// SPDX-License-Identifier: GPL-2.0-only
/*
 * See pool.h. A grant is one allocation; released, it stands in the queue of
 * what rests. When its hold-down has ended its ports and SPIs become free and
 * it is gone, or, while its address is short of them, it stays in the queue of
 * that address, to be used up in order of release (RSAP-17).
 *
 * An address costs memory only while something is held on it.
 */
#include "rsipd/pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "rsipd/portmap.h"
#include "rsipd/rooms.h"
#include "rsipd/spiset.h"

#define SCARCE_MIN	16	/* scarce: so few are left, or a sixteenth */
#define RANDOM_TRIES	32
#define RUN_LOOKUPS	65536	/* where the search for a free run of SPIs ends */

struct queue {			/* of grants, oldest first */
	struct pool_grant *first, *last;
};

struct pool_address {
	struct pools *pools;
	struct pool *pool;		/* NULL: in no pool any more, kept for what is still held */
	uint32_t index;			/* in its pool */
	__be32 addr;
	bool changed;			/* what is held may lie outside of what is lent now */
	bool whole;			/* a host has all of it, or had and it rests */
	struct portmap ports;
	struct spiset spis;		/* all that are not free */
	struct queue rested;		/* what may be lent, but is kept back to the end */
	uint32_t rested_ports, rested_spis;
	uint32_t resting_ports, resting_spis;
	uint32_t leased_ports, leased_spis;
	uint32_t grants, held;		/* leased; and all that still point here */
	struct pool_address *prev, *next;	/* in no pool: the others */
};

struct pool {
	const struct config_pool *config;
	struct room total;		/* of one address */
	uint32_t count;
	struct pool_address **addresses;	/* NULL: nothing is held there */
	struct rooms rooms;		/* of all addresses */
};

struct range {			/* of addresses; all of them, sorted */
	uint32_t first, last;
	struct pool *pool;
	uint32_t index;			/* of `first` in its pool */
};

struct pools {
	struct pool *pools;
	size_t count;
	struct range *ranges;
	size_t range_count;
	uint64_t hold_down;		/* ms */
	struct queue resting;
	struct pool_address *strays;	/* in no pool */
	struct table ike_peers;		/* grants that listen for IKE, by address and peer */
};

/* --- queues ------------------------------------------------------------------- */

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

static void queue_free(struct queue *queue)
{
	struct pool_grant *grant;

	while ((grant = queue_pop(queue)))
		free(grant);
}

/* --- what an address can still give --------------------------------------------- */

/* SPIs held outside of what is lent now count as well: too little is said rather than too much. */
static uint32_t free_spis(const struct pool_address *address)
{
	uint32_t total = address->pool->total.spis, held = address->spis.count;

	return total > held ? total - held : 0;
}

static struct room address_room(const struct pool_address *address)
{
	if (address->pool->config->rsa)
		return (struct room){ .whole = !address->held };
	if (address->whole)
		return (struct room){ 0 };
	return (struct room){
		.ports = address->ports.count + address->rested_ports,
		.spis = free_spis(address) + address->rested_spis,
	};
}

/* Something was taken on it or given back. */
static void update_room(const struct pool_address *address)
{
	if (address->pool)
		rooms_set(&address->pool->rooms, address->index, address_room(address));
}

/* --- pools -------------------------------------------------------------------- */

static bool in_range(uint32_t number, const struct num_range *range)
{
	return number >= range->first && number <= range->last;
}

bool pool_lends_port(const struct config_pool *config, uint32_t port)
{
	if (config->rsipsec && (port == RSIP_IKE_PORT || port == RSIP_NATT_PORT))
		return false;	/* RSAP-19, APG-03: by cookie */
	return port >= config->ports.first && port <= config->ports.last;
}

static bool is_named(const struct msg_ports *ports)
{
	return ports->form == MSG_RUN || ports->form == MSG_LIST;
}

static bool ports_allowed(const struct pool *pool, const struct msg_ports *ports)
{
	for (unsigned int i = 0; is_named(ports) && i < ports->count; i++) {
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
	queue_free(&address->rested);
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
	queue_free(&pools->resting);
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

/* The pool of a public address and its place in there, or NULL. */
static struct pool *find_address(const struct pools *pools, __be32 addr, uint32_t *index)
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

/* Raises an address of which nothing is held. NULL: no memory. */
static struct pool_address *address_open(struct pools *pools, struct pool *pool, uint32_t index)
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

static void address_close(struct pools *pools, struct pool_address *address)
{
	if (address->held)
		return;
	if (address->pool)
		address->pool->addresses[address->index] = NULL;
	else
		DL_DELETE(pools->strays, address);
	address_free(address);
}

/* --- giving back ---------------------------------------------------------------- */

static void set_ports(struct pool_address *address, const struct pool_grant *grant, bool is_free)
{
	if (grant->port_form == MSG_RUN)
		portmap_set(&address->ports, grant->port_first, grant->port_count, is_free);
	for (unsigned int i = 0; grant->port_form == MSG_LIST && i < grant->port_count; i++)
		portmap_set(&address->ports, grant->port_list[i], 1, is_free);
}

/* What a grant held is free again, and the grant is gone. */
static void dissolve(struct pool_address *address, struct pool_grant *grant)
{
	set_ports(address, grant, true);
	for (unsigned int i = 0; i < grant->spi_count; i++)
		spiset_remove(&address->spis, grant->spis[i]);
	if (grant->ike_peer)
		table_remove(&address->pools->ike_peers, &grant->by_peer);
	if (grant->whole)
		address->whole = false;
	address->held--;
	free(grant);
}

static bool reclaim_oldest(struct pool_address *address)
{
	struct pool_grant *grant = queue_pop(&address->rested);

	if (!grant)
		return false;
	address->rested_ports -= grant->port_count;
	address->rested_spis -= grant->spi_count;
	dissolve(address, grant);
	return true;
}

static bool reclaim_all(struct pool_address *address)
{
	bool any = false;

	while (reclaim_oldest(address))
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
		if (!in_range(grant->spis[i], &address->pool->config->spis))
			return false;
	}
	return ports_allowed(address->pool, &ports);
}

static void end_rest(struct pools *pools, struct pool_grant *grant)
{
	struct pool_address *address = grant->address;

	address->resting_ports -= grant->port_count;
	address->resting_spis -= grant->spi_count;
	if (!is_lendable(address, grant)) {
		dissolve(address, grant);
		update_room(address);
		address_close(pools, address);
		return;
	}
	address->rested_ports += grant->port_count;
	address->rested_spis += grant->spi_count;
	queue_push(&address->rested, grant);
	while (address->rested.first && !wants_order(address, address->rested.first))
		reclaim_oldest(address);
	update_room(address);
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
	update_room(address);
	address_close(pools, address);
}

/* --- another configuration ------------------------------------------------------ */

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
		reclaim_all(address);	/* it counts as lent, and may not be any more */
		portmap_lend(&address->ports, pool->config->ports, pool->config->rsipsec);
		address->changed = true;
	}
	rooms_put(&pool->rooms, index, address_room(address));
}

static void address_stray(struct pools *pools, struct pool_address *address)
{
	address->pool = NULL;
	reclaim_all(address);
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
		to = find_address(fresh, address->addr, &index);
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
			to = find_address(fresh, address->addr, &index);
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

const struct config_pool *pools_lender(const struct pools *pools, __be32 addr)
{
	uint32_t index;
	const struct pool *pool = find_address(pools, addr, &index);

	return pool ? pool->config : NULL;
}

/* --- what is asked for ------------------------------------------------------------ */

/* A listener for IKE where hosts share port 500 by cookie. */
static bool is_ike_listener(const struct pool *pool, const struct pool_request *request)
{
	return request->ike && pool->config->rsipsec;
}

static uint64_t ike_key(__be32 addr, __be32 peer)
{
	return (uint64_t)addr << 32 | peer;
}

static uint32_t ports_wanted(const struct pool *pool, const struct pool_request *request)
{
	return request->ports->form == MSG_NOT_NEEDED || is_ike_listener(pool, request) ? 0 : request->ports->count;
}

static uint32_t spis_wanted(const struct pool_request *request)
{
	return request->spis ? request->spis->count : 0;
}

static bool has_method(const struct pool *pool, const struct pool_request *request)
{
	if (request->whole)
		return pool->config->rsa;
	return request->ipsec ? pool->config->rsipsec : pool->config->rsap;
}

static bool request_allowed(const struct pool *pool, const struct pool_request *request)
{
	return is_ike_listener(pool, request) || ports_allowed(pool, request->ports);
}

/* In a way that leaves nothing for this request. */
static bool is_held(const struct pool_address *address, const struct pool_request *request)
{
	return request->whole ? address->held : address->whole;
}

/* Somebody holds it whole and it is asked for in part, or the other way round. */
static bool held_otherwise(const struct pool *pool, uint32_t index, const struct pool_request *request)
{
	const struct pool_address *address = pool->addresses[index];

	return pool->config->rsa != request->whole && address && address->held;
}

static uint16_t named_address_allowed(const struct pools *pools, const struct pool_request *request)
{
	uint32_t index;
	const struct pool *pool;

	if (request->local.type != RSIP_ADDR_IPV4)
		return RSIP_E_LOCAL_ADDR_UNALLOWED;
	pool = find_address(pools, request->local.v4, &index);
	if (!pool)
		return RSIP_E_LOCAL_ADDR_UNALLOWED;
	if (!has_method(pool, request))
		return held_otherwise(pool, index, request) ? 0 : RSIP_E_LOCAL_ADDR_UNALLOWED;
	return request_allowed(pool, request) ? 0 : RSIP_E_LOCAL_ADDRPORT_UNALLOWED;
}

uint16_t pool_allowed(const struct pools *pools, const struct pool_request *request)
{
	uint16_t error = 0;

	if (!request->local.any)
		return named_address_allowed(pools, request);
	for (size_t i = 0; i < pools->count; i++) {
		if (!has_method(&pools->pools[i], request))
			continue;
		if (request_allowed(&pools->pools[i], request))
			return 0;
		error = RSIP_E_LOCAL_ADDRPORT_UNALLOWED;
	}
	return error;
}

static bool ports_free(const struct pool_address *address, const struct msg_ports *ports)
{
	for (unsigned int i = 0; i < ports->count; i++) {
		if (!portmap_has(&address->ports, msg_port_at(ports, i)))
			return false;
	}
	return true;
}

static bool ike_peer_free(const struct pool_address *address, __be32 peer)
{
	return !table_find(&address->pools->ike_peers, ike_key(address->addr, peer));
}

/* Rested ones that are kept back are free: named, they are looked at. */
static uint16_t check_ports(struct pool_address *address, const struct pool_request *request)
{
	const struct msg_ports *ports = request->ports;

	if (is_ike_listener(address->pool, request))
		return ike_peer_free(address, request->ike_peer) ||
		       (reclaim_all(address) && ike_peer_free(address, request->ike_peer)) ?
			       0 : RSIP_E_LOCAL_ADDRPORT_INUSE;
	if (ports->form == MSG_NOT_NEEDED)
		return 0;
	if (is_named(ports) && !ports_free(address, ports) &&
	    (!reclaim_all(address) || !ports_free(address, ports)))
		return RSIP_E_LOCAL_ADDRPORT_INUSE;
	if (ports->count > request->ports_max || ports->count > address_room(address).ports)
		return RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE;
	return 0;
}

static bool spis_in_range(const struct config_pool *config, const struct msg_spis *spis)
{
	for (unsigned int i = 0; i < spis->count; i++) {
		if (!in_range(msg_spi_at(spis, i), &config->spis))
			return false;
	}
	return true;
}

static bool spis_free(const struct pool_address *address, const struct msg_spis *spis)
{
	for (unsigned int i = 0; i < spis->count; i++) {
		if (spiset_has(&address->spis, msg_spi_at(spis, i)))
			return false;
	}
	return true;
}

static uint16_t check_spis(struct pool_address *address, const struct pool_request *request)
{
	const struct msg_spis *spis = request->spis;

	if (!spis)
		return 0;
	if (spis->count > request->spis_max)
		return RSIP_E_IPSEC_SPI_UNAVAILABLE;
	if (spis->form == MSG_ANY)
		return spis->count > address_room(address).spis ? RSIP_E_IPSEC_SPI_UNAVAILABLE : 0;
	if (!spis_in_range(address->pool->config, spis))
		return RSIP_E_IPSEC_SPI_UNAVAILABLE;
	if (!spis_free(address, spis) && (!reclaim_all(address) || !spis_free(address, spis)))
		return RSIP_E_IPSEC_SPI_INUSE;
	return 0;
}

/* --- choosing ------------------------------------------------------------------- */

static bool run_is_free(const struct spiset *set, uint32_t first, uint32_t count, uint32_t *lookups)
{
	for (uint32_t i = 0; i < count; i++) {
		++*lookups;
		if (spiset_has(set, first + i))
			return false;
	}
	return true;
}

/*
 * A free run aligned to its size: of a few random places one that is better
 * placed, or any; then one after the other from a random place on. 0: none was found.
 */
static uint32_t find_spi_run(const struct pool_address *address, const struct pool_request *request, uint32_t count)
{
	const struct num_range *range = &address->pool->config->spis;
	uint64_t size = 1, first, slots;	/* fewer than 2^32: SPIs begin at 256 */
	uint32_t lookups = 0, slot, other = 0, better;

	while (size < count)
		size *= 2;
	first = (range->first + size - 1) / size;
	if (first * size + count - 1 > range->last)
		return 0;
	slots = (range->last - count + 1) / size - first + 1;
	for (unsigned int i = 0; i < RANDOM_TRIES; i++) {
		uint32_t at = (first + arc4random_uniform(slots)) * size;

		better = request->place ? request->place(at, request->place_arg) : at;
		if (better >= first * size && better <= range->last - count + 1 && better % size == 0 &&
		    run_is_free(&address->spis, better, count, &lookups))
			return better;
		if (!other && run_is_free(&address->spis, at, count, &lookups))
			other = at;
	}
	if (other)
		return other;
	slot = arc4random_uniform(slots);
	for (uint64_t i = 0; i < slots && (count == 1 || lookups < RUN_LOOKUPS); i++) {
		uint32_t at = (first + (slot + i) % slots) * size;

		if (run_is_free(&address->spis, at, count, &lookups))
			return at;
	}
	return 0;
}

/* The set has room. 0, or 402, 403 with nothing taken. */
static uint16_t choose_spis(struct pool_address *address, const struct pool_request *request, struct pool_grant *grant)
{
	const struct msg_spis *spis = request->spis;
	uint32_t first = 0;
	unsigned int i;

	if (spis->form == MSG_ANY) {
		while (free_spis(address) < spis->count)
			reclaim_oldest(address);
		first = find_spi_run(address, request, spis->count);
		if (!first && reclaim_all(address))
			first = find_spi_run(address, request, spis->count);
		if (!first && spis->count > RSIP_SPIS_MAX)
			return RSIP_E_IPSEC_SPI_UNAVAILABLE;	/* an answer cannot list so many */
		grant->spi_form = first ? MSG_RUN : MSG_LIST;
	} else {
		grant->spi_form = spis->form;
	}
	for (i = 0; i < spis->count; i++) {
		if (spis->form != MSG_ANY)
			grant->spis[i] = msg_spi_at(spis, i);
		else
			grant->spis[i] = first ? first + i : find_spi_run(address, request, 1);
		if (!spiset_add(&address->spis, grant->spis[i]))
			break;	/* named twice in one list */
	}
	if (i == spis->count)
		return 0;
	while (i--)
		spiset_remove(&address->spis, grant->spis[i]);
	return RSIP_E_IPSEC_SPI_INUSE;
}

static void choose_any_ports(struct pool_address *address, unsigned int count, struct pool_grant *grant)
{
	int first;

	while (address->ports.count < count)
		reclaim_oldest(address);
	first = portmap_find(&address->ports, count);
	if (first < 0 && reclaim_all(address))
		first = portmap_find(&address->ports, count);
	if (first >= 0) {
		grant->port_form = MSG_RUN;
		grant->port_first = first;
		portmap_set(&address->ports, first, count, false);
		return;
	}
	grant->port_form = MSG_LIST;
	for (unsigned int i = 0; i < count; i++) {
		grant->port_list[i] = portmap_find(&address->ports, 1);
		portmap_set(&address->ports, grant->port_list[i], 1, false);
	}
}

static void choose_ports(struct pool_address *address, const struct msg_ports *ports, struct pool_grant *grant)
{
	grant->port_form = ports->form;
	if (ports->form == MSG_NOT_NEEDED)
		return;
	grant->port_count = ports->count;
	if (ports->form == MSG_ANY) {
		choose_any_ports(address, ports->count, grant);
		return;
	}
	grant->port_first = ports->form == MSG_RUN ? ports->first : 0;
	for (unsigned int i = 0; ports->form == MSG_LIST && i < ports->count; i++)
		grant->port_list[i] = ports->list[i];
	set_ports(address, grant, false);
}

/* An empty grant with room for that many SPIs and listed ports behind it. */
static struct pool_grant *grant_new(struct pool_address *address, const struct pool_request *request)
{
	const struct msg_ports *ports = request->ports;
	uint32_t spis = spis_wanted(request);
	bool may_list = ports->form == MSG_LIST || (ports->form == MSG_ANY && ports->count > 1);
	size_t list = may_list ? ports->count : 0;
	struct pool_grant *grant;

	grant = calloc(1, sizeof(*grant) + spis * sizeof(*grant->spis) + list * sizeof(*grant->port_list));
	if (!grant)
		return NULL;
	grant->address = address;
	grant->addr = address->addr;
	grant->whole = request->whole;
	grant->spi_count = spis;
	grant->spis = spis ? (uint32_t *)(grant + 1) : NULL;
	grant->port_list = list ? (uint16_t *)((uint32_t *)(grant + 1) + spis) : NULL;
	return grant;
}

/* After the checks: takes, or 104 or 402, 403 with nothing taken. */
static uint16_t commit(struct pool_address *address, const struct pool_request *request, struct pool_grant **out)
{
	struct pool_grant *grant = grant_new(address, request);
	uint16_t error = 0;

	if (!grant || (grant->spi_count && spiset_reserve(&address->spis, grant->spi_count)))
		error = RSIP_E_INTERNAL_SERVER_ERROR;
	else if (grant->spi_count)
		error = choose_spis(address, request, grant);
	if (error) {
		free(grant);
		return error;
	}
	if (is_ike_listener(address->pool, request)) {
		grant->ike_peer = request->ike_peer;
		table_add(&address->pools->ike_peers, &grant->by_peer, ike_key(address->addr, grant->ike_peer));
	} else {
		choose_ports(address, request->ports, grant);
	}
	address->whole |= grant->whole;
	address->grants++;
	address->held++;
	address->leased_ports += grant->port_count;
	address->leased_spis += grant->spi_count;
	update_room(address);
	*out = grant;
	return 0;
}

static uint16_t take_at(struct pools *pools, struct pool *pool, uint32_t index, const struct pool_request *request,
			struct pool_grant **out)
{
	struct pool_address *address = address_open(pools, pool, index);
	uint16_t error;

	if (!address)
		return RSIP_E_INTERNAL_SERVER_ERROR;
	error = is_held(address, request) ? RSIP_E_LOCAL_ADDR_INUSE : check_ports(address, request);
	if (!error)
		error = check_spis(address, request);
	if (!error)
		error = commit(address, request, out);
	if (error)
		address_close(pools, address);
	return error;
}

/* Of two refusals at two addresses, the one that came later in the order of checks says more. */
static unsigned int progress(uint16_t error)
{
	static const uint16_t order[] = {
		RSIP_E_LOCAL_ADDR_UNAVAILABLE, RSIP_E_LOCAL_ADDRPORT_INUSE, RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE,
		RSIP_E_IPSEC_SPI_UNAVAILABLE, RSIP_E_IPSEC_SPI_INUSE, RSIP_E_INTERNAL_SERVER_ERROR,
	};
	unsigned int i = 0;

	while (i < sizeof(order) / sizeof(order[0]) && order[i] != error)
		i++;
	return i;
}

/* The host's own limits refuse at every address. */
static bool is_final(uint16_t error, const struct pool_request *request)
{
	return error == RSIP_E_INTERNAL_SERVER_ERROR ||
	       (error == RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE && request->ports->count > request->ports_max) ||
	       (error == RSIP_E_IPSEC_SPI_UNAVAILABLE && spis_wanted(request) > request->spis_max);
}

/* Why a pool without a single address that has the room refuses. */
static uint16_t no_room(const struct pool *pool, const struct pool_request *request)
{
	struct room most = rooms_most(&pool->rooms), ports_only = { .ports = ports_wanted(pool, request) };
	const struct msg_spis *spis = request->spis;

	if (request->whole)
		return RSIP_E_LOCAL_ADDR_UNAVAILABLE;
	if (!room_has(&most, &ports_only))
		return is_named(request->ports) ? RSIP_E_LOCAL_ADDRPORT_INUSE : RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE;
	if (spis->form == MSG_ANY || spis->count > request->spis_max || !spis_in_range(pool->config, spis))
		return RSIP_E_IPSEC_SPI_UNAVAILABLE;
	return RSIP_E_IPSEC_SPI_INUSE;
}

static uint16_t take_from_pool(struct pools *pools, struct pool *pool, const struct pool_request *request,
			       struct pool_grant **out)
{
	struct room need = {
		.ports = ports_wanted(pool, request), .spis = spis_wanted(request), .whole = request->whole,
	};
	uint32_t index = rooms_next(&pool->rooms, 0, &need);
	uint16_t best = RSIP_E_LOCAL_ADDR_UNAVAILABLE, error;

	if (index == pool->count)
		return no_room(pool, request);
	for (; index < pool->count; index = rooms_next(&pool->rooms, index + 1, &need)) {
		error = take_at(pools, pool, index, request, out);
		if (!error || is_final(error, request))
			return error;
		if (progress(error) > progress(best))
			best = error;
	}
	return best;
}

static uint16_t take_anywhere(struct pools *pools, const struct pool_request *request, __be32 preferred,
			      struct pool_grant **out)
{
	uint16_t best = RSIP_E_LOCAL_ADDR_UNAVAILABLE, error;
	uint32_t index;
	struct pool *pool = find_address(pools, preferred, &index);

	if (pool && has_method(pool, request) && request_allowed(pool, request)) {
		error = take_at(pools, pool, index, request, out);
		if (!error)
			return 0;
	}
	for (size_t i = 0; i < pools->count; i++) {
		pool = &pools->pools[i];
		if (!has_method(pool, request) || !request_allowed(pool, request))
			continue;
		error = take_from_pool(pools, pool, request, out);
		if (!error || is_final(error, request))
			return error;
		if (progress(error) > progress(best))
			best = error;
	}
	return best;
}

/* No address is left to be lent whole, named or not (RSA-04). */
static bool none_is_whole(const struct pools *pools)
{
	for (size_t i = 0; i < pools->count; i++) {
		if (rooms_most(&pools->pools[i].rooms).whole)
			return false;
	}
	return true;
}

static uint16_t take_named(struct pools *pools, const struct pool_request *request, struct pool_grant **out)
{
	uint32_t index;
	struct pool *pool = find_address(pools, request->local.v4, &index);

	if (request->whole && none_is_whole(pools))
		return RSIP_E_LOCAL_ADDR_UNAVAILABLE;
	if (!has_method(pool, request))
		return RSIP_E_LOCAL_ADDR_INUSE;
	return take_at(pools, pool, index, request, out);
}

uint16_t pool_take(struct pools *pools, const struct pool_request *request, __be32 preferred,
		   uint64_t now, struct pool_grant **out)
{
	uint16_t error;

	pool_tick(pools, now);
	error = pool_allowed(pools, request);
	if (error)
		return error;
	if (request->local.any && request->local.type == RSIP_ADDR_IPV6)
		return RSIP_E_LOCAL_ADDR_UNAVAILABLE;
	if (request->local.any)
		return take_anywhere(pools, request, preferred, out);
	return take_named(pools, request, out);
}

/* As many big-endian words as a list of SPIs has; NULL: no memory. */
static uint8_t *spi_list(const struct pool_grant *grant)
{
	uint8_t *list = malloc(grant->spi_count * sizeof(uint32_t));

	for (unsigned int i = 0; list && i < grant->spi_count; i++) {
		uint32_t spi = htonl(grant->spis[i]);

		memcpy(list + i * sizeof(spi), &spi, sizeof(spi));
	}
	return list;
}

uint16_t pool_take_again(struct pools *pools, const struct pool_grant *like, bool ipsec, struct pool_grant **out)
{
	struct msg_ports ports;
	struct msg_spis spis = { .form = like->spi_form, .count = like->spi_count };
	struct pool_request request = {
		.whole = like->whole, .ipsec = ipsec, .ike = like->ike_peer, .ike_peer = like->ike_peer,
		.local = { .type = RSIP_ADDR_IPV4, .v4 = like->addr }, .ports = &ports,
		.spis = like->spi_count ? &spis : NULL, .ports_max = UINT32_MAX, .spis_max = UINT32_MAX,
	};
	uint8_t *list = NULL;
	uint16_t error;

	pool_grant_ports(like, &ports);
	error = pool_allowed(pools, &request);
	if (error)
		return error;
	if (like->spi_count)
		spis.first = like->spis[0];
	if (like->spi_count && like->spi_form == MSG_LIST) {
		list = spi_list(like);
		spis.list = list;
		if (!list)
			return RSIP_E_INTERNAL_SERVER_ERROR;
	}
	error = take_named(pools, &request, out);
	free(list);
	return error;
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

/* --- usage ------------------------------------------------------------------------ */

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
