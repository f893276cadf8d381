/* SPDX-License-Identifier: GPL-2.0-only */
/* The free ports of one address: a bit for each, 8 kilobytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

#define PORTMAP_WORDS	1024

struct portmap {
	uint64_t free[PORTMAP_WORDS];
	uint32_t count;			/* bits set */
	struct num_range range;		/* no free port stands outside */
};

/* All of `range` is free. */
void portmap_init(struct portmap *map, struct num_range range);

bool portmap_has(const struct portmap *map, uint16_t port);
/* Marks `count` ports from `first` on as free or as not free. */
void portmap_set(struct portmap *map, uint16_t first, uint16_t count, bool is_free);

/*
 * A random run of `count` (1 to 256) free ports, aligned to `count` rounded up
 * to a power of two; -1: there is none. Changes nothing.
 */
int portmap_find(const struct portmap *map, uint16_t count);
