/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's state machine in simulated time, against a gateway that is this
 * file: for tests/unit/test_client*.c. What the client sends and says is kept
 * as a trace, one line each, and compared as a whole:
 *
 *	13 > again			sent at 13 ms, the same bytes as before
 *	13 granted bind=7 until=600000
 *
 * Its inside is included for its counter, which takes 2^32 requests to wrap.
 */
#pragma once

#include "rsip/client_state.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "vectors.h"

#define BASE	1000000		/* of the clock; what is shown counts from here */
#define NOW	(BASE + now)
#define CLIENT	9
#define BIND	7
#define LEASE	600
#define REG	900
#define ARRAY(x) (sizeof(x) / sizeof((x)[0]))

static struct client *c;
static uint64_t now;
static char trace[1 << 18];
static size_t trace_len, sent_len, sent_count;
static uint8_t sent[RSIP_MESSAGE_MAX];
static bool refuse_reentry, show_gone;

__attribute__((format(printf, 1, 2)))
static inline void note(const char *format, ...)
{
	va_list args;

	trace_len += snprintf(trace + trace_len, sizeof(trace) - trace_len, "%llu ", (unsigned long long)now);
	va_start(args, format);
	trace_len += vsnprintf(trace + trace_len, sizeof(trace) - trace_len, format, args);
	va_end(args);
	cr_assert(lt(sz, trace_len, sizeof(trace)));
	trace[trace_len++] = '\n';
	trace[trace_len] = '\0';
}

/* All that happened since the last time. */
#define expect(...)								\
	do {									\
		cr_assert(eq(str, trace, (char *)"" __VA_ARGS__));		\
		trace[trace_len = 0] = '\0';					\
	} while (0)

static inline void forget_trace(void)
{
	trace[trace_len = 0] = '\0';
}

static inline void on_send(const uint8_t *data, size_t len, void *arg)
{
	struct msg_fault fault;
	char text[4096];
	struct msg m;

	/* Only what the gateway takes as canonical, always with a counter (T-11, A-31, W-31). */
	cr_assert(msg_decode(data, len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault), "%s", fault.text);
	sent_count++;
	if (len == sent_len && !memcmp(data, sent, len)) {
		note("> again");
		return;
	}
	memcpy(sent, data, len);
	sent_len = len;
	note("> %s", msg_text(&m, text, sizeof(text)));
}

static inline void on_use_tcp(void *arg)
{
	note("use tcp");
}

static inline unsigned long long shown(uint64_t at)
{
	return at - BASE;
}

static inline void on_granted(const struct client_lease *lease, void *arg)
{
	note("granted bind=%u until=%llu", lease->bind_id, shown(lease->expires));
	if (refuse_reentry)
		client_stop(c, NOW);
}

static inline void on_extended(const struct client_lease *lease, void *arg)
{
	note("extended bind=%u until=%llu", lease->bind_id, shown(lease->expires));
}

static inline void on_ended(const struct client_lease *lease, enum client_end why, void *arg)
{
	static const char *const names[] = { "released", "taken back", "expired", "lost" };

	note("ended bind=%u %s", lease->bind_id, names[why]);
}

static inline void on_gone(unsigned int id, void *arg)
{
	if (show_gone)
		note("gone %u", id);
}

static inline void on_failed(const struct client_failure *failure, void *arg)
{
	if (failure->again_ms)
		note("failed %s %u again=%llu", msg_type_name(failure->type), failure->error, shown(failure->again_ms));
	else
		note("failed %s %u", msg_type_name(failure->type), failure->error);
}

static inline void on_state(enum client_state state, void *arg)
{
	static const char *const names[] = { "unregistered", "registered", "assigned" };

	note("%s", names[state]);
}

static inline void on_answer(const struct msg *response, void *arg)
{
	char text[512];

	note("answer %s", response ? msg_text(response, text, sizeof(text)) : "none");
}

static inline void on_stopped(void *arg)
{
	note("stopped");
}

static const struct client_ops ops = {
	.send = on_send, .use_tcp = on_use_tcp, .granted = on_granted, .extended = on_extended, .ended = on_ended,
	.gone = on_gone, .failed = on_failed, .state = on_state, .answer = on_answer, .stopped = on_stopped,
};

static inline void make(const struct client_timing *timing)
{
	now = 0;
	forget_trace();
	sent_len = sent_count = 0;
	refuse_reentry = show_gone = false;
	c = client_new(&ops, timing, NULL);
	cr_assert(ne(ptr, c, NULL));
}

static inline void setup(void)
{
	make(NULL);
}

static inline void teardown(void)
{
	client_free(c);
}

/* Time goes on to `until`; the client is called when it asked to be, and only then. */
static inline void run_to(uint64_t until)
{
	uint64_t next = client_run(c, NOW);

	while (next && next <= BASE + until) {
		cr_assert(gt(u64, next, NOW), "asks to be called in the past");
		now = next - BASE;
		next = client_run(c, NOW);
	}
	now = until;
}

/* --- the gateway ---------------------------------------------------------------- */

static inline void answer_bytes(const uint8_t *data, size_t len)
{
	client_input(c, data, len, NOW);
	client_run(c, NOW);
}

static inline void answer(struct msg *m)
{
	static uint8_t data[RSIP_MESSAGE_MAX];
	size_t len;

	m->has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	len = msg_encode(m, data, sizeof(data));
	cr_assert(gt(sz, len, 0), "%s is no message", msg_type_name(m->type));
	answer_bytes(data, len);
	memset(data, 0xee, len);	/* who kept a pointer into it has something wrong now */
}

static inline void answer_vector(const char *name)
{
	const struct vector *v = vector_named(name);

	answer_bytes(v->data, v->len);
}

static inline struct msg make_register(uint32_t counter, uint32_t client, uint32_t lease)
{
	return (struct msg){
		.type = RSIP_REGISTER_RESPONSE, .counter = counter, .client_id = client, .lease = lease,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_LEASE_TIME) | MSG_HAS(RSIP_PARAM_FLOW_POLICY),
		.local_policy = RSIP_POLICY_MACRO, .remote_policy = RSIP_POLICY_NONE,
	};
}

static inline void registered(uint32_t counter)
{
	struct msg m = make_register(counter, CLIENT, REG);

	answer(&m);
}

static inline struct msg make_assign(uint32_t counter, uint32_t bind, uint32_t lease)
{
	return (struct msg){
		.type = RSIP_ASSIGN_RESPONSE_RSIPSEC, .counter = counter, .client_id = CLIENT, .bind_id = bind,
		.lease = lease,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID) | MSG_HAS_LOCAL | MSG_HAS_LPORTS |
		       MSG_HAS_REMOTE | MSG_HAS_RPORTS | MSG_HAS(RSIP_PARAM_SPI) | MSG_HAS(RSIP_PARAM_LEASE_TIME),
		.local = { .type = RSIP_ADDR_IPV4, .v4 = inet_addr("192.0.2.1") },
		.remote = { .type = RSIP_ADDR_IPV4, .any = true },
		.spis = { .form = MSG_RUN, .count = 2, .first = 0x1000 },
		.tunnels = { RSIP_TUNNEL_IPIP }, .tunnel_count = 1,
	};
}

static inline void granted(uint32_t counter, uint32_t bind, uint32_t lease)
{
	struct msg m = make_assign(counter, bind, lease);

	answer(&m);
}

static inline void extended(uint32_t counter, uint32_t bind, uint32_t lease)
{
	struct msg m = {
		.type = RSIP_EXTEND_RESPONSE, .counter = counter, .client_id = CLIENT, .bind_id = bind, .lease = lease,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID) | MSG_HAS(RSIP_PARAM_LEASE_TIME),
	};

	answer(&m);
}

static inline void freed(uint32_t counter, uint32_t bind)
{
	struct msg m = {
		.type = RSIP_FREE_RESPONSE, .counter = counter, .client_id = CLIENT, .bind_id = bind,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS(RSIP_PARAM_BIND_ID),
	};

	answer(&m);
}

static inline void deregistered(uint32_t counter, uint32_t client)
{
	struct msg m = {
		.type = RSIP_DEREGISTER_RESPONSE, .counter = counter, .client_id = client,
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID),
	};

	answer(&m);
}

static inline void refused_with(uint32_t counter, uint16_t error, uint32_t client)
{
	struct msg m = {
		.type = RSIP_ERROR_RESPONSE, .counter = counter, .error = error, .client_id = client,
		.has = MSG_HAS(RSIP_PARAM_ERROR) | (client ? MSG_HAS(RSIP_PARAM_CLIENT_ID) : 0),
	};

	answer(&m);
}

/* --- situations ------------------------------------------------------------------ */

static const struct want want = { .kind = WANT_IPSEC, .spis = 2 };

#define REGISTER(n)	"> REGISTER_REQUEST(counter=" #n ")\n"
#define ASSIGN(n)	"> ASSIGN_REQUEST_RSIPSEC(client=9 local=any-v4 lports=not-needed remote=any-v4 " \
			"rports=not-needed spi=2-any counter=" #n ")\n"
#define EXTEND(n)	"> EXTEND_REQUEST(client=9 bind=7 counter=" #n ")\n"
#define FREE(bind, n)	"> FREE_REQUEST(client=9 bind=" #bind " counter=" #n ")\n"
#define DEREGISTER(n)	"> DE-REGISTER_REQUEST(client=9 counter=" #n ")\n"

static inline void begin(const struct want *what)
{
	client_add(c, what, NOW);
	client_start(c, NOW);
}

/* The lease of the first thing wanted, or NULL. */
static inline const struct client_lease *lease_of_first(void)
{
	struct client_item item;

	return client_next(c, 0, &item) ? item.lease : NULL;
}

/* At 0 ms: REGISTER 1. */
static inline void start(void)
{
	begin(&want);
	expect("0 " REGISTER(1));
}

/* At 0 ms: ASSIGN 2. */
static inline void to_registered(void)
{
	start();
	registered(1);
	expect("0 registered\n" "0 " ASSIGN(2));
}

/* At 0 ms: bind 7 until 600 s, to be extended at 300 s with counter 3. */
static inline void to_assigned(void)
{
	to_registered();
	granted(2, BIND, LEASE);
	expect("0 assigned\n0 granted bind=7 until=600000\n");
}
