// SPDX-License-Identifier: GPL-2.0-only
/* A host comes and goes: REGISTER_REQUEST and DE-REGISTER_REQUEST (RFC 3103 9.2 to 9.5). */
#include <stdlib.h>
#include <string.h>

#include "rsipd/exchange.h"

static bool end_each_bind(struct bind *bind, void *arg)
{
	struct ending *ending = arg;

	bind_end(ending->s, bind, NULL, ending->now);
	return true;
}

void register_end(struct sessions *s, struct client *client, const char *why, uint64_t now)
{
	struct ending ending = { s, now };
	struct session *session = client->session;
	char host[ADDR_TEXT_LEN];

	if (log_allowed(&s->changes, s->changes_burst, now))
		log_info("host %s is no longer registered as client %u: %s", addr_text(client->origin.source, host),
			 client->client_id, why);
	session_happened(s, &(struct session_event){
		.kind = SESSION_DEREGISTERED, .client = client, .why = why, .now = now,
	});
	lookup_drop(s, client);
	lease_each_bind(s->leases, client, end_each_bind, &ending);
	datapath_client_remove(s->dp, client->origin.source);
	departed_add(s->departed, client->origin.source, &session->last, now);
	authentic_leave(s, client);
	free(session);
	keep_client_end(s, client);
	lease_deregister(s->leases, client, now);
}

static struct client *new_client(struct exchange *x, const struct config_client *rule)
{
	struct sessions *s = x->s;
	struct session *session = calloc(1, sizeof(*session));
	struct client *client = NULL;
	char host[ADDR_TEXT_LEN];
	int err = 0;

	if (session)
		client = lease_register(s->leases, x->from, rule, s->config->leases.registration, x->now);
	if (client)
		err = datapath_client_add(s->dp, x->from->source, x->from->local, client->client_id);
	if (client && !err) {
		session->configuration = s->configuration;
		client->session = session;
		authentic_register(s, client);
		return client;
	}
	if (log_allowed(&s->failures, SESSION_LOG_BURST, x->now))
		log_error("host %s cannot be registered: %s", addr_text(x->from->source, host),
			  err ? strerror(-err) : "too many hosts, or no memory");
	if (client)
		lease_deregister(s->leases, client, x->now);
	free(session);
	return NULL;
}

static void offer_methods(const struct sessions *s, const struct config_client *rule, struct msg *answer)
{
	answer->has |= MSG_HAS(RSIP_PARAM_METHOD) | MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
	answer->method_count = policy_methods(s->config, rule, answer->methods);
	for (size_t i = 0; i < s->config->tunnel_count; i++)
		answer->tunnels[answer->tunnel_count++] = s->config->tunnels[i];
}

uint16_t register_request(struct exchange *x)
{
	const struct config_client *rule;
	struct msg *answer = &x->answer;
	char host[ADDR_TEXT_LEN];

	if (x->client)
		return RSIP_E_ALREADY_REGISTERED;
	rule = x->s->draining ? NULL : config_client_for(x->s->config, x->from->source);
	if (!rule)
		return RSIP_E_REGISTRATION_DENIED;
	x->client = new_client(x, rule);
	if (!x->client)
		return RSIP_E_INTERNAL_SERVER_ERROR;

	answer->has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_LEASE_TIME) | MSG_HAS(RSIP_PARAM_FLOW_POLICY);
	answer->client_id = x->client->client_id;
	answer->lease = lease_seconds_left(x->client->expires, x->now);
	answer->local_policy = x->client->local_policy;
	answer->remote_policy = x->client->remote_policy;
	offer_methods(x->s, rule, answer);
	session_happened(x->s, &(struct session_event){ .kind = SESSION_REGISTERED, .client = x->client, .now = x->now });
	if (log_allowed(&x->s->changes, x->s->changes_burst, x->now))
		log_info("host %s registered over %s as client %u for %u s", addr_text(x->from->source, host),
			 x->from->tcp ? "TCP" : "UDP", answer->client_id, answer->lease);
	return 0;
}

uint16_t deregister_request(struct exchange *x)
{
	register_end(x->s, x->client, "de-registered by the host", x->now);
	x->client = NULL;
	x->answer.has = MSG_HAS(RSIP_PARAM_CLIENT_ID);
	x->answer.client_id = x->m->client_id;
	return 0;
}
