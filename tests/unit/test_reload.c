// SPDX-License-Identifier: GPL-2.0-only
/*
 * Another configuration while hosts hold leases: what fits stays, what does not
 * is ended, and its host is told.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway.h"
#include "rsipd/fit.h"

/* --- what fits -------------------------------------------------------------------------- */

static const struct change {
	const char *name, *why;		/* NULL: it fits */
	enum { AS_IT_WAS, NO_IPSEC, NO_GRE, PEER_IS_LOCAL, OTHER_ADDRESS, NO_RSIPSEC, NO_RSAP, FEWER_PORTS, FEWER_SPIS,
	       JUST_SPIS, SPIS_BELOW } what;
	bool ipsec, ike, two_peers;	/* held: SPIs; port 500 of one peer; for two peers by name */
} changes[] = {
	{ "nothing", NULL, AS_IT_WAS, false },
	{ "nothing, IPsec", NULL, AS_IT_WAS, true },
	{ "ipsec: false, and no IPsec held", NULL, NO_IPSEC, false },
	{ "ipsec: false", "its host may not use IPsec any more", NO_IPSEC, true },
	{ "tunnels", "its tunnel type is not offered any more", NO_GRE, false },
	{ "local-networks", "its peer is on a local network now", PEER_IS_LOCAL, false },
	{ "addresses", "its address is in no pool any more", OTHER_ADDRESS, false },
	{ "methods without rsipsec", "its pool does not serve its method any more", NO_RSIPSEC, true },
	{ "methods without rsipsec, and no IPsec held", NULL, NO_RSIPSEC, false },
	{ "methods without rsap-ip", "its pool does not serve its method any more", NO_RSAP, false },
	{ "ports", "its pool does not lend all of its ports any more", FEWER_PORTS, false },
	{ "spis", "its pool does not lend all of its SPIs any more", FEWER_SPIS, true },
	{ "spis, and none held", NULL, FEWER_SPIS, false },
	{ "spis: just those that are held", NULL, JUST_SPIS, true },
	{ "spis: below the last", "its pool does not lend all of its SPIs any more", SPIS_BELOW, true },
	{ "ipsec: false, IKE of one peer", "its host may not use IPsec any more", NO_IPSEC, false, true },
	{ "methods without rsipsec, IKE of one peer", "its pool does not serve its method any more", NO_RSIPSEC, false, true },
	{ "methods without rsap-ip, IKE of one peer", NULL, NO_RSAP, false, true },
	{ "nothing, two peers", NULL, AS_IT_WAS, false, false, true },
	{ "local-networks, one of two peers", "its peer is on a local network now", PEER_IS_LOCAL, false, false, true },
};

static void apply(struct gateway *g, const struct change *change)
{
	switch (change->what) {
	case AS_IT_WAS:
		break;
	case NO_IPSEC:
		g->rule.ipsec = false;
		break;
	case NO_GRE:
		g->config.tunnel_count = 1;
		break;
	case PEER_IS_LOCAL:
		g->local_network = (struct addr_prefix){ ip4("198.51.100.0"), 24 };
		break;
	case OTHER_ADDRESS:
		g->range.first = g->range.last;
		break;
	case NO_RSIPSEC:
		g->pool.rsipsec = false;
		break;
	case NO_RSAP:
		g->pool.rsap = false;
		break;
	case FEWER_PORTS:
		g->pool.ports.last = 4001;
		break;
	case FEWER_SPIS:
		g->pool.spis.first = 0x1001;
		break;
	case JUST_SPIS:
		g->pool.spis = (struct num_range){ 0x1000, 0x1001 };
		break;
	case SPIS_BELOW:
		g->pool.spis.last = 0x1000;
		break;
	}
}

/* covers: ADM-01 */
Test(reload, what_fits)
{
	static const uint32_t spis[] = { 0x1000, 0x1001 };
	const __be32 peers[] = { ip4("203.0.113.5"), ip4("198.51.100.9") };

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *change = &changes[i];
		struct gateway *g = gateway_new();
		struct msg_ports ports = { .form = MSG_RUN, .count = 2, .first = 4001 };
		struct datapath_bind bind = {
			.addr = ip4("192.0.2.1"), .remote = ip4("198.51.100.9"), .tunnel = RSIP_TUNNEL_GRE,
			.ipsec = change->ipsec, .ike_listen = change->ike, .ports = &ports, .spis = spis, .spi_count = change->ipsec ? 2 : 0,
		};
		struct pools *pools;
		const char *why;

		if (change->two_peers) {
			bind.remote = 0;
			bind.remotes = peers;
			bind.remote_count = 2;
		}
		if (change->ike)
			ports = (struct msg_ports){ .form = MSG_NOT_NEEDED };
		apply(g, change);
		pools = pools_new(&g->config);
		why = fit_bind(&g->config, pools, &g->rule, &bind);
		cr_expect(change->why ? why && !strcmp(why, change->why) : !why, "%s: %s", change->name, why);
		pools_free(pools);
		free(g->box);
		free(g);
	}
}

/* A port of IKE fits as long as no cookie decides whose it is. */
Test(reload, ike_ports)
{
	struct gateway *g = gateway_new();
	struct msg_ports ports = { .form = MSG_LIST, .count = 1, .list = { 500 } };
	struct datapath_bind bind = { .addr = ip4("192.0.2.1"), .tunnel = RSIP_TUNNEL_IPIP, .ports = &ports };
	struct pools *pools;

	for (int ipsec = 0; ipsec < 2; ipsec++) {
		g->pool.rsipsec = ipsec;
		pools = pools_new(&g->config);
		cr_expect_eq(!fit_bind(&g->config, pools, &g->rule, &bind), !ipsec);
		pools_free(pools);
	}
	free(g->box);
	free(g);
}

Test(reload, hosts_that_fit)
{
	struct gateway *g = gateway_new();
	const char *why = NULL;

	cr_expect_eq(fit_client(&g->config, ip4("10.0.0.5"), ip4(GATEWAY_NA), &why), &g->rule);
	cr_expect_null(fit_client(&g->config, ip4("172.16.0.5"), ip4(GATEWAY_NA), &why));
	cr_expect_str_eq(why, "no rule of \"clients\" matches it any more");
	cr_expect_null(fit_client(&g->config, ip4("10.0.0.5"), ip4("10.0.0.2"), &why));
	cr_expect_str_eq(why, "the gateway address it registered at is not served any more");
	free(g->box);
	free(g);
}

/* --- a gateway with two configurations --------------------------------------------------- */

/* The second one, a copy of the first to be changed, with its own pool and rule. */
struct second {
	struct config config;
	struct config_pool pool;
	struct addr_range range;
	struct config_client rules[2];
	struct session_unfit unfit[4096];
	size_t count;
};

static struct second *second_new(const struct gateway *g)
{
	struct second *second = calloc(1, sizeof(*second));

	second->config = g->config;
	second->pool = g->pool;
	second->range = g->range;
	second->pool.addresses = &second->range;
	second->config.pools = &second->pool;
	second->rules[0] = second->rules[1] = g->rule;
	second->config.clients = second->rules;
	return second;
}

static void keep_unfit(const struct session_unfit *what, void *arg)
{
	struct second *second = arg;

	cr_assert_lt(second->count, sizeof(second->unfit) / sizeof(second->unfit[0]));
	second->unfit[second->count++] = *what;
}

static void change(struct gateway *g, struct second *second)
{
	cr_assert_eq(sessions_change(g->s, &g->config, &second->config, keep_unfit, second), 0);
}

/* Returns in how many parts. */
static unsigned int refit_all(struct gateway *g)
{
	unsigned int parts = 1;

	while (sessions_refit(g->s, g->now))
		parts++;
	return parts;
}

static uint32_t get_ports(struct gateway *g, uint32_t n, uint32_t client, uint16_t first, uint16_t count, uint32_t counter)
{
	struct msg m = req_rsap(client, count, counter), answer;

	if (first) {
		m.lports = (struct msg_ports){ .form = MSG_RUN, .first = first, .count = count };
		m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("192.0.2.1") };
	}
	answer = gateway_call(g, udp_host(n), &m);
	return answer.type == RSIP_ASSIGN_RESPONSE_RSAP ? answer.bind_id : 0;
}

static uint16_t error_of(struct gateway *g, uint32_t n, const struct msg *m)
{
	struct msg answer = gateway_call(g, udp_host(n), m);

	return answer.type == RSIP_ERROR_RESPONSE ? answer.error : 0;
}

/* The asynchronous message in the box. */
static struct msg told(const struct gateway *g, size_t i)
{
	struct msg_fault fault;
	struct msg m;

	cr_assert_lt(i, g->sent);
	cr_assert(msg_decode(g->box[i].data, g->box[i].len, MSG_AT_HOST, MSG_UDP, &m, &fault), "%s", fault.text);
	cr_assert_eq(m.counter, 0);
	return m;
}

/* Of three hosts one keeps all, one loses a bind and one its registration. covers: ADM-01 ADM-03 */
Test(reload, what_does_not_fit_is_ended_and_its_host_told)
{
	struct gateway *g = gateway_new();
	struct second *second;
	uint32_t clients[3], keeps, loses;
	struct msg m;

	g->range.last = g->range.first;
	gateway_start(g);
	for (uint32_t n = 0; n < 3; n++)
		clients[n] = gateway_register(g, 11 + n);
	keeps = get_ports(g, 11, clients[0], 2000, 4, 2);
	cr_assert(get_ports(g, 12, clients[1], 2100, 1, 2));
	loses = get_ports(g, 12, clients[1], 5000, 4, 3);
	cr_assert(get_ports(g, 13, clients[2], 2200, 4, 2));
	cr_assert(keeps && loses);

	second = second_new(g);
	second->pool.ports.last = 4999;
	second->rules[0].match = (struct addr_prefix){ ip4("10.0.0.8"), 30 };	/* .8 - .11 */
	second->rules[1].match = (struct addr_prefix){ ip4("10.0.0.12"), 32 };
	second->config.client_count = 2;
	change(g, second);
	g->sent = 0;
	refit_all(g);

	cr_assert_eq(second->count, 2);
	cr_expect_eq(g->sent, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct session_unfit *unfit = &second->unfit[i];

		m = told(g, i);
		cr_expect_eq(m.client_id, unfit->client_id);
		cr_expect_eq(g->box[i].to.source, unfit->host);
		if (unfit->bind_id) {
			cr_expect_eq(m.type, RSIP_FREE_RESPONSE);
			cr_expect_eq(m.bind_id, loses);
			cr_expect_eq(unfit->bind_id, loses);
			cr_expect_eq(unfit->client_id, clients[1]);
			cr_expect_str_eq(unfit->why, "its pool does not lend all of its ports any more");
		} else {
			cr_expect_eq(m.type, RSIP_DEREGISTER_RESPONSE);
			cr_expect_eq(unfit->client_id, clients[2]);
		}
	}
	cr_expect_eq(datapath_fake_binds(g->dp), 2, "the data plane has what is left");
	m = req_extend(clients[0], keeps, 100, 3);
	cr_expect_eq(error_of(g, 11, &m), 0);
	m = req_extend(clients[1], loses, 100, 4);
	cr_expect_eq(error_of(g, 12, &m), RSIP_E_BAD_BIND_ID);
	m = req_register(7);
	cr_expect_eq(error_of(g, 13, &m), RSIP_E_REGISTRATION_DENIED);
	gateway_free(g);
	free(second);
}

/* A host that asks before its turn is looked at first. */
Test(reload, who_asks_is_looked_at_first)
{
	struct gateway *g = gateway_new();
	struct second *second;
	uint32_t client, bind;
	struct msg m;

	gateway_start(g);
	client = gateway_register(g, 11);
	bind = get_ports(g, 11, client, 5000, 4, 2);
	second = second_new(g);
	second->pool.ports.last = 4999;
	change(g, second);
	cr_expect_eq(sessions_change(g->s, &g->config, &second->config, keep_unfit, second), -EBUSY);
	m = req_extend(client, bind, 100, 3);
	gateway_input(g, udp_host(11), "\1\2", 2);	/* less than a message: not its turn */
	cr_expect_eq(second->count, 0);
	static uint8_t data[RSIP_MESSAGE_MAX];
	gateway_input(g, udp_host(11), data, msg_encode(&m, data, sizeof(data)));
	cr_assert_eq(g->sent, 2);
	cr_expect_eq(told(g, 0).type, RSIP_FREE_RESPONSE);
	cr_expect_eq(g->box[1].data[1], RSIP_ERROR_RESPONSE);
	cr_expect_eq(second->count, 1);
	refit_all(g);
	cr_expect_eq(second->count, 1, "nothing is ended twice");
	gateway_free(g);
	free(second);
}

/* A method that no pool serves any more: its message is off. covers: REG-06 */
Test(reload, messages_that_are_off)
{
	struct gateway *g = gateway_new();
	struct second *second;
	struct msg m;

	gateway_start(g);
	m = req_ipsec(gateway_register(g, 11), 1, 2);
	cr_expect_eq(error_of(g, 11, &m), 0);
	second = second_new(g);
	second->pool.rsipsec = false;
	change(g, second);
	refit_all(g);
	m.counter = 3;
	cr_expect_eq(error_of(g, 11, &m), RSIP_E_UNSUPPORTED_MESSAGE);
	gateway_free(g);
	free(second);
}

/* A changed flow policy is for new registrations, changed limits for new requests. covers: FLOW-16 */
Test(reload, policies_and_limits_end_nothing)
{
	struct gateway *g = gateway_new();
	struct second *second;
	uint32_t client, other;
	struct msg m, answer;

	gateway_start(g);
	client = gateway_register(g, 11);
	cr_assert(get_ports(g, 11, client, 2000, 8, 2));
	second = second_new(g);
	second->rules[0].local_policy = RSIP_POLICY_MICRO;
	second->rules[0].max_ports = 4;
	second->config.leases.maximum = 60;
	second->config.leases.normal = 60;
	change(g, second);
	refit_all(g);
	cr_expect_eq(second->count, 0);
	m = req_rsap(client, 1, 3);
	cr_expect_eq(error_of(g, 11, &m), RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE, "8 of 4 ports are held");
	m = req_register(1);
	answer = gateway_call(g, udp_host(12), &m);
	cr_expect_eq(answer.local_policy, RSIP_POLICY_MICRO);
	other = answer.client_id;
	m = req_rsap(other, 2, 2);
	cr_expect_eq(error_of(g, 12, &m), RSIP_E_FLOW_POLICY_VIOLATION, "micro for the new one");
	m = req_rsap(other, 1, 3);
	answer = gateway_call(g, udp_host(12), &m);
	cr_expect_eq(answer.lease, 60);
	gateway_free(g);
	free(second);
}

/* An address that leaves the pools and comes back: nobody gets what is held or rests meanwhile. covers: RSAP-16 ADM-07 */
Test(reload, what_is_held_stays_held)
{
	struct gateway *g = gateway_new();
	struct second *without, *with;
	uint32_t client;

	g->range.last = g->range.first;
	gateway_start(g);
	client = gateway_register(g, 11);
	cr_assert(get_ports(g, 11, client, 2000, 4, 2));
	without = second_new(g);
	without->range.first = without->range.last = ntohl(ip4("192.0.2.200"));
	with = second_new(g);
	change(g, without);
	refit_all(g);
	cr_expect_eq(without->count, 1, "its address is gone");
	cr_expect_eq(gateway_lent(g).ports_leased, 0);
	cr_expect_eq(get_ports(g, 11, client, 2000, 4, 3), 0, "no address of ours");
	change(g, with);
	refit_all(g);
	cr_expect_eq(gateway_lent(g).ports_resting, 4, "it came back with what rests");
	cr_expect_eq(get_ports(g, 11, client, 2000, 4, 4), 0);
	gateway_wait(g, 121000);
	cr_expect_neq(get_ports(g, 11, client, 2000, 4, 5), 0);
	gateway_free(g);
	free(without);
	free(with);
}

/* Ports and SPIs that are not lent any more, and are again: held ones stay held, free ones are counted right. */
Test(reload, ranges_that_shrink_and_grow)
{
	struct gateway *g = gateway_new();
	struct second *small, *large;
	uint32_t client;
	struct lent lent;

	g->range.last = g->range.first;
	g->pool.ports = (struct num_range){ 1000, 1099 };
	g->rule.max_ports = 65535;
	gateway_start(g);
	client = gateway_register(g, 11);
	cr_assert(get_ports(g, 11, client, 1010, 10, 2));
	cr_assert(get_ports(g, 11, client, 1060, 10, 3));
	small = second_new(g);
	small->pool.ports = (struct num_range){ 1000, 1049 };
	large = second_new(g);
	change(g, small);
	refit_all(g);
	cr_expect_eq(small->count, 1);
	lent = gateway_lent(g);
	cr_expect_eq(lent.ports_leased, 10);
	cr_expect_eq(lent.ports_resting, 10);
	cr_expect_eq(get_ports(g, 11, client, 0, 40, 4) != 0, true, "all that is left of the range");
	cr_expect_eq(get_ports(g, 11, client, 0, 1, 5), 0, "and no more");
	change(g, large);
	refit_all(g);
	cr_expect_eq(get_ports(g, 11, client, 1060, 1, 6), 0, "it rests");
	cr_expect_eq(get_ports(g, 11, client, 0, 40, 7) != 0, true, "the 40 that rest nowhere");
	cr_expect_eq(get_ports(g, 11, client, 0, 1, 8), 0);
	gateway_wait(g, 121000);
	cr_expect_neq(get_ports(g, 11, client, 1060, 10, 9), 0);
	gateway_free(g);
	free(small);
	free(large);
}

/* --- much of it --------------------------------------------------------------------------- */

static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);	/* others may be busy */
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* 4000 hosts with 8 binds each, half of which end: no part takes long, others are answered between them. */
Test(reload, in_parts, .timeout = 60)
{
	struct gateway *g = gateway_new();
	struct second *second;
	uint64_t longest = 0, begin;
	unsigned int parts = 0;

	gateway_start(g);
	for (uint32_t n = 1; n <= 4000; n++) {
		uint32_t client = gateway_register(g, 256 + n);

		for (uint32_t i = 0; i < 8; i++)
			cr_assert(get_ports(g, 256 + n, client, 0, 1, 2 + i));
	}
	second = second_new(g);
	second->rules[0].match = (struct addr_prefix){ ip4("10.0.0.0"), 21 };	/* up to 10.0.7.255: 1791 hosts */
	begin = cpu_us();
	change(g, second);
	cr_expect_lt(cpu_us() - begin, 50000);
	for (bool more = true; more; parts++) {
		g->sent = 0;
		begin = cpu_us();
		more = sessions_refit(g->s, g->now);
		longest = cpu_us() - begin > longest ? cpu_us() - begin : longest;
	}
	cr_expect_eq(second->count, 4000 - 1791);
	cr_expect_eq(lease_bind_count(session_leases(g->s)), 8 * 1791);
	cr_expect_gt(parts, 10);
	cr_log_info("%u parts, the longest %llu us", parts, (unsigned long long)longest);
	gateway_free(g);
	free(second);
}
