// SPDX-License-Identifier: GPL-2.0-only
/*
 * See lease.h. Three tables find a host by address and by Client ID and a bind
 * by both its IDs; two wheels hold the ends of binds and of registrations. A
 * registration never ends before its last bind, so that the wheel of binds is
 * emptied first.
 */
#include "rsipd/lease.h"

#include <stdlib.h>
#include <utlist.h>

#include "lib/container.h"

struct leases {
	struct pools *pools;
	struct table clients_by_address, clients_by_id, binds_by_id;
	struct wheel client_timers, bind_timers;
	struct client *clients;
	struct lease_walk *walks;
	uint32_t client_count, clients_max;
	uint32_t bind_count, binds_max;
};

static uint64_t bind_key(const struct client *client, uint32_t bind_id)
{
	return (uint64_t)client->client_id << 32 | bind_id;
}

static uint64_t end_after(uint32_t seconds, uint64_t now)
{
	return now + seconds * 1000ULL;
}

struct leases *leases_new(struct pools *pools, uint32_t clients_max, uint32_t binds_max)
{
	struct leases *leases = calloc(1, sizeof(*leases));

	if (!leases)
		return NULL;
	leases->pools = pools;
	leases->clients_max = clients_max;
	leases->binds_max = binds_max;
	if (table_init(&leases->clients_by_address, clients_max) ||
	    table_init(&leases->clients_by_id, clients_max) ||
	    table_init(&leases->binds_by_id, binds_max)) {
		leases_free(leases);
		return NULL;
	}
	return leases;
}

void leases_free(struct leases *leases)
{
	if (!leases)
		return;
	while (leases->clients)
		lease_deregister(leases, leases->clients, 0);
	table_destroy(&leases->clients_by_address);
	table_destroy(&leases->clients_by_id);
	table_destroy(&leases->binds_by_id);
	free(leases);
}

/* --- registrations ---------------------------------------------------------------- */

struct client *lease_client_by_address(const struct leases *leases, __be32 source)
{
	struct table_node *node = table_find(&leases->clients_by_address, source);

	return node ? container_of(node, struct client, by_address) : NULL;
}

struct client *lease_client_by_id(const struct leases *leases, uint32_t client_id)
{
	struct table_node *node = table_find(&leases->clients_by_id, client_id);

	return node ? container_of(node, struct client, by_id) : NULL;
}

static uint32_t new_client_id(const struct leases *leases)
{
	uint32_t id;

	do
		id = arc4random();
	while (id == 0 || lease_client_by_id(leases, id));
	return id;
}

static void add_client(struct leases *leases, struct client *client)
{
	client->next = leases->clients;
	if (client->next)
		client->next->prev = client;
	leases->clients = client;
	leases->client_count++;
	table_add(&leases->clients_by_address, &client->by_address, client->origin.source);
	table_add(&leases->clients_by_id, &client->by_id, client->client_id);
	wheel_set(&leases->client_timers, &client->timer, client->expires);
}

struct client *lease_register(struct leases *leases, const struct origin *origin,
			      const struct config_client *rule, uint32_t seconds, uint64_t now)
{
	struct client *client;

	if (leases->client_count >= leases->clients_max)
		return NULL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return NULL;
	client->client_id = new_client_id(leases);
	client->origin = *origin;
	client->rule = rule;
	client->local_policy = rule->local_policy;
	client->remote_policy = rule->remote_policy;
	client->registered = now;
	client->expires = end_after(seconds, now);
	add_client(leases, client);
	return client;
}

struct client *lease_register_again(struct leases *leases, const struct client *like)
{
	struct client *client;

	if (leases->client_count >= leases->clients_max || lease_client_by_id(leases, like->client_id) ||
	    lease_client_by_address(leases, like->origin.source))
		return NULL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return NULL;
	client->client_id = like->client_id;
	client->origin = like->origin;
	client->rule = like->rule;
	client->local_policy = like->local_policy;
	client->remote_policy = like->remote_policy;
	client->registered = like->registered;
	client->expires = like->expires;
	client->bind_ids = like->bind_ids;
	client->record = like->record;
	add_client(leases, client);
	return client;
}

void lease_deregister(struct leases *leases, struct client *client, uint64_t now)
{
	struct lease_walk *walk;

	while (client->binds)
		lease_release(leases, client->binds, now);
	DL_FOREACH(leases->walks, walk) {
		if (walk->client == client)
			walk->client = client->next;
	}
	if (client->prev)
		client->prev->next = client->next;
	else
		leases->clients = client->next;
	if (client->next)
		client->next->prev = client->prev;
	leases->client_count--;
	table_remove(&leases->clients_by_address, &client->by_address);
	table_remove(&leases->clients_by_id, &client->by_id);
	wheel_remove(&leases->client_timers, &client->timer);
	free(client);
}

/* --- binds -------------------------------------------------------------------------- */

struct bind *lease_bind_by_id(const struct leases *leases, const struct client *client, uint32_t bind_id)
{
	struct table_node *node = table_find(&leases->binds_by_id, bind_key(client, bind_id));

	return node ? container_of(node, struct bind, by_id) : NULL;
}

/* Counts up, so that a Bind ID is not used again soon. */
static uint32_t new_bind_id(const struct leases *leases, struct client *client)
{
	do
		client->bind_ids++;
	while (client->bind_ids == 0 || lease_bind_by_id(leases, client, client->bind_ids));
	return client->bind_ids;
}

/* R = max(R, Bi) (LSE-03) */
static void live_as_long(struct leases *leases, const struct bind *bind)
{
	struct client *client = bind->client;

	if (client->expires >= bind->expires)
		return;
	client->expires = bind->expires;
	wheel_set(&leases->client_timers, &client->timer, client->expires);
}

static void add_bind(struct leases *leases, struct bind *bind)
{
	struct client *client = bind->client;

	bind->next = client->binds;
	if (bind->next)
		bind->next->prev = bind;
	client->binds = bind;
	client->bind_count++;
	client->port_count += bind->grant->port_count;
	client->spi_count += bind->grant->spi_count;
	client->address_count += bind->grant->whole;
	leases->bind_count++;
	table_add(&leases->binds_by_id, &bind->by_id, bind_key(client, bind->bind_id));
	wheel_set(&leases->bind_timers, &bind->timer, bind->expires);
	live_as_long(leases, bind);
}

struct bind *lease_grant(struct leases *leases, struct client *client, enum lease_kind kind,
			 struct pool_grant *grant, uint32_t seconds, uint64_t now)
{
	struct bind *bind;

	if (leases->bind_count >= leases->binds_max)
		return NULL;
	bind = calloc(1, sizeof(*bind));
	if (!bind)
		return NULL;
	bind->bind_id = new_bind_id(leases, client);
	bind->kind = kind;
	bind->client = client;
	bind->grant = grant;
	bind->granted = now;
	bind->expires = end_after(seconds, now);
	add_bind(leases, bind);
	return bind;
}

struct bind *lease_grant_again(struct leases *leases, struct client *client, const struct bind *like,
			       struct pool_grant *grant)
{
	struct bind *bind;

	if (leases->bind_count >= leases->binds_max || lease_bind_by_id(leases, client, like->bind_id))
		return NULL;
	bind = malloc(sizeof(*bind));
	if (!bind)
		return NULL;
	*bind = *like;
	bind->client = client;
	bind->grant = grant;
	add_bind(leases, bind);
	return bind;
}

void lease_extend(struct leases *leases, struct bind *bind, uint32_t seconds, uint64_t now)
{
	uint64_t expires = end_after(seconds, now);

	if (expires <= bind->expires)
		return;
	bind->expires = expires;
	wheel_set(&leases->bind_timers, &bind->timer, expires);
	live_as_long(leases, bind);
}

/* Takes a bind out of everything but the pool. */
static struct pool_grant *forget_bind(struct leases *leases, struct bind *bind)
{
	struct pool_grant *grant = bind->grant;
	struct client *client = bind->client;
	struct lease_walk *walk;

	DL_FOREACH(leases->walks, walk) {
		if (walk->bind == bind)
			walk->bind = bind->next;
	}
	if (bind->prev)
		bind->prev->next = bind->next;
	else
		client->binds = bind->next;
	if (bind->next)
		bind->next->prev = bind->prev;
	client->bind_count--;
	client->port_count -= grant->port_count;
	client->spi_count -= grant->spi_count;
	client->address_count -= grant->whole;
	leases->bind_count--;
	table_remove(&leases->binds_by_id, &bind->by_id);
	wheel_remove(&leases->bind_timers, &bind->timer);
	free(bind->remotes);
	free(bind);
	return grant;
}

void lease_release(struct leases *leases, struct bind *bind, uint64_t now)
{
	pool_release(leases->pools, forget_bind(leases, bind), now);
}

void lease_cancel(struct leases *leases, struct bind *bind, uint64_t expires)
{
	struct client *client = bind->client;

	client->bind_ids = bind->bind_id - 1;
	client->expires = expires;
	wheel_set(&leases->client_timers, &client->timer, expires);
	pool_cancel(leases->pools, forget_bind(leases, bind));
}

/* --- time ----------------------------------------------------------------------------- */

uint32_t lease_seconds_left(uint64_t expires, uint64_t now)
{
	return expires >= now + 2000 ? (expires - now) / 1000 : 1;
}

/* Moving a timer in the wheel costs a hundredth of ending what it stands for. */
#define MOVES_MAX	(64 * LEASE_EXPIRE_MAX)

uint64_t lease_expire(struct leases *leases, uint64_t now, const struct lease_events *events)
{
	unsigned int moves = MOVES_MAX, left = LEASE_EXPIRE_MAX;
	struct wheel_node *timer;

	for (; left && (timer = wheel_pop(&leases->bind_timers, now, &moves)); left--)
		events->bind_expired(container_of(timer, struct bind, timer), now, events->arg);
	/* A registration ends after its last bind. */
	if (!left || !moves)
		return now;
	for (; left && (timer = wheel_pop(&leases->client_timers, now, &moves)); left--)
		events->client_expired(container_of(timer, struct client, timer), now, events->arg);
	return left && moves ? wheel_sooner(wheel_next(&leases->bind_timers), wheel_next(&leases->client_timers)) : now;
}

void lease_expire_client(struct client *client, uint64_t now, const struct lease_events *events)
{
	struct bind *bind, *next;

	for (bind = client->binds; bind; bind = next) {
		next = bind->next;
		if (bind->expires <= now)
			events->bind_expired(bind, now, events->arg);
	}
	if (client->expires <= now)
		events->client_expired(client, now, events->arg);
}

/* --- walks ------------------------------------------------------------------------------ */

void lease_each_client(struct leases *leases, bool (*visit)(struct client *client, void *arg), void *arg)
{
	struct client *client, *next;

	for (client = leases->clients; client; client = next) {
		next = client->next;
		if (!visit(client, arg))
			return;
	}
}

void lease_each_bind(struct leases *leases, struct client *client, bool (*visit)(struct bind *bind, void *arg), void *arg)
{
	struct bind *bind, *next;

	for (bind = client->binds; bind; bind = next) {
		next = bind->next;
		if (!visit(bind, arg))
			return;
	}
}

void lease_walk_begin(struct leases *leases, struct lease_walk *walk)
{
	*walk = (struct lease_walk){ .client = leases->clients };
	DL_APPEND(leases->walks, walk);
}

struct client *lease_walk_client(struct lease_walk *walk)
{
	struct client *client = walk->client;

	if (client)
		walk->client = client->next;
	return client;
}

struct bind *lease_walk_bind(struct lease_walk *walk)
{
	struct client *client;
	struct bind *bind;

	while (!walk->bind && (client = lease_walk_client(walk)))
		walk->bind = client->binds;
	bind = walk->bind;
	if (bind)
		walk->bind = bind->next;
	return bind;
}

void lease_walk_end(struct leases *leases, struct lease_walk *walk)
{
	DL_DELETE(leases->walks, walk);
}

uint32_t lease_client_count(const struct leases *leases)
{
	return leases->client_count;
}

uint32_t lease_bind_count(const struct leases *leases)
{
	return leases->bind_count;
}
