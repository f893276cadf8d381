/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the data plane leaves to the daemon packet by packet: fragments out of
 * order go on when it is known whose they are (fragments.h); a tunnel packet
 * that came in fragments is run through rsip_private as a whole.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "rsipd/bpfmaps.h"
#include "rsipd/nexthop.h"

struct slowpath;

/* `maps` and `nexthops` must outlive it. Loads a program. 0, or -errno with the reason logged. */
int slowpath_new(const struct bpfmaps *maps, struct nexthops *nexthops, struct slowpath **out);
void slowpath_free(struct slowpath *slow);

/* An event of rsip_slow. */
void slowpath_event(struct slowpath *slow, const void *data, size_t size, uint64_t now);
void slowpath_tick(struct slowpath *slow, uint64_t now);
