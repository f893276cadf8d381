/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clock by which the programs end binds (rsip_tick() of datapath.h), and
 * what a time of the daemon is on it. User space cannot read jiffies: a small
 * program reads both clocks at once.
 */
#pragma once

#include <stdint.h>
#include <linux/types.h>

#include "rsipd/bpfmaps.h"

struct clock;

/* Loads the program. 0 or -errno, logged. */
int clock_open(const struct bpfmaps *maps, struct clock **out);
void clock_close(struct clock *clock);

/*
 * The first tick that begins no sooner than `ms` (milliseconds, monotonic: daemon_now()),
 * and never further away than half of what 32 bits can tell.
 */
__u32 clock_tick_at(struct clock *clock, uint64_t ms);
