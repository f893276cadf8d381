// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an earlier run wrote down comes back. Hosts and leases that live go on as
 * if nothing had been; what ended meanwhile rests from its end on; what the
 * configuration does not allow any more ends now, and is named.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rsipd/exchange.h"
#include "rsipd/fit.h"
#include "rsipd/policy.h"

struct rest {				/* what goes back into its rest, once all that lives has its own */
	struct pool_grant *like;	/* owned, with its lists behind it */
	bool ipsec;
	uint64_t since, record;
};

struct restoring {
	struct sessions *s;
	uint64_t now;
	struct client *client;		/* whose leases come: the last one that was looked for */
	uint32_t client_id;
	struct rest *rests;
	size_t rest_count, rest_room;
	struct restore_counts counts;
};

/* --- hosts ---------------------------------------------------------------------------- */

static void log_client_ended(const struct record_client *record, const char *why)
{
	char host[ADDR_TEXT_LEN];

	log_warn("host %s is no longer registered as client %u: %s", addr_text(record->origin.source, host),
		 record->client_id, why);
}

static bool copy_last(const struct replay *last, struct replay *out)
{
	*out = *last;
	if (!last->answer)
		return true;
	out->answer = malloc(last->answer_len);
	if (out->answer)
		memcpy(out->answer, last->answer, last->answer_len);
	return out->answer;
}

/* The daemon's side of a host: its session and the data plane. 0 or -errno with nothing left. */
static int open_client(struct restoring *r, struct client *client, const struct record_client *record)
{
	struct session *session = calloc(1, sizeof(*session));
	int err = session && copy_last(&record->last, &session->last) ? 0 : -ENOMEM;

	if (!err)
		err = datapath_client_add(r->s->dp, client->origin.source, client->origin.local, client->client_id);
	if (err) {
		if (session)
			replay_clear(&session->last);
		free(session);
		lease_deregister(r->s->leases, client, r->now);
		return err;
	}
	session->configuration = r->s->configuration;
	session->counted = record->counted;
	session->resync = record->resync;
	client->session = session;
	return 0;
}

/* The bind's own. NULL: none, or no memory. */
static __be32 *copy_remotes(const struct record_bind *record)
{
	size_t size = record->remote_count * sizeof(*record->remotes);
	__be32 *copy = size ? malloc(size) : NULL;

	if (copy)
		memcpy(copy, record->remotes, size);
	return copy;
}

/* NULL, or why it cannot come back. */
static const char *restore_client(struct restoring *r, uint64_t number, const struct record_client *record)
{
	struct client like = {
		.client_id = record->client_id,
		.origin = record->origin,
		.local_policy = record->local_policy,
		.remote_policy = record->remote_policy,
		.registered = record->registered,
		.expires = record->expires,
		.bind_ids = record->bind_ids,
		.record = number,
	};
	struct client *client;
	const char *why;
	int err;

	like.rule = fit_client(r->s->config, record->origin.source, record->origin.local, &why);
	if (!like.rule)
		return why;
	client = lease_register_again(r->s->leases, &like);
	if (!client)
		return "its Client ID or its address is another's, or there are too many hosts";
	err = open_client(r, client, record);
	return err ? strerror(-err) : NULL;
}

static void take_client(struct restoring *r, uint64_t number, const struct record_client *record)
{
	const char *why;

	if (record->expires <= r->now) {
		r->counts.expired++;
		journal_forget(r->s->journal, number);
		return;
	}
	why = restore_client(r, number, record);
	if (!why) {
		r->counts.clients++;
		return;
	}
	log_client_ended(record, why);
	r->counts.unfit++;
	journal_forget(r->s->journal, number);
}

/* --- leases ---------------------------------------------------------------------------- */

static struct client *client_of(struct restoring *r, uint32_t client_id)
{
	if (r->client_id != client_id) {
		r->client_id = client_id;
		r->client = lease_client_by_id(r->s->leases, client_id);
	}
	return r->client;
}

static struct pool_grant *copy_grant(const struct pool_grant *grant)
{
	size_t ports = grant->port_form == MSG_LIST ? grant->port_count * sizeof(*grant->port_list) : 0;
	size_t spis = grant->spi_count * sizeof(*grant->spis);
	struct pool_grant *copy = malloc(sizeof(*copy) + spis + ports);

	if (!copy)
		return NULL;
	*copy = *grant;
	copy->spis = (uint32_t *)(copy + 1);
	copy->port_list = (uint16_t *)(copy->spis + grant->spi_count);
	if (spis)
		memcpy(copy->spis, grant->spis, spis);
	if (ports)
		memcpy(copy->port_list, grant->port_list, ports);
	return copy;
}

/* What was held rests from `since` on. */
static int take_rest(struct restoring *r, uint64_t number, const struct record_bind *record, uint64_t since)
{
	struct rest rest = { .since = since, .record = number, .ipsec = record->kind == LEASE_RSIPSEC };
	struct rest *rests;

	if (since + r->s->config->leases.hold_down * 1000ULL <= r->now) {
		journal_forget(r->s->journal, number);
		return 0;
	}
	if (r->rest_count == r->rest_room) {
		r->rest_room = r->rest_room ? 2 * r->rest_room : 1024;
		rests = realloc(r->rests, r->rest_room * sizeof(*rests));
		if (!rests)
			return -ENOMEM;
		r->rests = rests;
	}
	rest.like = copy_grant(&record->grant);
	if (!rest.like)
		return -ENOMEM;
	r->rests[r->rest_count++] = rest;
	return 0;
}

static void log_bind_ended(const struct restoring *r, const struct record_bind *record, const char *why)
{
	char host[ADDR_TEXT_LEN] = "?", addr[ADDR_TEXT_LEN];

	if (r->client)
		addr_text(r->client->origin.source, host);
	log_warn("lease %u of %s on %s has ended: %s", record->bind_id, host, addr_text(record->grant.addr, addr), why);
}

/* NULL, or why it cannot come back. */
static const char *restore_bind(struct restoring *r, uint64_t number, const struct record_bind *record)
{
	struct sessions *s = r->s;
	struct client *client = r->client;
	struct bind *bind, like = {
		.bind_id = record->bind_id, .kind = record->kind, .gateway = record->gateway, .remote = record->remote,
		.remote_port = record->remote_port, .tunnel = record->tunnel, .slot = record->slot,
		.granted = record->granted, .expires = record->expires, .record = number,
		.client = client, .grant = (struct pool_grant *)&record->grant,
		.remotes = (__be32 *)record->remotes, .remote_count = record->remote_count,
	};
	struct datapath_bind dp;
	struct msg_ports ports;
	const char *why;
	uint32_t bind_ids = client->bind_ids;
	uint64_t expires = client->expires;
	struct pool_grant *grant;
	uint16_t error;
	int err;

	if (!policy_is_own(s->config, record->gateway))
		return "the gateway address of its tunnel is not served any more";
	bind_describe(&like, &ports, &dp);
	why = fit_bind(s->config, s->pools, client->rule, &dp);
	if (why)
		return why;
	error = pool_take_again(s->pools, &record->grant, record->kind == LEASE_RSIPSEC, &grant);
	if (error)
		return msg_error_name(error);
	like.remotes = copy_remotes(record);
	bind = !like.remotes == !record->remote_count ? lease_grant_again(s->leases, client, &like, grant) : NULL;
	if (!bind) {
		pool_cancel(s->pools, grant);
		free(like.remotes);
		return "its Bind ID is another's, or there are too many leases";
	}
	err = bind_install(s, bind);
	if (!err)
		return NULL;
	lease_cancel(s->leases, bind, expires);
	client->bind_ids = bind_ids;
	return strerror(-err);
}

static int take_bind(struct restoring *r, uint64_t number, const struct record_bind *record)
{
	const char *why;

	if (record->rests)
		return take_rest(r, number, record, record->rests);
	if (record->expires <= r->now || !client_of(r, record->client_id)) {
		r->counts.expired++;
		return take_rest(r, number, record, record->expires < r->now ? record->expires : r->now);
	}
	why = restore_bind(r, number, record);
	if (!why) {
		r->counts.binds++;
		return 0;
	}
	log_bind_ended(r, record, why);
	r->counts.unfit++;
	return take_rest(r, number, record, r->now);
}

/* --- all ----------------------------------------------------------------------------------- */

static int take_record(uint64_t number, struct record *record, void *arg)
{
	struct restoring *r = arg;

	if (record->kind == RECORD_BIND)
		return take_bind(r, number, &record->bind);
	r->client_id = 0;
	take_client(r, number, &record->client);
	return 0;
}

static int compare_rests(const void *a, const void *b)
{
	const struct rest *x = a, *y = b;

	return x->since < y->since ? -1 : x->since > y->since;
}

/* What is lent no more, or lent again because the hold-down was shorter then, does not rest. */
static void begin_rest(struct restoring *r, const struct rest *rest)
{
	struct pool_grant *grant;

	if (pool_take_again(r->s->pools, rest->like, rest->ipsec, &grant)) {
		journal_forget(r->s->journal, rest->record);
		return;
	}
	pool_release(r->s->pools, grant, rest->since);
	journal_forget_later(r->s->journal, rest->record, rest->since + r->s->config->leases.hold_down * 1000ULL);
	r->counts.resting++;
}

/* The pool and the journal want them in the order of their ends. */
static void begin_rests(struct restoring *r)
{
	if (r->rest_count)
		qsort(r->rests, r->rest_count, sizeof(*r->rests), compare_rests);
	for (size_t i = 0; i < r->rest_count; i++) {
		begin_rest(r, &r->rests[i]);
		free(r->rests[i].like);
	}
	free(r->rests);
}

int sessions_restore(struct sessions *s, uint64_t now, struct restore_counts *counts)
{
	struct restoring r = { .s = s, .now = now };
	int err = journal_load(s->journal, now, take_record, &r);

	begin_rests(&r);
	*counts = r.counts;
	return err;
}
