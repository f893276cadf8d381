// SPDX-License-Identifier: GPL-2.0-only
/* Fragments at the programs: what goes on, what becomes the daemon's, what is dropped. */
#include <criterion/criterion.h>
#include <string.h>

#include "run.h"

#define TO_X1	"eth n > x1 | ip NA > X1 "
#define FROM_X1	"ip X1 > NA | ip NB > "
#define TO_Y	"eth n > y | ip NB > Y ttl 63 "
#define STEPS(steps)	steps, sizeof(steps) / sizeof((steps)[0])

static void run(const struct step *steps, size_t count)
{
	struct world w;

	world_open(&w);
	world_cookie(&w, 0x11, "NB", 500, 1, world_generation(1), "Y");
	steps_run(&w, steps, count);
	world_close(&w);
}

/* covers: IN-16 IN-20 IN-27 */
Test(fragment, inbound_in_order)
{
	static const struct step steps[] = {
		{ PUBLIC, { "UDP, first", "ip Y > NB mf id 1 | udp 53 > 40000 len 90 | data 32", RSIP_IN_PORT,
			    TO_X1 "id 1 | ip Y > NB mf id 1 ttl 63 | udp 53 > 40000 len 90 | data 32" } },
		{ PUBLIC, { "UDP, second", "ip Y > NB mf id 1 frag 5 proto 17 | data 40", RSIP_IN_FRAGMENT_SENT,
			    TO_X1 "id 1 | ip Y > NB mf id 1 frag 5 proto 17 ttl 63 | data 40" } },
		{ PUBLIC, { "UDP, last", "ip Y > NB id 1 frag 10 proto 17 | data 2", RSIP_IN_FRAGMENT_SENT,
			    TO_X1 "id 1 | ip Y > NB id 1 frag 10 proto 17 ttl 63 | data 2" } },
		{ PUBLIC, { "ESP, first", "ip Y > NB mf id 2 | esp 0x1001 | data 32", RSIP_IN_ESP,
			    TO_X1 "id 2 | ip Y > NB mf id 2 ttl 63 | esp 0x1001 | data 32" } },
		{ PUBLIC, { "ESP, last", "ip Y > NB id 2 frag 5 proto 50 | data 2", RSIP_IN_FRAGMENT_SENT,
			    TO_X1 "id 2 | ip Y > NB id 2 frag 5 proto 50 ttl 63 | data 2" } },
		{ PUBLIC, { "IKE, first", "ip Y > NB mf id 3 | udp 500 > 500 len 2000 | ike 0x11 | data 4", RSIP_IN_IKE,
			    TO_X1 "id 3 | ip Y > NB mf id 3 ttl 63 | udp 500 > 500 len 2000 | ike 0x11 | data 4" } },
		{ PUBLIC, { "IKE, last", "ip Y > NB id 3 frag 5 proto 17 | data 20", RSIP_IN_FRAGMENT_SENT,
			    TO_X1 "id 3 | ip Y > NB id 3 frag 5 proto 17 ttl 63 | data 20" } },
		{ PUBLIC, { "through GRE", "ip Y > NB mf id 4 | udp 53 > 41000 len 90 | data 8", RSIP_IN_PORT,
			    TO_X1 "id 4 | gre | ip Y > NB mf id 4 ttl 63 | udp 53 > 41000 len 90 | data 8" } },
		{ PUBLIC, { "the next, VLAN", "vlan 5 | ip Y > NB id 4 frag 2 proto 17 | data 8", RSIP_IN_FRAGMENT_SENT,
			    TO_X1 "id 4 | gre | ip Y > NB id 4 frag 2 proto 17 ttl 63 | data 8" } },
		{ PRIVATE, { "X1 pings", FROM_X1 "Y | icmp id 9", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp id 9" } },
		{ PUBLIC, { "a long reply, first", "ip Y > NB mf id 5 | icmp type 0 id 9 | data 8", RSIP_IN_ICMP_REPLY,
			    TO_X1 "id 5 | ip Y > NB mf id 5 ttl 63 | icmp type 0 id 9 | data 8" } },
		{ PUBLIC, { "a long reply, last", "ip Y > NB id 5 frag 2 proto 1 | data 9", RSIP_IN_FRAGMENT_SENT,
			    TO_X1 "id 5 | ip Y > NB id 5 frag 2 proto 1 ttl 63 | data 9" } },
		{ PUBLIC, { "too big for the link again", "ip Y > NB mf id 6 | esp 0x1001 | data 1472", RSIP_IN_SPLIT,
			    TO_X1 "id 6 | ip Y > NB mf id 6 ttl 63 | esp 0x1001 | data 1472" } },
		{ PUBLIC, { "a long ping to N, first", "ip Y > NB mf id 7 | icmp | data 8", RSIP_IN_ICMP_REQUEST, NULL } },
		{ PUBLIC, { "a long ping to N, last", "ip Y > NB id 7 frag 2 proto 1 | data 8", RSIP_IN_PASS, NULL } },
		{ PUBLIC, { "not the pool's", "ip Y > N mf | udp 53 > 40000", RSIP_IN_PASS, NULL } },
		{ PUBLIC, { "shared, N's own", "ip Y > SH mf id 8 | udp 53 > 41 len 90 | data 8", RSIP_IN_PASS, NULL } },
		{ PUBLIC, { "shared, N's own, last", "ip Y > SH id 8 frag 2 proto 17 | data 8", RSIP_IN_PASS, NULL } },
		{ PUBLIC, { "shared, leased", "ip Y > SH mf id 9 | udp 53 > 40000 len 90 | data 8", RSIP_IN_PORT,
			    TO_X1 "id 9 | ip Y > SH mf id 9 ttl 63 | udp 53 > 40000 len 90 | data 8" } },
		{ PUBLIC, { "shared, leased, last", "ip Y > SH id 9 frag 2 proto 17 | data 8", RSIP_IN_FRAGMENT_SENT,
			    TO_X1 "id 9 | ip Y > SH id 9 frag 2 proto 17 ttl 63 | data 8" } },
	};

	run(STEPS(steps));
}

/* covers: IN-16 IN-17 IN-27 */
Test(fragment, inbound_refused)
{
	static const struct step steps[] = {
		{ PUBLIC, { "a port of nobody", "ip Y > NB mf id 1 | udp 53 > 40001 len 90 | data 8", RSIP_IN_NO_PORT, NULL } },
		{ PUBLIC, { "its second", "ip Y > NB id 1 frag 2 proto 17 | data 8", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "another peer, macro", "ip Z > NB mf id 1 | udp 53 > 42000 len 90 | data 8", RSIP_IN_REMOTE, NULL } },
		{ PUBLIC, { "its second", "ip Z > NB id 1 frag 2 proto 17 | data 8", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "tiny: half a UDP header is no fragment", "ip Y > NB mf id 2 proto 17 | bytes 00350035", RSIP_IN_FRAGMENT,
			    NULL } },
		{ PUBLIC, { "tiny: UDP without a cookie", "ip Y > NB mf id 2 | udp 500 > 500 len 90 | pad 20", RSIP_IN_FRAGMENT,
			    NULL } },
		{ PUBLIC, { "tiny: TCP", "ip Y > NB mf id 2 proto 6 | bytes 00500050 00000000 00000000 00000000", RSIP_IN_FRAGMENT,
			    NULL } },
		{ PUBLIC, { "no multiple of 8", "ip Y > NB mf id 3 | udp 53 > 40000 len 90 | data 9", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "beyond 64k", "ip Y > NB id 3 frag 8191 proto 17 | data 8", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "beyond 64k with its header", "ip Y > NB id 3 frag 8189 proto 17 | data 8", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "64k with its header", "ip Y > NB id 8 frag 8188 proto 17 | data 11", RSIP_IN_FRAGMENT_HELD, NULL } },
		{ PUBLIC, { "empty", "ip Y > NB id 3 frag 5 proto 17", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "a first", "ip Y > NB mf id 4 | udp 53 > 40000 len 90 | data 32", RSIP_IN_PORT,
			    TO_X1 "id 4 | ip Y > NB mf id 4 ttl 63 | udp 53 > 40000 len 90 | data 32" } },
		{ PUBLIC, { "overlaps it", "ip Y > NB mf id 4 frag 4 proto 17 | data 40", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "inside it", "ip Y > NB mf id 4 frag 1 proto 17 | data 8", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "TTL 1", "ip Y > NB mf id 4 frag 5 proto 17 ttl 1 | data 40", RSIP_IN_TTL, NULL } },
		{ PUBLIC, { "a reply that nobody waits for", "ip Y > NB mf id 5 | icmp type 0 id 9 | data 8", RSIP_IN_ICMP, NULL } },
		{ PUBLIC, { "early", "ip Y > NB id 7 frag 2 proto 17 | data 8", RSIP_IN_FRAGMENT_HELD, NULL } },
		{ PUBLIC, { "its first is nobody's", "ip Y > NB mf id 7 | udp 53 > 40001 len 90 | data 8", RSIP_IN_NO_PORT, NULL } },
		{ PUBLIC, { "so are the others", "ip Y > NB id 7 frag 3 proto 17 | data 8", RSIP_IN_FRAGMENT, NULL } },
		{ PUBLIC, { "a first from the pool", "ip NB2 > NB mf id 9 | udp 53 > 40000 len 90 | data 8", RSIP_IN_SPOOFED, NULL } },
		{ PUBLIC, { "a first with TTL 1", "ip Y > NB mf id 6 ttl 1 | udp 53 > 40000 len 90 | data 8", RSIP_IN_TTL_TOLD, NULL } },
	};

	run(STEPS(steps));
}

/*
 * To an address that is N's as well, the last before the first: the stack gets what may be its own, the daemon what
 * may be a host's. covers: IN-16 APF-04
 */
Test(fragment, shared_address)
{
	static const struct row early = { "early", "vlan 5 | ip Y > SH id 1 frag 5 proto 17 | data 9", RSIP_IN_PASS, NULL };
	static const struct row first = { "a host's", "ip Y > SH mf id 1 | udp 53 > 40000 len 90 | data 8", RSIP_IN_FRAGMENT_HELD, NULL };
	static const struct row second = { "from now on", "ip Y > SH mf id 1 frag 2 proto 17 | data 24", RSIP_IN_FRAGMENT_HELD, NULL };
	static const struct row own = { "N's own", "ip Y > SH mf id 2 | udp 53 > 41 len 90 | data 8", RSIP_IN_PASS, NULL };
	static const struct row its = { "its last", "ip Y > SH id 2 frag 5 proto 17 | data 9", RSIP_IN_PASS, NULL };
	static const struct row soon = { "TTL 1 is enough for N", "ip Y > SH id 3 frag 5 proto 17 ttl 1 | data 9", RSIP_IN_PASS, NULL };
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PUBLIC, &early, &run));
	cr_expect_eq(run.fragments, 1, "the daemon has a copy");
	cr_expect_eq(run.fragment.target.generation, 0);
	cr_assert(row_run(&w, PUBLIC, &first, &run));
	cr_expect_eq(run.fragment.target.bind, 10);
	cr_assert(row_run(&w, PUBLIC, &second, &run));
	cr_expect_eq(run.fragment.target.bind, 10);
	cr_assert(row_run(&w, PUBLIC, &its, &run));
	cr_expect_eq(run.fragments, 1);
	cr_assert(row_run(&w, PUBLIC, &own, &run));
	cr_assert(row_run(&w, PUBLIC, &its, &run));
	cr_expect_eq(run.fragments, 0, "known to be the stack's");
	cr_assert(row_run(&w, PUBLIC, &soon, &run));
	cr_expect_eq(run.fragments, 0);
	world_close(&w);
}

/* IKE that a peer begins with a packet in fragments; X1 listens to Y on NB2. covers: APG-01 IN-27 LSN-11 */
Test(fragment, begun_by_a_peer)
{
	static const struct row first = { "first", "ip Y > NB2 mf id 1 | udp 500 > 500 len 2000 | ike 0xe1 | data 4", RSIP_IN_IKE,
					  TO_X1 "id 1 | ip Y > NB2 mf id 1 ttl 63 | udp 500 > 500 len 2000 | ike 0xe1 | data 4" };
	static const struct row last = { "last", "ip Y > NB2 id 1 frag 5 proto 17 | data 20", RSIP_IN_FRAGMENT_SENT,
					 TO_X1 "id 1 | ip Y > NB2 id 1 frag 5 proto 17 ttl 63 | data 20" };
	static const struct row answer = { "answer", "ip X1 > NA | ip NB2 > Y | udp 500 > 500 | ike 0xe1", RSIP_OUT_IKE,
					   "eth n > y | ip NB2 > Y ttl 63 | udp 500 > 500 | ike 0xe1" };
	static const struct row early = { "early", "ip Y > NB2 id 2 frag 5 proto 17 | data 20", RSIP_IN_FRAGMENT_HELD, NULL };
	static const struct row late = { "its first", "ip Y > NB2 mf id 2 | udp 500 > 500 len 2000 | ike 0xe2 | data 4",
					 RSIP_IN_FRAGMENT_HELD, NULL };
	static const struct row other = { "another peer", "ip R > NB2 mf id 3 | udp 500 > 500 len 2000 | ike 0xe3 | data 4",
					  RSIP_IN_NO_COOKIE, NULL };
	static const struct row hop = { "no hop left", "ip Y > NB2 mf id 4 ttl 1 | udp 500 > 500 len 2000 | ike 0xe4 | data 4",
					RSIP_IN_NO_COOKIE, NULL };
	static const struct row forged = { "no peer", "ip NB > NB2 mf id 5 | udp 500 > 500 len 2000 | ike 0xe5 | data 4",
					   RSIP_IN_SPOOFED, NULL };
	struct rsip_peer_key key = { .peer = pkt_addr("NB"), .addr = pkt_addr("NB2") };
	struct rsip_target listener = { 8, world_generation(8) };
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert_eq(bpf_map__update_elem(w.skel->maps.rsip_peers, &key, sizeof(key), &listener, sizeof(listener), 0), 0);
	cr_assert(row_run(&w, PUBLIC, &first, &run));
	cr_expect_eq(run.cookies, 1);
	cr_assert(row_run(&w, PUBLIC, &last, &run));
	cr_assert(row_run(&w, PRIVATE, &answer, &run));
	cr_assert(row_run(&w, PUBLIC, &early, &run));
	cr_assert(row_run(&w, PUBLIC, &late, &run));
	cr_expect_eq(run.cookies, 1);
	cr_expect_eq(run.fragment.target.bind, 8);
	cr_assert(row_run(&w, PUBLIC, &other, &run));
	cr_assert(row_run(&w, PUBLIC, &hop, &run));
	cr_expect_eq(run.cookies, 0);
	cr_assert(row_run(&w, PUBLIC, &forged, &run));
	cr_expect_eq(run.cookies, 0);
	world_close(&w);
}

/* A new cookie is learned from a first fragment also when it came late: the answer needs it. covers: IKE-01 EG-12 */
Test(fragment, cookie_of_a_late_first)
{
	static const struct row early = { "early", FROM_X1 "Y id 1 frag 5 proto 17 | data 20", RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row late = { "its first", FROM_X1 "Y mf id 1 | udp 500 > 500 len 2000 | ike 0xd1 | data 4",
					 RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row answer = { "answer", "ip Y > NB | udp 500 > 500 | ike 0xd1", RSIP_IN_IKE,
					   TO_X1 "| ip Y > NB ttl 63 | udp 500 > 500 | ike 0xd1" };
	static const struct row taken = { "taken", "ip X2 > NA | ip NB > Y mf id 2 | udp 500 > 500 len 2000 | ike 0xd1 | data 4",
					  RSIP_OUT_COOKIE_TAKEN, NULL };
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PRIVATE, &early, &run));
	cr_assert(row_run(&w, PRIVATE, &late, &run));
	cr_expect_eq(run.cookies, 1);
	cr_expect_eq(run.fragments, 1);
	cr_assert(row_run(&w, PUBLIC, &answer, &run));
	cr_assert(row_run(&w, PRIVATE, &taken, &run));
	world_close(&w);
}

/* covers: EG-12 IN-20 TUN-11 */
Test(fragment, outbound)
{
	static const struct step steps[] = {
		{ PRIVATE, { "UDP, first", FROM_X1 "Y mf id 1 | udp 40000 > 53 len 90 | data 32", RSIP_OUT_PORT,
			     TO_Y "mf id 1 | udp 40000 > 53 len 90 | data 32" } },
		{ PRIVATE, { "UDP, last", FROM_X1 "Y id 1 frag 5 proto 17 | data 3", RSIP_OUT_FRAGMENT_SENT,
			     TO_Y "id 1 frag 5 proto 17 | data 3" } },
		{ PRIVATE, { "the same, of X2: none of its firsts", "ip X2 > NA | ip NB > Y id 1 frag 5 proto 17 | data 3",
			     RSIP_OUT_FRAGMENT_HELD, NULL } },
		{ PRIVATE, { "IKE with a new cookie", FROM_X1 "Y mf id 2 | udp 500 > 500 len 999 | ike 0x77 | data 4", RSIP_OUT_IKE,
			     TO_Y "mf id 2 | udp 500 > 500 len 999 | ike 0x77 | data 4" } },
		{ PRIVATE, { "IKE, last", FROM_X1 "Y id 2 frag 5 proto 17 | data 8", RSIP_OUT_FRAGMENT_SENT,
			     TO_Y "id 2 frag 5 proto 17 | data 8" } },
		{ PUBLIC, { "its answer", "ip Y > NB | udp 500 > 500 | ike 0x77", RSIP_IN_IKE,
			    TO_X1 "| ip Y > NB ttl 63 | udp 500 > 500 | ike 0x77" } },
		{ PRIVATE, { "ESP", FROM_X1 "Y mf id 3 | esp 0x99 | data 8", RSIP_OUT_ESP, TO_Y "mf id 3 | esp 0x99 | data 8" } },
		{ PUBLIC, { "an error about it", "ip R > NB | icmp type 11 code 1 | ip NB > Y mf id 3 | esp 0x99", RSIP_IN_ICMP_ERROR,
			    TO_X1 "| ip R > NB ttl 63 | icmp type 11 code 1 | ip NB > Y mf id 3 | esp 0x99" } },
		{ PRIVATE, { "a long ping", FROM_X1 "Y mf id 4 | icmp id 3 | data 8", RSIP_OUT_ICMP_QUERY,
			     TO_Y "mf id 4 | icmp id 3 | data 8" } },
		{ PRIVATE, { "its rest", FROM_X1 "Y id 4 frag 2 proto 1 | data 8", RSIP_OUT_FRAGMENT_SENT,
			     TO_Y "id 4 frag 2 proto 1 | data 8" } },
		{ PRIVATE, { "a port of X2", FROM_X1 "Y mf id 5 | udp 40100 > 53 len 90 | data 8", RSIP_OUT_NO_PORT, NULL } },
		{ PRIVATE, { "its rest", FROM_X1 "Y id 5 frag 2 proto 17 | data 8", RSIP_OUT_FRAGMENT, NULL } },
		{ PRIVATE, { "address of others", "ip X4 > NA | ip NB2 > Y frag 2 | data 8", RSIP_OUT_ADDRESS, NULL } },
		{ PRIVATE, { "not registered", "ip XU > NA | ip NB > Y frag 2 | data 8", RSIP_OUT_UNREGISTERED, NULL } },
		{ PRIVATE, { "of a tunnel elsewhere", "ip X1 > Y | ip NB > Y frag 2 | data 8", RSIP_OUT_PASS, NULL } },
		{ PRIVATE, { "a mark it cannot carry", "ip X1 > NA tos 3 | ip NB > Y id 3 frag 2 proto 50 | data 8", RSIP_OUT_ECN, NULL } },
		{ PRIVATE, { "tiny", FROM_X1 "Y mf id 6 | udp 500 > 500 len 90", RSIP_OUT_FRAGMENT, NULL } },
		{ PRIVATE, { "an error in fragments", FROM_X1 "Y mf id 7 | icmp type 3 | data 8", RSIP_OUT_ICMP, NULL } },
		{ PRIVATE, { "wrong tunnel", "ip X1 > NA | gre | ip NB > Y mf id 8 | udp 40000 > 53 len 90", RSIP_OUT_TUNNEL, NULL } },
	};

	run(STEPS(steps));
}

/* What the daemon gets: the fragment as it came, and what is known of its packet. covers: IN-16 EG-12 TUN-12 */
Test(fragment, handed_over)
{
	static const struct row first = { "first", "ip Y > NB mf id 1 | udp 53 > 40000 len 90 | data 32", RSIP_IN_PORT,
					  TO_X1 "id 1 | ip Y > NB mf id 1 ttl 63 | udp 53 > 40000 len 90 | data 32" };
	static const struct row gap = { "a gap", "vlan 5 | ip Y > NB id 1 frag 10 proto 17 tos 5 | data 9 | pad 7",
					RSIP_IN_FRAGMENT_HELD, NULL };
	static const struct row filled = { "filled", "ip Y > NB mf id 1 frag 5 proto 17 | data 40", RSIP_IN_FRAGMENT_HELD, NULL };
	static const struct row early = { "early", "ip X2 > NA tos 3 | ip NB > Y id 9 frag 10 proto 17 tos 2 | data 9",
					  RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row late = { "its first", "ip X2 > NA | ip NB > Y mf id 9 | udp 40100 > 9 len 90 | data 72",
					 RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row begun = { "begun", FROM_X1 "Y mf id 2 | udp 40000 > 53 len 90 | data 32", RSIP_OUT_PORT,
					  TO_Y "mf id 2 | udp 40000 > 53 len 90 | data 32" };
	static const struct row skipped = { "a gap", FROM_X1 "Y id 2 frag 10 proto 17 | data 9", RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row outer = { "outer", "vlan 7 | ip X1 > NA mf id 77 | ip NB > Y | udp 40000 > 53 | data 4",
					  RSIP_OUT_FRAGMENT_HELD, NULL };
	static const struct row elsewhere = { "outer, in transit", "ip X1 > Y frag 6 | data 40", RSIP_OUT_PASS, NULL };
	static const struct row stranger = { "outer, of nobody", "ip XU > NA frag 6 proto 4 | data 40", RSIP_OUT_UNREGISTERED, NULL };
	const struct rsip_fragment_key in = { .src = pkt_addr("Y"), .dst = pkt_addr("NB"), .id = __builtin_bswap16(1), .proto = 17 };
	struct frame whole;
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PUBLIC, &first, &run));
	cr_expect_eq(run.fragments, 0);
	cr_assert(row_run(&w, PUBLIC, &gap, &run));
	cr_assert_eq(run.fragments, 1);
	cr_expect_eq(run.fragment.kind, RSIP_EVENT_FRAGMENT);
	cr_expect_eq(run.fragment.passed, 5, "the first 40 bytes went on");
	cr_expect_eq(run.fragment.target.bind, 1);
	cr_expect_eq(run.fragment.target.generation, world_generation(1));
	cr_expect_arr_eq(&run.fragment.key, &in, sizeof(in));
	pkt_build(gap.in, &whole);
	cr_expect_eq(run.fragment.len, 29);
	cr_expect_arr_eq(run.fragment.packet, whole.data + 18, 29);
	cr_assert(row_run(&w, PUBLIC, &filled, &run));
	cr_expect_eq(run.fragment.passed, 5);

	cr_assert(row_run(&w, PRIVATE, &early, &run));
	cr_expect_eq(run.fragment.target.generation, 0, "not known yet");
	cr_expect_eq(run.fragment.key.client, pkt_addr("X2"));
	cr_expect_eq(run.fragment.tos, 3);
	cr_expect_eq(run.fragment.passed, 0);
	cr_assert(row_run(&w, PRIVATE, &late, &run));
	cr_expect_eq(run.fragment.target.bind, 2);
	cr_assert(row_run(&w, PRIVATE, &begun, &run));
	cr_assert(row_run(&w, PRIVATE, &skipped, &run));
	cr_expect_eq(run.fragment.passed, 5);
	cr_expect_eq(run.fragment.target.bind, 1);

	cr_assert(row_run(&w, PRIVATE, &outer, &run));
	cr_expect_eq(run.fragment.kind, RSIP_EVENT_OUTER);
	cr_expect_eq(run.fragment.key.src, pkt_addr("X1"));
	cr_expect_eq(run.fragment.key.proto, 4);
	pkt_build(outer.in, &whole);
	cr_expect_eq(run.fragment.len, whole.len - 18);
	cr_expect_arr_eq(run.fragment.packet, whole.data + 18, whole.len - 18);
	cr_expect(row_run(&w, PRIVATE, &elsewhere, &run));
	cr_expect(row_run(&w, PRIVATE, &stranger, &run));
	cr_expect_eq(run.fragments, 0);
	world_close(&w);
}

/* What is left of a packet goes nowhere once the lease that its first belonged to has ended. covers: IN-16 EG-12 FREE-04 */
Test(fragment, bind_ends_on_the_way)
{
	static const struct step begin[] = {
		{ PUBLIC, { "in, first", "ip Y > NB mf id 1 | udp 53 > 40000 len 90 | data 32", RSIP_IN_PORT,
			    TO_X1 "id 1 | ip Y > NB mf id 1 ttl 63 | udp 53 > 40000 len 90 | data 32" } },
		{ PRIVATE, { "out, first", FROM_X1 "Y mf id 1 | udp 40000 > 53 len 90 | data 32", RSIP_OUT_PORT,
			     TO_Y "mf id 1 | udp 40000 > 53 len 90 | data 32" } },
	};
	static const struct step go_on[] = {
		{ PUBLIC, { "in, last", "ip Y > NB id 1 frag 5 proto 17 | data 2", RSIP_IN_FRAGMENT, NULL } },
		{ PRIVATE, { "out, last", FROM_X1 "Y id 1 frag 5 proto 17 | data 3", RSIP_OUT_FRAGMENT, NULL } },
	};
	struct rsip_bind bind;
	struct world w;

	world_open(&w);
	steps_run(&w, STEPS(begin));
	world_bind(&w, 1, &bind);
	bind.generation++;
	world_bind_set(&w, 1, &bind);
	steps_run(&w, STEPS(go_on));
	world_close(&w);
}

/* After RSIP_FRAGMENT_SECONDS an entry is as good as gone. covers: IN-17 */
Test(fragment, entries_get_old)
{
	static const struct row first = { "first", "ip Y > NB mf id 1 | udp 53 > 40000 len 90 | data 32", RSIP_IN_PORT,
					  TO_X1 "id 1 | ip Y > NB mf id 1 ttl 63 | udp 53 > 40000 len 90 | data 32" };
	static const struct row second = { "second", "ip Y > NB mf id 1 frag 5 proto 17 | data 40", RSIP_IN_FRAGMENT_HELD, NULL };
	struct rsip_fragment_key key;
	struct rsip_fragment value;
	struct bpf_map *map;
	struct world w;
	struct run run;

	world_open(&w);
	map = w.skel->maps.rsip_fragments;
	cr_assert(row_run(&w, PUBLIC, &first, &run));
	cr_assert_eq(bpf_map__get_next_key(map, NULL, &key, sizeof(key)), 0);
	cr_assert_eq(bpf_map__lookup_elem(map, &key, sizeof(key), &value, sizeof(value), 0), 0);
	value.time -= (RSIP_FRAGMENT_SECONDS + 1) * 1000000000ULL;
	cr_assert_eq(bpf_map__update_elem(map, &key, sizeof(key), &value, sizeof(value), BPF_ANY), 0);
	cr_expect(row_run(&w, PUBLIC, &second, &run));
	cr_expect_eq(run.fragment.target.generation, 0);
	world_close(&w);
}
