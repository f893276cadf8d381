/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timers in a hierarchical wheel: 8 levels of 64 slots, the lowest slot one
 * millisecond wide. Setting and removing cost the same whatever the number of
 * timers; a timer moves down at most 7 times before it ends, and a call moves no
 * more of them than it is allowed to.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_LEVELS	8
#define WHEEL_SLOTS	64

struct wheel_node {
	struct wheel_node *next, **link;	/* link NULL: not set */
	uint64_t expires;			/* ms */
	uint8_t level, slot;
};

struct wheel {
	uint64_t now;				/* everything before it has been handed out */
	uint8_t unfinished;			/* the level of a slot that is half moved down; 0: none is */
	uint64_t used[WHEEL_LEVELS];		/* a bit for each slot that holds a timer */
	struct wheel_node *slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

/* A wheel of zeroes is an empty one that starts at 0. */

/* Sets a timer, anew if it is set already. A time that is past ends at once. */
void wheel_set(struct wheel *wheel, struct wheel_node *node, uint64_t expires);
void wheel_remove(struct wheel *wheel, struct wheel_node *node);	/* not set: no effect */

/* Removes and returns the timer that ended first, or NULL when none ended by `now`, or when *moves
 * timers have been moved down or handed out: it is counted down to 0, and there is more to do. */
struct wheel_node *wheel_pop(struct wheel *wheel, uint64_t now, unsigned int *moves);

/* When wheel_pop() has something to do: never after the next timer ends; 0: no timer. */
uint64_t wheel_next(const struct wheel *wheel);

/* Of two moments as wheel_next() gives them. */
static inline uint64_t wheel_sooner(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}
