// SPDX-License-Identifier: GPL-2.0-only
/* The hash table of nodes (user/rsipd/table.c). */
#include <criterion/criterion.h>

#include "rsipd/table.h"

static struct table table;

static void init(void)
{
	cr_assert_eq(table_init(&table, 16), 0);
}

static void fini(void)
{
	table_destroy(&table);
}

TestSuite(table, .init = init, .fini = fini);

/* More than there are buckets, so that many share one. */
Test(table, finds_what_was_added_and_not_removed)
{
	struct table_node nodes[256];

	for (uint64_t i = 0; i < 256; i++)
		table_add(&table, &nodes[i], i);
	for (uint64_t i = 0; i < 256; i += 2)
		table_remove(&table, &nodes[i]);
	for (uint64_t i = 0; i < 256; i++)
		cr_expect_eq(table_find(&table, i), i % 2 ? &nodes[i] : NULL, "%d", (int)i);
}

Test(table, finds_all_with_one_key)
{
	struct table_node same[3], others[256];
	unsigned int found = 0;

	for (uint64_t i = 0; i < 256; i++) {
		table_add(&table, &others[i], 1000 + i);
		if (i % 100 == 0)
			table_add(&table, &same[i / 100], 7);
	}
	for (struct table_node *node = table_find(&table, 7); node; node = table_find_next(node))
		found += 1u << (node - same);
	cr_expect_eq(found, 7);
	table_remove(&table, &same[1]);
	found = 0;
	for (struct table_node *node = table_find(&table, 7); node; node = table_find_next(node))
		found += 1u << (node - same);
	cr_expect_eq(found, 5);
}
