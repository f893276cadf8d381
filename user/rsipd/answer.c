// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a request to its answer: it is checked for what every request needs
 * (E-02: 301, wrong transport, 305, 306) and given to the handler of its type,
 * which does the work and fills the answer or returns the error to send.
 */
#include <string.h>

#include "rsipd/exchange.h"
#include "rsipd/query.h"

static uint16_t query_request(struct exchange *x)
{
	struct sessions *s = x->s;
	struct msg *answer = &x->answer;
	size_t left = send_room(x->from->tcp, &x->seal);
	const struct query_names none = { 0 }, *names = x->resolved ? &x->resolved->names : &none;
	struct msg_addr name;

	/* One name after the other (QRY-12); one that nobody looks up is as unknown as other remotes. */
	if (query_name(x->m, names->done, &name) && lookup_begin(x, &name) == REQUEST_WAITS)
		return REQUEST_WAITS;
	answer->has = MSG_HAS(RSIP_PARAM_CLIENT_ID);
	answer->client_id = x->m->client_id;
	/* before the tuples: header, Client ID, Message Counter */
	left -= RSIP_HEADER_LEN + 2 * (RSIP_PARAM_HEADER_LEN + 4);
	answer->tuples = s->values;
	answer->tuples_len = query_answer(s->config, x->m, names, s->values, left);
	if (answer->tuples_len)
		answer->has |= MSG_HAS_TUPLES;
	return 0;
}

static const struct handler {
	uint8_t answer;
	bool any_transport;		/* T-06 */
	bool names_bind;
	bool changes;			/* what is written down */
	uint16_t (*run)(struct exchange *x);
} handlers[] = {
	[RSIP_REGISTER_REQUEST]		= { RSIP_REGISTER_RESPONSE, true, false, true, register_request },
	[RSIP_DEREGISTER_REQUEST]	= { RSIP_DEREGISTER_RESPONSE, true, false, true, deregister_request },
	[RSIP_ASSIGN_REQUEST_RSA]	= { RSIP_ASSIGN_RESPONSE_RSA, false, false, true, assign_request },
	[RSIP_ASSIGN_REQUEST_RSAP]	= { RSIP_ASSIGN_RESPONSE_RSAP, false, false, true, assign_request },
	[RSIP_EXTEND_REQUEST]		= { RSIP_EXTEND_RESPONSE, false, true, true, bind_extend_request },
	[RSIP_FREE_REQUEST]		= { RSIP_FREE_RESPONSE, false, true, true, bind_free_request },
	[RSIP_QUERY_REQUEST]		= { RSIP_QUERY_RESPONSE, false, false, false, query_request },
	[RSIP_LISTEN_REQUEST]		= { RSIP_LISTEN_RESPONSE, false, false, true, assign_request },
	[RSIP_ASSIGN_REQUEST_RSIPSEC]	= { RSIP_ASSIGN_RESPONSE_RSIPSEC, false, false, true, assign_request },
};

bool answer_is_recorded(uint8_t request)
{
	return handlers[request].changes;
}

/* What every request but REGISTER_REQUEST must fulfil: 301, 102 or 101, 305, 306. */
static uint16_t check_state(struct exchange *x, const struct handler *handler)
{
	const struct client *client = x->client;

	if (x->m->type == RSIP_REGISTER_REQUEST)
		return 0;
	if (!client)
		return RSIP_E_REGISTER_FIRST;
	if (x->from->tcp != client->origin.tcp && !handler->any_transport)
		return client->origin.tcp ? RSIP_E_USE_TCP : RSIP_E_UNKNOWN_ERROR;
	if (x->m->client_id != client->client_id)
		return RSIP_E_BAD_CLIENT_ID;
	if (handler->names_bind) {
		x->bind = lease_bind_by_id(x->s->leases, client, x->m->bind_id);
		if (!x->bind)
			return RSIP_E_BAD_BIND_ID;
	}
	return 0;
}

/* Which IDs go with an error: table 1.4 of the catalogue (A-35, W-30). */
static void fill_error(struct exchange *x, uint16_t error)
{
	const struct msg *m = x->m;
	struct msg *answer = &x->answer;

	*answer = (struct msg){ .type = RSIP_ERROR_RESPONSE, .has = MSG_HAS(RSIP_PARAM_ERROR), .error = error };
	if (error == RSIP_E_USE_TCP)
		return;
	if (m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID)) {
		answer->has |= MSG_HAS(RSIP_PARAM_CLIENT_ID);
		answer->client_id = m->client_id;
	}
	if (error == RSIP_E_ALREADY_REGISTERED) {
		answer->has |= MSG_HAS(RSIP_PARAM_CLIENT_ID);
		answer->client_id = x->client->client_id;
	}
	if (error == RSIP_E_BAD_BIND_ID) {
		answer->has |= MSG_HAS(RSIP_PARAM_BIND_ID);
		answer->bind_id = m->bind_id;
	}
}

static void log_refusal(const struct exchange *x, uint16_t error)
{
	char host[ADDR_TEXT_LEN];

	session_happened(x->s, &(struct session_event){
		.kind = SESSION_REFUSED, .host = x->from->source, .client = x->client, .message = x->m->type,
		.error = error, .now = x->now,
	});
	if (log_allowed(&x->s->refusals, SESSION_LOG_BURST, x->now))
		log_info("host %s: %s refused: %u %s", addr_text(x->from->source, host),
			 msg_type_name(x->m->type), error, msg_error_name(error));
}

static size_t encode_answer(struct exchange *x)
{
	if (x->m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER)) {
		x->answer.has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
		x->answer.counter = x->m->counter;
	}
	return send_encode(x->s, &x->answer, x->from->tcp, &x->seal);
}

size_t answer_error(struct exchange *x, uint16_t error)
{
	session_count_error(x->s, error);
	fill_error(x, error);
	return encode_answer(x);
}

size_t answer_refusal(struct exchange *x, uint16_t error)
{
	log_refusal(x, error);
	return answer_error(x, error);
}

size_t answer_request(struct exchange *x, uint16_t *error)
{
	const struct handler *handler = &handlers[x->m->type];
	size_t len = 0;

	x->answer.type = handler->answer;
	*error = check_state(x, handler);
	if (!*error && handler->changes && !journal_works(x->s->journal))
		*error = RSIP_E_INTERNAL_SERVER_ERROR;
	if (!*error) {
		/* Never the transport: DE-REGISTER_REQUEST may come over another one. */
		if (x->client && x->from->tcp == x->client->origin.tcp && x->m->type != RSIP_REGISTER_REQUEST)
			x->client->origin = *x->from;
		*error = handler->run(x);
	}
	if (*error == REQUEST_WAITS)
		return 0;
	if (!*error) {
		len = encode_answer(x);
		if (len)
			return len;
		/* No message is long enough for this answer: the host must not hold what it never hears of. */
		if (x->bind)
			bind_end(x->s, x->bind, NULL, x->now);
		x->bind = NULL;
		*error = RSIP_E_INTERNAL_SERVER_ERROR;
	}
	return answer_refusal(x, *error);
}

/* --- an answer that must not leave --------------------------------------- */

/* Ends what an answer grants. false: it does not tell of anything that is written down. */
static bool take_back(struct sessions *s, struct client *client, const struct msg *m, uint64_t now)
{
	struct bind *bind;

	if (m->type == RSIP_REGISTER_RESPONSE && client)
		register_end(s, client, "the registration could not be recorded", now);
	if (m->type == RSIP_ASSIGN_RESPONSE_RSA || m->type == RSIP_ASSIGN_RESPONSE_RSAP ||
	    m->type == RSIP_ASSIGN_RESPONSE_RSIPSEC || m->type == RSIP_LISTEN_RESPONSE) {
		bind = client ? lease_bind_by_id(s->leases, client, m->bind_id) : NULL;
		if (bind)
			bind_end(s, bind, "it could not be recorded", now);
	}
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		/* Counter 0: not an answer, but told unasked. */
		if (handlers[i].changes && handlers[i].answer == m->type)
			return !(m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER)) || m->counter;
	}
	return false;
}

void session_refuse(struct sessions *s, const struct origin *to, const uint8_t *data, size_t len, bool close,
		    uint64_t now)
{
	struct client *client = lease_client_by_address(s->leases, to->source);
	struct msg m, answer = { .type = RSIP_ERROR_RESPONSE, .error = RSIP_E_INTERNAL_SERVER_ERROR };
	struct msg_fault fault;
	struct replay *last;
	struct seal seal;
	bool is_last;

	/* An error or a query's answer that stood in line, or what hosts are told unasked. */
	if (!msg_decode(data, len, MSG_AT_HOST, 0, &m, &fault) || !take_back(s, client, &m, now)) {
		s->send(to, data, len, close, s->send_arg);
		return;
	}
	seal = authentic_again(s, to->source, data, len);
	answer.has = m.has & (MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER));
	answer.has |= MSG_HAS(RSIP_PARAM_ERROR);
	answer.client_id = m.client_id;
	answer.counter = m.counter;
	session_count_error(s, answer.error);
	client = lease_client_by_address(s->leases, to->source);
	last = client ? &((struct session *)client->session)->last : NULL;
	/* Stored without its seal, but for the length in the header. */
	len -= seal.key ? AUTH_LEN : 0;
	is_last = last && last->answer_len == len &&
		  !memcmp(last->answer + RSIP_HEADER_LEN, data + RSIP_HEADER_LEN, len - RSIP_HEADER_LEN);
	len = send_encode(s, &answer, to->tcp, &seal);
	if (is_last)
		replay_answer(last, s->out, len);
	send_message(s, to, s->out, len, close, &seal);
}
