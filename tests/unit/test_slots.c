// SPDX-License-Identifier: GPL-2.0-only
/* Free slots: each once, never an ended one at once, all of them in the end. */
#include "rsipd/slots.h"

#include <stdlib.h>

#include <criterion/criterion.h>

Test(slots, all_of_them_once)
{
	struct slots s;

	cr_assert_eq(slots_init(&s, 3, 10), 0);
	for (uint32_t i = 3; i < 10; i++)
		cr_expect_eq(slots_take(&s), i);
	cr_expect_eq(slots_take(&s), SLOT_NONE);
	slots_give(&s, 7);
	slots_give(&s, 4);
	cr_expect_eq(slots_take(&s), 7);
	cr_expect_eq(slots_take(&s), 4);
	cr_expect_eq(slots_take(&s), SLOT_NONE);
	slots_fini(&s);
}

/* While others are free, a slot rests until SLOTS_REST others were given back. */
Test(slots, ended_slot_rests)
{
	struct slots s;
	uint32_t again;

	cr_assert_eq(slots_init(&s, 0, 4 * SLOTS_REST), 0);
	for (uint32_t i = 0; i <= SLOTS_REST; i++)
		slots_give(&s, slots_take(&s));
	cr_expect_eq(s.fresh, SLOTS_REST + 1);
	again = slots_take(&s);
	cr_expect_eq(again, 0);
	cr_expect_eq(slots_take(&s), SLOTS_REST + 1);
	slots_fini(&s);
}

Test(slots, nobody_shares)
{
	enum { COUNT = 3000 };
	static unsigned char taken[COUNT];
	static uint32_t held[COUNT];
	unsigned int count = 0;
	struct slots s;

	srand(1);
	cr_assert_eq(slots_init(&s, 0, COUNT), 0);
	for (unsigned int i = 0; i < 200000; i++) {
		/* Long runs of taking and of giving, so that both ends are reached. */
		if ((i / 7000) % 2 ? rand() % 4 == 0 : rand() % 4) {
			uint32_t slot = slots_take(&s);

			cr_assert_eq(slot == SLOT_NONE, count == COUNT);
			if (slot == SLOT_NONE)
				continue;
			cr_assert_eq(taken[slot]++, 0);
			held[count++] = slot;
		} else if (count) {
			unsigned int which = (unsigned int)rand() % count;

			taken[held[which]]--;
			slots_give(&s, held[which]);
			held[which] = held[--count];
		}
	}
	slots_fini(&s);
}

/* What an earlier daemon had is claimed, in any order; the rest stays free. */
Test(slots, claims)
{
	struct slots slots;
	bool seen[8] = { false };
	uint32_t slot;

	cr_assert_eq(slots_init(&slots, 1, 8), 0);
	cr_expect_eq(slots_taken(&slots), 1);
	cr_assert(slots_claim(&slots, 5));
	cr_assert_not(slots_claim(&slots, 5));
	cr_assert(slots_claim(&slots, 2));
	cr_assert(slots_claim(&slots, 4));
	cr_assert(slots_claim(&slots, 1));
	cr_assert_not(slots_claim(&slots, 0));
	cr_assert_not(slots_claim(&slots, 8));
	cr_expect_eq(slots_taken(&slots), 5);
	slots_give(&slots, 4);
	cr_expect_eq(slots_taken(&slots), 4);
	while ((slot = slots_take(&slots)) != SLOT_NONE) {
		cr_assert_lt(slot, 8);
		cr_assert_not(seen[slot]);
		seen[slot] = true;
	}
	cr_assert(!seen[0] && !seen[1] && !seen[2] && !seen[5]);
	cr_assert(seen[3] && seen[4] && seen[6] && seen[7]);
	slots_fini(&slots);
}

/* A certain slot may be had if nobody has it and it rested, or nobody ever had it. */
Test(slots, rested)
{
	struct slots s;

	cr_assert_eq(slots_init(&s, 1, 4 * SLOTS_REST), 0);
	cr_assert(slots_rested(&s, 1) && slots_rested(&s, 4 * SLOTS_REST - 1));
	cr_assert_not(slots_rested(&s, 0));
	cr_assert_not(slots_rested(&s, 4 * SLOTS_REST));
	cr_assert(slots_claim(&s, 3000));
	cr_assert_not(slots_rested(&s, 3000));
	cr_assert(slots_rested(&s, 2999), "passed over, never taken");
	slots_give(&s, 3000);
	for (unsigned int i = 1; i < SLOTS_REST; i++)
		slots_give(&s, slots_take(&s));
	cr_assert_not(slots_rested(&s, 3000));
	slots_give(&s, slots_take(&s));
	cr_assert(slots_rested(&s, 3000));
	slots_fini(&s);
}
