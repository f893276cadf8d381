// SPDX-License-Identifier: GPL-2.0-only
/* Token buckets in simulated time. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "rsipd/rate.h"

static unsigned int take_all(struct rate *rate, uint32_t per_second, uint32_t burst, uint64_t now)
{
	unsigned int taken = 0;

	while (taken <= burst && rate_take(rate, per_second, burst, now))
		taken++;
	return taken;
}

/* What is saved at a time, in ms, at 50 a second and a burst of 200. */
static const struct {
	uint64_t at;
	unsigned int taken;
} steps[] = {
	{ 1000, 200 }, { 1000, 0 }, { 1019, 0 }, { 1020, 1 }, { 1100, 4 }, { 2100, 50 }, { 100000, 200 }, { 100001, 0 },
	{ UINT64_MAX / 2, 200 },
};

Test(rate, a_bucket)
{
	struct rate rate = { 0 };

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		cr_expect_eq(take_all(&rate, 50, 200, steps[i].at), steps[i].taken, "at %llu ms",
			     (unsigned long long)steps[i].at);
}

/* As a reload may leave it: another rate, another burst, and none at all. */
Test(rate, changes)
{
	struct rate rate = { 0 };

	cr_expect_eq(take_all(&rate, 1000, 1000, 1000), 1000);
	cr_expect_eq(take_all(&rate, 1000, 1000, 1500), 500);
	cr_expect(rate_take(&rate, 1000, 1000, 2500));
	cr_expect_eq(take_all(&rate, 10, 10, 2500), 10, "no more than the new burst");
	rate = (struct rate){ 0 };
	cr_expect_not(rate_take(&rate, 0, 0, 1000));
	cr_expect_not(rate_take(&rate, 0, 0, 100000));
}

/* A flood from one source leaves almost all others alone. */
Test(rate, sources)
{
	static struct rate_table table;
	unsigned int alone = 0;

	rate_table_init(&table);
	while (rate_take(rate_of(&table, 1), 10, 10, 1000))
		;
	for (uint32_t source = 2; source < 1002; source++)
		alone += rate_take(rate_of(&table, source), 10, 10, 1000);
	cr_expect_geq(alone, 980);
}
