// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal's clock over restarts, reboots and a time of day that somebody sets;
 * which records go when; a disk whose clock is missing. The real journal over a
 * stand-in for the store and for the time of day, here below.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "rsipd/commit.h"
#include "rsipd/journal.h"

#define RECORDS		8192
#define DAY		86400000ull
#define NOON		1700000000000ull	/* some time of day, ms */

/* --- a disk and a time of day ------------------------------------------------------------ */

static struct disk_record {
	size_t len;			/* 0: none */
	uint8_t data[256];
} disk[RECORDS];
static unsigned int writes, deletes;
static uint64_t wall;			/* ms since 1970 */

/* In the place of libc's. */
int clock_gettime(clockid_t id, struct timespec *out)
{
	if (id != CLOCK_REALTIME || !wall)
		return (int)syscall(SYS_clock_gettime, id, out);
	*out = (struct timespec){ .tv_sec = (time_t)(wall / 1000), .tv_nsec = (long)(wall % 1000) * 1000000 };
	return 0;
}

struct store_batch *commit_batch(struct commit *commit)
{
	return (struct store_batch *)commit;
}

bool commit_works(const struct commit *commit)
{
	return true;
}

void store_batch_put(struct store_batch *batch, uint64_t number, const uint8_t *data, size_t len)
{
	cr_assert_lt(number, RECORDS);
	cr_assert_leq(len, sizeof(disk[0].data));
	memcpy(disk[number].data, data, len);
	disk[number].len = len;
	writes++;
}

void store_batch_delete(struct store_batch *batch, uint64_t number)
{
	disk[number].len = 0;
	deletes++;
}

int store_load(struct store *store, int (*visit)(uint64_t number, const uint8_t *data, size_t len, void *arg), void *arg)
{
	int err = 0;

	for (uint64_t i = 0; i < RECORDS && !err; i++) {
		if (disk[i].len)
			err = visit(i, disk[i].data, disk[i].len, arg);
	}
	return err;
}

/* --- runs of the daemon -------------------------------------------------------------------- */

static struct journal *journal;
static struct record loaded[8];
static size_t loaded_count;

static int keep(uint64_t number, struct record *record, void *arg)
{
	cr_assert_lt(loaded_count, 8);
	memcpy(&loaded[loaded_count], record, sizeof(*record));
	loaded_count++;
	return 0;
}

/* The one before, if any, is simply gone. */
static int run(uint64_t now)
{
	static char anything;

	journal_free(journal);
	loaded_count = 0;
	journal = journal_new(NULL, (struct commit *)&anything);
	cr_assert_not_null(journal);
	return journal_load(journal, now, keep, NULL);
}

static void start(uint64_t now)
{
	cr_assert_eq(run(now), 0);
}

/* What follows is another boot: the record of the clock names one that is none of ours. */
static void reboot(void)
{
	static struct record record;

	cr_assert_null(record_decode(0, disk[0].data, disk[0].len, &record));
	memset(record.clock.boot, 0x55, sizeof(record.clock.boot));
	disk[0].len = record_clock_encode(0, &record.clock, disk[0].data);
}

static void begin(void)
{
	log_set_level(0);
	wall = NOON;
}

static void end(void)
{
	journal_free(journal);
}

TestSuite(journal, .init = begin, .fini = end);

static uint64_t put_bind(uint64_t granted, uint64_t expires, uint64_t rests)
{
	struct record_bind bind = {
		.client_id = 9, .bind_id = 1, .kind = LEASE_RSAP, .tunnel = RSIP_TUNNEL_IPIP, .gateway = htonl(0x0a000001),
		.granted = granted, .expires = expires, .rests = rests,
		.grant = { .addr = htonl(0xcb00710a), .port_form = MSG_RUN, .port_first = 4000, .port_count = 1 },
	};
	uint64_t number = 0;

	journal_bind(journal, &number, &bind);
	return number;
}

static void expect_bind(uint64_t granted, uint64_t expires, uint64_t rests)
{
	const struct record_bind *bind = &loaded[0].bind;

	cr_assert_eq(loaded_count, 1);
	cr_assert_eq(loaded[0].kind, RECORD_BIND);
	cr_expect_eq(bind->granted, granted, "granted %llu", (unsigned long long)bind->granted);
	cr_expect_eq(bind->expires, expires, "expires %llu", (unsigned long long)bind->expires);
	cr_expect_eq(bind->rests, rests, "rests %llu", (unsigned long long)bind->rests);
}

/* --- the clock ------------------------------------------------------------------------------- */

/* Within one boot the time of day is of no interest. */
static const struct {
	int64_t set;			/* while nobody runs, ms */
} steps[] = { { 0 }, { -3600000 }, { (int64_t)(400 * DAY) }, { -(int64_t)(400 * DAY) } };

/* covers: LSE-03 FAIL-11 */
Test(journal, restart_within_a_boot)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		memset(disk, 0, sizeof(disk));
		wall = NOON;
		start(1000);
		put_bind(1500, 600000, 0);
		wall = NOON + (uint64_t)steps[i].set + 70000;
		start(71000);
		expect_bind(1500, 600000, 0);
		start(90000);
		expect_bind(1500, 600000, 0);
	}
}

/* Over a reboot the time of day says what has passed; the daemon's clock begins anew at 500. */
static const struct {
	int64_t passed;			/* by the time of day, ms */
	uint64_t rested, granted, expires, rests;
} reboots[] = {
	/* The lease began before the new clock did: "long ago" is 0. */
	{ 100000, 0, 0, 500500, 0 },
	/* The time of day was set back while the machine was off: no lease gets longer than it was. */
	{ -5 * (int64_t)DAY, 0, 1500, 600500, 0 },
	/* Longer off than any lease lasts: it rests since long ago, which is not "does not rest". */
	{ 30 * (int64_t)DAY, 1005000, 0, 0, 1 },
};

/* covers: LSE-03 FAIL-11 */
Test(journal, reboot)
{
	for (size_t i = 0; i < sizeof(reboots) / sizeof(reboots[0]); i++) {
		memset(disk, 0, sizeof(disk));
		wall = NOON;
		start(1000000);
		put_bind(1001000, 1600000, reboots[i].rested);
		reboot();
		wall += (uint64_t)reboots[i].passed;
		start(500);
		expect_bind(reboots[i].granted, reboots[i].expires, reboots[i].rests);
	}
}

/* And once more, at the same pace. */
Test(journal, two_reboots)
{
	start(1000000);
	put_bind(1001000, 1600000, 0);
	for (uint64_t left = 500000; left; left -= 250000) {
		reboot();
		wall += left == 500000 ? 100000 : 250000;
		start(300);
		expect_bind(0, 300 + left, 0);
	}
}

/* What is written after a reboot is in the journal's time too: that of leases that live, and of hosts. */
Test(journal, written_after_a_reboot)
{
	struct record_client client = {
		.client_id = 9, .origin = { .source = htonl(0x0a000002) }, .local_policy = RSIP_POLICY_MACRO,
		.remote_policy = RSIP_POLICY_NONE, .registered = 2000, .expires = 600000, .last = { .when = 3000, .known = true },
	};
	uint64_t number = 0;

	start(1000000);
	reboot();
	wall += 50000;
	start(1000);
	journal_client(journal, &number, &client);
	put_bind(4000, 500000, 0);
	wall += 10000;
	start(11000);
	cr_assert_eq(loaded_count, 2);
	cr_expect_eq(loaded[0].client.registered, 2000);
	cr_expect_eq(loaded[0].client.expires, 600000);
	cr_expect_eq(loaded[0].client.last.when, 3000);
	cr_expect_eq(loaded[1].bind.granted, 4000);
	cr_expect_eq(loaded[1].bind.expires, 500000);
	cr_expect_eq(loaded[1].bind.rests, 0);
}

/* The time of day was set while the daemon ran: a reboot after that counts from the new one. */
/* covers: LSE-03 */
Test(journal, the_time_of_day_is_set)
{
	unsigned int before;

	start(1000000);
	put_bind(1001000, 1600000, 0);
	before = writes;
	wall += 50000 + 900;
	journal_tick(journal, 1050000);
	cr_expect_eq(writes, before, "less than a second is a matter of how it is read");
	wall -= 1800;
	journal_tick(journal, 1050000);
	cr_expect_eq(writes, before, "back as well");
	wall = NOON - 3 * DAY;
	journal_tick(journal, 1100000);
	cr_expect_eq(writes, before + 1);
	wall += 10000;
	journal_tick(journal, 1110000);
	cr_expect_eq(writes, before + 1, "once");
	reboot();
	wall += 90000;				/* 100 s since it was set */
	start(700);
	expect_bind(0, 400700, 0);
}

/* The same boot, but a monotonic clock that is behind: another machine's disk, or a container's. */
Test(journal, a_monotonic_clock_that_is_behind)
{
	start(1000000);
	put_bind(1001000, 1600000, 0);
	wall += 60000;
	start(2000);
	expect_bind(0, 542000, 0);
}

/* --- what goes ----------------------------------------------------------------------------------- */

/* In their order, some in each turn, none before its time. */
Test(journal, records_that_go_later)
{
	uint64_t numbers[6000];

	start(1000);
	for (size_t i = 0; i < 3000; i++) {
		numbers[i] = put_bind(1000, 2000, 0);
		journal_forget_later(journal, numbers[i], 5000 + i / 1500 * 1000);
	}
	cr_expect_eq(journal_tick(journal, 4999), 5000);
	cr_expect_eq(deletes, 0);
	wall = NOON + 4000;
	journal_tick(journal, 5000);
	cr_expect_eq(deletes, 1024);
	cr_expect_eq(journal_tick(journal, 5000), 6000);
	cr_expect_eq(deletes, 1500);
	cr_expect_eq(disk[numbers[1499]].len, 0);
	cr_expect_neq(disk[numbers[1500]].len, 0);
	for (size_t i = 3000; i < 6000; i++) {
		numbers[i] = put_bind(1000, 2000, 0);
		journal_forget_later(journal, numbers[i], 7000 + i);
	}
	while (journal_tick(journal, 10999) <= 10999) {}
	cr_expect_eq(deletes, 4000);
	for (size_t i = 0; i < 6000; i++)
		cr_expect_eq(disk[numbers[i]].len == 0, i < 4000, "%zu", i);
	while (journal_tick(journal, 14000)) {}
	cr_expect_eq(deletes, 6000);
	journal_forget(journal, 0);
	cr_expect_eq(deletes, 6000, "number 0 is no record");
}

/* A number is never given twice, whatever was on disk. */
Test(journal, numbers_go_on)
{
	uint64_t last;

	start(1000);
	put_bind(1000, 2000, 0);
	last = put_bind(1000, 2000, 0);
	start(1100);
	cr_expect_eq(put_bind(1000, 2000, 0), last + 1);
}

/* --- a disk that is not right ------------------------------------------------------------------------ */

Test(journal, damage)
{
	start(1000);
	put_bind(1000, 2000, 0);
	put_bind(1000, 2000, 0);
	disk[2].data[disk[2].len - 1] ^= 1;
	writes = 0;
	cr_expect_eq(run(1100), -EILSEQ);
	cr_expect_eq(writes, 0, "it is left as it is");
	disk[2].data[disk[2].len - 1] ^= 1;
	disk[0].len = 0;
	cr_expect_eq(run(1100), -EILSEQ, "without its clock no record says anything");
}
