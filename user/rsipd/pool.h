/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the gateway lends: public addresses, their ports and their SPIs. Says
 * what is free, takes and gives back; knows nothing of hosts, leases or time
 * but the `now` it is given (milliseconds, monotonic). Freed ports and SPIs rest
 * for the hold-down before anybody gets them again (RSAP-16, IPS-19).
 *
 * No call costs more with more leases: a port is a bit, an SPI a hash entry, an
 * address with room is found in a tree, and what rests stands in one queue,
 * oldest first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "rsipd/config.h"
#include "rsipd/table.h"

struct pools;			/* all pools of a configuration */
struct pool_address;		/* one public address */

/* Ports and SPIs granted together, on one address. All or nothing (IPS-18). */
struct pool_grant {
	struct pool_address *address;
	__be32 addr;
	enum msg_form port_form;	/* MSG_RUN, MSG_LIST or MSG_NOT_NEEDED, as the answer shows them */
	enum msg_form spi_form;		/* MSG_RUN or MSG_LIST; unused when spi_count is 0 */
	uint16_t port_count, port_first;	/* host order; port_first of a run */
	uint16_t spi_count;
	uint16_t *port_list;		/* MSG_LIST: port_count ports, host order; else NULL */
	uint32_t *spis;			/* host order, a run as well; NULL when spi_count is 0 */
	bool whole;			/* RSA-IP: all of the address */
	__be32 ike_peer;		/* a LISTEN for IKE from this peer, which takes no port; 0: none */
	uint64_t released;		/* rest.c: since when it rests */
	struct pool_grant *next;	/* rest.c: what rests next */
	struct table_node by_peer;	/* take.c: with ike_peer */
};

/* The ports of a grant in the form that messages and the data plane take. */
void pool_grant_ports(const struct pool_grant *grant, struct msg_ports *out);

/* What is asked for: RSA-IP, RSAP-IP, LISTEN and RSIPSEC. */
struct pool_request {
	bool whole;			/* RSA-IP: only pools with that method; `ports` are not needed */
	bool ipsec;			/* RSIPSEC: only pools with that method */
	/*
	 * LISTEN on port 500 for IKE from one peer. Where hosts share port 500 by
	 * cookie, in pools with RSIPSEC, such a listener takes no port: it is one of
	 * several, each with a peer of its own (LSN-11, APG-03). Elsewhere 500 is a
	 * port like any.
	 */
	bool ike;
	__be32 ike_peer;		/* needed by pool_take() */
	struct msg_addr local;		/* IPv4 or don't-care; an IPv6 address is refused */
	const struct msg_ports *ports;	/* any form */
	const struct msg_spis *spis;	/* NULL: none */
	uint32_t ports_max, spis_max;	/* what the host's own limits still allow */
	/* Where the host names no SPIs: of the first of a run, at random, one that is better, or 0; NULL: all are
	 * alike. A preference: a few tries, then any will do. */
	uint32_t (*place)(uint32_t random, const void *arg);
	const void *place_arg;
};

/* Built from a configuration; NULL if memory is short. */
struct pools *pools_new(const struct config *config);
void pools_free(struct pools *pools);

/*
 * Takes over another configuration, which must stay as long as the pools. What
 * is leased or rests stays held, also what is not lent any more: an address that
 * left all pools is kept until the last of it has rested. 0 or -ENOMEM, and
 * nothing changed. Costs what the pools have of addresses, whatever the number
 * of leases.
 */
int pools_change(struct pools *pools, const struct config *config);
/* The pool that lends an address, or NULL. */
const struct config_pool *pools_lender(const struct pools *pools, __be32 addr);
/* Whether a pool lends a port of its addresses: in its range, and not one of IKE's
 * where IKE is told apart by cookies (RSAP-19, APG-03). */
bool pool_lends_port(const struct config_pool *pool, uint32_t port);

/* Whether policy admits the request at all: 0, 312 or 313. Changes nothing and
 * does not tell what is leased (E-04), but for one thing: an address that is
 * named for the other kind of lending, whole or shared, is not 312 while
 * somebody holds it; pool_take() then says 310 (RSA-07, IPS-21). */
uint16_t pool_allowed(const struct pools *pools, const struct pool_request *request);

/*
 * Takes what is asked for. 0 and *out, or the RSIP error to answer with, in
 * the order 312, 313, 308, 310, 311, 309, 402, 403 of row E-02, or 104 if
 * memory is short, and nothing taken (E-05). A don't-care address prefers the
 * one that `preferred` names (an address the host already shares; 0: none),
 * else the first of the pools where the request fits, so that addresses are
 * shared before new ones are touched.
 * Unspecified ports and SPIs are unpredictable (RSAP-24, IPS-14), unless free
 * ones are scarce: then the longest rested are taken first (RSAP-17). Several
 * are one run, aligned to its size rounded up to a power of two, as long as a
 * search of bounded length finds one: IPsec stacks can be told a range, not a set.
 */
uint16_t pool_take(struct pools *pools, const struct pool_request *request, __be32 preferred,
		   uint64_t now, struct pool_grant **out);

/*
 * Takes exactly what an earlier grant named: after a restart, or from the pools
 * of another configuration. `ipsec`: it was RSIPSEC. 0 and *out, or 312, 313, 310,
 * 402, 403 or 104 where the pools do not lend it (any more) or it is taken.
 */
uint16_t pool_take_again(struct pools *pools, const struct pool_grant *like, bool ipsec, struct pool_grant **out);

/* Gives all of a grant back; it rests from `now` on. The grant is the pool's
 * again. Never fails. */
void pool_release(struct pools *pools, struct pool_grant *grant, uint64_t now);
/* Undoes a pool_take() that nobody heard of: all of it is free at once. */
void pool_cancel(struct pools *pools, struct pool_grant *grant);

/* Lets what has rested long enough by `now` be lent again, at most POOL_TICK_MAX grants,
 * longest rested first; called by pool_take() and by session_tick(). True: there is more. */
#define POOL_TICK_MAX	1024
bool pool_tick(struct pools *pools, uint64_t now);

/* --- for rsipctl pools, metrics and the data plane --------------------------- */

struct pool_usage {
	const char *pool;
	__be32 addr;
	bool gateway_address;
	bool whole;			/* lent by RSA-IP: no ports and SPIs of their own */
	uint32_t ports, ports_leased, ports_resting;	/* `ports`: all that can be leased */
	uint64_t spis;
	uint32_t spis_leased, spis_resting;
	uint32_t grants;
};

/* That of public address number `i`, counted over all pools; false: there are not so many. */
bool pools_usage(const struct pools *pools, size_t i, struct pool_usage *out);
/* Calls `visit` for each public address; stops when it returns false. */
void pools_each(const struct pools *pools, bool (*visit)(const struct pool_usage *usage, void *arg), void *arg);
