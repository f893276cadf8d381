// SPDX-License-Identifier: GPL-2.0-only
/*
 * See session.h. A message is read, judged against the last one of its host,
 * checked for what every request needs (E-02: 301, wrong transport, 305, 306)
 * and given to the handler of its type, which does the work and fills the
 * answer or returns the error to send.
 */
#include "rsipd/session.h"

#include <stdlib.h>
#include <string.h>

#include "rsipd/exchange.h"
#include "rsipd/query.h"

#define UDP_PAYLOAD_MAX		65507
/* Errors over UDP to senders that are not registered: an address may be a false one (SEC-05). */
#define ERRORS_RATE		50	/* a second, to one */
#define ERRORS_BURST		200
#define ALL_ERRORS_RATE		1000	/* and to all of them */
#define ALL_ERRORS_BURST	2000

/* Requests of one sender that is not registered; those of a host: max-requests of its rule. */
#define REQUESTS_RATE		1000
#define REQUESTS_BURST		2000

#define QUERY_STORED_MAX	1024	/* a longer answer is not kept, but made again */

/* --- sending --------------------------------------------------------------------- */

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
static void transmit(struct sessions *s, const struct origin *to, const uint8_t *data, size_t len, bool close,
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

/* To a sender that asked for it. */
static void reply(struct exchange *x, const uint8_t *data, size_t len, bool close)
{
	if (may_send(x->s, x->from, data[1], x->now))
		transmit(x->s, x->from, data, len, close, &x->seal);
}

/* How long a message may be before it is sealed. */
static size_t room(bool tcp, const struct seal *seal)
{
	return (tcp ? RSIP_MESSAGE_MAX : UDP_PAYLOAD_MAX) - (seal->key ? AUTH_LEN : 0);
}

static size_t encode(struct sessions *s, const struct msg *m, bool tcp, const struct seal *seal)
{
	return msg_encode(m, s->out, room(tcp, seal));
}

static void count_error(struct sessions *s, uint16_t error)
{
	if (error < SESSION_ERROR_MAX)
		s->counters.errors[error]++;
}

static const struct session *session_of(const struct client *client)
{
	return client->session;
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
	len = encode(s, m, to->tcp, &seal);
	if (len)
		transmit(s, to, s->out, len, false, &seal);
}

static bool is_counted(const struct client *client)
{
	return !client->origin.tcp || session_of(client)->counted;
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

	count_error(s, error);
	tell(s, &client->origin, is_counted(client), &m);
}

uint32_t session_lease(const struct exchange *x)
{
	uint32_t seconds = policy_lease(x->s->config, x->m);
	uint64_t left = (x->client->expires - x->now) / 1000;

	return x->s->draining && left < seconds ? (uint32_t)left : seconds;
}

void session_happened(const struct sessions *s, const struct session_event *event)
{
	if (s->watch)
		s->watch(event, s->watch_arg);
}

/* --- extend, free, query ------------------------------------------------------------ */

static void answer_ids(struct exchange *x)
{
	x->answer.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID);
	x->answer.client_id = x->m->client_id;
	x->answer.bind_id = x->m->bind_id;
}

static uint16_t do_extend(struct exchange *x)
{
	bind_extend(x->s, x->bind, session_lease(x), x->now);
	answer_ids(x);
	x->answer.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
	x->answer.lease = lease_seconds_left(x->bind->expires, x->now);
	return 0;
}

static uint16_t do_free(struct exchange *x)
{
	bind_end(x->s, x->bind, "freed by the host", x->now);
	x->bind = NULL;
	answer_ids(x);
	return 0;
}

static uint16_t do_query(struct exchange *x)
{
	struct sessions *s = x->s;
	struct msg *answer = &x->answer;
	size_t left = room(x->from->tcp, &x->seal);
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

/* --- from message to answer ----------------------------------------------------------- */

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
	[RSIP_EXTEND_REQUEST]		= { RSIP_EXTEND_RESPONSE, false, true, true, do_extend },
	[RSIP_FREE_REQUEST]		= { RSIP_FREE_RESPONSE, false, true, true, do_free },
	[RSIP_QUERY_REQUEST]		= { RSIP_QUERY_RESPONSE, false, false, false, do_query },
	[RSIP_LISTEN_REQUEST]		= { RSIP_LISTEN_RESPONSE, false, false, true, assign_request },
	[RSIP_ASSIGN_REQUEST_RSIPSEC]	= { RSIP_ASSIGN_RESPONSE_RSIPSEC, false, false, true, assign_request },
};

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
static void answer_error(struct exchange *x, uint16_t error)
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
	return encode(x->s, &x->answer, x->from->tcp, &x->seal);
}

/* The encoded error is in s->out; returns its length. */
static size_t encode_error(struct exchange *x, uint16_t error)
{
	count_error(x->s, error);
	answer_error(x, error);
	return encode_answer(x);
}

static size_t refuse(struct exchange *x, uint16_t error)
{
	log_refusal(x, error);
	return encode_error(x, error);
}

/* Checks and executes; the encoded answer is in s->out. Returns its length and *error. */
static size_t execute(struct exchange *x, uint16_t *error)
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
		*error = RSIP_E_INTERNAL_SERVER_ERROR;
	}
	return refuse(x, *error);
}

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
	reply(x, last->answer, last->answer_len, false);
	return false;
}

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
	count_error(s, fault->error);
	if (!from->tcp || fault->has_counter) {
		m.has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
		m.counter = fault->counter;
	}
	if (fault->has_client && fault->error > 200 && fault->error != RSIP_E_ILLEGAL_MESSAGE) {
		m.has |= MSG_HAS(RSIP_PARAM_CLIENT_ID);
		m.client_id = fault->client_id;
	}
	len = encode(s, &m, from->tcp, &x->seal);
	if (len)
		reply(x, s->out, len, fault->close);
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

/* --- time ------------------------------------------------------------------------------ */

static void bind_expired(struct bind *bind, uint64_t now, void *arg)
{
	struct sessions *s = arg;
	struct client *client = bind->client;
	uint32_t bind_id = bind->bind_id;

	bind_end(s, bind, "the lease ran out", now);
	session_tell(s, client, RSIP_FREE_RESPONSE, bind_id, now);
}

static void client_expired(struct client *client, uint64_t now, void *arg)
{
	struct sessions *s = arg;

	session_tell(s, client, RSIP_DEREGISTER_RESPONSE, 0, now);
	register_end(s, client, "the registration ran out", now);
}

/* What is over is gone, however late the timer, and however much waits for its turn (EXT-09). */
static struct client *client_at(struct sessions *s, __be32 source, uint64_t now)
{
	const struct lease_events events = { bind_expired, client_expired, s };
	struct client *client = lease_client_by_address(s->leases, source);

	if (client)
		lease_expire_client(client, now, &events);
	return lease_client_by_address(s->leases, source);
}

/* What ended at once is told again at once: as much of it in one go. */
static void say_again(struct sessions *s, uint64_t now)
{
	struct repeat what;

	for (unsigned int i = 0; i < LEASE_EXPIRE_MAX && repeat_due(s->repeats, now, &what); i++)
		say(s, &what, true);
}

uint64_t session_tick(struct sessions *s, uint64_t now)
{
	const struct lease_events events = { bind_expired, client_expired, s };
	uint64_t next;
	bool more;

	more = pool_tick(s->pools, now);
	say_again(s, now);
	next = wheel_sooner(lookups_expire(s, now), repeat_next(s->repeats));
	next = wheel_sooner(next, lease_expire(s->leases, now, &events));
	return more || (next && next <= now) ? now + 1 : next;
}

/* --- a message ---------------------------------------------------------------------------- */

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
	size_t answer = execute(x, &error);

	if (error == REQUEST_WAITS)
		return;
	remember(x, x->request, error, answer);
	/* With its answer, so that a duplicate after a restart is not executed again. */
	if (!error && handlers[x->m->type].changes && x->client)
		keep_client(x->s, x->client);
	if (answer)
		reply(x, x->s->out, answer, false);
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
	x.client = client_at(s, from->source, now);
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
		answer = x.seal.key ? encode_error(&x, error) : refuse(&x, error);
		reply(&x, s->out, answer, false);
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

/* --- an answer that must not leave ------------------------------------------------------- */

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
	count_error(s, answer.error);
	client = lease_client_by_address(s->leases, to->source);
	last = client ? &((struct session *)client->session)->last : NULL;
	/* Stored without its seal, but for the length in the header. */
	len -= seal.key ? AUTH_LEN : 0;
	is_last = last && last->answer_len == len &&
		  !memcmp(last->answer + RSIP_HEADER_LEN, data + RSIP_HEADER_LEN, len - RSIP_HEADER_LEN);
	len = encode(s, &answer, to->tcp, &seal);
	if (is_last)
		replay_answer(last, s->out, len);
	transmit(s, to, s->out, len, close, &seal);
}

/* --- the operator -------------------------------------------------------------------------- */

static bool stop_client(struct client *client, void *arg)
{
	struct ending *ending = arg;

	session_tell(ending->s, client, RSIP_DEREGISTER_RESPONSE, 0, ending->now);
	register_end(ending->s, client, "the gateway stops", ending->now);
	return true;
}

void sessions_stop(struct sessions *s, uint64_t now)
{
	struct ending ending = { s, now };

	lease_each_client(s->leases, stop_client, &ending);
}

static bool tell_fault(struct client *client, void *arg)
{
	session_tell_error(arg, client, RSIP_E_INTERNAL_SERVER_ERROR, 0);
	return true;
}

void sessions_fault(struct sessions *s)
{
	lease_each_client(s->leases, tell_fault, s);
}

bool sessions_record(const struct sessions *s)
{
	return journal_works(s->journal);
}

void sessions_drain(struct sessions *s, bool on)
{
	s->draining = on;
}

bool sessions_draining(const struct sessions *s)
{
	return s->draining;
}

void sessions_watch(struct sessions *s, session_watch *watch, void *arg)
{
	s->watch = watch;
	s->watch_arg = arg;
}

bool session_evict(struct sessions *s, uint32_t client_id, uint64_t now)
{
	struct client *client = lease_client_by_id(s->leases, client_id);

	if (!client)
		return false;
	session_tell(s, client, RSIP_DEREGISTER_RESPONSE, 0, now);
	register_end(s, client, "taken off by the operator", now);
	return true;
}

bool session_free_bind(struct sessions *s, uint32_t client_id, uint32_t bind_id, uint64_t now)
{
	struct client *client = lease_client_by_id(s->leases, client_id);
	struct bind *bind = client ? lease_bind_by_id(s->leases, client, bind_id) : NULL;

	if (!bind)
		return false;
	bind_end(s, bind, "taken back by the operator", now);
	session_tell(s, client, RSIP_FREE_RESPONSE, bind_id, now);
	return true;
}

/* --- life ---------------------------------------------------------------------------------- */

struct sessions *sessions_new(const struct config *config, struct datapath *dp, struct journal *journal,
			      session_send send, void *arg)
{
	struct sessions *s = calloc(1, sizeof(*s));
	uint32_t most = config->datapath.max_bindings;

	if (!s)
		return NULL;
	s->config = config;
	s->dp = dp;
	s->journal = journal;
	s->send = send;
	s->send_arg = arg;
	s->changes_burst = SESSION_LOG_BURST;
	s->messages_off = policy_messages_off(config);
	s->departed = departed_new();
	s->repeats = repeats_new();
	s->pools = pools_new(config);
	if (s->pools)
		s->leases = leases_new(s->pools, most, most);
	if (!lookups_init(&s->lookups) && s->departed && s->repeats && s->leases)
		return s;
	sessions_free(s);
	return NULL;
}

static bool free_session(struct client *client, void *arg)
{
	struct session *session = client->session;

	replay_clear(&session->last);
	free(session->lookup);
	free(session);
	return true;
}

void sessions_free(struct sessions *s)
{
	if (!s)
		return;
	if (s->leases)
		lease_each_client(s->leases, free_session, NULL);
	leases_free(s->leases);
	pools_free(s->pools);
	departed_free(s->departed);
	repeats_free(s->repeats);
	lookups_destroy(&s->lookups);
	free(s->strangers);
	free(s);
}

const struct session_counters *session_counters(const struct sessions *s)
{
	return &s->counters;
}

struct leases *session_leases(struct sessions *s)
{
	return s->leases;
}

struct pools *session_pools(struct sessions *s)
{
	return s->pools;
}
