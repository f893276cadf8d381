// SPDX-License-Identifier: GPL-2.0-only
/* See random.h: xorshift64*. */
#include "random.h"

#include <stddef.h>
#include <stdlib.h>

static uint64_t state = 1;

void random_reset(uint64_t seed)
{
	state = (seed + 1) * 0x9e3779b97f4a7c15;
}

uint32_t arc4random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d >> 32;
}

uint32_t arc4random_uniform(uint32_t bound)
{
	return bound ? arc4random() % bound : 0;
}

void arc4random_buf(void *out, size_t len)
{
	uint8_t *at = out;

	while (len--)
		*at++ = arc4random();
}
