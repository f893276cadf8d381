// SPDX-License-Identifier: GPL-2.0-only
/*
 * See wheel.h. Level L has slots of 64^L milliseconds. A timer stands at the
 * level of the highest base-64 digit in which its time differs from `now`, in
 * the slot of that digit. So all timers of a level end before all of the next
 * one, and the lowest used slot of the lowest used level is what comes next.
 */
#include "rsipd/wheel.h"

#include <stddef.h>

#define DIGIT_BITS 6
#define FARTHEST   ((1ULL << DIGIT_BITS * WHEEL_LEVELS) - 1)

void wheel_set(struct wheel *wheel, struct wheel_node *node, uint64_t expires)
{
	uint64_t at = expires > wheel->now ? expires : wheel->now;
	uint64_t differs = at ^ wheel->now;
	struct wheel_node **head;

	if (differs > FARTHEST) { /* thousands of years away: look again before */
		at = wheel->now | FARTHEST;
		differs = at ^ wheel->now;
	}
	wheel_remove(wheel, node);
	node->expires = expires;
	node->level = differs ? (63 - __builtin_clzll(differs)) / DIGIT_BITS : 0;
	node->slot = at >> (DIGIT_BITS * node->level) & (WHEEL_SLOTS - 1);

	head = &wheel->slots[node->level][node->slot];
	node->next = *head;
	if (node->next)
		node->next->link = &node->next;
	node->link = head;
	*head = node;
	wheel->used[node->level] |= 1ULL << node->slot;
}

void wheel_remove(struct wheel *wheel, struct wheel_node *node)
{
	if (!node->link)
		return;
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	node->link = NULL;
	if (!wheel->slots[node->level][node->slot])
		wheel->used[node->level] &= ~(1ULL << node->slot);
}

/* The lowest used level, or -1, and when its lowest used slot begins. */
static int first_slot(const struct wheel *wheel, uint64_t *begins)
{
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		if (!wheel->used[level])
			continue;
		uint64_t slot = __builtin_ctzll(wheel->used[level]);
		unsigned int shift = DIGIT_BITS * level;

		*begins = (wheel->now >> shift >> DIGIT_BITS << DIGIT_BITS | slot) << shift;
		return level;
	}
	return -1;
}

/* Moves the timers of a slot to lower levels. False: not all of them. */
static bool move_down(struct wheel *wheel, int level, unsigned int slot, unsigned int *moves)
{
	struct wheel_node *node;

	while ((node = wheel->slots[level][slot]) && *moves) {
		(*moves)--;
		wheel_set(wheel, node, node->expires);
	}
	wheel->unfinished = node ? level : 0;
	return !node;
}

struct wheel_node *wheel_pop(struct wheel *wheel, uint64_t now, unsigned int *moves)
{
	struct wheel_node *node;
	uint64_t begins;
	int level = wheel->unfinished;

	/* What is left of it is no later than what has been moved down already. */
	if (level && !move_down(wheel, level, wheel->now >> DIGIT_BITS * level & (WHEEL_SLOTS - 1), moves))
		return NULL;
	while ((level = first_slot(wheel, &begins)) >= 0 && begins <= now) {
		unsigned int slot = __builtin_ctzll(wheel->used[level]);

		if (!*moves)
			return NULL;
		wheel->now = begins > wheel->now ? begins : wheel->now;
		if (level == 0) {
			node = wheel->slots[level][slot];
			(*moves)--;
			wheel_remove(wheel, node);
			return node;
		}
		if (!move_down(wheel, level, slot, moves))
			return NULL;
	}
	if (now > wheel->now)
		wheel->now = now;
	return NULL;
}

uint64_t wheel_next(const struct wheel *wheel)
{
	uint64_t begins;

	if (first_slot(wheel, &begins) < 0)
		return 0;
	if (wheel->unfinished && wheel->now < begins)
		begins = wheel->now;
	return begins ? begins : 1;
}
