/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Group commit: records go to disk together, and the messages that tell of them
 * wait until they are there. One batch is on its way, on a thread of its own,
 * while the next one gathers; so a record costs a part of a disk write, and the
 * loop never waits for the disk.
 *
 * A message belongs to the records that were put since the message before it. A
 * message without records leaves at once, unless another one to the same host
 * waits: it does not overtake that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "rsipd/session.h"
#include "rsipd/store.h"

struct commit;

struct commit_hooks {
	session_send send;		/* its turn has come */
	/* The records it tells of are not on disk, and never will be: it must not leave. */
	session_send refused;
	void (*room)(void *arg);	/* there is room again after commit_full() */
	void *arg;
};

/* NULL, logged: no memory, no thread. `store` and `hooks` must outlive it. */
struct commit *commit_new(uv_loop_t *loop, struct store *store, const struct commit_hooks *hooks);

/* Where records are put; NULL once a write has failed. */
struct store_batch *commit_batch(struct commit *commit);

/* A session_send with the commit as its argument. */
void commit_send(const struct origin *to, const uint8_t *data, size_t len, bool close, void *commit);

/* So much waits for the disk that no more requests should be taken in. */
bool commit_full(struct commit *commit);

/* Writes what has gathered and sends what waits; returns when that is done. */
void commit_flush(struct commit *commit);
/* Flushes, then closes its handles; run the loop until they are, then commit_free(). Accepts NULL. */
void commit_close(struct commit *commit);
void commit_free(struct commit *commit);
