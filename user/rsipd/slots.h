/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which elements of an array are free. A slot that was given back rests until
 * many others were given back after it, or until nothing else is free, so that
 * a packet in flight never meets a new owner in a slot it has just read. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SLOT_NONE	UINT32_MAX
#define SLOTS_REST	1024	/* so many rest before the oldest is taken again */

struct slots {
	uint32_t *next, *prev;	/* chain of resting slots, oldest first */
	uint32_t *given;	/* number of the slots_give() it came with; 0: it was never taken */
	uint32_t count, fresh;	/* slots below `fresh` were taken at least once */
	uint32_t oldest, newest, resting, gives;
};

/* Slots first to count - 1 are free; those below `first` are never handed out. 0 or -ENOMEM. */
int slots_init(struct slots *slots, uint32_t first, uint32_t count);
void slots_fini(struct slots *slots);

/* A free slot, or SLOT_NONE. */
uint32_t slots_take(struct slots *slots);
/* That very slot. false: it is taken already, or there is none of that number. */
bool slots_claim(struct slots *slots, uint32_t slot);
/* Whether it is free and has rested. */
bool slots_rested(const struct slots *slots, uint32_t slot);
/* How many are in use, those below `first` among them. */
uint32_t slots_taken(const struct slots *slots);
void slots_give(struct slots *slots, uint32_t slot);
