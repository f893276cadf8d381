// SPDX-License-Identifier: GPL-2.0-only
/*
 * A reload, as hosts see it: what they have is held against the configuration
 * that was loaded, what does not fit is ended and its host told. That takes one
 * look at every bind, so it is done in parts; whoever asks for something
 * meanwhile is looked at first.
 */
#include <errno.h>

#include "rsipd/config_change.h"
#include "rsipd/exchange.h"
#include "rsipd/fit.h"
#include "rsipd/policy.h"

/* Of one part: a bind that is looked at is worth 1, one that is ended as much as this. */
#define PART_WORK	2048
#define END_WORK	64

struct refitting {
	struct sessions *s;
	const struct config_client *rule;
	uint64_t now;
	uint32_t ended;
};

static void report(struct sessions *s, const struct client *client, uint32_t bind_id, const char *why)
{
	const struct session_unfit what = { client->origin.source, client->client_id, bind_id, why };

	s->refit.report(&what, s->refit.arg);
}

static bool refit_bind(struct bind *bind, void *arg)
{
	struct refitting *refitting = arg;
	struct sessions *s = refitting->s;
	struct client *client = bind->client;
	uint32_t bind_id = bind->bind_id;
	struct datapath_bind dp;
	struct msg_ports ports;
	const char *why;

	bind_describe(bind, &ports, &dp);
	why = fit_bind(s->config, s->pools, refitting->rule, &dp);
	if (!why)
		return true;
	bind_end(s, bind, why, refitting->now);
	session_tell(s, client, RSIP_FREE_RESPONSE, bind_id, refitting->now);
	report(s, client, bind_id, why);
	refitting->ended++;
	return true;
}

/* Returns the work it was. */
static uint32_t refit_anew(struct sessions *s, struct client *client, uint64_t now, bool *gone)
{
	struct refitting refitting = { .s = s, .now = now };
	uint32_t binds = client->bind_count;
	const char *why;

	refitting.rule = fit_client(s->config, client->origin.source, client->origin.local, &why);
	if (!refitting.rule) {
		report(s, client, 0, why);
		session_tell(s, client, RSIP_DEREGISTER_RESPONSE, 0, now);
		register_end(s, client, why, now);
		*gone = true;
		return END_WORK * (binds + 1);
	}
	client->rule = refitting.rule;
	lease_each_bind(s->leases, client, refit_bind, &refitting);
	return 1 + binds + END_WORK * refitting.ended;
}

static uint32_t refit(struct sessions *s, struct client *client, uint64_t now, bool *gone)
{
	struct session *session = client->session;
	uint32_t work;

	*gone = false;
	if (session->configuration == s->configuration)
		return 1;
	session->configuration = s->configuration;
	s->changes_burst = SESSION_LOG_REFIT;
	work = refit_anew(s, client, now, gone);
	s->changes_burst = SESSION_LOG_BURST;
	return work;
}

bool refit_client(struct sessions *s, struct client *client, uint64_t now)
{
	bool gone;

	refit(s, client, now, &gone);
	return !gone;
}

int sessions_change(struct sessions *s, struct config *running, struct config *fresh, session_report *told, void *arg)
{
	int err;

	if (s->refit.running)
		return -EBUSY;
	err = pools_change(s->pools, fresh);
	if (err)
		return err;
	config_swap(running, fresh);
	s->messages_off = policy_messages_off(running);
	s->configuration++;
	s->refit.report = told;
	s->refit.arg = arg;
	s->refit.running = true;
	lease_walk_begin(s->leases, &s->refit.walk);
	return 0;
}

bool sessions_refit(struct sessions *s, uint64_t now)
{
	struct client *client;
	uint32_t work = 0;
	bool gone;

	if (!s->refit.running)
		return false;
	while (work < PART_WORK) {
		client = lease_walk_client(&s->refit.walk);
		if (!client) {
			lease_walk_end(s->leases, &s->refit.walk);
			s->refit.running = false;
			return false;
		}
		work += refit(s, client, now, &gone);
	}
	return true;
}
