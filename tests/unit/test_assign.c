// SPDX-License-Identifier: GPL-2.0-only
/*
 * What hosts ask for and get beside ports and SPIs: whole addresses (RSA-IP)
 * and listeners (LISTEN), and what the flow policy makes of each request.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "gateway.h"

#define SECOND 1000ULL

static void name_local(struct msg *m, const char *addr)
{
	m->local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4(addr) };
}

static void name_remote(struct msg *m, const char *addr, uint16_t port)
{
	m->remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4(addr) };
	if (port)
		m->rports = (struct msg_ports){ .form = MSG_RUN, .first = port, .count = 1 };
}

static void ask_tunnels(struct msg *m, unsigned int count, const uint8_t *tunnels)
{
	m->has |= MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
	memcpy(m->tunnels, tunnels, count);
	m->tunnel_count = count;
}

static uint16_t error_of(struct gateway *g, struct origin from, const struct msg *m)
{
	struct msg answer = gateway_call(g, from, m);

	return answer.type == RSIP_ERROR_RESPONSE ? answer.error : 0;
}

static const struct client *client_of(const struct gateway *g, uint32_t host)
{
	return lease_client_by_address(session_leases(g->s), udp_host(host).source);
}

/* Shared: 192.0.2.1 and .2. Whole: .9 to .11. */
static struct gateway *both_kinds(void)
{
	struct gateway *g = gateway_new();

	g->range.last = g->range.first + 1;
	gateway_lend_whole(g, "192.0.2.9", "192.0.2.11");
	return g;
}

/* --- whole addresses --------------------------------------------------------------- */

/* covers: RSA-02 RSA-03 RSA-11 RSA-12 RSA-14 REG-04 SEC-01 EXT-06 */
Test(assign, whole_addresses)
{
	struct gateway *g = both_kinds();
	struct msg m, answer;
	uint32_t id;

	g->rule.max_addresses = 2;
	gateway_start(g);
	m = req_register(1);
	answer = gateway_call(g, udp_host(2), &m);
	id = answer.client_id;
	cr_assert_eq(answer.method_count, 3);
	cr_expect_eq(answer.methods[0], RSIP_METHOD_RSAP);
	cr_expect_eq(answer.methods[1], RSIP_METHOD_RSA);
	cr_expect_eq(answer.methods[2], RSIP_METHOD_RSIPSEC);

	m = req_rsa(id, 2);
	answer = gateway_call(g, udp_host(2), &m);
	cr_assert_eq(answer.type, RSIP_ASSIGN_RESPONSE_RSA);
	cr_expect_eq(answer.bind_id, 1);
	cr_expect_eq(answer.local.v4, ip4("192.0.2.9"), "any address: the first that is free");
	cr_expect_eq(answer.lease, 600);
	cr_expect_eq(answer.tunnels[0], RSIP_TUNNEL_IPIP);
	m = req_rsa(id, 3);
	name_local(&m, "192.0.2.11");
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.local.v4, ip4("192.0.2.11"), "the one that was named");
	cr_expect_eq(answer.bind_id, 2);
	cr_expect_eq(datapath_fake_whole(g->dp, ip4("192.0.2.9")), udp_host(2).source);
	cr_expect_eq(datapath_fake_whole(g->dp, ip4("192.0.2.11")), udp_host(2).source);
	cr_expect_eq(client_of(g, 2)->address_count, 2);
	cr_expect_eq(client_of(g, 2)->port_count, 0);

	m = req_rsa(id, 4);
	cr_expect_eq(error_of(g, udp_host(2), &m), 308, "a third passes the host's limit");
	m = req_extend(id, 1, 1200, 5);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 1200);
	/* A shared address is asked for in between: whole ones are not preferred for it. */
	m = req_rsap(id, 1, 6);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).local.v4, ip4("192.0.2.1"));
	m = req_free(id, 1, 7);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_FREE_RESPONSE);
	cr_expect_eq(datapath_fake_whole(g->dp, ip4("192.0.2.9")), 0);
	cr_expect_eq(client_of(g, 2)->address_count, 1);
	gateway_free(g);
}

/* covers: RSA-04 RSA-05 RSA-06 RSAP-16 */
Test(assign, whole_addresses_run_out)
{
	struct gateway *g = both_kinds();
	uint32_t id, other;
	struct msg m;

	gateway_start(g);
	id = gateway_register(g, 2);
	other = gateway_register(g, 3);
	for (uint32_t i = 0; i < 3; i++) {
		m = req_rsa(id, 2 + i);
		cr_assert_eq(error_of(g, udp_host(2), &m), 0);
		m = req_rsa(other, 2 + i);
		name_local(&m, "192.0.2.9");
		cr_expect_eq(error_of(g, udp_host(3), &m), i < 2 ? 310 : 308, "in use, as long as another is left");
	}
	m = req_rsa(other, 10);
	cr_expect_eq(error_of(g, udp_host(3), &m), 308);
	m = req_rsa(other, 11);
	name_local(&m, "203.0.113.200");
	cr_expect_eq(error_of(g, udp_host(3), &m), 312);

	m = req_free(id, 2, 5);
	gateway_call(g, udp_host(2), &m);
	m = req_rsa(other, 12);
	cr_expect_eq(error_of(g, udp_host(3), &m), 308, "it rests");
	gateway_wait(g, 119 * SECOND);
	m.counter = 13;
	cr_expect_eq(error_of(g, udp_host(3), &m), 308);
	gateway_wait(g, 1 * SECOND);
	m.counter = 14;
	m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = true };
	cr_expect_eq(gateway_call(g, udp_host(3), &m).local.v4, ip4("192.0.2.10"));
	gateway_free(g);
}

/* An address is lent in one way at a time. covers: RSA-07 RSAP-05 IPS-21 E-04 RSA-16 */
Test(assign, whole_or_shared)
{
	struct gateway *g = both_kinds();
	uint32_t id, other;
	struct msg m;

	gateway_start(g);
	id = gateway_register(g, 2);
	other = gateway_register(g, 3);
	m = req_rsap(other, 1, 2);
	name_local(&m, "192.0.2.9");
	cr_expect_eq(error_of(g, udp_host(3), &m), 312, "it is not lent in parts");
	m = req_rsa(id, 2);
	name_local(&m, "192.0.2.1");
	cr_expect_eq(error_of(g, udp_host(2), &m), 312, "it is not lent whole");

	m = req_rsa(id, 3);
	name_local(&m, "192.0.2.9");
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);
	m = req_rsap(other, 1, 3);
	name_local(&m, "192.0.2.9");
	cr_expect_eq(error_of(g, udp_host(3), &m), 310);
	m = req_ipsec(other, 1, 4);
	name_local(&m, "192.0.2.9");
	cr_expect_eq(error_of(g, udp_host(3), &m), 310);
	m = req_listen(other, 80, 5);
	name_local(&m, "192.0.2.9");
	cr_expect_eq(error_of(g, udp_host(3), &m), 310);
	m.client_id = id;
	cr_expect_eq(error_of(g, udp_host(2), &m), 310, "its own whole address is in use as well");

	/* Two RSIPSEC binds share one; then it is not to be had whole. */
	for (uint32_t i = 0; i < 2; i++) {
		m = req_ipsec(other, 1, 6 + i);
		name_local(&m, "192.0.2.1");
		cr_expect_eq(error_of(g, udp_host(3), &m), 0);
	}
	m = req_rsa(id, 6);
	name_local(&m, "192.0.2.1");
	cr_expect_eq(error_of(g, udp_host(2), &m), 310);
	m = req_rsa(id, 7);
	ask_tunnels(&m, 1, (uint8_t[]){ RSIP_TUNNEL_L2TP });
	cr_expect_eq(error_of(g, udp_host(2), &m), 307);
	gateway_free(g);
}

/* covers: RSA-01 RSA-13 FLOW-02 REG-20 */
Test(assign, whole_addresses_and_local_micro)
{
	struct gateway *g = both_kinds();
	struct msg m, answer;

	g->rule.local_policy = RSIP_POLICY_MICRO;
	gateway_start(g);
	m = req_register(1);
	answer = gateway_call(g, udp_host(2), &m);
	cr_assert_eq(answer.method_count, 2);
	cr_expect_eq(answer.methods[0], RSIP_METHOD_RSAP);
	cr_expect_eq(answer.methods[1], RSIP_METHOD_RSIPSEC);
	m = req_rsa(answer.client_id, 2);
	cr_expect_eq(error_of(g, udp_host(2), &m), 103);
	gateway_free(g);
}

/* The failure of the data plane is undone. covers: E-05 E-07 */
Test(assign, a_whole_address_that_cannot_be_installed)
{
	struct gateway *g = both_kinds();
	uint32_t id;
	struct msg m;

	gateway_start(g);
	id = gateway_register(g, 2);
	datapath_fake_fail(g->dp, 1, -12);
	m = req_rsa(id, 2);
	cr_expect_eq(error_of(g, udp_host(2), &m), 104);
	cr_expect_eq(client_of(g, 2)->address_count, 0);
	m.counter = 3;
	cr_expect_eq(gateway_call(g, udp_host(2), &m).local.v4, ip4("192.0.2.9"), "it is free at once");
	gateway_free(g);
}

/* --- the remote side ------------------------------------------------------------------- */

/*
 * The same request under the three remote policies: what must be named, what
 * the answer says of it, what the data plane holds packets to.
 */
static const struct remote_row {
	uint8_t policy;
	const char *remote;		/* NULL: don't-care */
	uint16_t port;			/* 0: don't-care */
	uint16_t error;
	const char *answer;		/* NULL: don't-care */
	uint16_t answer_port;
} remote_rows[] = {
	{ RSIP_POLICY_NONE, NULL, 0, 0, NULL, 0 },
	{ RSIP_POLICY_NONE, "198.51.100.7", 80, 0, NULL, 0 },
	{ RSIP_POLICY_NONE, "10.0.0.9", 80, 0, NULL, 0 },	/* not enforced, so not refused */
	{ RSIP_POLICY_MACRO, NULL, 0, 103, NULL, 0 },
	{ RSIP_POLICY_MACRO, "198.51.100.7", 0, 0, "198.51.100.7", 0 },
	{ RSIP_POLICY_MACRO, "198.51.100.7", 80, 0, "198.51.100.7", 0 },
	{ RSIP_POLICY_MACRO, "10.0.0.9", 80, 314, NULL, 0 },
	{ RSIP_POLICY_MACRO, "127.0.0.1", 80, 314, NULL, 0 },
	{ RSIP_POLICY_MACRO, "224.0.0.5", 80, 314, NULL, 0 },
	{ RSIP_POLICY_MICRO, NULL, 80, 103, NULL, 0 },
	{ RSIP_POLICY_MICRO, "198.51.100.7", 0, 103, NULL, 0 },
	{ RSIP_POLICY_MICRO, "198.51.100.7", 80, 0, "198.51.100.7", 80 },
	{ RSIP_POLICY_MICRO, "10.0.0.1", 80, 314, NULL, 0 },
};

static struct msg request_of(uint8_t type, uint32_t id)
{
	struct msg m = req_rsa(id, 2);

	if (type == RSIP_ASSIGN_REQUEST_RSAP)
		m = req_rsap(id, 1, 2);
	else if (type == RSIP_ASSIGN_REQUEST_RSIPSEC)
		m = req_ipsec(id, 1, 2);
	else if (type == RSIP_LISTEN_REQUEST)
		m = req_listen(id, 8080, 2);
	m.rports = (struct msg_ports){ .form = MSG_ANY, .count = 1 };
	return m;
}

static void check_remote(uint8_t type, const struct remote_row *row)
{
	struct gateway *g = both_kinds();
	struct datapath_bind bind;
	struct msg m, answer;

	g->rule.remote_policy = row->policy;
	g->rule.listen = CONFIG_LISTEN_ALWAYS;
	gateway_start(g);
	m = request_of(type, gateway_register(g, 2));
	if (row->remote)
		name_remote(&m, row->remote, row->port);
	else if (row->port)
		m.rports = (struct msg_ports){ .form = MSG_RUN, .first = row->port, .count = 1 };
	answer = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(answer.type == RSIP_ERROR_RESPONSE ? answer.error : 0, row->error, "%s policy %s: %s:%u: %u",
		     msg_type_name(type), msg_policy_name(row->policy), row->remote, row->port, answer.error);
	if (!row->error) {
		cr_expect_eq(answer.type, type + 1);
		cr_expect_eq(answer.remote.any, !row->answer);
		cr_expect_eq(answer.remote.v4, row->answer ? ip4(row->answer) : 0);
		cr_expect_eq(answer.rports.form, row->answer_port ? MSG_RUN : MSG_ANY);
		cr_expect_eq(answer.rports.first, row->answer_port);
		cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
		cr_expect_eq(bind.remote, answer.remote.v4);
		cr_expect_eq(bind.remote_port, htons(row->answer_port));
		cr_expect_eq(bind.remote_count, 0);
		cr_expect_eq(bind.whole, type == RSIP_ASSIGN_REQUEST_RSA);
		cr_expect_eq(bind.ipsec, type == RSIP_ASSIGN_REQUEST_RSIPSEC);
		cr_expect(!bind.ike_listen);
	}
	gateway_free(g);
}

/* covers: RSA-10 RSA-15 RSA-16 RSAP-14 RSAP-15 LSN-08 LSN-05 IPS-22 FLOW-03 FLOW-04 FLOW-05 FLOW-06 FLOW-10 FLOW-11 */
Test(assign, remote_policies)
{
	static const uint8_t types[] = { RSIP_ASSIGN_REQUEST_RSA, RSIP_ASSIGN_REQUEST_RSAP, RSIP_ASSIGN_REQUEST_RSIPSEC,
					 RSIP_LISTEN_REQUEST };

	for (size_t t = 0; t < sizeof(types); t++) {
		for (size_t i = 0; i < sizeof(remote_rows) / sizeof(remote_rows[0]); i++)
			check_remote(types[t], &remote_rows[i]);
	}
}

/* --- listeners ----------------------------------------------------------------------------- */

/* covers: LSN-03 LSN-04 LSN-06 EXT-06 FREE-01 */
Test(assign, listeners)
{
	struct gateway *g = gateway_new();
	uint32_t id, other;
	struct msg m, answer;

	g->range.last = g->range.first;
	gateway_start(g);
	id = gateway_register(g, 2);
	other = gateway_register(g, 3);
	m = req_listen(id, 80, 2);
	answer = gateway_call(g, udp_host(2), &m);
	cr_assert_eq(answer.type, RSIP_LISTEN_RESPONSE);
	cr_expect_eq(answer.bind_id, 1);
	cr_expect_eq(answer.local.v4, ip4("192.0.2.1"));
	cr_expect_eq(answer.lports.first, 80);
	cr_expect_eq(answer.lease, 600);
	cr_expect_eq(answer.tunnels[0], RSIP_TUNNEL_IPIP);
	cr_expect_eq(datapath_fake_port(g->dp, ip4("192.0.2.1"), 80), udp_host(2).source);

	m = req_listen(other, 80, 2);
	cr_expect_eq(error_of(g, udp_host(3), &m), 311, "of two hosts one has it");
	m = req_rsap(other, 1, 3);
	name_local(&m, "192.0.2.1");
	m.lports = (struct msg_ports){ .form = MSG_RUN, .first = 80, .count = 1 };
	cr_expect_eq(error_of(g, udp_host(3), &m), 311);

	m = req_listen(other, 0, 4);
	m.lports = (struct msg_ports){ .form = MSG_ANY, .count = 4 };
	answer = gateway_call(g, udp_host(3), &m);
	cr_expect_eq(answer.type, RSIP_LISTEN_RESPONSE, "whatever four ports");
	cr_expect_eq(answer.lports.count, 4);
	cr_expect_eq(client_of(g, 3)->port_count, 4);

	m = req_extend(id, 1, 1200, 3);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).lease, 1200);
	cr_expect_eq(client_of(g, 2)->expires, g->now + 1200 * SECOND);
	m = req_free(id, 1, 4);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_FREE_RESPONSE);
	cr_expect_eq(datapath_fake_port(g->dp, ip4("192.0.2.1"), 80), 0);
	gateway_free(g);
}

/* covers: LSN-07 LSN-05 */
Test(assign, the_first_tunnel_that_is_supported)
{
	static const struct {
		uint8_t tunnels[4];
		unsigned int count;
		uint8_t taken;		/* 0: error 307 */
	} rows[] = {
		{ { 0 }, 0, RSIP_TUNNEL_IPIP },
		{ { RSIP_TUNNEL_GRE, RSIP_TUNNEL_IPIP }, 2, RSIP_TUNNEL_GRE },
		{ { RSIP_TUNNEL_L2TP, RSIP_TUNNEL_GRE }, 2, RSIP_TUNNEL_GRE },
		{ { RSIP_TUNNEL_L2TP, 200, 0, RSIP_TUNNEL_IPIP }, 4, RSIP_TUNNEL_IPIP },
		{ { RSIP_TUNNEL_L2TP }, 1, 0 },
		{ { RSIP_TUNNEL_L2TP, 0, 200 }, 3, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = gateway_new();
		struct msg m, answer;

		gateway_start(g);
		m = req_listen(gateway_register(g, 2), 80, 2);
		if (rows[i].count)
			ask_tunnels(&m, rows[i].count, rows[i].tunnels);
		answer = gateway_call(g, udp_host(2), &m);
		if (rows[i].taken) {
			cr_expect_eq(answer.type, RSIP_LISTEN_RESPONSE, "row %zu", i);
			cr_expect_eq(answer.tunnels[0], rows[i].taken, "row %zu", i);
		} else {
			cr_expect_eq(answer.error, 307, "row %zu", i);
		}
		gateway_free(g);
	}
}

/* Who may listen. covers: LSN-01 LSN-09 ADM-04 E-02 */
Test(assign, listening_by_leave)
{
	static const struct { uint8_t listen, remote_policy; uint16_t error; } rows[] = {
		{ CONFIG_LISTEN_POLICY, RSIP_POLICY_NONE, 0 }, { CONFIG_LISTEN_POLICY, RSIP_POLICY_MACRO, 0 },
		{ CONFIG_LISTEN_POLICY, RSIP_POLICY_MICRO, 315 }, { CONFIG_LISTEN_ALWAYS, RSIP_POLICY_MICRO, 0 },
		{ CONFIG_LISTEN_NEVER, RSIP_POLICY_NONE, 208 }, { CONFIG_LISTEN_NEVER, RSIP_POLICY_MICRO, 208 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = gateway_new();
		struct config_client rules[2];
		struct msg m;

		g->rule.listen = rows[i].listen;
		g->rule.remote_policy = rows[i].remote_policy;
		/* Another host may: the message is not off altogether. */
		rules[0] = g->rule;
		rules[0].match = (struct addr_prefix){ ip4("10.0.0.2"), 32 };
		rules[1] = g->rule;
		rules[1].listen = CONFIG_LISTEN_ALWAYS;
		g->config.clients = rules;
		g->config.client_count = 2;
		gateway_start(g);
		m = req_listen(gateway_register(g, 2), 80, 2);
		name_remote(&m, "198.51.100.7", 4000);
		cr_expect_eq(error_of(g, udp_host(2), &m), rows[i].error, "row %zu", i);
		m = req_listen(gateway_register(g, 3), 80, 2);
		name_remote(&m, "198.51.100.7", 4000);
		cr_expect_eq(error_of(g, udp_host(3), &m), 0, "row %zu", i);
		gateway_free(g);
	}
}

/* --- listeners for IKE ----------------------------------------------------------------------- */

static struct msg ike_listen(uint32_t id, const char *peer, uint32_t counter)
{
	struct msg m = req_listen(id, RSIP_IKE_PORT, counter);

	name_remote(&m, peer, RSIP_IKE_PORT);
	return m;
}

/* covers: LSN-11 APG-03 APG-06 LSE-03 */
Test(assign, hosts_listen_for_ike_of_different_peers)
{
	struct gateway *g = gateway_new();
	struct datapath_bind bind;
	uint32_t id, other;
	struct msg m, answer;

	g->range.last = g->range.first;
	g->pool.ports = (struct num_range){ 1024, 65535 };
	g->rule.remote_policy = RSIP_POLICY_MACRO;
	gateway_start(g);
	id = gateway_register(g, 2);
	other = gateway_register(g, 3);
	m = ike_listen(id, "198.51.100.7", 2);
	answer = gateway_call(g, udp_host(2), &m);
	cr_assert_eq(answer.type, RSIP_LISTEN_RESPONSE);
	cr_expect_eq(answer.local.v4, ip4("192.0.2.1"));
	cr_expect_eq(answer.lports.form, MSG_RUN);
	cr_expect_eq(answer.lports.first, 500);
	cr_expect_eq(answer.remote.v4, ip4("198.51.100.7"));
	cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
	cr_expect(bind.ike_listen);
	cr_expect_eq(bind.remote, ip4("198.51.100.7"));
	cr_expect_eq(client_of(g, 2)->port_count, 0, "no port is taken");
	cr_expect_eq(datapath_fake_port(g->dp, ip4("192.0.2.1"), 500), 0);

	m = ike_listen(other, "198.51.100.7", 2);
	cr_expect_eq(error_of(g, udp_host(3), &m), 311, "the peer is taken");
	m = ike_listen(other, "198.51.100.8", 3);
	cr_expect_eq(error_of(g, udp_host(3), &m), 0);
	cr_expect_eq(datapath_fake_ike_listen(g->dp, ip4("192.0.2.1"), ip4("198.51.100.7")), udp_host(2).source);
	cr_expect_eq(datapath_fake_ike_listen(g->dp, ip4("192.0.2.1"), ip4("198.51.100.8")), udp_host(3).source);
	/* The SPIs for what comes of it are leased as ever. */
	m = req_ipsec(id, 2, 3);
	name_remote(&m, "198.51.100.7", 0);
	cr_expect_eq(error_of(g, udp_host(2), &m), 0);

	m = req_free(id, 1, 4);
	gateway_call(g, udp_host(2), &m);
	cr_expect_eq(datapath_fake_ike_listen(g->dp, ip4("192.0.2.1"), ip4("198.51.100.7")), 0);
	m = ike_listen(other, "198.51.100.7", 4);
	cr_expect_eq(error_of(g, udp_host(3), &m), 311, "it rests");
	gateway_wait(g, 120 * SECOND);
	m.counter = 5;
	cr_expect_eq(error_of(g, udp_host(3), &m), 0);
	gateway_free(g);
}

static void no_remote_policy(struct gateway *g, struct msg *m)
{
	g->rule.remote_policy = RSIP_POLICY_NONE;
}

static void no_ipsec_host(struct gateway *g, struct msg *m)
{
	g->rule.ipsec = false;
}

static void no_ipsec_pool(struct gateway *g, struct msg *m)
{
	g->pool.rsipsec = false;
}

static void no_ipsec_pool_with_500(struct gateway *g, struct msg *m)
{
	g->pool.rsipsec = false;
	g->pool.ports = (struct num_range){ 1, 65535 };
}

static void two_ports(struct gateway *g, struct msg *m)
{
	m->lports.count = 2;
}

static void port_4500(struct gateway *g, struct msg *m)
{
	m->lports.first = 4500;
}

static void by_rsap(struct gateway *g, struct msg *m)
{
	m->type = RSIP_ASSIGN_REQUEST_RSAP;
}

/* Port 500 otherwise. covers: APG-03 LSN-05 RSAP-08 */
Test(assign, port_500_is_nobodys_otherwise)
{
	static const struct {
		const char *name;
		void (*change)(struct gateway *g, struct msg *m);
		uint16_t error;
	} rows[] = {
		{ "without a remote policy nobody is tied to a peer", no_remote_policy, 313 },
		{ "no IPsec for this host", no_ipsec_host, 313 },
		{ "no cookies there, and 500 is not lent", no_ipsec_pool, 313 },
		{ "no cookies there: a port like any", no_ipsec_pool_with_500, 0 },
		{ "500 and 501", two_ports, 313 },
		{ "4500 comes with 500", port_4500, 313 },
		{ "not to listen", by_rsap, 313 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = gateway_new();
		struct datapath_bind bind;
		struct msg m;

		g->pool.ports = (struct num_range){ 1024, 65535 };
		g->rule.remote_policy = RSIP_POLICY_MACRO;
		m = ike_listen(0, "198.51.100.7", 2);
		rows[i].change(g, &m);
		gateway_start(g);
		m.client_id = gateway_register(g, 2);
		cr_expect_eq(error_of(g, udp_host(2), &m), rows[i].error, "%s", rows[i].name);
		if (!rows[i].error) {
			cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
			cr_expect(!bind.ike_listen);
			cr_expect_eq(datapath_fake_port(g->dp, ip4("192.0.2.1"), 500), udp_host(2).source);
		}
		gateway_free(g);
	}
}

/* Network and broadcast address of the pool's subnet are not in its range. covers: CAS-05 RSAP-06 */
Test(assign, the_ends_of_a_subnet)
{
	static const struct { const char *addr; uint16_t error; } rows[] = {
		{ "192.0.2.0", 312 }, { "192.0.2.1", 0 }, { "192.0.2.254", 0 }, { "192.0.2.255", 312 },
	};
	struct gateway *g = gateway_new();
	uint32_t id;

	gateway_start(g);
	id = gateway_register(g, 2);
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct msg m = req_rsap(id, 1, 2 + i);

		name_local(&m, rows[i].addr);
		cr_expect_eq(error_of(g, udp_host(2), &m), rows[i].error, "%s", rows[i].addr);
	}
	gateway_free(g);
}

/* --- all of it together --------------------------------------------------------------------- */

/* covers: SCALE-02 RSAP-13 */
Test(assign, a_hundred_hosts_with_a_hundred_ports_on_one_address)
{
	struct gateway *g = gateway_new();
	struct msg m;

	g->range.last = g->range.first;
	g->pool.ports = (struct num_range){ 1024, 65535 };
	gateway_start(g);
	for (uint32_t host = 2; host < 102; host++) {
		m = req_rsap(gateway_register(g, host), 100, 2);
		cr_assert_eq(gateway_call(g, udp_host(host), &m).lports.count, 100);
	}
	cr_expect_eq(gateway_lent(g).ports_leased, 100 * 100);
	for (uint32_t host = 2; host < 102; host++) {
		m = req_deregister(client_of(g, host)->client_id, 3);
		cr_assert_eq(gateway_call(g, udp_host(host), &m).type, RSIP_DEREGISTER_RESPONSE);
	}
	cr_expect_eq(gateway_lent(g).ports_leased, 0);
	cr_expect_eq(gateway_lent(g).ports_resting, 100 * 100);
	gateway_free(g);
}

/* A gateway that lends ports and nothing else. covers: W-34 RSAP-01 QRY-01 IPS-01 RSA-01 LSN-01 */
Test(assign, the_least_a_gateway_does)
{
	struct gateway *g = gateway_new();
	struct msg m, answer;
	uint32_t id;

	g->pool.rsipsec = false;
	g->rule.listen = CONFIG_LISTEN_NEVER;
	gateway_start(g);
	m = req_register(1);
	answer = gateway_call(g, udp_host(2), &m);
	cr_assert_eq(answer.type, RSIP_REGISTER_RESPONSE);
	cr_expect_eq(answer.method_count, 1);
	cr_expect_eq(answer.methods[0], RSIP_METHOD_RSAP);
	id = answer.client_id;
	m = req_rsap(id, 1, 2);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_ASSIGN_RESPONSE_RSAP);
	m = req_query(id, 3);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_QUERY_RESPONSE);
	m = req_extend(id, 1, 60, 4);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_EXTEND_RESPONSE);
	m = req_rsa(id, 5);
	cr_expect_eq(error_of(g, udp_host(2), &m), 208);
	m = req_listen(id, 80, 6);
	cr_expect_eq(error_of(g, udp_host(2), &m), 208);
	m = req_ipsec(id, 1, 7);
	cr_expect_eq(error_of(g, udp_host(2), &m), 208);
	m = req_free(id, 1, 8);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_FREE_RESPONSE);
	m = req_deregister(id, 9);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_DEREGISTER_RESPONSE);
	gateway_free(g);
}

/* A message that names a part of a bind is refused; FREE takes all of one. covers: FREE-03 */
Test(assign, whole_binds_are_freed)
{
	struct gateway *g = gateway_new();
	uint32_t id;
	struct msg m;
	uint8_t bytes[64];
	size_t len;

	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_ipsec(id, 4, 2);
	m.lports = (struct msg_ports){ .form = MSG_ANY, .count = 4 };
	m.rports = (struct msg_ports){ .form = MSG_ANY, .count = 1 };
	cr_assert_eq(error_of(g, udp_host(2), &m), 0);
	m = req_free(id, 1, 3);
	len = msg_encode(&m, bytes, sizeof(bytes));
	memcpy(bytes + len, "\2\0\1\1", 4);		/* Ports: one */
	bytes[3] = (uint8_t)(len + 4);
	gateway_input(g, udp_host(2), bytes, len + 4);
	cr_assert_eq(g->sent, 1);
	cr_expect_eq(g->box[0].data[8], 203);
	cr_expect_eq(gateway_lent(g).ports_leased, 4);
	m.counter = 4;
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_FREE_RESPONSE);
	cr_expect_eq(gateway_lent(g).ports_leased, 0);
	cr_expect_eq(gateway_lent(g).spis_leased, 0);
	gateway_free(g);
}

/* What no message is long enough to tell of is not held: a list of so many SPIs, since no run is left. covers: E-05 */
Test(assign, an_answer_that_is_too_long)
{
	struct gateway *g = gateway_new();
	uint32_t id, counter = 2;
	struct msg m;

	g->pool.spis = (struct num_range){ 0x10000, 0x1ffff };
	g->range.last = g->range.first;
	gateway_start(g);
	id = gateway_register(g, 2);
	for (uint32_t place = 0x10000; place < 0x20000; place += 0x4000) {
		m = req_ipsec(id, 1, counter++);
		m.spis = (struct msg_spis){ .form = MSG_RUN, .first = place + 0x1234, .count = 1 };
		cr_assert_eq(error_of(g, udp_host(2), &m), 0);
	}
	m = req_ipsec(id, RSIP_SPIS_MAX, counter);
	cr_expect_eq(error_of(g, udp_host(2), &m), RSIP_E_INTERNAL_SERVER_ERROR);
	cr_expect_eq(gateway_lent(g).spis_leased, 4);
	cr_expect_eq(datapath_fake_binds(g->dp), 4);
	gateway_free(g);
}

/* What the gateway's own IPsec uses is kept out of `spis`. covers: SPI-01 IPS-15 */
Test(assign, spis_of_the_gateway_itself)
{
	struct gateway *g = gateway_new();
	uint32_t id;
	struct msg m;

	g->pool.spis = (struct num_range){ 0x100, 0x1ff };
	g->range.last = g->range.first;
	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_ipsec(id, 1, 2);
	m.spis = (struct msg_spis){ .form = MSG_RUN, .first = 0x200, .count = 1 };
	cr_expect_eq(error_of(g, udp_host(2), &m), 402);
	m = req_ipsec(id, 256, 3);
	m = gateway_call(g, udp_host(2), &m);
	cr_expect_eq(m.type, RSIP_ASSIGN_RESPONSE_RSIPSEC, "all that are lent");
	m = req_ipsec(id, 1, 4);
	cr_expect_eq(error_of(g, udp_host(2), &m), 402, "and no other");
	gateway_free(g);
}

/* RSAP-IP always, IPsec to whom may use it. covers: REG-04 REG-06 */
Test(assign, methods_on_offer)
{
	for (unsigned int ipsec = 0; ipsec < 2; ipsec++) {
		struct gateway *g = gateway_new();
		struct msg m = req_register(1);

		g->rule.ipsec = ipsec;
		gateway_start(g);
		m = gateway_call(g, udp_host(2), &m);
		cr_assert_eq(m.method_count, 1 + ipsec);
		cr_expect_eq(m.methods[0], RSIP_METHOD_RSAP);
		if (ipsec)
			cr_expect_eq(m.methods[1], RSIP_METHOD_RSIPSEC);
		gateway_free(g);
	}
}

/* One lease more than the gateway has room for takes nothing. covers: SCALE-06 */
Test(assign, no_room_for_a_lease)
{
	struct gateway *g = gateway_new();
	struct lent before, after;
	struct msg m;

	g->config.datapath.max_bindings = 1;
	gateway_start(g);
	m = req_rsap(gateway_register(g, 2), 2, 2);
	cr_assert_eq(gateway_call(g, udp_host(2), &m).type, RSIP_ASSIGN_RESPONSE_RSAP);
	before = gateway_lent(g);
	m.counter = 3;
	cr_expect_eq(gateway_call(g, udp_host(2), &m).error, RSIP_E_INTERNAL_SERVER_ERROR);
	after = gateway_lent(g);
	cr_expect(!memcmp(&before, &after, sizeof(before)));
	gateway_free(g);
}
