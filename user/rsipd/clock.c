// SPDX-License-Identifier: GPL-2.0-only
/* See clock.h. */
#include "rsipd/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/log.h"
#include "rsip.skel.h"

#define READ_EVERY_MS	1000		/* the two clocks drift apart by less than a jiffy meanwhile */
#define TICKS_MAX	(1ULL << 30)	/* two years at least */

struct clock {
	struct rsip_bpf *skeleton;
	uint64_t jiffy_ns;
	struct rsip_clock last;		/* reading */
	uint64_t read_at;		/* coarse monotonic clock, ms */
};

static int clock_read(struct clock *clock)
{
	struct rsip_clock now = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &now, .ctx_size_in = sizeof(now));
	int err = bpf_prog_test_run_opts(bpf_program__fd(clock->skeleton->progs.rsip_clock), &opts);

	if (!err)
		clock->last = now;
	return err;
}

int clock_open(const struct bpfmaps *maps, struct clock **out)
{
	struct clock *clock = calloc(1, sizeof(*clock));
	struct timespec jiffy;
	int err;

	if (!clock)
		return -ENOMEM;
	/* The coarse clocks advance once in a jiffy, and say so. */
	clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy);
	clock->jiffy_ns = (uint64_t)jiffy.tv_nsec;
	clock->skeleton = bpfmaps_program_open(maps, "rsip_clock");
	err = clock->skeleton ? rsip_bpf__load(clock->skeleton) : -ENOMEM;
	if (!err)
		err = clock_read(clock);
	if (err) {
		log_error("program rsip_clock: %s", strerror(-err));
		clock_close(clock);
		return err;
	}
	*out = clock;
	return 0;
}

void clock_close(struct clock *clock)
{
	if (!clock)
		return;
	bpfmaps_program_close(clock->skeleton);
	free(clock);
}

static uint64_t coarse_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Not for each bind: a reading is a system call. An older one serves as well. */
static void read_often(struct clock *clock)
{
	uint64_t now = coarse_ms();

	if (now - clock->read_at < READ_EVERY_MS)
		return;
	if (clock_read(clock) == 0)
		clock->read_at = now;
}

__u32 clock_tick_at(struct clock *clock, uint64_t ms)
{
	uint64_t tick_ns = clock->jiffy_ns << RSIP_TICK_SHIFT, at = ms * 1000000, ticks = 0;

	read_often(clock);
	if (at > clock->last.ns)
		ticks = (at - clock->last.ns + tick_ns - 1) / tick_ns + 1;
	return rsip_tick(clock->last.jiffies) + (__u32)(ticks < TICKS_MAX ? ticks : TICKS_MAX);
}
