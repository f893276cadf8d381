// SPDX-License-Identifier: GPL-2.0-only
/* Free slots: never used ones are a number, resting ones a queue through `next` and `prev`. */
#include "rsipd/slots.h"

#include <errno.h>
#include <stdlib.h>

#define SLOT_TAKEN	(SLOT_NONE - 1)	/* as `next`: it is in use */

int slots_init(struct slots *slots, uint32_t first, uint32_t count)
{
	*slots = (struct slots){ .count = count, .fresh = first, .oldest = SLOT_NONE, .newest = SLOT_NONE };
	slots->next = calloc(count, sizeof(*slots->next));
	slots->prev = calloc(count, sizeof(*slots->prev));
	slots->given = calloc(count, sizeof(*slots->given));
	if (!slots->next || !slots->prev || !slots->given)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < first; slot++)
		slots->next[slot] = SLOT_TAKEN;
	return 0;
}

void slots_fini(struct slots *slots)
{
	free(slots->next);
	free(slots->prev);
	free(slots->given);
	slots->next = slots->prev = slots->given = NULL;
}

static void take_resting(struct slots *slots, uint32_t slot)
{
	uint32_t next = slots->next[slot], prev = slots->prev[slot];

	if (prev == SLOT_NONE)
		slots->oldest = next;
	else
		slots->next[prev] = next;
	if (next == SLOT_NONE)
		slots->newest = prev;
	else
		slots->prev[next] = prev;
	slots->next[slot] = SLOT_TAKEN;
	slots->resting--;
}

uint32_t slots_take(struct slots *slots)
{
	uint32_t slot = slots->oldest;

	if (slots->resting <= SLOTS_REST && slots->fresh < slots->count) {
		slots->next[slots->fresh] = SLOT_TAKEN;
		return slots->fresh++;
	}
	if (slot != SLOT_NONE)
		take_resting(slots, slot);
	return slot;
}

static void rest(struct slots *slots, uint32_t slot)
{
	slots->next[slot] = SLOT_NONE;
	slots->prev[slot] = slots->newest;
	if (slots->newest == SLOT_NONE)
		slots->oldest = slot;
	else
		slots->next[slots->newest] = slot;
	slots->newest = slot;
	slots->resting++;
}

bool slots_claim(struct slots *slots, uint32_t slot)
{
	if (slot >= slots->count)
		return false;
	while (slots->fresh <= slot)
		rest(slots, slots->fresh++);
	if (slots->next[slot] == SLOT_TAKEN)
		return false;
	take_resting(slots, slot);
	return true;
}

bool slots_rested(const struct slots *slots, uint32_t slot)
{
	if (slot >= slots->fresh)
		return slot < slots->count;
	return slots->next[slot] != SLOT_TAKEN &&
	       (!slots->given[slot] || slots->gives - slots->given[slot] >= SLOTS_REST);
}

uint32_t slots_taken(const struct slots *slots)
{
	return slots->fresh - slots->resting;
}

void slots_give(struct slots *slots, uint32_t slot)
{
	slots->given[slot] = ++slots->gives;
	rest(slots, slot);
}
