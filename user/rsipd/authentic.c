// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hosts with a key: whether a request is theirs and new (SEC-04). Without a
 * good authenticator a REGISTER_REQUEST is answered 304, whatever is wrong with
 * it, and anything else not at all. What is remembered of hosts that are not
 * registered stands in a table of fixed size: one that is forgotten is asked
 * for its next message again, with another nonce.
 */
#include <stdlib.h>
#include <string.h>

#include "rsipd/exchange.h"
#include "rsipd/table.h"

#define STRANGERS	8192

struct stranger {
	__be32 source;
	struct auth_peer auth;
};

static struct stranger *stranger_of(struct sessions *s, __be32 source)
{
	struct stranger *stranger;

	if (!s->strangers)
		s->strangers = calloc(STRANGERS, sizeof(*s->strangers));
	if (!s->strangers)
		return NULL;
	stranger = &s->strangers[table_hash(source, s->requests.secret) % STRANGERS];
	if (stranger->source != source)
		*stranger = (struct stranger){ .source = source };
	return stranger;
}

static struct auth_peer *peer_of(struct sessions *s, const struct client *client, __be32 host)
{
	struct session *session = client ? client->session : NULL;
	struct stranger *stranger = session ? NULL : stranger_of(s, host);

	return session ? &session->auth : stranger ? &stranger->auth : NULL;
}

static const uint8_t *key_of(const struct sessions *s, const struct client *client, __be32 host)
{
	const struct config_client *rule = client ? client->rule : config_client_for(s->config, host);

	return rule ? rule->key : NULL;
}

bool authentic_request(struct exchange *x, const uint8_t *data, size_t len, uint16_t *error)
{
	const uint8_t *key = key_of(x->s, x->client, x->from->source);
	struct auth_stamp stamp;
	struct auth_peer *peer;

	*error = 0;
	if (!key)
		return true;
	peer = peer_of(x->s, x->client, x->from->source);
	if (!peer || !auth_open(key, data, len, &stamp)) {
		x->s->counters.unauthentic++;
		*error = len >= RSIP_HEADER_LEN && data[1] == RSIP_REGISTER_REQUEST ? RSIP_E_REGISTRATION_DENIED : 0;
		return false;
	}
	x->seal = (struct seal){ key, stamp };
	switch (auth_judge(peer, stamp)) {
	case AUTH_AGAIN:
		x->again = true;
		return true;
	case AUTH_NEW:
		return true;
	case AUTH_CHALLENGE:
		x->seal.stamp = auth_challenge(peer, stamp);
		*error = RSIP_E_UNKNOWN_ERROR;
		return false;
	case AUTH_OLD:
		break;
	}
	x->s->counters.ignored++;
	return false;
}

struct seal authentic_tell(struct sessions *s, __be32 host)
{
	const struct client *client = lease_client_by_address(s->leases, host);
	const uint8_t *key = key_of(s, client, host);
	struct auth_peer *peer = key ? peer_of(s, client, host) : NULL;

	return peer ? (struct seal){ key, auth_tell(peer) } : (struct seal){ 0 };
}

struct seal authentic_again(struct sessions *s, __be32 host, const uint8_t *data, size_t len)
{
	const uint8_t *key = key_of(s, lease_client_by_address(s->leases, host), host);
	struct seal seal = { 0 };

	if (key && auth_open(key, data, len, &seal.stamp))
		seal.key = key;
	return seal;
}

void authentic_register(struct sessions *s, const struct client *client)
{
	const struct stranger *stranger = client->rule->key ? stranger_of(s, client->origin.source) : NULL;
	struct session *session = client->session;

	if (stranger)
		session->auth = stranger->auth;
}

void authentic_leave(struct sessions *s, const struct client *client)
{
	struct stranger *stranger = client->rule->key ? stranger_of(s, client->origin.source) : NULL;
	const struct session *session = client->session;

	if (stranger)
		stranger->auth = session->auth;
}
