// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request that names its remote by name, or a query for names, waits
 * until the name is looked up: its bytes are kept, the loop looks it up, and
 * the request is carried out as if it had come then. Each host waits for one
 * name at most, so that a slow name server holds up nobody else (DNS-05); a
 * copy of the request finds it waiting and is dropped (T-19), any other
 * request takes its place.
 */
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/container.h"
#include "rsipd/exchange.h"

struct lookup {
	uint32_t id;
	struct client *client;
	struct origin from;
	struct table_node by_id;
	struct wheel_node timer;
	struct resolved found;		/* by now */
	size_t len;
	uint8_t data[];			/* of the request */
};

int lookups_init(struct lookups *lookups)
{
	return table_init(&lookups->by_id, LOOKUPS_MAX);
}

void lookups_destroy(struct lookups *lookups)
{
	table_destroy(&lookups->by_id);
}

void sessions_resolver(struct sessions *s, session_resolve *resolve, void *arg)
{
	s->lookups.resolve = resolve;
	s->lookups.arg = arg;
}

static struct session *session_of(const struct lookup *lookup)
{
	return lookup->client->session;
}

static void forget(struct lookups *lookups, struct lookup *lookup)
{
	table_remove(&lookups->by_id, &lookup->by_id);
	wheel_remove(&lookups->timers, &lookup->timer);
	lookups->count--;
	session_of(lookup)->lookup = NULL;
}

void lookup_drop(struct sessions *s, struct client *client)
{
	const struct session *session = client->session;
	struct lookup *lookup = session->lookup;

	if (!lookup)
		return;
	forget(&s->lookups, lookup);
	free(lookup);
}

uint16_t lookup_begin(struct exchange *x, const struct msg_addr *name)
{
	struct lookups *lookups = &x->s->lookups;
	struct session *session = x->client->session;
	char text[RSIP_FQDN_MAX + 1];
	struct lookup *lookup;

	if (!lookups->resolve || (x->resolved && x->resolved->until <= x->now))
		return RSIP_E_REMOTE_ADDR_UNALLOWED;
	lookup = lookups->count < LOOKUPS_MAX ? malloc(sizeof(*lookup) + x->data_len) : NULL;
	if (!lookup)
		return RSIP_E_INTERNAL_SERVER_ERROR;
	lookup->id = ++lookups->ids;
	lookup->client = x->client;
	lookup->from = *x->from;
	lookup->timer = (struct wheel_node){ 0 };
	lookup->found = x->resolved ? *x->resolved : (struct resolved){ .until = x->now + LOOKUP_MS };
	lookup->len = x->data_len;
	memcpy(lookup->data, x->data, lookup->len);
	table_add(&lookups->by_id, &lookup->by_id, lookup->id);
	wheel_set(&lookups->timers, &lookup->timer, lookup->found.until);
	lookups->count++;
	session->lookup = lookup;
	/* Known, without an answer: a copy of it gets none. */
	replay_store(&session->last, x->request, NULL, 0);
	session->last_bind = 0;
	memcpy(text, name->name, name->name_len);
	text[name->name_len] = '\0';
	lookups->resolve(lookup->id, text, lookups->arg);
	return REQUEST_WAITS;
}

/* None twice, and no more than the data plane holds packets to. */
static void add_peer(struct peers *peers, __be32 addr)
{
	for (size_t i = 0; i < peers->count; i++) {
		if (peers->addrs[i] == addr)
			return;
	}
	if (peers->count < RSIP_REMOTES_MAX)
		peers->addrs[peers->count++] = addr;
}

void session_resolved(struct sessions *s, uint32_t id, const __be32 *addrs, size_t count, uint64_t now)
{
	struct table_node *node = table_find(&s->lookups.by_id, id);
	struct lookup *lookup;

	if (!node)
		return;
	lookup = container_of(node, struct lookup, by_id);
	forget(&s->lookups, lookup);
	for (size_t i = 0; i < count; i++)
		add_peer(&lookup->found.peers, addrs[i]);
	query_resolved(s->config, &lookup->found.names, addrs, count);
	session_go_on(s, &lookup->from, lookup->data, lookup->len, &lookup->found, now);
	free(lookup);
}

bool session_waits(const struct sessions *s, const struct origin *from)
{
	const struct client *client = lease_client_by_address(s->leases, from->source);
	const struct session *session = client ? client->session : NULL;

	return session && session->lookup;
}

uint64_t lookups_expire(struct sessions *s, uint64_t now)
{
	unsigned int moves = UINT_MAX;		/* lookups are few */
	struct wheel_node *timer;

	while ((timer = wheel_pop(&s->lookups.timers, now, &moves)))
		session_resolved(s, container_of(timer, struct lookup, timer)->id, NULL, 0, now);
	return wheel_next(&s->lookups.timers);
}
