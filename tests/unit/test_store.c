// SPDX-License-Identifier: GPL-2.0-only
/* The store on a real file system: what is committed stays, and what is wrong with the folder is told. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "rsipd/store.h"

static char folder[64], state[80];

static void set_up(void)
{
	snprintf(folder, sizeof(folder), "%s/rsip-store.XXXXXX", getenv("TMPDIR") ?: "/tmp");
	cr_assert_not_null(mkdtemp(folder));
	snprintf(state, sizeof(state), "%s/state", folder);
	log_set_level(0);
}

static void tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(store, .init = set_up, .fini = tear_down);

struct seen {
	unsigned int count;
	uint64_t last;
	char text[64];
};

static int see(uint64_t number, const uint8_t *data, size_t len, void *arg)
{
	struct seen *seen = arg;

	cr_assert(!seen->count || number > seen->last, "lowest number first");
	seen->count++;
	seen->last = number;
	snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), "%.*s", (int)len, data);
	return 0;
}

static struct store *open_store(void)
{
	struct store *store = NULL;

	cr_assert_eq(store_open(state, &store), 0);
	return store;
}

static void put(struct store *store, uint64_t number, const char *text)
{
	struct store_batch *batch = store_batch_new();

	store_batch_put(batch, number, (const uint8_t *)text, strlen(text));
	cr_assert_eq(store_commit(store, batch, true), 0);
	store_batch_free(batch);
}

/* What a fresh look at the folder finds, as the texts one after the other. */
static struct seen reopen(void)
{
	struct store *store = open_store();
	struct seen seen = { 0 };

	cr_assert_eq(store_load(store, see, &seen), 0);
	store_close(store);
	return seen;
}

Test(store, keeps_what_was_committed)
{
	struct store *store = open_store();
	struct store_batch *batch = store_batch_new();
	struct stat status;

	cr_assert_eq(stat(state, &status), 0);
	cr_assert_eq(status.st_mode & 0777, 0700);
	put(store, 300, "c");
	put(store, 2, "b");
	put(store, 1, "a");
	store_batch_put(batch, 2, (const uint8_t *)"B", 1);
	store_batch_delete(batch, 300);
	store_batch_delete(batch, 301);
	cr_assert_eq(store_batch_count(batch), 3);
	cr_assert_eq(store_commit(store, batch, false), 0);
	store_batch_clear(batch);
	cr_assert_eq(store_batch_count(batch), 0);
	store_batch_free(batch);
	store_close(store);
	cr_assert_str_eq(reopen().text, "aB");
}

/* A process that dies after a commit, without closing anything. */
Test(store, survives_a_crash)
{
	pid_t child = fork();
	int status;

	if (!child) {
		put(open_store(), 7, "alive");
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_str_eq(reopen().text, "alive");
}

Test(store, one_at_a_time)
{
	struct store *store = open_store(), *other;

	cr_assert_eq(store_open(state, &other), -EBUSY);
	store_close(store);
}

static void overwrite(const char *path, long at, const char *text)
{
	FILE *file = fopen(path, "r+");

	cr_assert_not_null(file);
	cr_assert_eq(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	fputs(text, file);
	fclose(file);
}

static const char *file_named(const char *pattern)
{
	static char path[256];
	char all[128];
	glob_t found;

	snprintf(all, sizeof(all), "%s/leases/%s", state, pattern);
	cr_assert_eq(glob(all, 0, NULL, &found), 0, "%s", all);
	snprintf(path, sizeof(path), "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	return path;
}

static void digest(char out[static 128])
{
	char command[256];
	FILE *pipe;

	snprintf(command, sizeof(command), "cd '%s' && cat version leases/*.log leases/MANIFEST* leases/CURRENT | sha256sum",
		 state);
	pipe = popen(command, "r");
	cr_assert_not_null(fgets(out, 128, pipe));
	pclose(pipe);
}

/* Opening fails with `err`, and what was there stays as it was. */
static void refuses(int err)
{
	char before[128], after[128];
	struct store *store;

	digest(before);
	cr_assert_eq(store_open(state, &store), err);
	digest(after);
	cr_assert_str_eq(after, before);
}

Test(store, a_newer_version_is_left_alone)
{
	struct store *store = open_store();
	char version[128];

	put(store, 1, "a");
	store_close(store);
	snprintf(version, sizeof(version), "%s/version", state);
	overwrite(version, strlen("rsip leases, version "), "9");
	refuses(-EPROTO);
	overwrite(version, 0, "cats");
	refuses(-EILSEQ);
	cr_assert_eq(unlink(version), 0);
	cr_assert_eq(mkdir(version, 0700), 0);
	cr_assert_neq(store_open(state, &(struct store *){ 0 }), 0);
	cr_assert_eq(rmdir(version), 0);
	cr_assert_eq(store_open(state, &(struct store *){ 0 }), -EILSEQ);
}

/* In the log of what was committed last, in the list of files, in the name of that list. */
Test(store, damage_is_told_and_left_alone)
{
	struct store *store = open_store();

	for (uint64_t i = 1; i < 100; i++)
		put(store, i, "some text");
	if (!fork())
		_exit(0);
	wait(NULL);
	store_close(store);
	overwrite(file_named("*.log"), 60, "damage");
	refuses(-EILSEQ);
}

Test(store, a_damaged_list_of_files_is_told)
{
	struct store *store = open_store();

	put(store, 1, "a");
	store_close(store);
	overwrite(file_named("MANIFEST*"), 10, "damage");
	refuses(-EILSEQ);
}

Test(store, a_damaged_name_is_told)
{
	struct store *store = open_store();

	put(store, 1, "a");
	store_close(store);
	overwrite(file_named("CURRENT"), 0, "MANIFEST-999999");
	refuses(-EILSEQ);
}

/* The end of a write that a crash cut short is no damage; what was acknowledged before it is there. */
Test(store, a_torn_last_write_is_no_damage)
{
	struct store *store = open_store();
	struct stat status;
	const char *log;

	put(store, 1, "a");
	put(store, 2, "b");
	store_close(store);
	log = file_named("*.log");
	cr_assert_eq(stat(log, &status), 0);
	cr_assert_eq(truncate(log, status.st_size - 3), 0);
	cr_assert_str_eq(reopen().text, "a");
}

/* A full disk: a file system that goes with this process, where root may make one. */
static bool mount_small_disk(void)
{
	cr_assert_eq(mkdir(state, 0700), 0);
	return !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("none", state, "tmpfs", 0, "size=16m");
}

/* Nine of its sixteen megabytes; RocksDB takes some beforehand. */
static void fill_disk(const char *path)
{
	static uint8_t much[9 << 20];
	FILE *file = fopen(path, "w");

	cr_assert_eq(fwrite(much, sizeof(much), 1, file), 1);
	cr_assert_eq(fclose(file), 0);
}

/* Nothing is written after a failed write, until there is room and the store was opened again. */
Test(store, a_full_disk_and_room_again)
{
	struct store_batch *batch = store_batch_new();
	static uint8_t much[1 << 19];
	char filler[128];
	struct store *store;
	struct seen seen = { 0 };
	int err = 0;

	if (!mount_small_disk()) {
		store_batch_free(batch);
		cr_skip_test("no right to mount");
	}
	snprintf(filler, sizeof(filler), "%s/probe", state);
	fill_disk(filler);		/* one that was killed left it */
	store = open_store();
	cr_assert_neq(access(filler, F_OK), 0);
	snprintf(filler, sizeof(filler), "%s/filler", state);
	put(store, 1, "a");
	fill_disk(filler);
	for (uint64_t i = 2; i < 20 && !err; i++) {
		store_batch_clear(batch);
		store_batch_put(batch, 99, much, sizeof(much));
		store_batch_put(batch, i, (const uint8_t *)"b", 1);
		err = store_commit(store, batch, true);
	}
	cr_assert_eq(err, -ENOSPC, "%d", err);
	cr_assert_neq(store_commit(store, batch, true), 0);
	cr_assert_eq(store_reopen(store), -ENOSPC);
	cr_assert_neq(store_commit(store, batch, true), 0);
	cr_assert_eq(unlink(filler), 0);
	cr_assert_eq(store_reopen(store), 0);
	store_batch_delete(batch, 99);
	store_batch_put(batch, 100, (const uint8_t *)"c", 1);
	cr_assert_eq(store_commit(store, batch, true), 0);
	store_batch_free(batch);
	store_close(store);
	seen = reopen();
	cr_assert_eq(umount(state), 0);
	cr_assert_eq(strspn(seen.text + 1, "b") + 2, seen.count, "%s", seen.text);
	cr_assert_eq(seen.text[0], 'a');
	cr_assert_eq(seen.text[seen.count - 1], 'c');
}
