// SPDX-License-Identifier: GPL-2.0-only
/*
 * A daemon that takes over the maps of another one: what lives on stays as it
 * is, to the byte; what does not goes; what is missing comes.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <criterion/criterion.h>

#include "net.h"
#include "rsipd/datapath.h"

#define FOLDER	"/sys/fs/bpf/rsip/" RSIP_LAYOUT
#define X1	"10.0.0.5"
#define X2	"10.0.0.6"
#define NA	"10.0.0.1"
#define NB	"203.0.113.10"
#define NB2	"203.0.113.11"
#define Y	"203.0.113.2"

static struct config *config;
static struct datapath *dp;

/* Binds of every kind: two hosts on one address, flow policies, RSA-IP, several remotes, a listener. */
static const uint32_t spis[2][3] = { { 0x1000, 0x1001, 0x1002 }, { 0x2000, 0x2001, 0x2002 } };
static const struct msg_ports ports[2] = { { MSG_RUN, 4, 5000, { 0 } }, { MSG_LIST, 2, 0, { 7000, 7010 } } };
static __be32 remotes[2];
static struct datapath_bind binds[5];

#define BINDS	(sizeof(binds) / sizeof(binds[0]))

static void describe(void)
{
	__be32 x1 = net_addr(X1), x2 = net_addr(X2), na = net_addr(NA), nb = net_addr(NB);
	uint64_t ends = net_now() + 600000;

	remotes[0] = net_addr(Y);
	remotes[1] = net_addr("203.0.113.3");
	binds[0] = (struct datapath_bind){ .bind_id = 1, .client = x1, .gateway = na, .addr = nb, .ipsec = true, .ends = ends,
					   .ports = &ports[0], .spis = spis[0], .spi_count = 3, .tunnel = RSIP_TUNNEL_IPIP };
	binds[1] = (struct datapath_bind){ .bind_id = 2, .client = x1, .gateway = na, .addr = nb, .ipsec = true, .ends = ends,
					   .remotes = remotes, .remote_count = 2, .spis = spis[1], .spi_count = 3,
					   .tunnel = RSIP_TUNNEL_GRE };
	binds[2] = (struct datapath_bind){ .bind_id = 1, .client = x2, .gateway = na, .addr = nb, .ends = ends,
					   .ports = &ports[1], .remote = net_addr(Y), .tunnel = RSIP_TUNNEL_IPIP };
	binds[3] = (struct datapath_bind){ .bind_id = 2, .client = x2, .gateway = na, .addr = net_addr(NB2), .whole = true,
					   .ends = ends, .tunnel = RSIP_TUNNEL_IPIP };
	binds[4] = (struct datapath_bind){ .bind_id = 3, .client = x2, .gateway = na, .addr = nb, .ipsec = true,
					   .ike_listen = true, .ends = ends, .remote = net_addr(Y), .tunnel = RSIP_TUNNEL_IPIP,
					   .ports = &(const struct msg_ports){ MSG_RUN, 1, 500, { 0 } } };
}

static void add_hosts(void)
{
	cr_assert_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1001), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr(X2), net_addr(NA), 1002), 0);
}

static void fill(void)
{
	net_enter();
	config = net_config();
	describe();
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	add_hosts();
	for (size_t i = 0; i < BINDS; i++)
		cr_assert_eq(datapath_bind_add(dp, &binds[i]), 0, "bind %zu", i);
	datapath_close(dp);
	cr_assert_eq(datapath_open(config, &dp), 0);
}

static void finish(void)
{
	datapath_detach(dp);
	datapath_close(dp);
}

TestSuite(adopt, .init = fill, .fini = finish);

/* --- all maps as one piece of text ---------------------------------------------------------- */

static char *dump(void)
{
	static const char *const maps[] = {
		"spis", "ports", "cookies", "binds", "binds_rare", "clients", "grants", "remotes", "peers", "senders", "addresses", "routes",
	};
	char command[512] = "for m in", *text = NULL;
	size_t size = 0;
	FILE *pipe;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		sprintf(command + strlen(command), " %s", maps[i]);
	strcat(command, "; do echo $m; bpftool -j map dump pinned " FOLDER "/rsip_$m | jq -c '.[] | .formatted // . | del(.value.ends?)' | sort; done");
	pipe = popen(command, "r");
	cr_assert_gt(getdelim(&text, &size, '\0', pipe), 100);
	cr_assert_eq(pclose(pipe), 0);
	return text;
}

static struct rsip_bind slot(uint32_t at)
{
	struct rsip_bind value;

	net_get("rsip_binds", &at, &value);
	return value;
}

static struct rsip_bind_rare rare(uint32_t at)
{
	struct rsip_bind_rare value;

	net_get("rsip_binds_rare", &at, &value);
	return value;
}

static void drop(const char *name, const void *key)
{
	int fd = net_map(name);

	cr_assert_eq(bpf_map_delete_elem(fd, key), 0);
	close(fd);
}

static void add_all(void)
{
	add_hosts();
	for (size_t i = 0; i < BINDS; i++)
		cr_assert_eq(datapath_bind_add(dp, &binds[i]), 0, "bind %zu", i);
}

/* --- tests ------------------------------------------------------------------------------------ */

Test(adopt, nothing_changes_for_what_lives_on)
{
	char *before = dump(), *after;

	add_all();
	cr_assert_eq(datapath_settle(dp), 0);
	after = dump();
	cr_expect_str_eq(after, before);
	free(before);
	free(after);
	/* And it can be ended as ever. */
	for (size_t i = 0; i < BINDS; i++)
		datapath_bind_remove(dp, &binds[i]);
	cr_expect_eq(slot(binds[0].slot).generation, 0);
}

/* Not even for a moment: every single step leaves the maps alone until all is known. */
Test(adopt, no_map_is_touched_on_the_way)
{
	char *before = dump();

	add_hosts();
	for (size_t i = 0; i < BINDS; i++) {
		char *now;

		cr_assert_eq(datapath_bind_add(dp, &binds[i]), 0);
		now = dump();
		cr_expect_str_eq(now, before, "after bind %zu", i);
		free(now);
	}
	free(before);
}

Test(adopt, what_is_missing_comes)
{
	const struct rsip_spi_key spi = { .addr = net_addr(NB), .spi = htonl(0x1001), .proto = RSIP_PROTO_AH };
	const struct rsip_grant_key pair = { .client = net_addr(X1), .addr = net_addr(NB) };
	const struct rsip_port_key port = { .addr = net_addr(NB), .port = htons(7010) };
	const __be32 x2 = net_addr(X2);
	struct rsip_bind third = slot(binds[3].slot);
	struct rsip_grant grant;
	struct rsip_target to;

	datapath_close(dp);
	third.nexthop = 0;
	net_put("rsip_binds", &binds[3].slot, &third);
	drop("rsip_spis", &spi);
	drop("rsip_ports", &port);
	drop("rsip_grants", &pair);
	drop("rsip_clients", &x2);
	cr_assert_eq(datapath_open(config, &dp), 0);
	add_all();
	cr_assert_eq(datapath_settle(dp), 0);
	net_get("rsip_spis", &spi, &to);
	cr_expect_eq(to.bind, binds[0].slot);
	net_get("rsip_ports", &port, &to);
	cr_expect_eq(to.bind, binds[2].slot);
	net_get("rsip_grants", &pair, &grant);
	cr_expect_eq(grant.ipsec.bind, binds[0].slot);
	cr_expect_eq(grant.flags, RSIP_GRANT_BY_REMOTE);
	/* An earlier daemon was on its way to lead the host elsewhere: all its binds go one way. */
	for (size_t i = 2; i < BINDS; i++)
		cr_expect_eq(slot(binds[i].slot).nexthop, slot(binds[2].slot).nexthop);
}

/* covers: FAIL-08 FAIL-09 */
Test(adopt, what_does_not_live_on_goes)
{
	const struct rsip_spi_key stale = { .addr = net_addr(NB), .spi = htonl(0x9999), .proto = RSIP_PROTO_ESP };
	const struct rsip_target nowhere = { 1, 77 };
	int fd;

	net_put("rsip_spis", &stale, &nowhere);
	cr_assert_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1001), 0);
	cr_assert_eq(datapath_bind_add(dp, &binds[0]), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	for (uint32_t i = 1; i < BINDS; i++)
		cr_expect_eq(slot(binds[i].slot).generation, 0, "bind %u", i);
	cr_expect_neq(slot(binds[0].slot).generation, 0);
	fd = net_map("rsip_spis");
	for (unsigned int count = 0, err = 0; !err; count++) {
		struct rsip_spi_key key;

		err = bpf_map_get_next_key(fd, count ? &key : NULL, &key) != 0;
		cr_expect(!err || count == 6, "%u SPIs", count);
	}
	close(fd);
	fd = net_map("rsip_clients");
	cr_expect_neq(bpf_map_lookup_elem(fd, &(__be32){ net_addr(X2) }, &(struct rsip_client){ 0 }), 0);
	close(fd);
	/* Their slots are free for others. */
	cr_assert_eq(datapath_client_add(dp, net_addr(X2), net_addr(NA), 1003), 0);
	for (size_t i = 2; i < BINDS; i++)
		cr_expect_eq(datapath_bind_add(dp, &binds[i]), 0, "bind %zu", i);
}

/* A slot that the record names is another bind's by now: it gets one of its own. */
Test(adopt, a_wrong_slot_is_no_harm)
{
	uint32_t first = binds[0].slot;

	add_hosts();
	binds[2].slot = first;
	cr_assert_eq(datapath_bind_add(dp, &binds[2]), 0);
	cr_expect_neq(binds[2].slot, first);
	cr_assert_eq(datapath_bind_add(dp, &binds[0]), 0);
	cr_expect_eq(binds[0].slot, first);
	binds[1].slot = UINT32_MAX;
	cr_assert_eq(datapath_bind_add(dp, &binds[1]), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	cr_expect_eq(slot(binds[0].slot).client, net_addr(X1));
	cr_expect_eq(rare(binds[1].slot).bind_id, 2);
	cr_expect_eq(slot(binds[2].slot).client, net_addr(X2));
}

/* Another bind of the same host on the same address: the slot is not its own either. */
Test(adopt, a_slot_is_one_binds)
{
	uint32_t first = binds[0].slot;

	add_hosts();
	binds[1].slot = first;
	cr_assert_eq(datapath_bind_add(dp, &binds[1]), 0);
	cr_expect_neq(binds[1].slot, first);
	cr_assert_eq(datapath_bind_add(dp, &binds[0]), 0);
	cr_expect_eq(binds[0].slot, first);
	cr_assert_eq(datapath_settle(dp), 0);
	cr_expect_eq(rare(binds[0].slot).bind_id, 1);
	cr_expect_eq(rare(binds[1].slot).bind_id, 2);
}

/* No bind has the generation of another one, nor the 0 of none, also after the last there is. */
Test(adopt, generations_go_on)
{
	struct rsip_bind last = slot(binds[4].slot);

	datapath_close(dp);
	last.generation = UINT32_MAX;
	net_put("rsip_binds", &binds[4].slot, &last);
	cr_assert_eq(datapath_open(config, &dp), 0);
	add_hosts();
	binds[0].bind_id = 9;
	cr_assert_eq(datapath_bind_add(dp, &binds[0]), 0);
	cr_expect_eq(slot(binds[0].slot).generation, 1);
}

/* covers: IKE-07 */
Test(adopt, cookies_live_on_and_end_with_their_bind)
{
	const struct rsip_cookie_key key = { .cookie = { 1, 2, 3 }, .addr = net_addr(NB), .port = htons(500) };
	const struct rsip_cookie_key gone = { .cookie = { 9 }, .addr = net_addr(NB), .port = htons(500) };
	struct rsip_cookie cookie = { .target = { binds[0].slot, slot(binds[0].slot).generation }, .peer = net_addr(Y) };
	struct rsip_bind_rare with = rare(binds[0].slot);
	int fd = net_map("rsip_cookies");

	with.cookies = 1;
	net_put("rsip_binds_rare", &binds[0].slot, &with);
	net_put("rsip_cookies", &key, &cookie);
	cookie.target.generation ^= 1 << 30;
	net_put("rsip_cookies", &gone, &cookie);
	add_all();
	cr_assert_eq(datapath_settle(dp), 0);
	cr_expect_eq(bpf_map_lookup_elem(fd, &key, &cookie), 0);
	cr_expect_eq(rare(binds[0].slot).cookies, 1);
	cr_expect_neq(bpf_map_lookup_elem(fd, &gone, &cookie), 0);
	datapath_bind_remove(dp, &binds[0]);
	cr_expect_neq(bpf_map_lookup_elem(fd, &key, &cookie), 0);
	close(fd);
}
