// SPDX-License-Identifier: GPL-2.0-only
/* Registrations and binds in simulated time, and the wheel and the tables they stand in. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rsipd/lease.h"

#define SECOND 1000ULL

static struct addr_range range = { 0xc0000201, 0xc0000210 };
static struct config_pool pool = {
	.name = "p", .addresses = &range, .address_count = 1, .rsap = true, .rsipsec = true,
	.ports = { 1024, 65535 }, .spis = { 0x100, 0xffffffff },
};
static const struct config config = { .pools = &pool, .pool_count = 1, .leases.hold_down = 120 };
static const struct config_client rule = { .local_policy = RSIP_POLICY_MACRO, .remote_policy = RSIP_POLICY_NONE };

struct bed {
	struct pools *pools;
	struct leases *leases;
};

static struct bed make(uint32_t clients, uint32_t binds)
{
	struct bed bed = { .pools = pools_new(&config) };

	bed.leases = leases_new(bed.pools, clients, binds);
	cr_assert_not_null(bed.leases);
	return bed;
}

static void finish(struct bed *bed)
{
	leases_free(bed->leases);
	pools_free(bed->pools);
}

static struct client *enter(struct bed *bed, uint32_t host, uint32_t seconds, uint64_t now)
{
	struct origin origin = { .source = htonl(0x0a000000 + host), .local = htonl(0x0a000001) };

	return lease_register(bed->leases, &origin, &rule, seconds, now);
}

static struct pool_grant *take(struct bed *bed, uint64_t now)
{
	struct msg_ports ports = { .form = MSG_ANY, .count = 2 };
	struct pool_request request = { .local = { .any = true }, .ports = &ports, .ports_max = UINT32_MAX };
	struct pool_grant *grant;

	cr_assert_eq(pool_take(bed->pools, &request, 0, now, &grant), 0);
	return grant;
}

static struct bind *grant(struct bed *bed, struct client *client, uint32_t seconds, uint64_t now)
{
	struct bind *bind = lease_grant(bed->leases, client, LEASE_RSAP, take(bed, now), seconds, now);

	cr_assert_not_null(bind);
	return bind;
}

/* What ended, in order: Bind IDs, and Client IDs as negative numbers. */
struct ended {
	struct bed *bed;
	int64_t ids[32];
	uint64_t at[32];
	unsigned int count;
};

static void bind_expired(struct bind *bind, uint64_t now, void *arg)
{
	struct ended *ended = arg;

	ended->at[ended->count] = bind->expires;
	ended->ids[ended->count++] = bind->bind_id;
	lease_release(ended->bed->leases, bind, now);
}

static void client_expired(struct client *client, uint64_t now, void *arg)
{
	struct ended *ended = arg;

	cr_expect_eq(client->bind_count, 0, "a registration ends before its last bind");
	ended->at[ended->count] = client->expires;
	ended->ids[ended->count++] = -(int64_t)client->client_id;
	lease_deregister(ended->bed->leases, client, now);
}

static uint64_t expire(struct bed *bed, uint64_t now, struct ended *ended)
{
	const struct lease_events events = { bind_expired, client_expired, ended };

	*ended = (struct ended){ .bed = bed };
	return lease_expire(bed->leases, now, &events);
}

/* --- registrations ------------------------------------------------------------------- */

/* covers: REG-03 REG-23 REG-21 SCALE-01 */
Test(lease, client_ids_differ_and_have_no_order)
{
	struct bed bed = make(2000, 10);
	uint32_t ids[1000], ascending = 0, near = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		struct client *client = enter(&bed, i + 2, 600, 0);

		ids[i] = client->client_id;
		cr_assert_neq(ids[i], 0);
		for (unsigned int k = 0; k < i; k++)
			cr_assert_neq(ids[i], ids[k]);
		cr_assert_eq(lease_client_by_id(bed.leases, ids[i]), client);
		cr_assert_eq(lease_client_by_address(bed.leases, client->origin.source), client);
		if (i) {
			ascending += ids[i] > ids[i - 1];
			near += ids[i] - ids[i - 1] < 1000000 || ids[i - 1] - ids[i] < 1000000;
		}
	}
	cr_expect(ascending > 400 && ascending < 600, "%u of 999 go up", ascending);
	cr_expect_leq(near, 8, "%u of 999 are near the one before", near);
	cr_expect_eq(lease_client_count(bed.leases), 1000);
	cr_expect_null(lease_client_by_address(bed.leases, htonl(0x0a000001)));
	finish(&bed);
}

/* An ID does not come back when its host leaves and enters again. covers: REG-23 REG-24 */
Test(lease, client_ids_are_not_reused_soon)
{
	struct bed bed = make(2000, 10);
	uint32_t ids[1000];

	for (unsigned int i = 0; i < 1000; i++) {
		struct client *client = enter(&bed, 2, 600, i);

		ids[i] = client->client_id;
		for (unsigned int k = 0; k < i; k++)
			cr_assert_neq(ids[i], ids[k]);
		lease_deregister(bed.leases, client, i);
	}
	cr_expect_eq(lease_client_count(bed.leases), 0);
	finish(&bed);
}

/* covers: SCALE-06 */
Test(lease, limits)
{
	struct bed bed = make(2, 3);
	struct client *client = enter(&bed, 2, 600, 0);
	struct pool_grant *one_more;

	cr_assert_not_null(enter(&bed, 3, 600, 0));
	cr_expect_null(enter(&bed, 4, 600, 0));
	for (unsigned int i = 0; i < 3; i++)
		grant(&bed, client, 600, 0);
	one_more = take(&bed, 0);
	cr_expect_null(lease_grant(bed.leases, client, LEASE_RSAP, one_more, 600, 0));
	pool_cancel(bed.pools, one_more);
	cr_expect_eq(lease_bind_count(bed.leases), 3);
	lease_release(bed.leases, client->binds, 0);
	grant(&bed, client, 600, 0);
	finish(&bed);
}

/* --- binds ------------------------------------------------------------------------------ */

/* covers: RSAP-12 */
Test(lease, bind_ids_belong_to_one_host)
{
	struct bed bed = make(10, 10);
	struct client *a = enter(&bed, 2, 600, 0), *b = enter(&bed, 3, 600, 0);
	struct bind *a1 = grant(&bed, a, 600, 0), *b1 = grant(&bed, b, 600, 0), *a2 = grant(&bed, a, 600, 0);

	cr_expect_eq(a1->bind_id, 1);
	cr_expect_eq(b1->bind_id, 1);
	cr_expect_eq(a2->bind_id, 2);
	cr_expect_eq(lease_bind_by_id(bed.leases, a, 1), a1);
	cr_expect_eq(lease_bind_by_id(bed.leases, b, 1), b1);
	cr_expect_eq(lease_bind_by_id(bed.leases, a, 2), a2);
	cr_expect_null(lease_bind_by_id(bed.leases, b, 2));
	cr_expect_eq(a->bind_count, 2);
	cr_expect_eq(a->port_count, 4);

	lease_release(bed.leases, a1, 0);
	cr_expect_null(lease_bind_by_id(bed.leases, a, 1));
	cr_expect_eq(lease_bind_by_id(bed.leases, b, 1), b1);
	cr_expect_eq(a->port_count, 2);
	cr_expect_eq(grant(&bed, a, 600, 0)->bind_id, 3, "not the ID that was free again");
	finish(&bed);
}

/* Ports and SPIs each by themselves. */
Test(lease, what_a_host_holds_is_counted)
{
	struct bed bed = make(10, 10);
	struct client *client = enter(&bed, 2, 600, 0);
	struct msg_ports ports = { .form = MSG_ANY, .count = 2 };
	struct msg_spis spis = { .form = MSG_ANY, .count = 3 };
	struct pool_request request = { .ipsec = true, .local = { .any = true }, .ports = &ports, .spis = &spis,
					.ports_max = 2, .spis_max = 3 };
	struct pool_grant *taken;

	grant(&bed, client, 600, 0);
	cr_assert_eq(pool_take(bed.pools, &request, 0, 0, &taken), 0);
	cr_assert_not_null(lease_grant(bed.leases, client, LEASE_RSIPSEC, taken, 600, 0));
	cr_expect_eq(client->port_count, 4);
	cr_expect_eq(client->spi_count, 3);
	lease_release(bed.leases, client->binds, 0);
	cr_expect_eq(client->port_count, 2);
	cr_expect_eq(client->spi_count, 0);
	finish(&bed);
}

/* What an earlier run knew is as it was; but no ID and no address twice, and no more than fit. covers: SCALE-06 */
Test(lease, again_as_it_was)
{
	struct bed bed = make(2, 2);
	struct client like = {
		.client_id = 77, .origin = { .source = htonl(0x0a000002), .local = htonl(0x0a000001), .source_port = 9, .tcp = true },
		.rule = &rule, .local_policy = RSIP_POLICY_MICRO, .remote_policy = RSIP_POLICY_MACRO,
		.registered = 5, .expires = 600 * SECOND, .bind_ids = 9, .record = 3,
	}, *client = lease_register_again(bed.leases, &like);
	struct bind bind = { .bind_id = 4, .granted = 6, .expires = 50 * SECOND, .record = 8 };
	struct pool_grant *one_more;

	cr_assert_not_null(client);
	cr_expect_eq(lease_client_by_id(bed.leases, 77), client);
	cr_expect_eq(lease_client_by_address(bed.leases, htonl(0x0a000002)), client);
	cr_expect_eq(client->client_id, like.client_id);
	cr_expect_eq(client->origin.source, like.origin.source);
	cr_expect_eq(client->origin.local, like.origin.local);
	cr_expect_eq(client->origin.source_port, like.origin.source_port);
	cr_expect_eq(client->origin.tcp, like.origin.tcp);
	cr_expect_eq(client->rule, like.rule);
	cr_expect_eq(client->local_policy, like.local_policy);
	cr_expect_eq(client->remote_policy, like.remote_policy);
	cr_expect_eq(client->registered, like.registered);
	cr_expect_eq(client->expires, like.expires);
	cr_expect_eq(client->record, like.record);
	cr_expect_eq(client->bind_ids, like.bind_ids);
	cr_expect_null(client->binds);
	like.client_id = 78;
	cr_expect_null(lease_register_again(bed.leases, &like), "its address is another's");
	like.client_id = 77;
	like.origin.source = htonl(0x0a000003);
	cr_expect_null(lease_register_again(bed.leases, &like), "its ID is another's");
	like.client_id = 78;
	cr_assert_not_null(lease_register_again(bed.leases, &like));
	like.client_id = 79;
	like.origin.source = htonl(0x0a000004);
	cr_expect_null(lease_register_again(bed.leases, &like), "there are two");

	cr_assert_not_null(lease_grant_again(bed.leases, client, &bind, take(&bed, 0)));
	cr_expect_eq(client->binds->granted, 6);
	cr_expect_eq(client->binds->record, 8);
	one_more = take(&bed, 0);
	cr_expect_null(lease_grant_again(bed.leases, client, &bind, one_more), "it has that one");
	bind.bind_id = 5;
	cr_assert_not_null(lease_grant_again(bed.leases, client, &bind, one_more));
	bind.bind_id = 6;
	one_more = take(&bed, 0);
	cr_expect_null(lease_grant_again(bed.leases, client, &bind, one_more), "there are two");
	pool_cancel(bed.pools, one_more);
	finish(&bed);
}

/* Before the last ID and after it: never 0, never one in use. */
Test(lease, bind_ids_wrap)
{
	struct bed bed = make(10, 10);
	struct client *client = enter(&bed, 2, 600, 0);

	grant(&bed, client, 600, 0);
	client->bind_ids = UINT32_MAX - 1;
	cr_expect_eq(grant(&bed, client, 600, 0)->bind_id, UINT32_MAX);
	cr_expect_eq(grant(&bed, client, 600, 0)->bind_id, 2);
	finish(&bed);
}

/* covers: E-07 */
Test(lease, cancel_leaves_no_trace)
{
	struct bed bed = make(10, 10);
	struct client *client = enter(&bed, 2, 600, 0);
	struct ended ended;
	uint64_t before = client->expires;
	struct bind *bind = grant(&bed, client, 1800, 5 * SECOND);
	struct msg_ports ports = { .form = MSG_RUN, .count = 2, .first = bind->grant->port_first };
	struct pool_request same = { .local = { .type = RSIP_ADDR_IPV4, .v4 = bind->grant->addr }, .ports = &ports,
				     .ports_max = UINT32_MAX };
	struct pool_grant *again;

	cr_expect_eq(client->expires, 1805 * SECOND);
	lease_cancel(bed.leases, bind, before);
	cr_expect_eq(client->bind_count, 0);
	cr_expect_eq(client->port_count, 0);
	cr_expect_eq(lease_bind_count(bed.leases), 0);
	cr_assert_eq(pool_take(bed.pools, &same, 0, 5 * SECOND, &again), 0, "nothing rests");
	pool_cancel(bed.pools, again);
	cr_expect_eq(grant(&bed, client, 1, 5 * SECOND)->bind_id, 1);
	expire(&bed, 600 * SECOND, &ended);
	cr_expect_eq(ended.count, 2, "the registration ends when it would have");
	finish(&bed);
}

/* --- lease arithmetic --------------------------------------------------------------------- */

/* covers: LSE-02 LSE-03 LSE-05 EXT-02 EXT-08 LSE-01 */
Test(lease, the_registration_lives_as_long_as_promised)
{
	struct bed bed = make(10, 10);
	struct client *client = enter(&bed, 2, 600, 10 * SECOND);
	struct bind *bind;

	cr_expect_eq(client->expires, 610 * SECOND);
	bind = grant(&bed, client, 300, 10 * SECOND);
	cr_expect_eq(bind->expires, 310 * SECOND);
	cr_expect_eq(client->expires, 610 * SECOND, "a shorter bind does not matter");
	lease_extend(bed.leases, bind, 600, 100 * SECOND);
	cr_expect_eq(bind->expires, 700 * SECOND);
	cr_expect_eq(client->expires, 700 * SECOND, "R = max(R, Bi)");
	lease_extend(bed.leases, bind, 1, 200 * SECOND);
	cr_expect_eq(bind->expires, 700 * SECOND, "never nearer");
	lease_release(bed.leases, bind, 250 * SECOND);
	cr_expect_eq(client->expires, 700 * SECOND, "R stays");
	finish(&bed);
}

/* covers: LSE-08 */
Test(lease, seconds_left)
{
	cr_expect_eq(lease_seconds_left(600 * SECOND, 0), 600);
	cr_expect_eq(lease_seconds_left(600 * SECOND, 1), 599);
	cr_expect_eq(lease_seconds_left(2000, 0), 2);
	cr_expect_eq(lease_seconds_left(1999, 0), 1);
	cr_expect_eq(lease_seconds_left(1, 0), 1);
	cr_expect_eq(lease_seconds_left(5, 5), 1);
	cr_expect_eq(lease_seconds_left(5, 6), 1);
	cr_expect_eq(lease_seconds_left(UINT32_MAX * SECOND, 0), UINT32_MAX);
}

/* covers: LSE-06 LSE-07 LSE-04 */
Test(lease, what_is_over_ends_soonest_first)
{
	struct bed bed = make(10, 10);
	struct client *a = enter(&bed, 2, 10, 0), *b = enter(&bed, 3, 5, 0);
	struct ended ended;
	uint64_t next;

	grant(&bed, a, 7, 0);
	grant(&bed, a, 3, 0);
	grant(&bed, b, 12, 0);
	int64_t order[] = { 2, 1, 1, -(int64_t)a->client_id, -(int64_t)b->client_id };
	uint64_t times[] = { 3, 7, 12, 10, 12 };

	next = expire(&bed, 3 * SECOND - 1, &ended);
	cr_expect_eq(ended.count, 0);
	cr_expect(next >= 3 * SECOND - 64 && next <= 3 * SECOND, "next is %lu", next);
	next = expire(&bed, 3 * SECOND, &ended);
	cr_expect_eq(ended.count, 1);
	cr_expect(next > 3 * SECOND && next <= 7 * SECOND, "next is %lu", next);
	cr_expect_eq(lease_bind_count(bed.leases), 2);

	next = expire(&bed, 100 * SECOND, &ended);
	cr_expect_eq(ended.count, 4);
	for (unsigned int i = 0; i < 4; i++) {
		cr_expect_eq(ended.ids[i], order[i + 1], "number %u", i);
		cr_expect_eq(ended.at[i], times[i + 1] * SECOND, "number %u", i);
	}
	cr_expect_eq(next, 0);
	cr_expect_eq(lease_client_count(bed.leases), 0);
	finish(&bed);
}

/* Whatever waits, a host that speaks holds nothing that is over, and all that is not. covers: LSE-06 EXT-02 */
Test(lease, what_is_over_of_one_host)
{
	struct bed bed = make(10, 10);
	struct client *client = enter(&bed, 2, 5, 0);
	struct ended ended = { .bed = &bed };
	const struct lease_events events = { bind_expired, client_expired, &ended };
	int64_t client_id = client->client_id;

	grant(&bed, client, 10, 0);
	lease_extend(bed.leases, grant(&bed, client, 10, 0), 15, 5 * SECOND);
	lease_expire_client(client, 10 * SECOND - 1, &events);
	cr_expect_eq(ended.count, 0);
	lease_expire_client(client, 10 * SECOND, &events);
	cr_expect_eq(ended.count, 1);
	cr_expect_eq(ended.ids[0], 1);
	expire(&bed, 20 * SECOND - 1, &ended);
	cr_expect_eq(ended.count, 0, "the one that was extended");
	lease_expire_client(client, 20 * SECOND, &events);
	cr_assert_eq(ended.count, 2);
	cr_expect_eq(ended.ids[0], 2);
	cr_expect_eq(ended.ids[1], -client_id);
	finish(&bed);
}

/* Called when it says so, each end is met to the millisecond. covers: LSE-06 */
Test(lease, following_next_misses_nothing)
{
	struct bed bed = make(10, 10);
	struct client *client = enter(&bed, 2, 86400, 123456789);
	uint64_t now = 123456789, next;
	unsigned int calls = 0, binds = 0;
	struct ended ended;

	for (unsigned int i = 0; i < 5; i++)
		grant(&bed, client, 1 + i * i * 977, now + i * 333);
	while ((next = expire(&bed, now, &ended))) {
		for (unsigned int i = 0; i < ended.count; i++) {
			cr_expect_eq(ended.at[i], now, "%lu ended at %lu", ended.at[i], now);
			binds++;
		}
		cr_assert_gt(next, now);
		now = next;
		cr_assert_lt(++calls, 100);
	}
	cr_expect_eq(binds, 5);
	cr_expect_eq(ended.count, 1, "the registration is the last");
	cr_expect_eq(now, 123456789 + 86400 * SECOND);
	finish(&bed);
}

static bool count_visit(struct bind *bind, void *arg)
{
	++*(unsigned int *)arg;
	return true;
}

struct walk {
	struct bed *bed;
	unsigned int visited, stop_after;
};

static bool end_bind(struct bind *bind, void *arg)
{
	struct walk *walk = arg;

	lease_release(walk->bed->leases, bind, 0);
	return ++walk->visited != walk->stop_after;
}

static bool end_client(struct client *client, void *arg)
{
	struct walk *walk = arg;

	lease_deregister(walk->bed->leases, client, 0);
	return ++walk->visited != walk->stop_after;
}

/* covers: REG-09 */
Test(lease, walks_may_end_what_they_visit)
{
	struct bed bed = make(10, 20);
	struct client *client = enter(&bed, 2, 600, 0);
	struct walk walk = { .bed = &bed, .stop_after = 2 };
	unsigned int seen = 0;

	for (unsigned int i = 0; i < 5; i++)
		grant(&bed, client, 600, 0);
	lease_each_bind(bed.leases, client, end_bind, &walk);
	cr_expect_eq(walk.visited, 2);
	lease_each_bind(bed.leases, client, count_visit, &seen);
	cr_expect_eq(seen, 3);

	for (unsigned int i = 3; i < 8; i++)
		grant(&bed, enter(&bed, i, 600, 0), 600, 0);
	walk = (struct walk){ .bed = &bed, .stop_after = 99 };
	lease_each_client(bed.leases, end_client, &walk);
	cr_expect_eq(walk.visited, 6);
	cr_expect_eq(lease_client_count(bed.leases), 0);
	cr_expect_eq(lease_bind_count(bed.leases), 0);
	finish(&bed);
}

/* --- the wheel, against a list ----------------------------------------------------------------- */

#define TIMERS 300

/* covers: LSE-06 */
Test(wheel, agrees_with_a_list)
{
	struct wheel *wheel = calloc(1, sizeof(*wheel));
	struct wheel_node *timers = calloc(TIMERS, sizeof(*timers));
	bool set[TIMERS] = { false };
	uint64_t now = 0;

	srandom(4);
	for (unsigned int step = 0; step < 40000; step++) {
		unsigned int i = random() % TIMERS;
		uint64_t soonest = UINT64_MAX, last = 0, next;
		struct wheel_node *node;

		if (random() % 3) {
			/* from the past to far away, all levels alike */
			uint64_t away = (uint64_t)random() >> random() % 31;

			wheel_set(wheel, &timers[i], random() % 50 ? now + away : now / 2);
			set[i] = true;
		} else {
			wheel_remove(wheel, &timers[i]);
			set[i] = false;
		}
		for (unsigned int k = 0; k < TIMERS; k++)
			soonest = set[k] && timers[k].expires < soonest ? timers[k].expires : soonest;
		next = wheel_next(wheel);
		cr_assert_eq(next == 0, soonest == UINT64_MAX);
		cr_assert(next <= soonest || next <= now, "step %u: next %lu, soonest %lu, now %lu", step, next, soonest, now);

		now += random() >> (8 + random() % 23);
		for (unsigned int moves = random() % 8;; moves = random() % 8) {
			node = wheel_pop(wheel, now, &moves);
			if (!node && moves)
				break;
			if (!node)		/* allowed no more */
				continue;
			cr_assert_leq(node->expires, now);
			cr_assert_geq(node->expires, last, "step %u", step);
			last = node->expires;
			cr_assert(set[node - timers]);
			set[node - timers] = false;
		}
		for (unsigned int k = 0; k < TIMERS; k++)
			cr_assert(!set[k] || timers[k].expires > now, "step %u: %u was left behind", step, k);
	}
	free(timers);
	free(wheel);
}

/* Far beyond the last level: it stands there, and moves nothing else. */
Test(wheel, beyond_the_last_level)
{
	struct wheel *wheel = calloc(1, sizeof(*wheel));
	struct wheel_node far = { 0 }, near = { 0 };
	unsigned int moves = 100;

	wheel_set(wheel, &far, UINT64_MAX);
	wheel_set(wheel, &near, 1000);
	cr_expect_null(wheel_pop(wheel, 999, &moves));
	cr_expect_eq(wheel_pop(wheel, 1ULL << 45, &moves), &near);
	cr_expect_null(wheel_pop(wheel, 1ULL << 45, &moves));
	cr_expect_neq(wheel_next(wheel), 0);
	free(wheel);
}

/* A call moves no more timers than it may: a slot of a million would stop everything else. */
Test(wheel, a_call_is_bounded)
{
	struct wheel *wheel = calloc(1, sizeof(*wheel));
	struct wheel_node *timers = calloc(TIMERS, sizeof(*timers));
	unsigned int ended = 0, calls = 0;

	for (unsigned int i = 0; i < TIMERS; i++)
		wheel_set(wheel, &timers[i], 5000000);
	while (ended < TIMERS) {
		unsigned int moves = 10, before = ended;

		cr_assert_leq(wheel_next(wheel), 5000000);
		while (wheel_pop(wheel, 5000000, &moves))
			ended++;
		cr_assert_leq(ended - before, 10);
		cr_assert_lt(calls++, TIMERS);
	}
	cr_expect_eq(wheel_next(wheel), 0);
	free(timers);
	free(wheel);
}

/* --- cost ------------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Seconds for 1000 times grant, extend, find, release and one round of expiry, the best of 9. */
static double cost_of_operations(struct bed *bed, struct client *client, uint64_t now)
{
	double best = 1e9, begin;
	struct ended ended;

	for (unsigned int round = 0; round < 9; round++) {
		begin = cpu_seconds();
		for (unsigned int i = 0; i < 1000; i++) {
			struct bind *bind = grant(bed, client, 600, now);

			lease_extend(bed->leases, bind, 700, now);
			cr_assert_eq(lease_bind_by_id(bed->leases, client, bind->bind_id), bind);
			lease_release(bed->leases, bind, now);
			expire(bed, now, &ended);
		}
		if (cpu_seconds() - begin < best)
			best = cpu_seconds() - begin;
	}
	return best;
}

/*
 * 100,000 binds instead of 1,000: the same work, but for the caches. A walk
 * over them would make it 100 times as much.
 */
Test(lease, cost_does_not_grow_with_the_number_of_binds)
{
	struct bed bed = make(1000, 200000);
	struct client *client = enter(&bed, 2, 6000, 0);
	double small, large;

	for (unsigned int i = 0; i < 1000; i++)
		grant(&bed, client, 1000 + i % 977, 0);
	small = cost_of_operations(&bed, client, 1000);
	for (unsigned int i = 0; i < 99000; i++)
		grant(&bed, client, 1000 + i % 977, 0);
	large = cost_of_operations(&bed, client, 2000);
	cr_expect_lt(large, 8 * small, "%.0f us became %.0f us", small * 1e6, large * 1e6);
	finish(&bed);
}

/* --- walks in parts -------------------------------------------------------------------------- */

/* What is to come next may end, or all of it; what came before, and newer hosts, are not seen. */
Test(lease, a_walk_while_others_come_and_go)
{
	struct bed bed = make(10, 100);
	struct client *clients[3];
	struct lease_walk by_client, by_bind;
	struct bind *binds[3][2];

	for (uint32_t i = 0; i < 3; i++) {
		clients[i] = enter(&bed, 11 + i, 100, 0);
		for (int k = 0; k < 2; k++)
			binds[i][k] = grant(&bed, clients[i], 50, 0);
	}
	/* Newest first: host 2, 1, 0. */
	lease_walk_begin(bed.leases, &by_client);
	lease_walk_begin(bed.leases, &by_bind);
	cr_expect_eq(lease_walk_client(&by_client), clients[2]);
	cr_expect_eq(lease_walk_bind(&by_bind), binds[2][1]);
	cr_assert_not_null(enter(&bed, 99, 100, 0));
	lease_release(bed.leases, binds[2][0], 1);	/* the next one */
	lease_deregister(bed.leases, clients[1], 1);	/* the next one of both */
	cr_expect_eq(lease_walk_client(&by_client), clients[0]);
	cr_expect_null(lease_walk_client(&by_client));
	cr_expect_eq(lease_walk_bind(&by_bind), binds[0][1]);
	lease_deregister(bed.leases, clients[0], 1);
	cr_expect_null(lease_walk_bind(&by_bind));
	cr_expect_null(lease_walk_bind(&by_bind), "and again");
	lease_walk_end(bed.leases, &by_client);
	lease_walk_end(bed.leases, &by_bind);
	finish(&bed);
}
