// SPDX-License-Identifier: GPL-2.0-only
/*
 * Group commit: what waits for the disk, in which order it leaves, and what becomes
 * of it when the disk refuses. The store is a stand-in, here below, whose writes
 * wait until they are let go; the loop and the thread that writes are real.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "lib/log.h"
#include "rsipd/commit.h"

/* --- a disk ------------------------------------------------------------------------------ */

struct store {
	uv_sem_t go;			/* one for each write that may go on */
	int result;
	int reopening;			/* what store_reopen() says */
	unsigned int writes, records, durable, reopened;
};

struct store_batch {
	size_t count;
};

static struct store disk;

struct store_batch *store_batch_new(void)
{
	return calloc(1, sizeof(struct store_batch));
}

void store_batch_free(struct store_batch *batch)
{
	free(batch);
}

void store_batch_put(struct store_batch *batch, uint64_t number, const uint8_t *data, size_t len)
{
	batch->count++;
}

size_t store_batch_count(const struct store_batch *batch)
{
	return batch->count;
}

void store_batch_clear(struct store_batch *batch)
{
	batch->count = 0;
}

int store_commit(struct store *store, const struct store_batch *batch, bool durable)
{
	uv_sem_wait(&store->go);
	store->writes++;
	store->durable += durable;
	store->records += batch->count;
	return store->result;
}

int store_reopen(struct store *store)
{
	store->reopened++;
	if (!store->reopening)
		store->result = 0;
	return store->reopening;
}

/* --- a server ------------------------------------------------------------------------------ */

static uv_loop_t loop;
static struct commit *commit;
static char box[256];			/* what left: "1a 2b " is a to host 1, then b to host 2 */
static size_t left;			/* how many */
static unsigned int rooms;

static void on_send(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg)
{
	size_t at = strlen(box);

	left++;
	if (len < 8)
		snprintf(box + at, sizeof(box) - at, "%u%.*s%s ", ntohl(to->source) & 0xff, (int)len, data, close ? "." : "");
}

static void say(uint32_t host, const char *text)
{
	const struct origin to = udp_host(host);

	commit_send(&to, (const uint8_t *)text, strlen(text), false, commit);
}

/* As the sessions do: something else is sent in its place. */
static void on_refused(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg)
{
	uint8_t instead[8] = "!";

	memcpy(instead + 1, data, len);
	commit_send(to, instead, len + 1, close, commit);
}

static void on_room(void *arg)
{
	rooms++;
}

static const struct commit_hooks hooks = { on_send, on_refused, on_room, NULL };

static void set_up(void)
{
	log_set_level(0);
	cr_assert_eq(uv_sem_init(&disk.go, 0), 0);
	cr_assert_eq(uv_loop_init(&loop), 0);
	commit = commit_new(&loop, &disk, &hooks);
	cr_assert_not_null(commit);
}

static void let_go(unsigned int writes)
{
	while (writes--)
		uv_sem_post(&disk.go);
}

static void tear_down(void)
{
	let_go(2);
	commit_close(commit);
	uv_run(&loop, UV_RUN_DEFAULT);
	commit_free(commit);
	cr_expect_eq(uv_loop_close(&loop), 0);
}

TestSuite(commit, .init = set_up, .fini = tear_down, .timeout = 60);

static void record(void)
{
	store_batch_put(commit_batch(commit), 1, (const uint8_t *)"r", 1);
}

/* A message that tells of a record. */
static void promise(uint32_t host, const char *text)
{
	record();
	say(host, text);
}

/* What has gathered is on its way; the disk holds it. */
static void turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void run_until(size_t count)
{
	while (left < count)
		uv_run(&loop, UV_RUN_ONCE);
}

static void expect_box(const char *want)
{
	cr_expect_str_eq(box, want, "\"%s\", not \"%s\"", box, want);
}

/* --- in order ------------------------------------------------------------------------------------ */

Test(commit, nothing_to_wait_for)
{
	say(1, "a");
	say(2, "b");
	expect_box("1a 2b ");
	turn();
	cr_expect_eq(disk.writes, 0);
}

Test(commit, waits_for_its_record_and_holds_back_its_host_only)
{
	promise(1, "a");
	turn();
	say(1, "b");
	say(2, "c");
	turn();
	expect_box("2c ");
	let_go(1);
	run_until(3);
	expect_box("2c 1a 1b ");
	cr_expect_eq(disk.writes, 1, "the second group had no record");
	cr_expect_eq(disk.durable, 1);
	say(1, "d");
	expect_box("2c 1a 1b 1d ");
}

/* All that comes while one group is on its way is the next one: three promises, two writes. */
Test(commit, one_write_for_what_came_together)
{
	promise(1, "a");
	turn();
	promise(2, "b");
	promise(1, "c");
	promise(3, "d");
	turn();
	expect_box("");
	let_go(1);
	run_until(1);
	expect_box("1a ");
	let_go(1);
	run_until(4);
	expect_box("1a 2b 1c 3d ");
	cr_expect_eq(disk.writes, 2);
	cr_expect_eq(disk.records, 4);
}

/* Nobody was promised anything: the disk may take its time. */
Test(commit, record_without_a_message)
{
	record();
	let_go(1);
	commit_flush(commit);
	cr_expect_eq(disk.records, 1);
	cr_expect_eq(disk.durable, 0);
	say(1, "a");
	expect_box("1a ");
	promise(1, "b");
	turn();
	say(1, "c");
	record();
	let_go(2);
	commit_flush(commit);
	expect_box("1a 1b 1c ");
	cr_expect_eq(disk.durable, 1, "c tells of nothing");
}

Test(commit, flush_waits_for_both_groups)
{
	promise(1, "a");
	turn();
	promise(1, "b");
	let_go(2);
	commit_flush(commit);
	expect_box("1a 1b ");
	cr_expect_eq(disk.durable, 2);
}

/* --- the disk refuses ---------------------------------------------------------------------------- */

/* What tells of a record is refused, also in the group that had not left; the rest goes. */
Test(commit, failed_write)
{
	disk.result = -EIO;
	promise(1, "a");
	say(2, "b");
	promise(3, "c");
	turn();
	say(1, "d");
	promise(4, "e");
	cr_expect(commit_works(commit));
	let_go(1);
	run_until(5);
	expect_box("2b 3!c 1d 4!e 1!a ");
	cr_expect_not(commit_works(commit));
	cr_expect_eq(disk.writes, 1);
	say(1, "f");
	turn();
	expect_box("2b 3!c 1d 4!e 1!a 1f ");
	cr_expect_eq(disk.writes, 1, "nothing is tried at once");
}

static void run_until_it_works(void)
{
	while (!commit_works(commit))
		uv_run(&loop, UV_RUN_ONCE);
}

/* What the disk refused, and what gathers until it takes writes again, is written then, and before any promise. */
Test(commit, the_disk_comes_back)
{
	disk.result = -ENOSPC;
	disk.reopening = -ENOSPC;
	promise(1, "a");
	turn();
	promise(2, "b");
	let_go(1);
	run_until(2);
	expect_box("1!a 2!b ");
	record();
	say(3, "c");
	expect_box("1!a 2!b 3c ");
	while (!disk.reopened)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_not(commit_works(commit));
	disk.reopening = 0;
	disk.records = disk.durable = 0;
	let_go(2);
	run_until_it_works();
	cr_expect_eq(disk.records, 1, "what was refused comes first");
	cr_expect_eq(disk.durable, 1);
	commit_flush(commit);
	cr_expect_eq(disk.records, 3, "then b's and the one of meanwhile");
	cr_expect_eq(disk.durable, 2);
	cr_expect_eq(disk.reopened, 2);
	promise(1, "d");
	let_go(1);
	run_until(4);
	expect_box("1!a 2!b 3c 1d ");
}

/* --- whoever waits ------------------------------------------------------------------------------- */

static void note(bool written, void *arg)
{
	const char *who = arg;

	left++;
	snprintf(box + strlen(box), sizeof(box) - strlen(box), "%s%s ", who, written ? "" : "?");
}

Test(commit, waiting_for_what_was_put)
{
	static char x[] = "x", y[] = "y", z[] = "z";

	commit_wait(commit, note, x);
	expect_box("x ");
	promise(1, "a");
	commit_wait(commit, note, y);
	commit_wait(commit, note, z);
	commit_forget(commit, z);
	turn();
	expect_box("x ");
	let_go(1);
	run_until(3);
	expect_box("x 1a y ");
	disk.result = -EIO;
	promise(2, "b");
	commit_wait(commit, note, x);
	let_go(1);
	run_until(5);
	expect_box("x 1a y 2!b x? ");
	commit_wait(commit, note, y);
	expect_box("x 1a y 2!b x? y? ");
}

/* --- bounds ---------------------------------------------------------------------------------------- */

/* So many messages, or so many bytes, and no more is to be taken in until they have left. */
static void fill(size_t most, const char *text)
{
	size_t count = 0;

	while (!commit_full(commit) && count < most + 1) {
		promise(count++ % 200 + 1, text);
		cr_expect_eq(left, 0);
	}
	cr_expect_eq(count, most, "%zu messages", count);
	turn();
	cr_expect_eq(rooms, 0, "the disk has not answered");
	let_go(1);
	run_until(count);
	turn();
	cr_expect_eq(rooms, 1);
	cr_expect_not(commit_full(commit));
}

Test(commit, many_messages)
{
	fill(4096, "a message");
}

Test(commit, long_messages)
{
	static char text[65536];

	memset(text, 'x', sizeof(text) - 1);
	fill(65, text);
}
