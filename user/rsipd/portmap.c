// SPDX-License-Identifier: GPL-2.0-only
/*
 * See portmap.h. The search starts at a random word and looks at whole words:
 * in a map with room it ends with the first one, in a full map it reads 8
 * kilobytes once. Runs are aligned so that hosts which ask for as much fill a
 * map without gaps.
 */
#include "rsipd/portmap.h"

#include <stdlib.h>
#include <string.h>

#define WORD 64u

void portmap_init(struct portmap *map, struct num_range range)
{
	memset(map, 0, sizeof(*map));
	map->range = range;
	for (uint32_t port = range.first; port <= range.last; port++)
		map->free[port / WORD] |= 1ULL << port % WORD;
	map->count = range.last - range.first + 1;
}

bool portmap_has(const struct portmap *map, uint16_t port)
{
	return map->free[port / WORD] >> port % WORD & 1;
}

void portmap_set(struct portmap *map, uint16_t first, uint16_t count, bool is_free)
{
	for (uint32_t port = first; port < (uint32_t)first + count; port++) {
		uint64_t bit = 1ULL << port % WORD;
		uint64_t *word = &map->free[port / WORD];

		map->count += is_free - (*word & bit ? 1 : 0);
		*word = is_free ? *word | bit : *word & ~bit;
	}
}

/* Bit i of the result: i is a multiple of `size`, and bits i to i + count - 1 of `word` are set. */
static uint64_t run_starts(uint64_t word, unsigned int count, unsigned int size)
{
	for (unsigned int len = 1; len < count;) {
		unsigned int step = len < count - len ? len : count - len;

		word &= word >> step;
		len += step;
	}
	return word & (size < WORD ? ~0ULL / ((1ULL << size) - 1) : 1);
}

/* The position of set bit number `rank`, counted from 0. */
static unsigned int select_bit(uint64_t word, unsigned int rank)
{
	while (rank--)
		word &= word - 1;
	return __builtin_ctzll(word);
}

/* Runs of up to 64 stand within one word. */
static int find_in_words(const struct portmap *map, unsigned int count, unsigned int size)
{
	unsigned int first = map->range.first / WORD, words = map->range.last / WORD - first + 1;
	unsigned int begin = arc4random_uniform(words);

	for (unsigned int i = 0; i < words; i++) {
		unsigned int at = first + (begin + i < words ? begin + i : begin + i - words);
		uint64_t starts = map->free[at] ? run_starts(map->free[at], count, size) : 0;

		if (starts)
			return at * WORD + select_bit(starts, arc4random_uniform(__builtin_popcountll(starts)));
	}
	return -1;
}

/* Longer ones take a whole number of words, and part of the last one. */
static int find_over_words(const struct portmap *map, unsigned int count, unsigned int size)
{
	unsigned int groups = PORTMAP_WORDS * WORD / size, begin = arc4random_uniform(groups);
	uint64_t tail = count % WORD ? (1ULL << count % WORD) - 1 : 0;

	for (unsigned int i = 0; i < groups; i++) {
		unsigned int port = (begin + i) % groups * size;
		const uint64_t *word = &map->free[port / WORD];
		unsigned int left = count;

		for (; left >= WORD && *word == ~0ULL; left -= WORD)
			word++;
		if (left < WORD && (left == 0 || (*word & tail) == tail))
			return port;
	}
	return -1;
}

int portmap_find(const struct portmap *map, uint16_t count)
{
	unsigned int size = 1;

	if (map->count < count)
		return -1;
	while (size < count)
		size *= 2;
	return size <= WORD ? find_in_words(map, count, size) : find_over_words(map, count, size);
}
