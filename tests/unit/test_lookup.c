// SPDX-License-Identifier: GPL-2.0-only
/* Remotes given by name: what waits, what goes on meanwhile, and what becomes of the answer. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "gateway.h"

#define ASKED_MAX	1100

/* Names that were asked for, in order. */
static struct { uint32_t id; char name[256]; } asked[ASKED_MAX];
static size_t asked_count;

static void ask(uint32_t id, const char *name, void *arg)
{
	cr_assert_lt(asked_count, ASKED_MAX);
	asked[asked_count].id = id;
	strcpy(asked[asked_count++].name, name);
}

static struct gateway *start(void (*configure)(struct gateway *g))
{
	struct gateway *g = gateway_new();

	g->rule.remote_policy = RSIP_POLICY_MACRO;
	g->rule.listen = CONFIG_LISTEN_ALWAYS;
	if (configure)
		configure(g);
	gateway_start(g);
	sessions_resolver(g->s, ask, NULL);
	return g;
}

static struct msg by_name(struct msg m, const char *name)
{
	m.remote = (struct msg_addr){
		.type = RSIP_ADDR_FQDN, .name = (const uint8_t *)name, .name_len = (uint8_t)strlen(name),
	};
	return m;
}

/* The answer that was sent last, decoded. */
static struct msg last_answer(const struct gateway *g)
{
	struct msg_fault fault;
	struct msg m;

	cr_assert_eq(g->sent, 1, "%zu messages", g->sent);
	cr_assert(msg_decode(g->box[0].data, g->box[0].len, MSG_AT_HOST, 0, &m, &fault), "%s", fault.text);
	return m;
}

static void resolve(struct gateway *g, size_t question, size_t count, const char *const *addrs)
{
	__be32 list[32];

	for (size_t i = 0; i < count; i++)
		list[i] = ip4(addrs[i]);
	g->sent = 0;
	session_resolved(g->s, asked[question].id, list, count, g->now);
}

static struct lent nothing_lent;

/* covers: FLOW-14 RSAP-14 T-19 */
Test(lookup, one_address)
{
	static const char *const addrs[] = { "198.51.100.7" };
	struct gateway *g = start(NULL);
	struct datapath_bind bind;
	uint32_t id = gateway_register(g, 2);
	struct msg m = by_name(req_rsap(id, 1, 2), "peer.example"), answer;
	struct lent lent;

	for (unsigned int i = 0; i < 5; i++)
		cr_expect_null(gateway_ask(g, udp_host(2), &m), "copy %u", i);
	cr_expect_eq(asked_count, 1);
	cr_expect_str_eq(asked[0].name, "peer.example");
	lent = gateway_lent(g);
	cr_expect_eq(memcmp(&lent, &nothing_lent, sizeof(lent)), 0, "nothing is taken while it waits");
	g->now += 300;
	resolve(g, 0, 1, addrs);
	answer = last_answer(g);
	cr_assert_eq(answer.type, RSIP_ASSIGN_RESPONSE_RSAP);
	cr_expect_eq(answer.counter, 2);
	cr_expect_eq(answer.remote.type, RSIP_ADDR_FQDN, "the name as it was sent");
	cr_expect_eq(answer.remote.name_len, 12);
	cr_expect_eq(memcmp(answer.remote.name, "peer.example", 12), 0);
	cr_expect_eq(datapath_fake_binds(g->dp), 1);
	cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
	cr_expect_eq(bind.remote, ip4("198.51.100.7"));
	cr_expect_eq(bind.remote_count, 0);

	/* A late copy gets that answer; a second answer of the resolver is nothing. */
	cr_expect_eq(gateway_call(g, udp_host(2), &m).bind_id, 1);
	resolve(g, 0, 1, addrs);
	cr_expect_eq(g->sent, 0);
	cr_expect_eq(datapath_fake_binds(g->dp), 1);
	gateway_free(g);
}

/* covers: FLOW-14 */
Test(lookup, several_addresses)
{
	static const char *const addrs[] = { "198.51.100.7", "10.0.0.9", "198.51.100.8", "198.51.100.7", "127.0.0.1" };
	struct gateway *g = start(NULL);
	struct datapath_bind bind;
	struct msg m = by_name(req_rsap(gateway_register(g, 2), 1, 2), "many.example");

	gateway_ask(g, udp_host(2), &m);
	resolve(g, 0, 5, addrs);
	cr_assert_eq(last_answer(g).type, RSIP_ASSIGN_RESPONSE_RSAP);
	cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
	cr_expect_eq(bind.remote, 0);
	cr_assert_eq(bind.remote_count, 2, "each once, and none that a lease does not reach");
	cr_expect_eq(bind.remotes[0], ip4("198.51.100.7"));
	cr_expect_eq(bind.remotes[1], ip4("198.51.100.8"));
	m = req_free(m.client_id, 1, 3);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).type, RSIP_FREE_RESPONSE);
	gateway_free(g);
}

Test(lookup, no_more_addresses_than_the_data_plane_takes)
{
	char text[RSIP_REMOTES_MAX + 4][16];
	const char *addrs[RSIP_REMOTES_MAX + 4];
	struct gateway *g = start(NULL);
	struct datapath_bind bind;
	struct msg m = by_name(req_rsap(gateway_register(g, 2), 1, 2), "crowd.example");

	for (unsigned int i = 0; i < RSIP_REMOTES_MAX + 4; i++) {
		snprintf(text[i], sizeof(text[i]), "198.51.100.%u", i);
		addrs[i] = text[i];
	}
	gateway_ask(g, udp_host(2), &m);
	resolve(g, 0, RSIP_REMOTES_MAX + 4, addrs);
	cr_assert(datapath_fake_bind(g->dp, udp_host(2).source, 1, &bind));
	cr_expect_eq(bind.remote_count, RSIP_REMOTES_MAX);
	gateway_free(g);
}

/* covers: FLOW-14 FLOW-06 DNS-05 */
Test(lookup, no_address)
{
	static const char *const local[] = { "10.0.0.9" };
	struct gateway *g = start(NULL);
	uint32_t id = gateway_register(g, 2);
	struct msg m = by_name(req_rsap(id, 1, 2), "nobody.example");

	gateway_ask(g, udp_host(2), &m);
	resolve(g, 0, 0, NULL);
	cr_expect_eq(last_answer(g).error, 314, "not found");
	cr_expect_eq(gateway_call(g, udp_host(2), &m).error, 314, "and stored like any error");
	m.counter = 3;
	gateway_ask(g, udp_host(2), &m);
	resolve(g, 1, 1, local);
	cr_expect_eq(last_answer(g).error, 314, "in the private realm only");

	m.counter = 4;
	gateway_ask(g, udp_host(2), &m);
	gateway_wait(g, 1499);
	cr_expect_eq(g->sent, 0);
	gateway_wait(g, 1);
	cr_expect_eq(last_answer(g).error, 314, "no answer in time");
	resolve(g, 2, 1, local);
	cr_expect_eq(g->sent, 0, "too late");

	sessions_resolver(g->s, NULL, NULL);
	m.counter = 5;
	cr_expect_eq(gateway_call(g, udp_host(2), &m).error, 314, "nobody looks up names");
	cr_expect_eq(datapath_fake_binds(g->dp), 0);
	gateway_free(g);
}

/* Others are answered, and a host that gives up gets on. covers: DNS-05 T-20 T-21 */
Test(lookup, what_goes_on_meanwhile)
{
	static const char *const addrs[] = { "198.51.100.7" };
	struct gateway *g = start(NULL);
	uint32_t id = gateway_register(g, 2), other = gateway_register(g, 3);
	struct msg m = by_name(req_rsap(id, 1, 5), "slow.example"), query;

	gateway_ask(g, udp_host(2), &m);
	cr_expect(session_waits(g->s, &(struct origin){ .source = udp_host(2).source }));
	cr_expect(!session_waits(g->s, &(struct origin){ .source = udp_host(3).source }));
	query = req_query(other, 2);
	cr_expect_eq(gateway_call(g, udp_host(3), &query).type, RSIP_QUERY_RESPONSE);
	query = req_query(id, 4);
	cr_expect_null(gateway_ask(g, udp_host(2), &query), "an older request is dropped");
	query = req_query(id, 5);
	cr_expect_eq(gateway_call(g, udp_host(2), &query).type, RSIP_QUERY_RESPONSE, "the same counter, another request");
	cr_expect(!session_waits(g->s, &(struct origin){ .source = udp_host(2).source }));
	resolve(g, 0, 1, addrs);
	cr_expect_eq(g->sent, 0, "nobody waits for it any more");
	cr_expect_eq(datapath_fake_binds(g->dp), 0);

	/* The host is taken off while it waits. */
	m.counter = 6;
	gateway_ask(g, udp_host(2), &m);
	cr_expect(session_evict(g->s, id, g->now));
	resolve(g, 1, 1, addrs);
	cr_expect_eq(g->sent, 0);
	gateway_free(g);
}

/* covers: DNS-05 SEC-01 */
Test(lookup, so_many_at_once_and_no_more)
{
	struct gateway *g = start(NULL);
	struct msg m;

	for (uint32_t i = 0; i < 1024; i++) {
		m = by_name(req_rsap(gateway_register(g, 2 + i), 1, 2), "slow.example");
		cr_assert_null(gateway_ask(g, udp_host(2 + i), &m));
	}
	m = by_name(req_rsap(gateway_register(g, 2000), 1, 2), "slow.example");
	cr_expect_eq(gateway_call(g, udp_host(2000), &m).error, 104);
	resolve(g, 0, 0, NULL);
	m.counter = 3;
	cr_expect_null(gateway_ask(g, udp_host(2000), &m), "there is room again");
	gateway_free(g);
}

/* Who answers at once does not get in the way. */
static void answer_at_once(uint32_t id, const char *name, void *arg)
{
	struct gateway *g = arg;
	__be32 addr = ip4("198.51.100.7");

	session_resolved(g->s, id, &addr, 1, g->now);
}

/* Without a remote policy the name is of no interest. covers: FLOW-03 LSN-08 RSA-10 */
Test(lookup, every_kind_of_request)
{
	struct gateway *g = start(NULL);
	uint32_t id = gateway_register(g, 2);
	struct msg requests[3], m;

	sessions_resolver(g->s, answer_at_once, g);
	requests[0] = by_name(req_rsap(id, 1, 2), "a.example");
	requests[1] = by_name(req_ipsec(id, 1, 3), "a.example");
	requests[2] = by_name(req_listen(id, RSIP_IKE_PORT, 4), "a.example");
	for (unsigned int i = 0; i < 3; i++)
		cr_expect_eq(gateway_call(g, udp_host(2), &requests[i]).type, requests[i].type + 1);
	cr_expect_eq(datapath_fake_ike_listen(g->dp, ip4("192.0.2.1"), ip4("198.51.100.7")), udp_host(2).source);

	sessions_resolver(g->s, ask, NULL);
	g->rule.remote_policy = RSIP_POLICY_NONE;
	m = by_name(req_rsap(gateway_register(g, 3), 1, 2), "a.example");
	m = gateway_call(g, udp_host(3), &m);
	cr_expect_eq(m.type, RSIP_ASSIGN_RESPONSE_RSAP);
	cr_expect(m.remote.any);
	cr_expect_eq(asked_count, 0);
	gateway_free(g);
}

/* --- queries ---------------------------------------------------------------------------------- */

/* A query for an address, a network and the names. */
static struct msg query_for(uint32_t id, uint32_t counter, size_t count, const char *const *names)
{
	static uint8_t tuples[2048];
	struct msg_tuple tuple = { .indicator = RSIP_QUERY_ADDRESS, .addr = { .type = RSIP_ADDR_IPV4, .v4 = ip4("10.1.1.1") } };
	struct msg m = req_query(id, counter);
	size_t len = msg_tuple_write(&tuple, tuples, sizeof(tuples));

	for (size_t i = 0; i < count; i++) {
		tuple.addr = (struct msg_addr){
			.type = RSIP_ADDR_FQDN, .name = (const uint8_t *)names[i], .name_len = (uint8_t)strlen(names[i]),
		};
		len += msg_tuple_write(&tuple, tuples + len, sizeof(tuples) - len);
	}
	m.tuples = tuples;
	m.tuples_len = len;
	m.has |= MSG_HAS_TUPLES;
	return m;
}

/* The addresses and names of an answer, as text. */
static const char *told_local(const struct gateway *g)
{
	static char text[512];
	struct msg m = last_answer(g);
	const uint8_t *at = m.tuples;
	size_t left = m.has & MSG_HAS_TUPLES ? m.tuples_len : 0;
	struct msg_tuple tuple;
	char addr[ADDR_TEXT_LEN];

	text[0] = '\0';
	cr_assert_eq(m.type, RSIP_QUERY_RESPONSE);
	while (msg_tuple_next(&at, &left, &tuple)) {
		cr_expect_eq(tuple.indicator, RSIP_LOCAL_ADDRESS);
		if (tuple.addr.type == RSIP_ADDR_FQDN)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s ", tuple.addr.name_len,
				 tuple.addr.name);
		else
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ",
				 addr_text(tuple.addr.v4, addr));
	}
	return text;
}

/* A name is local if all its addresses are; it comes back as it was sent. */
/* covers: QRY-12 DNS-05 T-19 */
Test(lookup, names_in_a_query)
{
	static const char *const names[] = { "db.corp.example", "www.example", "both.example", "nobody.example" };
	static const char *const addrs[] = { "10.0.0.9", "10.0.0.10", "198.51.100.7" };
	struct gateway *g = start(NULL);
	uint32_t id = gateway_register(g, 2);
	struct msg m = query_for(id, 2, 4, names);

	for (unsigned int i = 0; i < 3; i++)
		cr_expect_null(gateway_ask(g, udp_host(2), &m), "copy %u", i);
	cr_expect_eq(asked_count, 1, "one after the other");
	resolve(g, 0, 2, addrs);
	cr_expect_eq(g->sent, 0);
	resolve(g, 1, 1, addrs + 2);
	resolve(g, 2, 3, addrs);
	cr_assert_eq(asked_count, 4);
	cr_expect_str_eq(asked[3].name, "nobody.example");
	resolve(g, 3, 0, NULL);
	cr_expect_str_eq(told_local(g), "10.1.1.1 db.corp.example ");
	cr_expect_not_null(gateway_ask(g, udp_host(2), &m));
	cr_expect_str_eq(told_local(g), "10.1.1.1 db.corp.example ", "a copy");
	cr_expect_eq(asked_count, 4);

	/* All of them in 1.5 s: what is not known by then is unknown. */
	m.counter = 3;
	gateway_ask(g, udp_host(2), &m);
	gateway_wait(g, 1000);
	resolve(g, 4, 1, addrs);
	cr_expect_eq(asked_count, 6);
	gateway_wait(g, 499);
	cr_expect_eq(g->sent, 0);
	gateway_wait(g, 1);
	cr_expect_str_eq(told_local(g), "10.1.1.1 db.corp.example ");
	cr_expect_eq(asked_count, 6);

	/* Nobody looks up names. */
	sessions_resolver(g->s, NULL, NULL);
	m.counter = 4;
	cr_expect_not_null(gateway_ask(g, udp_host(2), &m));
	cr_expect_str_eq(told_local(g), "10.1.1.1 ");
	gateway_free(g);
}

/* No more than eight of a query. */
Test(lookup, many_names_in_a_query)
{
	static const char *const names[] = { "a.x", "b.x", "c.x", "d.x", "e.x", "f.x", "g.x", "h.x", "i.x" };
	static const char *const addrs[] = { "10.0.0.9" };
	struct gateway *g = start(NULL);
	struct msg m = query_for(gateway_register(g, 2), 2, 9, names);

	gateway_ask(g, udp_host(2), &m);
	for (size_t i = 0; i < 8; i++)
		resolve(g, i, 1, addrs);
	cr_expect_str_eq(told_local(g), "10.1.1.1 a.x b.x c.x d.x e.x f.x g.x h.x ");
	cr_expect_eq(asked_count, 8);
	gateway_free(g);
}

/* An IKE listener is for one peer. */
Test(lookup, ike_of_several_peers)
{
	static const char *const addrs[] = { "198.51.100.7", "198.51.100.8" };
	struct gateway *g = start(NULL);
	struct msg m = by_name(req_listen(gateway_register(g, 2), RSIP_IKE_PORT, 2), "two.example");

	gateway_ask(g, udp_host(2), &m);
	resolve(g, 0, 2, addrs);
	cr_expect_eq(last_answer(g).error, 314);
	gateway_free(g);
}
