/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A journal for tests: records as bytes in memory, so that sessions can be
 * thrown away and restored as by a restart. Fails when it is told to.
 */
#pragma once

#include "rsipd/journal.h"

struct journal *journal_fake_new(void);
void journal_fake_free(struct journal *journal);

/* As after a failed write: nothing may be promised. */
void journal_fake_break(struct journal *journal);

/* Records there are, and calls so far that wrote one. */
size_t journal_fake_records(const struct journal *journal);
uint64_t journal_fake_writes(const struct journal *journal);

/* The last record of that kind, by number; false: there is none. */
bool journal_fake_last(struct journal *journal, enum record_kind kind, struct record *out);
