// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host asks for resources: the ASSIGN_REQUESTs and LISTEN_REQUEST (RFC 3103
 * 9.6, 9.8 and 9.16, RFC 3104 6.2). Policy comes first, so that a refusal does
 * not tell what others hold (E-04), then what is free, then lease and data plane.
 */
#include <arpa/inet.h>
#include <string.h>

#include "rsipd/exchange.h"

static uint32_t left(uint32_t limit, uint32_t used)
{
	return limit > used ? limit - used : 0;
}

/* LISTEN for the IKE of one peer; see pool.h. Without a remote policy no bind is tied to a peer. */
static bool listens_for_ike(const struct client *client, const struct msg *m)
{
	return m->type == RSIP_LISTEN_REQUEST && m->lports.form == MSG_RUN && m->lports.count == 1 &&
	       m->lports.first == RSIP_IKE_PORT && client->rule->ipsec && client->remote_policy != RSIP_POLICY_NONE;
}

static struct pool_request request_of(const struct client *client, const struct msg *m)
{
	return (struct pool_request){
		.whole = m->type == RSIP_ASSIGN_REQUEST_RSA,
		.ipsec = m->type == RSIP_ASSIGN_REQUEST_RSIPSEC,
		.ike = listens_for_ike(client, m),
		.local = m->local,
		.ports = &m->lports,
		.spis = m->type == RSIP_ASSIGN_REQUEST_RSIPSEC ? &m->spis : NULL,
		.ports_max = left(client->rule->max_ports, client->port_count),
		.spis_max = left(client->rule->max_spis, client->spi_count),
	};
}

/* Fills x->peers with what the flow policy ties the bind to; none: any remote. */
static uint16_t judge_remote(struct exchange *x)
{
	const struct msg_addr *remote = &x->m->remote;

	x->peers.count = 0;
	if (x->client->remote_policy == RSIP_POLICY_NONE)
		return 0;
	if (remote->type == RSIP_ADDR_IPV4)
		x->peers = (struct peers){ .count = 1, .addrs = { remote->v4 } };
	else if (remote->type == RSIP_ADDR_FQDN && !x->resolved)
		return lookup_begin(x, remote);
	else if (remote->type == RSIP_ADDR_FQDN)
		x->peers = x->resolved->peers;
	return policy_remote(x->s->config, x->client, x->m, &x->peers);
}

/* The host's own limits on binds and on whole addresses. */
static bool within_limits(const struct client *client, const struct pool_request *request)
{
	return client->bind_count < client->rule->max_binds &&
	       (!request->whole || client->address_count < client->rule->max_addresses);
}

/* An address the host shares already, or 0: whole ones are not shared. */
static __be32 shared_address(const struct client *client)
{
	const struct bind *bind = client->binds;

	while (bind && bind->kind == LEASE_RSA)
		bind = bind->next;
	return bind ? bind->grant->addr : 0;
}

static uint32_t place_in_data_plane(uint32_t random, const void *arg)
{
	return datapath_spi_place(arg, random);
}

static uint16_t take(struct exchange *x, struct pool_request *request, struct pool_grant **out)
{
	if (!within_limits(x->client, request))
		return RSIP_E_LOCAL_ADDR_UNAVAILABLE;
	if (request->ike && x->peers.count != 1)
		return RSIP_E_REMOTE_ADDR_UNALLOWED;	/* a name with several addresses is not one peer */
	if (request->ike)
		request->ike_peer = x->peers.addrs[0];
	request->place = place_in_data_plane;
	request->place_arg = x->s->dp;
	return pool_take(x->s->pools, request, shared_address(x->client), x->now, out);
}

/* Tied to a remote: as the host sent it, a name too; else don't-care. */
static void answer_remote(const struct exchange *x, struct msg *answer)
{
	const struct bind *bind = x->bind;

	answer->remote = x->peers.count ? x->m->remote : (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = true };
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
	struct pool_request request = request_of(x->client, x->m);
	uint32_t seconds = session_lease(x);
	struct pool_grant *grant;
	uint8_t tunnel;
	uint16_t error;

	error = policy_request(s->config, x->client, x->m, &tunnel);
	if (!error)
		error = pool_allowed(s->pools, &request);
	if (!error)
		error = judge_remote(x);
	if (!error)
		error = seconds ? take(x, &request, &grant) : RSIP_E_LOCAL_ADDR_UNAVAILABLE;
	if (!error)
		error = bind_grant(x, grant, tunnel, seconds);
	if (error)
		return error;
	answer_assign(x, seconds);
	return 0;
}
