// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is asked for: whether policy admits it, at which address it is tried, what
 * is checked there, and which refusal is the one to tell. The order of the checks is
 * that of row E-02.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "rsipd/pools.h"

/* --- what is asked for --------------------------------------------------- */

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
	return is_ike_listener(pool, request) || pool_lends_ports(pool, request->ports);
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
	pool = pool_find(pools, request->local.v4, &index);
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

/* --- at an address ------------------------------------------------------- */

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
		       (rest_reclaim_all(address) && ike_peer_free(address, request->ike_peer)) ?
			       0 : RSIP_E_LOCAL_ADDRPORT_INUSE;
	if (ports->form == MSG_NOT_NEEDED)
		return 0;
	if (ports_are_named(ports) && !ports_free(address, ports) &&
	    (!rest_reclaim_all(address) || !ports_free(address, ports)))
		return RSIP_E_LOCAL_ADDRPORT_INUSE;
	if (ports->count > request->ports_max || ports->count > address_room(address).ports)
		return RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE;
	return 0;
}

static bool spis_in_range(const struct config_pool *config, const struct msg_spis *spis)
{
	for (unsigned int i = 0; i < spis->count; i++) {
		if (!pool_lends_spi(config, msg_spi_at(spis, i)))
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
	if (!spis_free(address, spis) && (!rest_reclaim_all(address) || !spis_free(address, spis)))
		return RSIP_E_IPSEC_SPI_INUSE;
	return 0;
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
		error = choice_spis(address, request, grant);
	if (error) {
		free(grant);
		return error;
	}
	if (is_ike_listener(address->pool, request)) {
		grant->ike_peer = request->ike_peer;
		table_add(&address->pools->ike_peers, &grant->by_peer, ike_key(address->addr, grant->ike_peer));
	} else {
		choice_ports(address, request->ports, grant);
	}
	address->whole |= grant->whole;
	address->grants++;
	address->held++;
	address->leased_ports += grant->port_count;
	address->leased_spis += grant->spi_count;
	address_update(address);
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

/* --- which address ------------------------------------------------------- */

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
		return ports_are_named(request->ports) ? RSIP_E_LOCAL_ADDRPORT_INUSE : RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE;
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
	struct pool *pool = pool_find(pools, preferred, &index);

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
	struct pool *pool = pool_find(pools, request->local.v4, &index);

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

/* --- once more ----------------------------------------------------------- */

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
