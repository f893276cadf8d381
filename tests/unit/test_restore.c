// SPDX-License-Identifier: GPL-2.0-only
/* Sessions over a restart: what lives on, what rests, what the configuration no longer allows. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <string.h>

#include "gateway.h"
#include "lib/log.h"

static struct msg ask(struct gateway *g, uint32_t host, struct msg m)
{
	return gateway_call(g, udp_host(host), &m);
}

/* A host with a lease of two SPIs and one of three ports. */
struct host {
	uint32_t client;
	struct msg spis, ports;
};

static struct host raise(struct gateway *g, uint32_t n)
{
	struct host host = { .client = gateway_register(g, n) };

	host.spis = ask(g, n, req_ipsec(host.client, 2, 2));
	host.ports = ask(g, n, req_rsap(host.client, 3, 3));
	cr_assert_eq(host.spis.type, RSIP_ASSIGN_RESPONSE_RSIPSEC);
	cr_assert_eq(host.ports.type, RSIP_ASSIGN_RESPONSE_RSAP);
	return host;
}

static struct gateway *start(void)
{
	struct gateway *g = gateway_new();

	gateway_start(g);
	return g;
}

/* covers: LSE-01 */
Test(restore, leases_live_on)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);
	struct restore_counts counts;
	struct msg m;

	g->now += 60000;
	cr_assert_eq(ask(g, 5, req_extend(host.client, host.ports.bind_id, 900, 4)).lease, 900);
	counts = gateway_restart(g);
	cr_assert_eq(counts.clients, 1);
	cr_assert_eq(counts.binds, 2);
	cr_assert_eq(counts.expired + counts.unfit + counts.resting, 0);
	cr_assert_eq(datapath_fake_spi(g->dp, host.spis.local.v4, host.spis.spis.first), udp_host(5).source);
	cr_assert_eq(datapath_fake_port(g->dp, host.ports.local.v4, host.ports.lports.first), udp_host(5).source);
	/* It is what the host knows: IDs, and the time that is left. */
	m = ask(g, 5, req_extend(host.client, host.spis.bind_id, 1, 5));
	cr_assert_eq(m.type, RSIP_EXTEND_RESPONSE);
	cr_assert_eq(m.lease, 540);
	cr_assert_eq(ask(g, 5, req_extend(host.client, host.ports.bind_id, 1, 6)).lease, 900);
	m = ask(g, 5, req_free(host.client, host.ports.bind_id, 7));
	cr_assert_eq(m.type, RSIP_FREE_RESPONSE);
	/* Bind IDs go on. */
	m = ask(g, 5, req_rsap(host.client, 1, 8));
	cr_assert_eq(m.bind_id, 3);
	gateway_free(g);
}

/* covers: T-18 T-21 */
Test(restore, a_duplicate_is_not_executed_again)
{
	struct gateway *g = start();
	uint32_t client = gateway_register(g, 5);
	struct msg m = req_rsap(client, 1, 2), old = req_ipsec(client, 1, 1);
	struct sent first = *gateway_ask(g, udp_host(5), &m);
	const struct sent *again;

	gateway_restart(g);
	again = gateway_ask(g, udp_host(5), &m);
	cr_assert(again);
	cr_assert_eq(again->len, first.len);
	cr_assert_arr_eq(again->data, first.data, first.len);
	cr_assert_eq(datapath_fake_binds(g->dp), 1);
	cr_assert_null(gateway_ask(g, udp_host(5), &old));
	gateway_free(g);
}

/* On the next connection a request that was answered is not executed again, though connections count anew. */
Test(restore, a_duplicate_over_tcp_is_not_executed_again)
{
	struct gateway *g = start();
	struct msg m = req_register(1);
	uint32_t client = gateway_call(g, tcp_host(5), &m).client_id;
	uint32_t bind;

	m = req_rsap(client, 1, 2);
	bind = gateway_call(g, tcp_host(5), &m).bind_id;
	gateway_restart(g);
	cr_assert_eq(gateway_call(g, tcp_host(5), &m).bind_id, bind);
	cr_assert_eq(datapath_fake_binds(g->dp), 1);
	gateway_free(g);
}

/* covers: FAIL-11 RSAP-16 IPS-19 */
Test(restore, what_was_freed_rests_on)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);
	struct msg again = req_ipsec(host.client, 2, 6);

	again.spis = host.spis.spis;
	again.local = host.spis.local;
	ask(g, 5, req_free(host.client, host.spis.bind_id, 4));
	gateway_wait(g, 100000);
	cr_assert_eq(gateway_restart(g).resting, 1);
	again.counter = 6;
	cr_assert_eq(ask(g, 5, again).error, RSIP_E_IPSEC_SPI_INUSE);
	gateway_wait(g, 19000);
	again.counter = 7;
	cr_assert_eq(ask(g, 5, again).error, RSIP_E_IPSEC_SPI_INUSE);
	gateway_wait(g, 1000);
	again.counter = 8;
	cr_assert_eq(ask(g, 5, again).type, RSIP_ASSIGN_RESPONSE_RSIPSEC);
	gateway_free(g);
}

/* covers: FAIL-11 LSE-06 LSE-07 FAIL-05 */
Test(restore, what_ended_meanwhile_rests_from_its_end)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);
	struct restore_counts counts;
	struct msg again;

	g->now += 650000;	/* over for 50 of 120 seconds */
	counts = gateway_restart(g);
	cr_assert_eq(counts.clients + counts.binds, 0);
	cr_assert_eq(counts.expired, 3);
	cr_assert_eq(counts.resting, 2);
	cr_assert_eq(datapath_fake_binds(g->dp) + datapath_fake_clients(g->dp), 0);
	cr_assert_eq(ask(g, 5, req_extend(host.client, host.spis.bind_id, 600, 9)).error, RSIP_E_REGISTER_FIRST);
	again = req_ipsec(gateway_register(g, 5), 2, 2);
	again.spis = host.spis.spis;
	again.local = host.spis.local;
	gateway_wait(g, 69000);
	cr_assert_eq(ask(g, 5, again).error, RSIP_E_IPSEC_SPI_INUSE);
	gateway_wait(g, 2000);
	again.counter = 3;
	cr_assert_eq(ask(g, 5, again).type, RSIP_ASSIGN_RESPONSE_RSIPSEC);
	gateway_free(g);
}

Test(restore, records_go_when_the_rest_is_over)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);

	cr_assert_eq(journal_fake_records(g->journal), 3);
	ask(g, 5, req_free(host.client, host.spis.bind_id, 4));
	ask(g, 5, req_deregister(host.client, 5));
	cr_assert_eq(journal_fake_records(g->journal), 2);
	journal_tick(g->journal, g->now + 119999);
	cr_assert_eq(journal_fake_records(g->journal), 2);
	journal_tick(g->journal, g->now + 120000);
	cr_assert_eq(journal_fake_records(g->journal), 0);
	gateway_free(g);
}

/* What ends by itself costs no write: its record says when. */
Test(restore, expiry_writes_nothing)
{
	struct gateway *g = start();
	uint64_t writes;

	raise(g, 5);
	writes = journal_fake_writes(g->journal);
	gateway_wait(g, 3600000);
	cr_assert_eq(journal_fake_writes(g->journal), writes);
	gateway_free(g);
}

Test(restore, what_does_not_fit_ends)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);
	struct restore_counts counts;

	raise(g, 6);
	log_set_level(0);
	g->pool.ports = (struct num_range){ 1, 1 };	/* no lease of ports fits */
	counts = gateway_restart(g);
	cr_assert_eq(counts.clients, 2);
	cr_assert_eq(counts.binds, 2);
	cr_assert_eq(counts.unfit, 2);
	cr_assert_eq(counts.resting, 0, "what is lent no more does not rest");
	cr_assert_eq(journal_fake_records(g->journal), 4);
	cr_assert_eq(ask(g, 5, req_extend(host.client, host.spis.bind_id, 600, 4)).type, RSIP_EXTEND_RESPONSE);
	cr_assert_eq(ask(g, 5, req_extend(host.client, host.ports.bind_id, 600, 5)).error, RSIP_E_BAD_BIND_ID);
	g->config.client_count = 0;			/* no host may register */
	g->pool.rsap = false;
	counts = gateway_restart(g);
	cr_assert_eq(counts.clients + counts.binds, 0);
	cr_assert_eq(counts.unfit, 2);
	cr_assert_eq(counts.resting, 2, "the SPIs of both");
	cr_assert_eq(journal_fake_records(g->journal), 2);
	cr_assert_eq(datapath_fake_binds(g->dp) + datapath_fake_clients(g->dp), 0);
	gateway_free(g);
}

/* One lease ends, then its host and the other, then both rests, each to the millisecond. covers: LSE-06 FAIL-11 */
static const struct {
	uint64_t at;
	struct restore_counts counts;
	size_t records;
} moments[] = {
	{ 599999, { .clients = 1, .binds = 2 }, 3 },
	{ 600000, { .clients = 1, .binds = 1, .expired = 1, .resting = 1 }, 3 },
	{ 719999, { .clients = 1, .binds = 1, .expired = 1, .resting = 1 }, 3 },
	{ 720000, { .clients = 1, .binds = 1, .expired = 1 }, 2 },
	{ 900000, { .expired = 2, .resting = 1 }, 1 },
	{ 1019999, { .expired = 1, .resting = 1 }, 1 },
	{ 1020000, { .expired = 1 }, 0 },
};

Test(restore, to_the_millisecond)
{
	struct gateway *g = start();
	uint64_t began = g->now;
	struct host host = raise(g, 5);

	cr_assert_eq(ask(g, 5, req_extend(host.client, host.spis.bind_id, 900, 4)).lease, 900);
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		struct restore_counts counts;

		g->now = began + moments[i].at;
		counts = gateway_restart(g);
		cr_expect(!memcmp(&counts, &moments[i].counts, sizeof(counts)), "at %lu", moments[i].at);
		cr_expect_eq(journal_fake_records(g->journal), moments[i].records, "at %lu", moments[i].at);
	}
	gateway_free(g);
}

/* Rests are over in the order of their ends, whatever that of the records; each record goes when its rest is over. */
Test(restore, rests_in_order)
{
	struct gateway *g = start();
	uint64_t began = g->now;
	struct host host = raise(g, 5);

	cr_assert_eq(ask(g, 5, req_extend(host.client, host.spis.bind_id, 650, 4)).lease, 650);
	g->now = began + 660000;
	cr_assert_eq(gateway_restart(g).resting, 2);
	cr_expect_eq(journal_tick(g->journal, began + 719999), began + 720000);
	cr_expect_eq(journal_fake_records(g->journal), 2);
	cr_expect_eq(journal_tick(g->journal, began + 720000), began + 770000);
	cr_expect_eq(journal_tick(g->journal, began + 770000), 0);
	cr_expect_eq(journal_fake_records(g->journal), 0);
	gateway_free(g);
}

/* The leases of a host that may not come back rest from now on, and not from when they would have ended. */
Test(restore, leases_of_a_host_that_may_not_come_back)
{
	struct gateway *g = start();
	uint64_t began = g->now;

	raise(g, 5);
	log_set_level(0);
	g->config.client_count = 0;
	g->now = began + 60000;
	cr_assert_eq(gateway_restart(g).resting, 2);
	cr_expect_eq(journal_tick(g->journal, g->now), began + 180000);
	gateway_free(g);
}

/* What the data plane has no room for has ended, and its Bind ID is not given again. */
Test(restore, a_lease_that_cannot_be_installed)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);
	struct restore_counts counts;

	log_set_level(0);
	g->fail = 3;				/* the host, its first lease, its second one */
	counts = gateway_restart(g);
	cr_expect_eq(counts.binds, 1);
	cr_expect_eq(counts.unfit, 1);
	cr_expect_eq(counts.resting, 1);
	cr_expect_eq(ask(g, 5, req_rsap(host.client, 1, 4)).bind_id, 3);
	g->fail = 1;
	counts = gateway_restart(g);
	cr_expect_eq(counts.clients + counts.binds, 0);
	cr_expect_eq(datapath_fake_binds(g->dp) + datapath_fake_clients(g->dp), 0);
	gateway_free(g);
}

/* One lease too many: what it held is not lost, but rests. */
Test(restore, fewer_leases_than_there_were)
{
	struct gateway *g = start();
	struct restore_counts counts;

	raise(g, 5);
	log_set_level(0);
	g->config.datapath.max_bindings = 1;
	counts = gateway_restart(g);
	cr_expect_eq(counts.binds, 1);
	cr_expect_eq(counts.unfit, 1);
	cr_expect_eq(counts.resting, 1);
	gateway_free(g);
}

/* A lease whose tunnel ends at an address of the gateway that is gone, of a host that speaks to another one. */
Test(restore, the_end_of_a_tunnel_is_gone)
{
	struct gateway *g = gateway_new();
	struct config_interface both[2] = { g->private_interface, { .name = "lan1", .address = ip4("10.0.0.2") } };
	struct origin other = udp_host(5);
	struct restore_counts counts;
	struct datapath_bind bind;
	struct host host;
	struct msg m;

	g->config.private_interfaces = both;
	g->config.private_count = 2;
	gateway_start(g);
	host = raise(g, 5);
	other.local = both[1].address;
	m = req_rsap(host.client, 1, 4);
	cr_assert_eq(gateway_call(g, other, &m).bind_id, 3);
	cr_assert(datapath_fake_bind(g->dp, other.source, 3, &bind));
	cr_expect_eq(bind.gateway, other.local);
	log_set_level(0);
	both[0] = both[1];
	g->config.private_count = 1;
	counts = gateway_restart(g);
	cr_expect_eq(counts.clients, 1);
	cr_expect_eq(counts.binds, 1);
	cr_expect_eq(counts.unfit, 2);
	gateway_free(g);
}

/* A host over TCP that counts hears counters, also when all it sent since the restart is a duplicate. */
Test(restore, counters_over_tcp)
{
	struct gateway *g = start();
	struct msg m = req_register(1);
	struct msg_fault fault;
	uint32_t client = gateway_call(g, tcp_host(5), &m).client_id, bind;

	m = req_rsap(client, 1, 2);
	bind = gateway_call(g, tcp_host(5), &m).bind_id;
	gateway_restart(g);
	cr_assert_eq(gateway_call(g, tcp_host(5), &m).bind_id, bind);
	g->sent = 0;
	session_free_bind(g->s, client, bind, g->now);
	cr_assert_eq(g->sent, 1);
	cr_assert(msg_decode(g->box[0].data, g->box[0].len, MSG_AT_HOST, 0, &m, &fault), "%s", fault.text);
	cr_expect(m.type == RSIP_FREE_RESPONSE && m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER) && m.counter == 0);
	gateway_free(g);
}

/* Tied to one remote and its port. */
Test(restore, the_remote_and_its_port)
{
	struct gateway *g = gateway_new();
	struct datapath_bind before, after;
	struct msg m;

	g->rule.remote_policy = RSIP_POLICY_MICRO;
	gateway_start(g);
	m = req_rsap(gateway_register(g, 5), 1, 2);
	m.remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("198.51.100.9") };
	m.rports = (struct msg_ports){ .form = MSG_RUN, .count = 1, .first = 443 };
	m.has |= MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
	m.tunnels[0] = RSIP_TUNNEL_GRE;
	m.tunnel_count = 1;
	cr_assert_eq(gateway_call(g, udp_host(5), &m).type, RSIP_ASSIGN_RESPONSE_RSAP);
	cr_assert(datapath_fake_bind(g->dp, udp_host(5).source, 1, &before));
	cr_assert_eq(before.remote_port, htons(443));
	gateway_restart(g);
	cr_assert(datapath_fake_bind(g->dp, udp_host(5).source, 1, &after));
	cr_expect_eq(after.remote, before.remote);
	cr_expect_eq(after.remote_port, before.remote_port);
	cr_expect_eq(after.tunnel, RSIP_TUNNEL_GRE);
	cr_expect_eq(after.gateway, before.gateway);
	cr_expect_eq(after.ends, before.ends);
	gateway_free(g);
}

Test(restore, nothing_is_lent_without_a_record)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);

	log_set_level(0);
	journal_fake_break(g->journal);
	cr_assert_eq(ask(g, 6, req_register(1)).error, RSIP_E_INTERNAL_SERVER_ERROR);
	cr_assert_eq(ask(g, 5, req_rsap(host.client, 1, 4)).error, RSIP_E_INTERNAL_SERVER_ERROR);
	cr_assert_eq(ask(g, 5, req_extend(host.client, host.spis.bind_id, 600, 5)).error, RSIP_E_INTERNAL_SERVER_ERROR);
	cr_assert_eq(ask(g, 5, req_free(host.client, host.spis.bind_id, 6)).error, RSIP_E_INTERNAL_SERVER_ERROR);
	cr_assert_eq(ask(g, 5, req_deregister(host.client, 7)).error, RSIP_E_INTERNAL_SERVER_ERROR);
	cr_assert_eq(datapath_fake_binds(g->dp), 2);
	cr_assert_eq(ask(g, 5, req_query(host.client, 8)).type, RSIP_QUERY_RESPONSE);
	gateway_wait(g, 700000);
	cr_assert_eq(datapath_fake_binds(g->dp), 0);
	gateway_free(g);
}

/* What an answer granted that the disk refused. */
static struct msg refuse(struct gateway *g, struct sent sent)
{
	struct msg m;
	struct msg_fault fault;

	g->sent = 0;
	session_refuse(g->s, &sent.to, sent.data, sent.len, sent.close, g->now);
	cr_assert_eq(g->sent, 1);
	cr_assert(msg_decode(g->box[0].data, g->box[0].len, MSG_AT_HOST, 0, &m, &fault), "%s", fault.text);
	return m;
}

Test(restore, a_refused_answer_takes_its_grant_back)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);
	struct msg m = req_rsap(host.client, 4, 4), answer;
	struct sent sent = *gateway_ask(g, udp_host(5), &m);

	log_set_level(0);
	cr_assert_eq(datapath_fake_binds(g->dp), 3);
	answer = refuse(g, sent);
	cr_assert_eq(answer.error, RSIP_E_INTERNAL_SERVER_ERROR);
	cr_assert_eq(answer.counter, 4);
	cr_assert_eq(answer.client_id, host.client);
	cr_assert_eq(datapath_fake_binds(g->dp), 2);
	/* A duplicate hears the same. */
	cr_assert_eq(ask(g, 5, m).error, RSIP_E_INTERNAL_SERVER_ERROR);

	m = req_register(1);
	sent = *gateway_ask(g, udp_host(6), &m);
	cr_assert_eq(refuse(g, sent).error, RSIP_E_INTERNAL_SERVER_ERROR);
	cr_assert_eq(datapath_fake_clients(g->dp), 1);

	/* What changes nothing only stood in line. */
	m = req_query(host.client, 9);
	sent = *gateway_ask(g, udp_host(5), &m);
	cr_assert_eq(refuse(g, sent).type, RSIP_QUERY_RESPONSE);

	/* What is told unasked answers nobody: the lease has ended, whatever the disk says. */
	g->sent = 0;
	session_free_bind(g->s, host.client, host.spis.bind_id, g->now);
	cr_assert_eq(g->sent, 1);
	sent = g->box[0];
	cr_assert_eq(refuse(g, sent).type, RSIP_FREE_RESPONSE);
	gateway_free(g);
}

/* One that another has followed: that one stays what a duplicate hears. */
Test(restore, a_refused_answer_that_is_not_the_last)
{
	struct gateway *g = start();
	struct host host = raise(g, 5);
	struct msg m = req_rsap(host.client, 4, 4), last = req_rsap(host.client, 4, 5), answer;
	struct sent sent = *gateway_ask(g, udp_host(5), &m);

	log_set_level(0);
	answer = ask(g, 5, last);
	cr_assert_eq(answer.type, RSIP_ASSIGN_RESPONSE_RSAP);
	cr_assert_eq(refuse(g, sent).counter, 4);
	cr_expect_eq(ask(g, 5, last).bind_id, answer.bind_id);
	cr_expect_eq(datapath_fake_binds(g->dp), 3);
	gateway_free(g);
}

static void two_addresses(uint32_t id, const char *name, void *arg)
{
	struct gateway *g = arg;
	const __be32 addrs[] = { ip4("198.51.100.7"), ip4("198.51.100.8") };

	session_resolved(g->s, id, addrs, 2, g->now);
}

/* A whole address, a listener for IKE and a remote by name are what they were. covers: EXT-06 */
Test(restore, every_kind)
{
	struct gateway *g = gateway_new();
	struct datapath_bind bind;
	uint32_t id;
	struct msg m;

	g->rule.remote_policy = RSIP_POLICY_MACRO;
	g->range.last = g->range.first;
	gateway_lend_whole(g, "192.0.2.9", "192.0.2.9");
	gateway_start(g);
	sessions_resolver(g->s, two_addresses, g);
	id = gateway_register(g, 5);
	m = req_rsa(id, 2);
	m.remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("198.51.100.9") };
	cr_assert_eq(gateway_call(g, udp_host(5), &m).type, RSIP_ASSIGN_RESPONSE_RSA);
	m = req_listen(id, RSIP_IKE_PORT, 3);
	m.remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("198.51.100.9") };
	cr_assert_eq(gateway_call(g, udp_host(5), &m).type, RSIP_LISTEN_RESPONSE);
	m = req_rsap(id, 1, 4);
	m.remote = (struct msg_addr){ .type = RSIP_ADDR_FQDN, .name = (const uint8_t *)"a.example", .name_len = 9 };
	cr_assert_eq(gateway_call(g, udp_host(5), &m).type, RSIP_ASSIGN_RESPONSE_RSAP);

	cr_assert_eq(gateway_restart(g).binds, 3);
	cr_expect_eq(datapath_fake_whole(g->dp, ip4("192.0.2.9")), udp_host(5).source);
	cr_expect_eq(datapath_fake_ike_listen(g->dp, ip4("192.0.2.1"), ip4("198.51.100.9")), udp_host(5).source);
	cr_assert(datapath_fake_bind(g->dp, udp_host(5).source, 3, &bind));
	cr_assert_eq(bind.remote_count, 2);
	cr_expect_eq(bind.remotes[1], ip4("198.51.100.8"));
	cr_expect_eq(lease_client_by_id(session_leases(g->s), id)->address_count, 1);
	m = req_rsa(gateway_register(g, 6), 2);
	m.remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("198.51.100.9") };
	cr_expect_eq(gateway_call(g, udp_host(6), &m).error, 308, "it is lent");
	for (uint32_t i = 1; i <= 3; i++) {
		m = req_free(id, i, 4 + i);
		cr_expect_eq(gateway_call(g, udp_host(5), &m).type, RSIP_FREE_RESPONSE);
	}
	gateway_free(g);
}
