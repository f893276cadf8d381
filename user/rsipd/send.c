// SPDX-License-Identifier: GPL-2.0-only
/*
 * What leaves: encoded as long as its transport allows, sealed for hosts with a key,
 * counted. And what hosts are told of the gateway's own accord.
 */
#include <string.h>

#include "rsipd/exchange.h"

#define UDP_PAYLOAD_MAX		65507
/* Errors over UDP to senders that are not registered: an address may be a false one (SEC-05). */
#define ERRORS_RATE		50	/* a second, to one */
#define ERRORS_BURST		200
#define ALL_ERRORS_RATE		1000	/* and to all of them */
#define ALL_ERRORS_BURST	2000

/* --- messages ------------------------------------------------------------ */

static bool may_send(struct sessions *s, const struct origin *to, uint8_t type, uint64_t now)
{
	if (type != RSIP_ERROR_RESPONSE || to->tcp || lease_client_by_address(s->leases, to->source))
		return true;
	if (rate_take(rate_of(&s->errors, to->source), ERRORS_RATE, ERRORS_BURST, now) &&
	    rate_take(&s->all_errors, ALL_ERRORS_RATE, ALL_ERRORS_BURST, now))
		return true;
	s->counters.unanswered++;
	return false;
}

/* What is stored and compared is plain; here, and nowhere else, it is sealed. */
void send_message(struct sessions *s, const struct origin *to, const uint8_t *data, size_t len, bool close,
		  const struct seal *seal)
{
	if (seal->key) {
		if (data != s->out)
			memcpy(s->out, data, len);
		len = auth_seal(seal->key, seal->stamp, s->out, len, sizeof(s->out));
		data = s->out;
	}
	s->counters.out[data[1]]++;
	s->send(to, data, len, close, s->send_arg);
}

void send_reply(struct exchange *x, const uint8_t *data, size_t len, bool close)
{
	if (may_send(x->s, x->from, data[1], x->now))
		send_message(x->s, x->from, data, len, close, &x->seal);
}

size_t send_room(bool tcp, const struct seal *seal)
{
	return (tcp ? RSIP_MESSAGE_MAX : UDP_PAYLOAD_MAX) - (seal->key ? AUTH_LEN : 0);
}

size_t send_encode(struct sessions *s, const struct msg *m, bool tcp, const struct seal *seal)
{
	return msg_encode(m, s->out, send_room(tcp, seal));
}

/* --- told unasked -------------------------------------------------------- */

static bool is_counted(const struct client *client)
{
	const struct session *session = client->session;

	return !client->origin.tcp || session->counted;
}

/* An asynchronous message: counter 0 (T-23). */
static void tell(struct sessions *s, const struct origin *to, bool counted, struct msg *m)
{
	struct seal seal = authentic_tell(s, to->source);
	size_t len;

	m->has |= MSG_HAS(RSIP_PARAM_CLIENT_ID);
	if (m->bind_id)
		m->has |= MSG_HAS(RSIP_PARAM_BIND_ID);
	if (counted)
		m->has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	len = send_encode(s, m, to->tcp, &seal);
	if (len)
		send_message(s, to, s->out, len, false, &seal);
}

static void say(struct sessions *s, const struct repeat *what, bool counted)
{
	struct msg m = { .type = what->type, .client_id = what->client_id, .bind_id = what->bind_id };

	tell(s, &what->to, counted, &m);
}

void session_tell(struct sessions *s, const struct client *client, uint8_t type, uint32_t bind_id, uint64_t now)
{
	const struct repeat what = {
		.to = client->origin, .type = type, .client_id = client->client_id, .bind_id = bind_id,
	};

	say(s, &what, is_counted(client));
	if (!client->origin.tcp)
		repeat_add(s->repeats, &what, now);
}

void session_tell_error(struct sessions *s, const struct client *client, uint16_t error, uint32_t bind_id)
{
	struct msg m = {
		.type = RSIP_ERROR_RESPONSE, .has = MSG_HAS(RSIP_PARAM_ERROR), .error = error,
		.client_id = client->client_id, .bind_id = bind_id,
	};

	session_count_error(s, error);
	tell(s, &client->origin, is_counted(client), &m);
}

/* What ended at once is told again at once: as much of it in one go. */
void send_again(struct sessions *s, uint64_t now)
{
	struct repeat what;

	for (unsigned int i = 0; i < LEASE_EXPIRE_MAX && repeat_due(s->repeats, now, &what); i++)
		say(s, &what, true);
}
