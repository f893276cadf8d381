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
 *
 * When a write fails, what waits is refused, and nothing new may be promised
 * until the store was opened again and has taken what it refused; that is tried
 * on and on. Records gather meanwhile, so that the disk then holds what the
 * memory does: at most one for each host and lease there is or was.
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
	/* The records it tells of are not on disk: it must not leave. */
	session_send refused;
	void (*room)(void *arg);	/* there is room again after commit_full() */
	void *arg;
};

/* NULL, logged: no memory, no thread. `store` and `hooks` must outlive it. */
struct commit *commit_new(uv_loop_t *loop, struct store *store, const struct commit_hooks *hooks);

/* Where records are put. */
struct store_batch *commit_batch(struct commit *commit);
/* false: a write has failed, and what is put now is not written soon. */
bool commit_works(const struct commit *commit);
/* How long the longest write so far took, in microseconds of time, not of CPU: so long did answers wait for the disk. */
uint64_t commit_longest_us(const struct commit *commit);

/* A session_send with the commit as its argument. */
void commit_send(const struct origin *to, const uint8_t *data, size_t len, bool close, void *commit);

/* `then` is called once, when all that was put so far is on disk, or at once if it is: written; or
 * when the disk has refused it: not. `arg` is not NULL. commit_forget(): it is not called any more. */
typedef void commit_then(bool written, void *arg);
void commit_wait(struct commit *commit, commit_then *then, void *arg);
void commit_forget(struct commit *commit, const void *arg);

/* So much waits for the disk that no more requests should be taken in. */
bool commit_full(struct commit *commit);

/* Writes what has gathered and sends what waits; returns when that is done. */
void commit_flush(struct commit *commit);
/* Flushes, then closes its handles; run the loop until they are, then commit_free(). Accepts NULL. */
void commit_close(struct commit *commit);
void commit_free(struct commit *commit);
