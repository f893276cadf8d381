// SPDX-License-Identifier: GPL-2.0-only
/* Which hosts are looked up again after routes changed, in which order, and how many at a time. */
#include "rsipd/recheck.h"

#include <arpa/inet.h>

#include <criterion/criterion.h>

#define HOSTS	100

static struct recheck recheck;
static struct nexthop_host hosts[HOSTS];	/* 10.0.0.0 and so on; the last one is looked at first */

static struct addr_prefix prefix(const char *text)
{
	struct addr_prefix out;

	cr_assert(addr_parse_prefix(text, &out), "%s", text);
	return out;
}

static void change(const char *text)
{
	struct changes changes = { 0 };
	struct addr_prefix changed = prefix(text);

	changes_add(&changes, &changed);
	recheck_changed(&recheck, &changes);
}

static void add(unsigned int number)
{
	hosts[number].addr = htonl(0x0a000000 + number);
	recheck_add(&recheck, &hosts[number]);
}

static void add_all(void)
{
	for (unsigned int i = 0; i < HOSTS; i++)
		add(i);
}

TestSuite(recheck, .init = add_all);

/* The number of the next host, or -1. */
static int next(void)
{
	unsigned int work = RECHECK_PART;
	const struct nexthop_host *host = recheck_next(&recheck, &work);

	return host ? (int)(host - hosts) : -1;
}

static unsigned int count_left(void)
{
	unsigned int count = 0;

	while (next() >= 0)
		count++;
	cr_expect_not(recheck_pending(&recheck));
	return count;
}

/* --- changes ------------------------------------------------------------------------------- */

Test(changes, prefixes_and_everything)
{
	static const struct {
		const char *prefixes[3];
		const char *addr;
		bool touched;
	} cases[] = {
		{ { NULL }, "10.0.0.1/32", false },
		{ { "10.0.0.1/32" }, "10.0.0.1/32", true },
		{ { "10.0.0.1/32" }, "10.0.0.2/32", false },
		{ { "10.1.0.0/16", "10.2.0.0/16" }, "10.2.255.255/32", true },
		{ { "10.1.0.0/16", "10.2.0.0/16" }, "10.3.0.0/32", false },
		{ { "10.1.0.0/16", "0.0.0.0/0" }, "192.0.2.1/32", true },	/* the default route */
		{ { "10.1.0.0/16", "0.0.0.0/0", "10.2.0.0/16" }, "192.0.2.1/32", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct changes changes = { 0 };

		for (size_t j = 0; j < 3 && cases[i].prefixes[j]; j++) {
			struct addr_prefix changed = prefix(cases[i].prefixes[j]);

			changes_add(&changes, &changed);
		}
		cr_expect_eq(changes_touch(&changes, prefix(cases[i].addr).network), cases[i].touched, "%zu", i);
	}
}

Test(changes, too_many_are_everything)
{
	struct addr_prefix far = prefix("192.0.2.0/24");
	__be32 near = prefix("10.0.0.1").network;
	struct changes changes = { 0 }, joined = { 0 };

	for (unsigned int i = 0; i < CHANGES_MAX; i++)
		changes_add(&changes, &far);
	cr_expect_not(changes_everything(&changes));
	cr_expect_not(changes_touch(&changes, near));
	changes_join(&joined, &changes);
	cr_expect_not(changes_everything(&joined));
	cr_expect(changes_touch(&joined, far.network));
	changes_add(&joined, &far);
	cr_expect(changes_everything(&joined));
	cr_expect(changes_touch(&joined, near));
	changes_join(&changes, &joined);
	cr_expect(changes_everything(&changes));
}

/* --- order ---------------------------------------------------------------------------------- */

Test(recheck, nothing_changed)
{
	cr_expect_not(recheck_pending(&recheck));
	cr_expect_eq(next(), -1);
}

Test(recheck, those_in_the_prefix)
{
	change("10.0.0.4/30");
	cr_expect(recheck_pending(&recheck));
	for (int number = 7; number >= 4; number--)
		cr_expect_eq(next(), number);
	cr_expect_eq(next(), -1);
	cr_expect_not(recheck_pending(&recheck));
}

/* Those in prefixes that changed come first, also when everybody is being looked at. */
Test(recheck, prefixes_first)
{
	change("0.0.0.0/0");
	cr_expect_eq(next(), 99);
	change("10.0.0.1/32");
	cr_expect_eq(next(), 1);
	cr_expect_eq(next(), 98);
	cr_expect_eq(count_left(), 98);
}

/* What changes while a pass is under way may be too late for those that it has passed: it is followed by another one. */
Test(recheck, changes_during_a_pass)
{
	change("10.0.0.0/30");
	cr_expect_eq(next(), 3);
	change("10.0.0.2/31");
	cr_expect_eq(next(), 2);
	cr_expect_eq(next(), 1);
	cr_expect_eq(next(), 0);
	cr_expect(recheck_pending(&recheck));
	cr_expect_eq(next(), 3);
	cr_expect_eq(next(), 2);
	cr_expect_eq(count_left(), 0);
	change("0.0.0.0/0");
	cr_expect_eq(next(), 99);
	change("0.0.0.0/0");
	for (int number = 98; number >= 0; number--)
		cr_expect_eq(next(), number);
	cr_expect_eq(count_left(), HOSTS);
}

/* Each by itself is few; what gathered during a pass is too many: everybody, once. */
Test(recheck, many_changes_during_a_pass)
{
	change("10.0.0.0/31");
	cr_expect_eq(next(), 1);
	for (unsigned int i = 0; i <= CHANGES_MAX; i++)
		change("10.0.0.4/32");
	cr_expect_eq(next(), 0);
	cr_expect_eq(count_left(), HOSTS);
}

/* --- hosts come and go ------------------------------------------------------------------------ */

Test(recheck, new_hosts_are_not_looked_at)
{
	recheck_remove(&recheck, &hosts[50]);
	change("0.0.0.0/0");
	cr_expect_eq(next(), 99);
	add(50);
	cr_expect_eq(count_left(), HOSTS - 2);
	change("10.0.0.50/32");
	cr_expect_eq(count_left(), 1);
}

/* The next one of either pass goes, and so does the last one. */
Test(recheck, hosts_that_go_are_passed_over)
{
	change("0.0.0.0/0");
	cr_expect_eq(next(), 99);
	recheck_remove(&recheck, &hosts[98]);
	change("10.0.0.0/30");
	cr_expect_eq(next(), 3);
	recheck_remove(&recheck, &hosts[2]);
	cr_expect_eq(next(), 1);
	recheck_remove(&recheck, &hosts[0]);
	cr_expect_eq(next(), 97);
	cr_expect_eq(count_left(), 97 - 2);
}

/* --- parts --------------------------------------------------------------------------------------- */

Test(recheck, work_is_bounded)
{
	unsigned int work = 2 * RECHECK_LOOK;

	change("0.0.0.0/0");
	cr_expect_eq(recheck_next(&recheck, &work), &hosts[99]);
	cr_expect_eq(work, RECHECK_LOOK);
	work--;			/* the last one may cost a little more than was left */
	cr_expect_eq(recheck_next(&recheck, &work), &hosts[98]);
	cr_expect_eq(work, 0);
	cr_expect_null(recheck_next(&recheck, &work));
	cr_expect(recheck_pending(&recheck));
	cr_expect_eq(count_left(), 98);
}

Test(recheck, passing_over_costs_little)
{
	unsigned int work = HOSTS - 1;

	change("10.0.0.0/32");
	cr_expect_null(recheck_next(&recheck, &work));
	cr_expect_eq(work, 0);
	cr_expect_eq(next(), 0);
	cr_expect_eq(count_left(), 0);
}
