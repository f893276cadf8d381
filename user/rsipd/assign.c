// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host asks for resources: ASSIGN_REQUEST_RSAP-IP and ASSIGN_REQUEST_RSIPSEC
 * (RFC 3103 9.8, RFC 3104 6.2). Policy comes first, so that a refusal does not
 * tell what others hold (E-04), then what is free, then lease and data plane.
 */
#include <arpa/inet.h>
#include <string.h>

#include "rsipd/exchange.h"
#include "rsipd/policy.h"

static uint32_t left(uint32_t limit, uint32_t used)
{
	return limit > used ? limit - used : 0;
}

static struct pool_request request_of(const struct client *client, const struct msg *m)
{
	return (struct pool_request){
		.ipsec = m->type == RSIP_ASSIGN_REQUEST_RSIPSEC,
		.local = m->local,
		.ports = &m->lports,
		.spis = m->type == RSIP_ASSIGN_REQUEST_RSIPSEC ? &m->spis : NULL,
		.ports_max = left(client->rule->max_ports, client->port_count),
		.spis_max = left(client->rule->max_spis, client->spi_count),
	};
}

static void answer_remote(const struct exchange *x, struct msg *answer)
{
	const struct bind *bind = x->bind;

	answer->remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = !bind->remote, .v4 = bind->remote };
	answer->rports.form = bind->remote_port ? MSG_RUN : MSG_ANY;
	answer->rports.first = bind->remote_port;
	answer->rports.count = 1;
	if (x->m->rports.form == MSG_NOT_NEEDED) {
		answer->rports.form = MSG_NOT_NEEDED;
		answer->rports.count = 0;
	}
}

static void answer_spis(struct sessions *s, const struct pool_grant *grant, struct msg *answer)
{
	answer->has |= MSG_HAS(RSIP_PARAM_SPI);
	answer->spis.form = grant->spi_form;
	answer->spis.count = grant->spi_count;
	answer->spis.first = grant->spis[0];
	if (grant->spi_form != MSG_LIST)
		return;
	for (unsigned int i = 0; i < grant->spi_count; i++) {
		uint32_t spi = htonl(grant->spis[i]);

		memcpy(s->values + i * sizeof(spi), &spi, sizeof(spi));
	}
	answer->spis.list = s->values;
}

static void answer_assign(struct exchange *x, uint32_t seconds)
{
	struct msg *answer = &x->answer;
	const struct bind *bind = x->bind;

	answer->has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID) | MSG_HAS_LOCAL | MSG_HAS_LPORTS |
		      MSG_HAS_REMOTE | MSG_HAS_RPORTS | MSG_HAS(RSIP_PARAM_LEASE_TIME) | MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
	answer->client_id = x->client->client_id;
	answer->bind_id = bind->bind_id;
	answer->local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = bind->grant->addr };
	pool_grant_ports(bind->grant, &answer->lports);
	answer_remote(x, answer);
	if (bind->kind == LEASE_RSIPSEC)
		answer_spis(x->s, bind->grant, answer);
	answer->lease = seconds;
	answer->tunnels[0] = bind->tunnel;
	answer->tunnel_count = 1;
}

uint16_t assign_request(struct exchange *x)
{
	struct sessions *s = x->s;
	struct client *client = x->client;
	struct pool_request request = request_of(client, x->m);
	uint32_t seconds = session_lease(x);
	struct pool_grant *grant;
	uint8_t tunnel;
	uint16_t error;

	error = policy_request(s->config, client, x->m, &tunnel);
	if (!error)
		error = pool_allowed(s->pools, &request);
	if (!error)
		error = policy_remote(s->config, client, x->m);
	if (!error && (client->bind_count >= client->rule->max_binds || !seconds))
		error = RSIP_E_LOCAL_ADDR_UNAVAILABLE;
	if (!error)
		error = pool_take(s->pools, &request, client->binds ? client->binds->grant->addr : 0, x->now, &grant);
	if (!error)
		error = bind_grant(x, grant, tunnel, seconds);
	if (error)
		return error;
	answer_assign(x, seconds);
	return 0;
}
