// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bind's life: lease and data plane together, in the order that hosts rely on.
 * It works before the answer that grants it leaves (IN-25), and its traffic has
 * stopped before its resources go back (FREE-04).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsipd/exchange.h"

void bind_describe(const struct bind *bind, struct msg_ports *ports, struct datapath_bind *out)
{
	if (bind->grant->ike_peer)
		*ports = (struct msg_ports){ .form = MSG_NOT_NEEDED };
	else
		pool_grant_ports(bind->grant, ports);
	*out = (struct datapath_bind){
		.slot = bind->slot,
		.bind_id = bind->bind_id,
		.client = bind->client->origin.source,
		.gateway = bind->gateway,
		.addr = bind->grant->addr,
		.remote = bind->remote,
		.remote_port = htons(bind->remote_port),
		.tunnel = bind->tunnel,
		.ipsec = bind->kind == LEASE_RSIPSEC,
		.whole = bind->grant->whole,
		.ike_listen = bind->grant->ike_peer,
		.remotes = bind->remotes,
		.remote_count = bind->remote_count,
		.ports = ports,
		.spis = bind->grant->spis,
		.spi_count = bind->grant->spi_count,
		.ends = bind->expires,
	};
}

int bind_install(struct sessions *s, struct bind *bind)
{
	struct datapath_bind dp;
	struct msg_ports ports;
	int err;

	bind_describe(bind, &ports, &dp);
	err = datapath_bind_add(s->dp, &dp);
	if (!err)
		bind->slot = dp.slot;
	return err;
}

static void uninstall_bind(struct sessions *s, const struct bind *bind)
{
	struct datapath_bind dp;
	struct msg_ports ports;

	bind_describe(bind, &ports, &dp);
	datapath_bind_remove(s->dp, &dp);
}

static const char *what_of(const struct bind *bind)
{
	if (bind->grant->whole)
		return " whole";
	if (bind->grant->ike_peer)
		return " to listen for IKE";
	return bind->kind == LEASE_LISTEN ? " to listen on" : "";
}

/* "ports 4000-4015" and "spi 0x1f40-0x1f47", or the first and how many in all. */
static void log_grant(struct sessions *s, const struct bind *bind, uint32_t seconds, uint64_t now)
{
	const struct pool_grant *grant = bind->grant;
	char host[ADDR_TEXT_LEN], addr[ADDR_TEXT_LEN], ports[48] = "", spis[64] = "";
	unsigned int n = grant->port_count;

	if (!log_allowed(&s->changes, s->changes_burst, now))
		return;
	if (n && grant->port_form == MSG_LIST)
		snprintf(ports, sizeof(ports), " port %u and %u more", grant->port_list[0], n - 1);
	else if (n == 1)
		snprintf(ports, sizeof(ports), " port %u", grant->port_first);
	else if (n)
		snprintf(ports, sizeof(ports), " ports %u-%u", grant->port_first, grant->port_first + n - 1);
	n = grant->spi_count;
	if (n > 1 && grant->spi_form == MSG_LIST)
		snprintf(spis, sizeof(spis), " spi 0x%x and %u more", grant->spis[0], n - 1);
	else if (n == 1)
		snprintf(spis, sizeof(spis), " spi 0x%x", grant->spis[0]);
	else if (n)
		snprintf(spis, sizeof(spis), " spi 0x%x-0x%x", grant->spis[0], grant->spis[n - 1]);
	log_info("lease %u: %s got %s%s%s%s for %u s", bind->bind_id, addr_text(bind->client->origin.source, host),
		 addr_text(grant->addr, addr), what_of(bind), ports, spis, seconds);
}

static void log_end(struct sessions *s, const struct bind *bind, const char *why, uint64_t now)
{
	char host[ADDR_TEXT_LEN], addr[ADDR_TEXT_LEN];

	if (log_allowed(&s->changes, s->changes_burst, now))
		log_info("lease %u of %s on %s has ended: %s", bind->bind_id, addr_text(bind->client->origin.source, host),
			 addr_text(bind->grant->addr, addr), why);
}

static void happened(const struct sessions *s, enum session_event_kind kind, const struct bind *bind, const char *why,
		     uint64_t now)
{
	session_happened(s, &(struct session_event){
		.kind = kind, .client = bind->client, .bind = bind, .why = why, .now = now,
	});
}

/* What the flow policy ties a bind to. false: no memory. */
static bool tie_to_remote(const struct exchange *x, struct bind *bind)
{
	const struct peers *peers = &x->peers;

	if (peers->count == 1) {
		bind->remote = peers->addrs[0];
	} else if (peers->count) {
		bind->remotes = malloc(peers->count * sizeof(*bind->remotes));
		if (!bind->remotes)
			return false;
		bind->remote_count = (uint32_t)peers->count;
		memcpy(bind->remotes, peers->addrs, peers->count * sizeof(*bind->remotes));
	}
	if (x->client->remote_policy == RSIP_POLICY_MICRO && x->m->rports.form != MSG_NOT_NEEDED)
		bind->remote_port = msg_port_at(&x->m->rports, 0);
	return true;
}

static enum lease_kind kind_of(const struct msg *m)
{
	switch (m->type) {
	case RSIP_ASSIGN_REQUEST_RSA:
		return LEASE_RSA;
	case RSIP_ASSIGN_REQUEST_RSIPSEC:
		return LEASE_RSIPSEC;
	case RSIP_LISTEN_REQUEST:
		return LEASE_LISTEN;
	default:
		return LEASE_RSAP;
	}
}

uint16_t bind_grant(struct exchange *x, struct pool_grant *grant, uint8_t tunnel, uint32_t seconds)
{
	struct sessions *s = x->s;
	uint64_t registration = x->client->expires;
	struct bind *bind = lease_grant(s->leases, x->client, kind_of(x->m), grant, seconds, x->now);
	char host[ADDR_TEXT_LEN];
	int err;

	if (!bind) {
		pool_cancel(s->pools, grant);
		return RSIP_E_INTERNAL_SERVER_ERROR;
	}
	bind->gateway = x->from->local;
	bind->tunnel = tunnel;
	err = tie_to_remote(x, bind) ? bind_install(s, bind) : -ENOMEM;
	if (err) {
		if (log_allowed(&s->failures, SESSION_LOG_BURST, x->now))
			log_error("host %s: a lease cannot be put into the data plane: %s",
				  addr_text(x->from->source, host), strerror(-err));
		lease_cancel(s->leases, bind, registration);
		return RSIP_E_INTERNAL_SERVER_ERROR;
	}
	keep_bind(s, bind);
	x->bind = bind;
	log_grant(s, bind, seconds, x->now);
	happened(s, SESSION_GRANTED, bind, NULL, x->now);
	return 0;
}

void bind_extend(struct sessions *s, struct bind *bind, uint32_t seconds, uint64_t now)
{
	struct datapath_bind dp;
	struct msg_ports ports;

	lease_extend(s->leases, bind, seconds, now);
	bind_describe(bind, &ports, &dp);
	datapath_bind_extend(s->dp, &dp);
	keep_bind(s, bind);
	happened(s, SESSION_EXTENDED, bind, NULL, now);
}

void bind_end(struct sessions *s, struct bind *bind, const char *why, uint64_t now)
{
	if (why) {
		log_end(s, bind, why, now);
		happened(s, SESSION_ENDED, bind, why, now);
	}
	uninstall_bind(s, bind);
	keep_bind_end(s, bind, now);
	lease_release(s->leases, bind, now);
}

/* --- requests ------------------------------------------------------------ */

static void answer_ids(struct exchange *x)
{
	x->answer.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID);
	x->answer.client_id = x->m->client_id;
	x->answer.bind_id = x->m->bind_id;
}

uint16_t bind_extend_request(struct exchange *x)
{
	bind_extend(x->s, x->bind, session_lease(x), x->now);
	answer_ids(x);
	x->answer.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
	x->answer.lease = lease_seconds_left(x->bind->expires, x->now);
	return 0;
}

uint16_t bind_free_request(struct exchange *x)
{
	bind_end(x->s, x->bind, "freed by the host", x->now);
	x->bind = NULL;
	answer_ids(x);
	return 0;
}
