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

#include <rsip/proto.h>

#define WORD 64u

/* The ports of word `at` that are lent. */
static uint64_t lent(const struct portmap *map, unsigned int at)
{
	uint64_t mask = ~0ULL;

	if (at < map->range.first / WORD || at > map->range.last / WORD)
		return 0;
	if (at == map->range.first / WORD)
		mask &= ~0ULL << map->range.first % WORD;
	if (at == map->range.last / WORD)
		mask &= ~0ULL >> (WORD - 1 - map->range.last % WORD);
	if (map->ike && at == RSIP_IKE_PORT / WORD)
		mask &= ~(1ULL << RSIP_IKE_PORT % WORD);
	if (map->ike && at == RSIP_NATT_PORT / WORD)
		mask &= ~(1ULL << RSIP_NATT_PORT % WORD);
	return mask;
}

static uint64_t free_ports(const struct portmap *map, unsigned int at)
{
	return map->free[at] & lent(map, at);
}

void portmap_init(struct portmap *map, struct num_range range, bool ike)
{
	memset(map->free, 0xff, sizeof(map->free));
	portmap_lend(map, range, ike);
}

void portmap_lend(struct portmap *map, struct num_range range, bool ike)
{
	map->range = range;
	map->ike = ike;
	map->count = 0;
	for (unsigned int at = 0; at < PORTMAP_WORDS; at++)
		map->count += (uint32_t)__builtin_popcountll(free_ports(map, at));
}

bool portmap_has(const struct portmap *map, uint16_t port)
{
	return free_ports(map, port / WORD) >> port % WORD & 1;
}

void portmap_set(struct portmap *map, uint16_t first, uint16_t count, bool is_free)
{
	for (uint32_t port = first; port < (uint32_t)first + count; port++) {
		uint64_t bit = 1ULL << port % WORD;
		uint64_t *word = &map->free[port / WORD];

		if (lent(map, port / WORD) & bit)
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
		uint64_t word = free_ports(map, at), starts = word ? run_starts(word, count, size) : 0;

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
		unsigned int at = port / WORD, left = count;

		for (; left >= WORD && free_ports(map, at) == ~0ULL; left -= WORD)
			at++;
		if (left < WORD && (left == 0 || (free_ports(map, at) & tail) == tail))
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
