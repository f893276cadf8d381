// SPDX-License-Identifier: GPL-2.0-only
/* What hosts hear about packets that they may not send: session_violation(), with simulated time. */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "gateway.h"

#define NB	"192.0.2.1"
#define SECOND	1000ULL

static struct gateway *start(void)
{
	struct gateway *g = gateway_new();

	gateway_start(g);
	return g;
}

/* A packet from NB of host `n`, as the data plane reports it. */
static void violate(struct gateway *g, uint32_t n, enum rsip_outcome outcome, uint32_t bind_id)
{
	const struct rsip_event_violation v = {
		.kind = RSIP_EVENT_VIOLATION, .outcome = outcome, .client = udp_host(n).source, .bind_id = bind_id,
		.src = ip4(NB), .dst = ip4("198.51.100.7"), .sport = htons(1), .dport = htons(80),
	};

	g->sent = 0;
	session_violation(g->s, &v, g->now);
}

/* The only message in the box. */
static struct msg told(const struct gateway *g)
{
	struct msg_fault fault;
	struct msg m;

	cr_assert_eq(g->sent, 1, "%zu messages", g->sent);
	cr_assert(msg_decode(g->box[0].data, g->box[0].len, MSG_AT_HOST, 0, &m, &fault), "%s", fault.text);
	cr_expect_eq(m.type, RSIP_ERROR_RESPONSE);
	return m;
}

/* covers: EG-01 EG-02 EG-03 EG-04 EG-05 EG-08 EG-13 ASY-06 T-23 */
Test(violation, error_of_each_kind)
{
	static const struct {
		enum rsip_outcome outcome;
		uint16_t error;
		bool bind;
	} rows[] = {
		{ RSIP_OUT_TUNNEL, RSIP_E_BAD_TUNNEL_TYPE, true },
		{ RSIP_OUT_ADDRESS, RSIP_E_LOCAL_ADDR_UNALLOWED, false },
		{ RSIP_OUT_NO_PORT, RSIP_E_LOCAL_ADDRPORT_UNALLOWED, false },
		{ RSIP_OUT_REMOTE_ADDRESS, RSIP_E_REMOTE_ADDR_UNALLOWED, true },
		{ RSIP_OUT_REMOTE_PORT, RSIP_E_REMOTE_ADDRPORT_UNALLOWED, true },
		{ RSIP_OUT_NO_IPSEC, RSIP_E_IPSEC_UNALLOWED, false },
	};
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_rsap(id, 1, 2);

	gateway_call(g, udp_host(2), &m);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		violate(g, 2, rows[i].outcome, 1);
		m = told(g);
		cr_expect_eq(m.error, rows[i].error, "row %zu: %u", i, m.error);
		cr_expect_eq(m.client_id, id);
		cr_expect(m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER));
		cr_expect_eq(m.counter, 0);
		cr_expect_eq(!!(m.has & MSG_HAS(RSIP_PARAM_BIND_ID)), rows[i].bind, "row %zu", i);
		if (rows[i].bind)
			cr_expect_eq(m.bind_id, 1);
		cr_expect_eq(g->box[0].to.source, udp_host(2).source);
		cr_expect_eq(session_counters(g->s)->errors[rows[i].error], 1);
	}
	gateway_wait(g, 10 * SECOND);
	violate(g, 2, RSIP_OUT_PROTOCOL, 0);
	cr_expect_eq(told(g).error, RSIP_E_LOCAL_ADDRPORT_UNALLOWED, "a protocol without ports");
	gateway_free(g);
}

/* covers: ASY-06 ASY-08 */
Test(violation, limited_by_host_and_kind)
{
	struct gateway *g = start();

	gateway_register(g, 2);
	gateway_register(g, 3);
	violate(g, 2, RSIP_OUT_NO_PORT, 0);
	cr_expect_eq(g->sent, 1, "the first at once");
	for (unsigned int i = 0; i < 10; i++) {
		gateway_wait(g, SECOND - 1);
		violate(g, 2, RSIP_OUT_NO_PORT, 0);
		cr_expect_eq(g->sent, 0, "again after %u s", i + 1);
	}
	violate(g, 2, RSIP_OUT_PROTOCOL, 0);
	cr_expect_eq(g->sent, 0, "the same error");
	violate(g, 2, RSIP_OUT_ADDRESS, 0);
	cr_expect_eq(g->sent, 1, "another kind");
	violate(g, 3, RSIP_OUT_NO_PORT, 0);
	cr_expect_eq(g->sent, 1, "another host");
	gateway_wait(g, 10);
	violate(g, 2, RSIP_OUT_NO_PORT, 0);
	cr_expect_eq(g->sent, 1, "10 s are over");
	gateway_free(g);
}

/* Who is not registered, and what is no violation, is not told of. covers: ASY-06 SEC-05 */
Test(violation, nobody_to_tell)
{
	struct gateway *g = start();

	gateway_register(g, 2);
	violate(g, 9, RSIP_OUT_NO_PORT, 0);
	cr_expect_eq(g->sent, 0);
	violate(g, 2, RSIP_OUT_COOKIE_TAKEN, 0);
	cr_expect_eq(g->sent, 0, "RFC 3104, 6.1: in silence");
	violate(g, 2, RSIP_OUTCOME_COUNT + 7, 0);
	cr_expect_eq(g->sent, 0);
	gateway_free(g);
}

/* ESP may be held against several binds: the newest on that address is named. covers: EG-03 */
Test(violation, bind_of_esp)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_ipsec(id, 1, 2);

	gateway_call(g, udp_host(2), &m);
	m = req_ipsec(id, 1, 3);
	gateway_call(g, udp_host(2), &m);
	violate(g, 2, RSIP_OUT_REMOTE_ADDRESS, 0);
	cr_expect_eq(told(g).bind_id, 2);
	m = req_ipsec(id, 1, 4);
	m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("192.0.2.9") };
	cr_assert_eq(gateway_call(g, udp_host(2), &m).bind_id, 3);
	gateway_wait(g, 10 * SECOND);
	violate(g, 2, RSIP_OUT_REMOTE_ADDRESS, 0);
	cr_expect_eq(told(g).bind_id, 2, "a newer one is on another address");
	gateway_wait(g, 10 * SECOND);
	violate(g, 2, RSIP_OUT_REMOTE_ADDRESS, 1);
	cr_expect_eq(told(g).bind_id, 1);
	m = req_free(id, 1, 5);
	gateway_call(g, udp_host(2), &m);
	m = req_free(id, 2, 6);
	gateway_call(g, udp_host(2), &m);
	gateway_wait(g, 10 * SECOND);
	violate(g, 2, RSIP_OUT_REMOTE_ADDRESS, 1);
	cr_expect_not(told(g).has & MSG_HAS(RSIP_PARAM_BIND_ID), "it is over");
	gateway_free(g);
}

/* covers: ASY-07 T-26 */
Test(violation, over_tcp)
{
	struct gateway *g = start();
	struct msg m = req_register(0);

	gateway_call(g, tcp_host(2), &m);
	violate(g, 2, RSIP_OUT_NO_PORT, 0);
	m = told(g);
	cr_expect_not(m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER), "this host uses none");
	cr_expect(g->box[0].to.tcp);
	cr_expect_eq(g->box[0].to.connection, tcp_host(2).connection);
	gateway_free(g);
}

/* The gateway stops by a fault: every host is told once, and keeps what it has. covers: FAIL-13 */
Test(violation, fault_stops_the_gateway)
{
	struct gateway *g = start();
	uint32_t id = gateway_register(g, 2);
	struct msg m = req_rsap(id, 1, 2);
	struct restore_counts kept;
	struct msg_fault fault;

	gateway_call(g, udp_host(2), &m);
	m = req_register(0);
	gateway_call(g, tcp_host(3), &m);
	g->sent = 0;
	sessions_fault(g->s);
	cr_assert_eq(g->sent, 2, "%zu messages", g->sent);
	for (size_t i = 0; i < g->sent; i++) {
		bool tcp = g->box[i].to.tcp;

		cr_assert(msg_decode(g->box[i].data, g->box[i].len, MSG_AT_HOST, 0, &m, &fault), "%s", fault.text);
		cr_expect_eq(m.type, RSIP_ERROR_RESPONSE);
		cr_expect_eq(m.error, RSIP_E_INTERNAL_SERVER_ERROR);
		cr_expect_eq(g->box[i].to.source, tcp ? tcp_host(3).source : udp_host(2).source);
		cr_expect_eq(m.has, MSG_HAS(RSIP_PARAM_ERROR) | MSG_HAS(RSIP_PARAM_CLIENT_ID) |
				    (tcp ? 0 : MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER)), "has %llx", (unsigned long long)m.has);
		cr_expect_eq(m.counter, 0);
	}
	cr_expect_neq(g->box[0].to.tcp, g->box[1].to.tcp);
	kept = gateway_restart(g);
	cr_expect_eq(kept.clients, 2);
	cr_expect_eq(kept.binds, 1);
	gateway_free(g);
}
