/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is registered and holds what, and when each of it ends (RFC 3103 6).
 * Knows no socket, no clock and no BPF map: `now` is an argument (milliseconds,
 * monotonic), what ends is handed to a callback. Times are kept as points in
 * time (LSE-01); expiry costs what expires, whatever the number of leases.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "rsipd/pool.h"
#include "rsipd/table.h"
#include "rsipd/wheel.h"

struct leases;

enum lease_kind { LEASE_RSAP, LEASE_RSIPSEC, LEASE_RSA, LEASE_LISTEN };

struct bind {
	uint32_t bind_id;		/* unique within the client */
	enum lease_kind kind;
	struct client *client;
	struct pool_grant *grant;	/* owned */
	__be32 gateway;			/* Na: this end of the tunnel */
	__be32 remote;			/* flow policy: the only peer; 0: any, or `remotes` */
	__be32 *remotes;		/* the only peers, when a name stood for several; owned; NULL: see remote */
	uint32_t remote_count;		/* of remotes */
	uint16_t remote_port;		/* flow policy micro, host order; 0: any */
	uint8_t tunnel;			/* enum rsip_tunnel */
	uint32_t slot;			/* in the data plane */
	uint64_t granted, expires;	/* ms */
	uint64_t record;		/* in the journal; 0: none */
	/* lease.c: where it stands */
	struct table_node by_id;
	struct wheel_node timer;
	struct bind *prev, *next;	/* the client's other binds, newest first */
};

/* A message's sender, and where its answers and asynchronous messages go (T-31). */
struct origin {
	__be32 source;			/* the host: its identity */
	__be16 source_port;
	__be32 local;			/* the gateway address the message came to: Na */
	bool tcp;
	uint64_t connection;		/* TCP: names the connection; never used again. UDP: 0 */
};

struct client {
	uint32_t client_id;
	struct origin origin;		/* of the last valid request; tcp: transport of the registration (T-04) */
	const struct config_client *rule;
	uint8_t local_policy, remote_policy;	/* what REGISTER_RESPONSE said (FLOW-16) */
	uint64_t registered, expires;	/* ms; never before the last bind (LSE-04) */
	uint32_t bind_count, port_count, spi_count, address_count;	/* addresses: whole ones */
	struct bind *binds;		/* newest first */
	void *session;			/* counter and last answer; owned by session.c */
	uint64_t record;		/* in the journal; 0: none */
	/* lease.c: where it stands */
	uint32_t bind_ids;		/* the last Bind ID given */
	struct table_node by_address, by_id;
	struct wheel_node timer;
	struct client *prev, *next;	/* all clients */
};

/* `clients_max` and `binds_max` bound the memory. NULL if memory is short.
 * leases_free() gives all grants back: the pools are freed after it. */
struct leases *leases_new(struct pools *pools, uint32_t clients_max, uint32_t binds_max);
void leases_free(struct leases *leases);

struct client *lease_client_by_address(const struct leases *leases, __be32 source);
struct client *lease_client_by_id(const struct leases *leases, uint32_t client_id);

/* Registers a host under a new, unpredictable Client ID (REG-03, REG-23).
 * NULL when clients_max is reached. `seconds`: its own lease R. */
struct client *lease_register(struct leases *leases, const struct origin *origin,
			      const struct config_client *rule, uint32_t seconds, uint64_t now);
/* Ends a registration and all its binds; what they held rests. */
void lease_deregister(struct leases *leases, struct client *client, uint64_t now);

/* The same for one that an earlier run registered: ID, origin, rule, policies, times
 * and bind_ids are those of `like`. NULL as well when its ID or address is taken. */
struct client *lease_register_again(struct leases *leases, const struct client *like);

/* Takes over `grant` into a new bind for `seconds`; the registration lives at
 * least as long (LSE-03). NULL when binds_max is reached: the grant stays the caller's. */
struct bind *lease_grant(struct leases *leases, struct client *client, enum lease_kind kind,
			 struct pool_grant *grant, uint32_t seconds, uint64_t now);
/* The same for one that an earlier run granted: IDs, kind, tunnel, remote, slot and
 * times are those of `like`. NULL as well when the client has one of that ID. */
struct bind *lease_grant_again(struct leases *leases, struct client *client, const struct bind *like,
			       struct pool_grant *grant);
/* Undoes a lease_grant() that nobody heard of (E-07): the grant is free at once,
 * the registration ends at `expires`, when it did before. */
void lease_cancel(struct leases *leases, struct bind *bind, uint64_t expires);
struct bind *lease_bind_by_id(const struct leases *leases, const struct client *client, uint32_t bind_id);
/* Moves the end to now + seconds, but never nearer (EXT-08); moves R as well (LSE-03). */
void lease_extend(struct leases *leases, struct bind *bind, uint32_t seconds, uint64_t now);
/* Ends a bind; R stays (LSE-05). */
void lease_release(struct leases *leases, struct bind *bind, uint64_t now);

/* Whole seconds left, rounded down, at least 1 (LSE-08: never 0 in an answer). */
uint32_t lease_seconds_left(uint64_t expires, uint64_t now);

/*
 * Calls back for each bind and then each registration that ended by `now`,
 * soonest first. The callback must end it: lease_release() or
 * lease_deregister(). Ends at most LEASE_EXPIRE_MAX of them, so that others are
 * answered in between. Returns when to call again, no later than the next one
 * ends (it may be earlier; not after `now`: there is more), or 0 if none is left.
 */
#define LEASE_EXPIRE_MAX	128
struct lease_events {
	void (*bind_expired)(struct bind *bind, uint64_t now, void *arg);
	void (*client_expired)(struct client *client, uint64_t now, void *arg);
	void *arg;
};
uint64_t lease_expire(struct leases *leases, uint64_t now, const struct lease_events *events);
/* The same for one client, all of it: whatever waits, it holds nothing that is over. */
void lease_expire_client(struct client *client, uint64_t now, const struct lease_events *events);

/* Walks; the visited one may be ended. Stop by returning false. */
void lease_each_client(struct leases *leases, bool (*visit)(struct client *client, void *arg), void *arg);
void lease_each_bind(struct leases *leases, struct client *client, bool (*visit)(struct bind *bind, void *arg), void *arg);

/*
 * A walk in parts, between which hosts and binds come and go: the daemon answers
 * others meanwhile. Each host, or bind, that was there at the beginning and is
 * still there is visited once; newer hosts are not. One walk visits either.
 */
struct lease_walk {		/* lease.c: what comes next */
	struct client *client;
	struct bind *bind;
	struct lease_walk *prev, *next;
};
void lease_walk_begin(struct leases *leases, struct lease_walk *walk);
struct client *lease_walk_client(struct lease_walk *walk);	/* NULL: that was all */
struct bind *lease_walk_bind(struct lease_walk *walk);
void lease_walk_end(struct leases *leases, struct lease_walk *walk);

uint32_t lease_client_count(const struct leases *leases);
uint32_t lease_bind_count(const struct leases *leases);
