// SPDX-License-Identifier: GPL-2.0-only
/*
 * See session.h, and exchange.h for the parts. Here are the server's own life, what
 * ends with time, and what the operator does.
 */
#include <stdlib.h>

#include "rsipd/exchange.h"

/* --- time ---------------------------------------------------------------- */

static void bind_expired(struct bind *bind, uint64_t now, void *arg)
{
	struct sessions *s = arg;
	struct client *client = bind->client;
	uint32_t bind_id = bind->bind_id;

	bind_end(s, bind, "the lease ran out", now);
	session_tell(s, client, RSIP_FREE_RESPONSE, bind_id, now);
}

static void client_expired(struct client *client, uint64_t now, void *arg)
{
	struct sessions *s = arg;

	session_tell(s, client, RSIP_DEREGISTER_RESPONSE, 0, now);
	register_end(s, client, "the registration ran out", now);
}

/* What is over is gone, however late the timer, and however much waits for its turn (EXT-09). */
struct client *session_client(struct sessions *s, __be32 source, uint64_t now)
{
	const struct lease_events events = { bind_expired, client_expired, s };
	struct client *client = lease_client_by_address(s->leases, source);

	if (client)
		lease_expire_client(client, now, &events);
	return lease_client_by_address(s->leases, source);
}

uint64_t session_tick(struct sessions *s, uint64_t now)
{
	const struct lease_events events = { bind_expired, client_expired, s };
	uint64_t next;
	bool more;

	more = pool_tick(s->pools, now);
	send_again(s, now);
	next = wheel_sooner(lookups_expire(s, now), repeat_next(s->repeats));
	next = wheel_sooner(next, lease_expire(s->leases, now, &events));
	return more || (next && next <= now) ? now + 1 : next;
}

/* --- for the parts ------------------------------------------------------- */

void session_count_error(struct sessions *s, uint16_t error)
{
	if (error < SESSION_ERROR_MAX)
		s->counters.errors[error]++;
}

uint32_t session_lease(const struct exchange *x)
{
	uint32_t seconds = policy_lease(x->s->config, x->m);
	uint64_t left = (x->client->expires - x->now) / 1000;

	return x->s->draining && left < seconds ? (uint32_t)left : seconds;
}

void session_happened(const struct sessions *s, const struct session_event *event)
{
	if (s->watch)
		s->watch(event, s->watch_arg);
}

/* --- the operator -------------------------------------------------------- */

static bool stop_client(struct client *client, void *arg)
{
	struct ending *ending = arg;

	session_tell(ending->s, client, RSIP_DEREGISTER_RESPONSE, 0, ending->now);
	register_end(ending->s, client, "the gateway stops", ending->now);
	return true;
}

void sessions_stop(struct sessions *s, uint64_t now)
{
	struct ending ending = { s, now };

	lease_each_client(s->leases, stop_client, &ending);
}

static bool tell_fault(struct client *client, void *arg)
{
	session_tell_error(arg, client, RSIP_E_INTERNAL_SERVER_ERROR, 0);
	return true;
}

void sessions_fault(struct sessions *s)
{
	lease_each_client(s->leases, tell_fault, s);
}

bool sessions_record(const struct sessions *s)
{
	return journal_works(s->journal);
}

void sessions_drain(struct sessions *s, bool on)
{
	s->draining = on;
}

bool sessions_draining(const struct sessions *s)
{
	return s->draining;
}

void sessions_watch(struct sessions *s, session_watch *watch, void *arg)
{
	s->watch = watch;
	s->watch_arg = arg;
}

bool session_evict(struct sessions *s, uint32_t client_id, uint64_t now)
{
	struct client *client = lease_client_by_id(s->leases, client_id);

	if (!client)
		return false;
	session_tell(s, client, RSIP_DEREGISTER_RESPONSE, 0, now);
	register_end(s, client, "taken off by the operator", now);
	return true;
}

bool session_free_bind(struct sessions *s, uint32_t client_id, uint32_t bind_id, uint64_t now)
{
	struct client *client = lease_client_by_id(s->leases, client_id);
	struct bind *bind = client ? lease_bind_by_id(s->leases, client, bind_id) : NULL;

	if (!bind)
		return false;
	bind_end(s, bind, "taken back by the operator", now);
	session_tell(s, client, RSIP_FREE_RESPONSE, bind_id, now);
	return true;
}

/* --- life ---------------------------------------------------------------- */

struct sessions *sessions_new(const struct config *config, struct datapath *dp, struct journal *journal,
			      session_send send, void *arg)
{
	struct sessions *s = calloc(1, sizeof(*s));
	uint32_t most = config->datapath.max_bindings;

	if (!s)
		return NULL;
	s->config = config;
	s->dp = dp;
	s->journal = journal;
	s->send = send;
	s->send_arg = arg;
	s->changes_burst = SESSION_LOG_BURST;
	s->messages_off = policy_messages_off(config);
	s->departed = departed_new();
	s->repeats = repeats_new();
	s->pools = pools_new(config);
	if (s->pools)
		s->leases = leases_new(s->pools, most, most);
	if (!lookups_init(&s->lookups) && s->departed && s->repeats && s->leases)
		return s;
	sessions_free(s);
	return NULL;
}

static bool free_session(struct client *client, void *arg)
{
	struct session *session = client->session;

	replay_clear(&session->last);
	free(session->lookup);
	free(session);
	return true;
}

void sessions_free(struct sessions *s)
{
	if (!s)
		return;
	if (s->leases)
		lease_each_client(s->leases, free_session, NULL);
	leases_free(s->leases);
	pools_free(s->pools);
	departed_free(s->departed);
	repeats_free(s->repeats);
	lookups_destroy(&s->lookups);
	free(s->strangers);
	free(s);
}

const struct session_counters *session_counters(const struct sessions *s)
{
	return &s->counters;
}

struct leases *session_leases(struct sessions *s)
{
	return s->leases;
}

struct pools *session_pools(struct sessions *s)
{
	return s->pools;
}
