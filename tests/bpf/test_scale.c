// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs does not grow with the number of leases. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "run.h"

#define PORTS	900	/* more than the world's own, and as many as its maps hold */
#define REPEAT	20000
#define ROUNDS	7

static int by_value(const void *a, const void *b)
{
	__u32 left = *(const __u32 *)a, right = *(const __u32 *)b;

	return left < right ? -1 : left > right;
}

/* Nanoseconds, the median of several rounds; the packet is dropped and so stays as it is. */
static __u32 cost(struct world *w, enum side side, const char *text)
{
	const struct bpf_program *prog = side == PUBLIC ? w->skel->progs.rsip_public : w->skel->progs.rsip_private;
	__u32 rounds[ROUNDS];
	struct frame in;

	pkt_build(text, &in);
	for (int i = 0; i < ROUNDS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.data, .data_size_in = (__u32)in.len, .repeat = REPEAT);

		cr_assert_eq(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
		rounds[i] = opts.duration;
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
	return rounds[ROUNDS / 2];
}

static void lend(struct world *w)
{
	const struct rsip_target target = { 1, world_generation(1) };

	for (unsigned int i = 0; i < PORTS; i++) {
		struct rsip_port_key key = { .addr = pkt_addr("NB2"), .port = htons((uint16_t)(10000 + i)) };

		cr_assert_eq(bpf_map__update_elem(w->skel->maps.rsip_ports, &key, sizeof(key), &target, sizeof(target), 0), 0);
	}
}

/* A scan would cost hundreds of times as much; a factor of 4 is the noise of a busy machine. covers: SCALE-05 */
Test(scale, one_lookup_whatever_the_leases)
{
	static const char *const in = "ip Z > NB | udp 80 > 42000", *const out = "ip X2 > NA | ip NB > Z | udp 42000 > 80";
	__u32 few[2], many[2];
	struct world w;

	world_open(&w);
	few[PUBLIC] = cost(&w, PUBLIC, in);
	few[PRIVATE] = cost(&w, PRIVATE, out);
	lend(&w);
	many[PUBLIC] = cost(&w, PUBLIC, in);
	many[PRIVATE] = cost(&w, PRIVATE, out);
	printf("%u ns in, %u ns out; with %d leases more %u and %u\n", few[PUBLIC], few[PRIVATE], PORTS, many[PUBLIC],
	       many[PRIVATE]);
	cr_expect_leq(many[PUBLIC], 4 * few[PUBLIC] + 50);
	cr_expect_leq(many[PRIVATE], 4 * few[PRIVATE] + 50);
	world_close(&w);
}
