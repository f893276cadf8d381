/* SPDX-License-Identifier: GPL-2.0-only */
/* How often something may happen: token buckets, one or a table of them by source address. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

struct rate {			/* of zeroes: full */
	uint64_t filled;		/* when, ms */
	uint64_t tokens;		/* in thousandths */
};

/* Takes one: `per_second` come back each second, and up to `burst` can be saved. */
bool rate_take(struct rate *rate, uint32_t per_second, uint32_t burst, uint64_t now);

#define RATE_SOURCES	4096

/* For sources of which nothing else is kept. Two may share a bucket; which ones is not to be guessed. */
struct rate_table {
	uint64_t secret;
	struct rate buckets[RATE_SOURCES];
};

void rate_table_init(struct rate_table *table);
struct rate *rate_of(struct rate_table *table, __be32 source);
