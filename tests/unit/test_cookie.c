// SPDX-License-Identifier: GPL-2.0-only
/* The daemon's memory of cookies: order, limits, idle time; against a naive model on random input. */
#include "rsipd/cookie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

static struct cookie_entry entry(uint32_t bind, uint32_t n)
{
	struct cookie_entry e = { .target = { bind, 1 }, .peer = n };

	memcpy(e.key.cookie, &n, sizeof(n));
	return e;
}

static void learn(struct cookies *c, uint32_t bind, uint32_t n, uint64_t now)
{
	struct cookie_entry e = entry(bind, n);

	cr_assert_eq(cookie_learned(c, &e, now), 0);
}

static void forget(struct cookies *c, uint32_t bind, uint32_t n)
{
	struct cookie_entry e = entry(bind, n);

	cookie_forget(c, bind, &e.key);
}

/* covers: IKE-07 */
Test(cookie, oldest_first)
{
	struct cookies *c = cookies_new(4, 8);
	struct cookie_entry got;

	learn(c, 1, 10, 0);
	learn(c, 2, 20, 0);
	learn(c, 1, 11, 0);
	learn(c, 1, 12, 0);
	learn(c, 1, 10, 0);	/* known: keeps its place */
	cr_expect_eq(cookie_count(c, 1), 3);
	forget(c, 1, 11);
	forget(c, 1, 11);
	for (uint32_t n = 10; n <= 12; n += 2) {
		cr_assert(cookie_take_oldest(c, 1, &got));
		cr_expect_eq(got.peer, n);
	}
	cr_expect_not(cookie_take_oldest(c, 1, &got));
	cr_expect_eq(cookie_count(c, 2), 1);
	cookies_free(c);
}

Test(cookie, bounds)
{
	struct cookies *c = cookies_new(2, 3);
	struct cookie_entry e = entry(2, 1), got;

	cr_expect_eq(cookie_learned(c, &e, 0), -EINVAL);
	cr_expect_eq(cookie_count(c, 2), 0);
	cr_expect_not(cookie_take_oldest(c, 2, &got));
	for (uint32_t n = 0; n < 3; n++)
		learn(c, n % 2, n, 0);
	e = entry(0, 9);
	cr_expect_eq(cookie_learned(c, &e, 0), -ENOSPC);
	forget(c, 1, 1);
	learn(c, 0, 9, 0);
	cookies_free(c);
}

struct model {
	uint32_t n[8][64];	/* by bind, oldest first */
	unsigned int count[8];
};

static bool compare(const struct cookie_entry *e, void *arg)
{
	const uint32_t **next = arg;

	cr_assert_eq(e->peer, *(*next)++);
	return true;
}

static void drop(struct model *m, uint32_t bind, unsigned int at)
{
	memmove(&m->n[bind][at], &m->n[bind][at + 1], (--m->count[bind] - at) * sizeof(uint32_t));
}

static unsigned int place(const struct model *m, uint32_t bind, uint32_t n)
{
	unsigned int at = 0;

	while (at < m->count[bind] && m->n[bind][at] != n)
		at++;
	return at;
}

Test(cookie, agrees_with_a_naive_model)
{
	struct cookies *c = cookies_new(8, 8 * 64);
	struct model m = { 0 };

	srand(1);
	for (unsigned int i = 0; i < 100000; i++) {
		uint32_t bind = (uint32_t)rand() % 8, n = (uint32_t)rand() % 40;
		unsigned int at = place(&m, bind, n);
		struct cookie_entry got;
		const uint32_t *next = m.n[bind];

		switch (rand() % 4) {
		case 0:
		case 1:
			learn(c, bind, n, 0);
			if (at == m.count[bind])
				m.n[bind][m.count[bind]++] = n;
			break;
		case 2:
			forget(c, bind, n);
			if (at < m.count[bind])
				drop(&m, bind, at);
			break;
		default:
			cr_assert_eq(cookie_take_oldest(c, bind, &got), m.count[bind] != 0);
			if (m.count[bind]) {
				cr_assert_eq(got.peer, m.n[bind][0]);
				drop(&m, bind, 0);
			}
		}
		cr_assert_eq(cookie_count(c, bind), m.count[bind]);
		cookie_each(c, bind, compare, &next);
		cr_assert_eq(next, m.n[bind] + m.count[bind]);
	}
	cookies_free(c);
}

/* --- idle time ------------------------------------------------------------------- */

struct watched {
	uint32_t busy;		/* the cookie that packets use */
	uint32_t gone[4];
	unsigned int gone_count, asked;
};

static bool used(const struct cookie_entry *e, void *arg)
{
	struct watched *w = arg;

	w->asked++;
	return e->peer == w->busy;
}

static void idle(const struct cookie_entry *e, void *arg)
{
	struct watched *w = arg;

	w->gone[w->gone_count++] = e->peer;
}

/* covers: IKE-07 */
Test(cookie, idle_for_a_day)
{
	struct cookies *c = cookies_new(2, 100);
	struct watched w = { .busy = 2 };
	const struct cookie_sweep sweep = { used, idle, &w };
	uint64_t now = 5000;

	cookie_sweep(c, now, &sweep);
	learn(c, 0, 1, now);
	learn(c, 1, 2, now);
	for (; now < 5000 + COOKIE_IDLE_MS; now += 60000)
		cookie_sweep(c, now, &sweep);
	cr_expect_eq(w.gone_count, 0);
	for (; now < 5000 + COOKIE_IDLE_MS + 2 * COOKIE_SWEEP_MS; now += 60000)
		cookie_sweep(c, now, &sweep);
	cr_assert_eq(w.gone_count, 1);
	cr_expect_eq(w.gone[0], 1);
	cr_expect_eq(cookie_count(c, 0), 0);
	cr_expect_eq(cookie_count(c, 1), 1);
	cookies_free(c);
}

/* The work of a sweep is spread: no call looks at more than its share. */
Test(cookie, sweep_is_spread)
{
	struct cookies *c = cookies_new(1, 3600);
	struct watched w = { 0 };
	const struct cookie_sweep sweep = { used, idle, &w };
	uint64_t now = 1000;

	for (uint32_t n = 0; n < 3600; n++)
		learn(c, 0, n, now);
	cookie_sweep(c, now, &sweep);
	for (unsigned int s = 1; s <= 3600; s++) {
		cookie_sweep(c, now += 1000, &sweep);
		cr_assert_eq(w.asked, s);
	}
	cookies_free(c);
}
