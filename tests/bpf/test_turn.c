// SPDX-License-Identifier: GPL-2.0-only
/* Hairpin: from one host to what another one leased. */
#include <criterion/criterion.h>

#include <bpf/libbpf.h>

#include "run.h"

#define X1	"ip X1 > NA | ip "
#define X2	"ip X2 > NA | ip "
#define TO_X1	"eth n > x1 | ip NA > X1 "
#define TO_X2	"eth n > x2 | ip NA > X2 "

/* covers: IN-23 IN-19 IN-20 TUN-11 */
Test(turn, to_the_other_host)
{
	static const struct row rows[] = {
		{ "a port on another address", X1 "NB > NB2 | udp 40000 > 40200 | data 5", RSIP_OUT_TURNED,
		  TO_X2 "| gre | ip NB > NB2 ttl 63 | udp 40000 > 40200 | data 5" },
		{ "a port on the same address", X1 "NB > NB | tcp 40000 > 40100", RSIP_OUT_TURNED,
		  TO_X2 "| ip NB > NB ttl 63 | tcp 40000 > 40100" },
		{ "and back", X2 "NB > NB | tcp 40100 > 40000", RSIP_OUT_TURNED, TO_X1 "| ip NB > NB ttl 63 | tcp 40100 > 40000" },
		{ "its own port", X1 "NB > NB2 | udp 40000 > 40000", RSIP_OUT_TURNED,
		  TO_X1 "| ip NB > NB2 ttl 63 | udp 40000 > 40000" },
		{ "ESP", X1 "NB > NB | esp 0x2001 | data 9", RSIP_OUT_TURNED, TO_X2 "| ip NB > NB ttl 63 | esp 0x2001 | data 9" },
		{ "AH", X2 "NB > NB | ah 0x1001 | udp 1 > 2", RSIP_OUT_TURNED, TO_X1 "| ip NB > NB ttl 63 | ah 0x1001 | udp 1 > 2" },
		{ "ESP in UDP", X1 "NB > NB | udp 4500 > 4500 | esp 0x2001", RSIP_OUT_TURNED,
		  TO_X2 "| ip NB > NB ttl 63 | udp 4500 > 4500 | esp 0x2001" },
		{ "a whole address", X2 "NB > W1 | udp 40100 > 53", RSIP_OUT_TURNED, TO_X1 "| ip NB > W1 ttl 63 | udp 40100 > 53" },
		{ "from a whole address", X1 "W1 > NB | udp 7 > 40100", RSIP_OUT_TURNED, TO_X2 "| ip W1 > NB ttl 63 | udp 7 > 40100" },
		{ "an address that is N's too", X2 "NB > SH | udp 40100 > 40000", RSIP_OUT_TURNED,
		  TO_X1 "| ip NB > SH ttl 63 | udp 40100 > 40000" },
		{ "marks of the tunnel", "ip X1 > NA tos 3 | ip NB > NB tos 0xba | udp 40000 > 40100", RSIP_OUT_TURNED,
		  TO_X2 "tos 0xbb | ip NB > NB tos 0xbb ttl 63 | udp 40000 > 40100" },
		{ "from GRE, options, padding", "vlan 7 | ip X1 > NA opts 4 | gre key | ip NB > NB opts 8 | udp 41000 > 40100 | pad 9",
		  RSIP_OUT_TURNED, TO_X2 "| ip NB > NB ttl 63 opts 8 | udp 41000 > 40100" },
		{ "VLAN out", X1 "NB > NB | udp 40000 > 50003", RSIP_OUT_TURNED,
		  "eth n > xv | vlan 7 | ip NA > XV | ip NB > NB ttl 63 | udp 40000 > 50003" },
		{ "not known yet", X1 "NB > NB | udp 40000 > 50001", RSIP_OUT_RESOLVE,
		  "eth n > xd | ip NA > XD | ip NB > NB ttl 63 | udp 40000 > 50001" },
		{ "too big", X1 "NB > NB df | udp 40000 > 50004 | data 60", RSIP_OUT_TOO_BIG, NULL },
		{ "the sender's own policy", X2 "NB > NB2 | udp 42000 > 40000", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "a source of nobody", X1 "SH > NB | udp 40001 > 40100", RSIP_OUT_NO_PORT, NULL },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	world_close(&w);
}

/* Dropped; the sender is told that there is no way. covers: IN-23 FLOW-07 */
Test(turn, to_nobody)
{
	static const char *const packets[] = {
		X1 "NB > NB | udp 40000 > 9", X1 "NB > NB | esp 0x2002", X1 "NB > W3 | udp 40000 > 40000",
		X1 "NB > SH | tcp 40000 > 22",		/* N's own, but not through the tunnel (EG-16) */
		X1 "NB > NB | udp 40000 > 42000",	/* that lease is for Y only */
		X1 "NB > NB | udp 40000 > 40016",	/* ended */
		X1 "NB > NB | udp 40000 > 50002",	/* its host is not reachable */
		X1 "NB > NB | udp 500 > 500 | ike 0x44",	/* on one address the cookie is the sender's */
	};
	struct world w;

	world_open(&w);
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		struct frame in;
		struct run run;

		pkt_build(packets[i], &in);
		world_run(&w, PRIVATE, &in, &run);
		cr_expect_eq(run.outcome, RSIP_OUT_UNREACHABLE_TOLD, "\"%s\": %s", packets[i], outcome_name(run.outcome));
	}
	world_close(&w);
}

/* Between two addresses, to a host that listens: both sides learn the cookie. covers: IN-23 APG-01 */
Test(turn, ike)
{
	static const struct row first = { "first", X1 "NB > NB2 | udp 500 > 500 | ike 0x61", RSIP_OUT_TURNED,
					  TO_X2 "| gre | ip NB > NB2 ttl 63 | udp 500 > 500 | ike 0x61" };
	static const struct row answer = { "answer", "ip X2 > NA | gre | ip NB2 > NB | udp 500 > 500 | ike 0x61",
					   RSIP_OUT_TURNED, TO_X1 "| ip NB2 > NB ttl 63 | udp 500 > 500 | ike 0x61" };
	struct rsip_peer_key key = { .peer = pkt_addr("NB"), .addr = pkt_addr("NB2") };
	struct rsip_target target = { 9, world_generation(9) };
	struct run run;
	struct world w;

	world_open(&w);
	cr_assert_eq(bpf_map__update_elem(w.skel->maps.rsip_peers, &key, sizeof(key), &target, sizeof(target), 0), 0);
	cr_expect(row_run(&w, PRIVATE, &first, &run));
	cr_expect_eq(run.cookies, 2);
	cr_expect(row_run(&w, PRIVATE, &answer, &run));
	cr_expect(row_run(&w, PRIVATE, &first, &run));
	cr_expect_eq(run.events, 0);
	world_close(&w);
}
