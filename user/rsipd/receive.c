// SPDX-License-Identifier: GPL-2.0-only
/*
 * A message comes in: whether its sender may send and so often, what it says, and
 * whether it is new or a duplicate of the last one of its host. What is new is
 * carried out (answer.c) and remembered.
 */
#include "rsipd/exchange.h"

/* Requests of one sender that is not registered; those of a host: max-requests of its rule. */
#define REQUESTS_RATE		1000
#define REQUESTS_BURST		2000

#define QUERY_STORED_MAX	1024	/* a longer answer is not kept, but made again */

/* --- a duplicate or not -------------------------------------------------- */

static void remember(struct exchange *x, const struct replay_request *request, uint16_t error, size_t len)
{
	struct session *session;
	struct replay last = { 0 };
	bool keep = x->m->type != RSIP_QUERY_REQUEST || len <= QUERY_STORED_MAX;

	if (x->client) {
		/* Over the wrong transport nothing changes. */
		if (error == RSIP_E_USE_TCP || error == RSIP_E_UNKNOWN_ERROR)
			return;
		session = x->client->session;
		session->counted = request->has_counter;
		session->resync = error == RSIP_E_ALREADY_REGISTERED;
		session->last_bind = x->bind ? x->bind->bind_id : 0;
		replay_store(&session->last, request, x->s->out, keep ? len : 0);
	} else if (x->m->type == RSIP_DEREGISTER_REQUEST && !error) {
		replay_store(&last, request, x->s->out, len);
		departed_add(x->s->departed, x->from->source, &last, x->now);
	}
}

static const struct session *session_of(const struct client *client)
{
	return client->session;
}

/* The stored answer grants or extends what has ended since: whoever asks so much later has
 * given up on the first request and means a new one. */
static bool is_outlived(const struct sessions *s, const struct client *client, const struct replay_request *request)
{
	const struct session *session = session_of(client);

	return session->last_bind && request->now - session->last.when > REPLAY_REGISTER_MS &&
	       !lease_bind_by_id(s->leases, client, session->last_bind);
}

/* Whether a request is to be executed; if not, the stored answer has been sent, or none is due. */
static bool is_new(struct exchange *x, const struct replay_request *request)
{
	struct sessions *s = x->s;
	const struct client *client = x->client;
	const struct replay *last = client ? &session_of(client)->last : NULL;
	enum replay_verdict verdict = last ? replay_judge(last, request) : REPLAY_NEW;

	if (verdict == REPLAY_OLD && !x->again && request->type == RSIP_DEREGISTER_REQUEST && session_of(client)->resync)
		return true;
	if (verdict == REPLAY_AGAIN && !x->again && is_outlived(s, client, request))
		return true;
	if (verdict != REPLAY_AGAIN) {
		const struct replay *before = departed_find(s->departed, request);

		if (before) {
			last = before;
			verdict = REPLAY_AGAIN;
		}
	}
	/* An authenticator that was used is good for a stored answer only. */
	if (verdict == REPLAY_NEW && x->again && request->type != RSIP_QUERY_REQUEST)
		verdict = REPLAY_OLD;
	if (verdict == REPLAY_NEW)
		return true;
	/* An answer too long to be kept is made again: a query changes nothing. One that waits for a name has none yet. */
	if (verdict == REPLAY_AGAIN && !last->answer && request->type == RSIP_QUERY_REQUEST &&
	    !session_waits(s, x->from))
		return true;
	if (verdict == REPLAY_OLD || !last->answer) {
		s->counters.ignored++;
		return false;
	}
	s->counters.duplicates++;
	send_reply(x, last->answer, last->answer_len, false);
	return false;
}

/* --- a message ----------------------------------------------------------- */

static void answer_fault(struct exchange *x, const struct msg_fault *fault)
{
	struct sessions *s = x->s;
	const struct origin *from = x->from;
	struct msg m = { .type = RSIP_ERROR_RESPONSE, .has = MSG_HAS(RSIP_PARAM_ERROR), .error = fault->error };
	char host[ADDR_TEXT_LEN];
	size_t len;

	if (log_allowed(&s->faults, SESSION_LOG_BURST, x->now))
		log_info("host %s: %s: %s", addr_text(from->source, host),
			 fault->error ? msg_error_name(fault->error) : "ignored", fault->text);
	if (!fault->error) {
		s->counters.ignored++;
		return;
	}
	session_count_error(s, fault->error);
	if (!from->tcp || fault->has_counter) {
		m.has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
		m.counter = fault->counter;
	}
	if (fault->has_client) {
		m.has |= MSG_HAS(RSIP_PARAM_CLIENT_ID);
		m.client_id = fault->client_id;
	}
	len = send_encode(s, &m, from->tcp, &x->seal);
	if (len)
		send_reply(x, s->out, len, fault->close);
}

static unsigned int decode_flags(const struct sessions *s, bool tcp)
{
	unsigned int flags = s->messages_off;

	if (!tcp)
		flags |= MSG_UDP;
	if (!tcp && !s->config->server.udp)
		flags |= MSG_REFUSE_UDP;
	return flags;
}

static bool within_rate(struct sessions *s, struct client *client, const struct origin *from, uint64_t now)
{
	struct session *session = client ? client->session : NULL;
	uint32_t rate = client ? client->rule->max_requests : 0;

	if (!client)
		return rate_take(rate_of(&s->requests, from->source), REQUESTS_RATE, REQUESTS_BURST, now);
	return !rate || rate_take(&session->requests, rate, rate, now);
}

/* The same request with another authenticator is the same request. */
static struct replay_request request_of(const struct exchange *x)
{
	size_t len = x->data_len - (x->seal.key ? AUTH_LEN : 0);

	return (struct replay_request){
		.from = x->from,
		.type = x->m->type,
		.has_counter = x->m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER),
		.counter = x->m->counter,
		.len = (uint32_t)len,
		.hash = replay_hash(x->data, len),
		.now = x->now,
	};
}

static void carry_out(struct exchange *x)
{
	uint16_t error;
	size_t answer = answer_request(x, &error);

	if (error == REQUEST_WAITS)
		return;
	remember(x, x->request, error, answer);
	/* With its answer, so that a duplicate after a restart is not executed again. */
	if (!error && answer_is_recorded(x->m->type) && x->client)
		keep_client(x->s, x->client);
	if (answer)
		send_reply(x, x->s->out, answer, false);
}

void session_input(struct sessions *s, const struct origin *from, const uint8_t *data, size_t len, uint64_t now)
{
	struct msg m;
	struct msg_fault fault;
	struct replay_request request;
	struct exchange x = {
		.s = s, .from = from, .m = &m, .request = &request, .data = data, .data_len = len, .now = now,
	};
	uint16_t error;
	size_t answer;
	bool authentic;

	if (!policy_admits(s->config, from)) {
		s->counters.ignored++;
		return;
	}
	x.client = session_client(s, from->source, now);
	if (!within_rate(s, x.client, from, now)) {
		s->counters.limited++;
		return;
	}
	if (len >= RSIP_HEADER_LEN)
		s->counters.in[data[1]]++;
	if (x.client && len >= RSIP_HEADER_LEN && !refit_client(s, x.client, now))
		x.client = NULL;
	authentic = authentic_request(&x, data, len, &error);
	if (!authentic && !error)
		return;
	if (!msg_decode(data, len, MSG_AT_GATEWAY, decode_flags(s, from->tcp), &m, &fault)) {
		if (authentic || x.seal.key)
			answer_fault(&x, &fault);
		return;
	}
	if (!authentic) {
		/* With a key of ours it is no refusal, but the offer of a nonce. */
		answer = x.seal.key ? answer_error(&x, error) : answer_refusal(&x, error);
		send_reply(&x, s->out, answer, false);
		return;
	}
	repeat_stop(s->repeats, from->source);
	request = request_of(&x);
	if (!is_new(&x, &request))
		return;
	if (x.client)
		lookup_drop(s, x.client);
	carry_out(&x);
}

void session_go_on(struct sessions *s, const struct origin *from, const uint8_t *data, size_t len,
		   const struct resolved *resolved, uint64_t now)
{
	struct msg m;
	struct msg_fault fault;
	struct replay_request request;
	struct exchange x = {
		.s = s, .from = from, .m = &m, .request = &request, .data = data, .data_len = len, .resolved = resolved,
		.seal = authentic_again(s, from->source, data, len), .now = now,
	};

	/* It was read before, but the configuration may be another by now. */
	if (!msg_decode(data, len, MSG_AT_GATEWAY, decode_flags(s, from->tcp), &m, &fault)) {
		answer_fault(&x, &fault);
		return;
	}
	request = request_of(&x);
	x.client = lease_client_by_address(s->leases, from->source);
	if (x.client && !refit_client(s, x.client, now))
		x.client = NULL;
	carry_out(&x);
}
