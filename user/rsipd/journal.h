/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the sessions have written down, so that it outlives the daemon. They put
 * records here and know nothing of the disk; a record is on disk before the
 * message that is sent after it leaves (commit.h). Stand-in for tests:
 * tests/unit/journal_fake.c.
 *
 * Times given and returned are the daemon's: milliseconds, monotonic. Written
 * down they are on a clock that goes on over restarts and reboots and does not
 * jump with the time of day: within one boot it follows the monotonic clock,
 * over a reboot it goes on by what the time of day says has passed, and never
 * back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "rsipd/record.h"

struct journal;
struct store;
struct commit;

/* NULL: no memory. `store` and `commit` must outlive it. */
struct journal *journal_new(struct store *store, struct commit *commit);
void journal_free(struct journal *journal);

/* false: a write has failed, so nothing that needs a record may be promised for now (104). */
bool journal_works(const struct journal *journal);

/* Writes what is known of a host or of a lease, anew when it is written already.
 * *number names the record; 0: not yet, and it is given. */
void journal_client(struct journal *journal, uint64_t *number, const struct record_client *client);
void journal_bind(struct journal *journal, uint64_t *number, const struct record_bind *bind);

/* Removes a record: at once, or when it is `due` (ms); later calls are never due sooner. */
void journal_forget(struct journal *journal, uint64_t number);
void journal_forget_later(struct journal *journal, uint64_t number, uint64_t due);

/* Removes some of what is due. Returns when to call again, 0: nothing waits. */
uint64_t journal_tick(struct journal *journal, uint64_t now);

/*
 * What is written, hosts before their leases. Called once, before anything is
 * put. `visit` may change the record; it stops the walk with -errno. 0 or
 * -errno, logged.
 */
int journal_load(struct journal *journal, uint64_t now, int (*visit)(uint64_t number, struct record *record, void *arg),
		 void *arg);
