/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pools from inside: what their parts share, and nobody else. pool.c (pools and
 * addresses, from one configuration to the next), take.c (what is asked for, and
 * at which address it is tried), choice.c (which ports and SPIs), rest.c (what is
 * given back). The rest of the daemon uses pool.h.
 */
#pragma once

#include "rsipd/pool.h"
#include "rsipd/portmap.h"
#include "rsipd/rooms.h"
#include "rsipd/spiset.h"

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

struct range;

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

/* --- pool.c ------------------------------------------------------------------- */

/* The pool of a public address and its place in there; NULL: in none, and *index is as it was. A binary search of ranges. */
struct pool *pool_find(const struct pools *pools, __be32 addr, uint32_t *index);

/* Whether a request for ports names them. */
static inline bool ports_are_named(const struct msg_ports *ports)
{
	return ports->form == MSG_RUN || ports->form == MSG_LIST;
}

/* Whether a pool lends all ports that are named; none are: it does. */
bool pool_lends_ports(const struct pool *pool, const struct msg_ports *ports);
/* Whether an SPI (host order) is one of those that a pool with RSIPSEC lends. */
static inline bool pool_lends_spi(const struct config_pool *config, uint32_t spi)
{
	return spi >= config->spis.first && spi <= config->spis.last;
}

/* Raises an address, if nothing is held on it yet. NULL: no memory. */
struct pool_address *address_open(struct pools *pools, struct pool *pool, uint32_t index);
/* Frees it if nothing is held on it any more. */
void address_close(struct pools *pools, struct pool_address *address);

/* What an address in a pool can still give, with what has rested and is kept back. */
struct room address_room(const struct pool_address *address);
/* Of these the SPIs that are free right now: not kept back. */
uint32_t address_free_spis(const struct pool_address *address);
/* Tells its pool what room it has: after something was taken or given back. In no pool: no effect. */
void address_update(const struct pool_address *address);
/* Marks all ports that a grant holds, a run or a list, as free or as not free. */
void address_set_ports(struct pool_address *address, const struct pool_grant *grant, bool is_free);

/* --- choice.c: which ports and SPIs ------------------------------------------------- */

/*
 * For a request that was checked at the address: what it names is free there, and there is room for what it does not
 * name. What is chosen is taken, and stands in the grant, whose form is set as well. Both may use up what is kept back.
 */

/* After spiset_reserve(). 0; 402 where no run is found and a list would be too long for an answer; 403 where a list
 * names one SPI twice. With an error no SPI is taken. */
uint16_t choice_spis(struct pool_address *address, const struct pool_request *request, struct pool_grant *grant);
/* Never fails. */
void choice_ports(struct pool_address *address, const struct msg_ports *ports, struct pool_grant *grant);

/* --- rest.c: what is given back --------------------------------------------------------- */

/* Of the grants that are kept back on an address, frees what the one held that has rested longest; or all of them did.
 * False: there was none. The address has the same room as before. */
bool rest_reclaim(struct pool_address *address);
bool rest_reclaim_all(struct pool_address *address);
/* Frees the grants of a queue and no more: the address, or all of the pools, goes. */
void rest_free(struct queue *queue);
