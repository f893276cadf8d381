// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gateway's mind in simulated time: duplicates, errors in their order,
 * expiry, roll back, and many hosts at random against a naive model.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway.h"

#define SECOND 1000ULL

static struct gateway *start(void)
{
	struct gateway *g = gateway_new();

	gateway_start(g);
	return g;
}

static void name_local(struct msg *m, const char *addr, uint16_t first, uint16_t count)
{
	m->local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = !addr, .v4 = addr ? ip4(addr) : 0 };
	m->lports = (struct msg_ports){ .form = MSG_RUN, .first = first, .count = count };
}

static void name_remote(struct msg *m, const char *addr, uint16_t port)
{
	m->remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4(addr) };
	if (port)
		m->rports = (struct msg_ports){ .form = MSG_RUN, .first = port, .count = 1 };
}

static void ask_tunnel(struct msg *m, uint8_t tunnel)
{
	m->has |= MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
	m->tunnels[0] = tunnel;
	m->tunnel_count = 1;
}

static void ask_lease(struct msg *m, uint32_t seconds)
{
	m->has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
	m->lease = seconds;
}

/* The error of the answer, 0 if it is none. */
static uint16_t error_of(struct gateway *g, struct origin from, const struct msg *m)
{
	struct msg answer = gateway_call(g, from, m);

	return answer.type == RSIP_ERROR_RESPONSE ? answer.error : 0;
}

static const struct client *client_of(const struct gateway *g, struct origin host)
{
	return lease_client_by_address(session_leases(g->s), host.source);
}

/* --- duplicates ------------------------------------------------------------------------ */

/* covers: T-18 T-12 */
Test(session, a_duplicate_gets_the_same_bytes_and_is_not_executed)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_ipsec(id, 4, 2);
	struct sent *first = malloc(sizeof(*first));

	*first = *gateway_ask(g, udp_host(2), &m);
	for (unsigned int i = 0; i < 6; i++) {
		const struct sent *again = gateway_ask(g, udp_host(2), &m);

		cr_assert_not_null(again);
		cr_expect_eq(again->len, first->len);
		cr_expect_eq(memcmp(again->data, first->data, first->len), 0);
		g->now += 3000;
	}
	cr_expect_eq(client_of(g, udp_host(2))->bind_count, 1);
	cr_expect_eq(datapath_fake_binds(g->dp), 1);
	cr_expect_eq(session_counters(g->s)->duplicates, 6);
	m = req_query(id, 3);
	gateway_call(g, udp_host(2), &m);
	gateway_call(g, udp_host(2), &m);
	cr_expect_eq(session_counters(g->s)->duplicates, 7, "a short answer to a query is kept as well");
	m = req_free(id, 1, 4);
	gateway_call(g, udp_host(2), &m);
	gateway_wait(g, 6 * SECOND);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_FREE_RESPONSE, "what FREE has ended is not outlived");
	free(first);
	gateway_free(g);
}

/* Calls session_tick() as long as it has more to do right now; returns how many messages that made, and of one call at most. */
static size_t tick_through(struct gateway *g, size_t *most)
{
	size_t total = 0;
	uint64_t next;

	*most = 0;
	do {
		g->sent = 0;
		next = session_tick(g->s, g->now);
		total += g->sent;
		*most = g->sent > *most ? g->sent : *most;
	} while (next && next <= g->now + 1);
	return total;
}

/* Three hundred leases and their hosts: told in parts, and told again in parts, so that others get their turn. */
/* covers: T-27 */
Test(session, what_ends_at_once_is_told_in_parts)
{
	struct gateway *g = gateway_new();
	size_t most;

	gateway_start(g);
	for (uint32_t n = 2; n < 152; n++) {
		uint32_t client = gateway_register(g, n);

		for (uint32_t counter = 2; counter < 4; counter++) {
			struct msg m = req_rsap(client, 1, counter);

			gateway_call(g, udp_host(n), &m);
		}
	}
	g->now += 3600 * 1000;
	cr_expect_eq(tick_through(g, &most), 450);
	cr_expect_leq(most, LEASE_EXPIRE_MAX);
	g->now += 250;
	cr_expect_eq(tick_through(g, &most), 450);
	cr_expect_leq(most, LEASE_EXPIRE_MAX);
	gateway_free(g);
}

/* A host that never heard of its lease asks again when that has ended. covers: T-20 EXT-09 */
Test(session, a_lease_that_has_ended_is_not_promised_again)
{
	struct gateway *g = gateway_new();
	uint32_t id;
	struct msg m;

	g->config.leases.registration = 3600;
	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_rsap(id, 1, 2);
	ask_lease(&m, 30);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 1);
	gateway_wait(g, 29 * SECOND);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 1);
	gateway_wait(g, 2 * SECOND);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 2);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 2);
	cr_expect_eq(datapath_fake_binds(g->dp), 1);
	/* Unless it asks at once: that is the first request, on its way when the lease was taken back. */
	cr_assert(session_free_bind(g->s, id, 2, g->now));
	gateway_wait(g, 5 * SECOND);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 2);
	gateway_wait(g, 1);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 3);
	gateway_free(g);
}

/* Which Client ID goes with the error of a message that cannot be carried out. covers: W-30 */
Test(session, the_client_of_a_fault)
{
	static const struct {
		const char *name, *data;
		size_t len;
		uint16_t error;
		bool client;
	} faults[] = {
		{ "no counter", "\x01\x0e\x00\x0b\x04\x00\x04\x00\x00\x00\x07", 11, 105, false },
		{ "no Bind ID", "\x01\x0c\x00\x12\x04\x00\x04\x00\x00\x00\x07\x0b\x00\x04\x00\x00\x00\x01", 18, 201, true },
	};
	struct gateway *g = gateway_new();

	gateway_start(g);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct msg_fault fault;
		struct msg m;

		gateway_input(g, udp_host(2), faults[i].data, faults[i].len);
		cr_assert_eq(g->sent, 1, "%s", faults[i].name);
		cr_assert(msg_decode(g->box[0].data, g->box[0].len, MSG_AT_HOST, MSG_UDP, &m, &fault), "%s", fault.text);
		cr_expect_eq(m.error, faults[i].error, "%s: %u", faults[i].name, m.error);
		cr_expect_eq(!!(m.has & MSG_HAS(RSIP_PARAM_CLIENT_ID)), faults[i].client, "%s", faults[i].name);
	}
	gateway_free(g);
}

/* covers: T-20 */
Test(session, the_same_counter_with_other_bytes_is_a_new_request)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_rsap(id, 1, 2), answer;

	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 1);
	m = req_free(id, 1, 2);
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.type, RSIP_FREE_RESPONSE);
	cr_expect_eq(answer.counter, 2);
	cr_expect_eq(datapath_fake_binds(g->dp), 0);
	gateway_free(g);
}

/* covers: T-21 T-15 */
Test(session, counters_in_serial_order)
{
	/* from the last counter, and whether the next is taken */
	static const struct { uint32_t last, next; bool taken; } rows[] = {
		{ 13, 5, false }, { 13, 12, false }, { 13, 14, true }, { 13, 500, true },
		{ 0xfffffffe, 0xffffffff, true }, { 0xffffffff, 1, true }, { 0xffffffff, 0xfffffffe, false },
		{ 1, 0xffffffff, false }, { 1, 0x80000000, true }, { 1, 0x80000002, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = start();
		struct msg m = req_register(rows[i].last);
		uint32_t id = gateway_call(g, udp_host(2), &m).client_id;

		m = req_rsap(id, 1, rows[i].next);
		cr_expect_eq(gateway_ask(g, udp_host(2), &m) != NULL, rows[i].taken, "%x after %x", rows[i].next, rows[i].last);
		cr_expect_eq(datapath_fake_binds(g->dp), rows[i].taken);
		cr_expect_eq(session_counters(g->s)->ignored, !rows[i].taken);
		gateway_free(g);
	}
}

/* The same bytes as long ago, after later requests. covers: T-21 */
Test(session, a_replay_is_dropped)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg early = req_ipsec(id, 1, 2), late = req_extend(id, 1, 600, 3);

	gateway_call(g, udp_host(2), &early);
	gateway_call(g, udp_host(2), &late);
	cr_expect_null(gateway_ask(g, udp_host(2), &early));
	cr_expect_eq(datapath_fake_binds(g->dp), 1);
	gateway_free(g);
}

/* covers: T-29 T-37 FAIL-01 */
Test(session, a_repeated_registration)
{
	struct gateway *g = start();
	struct msg m = req_register(1), answer;
	uint32_t id = gateway_call(g, udp_host(2), &m).client_id;

	g->now += 5000;
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.type, RSIP_REGISTER_RESPONSE);
	cr_expect_eq(answer.client_id, id);
	g->now += 1;
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.error, RSIP_E_ALREADY_REGISTERED);
	cr_expect_eq(answer.client_id, id);
	cr_expect_eq(datapath_fake_clients(g->dp), 1);
	gateway_free(g);
}

/* covers: T-30 */
Test(session, an_error_is_stored_like_any_answer)
{
	struct gateway *g = gateway_new();
	uint32_t a, b;
	struct msg m;

	g->range.last = g->range.first;
	g->config.leases.hold_down = 0;
	gateway_start(g);
	a = gateway_register(g, 2);
	b = gateway_register(g, 3);
	m = req_rsap(a, 1, 2);
	name_local(&m, "192.0.2.1", 5060, 1);
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	m.client_id = b;
	cr_expect_eq(error_of(g, udp_host(3), &m), 311);
	cr_expect(session_free_bind(g->s, a, 1, g->now));
	cr_expect_eq(error_of(g, udp_host(3), &m), 311, "the stored answer, though the port is free now");
	m.counter = 3;
	cr_expect_eq(error_of(g, udp_host(3), &m), 0);
	gateway_free(g);
}

/* covers: T-22 FAIL-01 T-06 */
Test(session, a_host_that_forgot_everything)
{
	struct gateway *g = start();
	struct msg m = req_register(57), answer;
	uint32_t id = gateway_call(g, udp_host(2), &m).client_id;

	m = req_rsap(id, 1, 58);
	gateway_call(g, udp_host(2), &m);
	g->now += 60 * SECOND;
	m = req_register(1);
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.error, 302);
	cr_expect_eq(answer.client_id, id);
	cr_expect_eq(answer.counter, 1);
	cr_expect_eq(datapath_fake_binds(g->dp), 1, "nothing else changes");
	m = req_deregister(id, 2);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_DEREGISTER_RESPONSE);
	m = req_register(3);
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.type, RSIP_REGISTER_RESPONSE);
	cr_expect_neq(answer.client_id, id);
	gateway_free(g);
}

/* The de-registration that follows has any counter, once. covers: T-22 */
Test(session, deregistration_after_302_has_any_counter)
{
	struct gateway *g = start();
	struct msg again = req_register(1000), m;
	uint32_t id = gateway_register(g, 2);

	g->now += 60 * SECOND;
	m = req_deregister(id, 500);
	gateway_call(g, udp_host(2), &again);
	m.counter = 7;
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_DEREGISTER_RESPONSE);

	id = gateway_call(g, udp_host(2), &again).client_id;
	m = req_deregister(id, 7);
	cr_expect_null(gateway_ask(g, udp_host(2), &m), "not without a 302");
	gateway_free(g);
}

/* covers: T-28 REG-11 REG-24 */
Test(session, the_answer_outlives_the_registration)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_deregister(id, 2), other = req_register(1), answer;

	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_DEREGISTER_RESPONSE);
	g->now += 1600;
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_DEREGISTER_RESPONSE);
	g->now += 1;
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.error, 301);
	cr_expect_eq(answer.client_id, id);

	id = gateway_call(g, udp_host(2), &other).client_id;
	m = req_deregister(id, 2);
	gateway_call(g, udp_host(2), &m);
	cr_expect_eq(gateway_call(g, udp_host(2), &other).type, RSIP_REGISTER_RESPONSE, "at once, with any counter");
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_DEREGISTER_RESPONSE, "a late copy, of the old one");
	cr_expect_eq(datapath_fake_clients(g->dp), 1);
	m.client_id ^= 1;
	cr_expect_eq(error_of(g, udp_host(2), &m), 305);
	gateway_free(g);
}

/* A stored REGISTER_RESPONSE is not given out when what it grants is over. covers: T-28 T-37 */
Test(session, an_old_registration_is_not_granted_again)
{
	struct gateway *g = start();
	struct msg m = req_register(1), answer;
	uint32_t id = gateway_call(g, udp_host(2), &m).client_id;

	cr_expect(session_evict(g->s, id, g->now));
	g->now += 100;
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.type, RSIP_REGISTER_RESPONSE);
	cr_expect_neq(answer.client_id, id);
	gateway_free(g);
}

/* On one connection every request is a request; on the next one it may be a repeat. covers: T-26 T-32 T-33 */
Test(session, counters_over_tcp)
{
	struct gateway *g = start();
	struct origin from = tcp_host(2);
	struct msg m = req_register(7);
	uint32_t id = gateway_call(g, from, &m).client_id;

	m = req_rsap(id, 1, 1);
	cr_expect_eq(gateway_call(g, from, &m).bind_id, 1);
	cr_expect_eq(gateway_call(g, from, &m).bind_id, 2);
	from.connection = 99;
	from.source_port = htons(6000);
	cr_expect_eq(gateway_call(g, from, &m).bind_id, 2, "it did not hear the answer on the first connection");
	m = req_extend(id, 1, 600, 0);
	cr_expect_eq(gateway_call(g, from, &m).type, RSIP_EXTEND_RESPONSE);
	cr_expect_eq(gateway_call(g, from, &m).type, RSIP_EXTEND_RESPONSE);
	gateway_free(g);
}

/* A long answer is not kept: it is made again, and is the same. covers: T-18 T-34 QRY-03 */
Test(session, a_long_query_answer)
{
	struct gateway *g = gateway_new();
	struct addr_prefix *networks = calloc(5000, sizeof(*networks));
	struct msg m;
	struct sent *first = malloc(sizeof(*first));
	const struct sent *again;
	uint32_t id;

	for (uint32_t i = 0; i < 5000; i++)
		networks[i] = (struct addr_prefix){ htonl(0x0a000000 + (i << 8)), 24 };
	g->config.local_networks = networks;
	g->config.local_network_count = 5000;
	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_query(id, 2);
	*first = *gateway_ask(g, udp_host(2), &m);
	/* 18 bytes before, 21 for each network */
	cr_expect_eq(first->len, 18 + (65507 - 18) / 21 * 21, "%zu", first->len);
	cr_expect_eq((first->data[2] << 8) + first->data[3], first->len);
	again = gateway_ask(g, udp_host(2), &m);
	cr_assert_not_null(again);
	cr_expect_eq(again->len, first->len);
	cr_expect_eq(memcmp(again->data, first->data, first->len), 0);
	cr_expect_eq(session_counters(g->s)->duplicates, 0, "not a stored one");

	m = req_register(1);
	id = gateway_call(g, tcp_host(3), &m).client_id;
	m = req_query(id, 0);
	cr_expect_eq(gateway_ask(g, tcp_host(3), &m)->len, 11 + (65535 - 18) / 21 * 21);
	free(first);
	gateway_free(g);
	free(networks);
}

/* One tuple each: what is wholly in 10.0.0.0/8 is local. covers: QRY-01 QRY-04 QRY-07 QRY-11 */
Test(session, queries)
{
	static const struct {
		const char *addr;
		int length;			/* -1: an address tuple */
		bool local;
	} rows[] = {
		{ "10.0.0.1", -1, true }, { "10.255.255.255", -1, true }, { "11.0.0.1", -1, false },
		{ "9.255.255.255", -1, false }, { "0.0.0.0", -1, false }, { "10.0.0.0", 8, true },
		{ "10.1.0.0", 16, true }, { "10.1.2.3", 32, true }, { "10.0.0.0", 7, false }, { "0.0.0.0", 0, false },
		{ "11.0.0.0", 8, false },
	};
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2), counter = 1;
	uint8_t bytes[128];
	struct msg m, answer;
	size_t first, second;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct msg_tuple tuple = {
			.indicator = rows[i].length < 0 ? RSIP_QUERY_ADDRESS : RSIP_QUERY_NETWORK,
			.addr = { .type = RSIP_ADDR_IPV4, .v4 = ip4(rows[i].addr) },
			.mask = rows[i].length < 0 ? 0 : addr_mask(rows[i].length),
		};

		m = req_query(id, ++counter);
		m.has |= MSG_HAS_TUPLES;
		m.tuples = bytes;
		m.tuples_len = msg_tuple_write(&tuple, bytes, sizeof(bytes));
		answer = gateway_call(g, udp_host(2), &m);
		cr_assert_eq(answer.type, RSIP_QUERY_RESPONSE);
		cr_expect_eq(answer.tuples_len, rows[i].local ? m.tuples_len : 0, "%s/%d", rows[i].addr, rows[i].length);
		/* 1 and 2 mean the same in question and answer: a local address, a local network */
		if (rows[i].local && answer.tuples_len)
			cr_expect_eq(memcmp(answer.tuples, bytes, m.tuples_len), 0, "%s/%d", rows[i].addr, rows[i].length);
	}

	/* Addresses come before networks, whatever the order of the question. */
	struct msg_tuple network = { RSIP_QUERY_NETWORK, { .type = RSIP_ADDR_IPV4, .v4 = ip4("10.1.0.0") }, addr_mask(16) };
	struct msg_tuple address = { RSIP_QUERY_ADDRESS, { .type = RSIP_ADDR_IPV4, .v4 = ip4("10.0.0.9") } };

	first = msg_tuple_write(&network, bytes, sizeof(bytes));
	second = msg_tuple_write(&address, bytes + first, sizeof(bytes) - first);
	m.counter++;
	m.tuples_len = first + second;
	answer = gateway_call(g, udp_host(2), &m);
	cr_assert_eq(answer.tuples_len, first + second);
	cr_expect_eq(memcmp(answer.tuples, bytes + first, second), 0);
	cr_expect_eq(memcmp(answer.tuples + second, bytes, first), 0);
	gateway_free(g);
}

/* A gateway that tells more than it is asked for. covers: QRY-08 */
Test(session, every_answer_has_all_networks)
{
	struct gateway *g = gateway_new();
	struct msg_tuple question = { RSIP_QUERY_ADDRESS, { .type = RSIP_ADDR_IPV4, .v4 = ip4("10.0.0.9") } }, tuple;
	struct addr_prefix networks[] = { { ip4("10.0.0.0"), 8 }, { ip4("172.16.0.0"), 12 } };
	uint8_t bytes[64];
	const uint8_t *at;
	struct msg m, answer;
	size_t left;

	g->config.local_networks = networks;
	g->config.local_network_count = 2;
	g->config.query_all = true;
	gateway_start(g);
	m = req_query(gateway_register(g, 2), 2);
	m.has |= MSG_HAS_TUPLES;
	m.tuples = bytes;
	m.tuples_len = msg_tuple_write(&question, bytes, sizeof(bytes));
	answer = gateway_call(g, udp_host(2), &m);
	at = answer.tuples;
	left = answer.tuples_len;
	cr_assert(msg_tuple_next(&at, &left, &tuple));
	cr_expect_eq(tuple.indicator, RSIP_LOCAL_ADDRESS);
	for (unsigned int i = 0; i < 2; i++) {
		cr_assert(msg_tuple_next(&at, &left, &tuple));
		cr_expect_eq(tuple.indicator, RSIP_LOCAL_NETWORK);
		cr_expect_eq(tuple.addr.v4, networks[i].network);
	}
	cr_expect(!msg_tuple_next(&at, &left, &tuple));
	gateway_free(g);
}

/* --- origins ------------------------------------------------------------------------------- */

/* covers: T-31 T-32 ASY-07 */
Test(session, asynchronous_messages_go_where_the_host_was_heard_last)
{
	struct gateway *g = start();
	struct origin from = udp_host(2), stray;
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_rsap(id, 1, 2);

	from.source_port = htons(6001);
	gateway_call(g, from, &m);
	stray = from;
	stray.source_port = htons(7777);
	m = req_free(id ^ 1, 1, 3);
	cr_expect_eq(error_of(g, stray, &m), 305, "not a valid request of this host");
	g->sent = 0;
	cr_expect(session_free_bind(g->s, id, 1, g->now));
	cr_assert_eq(g->sent, 1);
	cr_expect_eq(g->box[0].to.source_port, htons(6001));
	gateway_free(g);
}

/* covers: SEC-02 SEC-03 SEC-05 E-02 */
Test(session, foreign_senders_get_silence)
{
	static const struct { const char *source, *local; } rows[] = {
		{ "10.0.0.2", "192.0.2.1" }, { "0.0.0.0", GATEWAY_NA }, { "224.0.0.1", GATEWAY_NA },
		{ "255.255.255.255", GATEWAY_NA }, { GATEWAY_NA, GATEWAY_NA },
	};
	struct gateway *g = start();
	const uint8_t register_request[] = { 1, 2, 0, 11, 11, 0, 4, 0, 0, 0, 1 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct origin from = udp_host(2);

		from.source = ip4(rows[i].source);
		from.local = ip4(rows[i].local);
		gateway_input(g, from, register_request, sizeof(register_request));
		cr_expect_eq(g->sent, 0, "%s to %s", rows[i].source, rows[i].local);
		gateway_input(g, from, "\2\2\0\4", 4);
		cr_expect_eq(g->sent, 0, "%s to %s", rows[i].source, rows[i].local);
	}
	cr_expect_eq(datapath_fake_clients(g->dp), 0);
	cr_expect_eq(session_counters(g->s)->ignored, 2 * sizeof(rows) / sizeof(rows[0]));
	gateway_free(g);
}

/* covers: T-05 T-04 T-06 E-06 */
Test(session, no_change_of_transport)
{
	struct gateway *g = start();
	struct origin udp = udp_host(2), tcp = tcp_host(2);
	struct msg m = req_register(1);
	uint32_t id = gateway_call(g, tcp, &m).client_id;
	uint64_t expires;

	m = req_rsap(id, 1, 2);
	gateway_call(g, tcp, &m);
	expires = client_of(g, tcp)->expires;
	g->now += 10 * SECOND;
	m = req_extend(id, 1, 3600, 1);
	struct msg answer = gateway_call(g, udp, &m);

	cr_expect_eq(answer.error, 102);
	cr_expect_eq(answer.has & MSG_HAS(RSIP_PARAM_CLIENT_ID), 0);
	cr_expect_eq(client_of(g, tcp)->expires, expires);
	cr_expect(client_of(g, tcp)->origin.tcp);
	m = req_register(2);
	cr_expect_eq(error_of(g, udp, &m), 302);
	m = req_deregister(id, 3);
	cr_expect_eq(gateway_call(g, udp, &m).type, RSIP_DEREGISTER_RESPONSE);

	id = gateway_register(g, 2);
	m = req_rsap(id, 1, 2);
	cr_expect_eq(error_of(g, tcp, &m), 101);
	cr_expect_eq(datapath_fake_binds(g->dp), 0);
	cr_expect_eq(error_of(g, udp, &m), 0);
	m = req_query(id, 3);
	cr_expect_eq(error_of(g, tcp, &m), 101);
	m = req_rsap(id, 1, 2);
	cr_expect_eq(error_of(g, udp, &m), 0, "still a duplicate of the last request");
	cr_expect_eq(datapath_fake_binds(g->dp), 1);
	cr_expect(!client_of(g, udp)->origin.tcp);
	gateway_free(g);
}

/* covers: T-08 T-33 */
Test(session, a_stream_of_a_hundred_requests)
{
	struct gateway *g = start();
	struct origin from = tcp_host(2);
	struct msg m = req_register(0);
	uint32_t id = gateway_call(g, from, &m).client_id;
	uint8_t data[8192];
	size_t len = 0;

	for (unsigned int i = 1; i <= 100; i++) {
		m = req_rsap(id, 1, i);
		len += msg_encode(&m, data + len, sizeof(data) - len);
	}
	cr_expect_eq(gateway_stream(g, from, data, len), 0);
	cr_assert_eq(g->sent, 100);
	for (unsigned int i = 0; i < 100; i++) {
		cr_expect_eq(g->box[i].data[1], RSIP_ASSIGN_RESPONSE_RSAP);
		cr_expect_eq(g->box[i].data[g->box[i].len - 1], i + 1);
	}
	gateway_free(g);
}

/* --- the order of errors ------------------------------------------------------------------------ */

/*
 * A gateway where host 2 holds bind 1 (port 5060 and SPI 0x1000 of 192.0.2.1)
 * and host 3 is the one that asks, with bind 1 of its own. 192.0.2.1 is the
 * only address.
 */
struct pair {
	const char *name;
	void (*configure)(struct gateway *g);
	void (*spoil)(struct msg *m);	/* of a RSIPSEC request that would be granted */
	uint16_t error;
};

static void wrong_client(struct msg *m)
{
	m->client_id ^= 0x40;
}

static void no_ipsec(struct gateway *g)
{
	g->rule.ipsec = false;
	g->rule.remote_policy = RSIP_POLICY_MACRO;
}

static void remote_any(struct msg *m)
{
	m->remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = true };
	m->rports = (struct msg_ports){ .form = MSG_ANY, .count = 1 };
}

static void wrong_client_and_remote_any(struct msg *m)
{
	wrong_client(m);
	remote_any(m);
}

static void macro(struct gateway *g)
{
	g->rule.remote_policy = RSIP_POLICY_MACRO;
}

static void remote_any_and_l2tp(struct msg *m)
{
	remote_any(m);
	ask_tunnel(m, RSIP_TUNNEL_L2TP);
}

static void l2tp_and_foreign_address(struct msg *m)
{
	ask_tunnel(m, RSIP_TUNNEL_L2TP);
	name_local(m, "198.51.100.1", 5060, 1);
}

static void foreign_address_and_ike_port(struct msg *m)
{
	name_local(m, "198.51.100.1", 500, 1);
}

static void ike_port_and_local_remote(struct msg *m)
{
	name_local(m, "192.0.2.1", 500, 1);
	name_remote(m, "10.0.0.9", 80);
}

static void one_bind(struct gateway *g)
{
	macro(g);
	g->rule.max_binds = 1;
}

static void local_remote(struct msg *m)
{
	name_remote(m, "10.0.0.9", 80);
}

static void held_port(struct msg *m)
{
	name_local(m, "192.0.2.1", 5060, 1);
}

static void few_ports(struct gateway *g)
{
	g->rule.max_ports = 4;
}

static void held_port_of_too_many(struct msg *m)
{
	name_local(m, "192.0.2.1", 5056, 8);
}

static void too_many_ports_and_spis(struct msg *m)
{
	m->lports = (struct msg_ports){ .form = MSG_ANY, .count = 8 };
	m->spis = (struct msg_spis){ .form = MSG_RUN, .first = 0xff, .count = 1 };
}

static void reserved_and_held_spi(struct msg *m)
{
	m->spis = (struct msg_spis){ .form = MSG_LIST, .count = 2, .list = (const uint8_t *)"\0\0\x10\0\0\0\0\xff" };
}

static void held_spi(struct msg *m)
{
	m->spis = (struct msg_spis){ .form = MSG_RUN, .first = 0x1000, .count = 1 };
}

static void broken_data_plane(struct gateway *g)
{
	datapath_fake_fail(g->dp, 1, -ENOSPC);
}

static void nothing(struct msg *m)
{
}

/* covers: E-02 E-04 E-05 E-07 E-08 SEC-01 RSAP-15 IPS-07 IPS-08 IPS-22 FLOW-04 FLOW-06 */
static const struct pair pairs[] = {
	{ "305 before 401", no_ipsec, wrong_client, 305 },
	{ "305 before 103", macro, wrong_client_and_remote_any, 305 },
	{ "401 before 103", no_ipsec, remote_any, 401 },
	{ "103 before 307", macro, remote_any_and_l2tp, 103 },
	{ "307 before 312", NULL, l2tp_and_foreign_address, 307 },
	{ "312 before 313", NULL, foreign_address_and_ike_port, 312 },
	{ "313 before 314", macro, ike_port_and_local_remote, 313 },
	{ "314 before 308", one_bind, local_remote, 314 },
	{ "308 before 311", one_bind, held_port, 308 },
	{ "311 before 309", few_ports, held_port_of_too_many, 311 },
	{ "309 before 402", few_ports, too_many_ports_and_spis, 309 },
	{ "402 before 403", NULL, reserved_and_held_spi, 402 },
	{ "403 before 104", NULL, held_spi, 403 },
	{ "104", NULL, nothing, 104 },
};

Test(session, the_earlier_error_wins)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct gateway *g = gateway_new();
		uint32_t holder, id;
		struct msg m;

		g->range.last = g->range.first;
		if (pairs[i].configure)
			pairs[i].configure(g);
		gateway_start(g);
		g->rule.ipsec = true;
		holder = gateway_register(g, 2);
		m = req_ipsec(holder, 1, 2);
		name_local(&m, "192.0.2.1", 5060, 1);
		name_remote(&m, "198.51.100.7", 80);
		held_spi(&m);
		cr_assert_eq(error_of(g, udp_host(2), &m), 0);

		id = gateway_register(g, 3);
		m = req_rsap(id, 1, 2);
		name_remote(&m, "198.51.100.7", 80);
		cr_assert_eq(error_of(g, udp_host(3), &m), 0);
		g->rule.ipsec = pairs[i].configure != no_ipsec;
		m = req_ipsec(id, 1, 3);
		name_remote(&m, "198.51.100.7", 80);
		pairs[i].spoil(&m);

		struct lent before = gateway_lent(g), after;
		uint64_t expires = client_of(g, udp_host(3))->expires;

		broken_data_plane(g);
		uint16_t error = error_of(g, udp_host(3), &m);

		cr_expect_eq(error, pairs[i].error, "%s: %u", pairs[i].name, error);
		after = gateway_lent(g);
		cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0, "%s: something was taken", pairs[i].name);
		cr_expect_eq(client_of(g, udp_host(3))->expires, expires);
		gateway_free(g);
	}
}

/* The checks that come before a bind matters. covers: E-02 E-03 REG-01 REG-12 REG-21 EXT-04 FREE-02 QRY-06 FAIL-05 */
Test(session, state_errors_in_order)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2), other = gateway_register(g, 3);
	struct msg rows[] = {
		req_deregister(77, 2), req_rsap(77, 1, 2), req_ipsec(77, 1, 2), req_extend(77, 5, 1, 2),
		req_free(77, 5, 2), req_query(77, 2),
	};
	static const uint8_t twice_the_client[] = { 1, 12, 0, 32, 4, 0, 4, 0, 0, 0, 9, 4, 0, 4, 0, 0, 0, 9,
						    5, 0, 4, 0, 0, 0, 1, 11, 0, 4, 0, 0, 0, 2 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rows[i].counter = 2 + 2 * i;
		cr_expect_eq(error_of(g, udp_host(9), &rows[i]), 301, "message %u", rows[i].type);
		cr_expect_eq(error_of(g, tcp_host(9), &rows[i]), 301, "message %u", rows[i].type);
		cr_expect_eq(error_of(g, udp_host(2), &rows[i]), 305, "message %u", rows[i].type);
		rows[i].client_id = other;
		rows[i].counter++;
		cr_expect_eq(error_of(g, udp_host(2), &rows[i]), 305, "message %u with the ID of another host", rows[i].type);
		if (rows[i].type != RSIP_DEREGISTER_REQUEST)
			cr_expect_eq(error_of(g, tcp_host(2), &rows[i]), 101, "the transport comes before the ID");
	}
	cr_expect_not_null(lease_client_by_id(session_leases(g->s), other));
	rows[3].client_id = id;
	rows[3].counter = 1000;
	cr_expect_eq(error_of(g, udp_host(2), &rows[3]), 306);

	gateway_input(g, udp_host(9), twice_the_client, sizeof(twice_the_client));
	cr_assert_eq(g->sent, 1);
	cr_expect_eq(g->box[0].data[8], 202, "parse errors do not show who is registered");

	g->config.client_count = 0;
	struct msg m = req_register(2000);

	cr_expect_eq(error_of(g, udp_host(9), &m), 304);
	cr_expect_eq(error_of(g, udp_host(2), &m), 302, "302 comes before 304");
	g->config.client_count = 1;
	gateway_free(g);
}

/* --- leases and time ------------------------------------------------------------------------------ */

/* covers: RSAP-20 LSE-08 */
Test(session, lease_times_are_clamped)
{
	static const struct { uint32_t wish, granted; bool named; } rows[] = {
		{ 0, 600, false }, { 0, 600, true }, { 1, 1, true }, { 600, 600, true }, { 3600, 3600, true },
		{ 3601, 3600, true }, { UINT32_MAX, 3600, true },
	};
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2), counter = 2;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct msg m = req_rsap(id, 1, counter++), answer;

		if (rows[i].named)
			ask_lease(&m, rows[i].wish);
		answer = gateway_call(g, udp_host(2), &m);
		cr_expect_eq(answer.lease, rows[i].granted, "%u: %u", rows[i].wish, answer.lease);
	}
	gateway_free(g);
}

/* covers: EXT-08 EXT-02 EXT-06 LSE-03 FAIL-10 */
Test(session, extend)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_ipsec(id, 1, 2);
	struct datapath_bind bind;
	uint64_t before;

	ask_lease(&m, 1000);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 1000);
	m = req_extend(id, 1, 1, 3);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 1000, "never nearer than promised");
	gateway_wait(g, 500 * SECOND + 1);
	m = req_extend(id, 1, 2, 4);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 499, "rounded down");
	cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
	before = bind.ends;
	m = req_extend(id, 1, 1800, 5);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 1800);
	cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
	cr_expect_eq(bind.ends - before, 1800 * SECOND - 500 * SECOND + 1, "the data plane knows the end as well");
	gateway_wait(g, 1800 * SECOND - 1);
	cr_expect_eq(datapath_fake_binds(g->dp), 1);
	gateway_wait(g, 1);
	cr_expect_eq(datapath_fake_binds(g->dp), 0);
	gateway_free(g);
}

/* covers: LSE-06 LSE-07 LSE-04 REG-13 ASY-05 EXT-09 T-23 */
Test(session, what_runs_out_is_gone_and_the_host_is_told)
{
	static const uint8_t free_response[] = { 1, 13, 0, 25, 4, 0, 4, 0, 0, 0, 0, 5, 0, 4, 0, 0, 0, 1, 11, 0, 4, 0, 0, 0, 0 };
	static const uint8_t deregister[] = { 1, 5, 0, 18, 4, 0, 4, 0, 0, 0, 0, 11, 0, 4, 0, 0, 0, 0 };
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2), id_be = htonl(id);
	struct msg m = req_ipsec(id, 2, 2);
	uint8_t expected[25];

	ask_lease(&m, 2);
	uint32_t spi = gateway_call(g, udp_host(2), &m).spis.first;

	gateway_wait(g, 1999);
	cr_expect_eq(g->sent, 0);
	cr_expect_eq(datapath_fake_spi(g->dp, ip4("192.0.2.1"), spi), udp_host(2).source);
	gateway_wait(g, 1);
	cr_expect_eq(datapath_fake_spi(g->dp, ip4("192.0.2.1"), spi), 0);
	cr_assert_eq(g->sent, 1);
	memcpy(expected, free_response, sizeof(free_response));
	memcpy(expected + 7, &id_be, sizeof(id_be));
	cr_expect_eq(g->box[0].len, sizeof(free_response));
	cr_expect_eq(memcmp(g->box[0].data, expected, sizeof(free_response)), 0);
	m = req_extend(id, 1, 60, 3);
	cr_expect_eq(error_of(g, udp_host(2), &m), 306);

	gateway_wait(g, 598 * SECOND - 1);
	cr_expect_eq(datapath_fake_clients(g->dp), 1);
	gateway_wait(g, 1);
	cr_assert_eq(g->sent, 1);
	memcpy(expected, deregister, sizeof(deregister));
	memcpy(expected + 7, &id_be, sizeof(id_be));
	cr_expect_eq(g->box[0].len, sizeof(deregister));
	cr_expect_eq(memcmp(g->box[0].data, expected, sizeof(deregister)), 0);
	cr_expect_eq(datapath_fake_clients(g->dp), 0);
	m = req_query(id, 4);
	cr_expect_eq(error_of(g, udp_host(2), &m), 301);
	gateway_free(g);
}

/* Even when the timer is late, nothing is used after its time. covers: EXT-09 LSE-07 */
Test(session, a_late_timer_changes_nothing)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_rsap(id, 1, 2);

	gateway_call(g, udp_host(2), &m);
	g->now += 600 * SECOND;
	m = req_extend(id, 1, 600, 3);
	uint8_t data[64];
	size_t len = msg_encode(&m, data, sizeof(data));

	gateway_input(g, udp_host(2), data, len);
	cr_assert_eq(g->sent, 3);
	cr_expect_eq(g->box[0].data[1], RSIP_FREE_RESPONSE);
	cr_expect_eq(g->box[1].data[1], RSIP_DEREGISTER_RESPONSE);
	cr_expect_eq(g->box[2].data[1], RSIP_ERROR_RESPONSE);
	cr_expect_eq((g->box[2].data[7] << 8) + g->box[2].data[8], 301);
	gateway_free(g);
}

/* covers: RSAP-16 IPS-19 ADM-08 FREE-04 */
Test(session, freed_tuples_rest_for_everyone)
{
	struct gateway *g = gateway_new();
	uint32_t id, counter = 2;
	struct msg m;

	g->range.last = g->range.first;
	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_ipsec(id, 1, counter++);
	name_local(&m, "192.0.2.1", 5060, 1);
	m.spis = (struct msg_spis){ .form = MSG_RUN, .first = 0x1000, .count = 1 };
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	m = req_free(id, 1, counter++);
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	cr_expect_eq(g->box[0].binds, 0, "it is gone before the answer leaves");
	for (unsigned int i = 0; i < 2; i++) {
		m = req_rsap(id, 1, counter++);
		name_local(&m, "192.0.2.1", 5060, 1);
		cr_expect_eq(error_of(g, udp_host(2), &m), i ? 0 : 311);
		m = req_ipsec(id, 1, counter++);
		m.spis = (struct msg_spis){ .form = MSG_RUN, .first = 0x1000, .count = 1 };
		cr_expect_eq(error_of(g, udp_host(2), &m), i ? 0 : 403);
		gateway_wait(g, i ? 0 : 120 * SECOND);
	}
	cr_expect_eq(session_counters(g->s)->errors[311], 1);
	cr_expect_eq(session_counters(g->s)->errors[403], 1, "the last of the codes");
	gateway_free(g);
}

/* More than is looked at in one go has rested: the next go is at once. */
Test(session, what_has_rested_is_free_in_parts)
{
	struct gateway *g = gateway_new();
	const uint32_t each = POOL_TICK_MAX / 2 + 8;

	gateway_start(g);
	for (uint32_t n = 2; n < 4; n++) {
		uint32_t id = gateway_register(g, n), counter = 2;

		for (uint32_t i = 1; i <= each; i++) {
			struct msg m = req_rsap(id, 1, counter++);

			m = req_free(id, gateway_call(g, udp_host(n), &m).bind_id, counter++);
			cr_assert_eq(error_of(g, udp_host(n), &m), 0);
		}
	}
	g->now += 120 * SECOND;
	cr_expect_eq(session_tick(g->s, g->now), g->now + 1);
	cr_expect_eq(gateway_lent(g).ports_resting, 16);
	cr_expect_gt(session_tick(g->s, g->now), g->now + 1);
	cr_expect_eq(gateway_lent(g).ports_resting, 0);
	gateway_free(g);
}

/* Before it stops, the gateway grants for no longer than a registration lasts. covers: ADM-06 */
Test(session, leases_of_a_gateway_that_drains)
{
	struct gateway *g = gateway_new();
	struct msg m;
	uint32_t id;

	gateway_start(g);
	id = gateway_register(g, 2);
	sessions_drain(g->s, true);
	gateway_wait(g, 100 * SECOND);
	m = req_rsap(id, 1, 2);
	ask_lease(&m, 30);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 30);
	m = req_rsap(id, 1, 3);
	ask_lease(&m, 600);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 500, "what the registration has left");
	m = req_extend(id, 1, 600, 4);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 500);
	gateway_free(g);
}

/* covers: REG-09 REG-14 ADM-03 FREE-08 */
Test(session, the_operator_and_the_end)
{
	struct gateway *g = start();
	uint32_t ids[4];
	struct msg m;

	for (unsigned int i = 0; i < 4; i++) {
		ids[i] = gateway_register(g, i + 2);
		m = req_ipsec(ids[i], 4, 2);
		gateway_call(g, udp_host(i + 2), &m);
		m = req_rsap(ids[i], 4, 3);
		gateway_call(g, udp_host(i + 2), &m);
	}
	cr_expect(!session_free_bind(g->s, ids[0], 3, g->now));
	cr_expect(!session_free_bind(g->s, 1, 1, g->now));
	cr_expect(!session_evict(g->s, 1, g->now));
	cr_expect(session_free_bind(g->s, ids[0], 2, g->now));
	cr_expect_eq(datapath_fake_binds(g->dp), 7);
	cr_expect(session_evict(g->s, ids[1], g->now));
	cr_expect_eq(datapath_fake_binds(g->dp), 5);
	m = req_query(ids[1], 4);
	cr_expect_eq(error_of(g, udp_host(3), &m), 301);

	g->sent = 0;
	sessions_stop(g->s, g->now);
	cr_expect_eq(g->sent, 3);
	for (unsigned int i = 0; i < g->sent; i++)
		cr_expect_eq(g->box[i].data[1], RSIP_DEREGISTER_RESPONSE);
	cr_expect_eq(datapath_fake_clients(g->dp) + datapath_fake_binds(g->dp), 0);
	cr_expect_eq(gateway_lent(g).grants, 0);
	gateway_wait(g, 120 * SECOND);
	cr_expect_eq(gateway_lent(g).spis_resting + gateway_lent(g).ports_resting, 0);
	gateway_free(g);
}

/* Bytes do not stop at a reboot of the host: what it leaves rests. covers: REG-09 REG-24 */
Test(session, a_thousand_times_in_and_out)
{
	struct gateway *g = start();
	struct msg m;

	for (unsigned int i = 0; i < 1000; i++) {
		uint32_t id = gateway_register(g, 2);

		m = req_rsap(id, 8, 2);
		cr_assert_eq(error_of(g, udp_host(2), &m), 0);
		m = req_deregister(id, 3);
		cr_assert_eq(gateway_call(g, udp_host(2), &m).type, RSIP_DEREGISTER_RESPONSE);
	}
	cr_expect_eq(gateway_lent(g).ports_resting, 8000);
	gateway_wait(g, 120 * SECOND);
	cr_expect_eq(gateway_lent(g).ports_resting, 0);
	gateway_free(g);
}

/* --- the data plane ------------------------------------------------------------------------------- */

/* What is given to the data plane is what is answered. covers: FLOW-03 FLOW-10 FLOW-11 IN-25 IPS-22 RSAP-14 TUN-08 */
Test(session, binds_in_the_data_plane)
{
	static const struct {
		uint8_t local, remote;		/* flow policy */
		bool ipsec, remote_port;	/* of the request */
		uint16_t port_tied;
		bool addr_tied;
	} rows[] = {
		{ RSIP_POLICY_MACRO, RSIP_POLICY_NONE, false, true, 0, false },
		{ RSIP_POLICY_MICRO, RSIP_POLICY_NONE, true, false, 0, false },
		{ RSIP_POLICY_MACRO, RSIP_POLICY_MACRO, false, true, 0, true },
		{ RSIP_POLICY_MICRO, RSIP_POLICY_MACRO, true, false, 0, true },
		{ RSIP_POLICY_MACRO, RSIP_POLICY_MICRO, false, true, 443, true },
		{ RSIP_POLICY_MICRO, RSIP_POLICY_MICRO, false, true, 443, true },
		{ RSIP_POLICY_MICRO, RSIP_POLICY_MICRO, true, true, 443, true },
		{ RSIP_POLICY_MICRO, RSIP_POLICY_MICRO, true, false, 0, true },	/* don't-need wins */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = gateway_new();
		struct datapath_bind bind;
		struct msg m = req_register(1), answer;

		g->rule.local_policy = rows[i].local;
		g->rule.remote_policy = rows[i].remote;
		gateway_start(g);
		answer = gateway_call(g, udp_host(2), &m);
		cr_expect_eq(answer.local_policy, rows[i].local);
		cr_expect_eq(answer.remote_policy, rows[i].remote);
		m = rows[i].ipsec ? req_ipsec(answer.client_id, 2, 2) : req_rsap(answer.client_id, 1, 2);
		name_remote(&m, "198.51.100.7", rows[i].remote_port ? 443 : 0);
		ask_tunnel(&m, RSIP_TUNNEL_GRE);
		answer = gateway_call(g, udp_host(2), &m);
		cr_assert_neq(answer.type, RSIP_ERROR_RESPONSE, "row %zu: %u", i, answer.error);
		cr_expect_eq(g->box[0].binds, 1, "it is there before the answer leaves");

		cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
		cr_expect_eq(bind.gateway, ip4(GATEWAY_NA));
		cr_expect_eq(bind.addr, ip4("192.0.2.1"));
		cr_expect_eq(bind.tunnel, RSIP_TUNNEL_GRE);
		cr_expect_eq(bind.ipsec, rows[i].ipsec);
		cr_expect_eq(bind.remote, rows[i].addr_tied ? ip4("198.51.100.7") : 0, "row %zu", i);
		cr_expect_eq(bind.remote_port, htons(rows[i].port_tied), "row %zu", i);

		cr_expect_eq(answer.tunnels[0], RSIP_TUNNEL_GRE);
		cr_expect_eq(answer.remote.any, !rows[i].addr_tied, "row %zu", i);
		if (rows[i].addr_tied)
			cr_expect_eq(answer.remote.v4, ip4("198.51.100.7"));
		if (rows[i].ipsec && !rows[i].remote_port)
			cr_expect_eq(answer.rports.form, MSG_NOT_NEEDED);
		else if (rows[i].port_tied)
			cr_expect(answer.rports.form == MSG_RUN && answer.rports.first == 443 && answer.rports.count == 1);
		else
			cr_expect(answer.rports.form == MSG_ANY && answer.rports.count == 1);
		gateway_free(g);
	}
}

/* Every call that can fail, at each of its places in a session. covers: E-07 E-05 SCALE-06 IPS-18 */
Test(session, roll_back_at_each_failing_call)
{
	struct gateway *g = start();
	struct lent none = gateway_lent(g), lent;
	struct msg m = req_register(1), answer;
	uint32_t id;

	datapath_fake_fail(g->dp, 1, -ENOSPC);
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.error, 104);
	cr_expect_eq(answer.has & MSG_HAS(RSIP_PARAM_CLIENT_ID), 0);
	cr_expect_eq(lease_client_count(session_leases(g->s)), 0);
	id = gateway_register(g, 2);

	for (unsigned int i = 0; i < 4; i++) {
		struct msg request = i % 2 ? req_rsap(id, 16, 10 + 2 * i) : req_ipsec(id, 300, 10 + 2 * i);
		uint64_t expires = client_of(g, udp_host(2))->expires;

		if (!(i % 2))
			request.lports = (struct msg_ports){ .form = MSG_ANY, .count = 3 };
		ask_lease(&request, 3600);
		lent = gateway_lent(g);
		datapath_fake_fail(g->dp, 1, -ENOMEM);
		answer = gateway_call(g, udp_host(2), &request);
		cr_expect_eq(answer.error, 104);
		cr_expect_eq(answer.client_id, id);
		none = gateway_lent(g);
		cr_expect_eq(memcmp(&lent, &none, sizeof(lent)), 0, "call %u: nothing is taken, nothing rests", i);
		cr_expect_eq(datapath_fake_binds(g->dp), i);
		cr_expect_eq(client_of(g, udp_host(2))->bind_count, i);
		if (i == 0)
			cr_expect_eq(client_of(g, udp_host(2))->expires, expires, "R is as before");
		request.counter++;
		cr_expect_eq(gateway_call(g, udp_host(2), &request).bind_id, i + 1);
	}
	gateway_free(g);
}

/* covers: SCALE-06 SEC-01 */
Test(session, limits_of_a_host)
{
	struct gateway *g = gateway_new();
	uint32_t id;
	struct msg m;

	g->rule.max_binds = 3;
	g->rule.max_ports = 10;
	g->rule.max_spis = 8;
	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_rsap(id, 11, 2);
	cr_expect_eq(error_of(g, udp_host(2), &m), 309);
	m = req_ipsec(id, 9, 3);
	cr_expect_eq(error_of(g, udp_host(2), &m), 402);
	m = req_rsap(id, 6, 4);
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	m = req_rsap(id, 5, 5);
	cr_expect_eq(error_of(g, udp_host(2), &m), 309);
	m = req_ipsec(id, 8, 6);
	m.lports = (struct msg_ports){ .form = MSG_ANY, .count = 4 };
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	m = req_ipsec(id, 1, 7);
	cr_expect_eq(error_of(g, udp_host(2), &m), 402);
	m = req_free(id, 2, 8);
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	for (unsigned int i = 0; i < 2; i++) {
		m = req_ipsec(id, 1, 9 + i);
		cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	}
	m = req_ipsec(id, 1, 11);
	cr_expect_eq(error_of(g, udp_host(2), &m), 308);
	gateway_free(g);
}

/* covers: FLOW-14 W-16 */
Test(session, names_and_ipv6)
{
	static const struct { uint8_t policy; uint16_t error; } rows[] = {
		{ RSIP_POLICY_NONE, 0 }, { RSIP_POLICY_MACRO, 314 }, { RSIP_POLICY_MICRO, 314 },
	};

	for (size_t i = 0; i < 3; i++) {
		struct gateway *g = gateway_new();
		uint32_t id;
		struct msg m;

		g->rule.remote_policy = rows[i].policy;
		gateway_start(g);
		id = gateway_register(g, 2);
		m = req_rsap(id, 1, 2);
		name_remote(&m, "198.51.100.7", 80);
		m.remote = (struct msg_addr){ .type = RSIP_ADDR_FQDN, .name_len = 9, .name = (const uint8_t *)"y.example" };
		cr_expect_eq(error_of(g, udp_host(2), &m), rows[i].error);
		m.remote = (struct msg_addr){ .type = RSIP_ADDR_IPV6, .v6 = { 0x20, 1 } };
		m.counter = 3;
		cr_expect_eq(error_of(g, udp_host(2), &m), rows[i].error);
		cr_expect_eq(datapath_fake_binds(g->dp), rows[i].error ? 0 : 2);

		name_remote(&m, "198.51.100.7", 80);
		m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV6, .v6 = { 0x20, 1 } };
		m.counter = 4;
		cr_expect_eq(error_of(g, udp_host(2), &m), 312);
		m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV6, .any = true };
		m.counter = 5;
		cr_expect_eq(error_of(g, udp_host(2), &m), 308);
		gateway_free(g);
	}
}

/* Under micro policy one tuple belongs to one bind. covers: FLOW-17 FLOW-02 FLOW-16 REG-20 */
Test(session, micro_policy)
{
	struct gateway *g = gateway_new();
	uint32_t id;
	struct msg m;

	g->rule.local_policy = RSIP_POLICY_MICRO;
	g->rule.remote_policy = RSIP_POLICY_MICRO;
	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_rsap(id, 1, 2);
	name_local(&m, "192.0.2.1", 5060, 1);
	name_remote(&m, "198.51.100.7", 80);
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	m.counter = 3;
	name_remote(&m, "198.51.100.8", 80);
	cr_expect_eq(error_of(g, udp_host(2), &m), 311);
	m.counter = 4;
	name_local(&m, "192.0.2.1", 5061, 2);
	cr_expect_eq(error_of(g, udp_host(2), &m), 103);
	/* A change of policy is for the next registration. */
	g->rule.local_policy = RSIP_POLICY_MACRO;
	m.counter = 5;
	cr_expect_eq(error_of(g, udp_host(2), &m), 103);
	m = req_deregister(id, 6);
	gateway_call(g, udp_host(2), &m);
	id = gateway_register(g, 2);
	m = req_rsap(id, 2, 7);
	name_remote(&m, "198.51.100.8", 80);
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	gateway_free(g);
}

/* --- many hosts ------------------------------------------------------------------------------------- */

/* covers: REG-03 REG-23 SCALE-01 IPS-12 */
Test(session, a_thousand_hosts)
{
	struct gateway *g = start();
	uint32_t *ids = calloc(1000, sizeof(*ids));

	for (unsigned int i = 0; i < 1000; i++) {
		struct msg m;

		ids[i] = gateway_register(g, i + 2);
		for (unsigned int k = 0; k < i; k++)
			cr_assert_neq(ids[i], ids[k]);
		m = req_ipsec(ids[i], 8, 2);
		cr_assert_eq(error_of(g, udp_host(i + 2), &m), 0);
	}
	cr_expect_eq(datapath_fake_clients(g->dp), 1000);
	cr_expect_eq(datapath_fake_binds(g->dp), 1000);
	cr_expect_eq(gateway_lent(g).spis_leased, 8000);
	free(ids);
	gateway_free(g);
}

/* The model: what each host holds, in plain arrays that are searched from end to end. */
#define HOSTS		24
#define HOST_BINDS	6
#define PORTS		128
#define SPIS		128
#define HOLD		30

struct model_bind {
	uint32_t bind_id;		/* 0: none */
	uint64_t expires;
	uint16_t ports[8], port_count;
	uint32_t spis[8], spi_count;
};

struct model_host {
	uint32_t id, counter;		/* id 0: not registered */
	uint64_t expires;
	struct model_bind binds[HOST_BINDS];
};

struct model {
	struct model_host hosts[HOSTS];
	uint64_t port_free_at[PORTS], spi_free_at[SPIS];	/* UINT64_MAX: leased */
};

static void model_end_bind(struct model *model, struct model_bind *bind, uint64_t when)
{
	for (unsigned int i = 0; i < bind->port_count; i++)
		model->port_free_at[bind->ports[i] - 2000] = when + HOLD * SECOND;
	for (unsigned int i = 0; i < bind->spi_count; i++)
		model->spi_free_at[bind->spis[i] - 0x1000] = when + HOLD * SECOND;
	bind->bind_id = 0;
}

static void model_end_host(struct model *model, struct model_host *host, uint64_t when)
{
	for (unsigned int i = 0; i < HOST_BINDS; i++) {
		if (host->binds[i].bind_id)
			model_end_bind(model, &host->binds[i], when);
	}
	host->id = 0;
}

static void model_expire(struct model *model, uint64_t now)
{
	for (unsigned int h = 0; h < HOSTS; h++) {
		struct model_host *host = &model->hosts[h];

		for (unsigned int i = 0; i < HOST_BINDS; i++) {
			if (host->binds[i].bind_id && host->binds[i].expires <= now)
				model_end_bind(model, &host->binds[i], host->binds[i].expires);
		}
		if (host->id && host->expires <= now)
			model_end_host(model, host, host->expires);
	}
}

static unsigned int count_free(const uint64_t *free_at, unsigned int n, uint64_t now)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < n; i++)
		count += free_at[i] <= now;
	return count;
}

/* Takes one value; it must have been free. */
static void model_take(uint64_t *free_at, uint64_t now)
{
	cr_assert_leq(*free_at, now, "lent twice, or before it has rested");
	*free_at = UINT64_MAX;
}

static void model_assign(struct gateway *g, struct model *model, unsigned int h, struct model_bind *bind)
{
	struct model_host *host = &model->hosts[h];
	unsigned int ports = random() % 9, spis = random() % 9;
	struct msg m, answer;
	uint16_t expected = 0;

	if (!ports && !spis)
		return;
	m = spis ? req_ipsec(host->id, spis, ++host->counter) : req_rsap(host->id, ports, ++host->counter);
	if (ports)
		m.lports = (struct msg_ports){ .form = MSG_ANY, .count = ports };
	ask_lease(&m, 1 + random() % 90);
	if (count_free(model->port_free_at, PORTS, g->now) < ports)
		expected = 309;
	else if (count_free(model->spi_free_at, SPIS, g->now) < spis)
		expected = 402;
	answer = gateway_call(g, udp_host(h + 2), &m);
	cr_assert_eq(answer.type == RSIP_ERROR_RESPONSE ? answer.error : 0, expected);
	if (expected)
		return;
	*bind = (struct model_bind){ answer.bind_id, g->now + answer.lease * SECOND, .port_count = ports, .spi_count = spis };
	if (bind->expires > host->expires)
		host->expires = bind->expires;
	for (unsigned int i = 0; i < ports; i++) {
		bind->ports[i] = msg_port_at(&answer.lports, i);
		model_take(&model->port_free_at[bind->ports[i] - 2000], g->now);
	}
	for (unsigned int i = 0; i < spis; i++) {
		bind->spis[i] = msg_spi_at(&answer.spis, i);
		model_take(&model->spi_free_at[bind->spis[i] - 0x1000], g->now);
	}
}

static void model_step(struct gateway *g, struct model *model)
{
	unsigned int h = random() % HOSTS;
	struct model_host *host = &model->hosts[h];
	struct model_bind *bind = &host->binds[random() % HOST_BINDS];
	struct msg m, answer;

	if (!host->id) {
		m = req_register(++host->counter);
		answer = gateway_call(g, udp_host(h + 2), &m);
		cr_assert_eq(answer.type, RSIP_REGISTER_RESPONSE);
		host->id = answer.client_id;
		host->expires = g->now + answer.lease * SECOND;
	} else if (random() % 40 == 0) {
		m = req_deregister(host->id, ++host->counter);
		cr_assert_eq(gateway_call(g, udp_host(h + 2), &m).type, RSIP_DEREGISTER_RESPONSE);
		model_end_host(model, host, g->now);
	} else if (!bind->bind_id) {
		model_assign(g, model, h, bind);
	} else if (random() % 3 == 0) {
		m = req_extend(host->id, bind->bind_id, random() % 120, ++host->counter);
		answer = gateway_call(g, udp_host(h + 2), &m);
		cr_assert_eq(answer.type, RSIP_EXTEND_RESPONSE);
		uint64_t expires = g->now + (m.lease ? m.lease : g->config.leases.normal) * SECOND;

		bind->expires = expires > bind->expires ? expires : bind->expires;
		host->expires = bind->expires > host->expires ? bind->expires : host->expires;
	} else {
		m = req_free(host->id, bind->bind_id, ++host->counter);
		cr_assert_eq(gateway_call(g, udp_host(h + 2), &m).type, RSIP_FREE_RESPONSE);
		model_end_bind(model, bind, g->now);
	}
}

/* Pool, leases and data plane hold what the model says, no more and no less. */
static void compare(const struct gateway *g, const struct model *model)
{
	uint32_t hosts = 0, binds = 0, ports = 0, spis = 0;
	struct lent lent = gateway_lent(g);

	for (unsigned int h = 0; h < HOSTS; h++) {
		const struct model_host *host = &model->hosts[h];
		const struct client *client = client_of(g, udp_host(h + 2));

		hosts += host->id != 0;
		cr_assert_eq(client ? client->client_id : 0, host->id);
		if (client)
			cr_assert_eq(client->expires, host->expires);
		for (unsigned int i = 0; host->id && i < HOST_BINDS; i++) {
			const struct model_bind *bind = &host->binds[i];

			if (!bind->bind_id)
				continue;
			binds++;
			ports += bind->port_count;
			spis += bind->spi_count;
			for (unsigned int k = 0; k < bind->port_count; k++)
				cr_assert_eq(datapath_fake_port(g->dp, ip4("192.0.2.1"), bind->ports[k]), udp_host(h + 2).source);
			for (unsigned int k = 0; k < bind->spi_count; k++)
				cr_assert_eq(datapath_fake_spi(g->dp, ip4("192.0.2.1"), bind->spis[k]), udp_host(h + 2).source);
		}
	}
	cr_assert_eq(datapath_fake_clients(g->dp), hosts);
	cr_assert_eq(datapath_fake_binds(g->dp), binds);
	cr_assert_eq(lease_bind_count(session_leases(g->s)), binds);
	cr_assert_eq(lent.grants, binds);
	cr_assert_eq(lent.ports_leased, ports);
	cr_assert_eq(lent.spis_leased, spis);
	cr_assert_null(datapath_fake_fault(g->dp), "%s", datapath_fake_fault(g->dp));
}

/* covers: ADM-07 RSAP-13 IPS-13 LSE-03 LSE-04 LSE-05 LSE-06 FREE-04 RSAP-16 IPS-19 RSAP-09 IPS-06 */
Test(session, random_operations_of_many_hosts_agree_with_a_naive_model)
{
	struct gateway *g = gateway_new();
	struct model *model = calloc(1, sizeof(*model));

	g->range.last = g->range.first;
	g->pool.ports = (struct num_range){ 2000, 2000 + PORTS - 1 };
	g->pool.spis = (struct num_range){ 0x1000, 0x1000 + SPIS - 1 };
	g->config.leases.registration = 60;
	g->config.leases.normal = 50;
	g->config.leases.hold_down = HOLD;
	gateway_start(g);
	srandom(3104);
	for (unsigned int step = 0; step < 40000; step++) {
		gateway_wait(g, random() % 700);
		model_expire(model, g->now);
		model_step(g, model);
		if (step % 16 == 0)
			compare(g, model);
	}
	sessions_stop(g->s, g->now);
	gateway_wait(g, HOLD * SECOND);
	struct lent lent = gateway_lent(g), none = { 0 };

	cr_expect_eq(memcmp(&lent, &none, sizeof(lent)), 0, "something is lost");
	free(model);
	gateway_free(g);
}

/* --- cost ----------------------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* 300 times assign, extend and free of one host, the best of 7. */
static double cost_of_requests(struct gateway *g, uint32_t id, uint32_t *counter)
{
	double best = 1e9;

	for (unsigned int round = 0; round < 7; round++) {
		double begin = cpu_seconds(), took;

		for (unsigned int i = 0; i < 300; i++) {
			struct msg m = req_ipsec(id, 4, ++*counter), answer;

			m.lports = (struct msg_ports){ .form = MSG_ANY, .count = 4 };
			answer = gateway_call(g, udp_host(2), &m);
			cr_assert_eq(answer.type, RSIP_ASSIGN_RESPONSE_RSIPSEC, "%u", answer.error);
			m = req_extend(id, answer.bind_id, 1000, ++*counter);
			gateway_call(g, udp_host(2), &m);
			m = req_free(id, answer.bind_id, ++*counter);
			gateway_call(g, udp_host(2), &m);
		}
		took = cpu_seconds() - begin;
		best = took < best ? took : best;
	}
	return best;
}

/* 100,000 binds of 1000 hosts instead of 1000: no request may look at them all. */
Test(session, cost_does_not_grow_with_the_number_of_binds)
{
	struct gateway *g = gateway_new();
	uint32_t *ids = calloc(1000, sizeof(*ids)), id, counter = 1;
	double small, large;

	g->config.leases.hold_down = 0;
	gateway_start(g);
	id = gateway_register(g, 2);
	for (unsigned int bind = 0; bind < 100; bind++) {
		for (unsigned int i = 0; i < 1000; i++) {
			struct msg m;

			if (!bind)
				ids[i] = gateway_register(g, i + 3);
			m = req_ipsec(ids[i], 2, 2 + bind);
			m.lports = (struct msg_ports){ .form = MSG_ANY, .count = 2 };
			cr_assert_eq(error_of(g, udp_host(i + 3), &m), 0);
		}
		if (!bind)
			small = cost_of_requests(g, id, &counter);
	}
	large = cost_of_requests(g, id, &counter);
	cr_expect_eq(datapath_fake_binds(g->dp), 100000);
	cr_expect_lt(large, 8 * small, "%.0f us became %.0f us", small * 1e6, large * 1e6);
	free(ids);
	gateway_free(g);
}

/* Hundreds of leases run out together: a call ends some of them, and nobody waits for the rest. covers: EXT-09 */
Test(session, many_that_run_out_hold_up_nobody)
{
	struct gateway *g = gateway_new();
	uint32_t ids[400], rounds = 0;
	struct msg m, answer;

	gateway_start(g);
	for (unsigned int i = 0; i < 400; i++) {
		ids[i] = gateway_register(g, 100 + i);
		m = req_rsap(ids[i], 1, 2);
		m.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
		m.lease = 10;
		cr_assert_eq(gateway_call(g, udp_host(100 + i), &m).type, RSIP_ASSIGN_RESPONSE_RSAP);
	}
	g->now += 20000;

	/* It is told that its bind is over, and that there is none. */
	m = req_extend(ids[399], 1, 100, 3);
	gateway_input(g, udp_host(499), NULL, 0);
	cr_expect_eq(lease_bind_count(session_leases(g->s)), 399, "the timers of others are not its business");
	answer = gateway_call(g, udp_host(499), &m);
	cr_expect_eq(answer.error, RSIP_E_BAD_BIND_ID);

	for (; lease_bind_count(session_leases(g->s)); rounds++) {
		uint32_t before = lease_bind_count(session_leases(g->s));

		g->sent = 0;
		cr_assert_gt(session_tick(g->s, g->now), g->now);
		cr_assert_leq(before - lease_bind_count(session_leases(g->s)), LEASE_EXPIRE_MAX);
	}
	cr_expect_eq(rounds, (399 + LEASE_EXPIRE_MAX - 1) / LEASE_EXPIRE_MAX);
	gateway_free(g);
}

/* covers: SCALE-01 SCALE-02 */
Test(session, a_hundred_hosts_share_an_address)
{
	struct gateway *g = gateway_new();
	__be32 address = ip4("192.0.2.1");
	struct msg m, answer;

	g->range.last = g->range.first;
	gateway_start(g);
	for (unsigned int i = 0; i < 100; i++) {
		m = req_rsap(gateway_register(g, 100 + i), 100, 2);
		answer = gateway_call(g, udp_host(100 + i), &m);
		cr_assert_eq(answer.type, RSIP_ASSIGN_RESPONSE_RSAP, "error %u", answer.error);
		cr_assert_eq(answer.local.v4, address);
		for (unsigned int j = 0; j < 100; j++)
			cr_assert_eq(datapath_fake_port(g->dp, address, msg_port_at(&answer.lports, j)),
				     udp_host(100 + i).source);
	}
	cr_expect_eq(gateway_lent(g).ports_leased, 10000);
	gateway_free(g);		/* no port was held twice */
}
