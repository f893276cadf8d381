/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The SPIs that are not free at one address: open addressing, four bytes for
 * each slot, at most two thirds full.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spiset {
	uint32_t *slots;		/* 0: empty; SPI 0 is never leased */
	uint32_t count;
	unsigned int bits;		/* 1 << bits slots; slots NULL: none yet */
	uint64_t secret;		/* hosts may suggest SPIs: not to be made to collide */
};

/* A set of zeroes is an empty one. */
void spiset_free(struct spiset *set);

/* Makes room for `more` additions. 0 or -ENOMEM. */
int spiset_reserve(struct spiset *set, uint32_t more);
bool spiset_has(const struct spiset *set, uint32_t spi);
/* After spiset_reserve(). false: it is there already. */
bool spiset_add(struct spiset *set, uint32_t spi);
void spiset_remove(struct spiset *set, uint32_t spi);	/* not there: no effect */
