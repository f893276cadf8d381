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
		{ "too big", "eth x1 > n | " X1 "NB > NB df | udp 40000 > 50004 | data 60", RSIP_OUT_TOO_BIG_TOLD,
		  TO_X1 "tos 0xc0 id 0 df | ip N > NB tos 0xc0 id 0 df | icmp type 3 code 4 mtu 80 sum | ip NB > NB df | udp 40000 > 50004 | data 60" },
		{ "too big, may be cut", X1 "NB > NB | udp 40000 > 50004 | data 60", RSIP_OUT_SPLIT,
		  "eth n > xm | ip NA > XM | ip NB > NB ttl 63 | udp 40000 > 50004 | data 60" },
		{ "the sender's own policy", X2 "NB > NB2 | udp 42000 > 40000", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "a source of nobody", X1 "SH > NB | udp 40001 > 40100", RSIP_OUT_NO_PORT, NULL },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	world_close(&w);
}

/*
 * Errors about packets that were turned round, to their sender; N itself answers
 * requests for leased addresses, and hosts hear nothing of them. covers: IN-23 IN-10 IN-12 IN-13 IN-15 EG-10 EG-11 FLOW-13
 */
Test(turn, icmp)
{
	static const struct step steps[] = {
		{ PRIVATE, { "a port", X1 "NB > NB2 | udp 40000 > 40200", RSIP_OUT_TURNED,
			     TO_X2 "| gre | ip NB > NB2 ttl 63 | udp 40000 > 40200" } },
		{ PRIVATE, { "that is unreachable", "ip X2 > NA | gre | ip NB2 > NB | icmp type 3 code 3 | ip NB > NB2 ttl 63 | udp 40000 > 40200",
			     RSIP_OUT_TURNED, TO_X1 "| ip NB2 > NB ttl 63 | icmp type 3 code 3 | ip NB > NB2 ttl 63 | udp 40000 > 40200" } },
		{ PRIVATE, { "on one address", X2 "NB > NB | icmp type 3 code 3 | ip NB > NB | tcp 40000 > 40100", RSIP_OUT_TURNED,
			     TO_X1 "| ip NB > NB ttl 63 | icmp type 3 code 3 | ip NB > NB | tcp 40000 > 40100" } },
		{ PRIVATE, { "ESP", X1 "NB > NB | esp 0x2001", RSIP_OUT_TURNED, TO_X2 "| ip NB > NB ttl 63 | esp 0x2001" } },
		{ PRIVATE, { "about the ESP", X2 "NB > NB | icmp type 3 code 2 | ip NB > NB | esp 0x2001", RSIP_OUT_TURNED,
			     TO_X1 "| ip NB > NB ttl 63 | icmp type 3 code 2 | ip NB > NB | esp 0x2001" } },
		{ PRIVATE, { "to a whole address", X2 "NB > W1 | icmp type 3 code 3 | ip W1 > NB | udp 7 > 40100", RSIP_OUT_TURNED,
			     TO_X1 "| ip NB > W1 ttl 63 | icmp type 3 code 3 | ip W1 > NB | udp 7 > 40100" } },
		{ PRIVATE, { "about a packet of somebody else", X2 "NB > NB | icmp type 3 code 3 | ip NB > NB | udp 40000 > 41000",
			     RSIP_OUT_ICMP, NULL } },
		{ PRIVATE, { "echo to the other address", "eth x1 > n | " X1 "NB > NB2 tos 8 | icmp id 5 seq 9 sum | data 30 | pad 9", RSIP_OUT_ECHO,
			     TO_X1 "tos 8 | ip NB2 > NB tos 8 | icmp type 0 id 5 seq 9 sum | data 30" } },
		{ PRIVATE, { "with a tag and options", "eth x1 > n | vlan 7 | ip X1 > NA opts 4 | ip NB > W3 | icmp id 6 sum", RSIP_OUT_ECHO,
			     "eth n > x1 | vlan 7 | ip NA > X1 | ip W3 > NB | icmp type 0 id 6 sum" } },
		{ PRIVATE, { "options of its own: nobody answers", X1 "NB > NB2 opts 4 | icmp id 6 sum", RSIP_OUT_UNREACHABLE_TOLD, NULL } },
		{ PRIVATE, { "through GRE", "eth x2 > n | ip X2 > NA | gre seq | ip NB2 > NB ttl 9 | icmp id 7 sum", RSIP_OUT_ECHO,
			     TO_X2 "| gre | ip NB > NB2 | icmp type 0 id 7 sum" } },
		{ PRIVATE, { "a reply to what was asked", X2 "NB > W1 | icmp type 0 id 3", RSIP_OUT_TURNED,
			     TO_X1 "| ip NB > W1 ttl 63 | icmp type 0 id 3" } },
	};
	struct world w;

	world_open(&w);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	world_close(&w);
}

/* First and later ones in order, each way; and what is nobody's. covers: IN-23 IN-16 EG-12 */
Test(turn, fragments)
{
	static const struct step steps[] = {
		{ PRIVATE, { "first", X1 "NB > NB2 mf id 1 | udp 40000 > 40200 len 90 | data 32", RSIP_OUT_TURNED,
			     TO_X2 "id 1 | gre | ip NB > NB2 mf id 1 ttl 63 | udp 40000 > 40200 len 90 | data 32" } },
		{ PRIVATE, { "second", X1 "NB > NB2 mf id 1 frag 5 proto 17 | data 40", RSIP_OUT_TURNED,
			     TO_X2 "id 1 | gre | ip NB > NB2 mf id 1 frag 5 proto 17 ttl 63 | data 40" } },
		{ PRIVATE, { "last, congestion", "ip X1 > NA tos 3 | ip NB > NB2 id 1 frag 10 proto 17 tos 1 | data 2", RSIP_OUT_TURNED,
			     TO_X2 "id 1 tos 3 | gre | ip NB > NB2 id 1 frag 10 proto 17 ttl 63 tos 3 | data 2" } },
		{ PRIVATE, { "the same numbers of another host", X2 "NB > NB2 mf id 1 | udp 40100 > 40000 len 90 | data 32", RSIP_OUT_TURNED,
			     TO_X1 "id 1 | ip NB > NB2 mf id 1 ttl 63 | udp 40100 > 40000 len 90 | data 32" } },
		{ PRIVATE, { "its last", X2 "NB > NB2 id 1 frag 5 proto 17 | data 3", RSIP_OUT_TURNED,
			     TO_X1 "id 1 | ip NB > NB2 id 1 frag 5 proto 17 ttl 63 | data 3" } },
		{ PRIVATE, { "ESP", X1 "NB > NB mf id 2 | esp 0x2001 | data 8", RSIP_OUT_TURNED,
			     TO_X2 "id 2 | ip NB > NB mf id 2 ttl 63 | esp 0x2001 | data 8" } },
		{ PRIVATE, { "to a whole address", X2 "NB > W1 mf id 3 | udp 40100 > 53 len 90 | data 8", RSIP_OUT_TURNED,
			     TO_X1 "id 3 | ip NB > W1 mf id 3 ttl 63 | udp 40100 > 53 len 90 | data 8" } },
		{ PRIVATE, { "its last", X2 "NB > W1 id 3 frag 2 proto 17 | data 8", RSIP_OUT_TURNED,
			     TO_X1 "id 3 | ip NB > W1 id 3 frag 2 proto 17 ttl 63 | data 8" } },
		{ PRIVATE, { "from a whole address, the last before its first", X1 "W1 > NB id 4 frag 2 proto 17 | data 8",
			     RSIP_OUT_FRAGMENT_HELD, NULL } },
		{ PRIVATE, { "its first", X1 "W1 > NB mf id 4 | udp 7 > 40100 len 90 | data 8", RSIP_OUT_FRAGMENT_HELD, NULL } },
		{ PRIVATE, { "a port of nobody", X1 "NB > NB mf id 5 | udp 40000 > 9 len 90 | data 8", RSIP_OUT_UNREACHABLE_TOLD, NULL } },
		{ PRIVATE, { "its last", X1 "NB > NB id 5 frag 2 proto 17 | data 8", RSIP_OUT_FRAGMENT, NULL } },
		{ PRIVATE, { "a port that is leased for Y only", X1 "NB > NB mf id 9 | udp 40000 > 42000 len 90 | data 8",
			     RSIP_OUT_UNREACHABLE_TOLD, NULL } },
		{ PRIVATE, { "overlaps", X1 "NB > NB2 id 1 frag 4 proto 17 | data 8", RSIP_OUT_FRAGMENT, NULL } },
		{ PRIVATE, { "out of order", X1 "NB > NB2 id 6 frag 5 proto 17 | data 8", RSIP_OUT_FRAGMENT_HELD, NULL } },
		{ PRIVATE, { "its first, to nobody", X1 "NB > NB2 mf id 6 | udp 40000 > 9 len 90 | data 32", RSIP_OUT_UNREACHABLE_TOLD, NULL } },
		{ PRIVATE, { "a long ping: nobody answers", X1 "NB > NB2 mf id 7 | icmp | data 8", RSIP_OUT_UNREACHABLE_TOLD, NULL } },
		{ PRIVATE, { "too big", X1 "NB > NB df mf id 8 | udp 40000 > 50004 len 200 | data 64", RSIP_OUT_TOO_BIG_TOLD, NULL } },
	};
	struct world w;

	world_open(&w);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	world_close(&w);
}

/* Where the sender's fragments wait, who gets them is noted with the first. covers: IN-23 EG-12 */
Test(turn, fragments_held)
{
	static const struct row early = { "the last", X1 "NB > NB2 id 1 frag 5 proto 17 | data 9", RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row first = { "the first", X1 "NB > NB2 mf id 1 | udp 40000 > 40200 len 90 | data 32",
					  RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row sent = { "sent", X1 "NB > NB2 mf id 2 | udp 40000 > 40200 len 90 | data 32", RSIP_OUT_TURNED,
					 TO_X2 "id 2 | gre | ip NB > NB2 mf id 2 ttl 63 | udp 40000 > 40200 len 90 | data 32" };
	static const struct row next = { "the next", X1 "NB > NB2 id 2 frag 5 proto 17 | data 9", RSIP_OUT_FRAGMENT_HELD, NULL };
	struct rsip_fragment_key key = { .src = pkt_addr("NB"), .dst = pkt_addr("NB2"), .client = pkt_addr("X1"),
					 .id = __builtin_bswap16(1), .proto = 17, .turned = 1 };
	struct rsip_fragment noted;
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PRIVATE, &early, &run));
	cr_expect_eq(run.fragment.target.generation, 0);
	cr_assert(row_run(&w, PRIVATE, &first, &run));
	cr_expect_eq(run.fragment.key.turned, 0);
	cr_expect_eq(run.fragment.target.bind, 1, "the sender's");
	cr_assert_eq(bpf_map__lookup_elem(w.skel->maps.rsip_fragments, &key, sizeof(key), &noted, sizeof(noted), 0), 0);
	cr_expect_eq(noted.target.bind, 9, "who gets it");

	/* Or who gets them is forgotten, while the sender's are in order. */
	key.id = __builtin_bswap16(2);
	cr_assert(row_run(&w, PRIVATE, &sent, &run));
	cr_assert_eq(bpf_map__delete_elem(w.skel->maps.rsip_fragments, &key, sizeof(key), 0), 0);
	cr_assert(row_run(&w, PRIVATE, &next, &run));
	cr_expect_arr_eq(&run.fragment.key, &key, sizeof(key));
	cr_expect_eq(run.fragment.target.generation, 0);
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
		X1 "NB > NB2 | icmp type 13",		/* N answers echo requests, no others */
		X1 "NB > NB2 | icmp type 0 id 77",	/* nobody asked */
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
	static const struct row part = { "in fragments", X1 "NB > NB2 mf id 1 | udp 500 > 500 len 2000 | ike 0x62 | data 4", RSIP_OUT_TURNED,
					 TO_X2 "id 1 | gre | ip NB > NB2 mf id 1 ttl 63 | udp 500 > 500 len 2000 | ike 0x62 | data 4" };
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
	cr_expect(row_run(&w, PRIVATE, &part, &run));
	cr_expect_eq(run.cookies, 2);
	world_close(&w);
}
