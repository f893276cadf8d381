// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store in RocksDB: FOLDER/version says in one line who wrote it and how,
 * FOLDER/leases is RocksDB's own. The version is looked at before RocksDB may
 * touch anything.
 */
#include "rsipd/store.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <endian.h>
#include <rocksdb/c.h>

#include "lib/log.h"

#define VERSION		1		/* of the folder and of the records in it */
#define VERSION_LINE	"rsip leases, version %u\n"
#define WRITE_BUFFER	(32 << 20)	/* also bounds the log that a start has to read again */

/* RocksDB: a log that ends in the middle of a write is what a crash leaves; any other fault in it is damage. */
#define WAL_TOLERATE_TORN_TAIL	0

#define INFO_LOG_HEADER_ONLY	5

#define PROBE		"%s/probe"	/* in the folder: shows whether the disk takes writes */
#define PROBE_MORE	(64 << 10)	/* beside the logs: lists of files, the first records */

struct store {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_writeoptions_t *durable, *ordered;
	bool failed;
	char folder[PATH_MAX];
};

struct store_batch {
	rocksdb_writebatch_t *changes;
};

/* --- the folder -------------------------------------------------------------------- */

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0 || fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int make_folder(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *at = strchr(part + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* Written under another name first, so that it is never half there. */
static int write_version(const char *folder, const char *path)
{
	char line[64], new[PATH_MAX + 32];
	int len = snprintf(line, sizeof(line), VERSION_LINE, VERSION), err = 0, fd;

	snprintf(new, sizeof(new), "%s.new", path);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	errno = ENOSPC;		/* of a short write */
	if (write(fd, line, (size_t)len) != len || fsync(fd))
		err = -errno;
	close(fd);
	if (!err && rename(new, path))
		err = -errno;
	if (err)
		unlink(new);
	return err ? err : sync_folder(folder);
}

/* 0; -ENOENT: a new folder; -EPROTO and -EILSEQ: logged. */
static int check_version(const char *path)
{
	char line[64] = "", newline = 0;
	unsigned int version = 0;
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	if (sscanf(line, "rsip leases, version %9u%c", &version, &newline) != 2 || newline != '\n' || !version) {
		log_error("store: %s is damaged: it should be one line, \"rsip leases, version N\"", path);
		return -EILSEQ;
	}
	if (version > VERSION) {
		log_error("store: %s says version %u, this rsipd knows %u: it was written by a newer one. Install that again, "
			  "or give this one another \"state\" folder", path, version, VERSION);
		return -EPROTO;
	}
	return 0;
}

static int prepare_folder(const char *folder)
{
	char version[PATH_MAX + 16], leases[PATH_MAX + 16];
	struct stat status;
	int err = make_folder(folder);

	if (err) {
		log_error("store: cannot make the folder %s: %s", folder, strerror(-err));
		return err;
	}
	snprintf(version, sizeof(version), "%s/version", folder);
	snprintf(leases, sizeof(leases), "%s/leases", folder);
	err = check_version(version);
	if (err == -ENOENT && stat(leases, &status) == 0) {
		log_error("store: %s is missing, but there are leases beside it: restore the folder as a whole", version);
		return -EILSEQ;
	}
	if (err == -ENOENT)
		err = write_version(folder, version);
	if (err && err != -EILSEQ && err != -EPROTO)
		log_error("store: %s: %s", version, strerror(-err));
	return err;
}

/* --- errors ------------------------------------------------------------------------- */

/* RocksDB tells by text. What an operator can do about it depends on the kind. */
static const struct {
	const char *text;
	int err;
	const char *advice;
} kinds[] = {
	{ "No space left", -ENOSPC, "the disk is full: make room" },
	{ "Disk quota exceeded", -EDQUOT, "the disk quota is used up: make room" },
	{ "Read-only file system", -EROFS, "the file system is read-only: look at the disk (dmesg), mount it for writing" },
	{ "Permission denied", -EACCES, "rsipd may not write there: the folder and all in it must be root's" },
	{ "lock ", -EBUSY, "another process has it open: one \"state\" folder for each rsipd" },
	{ "Corruption", -EILSEQ,
	  "it is damaged: restore the folder from a backup, or move it away, then all hosts register anew" },
	{ "MANIFEST", -EILSEQ,
	  "it is damaged: restore the folder from a backup, or move it away, then all hosts register anew" },
	{ "", -EIO, "look at the disk (dmesg)" },
};

/* Logs and frees RocksDB's text. */
static int failed(const struct store *store, const char *what, char *text)
{
	size_t i = 0;

	while (!strstr(text, kinds[i].text))
		i++;
	log_error("store: %s in %s: %s; %s", what, store->folder, text, kinds[i].advice);
	rocksdb_free(text);
	return kinds[i].err;
}

/* --- open and close ------------------------------------------------------------------- */

static void set_options(struct store *store)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_paranoid_checks(options, 1);
	rocksdb_options_set_wal_recovery_mode(options, WAL_TOLERATE_TORN_TAIL);
	rocksdb_options_set_write_buffer_size(options, WRITE_BUFFER);
	/*
	 * Nothing is looked up here: what is written is read again at a start, from
	 * its log. So the memtable is a list, sorted once when it goes to a file by
	 * a thread of RocksDB's; to insert each record in order costs more than all else.
	 */
	rocksdb_options_set_memtable_vector_rep(options);
	rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
	rocksdb_options_set_max_total_wal_size(options, 2 * WRITE_BUFFER);
	rocksdb_options_set_compression(options, rocksdb_no_compression);
	rocksdb_options_set_max_background_jobs(options, 2);
	rocksdb_options_set_max_open_files(options, 256);
	/*
	 * What it logs of its own is of use to nobody else; and on a full disk its
	 * second line would fail an assertion of Debian's build and end the process.
	 */
	rocksdb_options_set_info_log_level(options, INFO_LOG_HEADER_ONLY);
	rocksdb_options_set_keep_log_file_num(options, 2);
	rocksdb_options_set_stats_dump_period_sec(options, 0);
	store->options = options;
	store->durable = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(store->durable, 1);
	store->ordered = rocksdb_writeoptions_create();
}

static int open_leases(struct store *store)
{
	char path[PATH_MAX + 16], *text = NULL;

	snprintf(path, sizeof(path), PROBE, store->folder);
	unlink(path);			/* of one that was killed while it tried */
	snprintf(path, sizeof(path), "%s/leases", store->folder);
	store->db = rocksdb_open(store->options, path, &text);
	if (text) {
		store->db = NULL;
		return failed(store, "cannot open the leases", text);
	}
	chmod(path, 0700);
	return 0;
}

int store_open(const char *folder, struct store **out)
{
	struct store *store;
	int err = prepare_folder(folder);

	if (err)
		return err;
	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	snprintf(store->folder, sizeof(store->folder), "%s", folder);
	set_options(store);
	err = open_leases(store);
	if (err) {
		store_close(store);
		return err;
	}
	*out = store;
	return 0;
}

/* As many bytes as opening may write: the logs become a file. */
static off_t opening_writes(const struct store *store)
{
	char pattern[PATH_MAX + 32];
	off_t sum = PROBE_MORE;
	struct stat status;
	glob_t logs = { 0 };

	snprintf(pattern, sizeof(pattern), "%s/leases/*.log", store->folder);
	glob(pattern, 0, NULL, &logs);
	for (size_t i = 0; i < logs.gl_pathc; i++)
		sum += stat(logs.gl_pathv[i], &status) ? 0 : status.st_size;
	globfree(&logs);
	return sum;
}

/* Does the disk take writes? RocksDB is not asked: what it begins on a full one, it leaves behind. */
static int probe(const struct store *store)
{
	char path[PATH_MAX + 16];
	int err, fd;

	snprintf(path, sizeof(path), PROBE, store->folder);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = -posix_fallocate(fd, 0, opening_writes(store));
	if (!err && (pwrite(fd, "probe", 5, 0) != 5 || fsync(fd)))
		err = errno ? -errno : -ENOSPC;
	close(fd);
	unlink(path);
	return err;
}

int store_reopen(struct store *store)
{
	int err = probe(store);

	if (err) {
		log_error("store: %s does not take writes yet: %s", store->folder, strerror(-err));
		return err;
	}
	if (store->db)
		rocksdb_close(store->db);
	err = open_leases(store);
	store->failed = err;
	return err;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->db)
		rocksdb_close(store->db);
	rocksdb_options_destroy(store->options);
	rocksdb_writeoptions_destroy(store->durable);
	rocksdb_writeoptions_destroy(store->ordered);
	free(store);
}

/* --- load ------------------------------------------------------------------------------ */

static int visit_record(const struct store *store, const rocksdb_iterator_t *at,
			int (*visit)(uint64_t number, const uint8_t *data, size_t len, void *arg), void *arg)
{
	size_t key_len, len;
	const char *key = rocksdb_iter_key(at, &key_len), *data = rocksdb_iter_value(at, &len);
	uint64_t number;

	if (key_len != sizeof(number)) {
		log_error("store: a record in %s has a key of %zu bytes, not %zu: it is damaged", store->folder, key_len,
			  sizeof(number));
		return -EILSEQ;
	}
	memcpy(&number, key, sizeof(number));
	return visit(be64toh(number), (const uint8_t *)data, len, arg);
}

int store_load(struct store *store, int (*visit)(uint64_t number, const uint8_t *data, size_t len, void *arg),
	       void *arg)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_iterator_t *at;
	char *text = NULL;
	int err = 0;

	rocksdb_readoptions_set_fill_cache(options, 0);
	rocksdb_readoptions_set_verify_checksums(options, 1);
	at = rocksdb_create_iterator(store->db, options);
	for (rocksdb_iter_seek_to_first(at); !err && rocksdb_iter_valid(at); rocksdb_iter_next(at))
		err = visit_record(store, at, visit, arg);
	rocksdb_iter_get_error(at, &text);
	if (text)
		err = failed(store, "cannot read the leases", text);
	rocksdb_iter_destroy(at);
	rocksdb_readoptions_destroy(options);
	return err;
}

/* --- batches ---------------------------------------------------------------------------- */

struct store_batch *store_batch_new(void)
{
	struct store_batch *batch = malloc(sizeof(*batch));

	if (batch)
		batch->changes = rocksdb_writebatch_create();
	return batch;
}

void store_batch_free(struct store_batch *batch)
{
	if (!batch)
		return;
	rocksdb_writebatch_destroy(batch->changes);
	free(batch);
}

void store_batch_put(struct store_batch *batch, uint64_t number, const uint8_t *data, size_t len)
{
	uint64_t key = htobe64(number);

	rocksdb_writebatch_put(batch->changes, (const char *)&key, sizeof(key), (const char *)data, len);
}

void store_batch_delete(struct store_batch *batch, uint64_t number)
{
	uint64_t key = htobe64(number);

	rocksdb_writebatch_delete(batch->changes, (const char *)&key, sizeof(key));
}

size_t store_batch_count(const struct store_batch *batch)
{
	return (size_t)rocksdb_writebatch_count(batch->changes);
}

void store_batch_clear(struct store_batch *batch)
{
	rocksdb_writebatch_clear(batch->changes);
}

int store_commit(struct store *store, const struct store_batch *batch, bool durable)
{
	char *text = NULL;

	if (store->failed)
		return -EIO;
	rocksdb_write(store->db, durable ? store->durable : store->ordered, batch->changes, &text);
	if (!text)
		return 0;
	store->failed = true;
	return failed(store, "cannot write", text);
}
