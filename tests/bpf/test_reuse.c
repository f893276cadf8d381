// SPDX-License-Identifier: GPL-2.0-only
/* A slot that changes hands while packets are on their way through the programs. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "run.h"

#define ROUNDS	40000
#define SLOT	1

struct slot {
	struct rsip_bind *bind;		/* as rsipd has it: mapped */
	struct rsip_bind next;		/* of X2 */
	atomic_uint ready;		/* round in which the slot is to be handed over */
	atomic_uint done;
};

/* In the order that datapath.h asks for: the generation goes first and comes last. */
static void hand_over(struct rsip_bind *slot, const struct rsip_bind *to)
{
	__atomic_store_n(&slot->generation, 0, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy((char *)slot + sizeof(slot->generation), (const char *)to + sizeof(to->generation),
	       sizeof(*to) - sizeof(to->generation));
	__atomic_store_n(&slot->generation, to->generation, __ATOMIC_RELEASE);
}

/* X1's generations are even, those of X2 odd: none comes twice. */
static void *next_owner(void *arg)
{
	struct slot *slot = arg;
	uint32_t random = 1;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		while (atomic_load(&slot->ready) != round)
			sched_yield();
		random = random * 1664525 + 1013904223;
		for (volatile uint32_t wait = random >> 21; wait; wait--)
			;
		slot->next.generation = 2 * round + 1;
		hand_over(slot->bind, &slot->next);
		atomic_store(&slot->done, round);
	}
	return NULL;
}

static size_t map_size(const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)bpf_map__max_entries(map) * ((bpf_map__value_size(map) + 7) & ~7U);

	return (size + page - 1) / page * page;
}

/* The port is X1's again, under a new generation. */
static void lend(struct world *w, struct slot *slot, const struct rsip_bind *to)
{
	struct rsip_port_key key = { .addr = to->addr, .port = htons(40000) };
	struct rsip_target target = { SLOT, to->generation };

	hand_over(slot->bind, to);
	cr_assert_eq(bpf_map__update_elem(w->skel->maps.rsip_ports, &key, sizeof(key), &target, sizeof(target),
					  BPF_ANY), 0);
}

/* Runs a packet from Y: an XDP action, and what came out. */
static unsigned int run_only(struct world *w, const struct frame *in, struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = (__u32)in->len,
		    .data_out = out->data, .data_size_out = sizeof(out->data), .repeat = 1);

	cr_assert_eq(bpf_prog_test_run_opts(bpf_program__fd(w->skel->progs.rsip_public), &opts), 0);
	out->len = opts.data_size_out;
	return opts.retval;
}

/*
 * Y sends to the port of X1 at the moment when the slot is given to X2: the
 * packet reaches X1 in full, or nobody. covers: FREE-04 IN-28 SCALE-07
 */
Test(reuse, never_to_the_next_owner)
{
	unsigned long sent = 0, dropped = 0;
	struct frame in, want, got;
	struct slot slot = { 0 };
	struct rsip_bind *slots, x1;
	pthread_t thread;
	struct world w;
	cpu_set_t cpus;
	size_t size;

	cr_assert_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	if (CPU_COUNT(&cpus) < 2)
		cr_skip_test("a race needs two CPUs");
	world_open(&w);
	size = map_size(w.skel->maps.rsip_binds);
	slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(w.skel->maps.rsip_binds), 0);
	cr_assert_neq(slots, MAP_FAILED);
	slot.bind = &slots[SLOT];
	slot.next = slots[2];
	x1 = slots[SLOT];
	cr_assert_eq(x1.client, pkt_addr("X1"));
	cr_assert_eq(slot.next.client, pkt_addr("X2"));
	pkt_build("ip Y > NB | udp 53 > 40000 | data 9", &in);
	pkt_build("eth n > x1 | ip NA > X1 | ip Y > NB ttl 63 | udp 53 > 40000 | data 9", &want);
	cr_assert_eq(pthread_create(&thread, NULL, next_owner, &slot), 0);
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		unsigned int action;

		x1.generation = 2 * round;
		lend(&w, &slot, &x1);
		atomic_store(&slot.ready, round);
		action = run_only(&w, &in, &got);
		while (atomic_load(&slot.done) != round)
			sched_yield();
		sent += action == XDP_REDIRECT;
		dropped += action == XDP_DROP;
		if (action == XDP_REDIRECT && (got.len != want.len || memcmp(got.data, want.data, want.len))) {
			pkt_diff(&want, &got);
			cr_assert_fail("round %u: to somebody else", round);
		}
	}
	pthread_join(thread, NULL);
	printf("%lu packets to X1, %lu dropped\n", sent, dropped);
	cr_expect_eq(sent + dropped, ROUNDS);
	cr_expect_gt(sent, 0);
	cr_expect_gt(dropped, 0);
	munmap(slots, size);
	world_close(&w);
}
