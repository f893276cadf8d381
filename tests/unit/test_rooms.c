// SPDX-License-Identifier: GPL-2.0-only
/* Where is room: the tree (user/rsipd/rooms.c) against a row that is looked through. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "rsipd/rooms.h"

static struct rooms rooms;

static void fini(void)
{
	rooms_destroy(&rooms);
	rooms = (struct rooms){ 0 };
}

TestSuite(rooms, .fini = fini);

/* Each number of addresses: one has no tree above it, powers of two no empty places. */
Test(rooms, each_address_is_found)
{
	const struct room some = { .ports = 1 };

	for (uint32_t count = 1; count <= 17; count++) {
		cr_assert_eq(rooms_init(&rooms, count, some), 0);
		for (uint32_t from = 0; from <= count; from++)
			cr_expect_eq(rooms_next(&rooms, from, &some), from, "%u of %u", from, count);
		fini();
	}
}

/* Where nothing is asked for, no place beyond the last address is one. */
Test(rooms, nothing_is_not_found_beyond_the_last)
{
	const struct room nothing = { 0 };

	cr_assert_eq(rooms_init(&rooms, 5, nothing), 0);
	cr_expect_eq(rooms_next(&rooms, 4, &nothing), 4);
	cr_expect_eq(rooms_next(&rooms, 5, &nothing), 5, "there are five");
	cr_expect_eq(rooms_next(&rooms, 6, &nothing), 5, "of the eight places");
}

Test(rooms, one_address_has_all)
{
	const struct room need = { .ports = 2, .spis = 2 };

	cr_assert_eq(rooms_init(&rooms, 4, (struct room){ 0 }), 0);
	rooms_set(&rooms, 1, (struct room){ .ports = 9, .spis = 1 });
	rooms_set(&rooms, 2, (struct room){ .ports = 1, .spis = 9 });
	cr_expect_eq(rooms_next(&rooms, 0, &need), 4, "much of both, but at no address");
	cr_expect_eq(rooms_most(&rooms).ports, 9);
	cr_expect_eq(rooms_most(&rooms).spis, 9);
	rooms_set(&rooms, 3, need);
	cr_expect_eq(rooms_next(&rooms, 0, &need), 3);
}

/* --- against a row ----------------------------------------------------------------- */

#define ADDRESSES	37

static struct room row[ADDRESSES];

static bool agrees(uint32_t from, const struct room *need)
{
	uint32_t at = from;

	while (at < ADDRESSES && !(row[at].ports >= need->ports && row[at].spis >= need->spis &&
				   row[at].whole >= need->whole))
		at++;
	return rooms_next(&rooms, from, need) == at;
}

static bool most_agrees(void)
{
	struct room most = rooms_most(&rooms), want = { 0 };

	for (uint32_t i = 0; i < ADDRESSES; i++) {
		want.ports = row[i].ports > want.ports ? row[i].ports : want.ports;
		want.spis = row[i].spis > want.spis ? row[i].spis : want.spis;
		want.whole |= row[i].whole;
	}
	return most.ports == want.ports && most.spis == want.spis && most.whole == want.whole;
}

/* Few different amounts, so that equal and just not enough are common; seldom a whole one. */
static struct room any(void)
{
	return (struct room){ .ports = rand() % 8, .spis = rand() % 8, .whole = rand() % 16 == 0 };
}

static void change_many(void)
{
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		row[i] = any();
		rooms_put(&rooms, i, row[i]);
	}
	rooms_join(&rooms);
}

Test(rooms, agree_with_a_row)
{
	srand(3102);
	cr_assert_eq(rooms_init(&rooms, ADDRESSES, row[0]), 0);
	for (unsigned int step = 0; step < 20000; step++) {
		struct room need = any();
		uint32_t at = rand() % ADDRESSES;

		row[at] = any();
		rooms_set(&rooms, at, row[at]);
		if (step % 100 == 0)
			change_many();
		cr_assert(agrees(rand() % (ADDRESSES + 1), &need), "step %u", step);
		cr_assert(most_agrees(), "step %u", step);
	}
}
