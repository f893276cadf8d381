// SPDX-License-Identifier: GPL-2.0-only
/* Free slots: never used ones are a number, resting ones a queue through `next`. */
#include "rsipd/slots.h"

#include <errno.h>
#include <stdlib.h>

int slots_init(struct slots *slots, uint32_t first, uint32_t count)
{
	*slots = (struct slots){ .count = count, .fresh = first, .oldest = SLOT_NONE, .newest = SLOT_NONE };
	slots->next = calloc(count, sizeof(*slots->next));
	return slots->next ? 0 : -ENOMEM;
}

void slots_fini(struct slots *slots)
{
	free(slots->next);
	slots->next = NULL;
}

uint32_t slots_take(struct slots *slots)
{
	uint32_t slot;

	if (slots->resting <= SLOTS_REST && slots->fresh < slots->count)
		return slots->fresh++;
	if (!slots->resting)
		return SLOT_NONE;
	slot = slots->oldest;
	slots->oldest = slots->next[slot];
	slots->resting--;
	return slot;
}

void slots_give(struct slots *slots, uint32_t slot)
{
	if (slots->resting)
		slots->next[slots->newest] = slot;
	else
		slots->oldest = slot;
	slots->newest = slot;
	slots->resting++;
}
