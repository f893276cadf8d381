// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is written down of hosts and leases, so that they outlive the daemon. The
 * end of a lease that runs out is in its record already; one that ends before
 * that is written again as resting, and either record goes when the rest is over.
 */
#include "rsipd/exchange.h"

void keep_client(struct sessions *s, struct client *client)
{
	const struct session *session = client->session;
	const struct record_client record = {
		.client_id = client->client_id,
		.origin = client->origin,
		.local_policy = client->local_policy,
		.remote_policy = client->remote_policy,
		.counted = session->counted,
		.resync = session->resync,
		.bind_ids = client->bind_ids,
		.registered = client->registered,
		.expires = client->expires,
		.last = session->last,
	};

	journal_client(s->journal, &client->record, &record);
}

void keep_client_end(struct sessions *s, const struct client *client)
{
	journal_forget(s->journal, client->record);
}

static void write_bind(struct sessions *s, struct bind *bind, uint64_t rests)
{
	const struct record_bind record = {
		.client_id = bind->client->client_id,
		.bind_id = bind->bind_id,
		.kind = bind->kind,
		.tunnel = bind->tunnel,
		.gateway = bind->gateway,
		.remote = bind->remote,
		.remote_port = bind->remote_port,
		.remotes = bind->remotes,
		.remote_count = (uint8_t)bind->remote_count,
		.slot = bind->slot,
		.granted = bind->granted,
		.expires = bind->expires,
		.rests = rests,
		.grant = *bind->grant,
	};

	journal_bind(s->journal, &bind->record, &record);
}

void keep_bind(struct sessions *s, struct bind *bind)
{
	write_bind(s, bind, 0);
}

void keep_bind_end(struct sessions *s, struct bind *bind, uint64_t now)
{
	if (bind->expires > now)
		write_bind(s, bind, now);
	journal_forget_later(s->journal, bind->record, now + s->config->leases.hold_down * 1000ULL);
}
