// SPDX-License-Identifier: GPL-2.0-only
/* What the daemon puts into rsip_senders: who stands in which place, while binds come, go and live on. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "net.h"
#include "rsipd/datapath.h"

#define X1	"10.0.0.5"
#define X2	"10.0.0.6"
#define X1B	"10.0.0.69"	/* 64 further: the same place as X1 */
#define NA	"10.0.0.1"
#define NB	"203.0.113.10"
#define NB2	"203.0.113.11"
#define Y	"203.0.113.2"
#define PLACES	64

static const char *const hosts[] = { X1, X2, X1B };
static struct config *config;
static struct datapath *dp;

static void open_one(void)
{
	net_enter();
	config = net_config();
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	for (uint32_t i = 0; i < 3; i++)
		cr_assert_eq(datapath_client_add(dp, net_addr(hosts[i]), net_addr(NA), 1001 + i), 0);
}

static void close_one(void)
{
	datapath_detach(dp);
	datapath_close(dp);
}

TestSuite(senders, .init = open_one, .fini = close_one);

static struct rsip_sender sender_at(const char *host)
{
	__u32 place = rsip_sender_place(ntohl(net_addr(host)), PLACES);
	struct rsip_sender sender;

	net_get("rsip_senders", &place, &sender);
	return sender;
}

static void sender_set(const char *host, const struct rsip_sender *sender)
{
	__u32 place = rsip_sender_place(ntohl(net_addr(host)), PLACES);

	net_put("rsip_senders", &place, sender);
}

static __u32 ends_of(const struct datapath_bind *bind)
{
	struct rsip_bind value;

	net_get("rsip_binds", &bind->slot, &value);
	return value.ends;
}

/* The bind, or nobody if it is NULL, stands in the place of that host, and that is all of the entry. */
static void expect_sender(const char *host, const struct datapath_bind *bind, const char *what)
{
	struct rsip_sender is = sender_at(host), want = { 0 };

	if (bind)
		want = (struct rsip_sender){
			.client = bind->client, .addr = bind->addr, .gateway = bind->gateway, .bind = bind->slot,
			.ends = ends_of(bind), .tunnel = bind->tunnel == RSIP_TUNNEL_GRE ? RSIP_PROTO_GRE : RSIP_PROTO_IPIP,
		};
	cr_expect_arr_eq(&is, &want, sizeof(want), "%s", what);
}

static struct datapath_bind bind_of(const char *host, const char *addr, uint32_t id)
{
	return (struct datapath_bind){
		.bind_id = id, .client = net_addr(host), .gateway = net_addr(NA), .addr = net_addr(addr), .ipsec = true,
		.tunnel = RSIP_TUNNEL_IPIP, .ends = net_now() + 600000,
	};
}

static void add(struct datapath_bind *bind)
{
	cr_assert_eq(datapath_bind_add(dp, bind), 0);
}

/* covers: EG-08 FREE-04 LSE-03 */
Test(senders, come_last_and_go)
{
	struct datapath_bind bind = bind_of(X1, NB, 1), gre = bind_of(X2, NB2, 2);

	gre.tunnel = RSIP_TUNNEL_GRE;
	expect_sender(X1, NULL, "before");
	add(&bind);
	add(&gre);
	expect_sender(X1, &bind, "in its place");
	expect_sender(X2, &gre, "GRE");
	bind.ends += 7200000;
	datapath_bind_extend(dp, &bind);
	expect_sender(X1, &bind, "extended");
	datapath_bind_remove(dp, &bind);
	expect_sender(X1, NULL, "removed");
	datapath_client_remove(dp, net_addr(X2));
	expect_sender(X2, NULL, "its host removed");
	datapath_bind_remove(dp, &gre);
}

/* covers: FLOW-07 FLOW-08 */
Test(senders, only_what_needs_one_look)
{
	static const struct msg_ports none = { .form = MSG_NOT_NEEDED };
	const __be32 remotes[] = { net_addr(Y), net_addr("203.0.113.3") };
	struct datapath_bind cases[] = {
		bind_of(X1, NB, 1), bind_of(X1, NB, 2), bind_of(X1, NB, 3), bind_of(X1, NB, 4), bind_of(X1, NB2, 5),
	};

	cases[0].ipsec = false;
	cases[0].ports = &none;
	cases[1].remote = net_addr(Y);
	cases[2].remote_port = htons(80);
	cases[3].remotes = remotes;
	cases[3].remote_count = 2;
	cases[4].whole = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add(&cases[i]);
		expect_sender(X1, NULL, "not for a place");
		datapath_bind_extend(dp, &cases[i]);
		expect_sender(X1, NULL, "nor when extended");
	}
}

/* One stands there; when it goes, the host's oldest comes next. covers: EG-08 */
Test(senders, one_after_the_other)
{
	struct datapath_bind first = bind_of(X1, NB, 1), second = bind_of(X1, NB2, 2), third = bind_of(X1, NB, 3);
	struct rsip_sender marked, is;

	add(&first);
	add(&second);
	add(&third);
	expect_sender(X1, &first, "the first");
	datapath_bind_extend(dp, &second);
	expect_sender(X1, &first, "another is extended");
	marked = sender_at(X1);
	marked.mark[0] = 0x1234;
	sender_set(X1, &marked);
	datapath_bind_remove(dp, &third);
	is = sender_at(X1);
	cr_expect_arr_eq(&is, &marked, sizeof(is), "another is removed: not even for a moment");
	datapath_bind_remove(dp, &first);
	expect_sender(X1, &second, "the next");
	datapath_bind_remove(dp, &second);
	expect_sender(X1, NULL, "none");
}

/* Nobody takes the place of another host. covers: EG-08 SEC-01 */
Test(senders, a_place_is_one_hosts)
{
	struct datapath_bind first = bind_of(X1, NB, 1), second = bind_of(X1B, NB, 2);

	add(&first);
	add(&second);
	expect_sender(X1, &first, "the first");
	datapath_bind_remove(dp, &second);
	expect_sender(X1, &first, "the other one goes");
	add(&second);
	datapath_bind_remove(dp, &first);
	expect_sender(X1, NULL, "the first goes");
	datapath_bind_extend(dp, &second);
	expect_sender(X1B, &second, "free for the other one");
}

/* A place that names a live bind and tells something else of it is emptied; an empty one is filled. covers: FAIL-08 FAIL-09 */
Test(senders, are_as_their_binds_are)
{
	struct datapath_bind bind = bind_of(X1, NB, 1);
	struct rsip_sender right, wrong[4];

	add(&bind);
	right = sender_at(X1);
	for (size_t i = 0; i < 4; i++)
		wrong[i] = right;
	wrong[0].addr = net_addr(NB2);
	wrong[1].gateway = net_addr(X2);
	wrong[2].tunnel = RSIP_PROTO_GRE;
	memset(&wrong[3], 0, sizeof(wrong[3]));
	for (size_t i = 0; i < 4; i++) {
		sender_set(X1, &wrong[i]);
		datapath_close(dp);
		cr_assert_eq(datapath_open(config, &dp), 0);
		cr_assert_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1001), 0);
		add(&bind);
		cr_assert_eq(datapath_settle(dp), 0);
		expect_sender(X1, i < 3 ? NULL : &bind, i < 3 ? "not so" : "not there");
	}
}

/* The next daemon keeps marks, and takes out what has no bind behind it. covers: FAIL-08 FAIL-09 */
Test(senders, live_on)
{
	struct datapath_bind stays = bind_of(X1, NB, 1), goes = bind_of(X2, NB, 2);
	struct rsip_sender marked, stale, is;

	add(&stays);
	add(&goes);
	marked = sender_at(X1);
	marked.mark[0] = 0x1234;
	sender_set(X1, &marked);
	stale = marked;
	stale.client = net_addr("10.0.0.7");
	sender_set("10.0.0.7", &stale);
	stale.client = net_addr("10.0.0.8");
	stale.bind = UINT32_MAX;
	sender_set("10.0.0.8", &stale);
	datapath_close(dp);
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1001), 0);
	add(&stays);
	cr_assert_eq(datapath_settle(dp), 0);
	is = sender_at(X1);
	marked.ends = ends_of(&stays);	/* the clock may be a tick further */
	cr_expect_arr_eq(&is, &marked, sizeof(is));
	expect_sender(X2, NULL, "its bind does not live on");
	expect_sender("10.0.0.7", NULL, "another's bind");
	expect_sender("10.0.0.8", NULL, "a bind that cannot be");
}
