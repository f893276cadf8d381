// SPDX-License-Identifier: GPL-2.0-only
/* What one sender, known or not, can take of the server: requests, errors, bytes. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "gateway.h"

/* Sends `count` of one message over a second; returns how many were answered, and the longest answer. */
static unsigned int flood(struct gateway *g, struct origin from, const void *data, size_t len, unsigned int count,
			  size_t *longest)
{
	uint64_t begin = g->now;
	unsigned int answers = 0;

	*longest = 0;
	for (unsigned int i = 0; i < count; i++) {
		g->now = begin + 1000ull * i / count;
		gateway_input(g, from, data, len);
		answers += (unsigned int)g->sent;
		if (g->sent && g->box[0].len > *longest)
			*longest = g->box[0].len;
	}
	g->now = begin + 1000;
	return answers;
}

static const struct {
	const char *name, *data;
	size_t len;
} bad[] = {
	{ "version", "\x02\x0e\x00\x04", 4 },
	{ "type", "\x01\x63\x00\x04", 4 },
	{ "length", "\x01\x0e\x00\x05", 4 },
	{ "no counter", "\x01\x0e\x00\x0b\x04\x00\x04\x00\x00\x00\x07", 11 },
	{ "not registered", "\x01\x0e\x00\x12\x04\x00\x04\x00\x00\x00\x07\x0b\x00\x04\x00\x00\x00\x01", 18 },
};

/* 1000 bad datagrams a second: bounded answers of at most 23 bytes. covers: SEC-05 */
Test(limits, errors_to_strangers)
{
	struct gateway *g = gateway_new();
	size_t longest;
	uint32_t n = 50;

	gateway_start(g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned int answers = flood(g, udp_host(n++), bad[i].data, bad[i].len, 1000, &longest);

		cr_expect_geq(answers, 200, "%s: the burst", bad[i].name);
		cr_expect_leq(answers, 251, "%s: %u answers", bad[i].name, answers);
		cr_expect_leq(longest, 23, "%s", bad[i].name);
	}
	cr_expect_gt(session_counters(g->s)->unanswered, 3000);
	gateway_free(g);
}

/* Who has a TCP connection is there. */
Test(limits, errors_over_tcp)
{
	struct gateway *g = gateway_new();
	size_t longest;

	gateway_start(g);
	cr_expect_eq(flood(g, tcp_host(60), bad[4].data, bad[4].len, 1000, &longest), 1000);
	cr_expect_eq(session_counters(g->s)->unanswered, 0);
	gateway_free(g);
}

/* From many false addresses as well. */
Test(limits, errors_to_all_strangers)
{
	struct gateway *g = gateway_new();
	unsigned int answers = 0;

	gateway_start(g);
	for (uint32_t i = 0; i < 10000; i++) {
		g->now += i % 10 == 0;	/* one second in all */
		gateway_input(g, udp_host(1000 + i), bad[0].data, bad[0].len);
		answers += (unsigned int)g->sent;
	}
	cr_expect_geq(answers, 2000);
	cr_expect_leq(answers, 3001, "%u answers", answers);
	gateway_free(g);
}

/* A registered host gets its errors however many they are: it has a rate of its own. */
Test(limits, errors_to_a_host)
{
	struct gateway *g = gateway_new();
	size_t longest;

	gateway_start(g);
	gateway_register(g, 11);
	cr_expect_eq(flood(g, udp_host(11), bad[0].data, bad[0].len, 1000, &longest), 1000);
	cr_expect_eq(session_counters(g->s)->unanswered, 0);
	gateway_free(g);
}

/* More requests than the rule allows are dropped; another host does not notice. covers: SEC-01 */
Test(limits, requests_of_a_host)
{
	struct gateway *g = gateway_new();
	static uint8_t data[RSIP_MESSAGE_MAX];
	uint32_t flooder, other;
	size_t longest, len;
	struct msg m;

	g->rule.max_requests = 100;
	gateway_start(g);
	flooder = gateway_register(g, 11);
	other = gateway_register(g, 12);
	m = req_query(flooder, 2);
	len = msg_encode(&m, data, sizeof(data));
	cr_expect_leq(flood(g, udp_host(11), data, len, 5000, &longest), 201);
	cr_expect_geq(session_counters(g->s)->limited, 4799);
	m = req_query(other, 2);
	cr_expect_eq(gateway_call(g, udp_host(12), &m).type, RSIP_QUERY_RESPONSE);
	gateway_wait(g, 1000);
	m = req_query(flooder, 3);
	cr_expect_eq(gateway_call(g, udp_host(11), &m).type, RSIP_QUERY_RESPONSE, "a second later it is heard again");
	gateway_free(g);
}

/* Who registers and de-registers in a loop is held as well. covers: SEC-01 */
Test(limits, registrations_of_a_stranger)
{
	struct gateway *g = gateway_new();
	static uint8_t data[RSIP_MESSAGE_MAX];
	size_t longest, len;
	struct msg m = req_register(1);

	g->config.client_count = 0;
	gateway_start(g);
	len = msg_encode(&m, data, sizeof(data));
	cr_expect_leq(flood(g, udp_host(11), data, len, 20000, &longest), 251);
	cr_expect_geq(session_counters(g->s)->limited, 16900);
	cr_expect_leq(longest, 23);
	gateway_free(g);
}
