/* SPDX-License-Identifier: GPL-2.0-only */
/* The ports of one address: a bit for each that nobody holds, 8 kilobytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

#define PORTMAP_WORDS	1024

struct portmap {
	uint64_t free[PORTMAP_WORDS];	/* of all ports, whether they are lent or not */
	uint32_t count;			/* free ones that are lent */
	struct num_range range;		/* what is lent */
	bool ike;			/* but for 500 and 4500 */
};

/* All ports are free; those of `range` are lent, without 500 and 4500 if `ike`. */
void portmap_init(struct portmap *map, struct num_range range, bool ike);
/* Changes what is lent; who holds what stays. */
void portmap_lend(struct portmap *map, struct num_range range, bool ike);

/* Whether a port is lent and free. */
bool portmap_has(const struct portmap *map, uint16_t port);
/* Marks `count` ports from `first` on as free or as not free, also such that are not lent. */
void portmap_set(struct portmap *map, uint16_t first, uint16_t count, bool is_free);

/*
 * A random run of `count` (1 to 256) free ports, aligned to `count` rounded up
 * to a power of two; -1: there is none. Changes nothing.
 */
int portmap_find(const struct portmap *map, uint16_t count);
