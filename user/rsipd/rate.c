/* SPDX-License-Identifier: GPL-2.0-only */
/* See rate.h. */
#include "rsipd/rate.h"

#include <stdlib.h>
#include <string.h>

#include "rsipd/table.h"

bool rate_take(struct rate *rate, uint32_t per_second, uint32_t burst, uint64_t now)
{
	/* Tokens are thousandths and times milliseconds: `per_second` of them for each. */
	uint64_t most = burst * 1000ull, tokens = rate->tokens < most ? rate->tokens : most;
	uint64_t since = now - rate->filled;

	if (!rate->filled || (per_second && since > (most - tokens) / per_second))
		tokens = most;
	else
		tokens += since * per_second;
	rate->filled = now;
	rate->tokens = tokens;
	if (tokens < 1000)
		return false;
	rate->tokens -= 1000;
	return true;
}

void rate_table_init(struct rate_table *table)
{
	memset(table, 0, sizeof(*table));
	arc4random_buf(&table->secret, sizeof(table->secret));
}

struct rate *rate_of(struct rate_table *table, __be32 source)
{
	return &table->buckets[table_hash(source, table->secret) % RATE_SOURCES];
}
