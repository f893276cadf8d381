// SPDX-License-Identifier: GPL-2.0-only
/* See spiset.h. Linear probing; a removal closes the gap, so nothing is ever marked deleted. */
#include "rsipd/spiset.h"

#include <errno.h>
#include <stdlib.h>

#include "rsipd/table.h"

#define BITS_FIRST 4

static uint32_t home(const struct spiset *set, uint32_t spi)
{
	return table_hash(spi, set->secret) >> (64 - set->bits);
}

static uint32_t mask(const struct spiset *set)
{
	return (uint32_t)((1ULL << set->bits) - 1);
}

/* The slot that holds `spi`, or the empty one where it would go. */
static uint32_t find(const struct spiset *set, uint32_t spi)
{
	uint32_t at = home(set, spi);

	while (set->slots[at] && set->slots[at] != spi)
		at = (at + 1) & mask(set);
	return at;
}

void spiset_free(struct spiset *set)
{
	free(set->slots);
	set->slots = NULL;
	set->count = 0;
}

int spiset_reserve(struct spiset *set, uint32_t more)
{
	struct spiset bigger = *set;
	uint64_t want = ((uint64_t)set->count + more) * 3 / 2;

	if (!set->slots) {
		bigger.bits = BITS_FIRST;
		arc4random_buf(&bigger.secret, sizeof(bigger.secret));
	} else if (want < 1ULL << set->bits) {
		return 0;
	}
	while (1ULL << bigger.bits <= want)
		bigger.bits++;
	if (bigger.bits > 32)
		return -ENOMEM;
	bigger.slots = calloc(1ULL << bigger.bits, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint64_t i = 0; set->slots && i < 1ULL << set->bits; i++) {
		if (set->slots[i])
			bigger.slots[find(&bigger, set->slots[i])] = set->slots[i];
	}
	free(set->slots);
	*set = bigger;
	return 0;
}

bool spiset_has(const struct spiset *set, uint32_t spi)
{
	return set->slots && set->slots[find(set, spi)] == spi;
}

bool spiset_add(struct spiset *set, uint32_t spi)
{
	uint32_t at = find(set, spi);

	if (set->slots[at])
		return false;
	set->slots[at] = spi;
	set->count++;
	return true;
}

void spiset_remove(struct spiset *set, uint32_t spi)
{
	uint32_t gap, at;

	if (!spiset_has(set, spi))
		return;
	gap = at = find(set, spi);
	for (;;) {
		at = (at + 1) & mask(set);
		if (!set->slots[at])
			break;
		/* What stands at `at` may move to the gap if its home is not between them. */
		if (((at - home(set, set->slots[at])) & mask(set)) >= ((at - gap) & mask(set))) {
			set->slots[gap] = set->slots[at];
			gap = at;
		}
	}
	set->slots[gap] = 0;
	set->count--;
}
