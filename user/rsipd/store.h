/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps records on disk: a number, and some bytes for it. Knows nothing of what
 * they mean (record.h). One body so far, store_rocksdb.c; another one stands
 * beside it, chosen at link time.
 *
 * store_open(), store_load() and store_close() are for one thread; between load
 * and close one thread at a time may call store_commit(), while any other
 * gathers a batch of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct store_batch;			/* changes that are made together or not at all */

/*
 * Opens the store in a folder, which is made, for root alone, if there is none.
 * 0, or -errno with the reason logged and what is there left as it was:
 * -EBUSY when another process has it, -EPROTO when a newer rsipd wrote it,
 * -EILSEQ when it is damaged, others as of open(2) and write(2).
 */
int store_open(const char *folder, struct store **out);

/* Calls `visit` for each record, lowest number first. Stops at its first error
 * (negative) and returns that; else 0, or -errno, logged, when reading fails. */
int store_load(struct store *store, int (*visit)(uint64_t number, const uint8_t *data, size_t len, void *arg),
	       void *arg);

/* NULL if memory is short. */
struct store_batch *store_batch_new(void);
void store_batch_free(struct store_batch *batch);
/* Later changes of a batch come after earlier ones. */
void store_batch_put(struct store_batch *batch, uint64_t number, const uint8_t *data, size_t len);
void store_batch_delete(struct store_batch *batch, uint64_t number);	/* not there: no effect */
size_t store_batch_count(const struct store_batch *batch);		/* changes since it was empty */
void store_batch_clear(struct store_batch *batch);

/*
 * Makes the changes of a batch. With `durable` it returns when they are on disk
 * and survive a power cut; without, they are in the order of the others but may
 * be lost. 0, or -errno with the reason logged; after that every call fails,
 * since nobody can say what the disk holds (the kernel forgets what it could not
 * write once it has told), until store_reopen().
 */
int store_commit(struct store *store, const struct store_batch *batch, bool durable);

/*
 * After a failure: opens the store once more if the disk takes writes again, which a file
 * beside the records tries first. What was committed is there; what was refused is there
 * in part, perhaps, and has to be committed anew. 0, or -errno, logged, and to be called again.
 */
int store_reopen(struct store *store);

void store_close(struct store *store);
