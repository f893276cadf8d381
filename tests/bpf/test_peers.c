// SPDX-License-Identifier: GPL-2.0-only
/* IKE that a peer begins: to the host that listens to it, and its cookie is known from then on. */
#include <criterion/criterion.h>

#include "run.h"

#define TO_X1	"eth n > x1 | ip NA > X1 | "
#define TO_X2	"eth n > x2 | ip NA > X2 | gre | "

/* covers: LSN-02 LSN-11 APG-01 IKE-06 IKE-08 */
Test(peers, inbound)
{
	static const struct row rows[] = {
		{ "Y to X1", "ip Y > NB2 | udp 500 > 500 | ike 0x71", RSIP_IN_IKE,
		  TO_X1 "ip Y > NB2 ttl 63 | udp 500 > 500 | ike 0x71" },
		{ "Z to X2 on the same address", "ip Z > NB2 | udp 1025 > 500 | ike 0x72", RSIP_IN_IKE,
		  TO_X2 "ip Z > NB2 ttl 63 | udp 1025 > 500 | ike 0x72" },
		{ "and so it goes on", "ip Y > NB2 | udp 500 > 500 | ike 0x71 | data 50", RSIP_IN_IKE,
		  TO_X1 "ip Y > NB2 ttl 63 | udp 500 > 500 | ike 0x71 | data 50" },
		{ "on 4500 as well", "ip Y > NB2 | udp 4500 > 4500 | marker | ike 0x71", RSIP_IN_IKE,
		  TO_X1 "ip Y > NB2 ttl 63 | udp 4500 > 4500 | marker | ike 0x71" },
		{ "the other peer with that cookie", "ip Z > NB2 | udp 500 > 500 | ike 0x71", RSIP_IN_REMOTE, NULL },
		{ "nobody listens to YV", "ip YV > NB2 | udp 500 > 500 | ike 0x73", RSIP_IN_NO_COOKIE, NULL },
		{ "nobody listens there", "ip Y > NB | udp 500 > 500 | ike 0x74", RSIP_IN_NO_COOKIE, NULL },
		{ "cookie 0", "ip Y > NB2 | udp 500 > 500 | ike 0", RSIP_IN_NO_COOKIE, NULL },
		{ "too short", "ip Y > NB2 | udp 500 > 500 | bytes 01020304050607", RSIP_IN_NO_COOKIE, NULL },
		{ "not IKE", "ip Y > NB2 | udp 500 > 501 | ike 0x75", RSIP_IN_NO_PORT, NULL },
		{ "TTL", "ip Y > NB2 ttl 1 | udp 500 > 500 | ike 0x76", RSIP_IN_TTL_TOLD, NULL },
	};
	static const struct row answers[] = {
		{ "X1 answers", "ip X1 > NA | ip NB2 > Y | udp 500 > 500 | ike 0x71", RSIP_OUT_IKE,
		  "eth n > y | ip NB2 > Y ttl 63 | udp 500 > 500 | ike 0x71" },
		{ "X2 may not", "ip X2 > NA | gre | ip NB2 > Y | udp 500 > 500 | ike 0x71", RSIP_OUT_COOKIE_TAKEN, NULL },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PUBLIC, ROWS(rows));
	cr_expect_eq(world_cookies(&w), 3, "what is refused leaves none");
	rows_run(&w, PRIVATE, ROWS(answers));
	world_close(&w);
}

/* A host without a RSIPSEC bind answers all the same: the cookie is its own. covers: APG-01 LSN-02 */
Test(peers, answer_without_rsipsec)
{
	static const struct row in = { "in", "ip YV > NB | udp 500 > 500 | ike 0x81", RSIP_IN_IKE,
				       "eth n > x4 | ip NA > X4 | ip YV > NB ttl 63 | udp 500 > 500 | ike 0x81" };
	static const struct row out = { "out", "ip X4 > NA | ip NB > YV | udp 500 > 500 | ike 0x81", RSIP_OUT_IKE,
					"eth n > yv | vlan 9 | ip NB > YV ttl 63 | udp 500 > 500 | ike 0x81" };
	static const struct row begins = { "begins", "ip X4 > NA | ip NB > YV | udp 500 > 500 | ike 0x82",
					   RSIP_OUT_NO_PORT, NULL };
	struct rsip_peer_key key = { .peer = pkt_addr("YV"), .addr = pkt_addr("NB") };
	struct rsip_target target = { 6, world_generation(6) };
	struct run run;
	struct world w;

	world_open(&w);
	cr_assert_eq(bpf_map__update_elem(w.skel->maps.rsip_peers, &key, sizeof(key), &target, sizeof(target), 0), 0);
	cr_expect(row_run(&w, PUBLIC, &in, &run));
	cr_expect_eq(run.cookies, 1);
	cr_expect_eq(run.cookie.target.bind, 6);
	cr_expect_eq(run.cookie.peer, pkt_addr("YV"));
	cr_expect(row_run(&w, PRIVATE, &out, &run));
	cr_expect_eq(run.events, 0);
	cr_expect(row_run(&w, PRIVATE, &begins, &run));
	world_close(&w);
}

/* A listener that has ended is none, and its cookies are free. covers: LSN-02 FREE-04 IKE-07 */
Test(peers, listener_ended)
{
	static const struct row before = { "before", "ip Y > NB2 | udp 500 > 500 | ike 0x91", RSIP_IN_IKE,
					   TO_X1 "ip Y > NB2 ttl 63 | udp 500 > 500 | ike 0x91" };
	static const struct row after = { "after", "ip Y > NB2 | udp 500 > 500 | ike 0x91", RSIP_IN_NO_COOKIE, NULL };
	static const struct row changing = { "changing hands", "ip Y > NB2 | udp 500 > 500 | ike 0x92", RSIP_IN_NO_COOKIE, NULL };
	static const struct row next = { "next", "ip Z > NB2 | udp 500 > 500 | ike 0x91", RSIP_IN_IKE,
					 TO_X2 "ip Z > NB2 ttl 63 | udp 500 > 500 | ike 0x91" };
	struct rsip_cookie cookie;
	struct rsip_bind bind;
	struct run run;
	struct world w;

	world_open(&w);
	cr_expect(row_run(&w, PUBLIC, &before, &run));
	world_cookie(&w, 0x92, "NB2", 500, ~0U, 0, "Z");
	cr_expect(row_run(&w, PUBLIC, &changing, &run));
	world_bind(&w, 8, &bind);
	bind.generation = 0;
	world_bind_set(&w, 8, &bind);
	cr_expect(row_run(&w, PUBLIC, &after, &run));
	cr_expect(row_run(&w, PUBLIC, &next, &run));
	cr_assert(world_cookie_get(&w, 0x91, "NB2", 500, &cookie));
	cr_expect_eq(cookie.target.bind, 9);
	cr_expect_eq(cookie.peer, pkt_addr("Z"));
	world_close(&w);
}

/* Whoever can forge the peer's address fills no more than a few places. covers: SEC-07 IKE-07 */
Test(peers, flood)
{
	struct rsip_bind_rare rare;
	struct run run;
	struct world w;

	world_open(&w);
	for (unsigned int i = 1; i <= 2 * RSIP_BIND_COOKIES_PEER; i++) {
		bool room = i <= RSIP_BIND_COOKIES_PEER;
		char in[80], out[120];
		const struct row row = { in, in, room ? RSIP_IN_IKE : RSIP_IN_NO_COOKIE, room ? out : NULL };

		snprintf(in, sizeof(in), "ip Y > NB2 | udp 500 > 500 | ike %u", i);
		snprintf(out, sizeof(out), TO_X1 "ip Y > NB2 ttl 63 | udp 500 > 500 | ike %u", i);
		cr_expect(row_run(&w, PUBLIC, &row, &run));
	}
	world_rare(&w, 8, &rare);
	cr_expect_eq(rare.cookies, RSIP_BIND_COOKIES_PEER);
	cr_expect_eq(world_cookies(&w), RSIP_BIND_COOKIES_PEER);
	{
		static const struct row own = { "own", "ip X1 > NA | ip NB2 > Y | udp 500 > 500 | ike 0x101", RSIP_OUT_IKE,
						"eth n > y | ip NB2 > Y ttl 63 | udp 500 > 500 | ike 0x101" };

		cr_expect(row_run(&w, PRIVATE, &own, &run), "the host itself still begins what it likes");
	}
	world_close(&w);
}
