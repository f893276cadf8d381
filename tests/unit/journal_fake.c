// SPDX-License-Identifier: GPL-2.0-only
/* See journal_fake.h. Times are written down as they are. */
#include "journal_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {				/* the record of a number; data NULL: none */
	uint8_t *data;
	size_t len;
	uint64_t due;			/* 0: it stays */
};

struct journal {
	struct entry *entries;		/* by number; 0 is not used */
	size_t count, room;
	uint64_t writes, last_due;
	bool broken;
	uint8_t bytes[RECORD_MAX];
};

struct journal *journal_fake_new(void)
{
	struct journal *j = calloc(1, sizeof(*j));

	j->count = 1;
	return j;
}

void journal_fake_free(struct journal *j)
{
	for (size_t i = 1; i < j->count; i++)
		free(j->entries[i].data);
	free(j->entries);
	free(j);
}

void journal_fake_break(struct journal *j)
{
	j->broken = true;
}

size_t journal_fake_records(const struct journal *j)
{
	size_t records = 0;

	for (size_t i = 1; i < j->count; i++)
		records += j->entries[i].data != NULL;
	return records;
}

uint64_t journal_fake_writes(const struct journal *j)
{
	return j->writes;
}

bool journal_fake_last(struct journal *j, enum record_kind kind, struct record *out)
{
	for (size_t i = j->count; i-- > 1;) {
		const struct entry *entry = &j->entries[i];

		if (entry->data && !record_decode(i, entry->data, entry->len, out) && out->kind == kind)
			return true;
	}
	return false;
}

bool journal_works(const struct journal *j)
{
	return !j->broken;
}

static uint64_t number_for(struct journal *j, uint64_t *number)
{
	if (*number)
		return *number;
	if (j->count >= j->room) {
		j->room = j->room ? 2 * j->room : 64;
		j->entries = realloc(j->entries, j->room * sizeof(*j->entries));
	}
	j->entries[j->count] = (struct entry){ 0 };
	*number = j->count++;
	return *number;
}

static void store(struct journal *j, uint64_t number, size_t len)
{
	struct entry *entry = &j->entries[number];

	assert(len);	/* it fits */
	free(entry->data);
	entry->data = malloc(len);
	memcpy(entry->data, j->bytes, len);
	entry->len = len;
	j->writes++;
}

void journal_client(struct journal *j, uint64_t *number, const struct record_client *client)
{
	number_for(j, number);
	store(j, *number, record_client_encode(*number, client, j->bytes));
}

void journal_bind(struct journal *j, uint64_t *number, const struct record_bind *bind)
{
	number_for(j, number);
	store(j, *number, record_bind_encode(*number, bind, j->bytes));
}

void journal_forget(struct journal *j, uint64_t number)
{
	if (!number)
		return;
	free(j->entries[number].data);
	j->entries[number].data = NULL;
}

void journal_forget_later(struct journal *j, uint64_t number, uint64_t due)
{
	assert(due >= j->last_due);
	j->last_due = due;
	if (number)
		j->entries[number].due = due;
}

uint64_t journal_tick(struct journal *j, uint64_t now)
{
	uint64_t next = 0;

	for (size_t i = 1; i < j->count; i++) {
		struct entry *entry = &j->entries[i];

		if (entry->data && entry->due && entry->due <= now)
			journal_forget(j, i);
		else if (entry->data && entry->due && (!next || entry->due < next))
			next = entry->due;
	}
	return next;
}

int journal_load(struct journal *j, uint64_t now, int (*visit)(uint64_t number, struct record *record, void *arg),
		 void *arg)
{
	struct record *record = calloc(1, sizeof(*record));
	int err = 0;

	j->last_due = 0;
	for (size_t i = 1; i < j->count && !err; i++) {
		if (!j->entries[i].data)
			continue;
		j->entries[i].due = 0;
		err = record_decode(i, j->entries[i].data, j->entries[i].len, record) ? -EILSEQ : visit(i, record, arg);
	}
	free(record);
	return err;
}
