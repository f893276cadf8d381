// SPDX-License-Identifier: GPL-2.0-only
/* Cookie learning (RFC 3104 6.1): what IKE from a host leaves behind. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "run.h"

#define IKE(from, addr, to, port, cookie) \
	"ip " from " > NA | ip " addr " > " to " | udp " port " > " port " | ike " cookie
#define TO_PEER(addr, to, port, cookie) \
	"eth n > y | ip " addr " > " to " ttl 63 | udp " port " > " port " | ike " cookie

/* Private side, nothing looked at but the action; ~0: not run. Events stay in the ring. */
static unsigned int run_only(struct world *w, const struct frame *in)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = (__u32)in->len, .repeat = 1);

	return bpf_prog_test_run_opts(bpf_program__fd(w->skel->progs.rsip_private), &opts) ? ~0U : opts.retval;
}

/* Another cookie in a packet of IKE(), which has plain headers. */
static void set_cookie(struct frame *f, uint32_t round)
{
	memcpy(f->data + 14 + 20 + 20 + 8, (uint32_t[]){ round, 0x5a5a5a5a }, 8);
}

static unsigned int bind_cookies(struct world *w, __u32 slot)
{
	struct rsip_bind_rare rare;

	world_rare(w, slot, &rare);
	return rare.cookies;
}

/* covers: IKE-01 IKE-07 IKE-13 IKE-09 */
Test(cookies, first_packet_is_learned)
{
	static const struct row row = {
		"first", IKE("X1", "NB", "Y", "500", "0x1122334455667788"), RSIP_OUT_IKE,
		TO_PEER("NB", "Y", "500", "0x1122334455667788")
	};
	static const struct row answer = {
		"answer", "ip Y > NB | udp 500 > 500 | ike 0x1122334455667788", RSIP_IN_IKE,
		"eth n > x1 | ip NA > X1 | ip Y > NB ttl 63 | udp 500 > 500 | ike 0x1122334455667788"
	};
	static const uint8_t wire[8] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	struct rsip_cookie cookie;
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PRIVATE, &row, &run));
	cr_assert(world_cookie_get(&w, 0x1122334455667788, "NB", 500, &cookie));
	cr_expect_eq(cookie.target.bind, 1);
	cr_expect_eq(cookie.target.generation, world_generation(1));
	cr_expect_eq(cookie.peer, pkt_addr("Y"));
	cr_expect_eq(cookie.used, 1);
	cr_expect_eq(bind_cookies(&w, 1), 1);
	cr_expect_eq(run.events, 1);
	cr_expect_eq(run.cookies, 1);
	cr_expect_eq(run.cookie.target.bind, 1);
	cr_expect_eq(run.cookie.target.generation, world_generation(1));
	cr_expect_eq(run.cookie.peer, pkt_addr("Y"));
	cr_expect_arr_eq(run.cookie.key.cookie, wire, 8);
	cr_expect_eq(run.cookie.key.addr, pkt_addr("NB"));
	cr_expect_eq(run.cookie.key.port, htons(500));
	cr_expect_eq(run.cookie.key.pad, 0);
	/* it holds for the very next packet from the peer, and for the host's */
	cr_expect(row_run(&w, PUBLIC, &answer, &run));
	cr_expect(row_run(&w, PRIVATE, &row, &run));
	cr_expect_eq(run.events, 0, "what is known is not reported again");
	cr_expect_eq(bind_cookies(&w, 1), 1);
	world_close(&w);
}

/* One row after the other: each meets what those before have left. covers: IKE-02 IKE-03 IKE-05 IKE-06 IKE-08 IKE-12 SCALE-04 */
Test(cookies, collisions)
{
	static const struct row rows[] = {
		{ "X1 is first", IKE("X1", "NB", "Y", "500", "0xc1"), RSIP_OUT_IKE, TO_PEER("NB", "Y", "500", "0xc1") },
		{ "X2 with the same", IKE("X2", "NB", "Y", "500", "0xc1"), RSIP_OUT_COOKIE_TAKEN, NULL },
		{ "X2 with its own", IKE("X2", "NB", "Y", "500", "0xc2"), RSIP_OUT_IKE, TO_PEER("NB", "Y", "500", "0xc2") },
		{ "X1 goes on", IKE("X1", "NB", "Y", "500", "0xc1") " | data 99", RSIP_OUT_IKE,
		  TO_PEER("NB", "Y", "500", "0xc1") " | data 99" },
		{ "X1 to another peer", IKE("X1", "NB", "Z", "500", "0xc1"), RSIP_OUT_COOKIE_TAKEN, NULL },
		{ "X3, which may have no more, with the same", IKE("X3", "NB", "Y", "500", "0xc1"), RSIP_OUT_COOKIE_TAKEN, NULL },
		{ "X1 at another address", IKE("X1", "NB2", "Y", "500", "0xc1"), RSIP_OUT_IKE,
		  TO_PEER("NB2", "Y", "500", "0xc1") },
		{ "X1 on another port", "ip X1 > NA | ip NB > Y | udp 4500 > 4500 | marker | ike 0xc1", RSIP_OUT_IKE,
		  "eth n > y | ip NB > Y ttl 63 | udp 4500 > 4500 | marker | ike 0xc1" },
		{ "X2 on that port", "ip X2 > NA | ip NB > Y | udp 4500 > 4500 | marker | ike 0xc1",
		  RSIP_OUT_COOKIE_TAKEN, NULL },
		{ "X2 there by its own", "ip X2 > NA | ip NB > Z | udp 4500 > 500 | marker | ike 0xc2", RSIP_OUT_IKE,
		  "eth n > y | ip NB > Z ttl 63 | udp 4500 > 500 | marker | ike 0xc2" },
		{ "a host without a RSIPSEC bind", IKE("X4", "NB", "Y", "500", "0xc1"), RSIP_OUT_NO_PORT, NULL },
		{ "a host that is not registered", IKE("XU", "NB", "Y", "500", "0xc1"), RSIP_OUT_UNREGISTERED, NULL },
		{ "cookie 0", IKE("X1", "NB", "Y", "500", "0"), RSIP_OUT_COOKIE_ZERO, NULL },
		{ "cookie 0 on 4500", "ip X1 > NA | ip NB > Y | udp 4500 > 4500 | marker | ike 0", RSIP_OUT_COOKIE_ZERO,
		  NULL },
		{ "half a cookie of 0", IKE("X1", "NB", "Y", "500", "0x0000000000000001"), RSIP_OUT_IKE,
		  TO_PEER("NB", "Y", "500", "1") },
		{ "the other half", IKE("X1", "NB", "Y", "500", "0x0100000000000000"), RSIP_OUT_IKE,
		  TO_PEER("NB", "Y", "500", "0x0100000000000000") },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	cr_expect_eq(world_cookies(&w), 7);
	cr_expect_eq(bind_cookies(&w, 1), 4);
	cr_expect_eq(bind_cookies(&w, 2), 2);
	cr_expect_eq(bind_cookies(&w, 8), 1);
	world_close(&w);
}

/* What a host sends keeps its cookie from the idle sweep, as does what its peer sends. covers: IKE-07 */
Test(cookies, used_by_the_host)
{
	static const struct row row = { "known", IKE("X1", "NB", "Y", "500", "0x11"), RSIP_OUT_IKE,
					TO_PEER("NB", "Y", "500", "0x11") };
	struct rsip_cookie cookie;
	struct world w;

	world_open(&w);
	world_cookie(&w, 0x11, "NB", 500, 1, world_generation(1), "Y");
	rows_run(&w, PRIVATE, &row, 1);
	cr_assert(world_cookie_get(&w, 0x11, "NB", 500, &cookie));
	cr_expect_eq(cookie.used, 1);
	world_close(&w);
}

/* covers: IKE-07 SEC-07 */
Test(cookies, limit_of_a_bind)
{
	static const struct row other = {
		"another host is not harmed", IKE("X2", "NB", "Y", "500", "0x777777"), RSIP_OUT_IKE,
		TO_PEER("NB", "Y", "500", "0x777777")
	};
	static const struct row known = {
		"nor what is known", IKE("X1", "NB", "Y", "500", "1"), RSIP_OUT_IKE, TO_PEER("NB", "Y", "500", "1")
	};
	static const struct row full = { "full from the start", IKE("X3", "NB", "Y", "500", "0x3333"),
					 RSIP_OUT_COOKIE_LIMIT, NULL };
	struct rsip_bind_rare rare;
	struct world w;
	struct run run;

	world_open(&w);
	for (unsigned int i = 1; i <= 200; i++) {
		char in[128], out[128];
		struct row row = { "flood", in, i <= RSIP_BIND_COOKIES ? RSIP_OUT_IKE : RSIP_OUT_COOKIE_LIMIT,
				   i <= RSIP_BIND_COOKIES ? out : NULL };

		snprintf(in, sizeof(in), IKE("X1", "NB", "Y", "500", "%u"), i);
		snprintf(out, sizeof(out), TO_PEER("NB", "Y", "500", "%u"), i);
		cr_expect(row_run(&w, PRIVATE, &row, &run), "cookie %u", i);
	}
	cr_expect_eq(bind_cookies(&w, 1), RSIP_BIND_COOKIES, "refusals are not counted");
	cr_expect_eq(world_cookies(&w), RSIP_BIND_COOKIES);
	rows_run(&w, PRIVATE, &other, 1);
	rows_run(&w, PRIVATE, &known, 1);
	rows_run(&w, PRIVATE, &full, 1);
	cr_expect_eq(bind_cookies(&w, 18), RSIP_BIND_COOKIES);
	/* the daemon has made room */
	world_rare(&w, 18, &rare);
	rare.cookies--;
	world_rare_set(&w, 18, &rare);
	cr_expect(row_run(&w, PRIVATE,
			  &(struct row){ "room again", IKE("X3", "NB", "Y", "500", "0x3333"), RSIP_OUT_IKE,
					 TO_PEER("NB", "Y", "500", "0x3333") }, &run));
	world_close(&w);
}

/* covers: IKE-07 SCALE-06 */
Test(cookies, full_table)
{
	static const struct row full = { "full table", IKE("X1", "NB", "Y", "500", "0xfff"), RSIP_OUT_COOKIE_LIMIT, NULL };
	struct world w;

	world_open(&w);
	for (unsigned int i = 0; i < bpf_map__max_entries(w.skel->maps.rsip_cookies); i++)
		world_cookie(&w, 0x100000 + i, "NB", 500, 2, world_generation(2), "Z");
	rows_run(&w, PRIVATE, &full, 1);
	cr_expect_eq(bind_cookies(&w, 1), 0, "a refusal is not counted");
	world_close(&w);
}

/* The daemon does not read: learning goes on, only unreported. covers: IKE-13 */
Test(cookies, full_ring)
{
	static const struct row again = { "read again", "ip X1 > NA | ip NB > YD | esp 1", RSIP_OUT_RESOLVE,
					  "eth n > yd | ip NB > YD ttl 63 | esp 1" };
	struct frame in;
	struct world w;
	struct run run;

	world_open(&w);
	pkt_build(again.in, &in);
	for (int i = 0; i < 600; i++)	/* events of 2 KB into a ring of 1 MB */
		cr_assert_eq(run_only(&w, &in), XDP_DROP);
	/* the rest of the ring takes some small events, but not all of these */
	pkt_build(IKE("X1", "NB", "Y", "500", "5"), &in);
	for (uint32_t i = 1; i <= 60; i++) {
		set_cookie(&in, i);
		cr_assert_eq(run_only(&w, &in), XDP_REDIRECT);
	}
	cr_expect_eq(world_cookies(&w), 60);
	cr_expect_eq(bind_cookies(&w, 1), 60);
	pkt_build(again.in, &in);
	world_run(&w, PRIVATE, &in, &run);
	cr_expect_eq(run.outcome, RSIP_ERROR, "a packet that cannot be handed over: %s", outcome_name(run.outcome));
	cr_expect_eq(run.action, XDP_DROP);
	cr_expect_lt(run.cookies, 60, "the ring was not full");
	cr_expect_gt(run.resolves, 400);
	cr_expect(row_run(&w, PRIVATE, &again, &run));
	world_close(&w);
}

/* What a bind that ended has left in the table is nobody's. covers: IKE-07 IKE-06 */
Test(cookies, stale_entries_are_taken_over)
{
	static const struct row from_y = {
		"the new peer", "ip Y > NB | udp 500 > 500 | ike 0x16", RSIP_IN_IKE,
		"eth n > x2 | ip NA > X2 | ip Y > NB ttl 63 | udp 500 > 500 | ike 0x16"
	};
	static const struct row from_z = { "the old peer", "ip Z > NB | udp 500 > 500 | ike 0x16", RSIP_IN_REMOTE, NULL };
	static const struct row before = { "before", "ip Z > NB | udp 500 > 500 | ike 0x16", RSIP_IN_NO_COOKIE, NULL };
	static const struct row take = {
		"take", IKE("X2", "NB", "Y", "500", "0x16"), RSIP_OUT_IKE, TO_PEER("NB", "Y", "500", "0x16")
	};
	static const struct row late = { "late", IKE("X1", "NB", "Y", "500", "0x16"), RSIP_OUT_COOKIE_TAKEN, NULL };
	static const struct row changing = { "changing hands", IKE("X1", "NB", "Y", "500", "0x19"),
					     RSIP_OUT_COOKIE_TAKEN, NULL };
	struct rsip_cookie cookie;
	struct world w;
	struct run run;

	world_open(&w);
	for (__u32 slot = 16; slot <= 17; slot++) {	/* a free slot, a slot of somebody else */
		world_cookie(&w, 0x16, "NB", 500, slot, world_generation(slot), "Z");
		rows_run(&w, PUBLIC, &before, 1);
		cr_assert(row_run(&w, PRIVATE, &take, &run));
		cr_expect_eq(run.cookies, 1);
		cr_expect_eq(run.cookie.target.bind, 2);
		cr_assert(world_cookie_get(&w, 0x16, "NB", 500, &cookie));
		cr_expect_eq(cookie.target.bind, 2);
		cr_expect_eq(cookie.target.generation, world_generation(2));
		cr_expect_eq(cookie.peer, pkt_addr("Y"));
		cr_expect_eq(cookie.used, 1);
		rows_run(&w, PUBLIC, &from_y, 1);
		rows_run(&w, PUBLIC, &from_z, 1);
		rows_run(&w, PRIVATE, &late, 1);
	}
	cr_expect_eq(bind_cookies(&w, 2), 2);
	cr_expect_eq(bind_cookies(&w, 1), 0);
	/* between two CPUs' steps an entry is neither usable nor free */
	world_cookie(&w, 0x19, "NB", 500, ~0U, 0, "Z");
	rows_run(&w, PRIVATE, &changing, 1);
	cr_expect_eq(bind_cookies(&w, 1), 0);
	world_close(&w);
}

/* --- races ---------------------------------------------------------------------- */

#define ROUNDS		3000

/* X1 is this thread, X2 the other. They meet by spinning: a futex wakes too late to collide. */
struct race {
	struct world *w;
	struct frame frames[2];
	atomic_uint ready;		/* round in which both are to run */
	atomic_uint done;		/* round that the other has run */
	unsigned int action;		/* its result */
};

static void *race_run(void *arg)
{
	struct race *race = arg;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		set_cookie(&race->frames[1], round);
		while (atomic_load(&race->ready) != round)
			;
		race->action = run_only(race->w, &race->frames[1]);
		atomic_store(&race->done, round);
	}
	return NULL;
}

static void reset_counts(struct world *w)
{
	for (__u32 slot = 1; slot <= 2; slot++) {
		struct rsip_bind_rare rare;

		world_rare(w, slot, &rare);
		rare.cookies = 0;
		world_rare_set(w, slot, &rare);
	}
}

static void round_cookie(uint32_t round, struct rsip_cookie_key *key)
{
	*key = (struct rsip_cookie_key){ .addr = pkt_addr("NB"), .port = htons(500) };
	memcpy(key->cookie, (uint32_t[]){ round, 0x5a5a5a5a }, 8);
}

/* One round: who won, and is all of the entry the winner's? */
static int race_round(struct race *race, uint32_t round, bool stale)
{
	struct rsip_cookie cookie = { .target = { 16, world_generation(16) }, .peer = pkt_addr("YN") };
	struct bpf_map *cookies = race->w->skel->maps.rsip_cookies;
	struct rsip_cookie_key key;
	unsigned int action;
	bool winner;

	round_cookie(round, &key);
	if (stale)
		cr_assert_eq(bpf_map__update_elem(cookies, &key, sizeof(key), &cookie, sizeof(cookie), BPF_ANY), 0);
	set_cookie(&race->frames[0], round);
	atomic_store(&race->ready, round);
	action = run_only(race->w, &race->frames[0]);
	while (atomic_load(&race->done) != round)
		;
	winner = action != XDP_REDIRECT;
	cr_expect_eq(winner ? race->action : action, XDP_REDIRECT, "round %u: nobody won", round);
	cr_expect_eq(winner ? action : race->action, XDP_DROP, "round %u: both won", round);
	cr_assert_eq(bpf_map__lookup_elem(cookies, &key, sizeof(key), &cookie, sizeof(cookie), 0), 0);
	cr_expect_eq(cookie.target.bind, winner + 1U, "round %u: entry of the loser", round);
	cr_expect_eq(cookie.target.generation, world_generation(winner + 1U));
	cr_expect_eq(cookie.peer, pkt_addr(winner ? "Z" : "Y"), "round %u: the loser's peer", round);
	cr_expect_eq(bind_cookies(race->w, winner + 1U), 1);
	cr_expect_eq(bind_cookies(race->w, 2U - winner), 0, "round %u: the loser's count stays", round);
	reset_counts(race->w);
	cr_assert_eq(bpf_map__delete_elem(cookies, &key, sizeof(key), 0), 0);
	return winner;
}

/* Two hosts, one cookie, at once. `stale`: the entry is there, of a bind that has ended. */
static void race(bool stale)
{
	struct race race = { 0 };
	unsigned int wins[2] = { 0 };
	pthread_t other;
	struct world w;

	world_open(&w);
	race.w = &w;
	pkt_build(IKE("X1", "NB", "Y", "500", "1"), &race.frames[0]);
	pkt_build(IKE("X2", "NB", "Z", "500", "1"), &race.frames[1]);
	cr_assert_eq(pthread_create(&other, NULL, race_run, &race), 0);
	for (uint32_t round = 1; round <= ROUNDS; round++)
		wins[race_round(&race, round, stale)]++;
	pthread_join(other, NULL);
	printf("of %d races%s X1 won %u, X2 won %u\n", ROUNDS, stale ? " for a stale entry" : "", wins[0], wins[1]);
	world_close(&w);
}

/* covers: IKE-11 */
Test(cookies, race_for_a_new_one)
{
	race(false);
}

/* covers: IKE-11 */
Test(cookies, race_for_a_stale_one)
{
	race(true);
}
