// SPDX-License-Identifier: GPL-2.0-only
/* What hosts are told about packets that they may not send (RFC 3103 10.4). The packets were dropped. */
#include <arpa/inet.h>
#include <stddef.h>

#include "rsipd/exchange.h"

struct kind {
	enum rsip_outcome outcome;
	uint16_t error;
	bool bind;		/* the error names the bind */
};

static const struct kind kinds[SESSION_VIOLATIONS] = {
	{ RSIP_OUT_TUNNEL, RSIP_E_BAD_TUNNEL_TYPE, true },
	{ RSIP_OUT_ADDRESS, RSIP_E_LOCAL_ADDR_UNALLOWED, false },
	{ RSIP_OUT_NO_PORT, RSIP_E_LOCAL_ADDRPORT_UNALLOWED, false },
	{ RSIP_OUT_REMOTE_ADDRESS, RSIP_E_REMOTE_ADDR_UNALLOWED, true },
	{ RSIP_OUT_REMOTE_PORT, RSIP_E_REMOTE_ADDRPORT_UNALLOWED, true },
	{ RSIP_OUT_NO_IPSEC, RSIP_E_IPSEC_UNALLOWED, false },
};

static const struct kind *kind_of(__u32 outcome)
{
	/* A protocol without ports has none that was leased (EG-13). */
	if (outcome == RSIP_OUT_PROTOCOL)
		outcome = RSIP_OUT_NO_PORT;
	for (size_t i = 0; i < SESSION_VIOLATIONS; i++) {
		if (kinds[i].outcome == outcome)
			return &kinds[i];
	}
	return NULL;
}

/* The bind that the packet was held against; ESP may be held against several: the newest on that address. */
static const struct bind *bind_of(const struct sessions *s, const struct client *client,
				  const struct rsip_event_violation *v)
{
	const struct bind *bind = lease_bind_by_id(s->leases, client, v->bind_id);

	for (bind = bind ? bind : client->binds; bind; bind = bind->next) {
		if (bind->grant->addr == v->src)
			return bind;
	}
	return NULL;
}

static void log_violation(struct sessions *s, const struct rsip_event_violation *v, uint16_t error, uint64_t now)
{
	char host[ADDR_TEXT_LEN], src[ADDR_TEXT_LEN], dst[ADDR_TEXT_LEN];

	if (log_allowed(&s->refusals, SESSION_LOG_BURST, now))
		log_info("host %s sent what it may not, from %s port %u to %s port %u: %s", addr_text(v->client, host),
			 addr_text(v->src, src), ntohs(v->sport), addr_text(v->dst, dst), ntohs(v->dport),
			 msg_error_name(error));
}

void session_violation(struct sessions *s, const struct rsip_event_violation *v, uint64_t now)
{
	const struct client *client = lease_client_by_address(s->leases, v->client);
	const struct kind *kind = kind_of(v->outcome);
	const struct bind *bind = NULL;
	struct session *session;
	uint64_t *next;

	if (!client || !kind)
		return;
	session = client->session;
	next = &session->report_next[kind - kinds];
	if (now < *next)
		return;
	*next = now + SESSION_VIOLATION_MS;
	if (kind->bind)
		bind = bind_of(s, client, v);
	session_happened(s, &(struct session_event){ .kind = SESSION_REFUSED, .client = client, .bind = bind,
						     .error = kind->error, .why = "a packet", .now = now });
	log_violation(s, v, kind->error, now);
	session_tell_error(s, client, kind->error, bind ? bind->bind_id : 0);
}
