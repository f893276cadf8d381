// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which ports and SPIs: those that are named, or a run at random, aligned to its
 * size; where there is none, one by one. The address has room for them. What is
 * kept back to be used up in order of release is taken from when nothing else is left.
 */
#include <stdlib.h>

#include "rsipd/pools.h"

#define RANDOM_TRIES	32
#define RUN_LOOKUPS	65536	/* where the search for a free run of SPIs ends */

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

uint16_t choice_spis(struct pool_address *address, const struct pool_request *request, struct pool_grant *grant)
{
	const struct msg_spis *spis = request->spis;
	uint32_t first = 0;
	unsigned int i;

	if (spis->form == MSG_ANY) {
		while (address_free_spis(address) < spis->count)
			rest_reclaim(address);
		first = find_spi_run(address, request, spis->count);
		if (!first && rest_reclaim_all(address))
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
		rest_reclaim(address);
	first = portmap_find(&address->ports, count);
	if (first < 0 && rest_reclaim_all(address))
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

void choice_ports(struct pool_address *address, const struct msg_ports *ports, struct pool_grant *grant)
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
	address_set_ports(address, grant, false);
}
