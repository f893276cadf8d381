// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records into the gathering batch, with numbers that count up, so that a host
 * stands before its leases; number 0 is the clock. See journal.h.
 */
#include "rsipd/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"
#include "rsipd/commit.h"

#define CLOCK_RECORD	0
#define CLOCK_STEP_MS	1000	/* the time of day was set: by more than this */
#define FORGET_MAX	1024	/* records in one go */
#define BOOT_ID		"/proc/sys/kernel/random/boot_id"

struct due {				/* a record that is removed later */
	uint64_t number, when;
};

struct journal {
	struct store *store;
	struct commit *commit;
	uint64_t last;			/* the last number given */
	uint64_t ahead;			/* of the daemon's clock, ms; may wrap */
	uint64_t wall_ahead;		/* the time of day, of the daemon's clock, as it was written */
	uint8_t boot[RECORD_BOOT_LEN];
	struct due *later;		/* a ring, soonest first */
	size_t later_first, later_count, later_room;
	uint8_t bytes[RECORD_MAX];
	struct record record;		/* the one that is loaded */
};

/* --- clocks --------------------------------------------------------------------------- */

static uint64_t wall_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A UUID as text; without it every start counts as one after a reboot. */
static void read_boot(uint8_t out[static RECORD_BOOT_LEN])
{
	char text[64] = "";
	FILE *file = fopen(BOOT_ID, "re");
	unsigned int i = 0;

	memset(out, 0, RECORD_BOOT_LEN);
	if (!file)
		return;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	for (const char *at = text; *at && i < RECORD_BOOT_LEN; at++) {
		unsigned int byte;

		if (*at != '-' && sscanf(at, "%2x", &byte) == 1) {
			out[i++] = (uint8_t)byte;
			at++;
		}
	}
}

/* 0 stands for "none" and "long ago": what is before the daemon's clock began is that. */
static uint64_t from_journal(const struct journal *j, uint64_t time)
{
	return (int64_t)(time - j->ahead) > 0 ? time - j->ahead : 0;
}

static uint64_t to_journal(const struct journal *j, uint64_t time)
{
	return time + j->ahead;
}

static void write_clock(struct journal *j, uint64_t now)
{
	struct store_batch *batch = commit_batch(j->commit);
	struct record_clock clock = { .journal = to_journal(j, now), .monotonic = now, .wall = wall_now() };

	memcpy(clock.boot, j->boot, sizeof(clock.boot));
	store_batch_put(batch, CLOCK_RECORD, j->bytes, record_clock_encode(CLOCK_RECORD, &clock, j->bytes));
	j->wall_ahead = clock.wall - now;
}

static void set_clock(struct journal *j, const struct record_clock *then, uint64_t now)
{
	uint64_t wall = wall_now(), passed;

	if (!memcmp(then->boot, j->boot, sizeof(j->boot)) && now >= then->monotonic)
		passed = now - then->monotonic;
	else
		passed = wall > then->wall ? wall - then->wall : 0;
	j->ahead = then->journal + passed - now;
}

/* --- records ---------------------------------------------------------------------------- */

bool journal_works(const struct journal *journal)
{
	return commit_works(journal->commit);
}

static void put(struct journal *j, struct store_batch *batch, uint64_t number, size_t len)
{
	if (len)
		store_batch_put(batch, number, j->bytes, len);
	else
		log_error("store: record %llu is too large: it is not written", (unsigned long long)number);
}

void journal_client(struct journal *j, uint64_t *number, const struct record_client *client)
{
	struct store_batch *batch = commit_batch(j->commit);
	struct record_client at = *client;

	if (!*number)
		*number = ++j->last;
	at.registered = to_journal(j, at.registered);
	at.expires = to_journal(j, at.expires);
	at.last.when = to_journal(j, at.last.when);
	put(j, batch, *number, record_client_encode(*number, &at, j->bytes));
}

void journal_bind(struct journal *j, uint64_t *number, const struct record_bind *bind)
{
	struct store_batch *batch = commit_batch(j->commit);
	struct record_bind at = *bind;

	if (!*number)
		*number = ++j->last;
	at.granted = to_journal(j, at.granted);
	at.expires = to_journal(j, at.expires);
	at.rests = at.rests ? to_journal(j, at.rests) : 0;
	put(j, batch, *number, record_bind_encode(*number, &at, j->bytes));
}

void journal_forget(struct journal *j, uint64_t number)
{
	if (number)
		store_batch_delete(commit_batch(j->commit), number);
}

/* Room for one more in the ring. */
static bool later_grow(struct journal *j)
{
	size_t room = j->later_room ? j->later_room * 2 : 1024;
	struct due *later;

	if (j->later_count < j->later_room)
		return true;
	later = malloc(room * sizeof(*later));
	if (!later)
		return false;
	for (size_t i = 0; i < j->later_count; i++)
		later[i] = j->later[(j->later_first + i) % j->later_room];
	free(j->later);
	j->later = later;
	j->later_first = 0;
	j->later_room = room;
	return true;
}

void journal_forget_later(struct journal *j, uint64_t number, uint64_t due)
{
	/* Without memory it stays: the next start finds that it is over. */
	if (number && later_grow(j))
		j->later[(j->later_first + j->later_count++) % j->later_room] = (struct due){ number, due };
}

uint64_t journal_tick(struct journal *j, uint64_t now)
{
	uint64_t moved = wall_now() - now - j->wall_ahead;

	if (moved + CLOCK_STEP_MS > 2 * CLOCK_STEP_MS)
		write_clock(j, now);
	for (unsigned int i = 0; i < FORGET_MAX && j->later_count && j->later[j->later_first].when <= now; i++) {
		journal_forget(j, j->later[j->later_first].number);
		j->later_first = (j->later_first + 1) % j->later_room;
		j->later_count--;
	}
	return j->later_count ? j->later[j->later_first].when : 0;
}

/* --- load --------------------------------------------------------------------------------- */

struct loading {
	struct journal *journal;
	uint64_t now;
	int (*visit)(uint64_t number, struct record *record, void *arg);
	void *arg;
	bool clock;			/* its record was seen */
};

/* Its times become the daemon's. */
static void convert(const struct journal *j, struct record *record)
{
	if (record->kind == RECORD_CLIENT) {
		record->client.registered = from_journal(j, record->client.registered);
		record->client.expires = from_journal(j, record->client.expires);
		record->client.last.when = from_journal(j, record->client.last.when);
	} else {
		record->bind.granted = from_journal(j, record->bind.granted);
		record->bind.expires = from_journal(j, record->bind.expires);
		/* 0 says that it does not rest. */
		if (record->bind.rests)
			record->bind.rests = from_journal(j, record->bind.rests) ?: 1;
	}
}

static int load_record(uint64_t number, const uint8_t *data, size_t len, void *arg)
{
	struct loading *loading = arg;
	struct journal *j = loading->journal;
	const char *why = record_decode(number, data, len, &j->record);

	if (!why && number > UINT64_MAX / 2)
		why = "its number cannot be";
	if (!why && loading->clock != (j->record.kind != RECORD_CLOCK))
		why = loading->clock ? "a second clock" : "the clock's record is missing before it";
	if (why) {
		log_error("store: record %llu is damaged: %s. Restore the folder from a backup, or move it away, then all "
			  "hosts register anew", (unsigned long long)number, why);
		return -EILSEQ;
	}
	j->last = number;
	if (j->record.kind == RECORD_CLOCK) {
		loading->clock = true;
		set_clock(j, &j->record.clock, loading->now);
		return 0;
	}
	convert(j, &j->record);
	return loading->visit(number, &j->record, loading->arg);
}

int journal_load(struct journal *j, uint64_t now, int (*visit)(uint64_t number, struct record *record, void *arg),
		 void *arg)
{
	struct loading loading = { .journal = j, .now = now, .visit = visit, .arg = arg };
	int err = store_load(j->store, load_record, &loading);

	if (!err)
		write_clock(j, now);
	return err;
}

/* --- life ------------------------------------------------------------------------------------ */

struct journal *journal_new(struct store *store, struct commit *commit)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->store = store;
	j->commit = commit;
	read_boot(j->boot);
	return j;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	free(j->later);
	free(j);
}
