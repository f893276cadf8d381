// SPDX-License-Identifier: GPL-2.0-only
/* Group commit. See commit.h. */
#include "rsipd/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/log.h"
#include "rsipd/rights.h"

/* Of one group. More than this makes an answer wait longer without a gain for the disk. */
#define HELD_MAX	4096
#define HELD_BYTES	(4u << 20)
/* After a failed write: how long until the next try, at first and at most, ms. */
#define PAUSE_FIRST	1000
#define PAUSE_MAX	30000

struct held {				/* a message that waits, or somebody who does */
	struct held *next;
	commit_then *then;		/* NULL: a message */
	void *arg;
	struct origin to;
	bool close, recorded;		/* recorded: it tells of records in its group */
	size_t len;
	uint8_t data[];
};

struct group {
	struct store_batch *batch;
	struct held *first, **last;
	size_t count, bytes;
	bool durable;			/* some message tells of these records */
};

struct waiting {			/* a host with messages that wait */
	__be32 source;
	unsigned int count;
	UT_hash_handle hh;
};

struct commit {
	struct store *store;
	const struct commit_hooks *hooks;
	struct group groups[2], *gathering, *flying;
	struct waiting *waiting;
	size_t told;			/* records of the gathering batch that messages have told of */
	bool busy, failed, was_full, closed;
	uint64_t pause;			/* before the next try, ms */
	uint64_t longest;		/* write, ns */
	uv_prepare_t prepare;
	uv_async_t done;
	uv_timer_t again;
	uv_thread_t thread;
	/* shared with the thread */
	uv_mutex_t mutex;
	uv_cond_t changed;
	enum { THREAD_IDLE, THREAD_WRITES, THREAD_WROTE, THREAD_ENDS } state;
	int result;
	uint64_t took;			/* ns */
};

/* --- messages that wait ------------------------------------------------------------- */

static bool host_waits(const struct commit *c, __be32 source)
{
	struct waiting *waiting;

	HASH_FIND(hh, c->waiting, &source, sizeof(source), waiting);
	return waiting;
}

static bool host_enter(struct commit *c, __be32 source)
{
	struct waiting *waiting;

	HASH_FIND(hh, c->waiting, &source, sizeof(source), waiting);
	if (!waiting) {
		waiting = calloc(1, sizeof(*waiting));
		if (!waiting)
			return false;
		waiting->source = source;
		HASH_ADD(hh, c->waiting, source, sizeof(waiting->source), waiting);
	}
	waiting->count++;
	return true;
}

static void host_leave(struct commit *c, __be32 source)
{
	struct waiting *waiting;

	HASH_FIND(hh, c->waiting, &source, sizeof(source), waiting);
	if (!waiting || --waiting->count)
		return;
	HASH_DEL(c->waiting, waiting);
	free(waiting);
}

static struct held *held_new(const struct origin *to, const uint8_t *data, size_t len, bool close)
{
	struct held *held = malloc(sizeof(*held) + len);

	if (!held)
		return NULL;
	*held = (struct held){ .to = *to, .close = close, .len = len };
	memcpy(held->data, data, len);
	return held;
}

static void group_add(struct group *group, struct held *held)
{
	*group->last = held;
	group->last = &held->next;
	group->count++;
	group->bytes += held->len;
	group->durable |= held->recorded;
}

/* Its messages; the records stay. */
static void group_empty(struct group *group)
{
	group->first = NULL;
	group->last = &group->first;
	group->count = group->bytes = 0;
	group->durable = false;
}

void commit_send(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg)
{
	struct commit *c = arg;
	bool recorded = !c->failed && store_batch_count(c->gathering->batch) != c->told;
	struct held *held;

	if (!recorded && !host_waits(c, to->source)) {
		c->hooks->send(to, data, len, close, c->hooks->arg);
		return;
	}
	held = held_new(to, data, len, close);
	if (!held || !host_enter(c, to->source)) {
		free(held);
		log_error("no memory to hold an answer: it is lost");
		return;
	}
	held->recorded = recorded;
	c->told = store_batch_count(c->gathering->batch);
	group_add(c->gathering, held);
}

static void held_deliver(struct commit *c, const struct held *held, bool written)
{
	host_leave(c, held->to.source);
	if (held->recorded && !written)
		c->hooks->refused(&held->to, held->data, held->len, held->close, c->hooks->arg);
	else
		c->hooks->send(&held->to, held->data, held->len, held->close, c->hooks->arg);
}

/* Sends all that waits in a group, in order; after a failure what tells of its records is refused. */
static void group_deliver(struct commit *c, struct group *group, bool written)
{
	struct held *held = group->first, *next;

	group_empty(group);
	for (; held; held = next) {
		next = held->next;
		if (!held->then)
			held_deliver(c, held, written);
		else if (held->arg)
			held->then(written, held->arg);
		free(held);
	}
}

/* --- writing -------------------------------------------------------------------------- */

static void write_groups(void *arg)
{
	struct commit *c = arg;
	uint64_t began;

	rights_to_write();
	uv_mutex_lock(&c->mutex);
	for (;;) {
		while (c->state != THREAD_WRITES && c->state != THREAD_ENDS)
			uv_cond_wait(&c->changed, &c->mutex);
		if (c->state == THREAD_ENDS)
			break;
		uv_mutex_unlock(&c->mutex);
		began = uv_hrtime();
		c->result = c->failed ? store_reopen(c->store) : 0;
		if (!c->result && store_batch_count(c->flying->batch))
			c->result = store_commit(c->store, c->flying->batch, c->flying->durable);
		c->took = uv_hrtime() - began;
		uv_mutex_lock(&c->mutex);
		c->state = THREAD_WROTE;
		uv_cond_broadcast(&c->changed);
		uv_async_send(&c->done);
	}
	uv_mutex_unlock(&c->mutex);
}

static void thread_tell(struct commit *c, int state)
{
	uv_mutex_lock(&c->mutex);
	c->state = state;
	uv_cond_broadcast(&c->changed);
	uv_mutex_unlock(&c->mutex);
}

/* What has gathered goes on its way, if there is anything and nothing else is. */
static void depart(struct commit *c)
{
	struct group *group = c->gathering;

	if (c->busy || c->failed || (!group->count && !store_batch_count(group->batch)))
		return;
	c->gathering = c->flying;
	c->flying = group;
	c->told = 0;
	c->busy = true;
	thread_tell(c, THREAD_WRITES);
}

/* After a failure: the store is opened anew, and gets what it refused. */
static void on_again(uv_timer_t *timer)
{
	struct commit *c = timer->data;

	c->busy = true;
	c->flying->durable = true;
	thread_tell(c, THREAD_WRITES);
}

static void fail(struct commit *c)
{
	c->failed = true;
	c->pause = PAUSE_FIRST;
	log_error("leases cannot be recorded: hosts that want one, or want to extend or end one, get error 104 until the disk "
		  "takes writes again, which is tried every %d s at least. Leases go on until they end. See the message "
		  "before this one for what to do", PAUSE_MAX / 1000);
	group_deliver(c, c->flying, false);
	/* What is sent in their place stands in line behind others to the same host. */
	while (c->gathering->count)
		group_deliver(c, c->gathering, false);
}

/* What the store refused, it has; what gathered since is next. */
static void mended(struct commit *c)
{
	c->failed = false;
	c->gathering->durable = true;
	c->told = store_batch_count(c->gathering->batch);
	log_warn("leases are recorded again");
}

static void arrive(struct commit *c)
{
	c->busy = false;
	if (c->took > c->longest)
		c->longest = c->took;
	if (c->result) {
		if (c->failed)
			c->pause = 2 * c->pause < PAUSE_MAX ? 2 * c->pause : PAUSE_MAX;
		else
			fail(c);
		uv_timer_start(&c->again, on_again, c->pause, 0);
	} else {
		if (c->failed)
			mended(c);
		store_batch_clear(c->flying->batch);
		group_deliver(c, c->flying, true);
	}
	if (c->was_full && !commit_full(c)) {
		c->was_full = false;
		c->hooks->room(c->hooks->arg);
	}
}

static void on_done(uv_async_t *async)
{
	struct commit *c = async->data;
	bool wrote;

	uv_mutex_lock(&c->mutex);
	wrote = c->state == THREAD_WROTE;
	if (wrote)
		c->state = THREAD_IDLE;
	uv_mutex_unlock(&c->mutex);
	if (wrote)
		arrive(c);
}

/* Once in a turn of the loop, before it sleeps: what came together goes together. */
static void on_prepare(uv_prepare_t *prepare)
{
	depart(prepare->data);
}

static void wait_for_arrival(struct commit *c)
{
	if (!c->busy)
		return;
	uv_mutex_lock(&c->mutex);
	while (c->state != THREAD_WROTE)
		uv_cond_wait(&c->changed, &c->mutex);
	c->state = THREAD_IDLE;
	uv_mutex_unlock(&c->mutex);
	arrive(c);
}

/* --- the outside ------------------------------------------------------------------------ */

struct store_batch *commit_batch(struct commit *commit)
{
	return commit->gathering->batch;
}

bool commit_works(const struct commit *commit)
{
	return !commit->failed;
}

uint64_t commit_longest_us(const struct commit *commit)
{
	return commit->longest / 1000;
}

void commit_wait(struct commit *commit, commit_then *then, void *arg)
{
	struct held *held;

	if (commit->failed || !store_batch_count(commit->gathering->batch)) {
		then(!commit->failed, arg);
		return;
	}
	held = calloc(1, sizeof(*held));
	if (!held) {
		then(false, arg);
		return;
	}
	held->then = then;
	held->arg = arg;
	held->recorded = true;
	group_add(commit->gathering, held);
}

void commit_forget(struct commit *commit, const void *arg)
{
	for (int i = 0; i < 2; i++) {
		for (struct held *held = commit->groups[i].first; held; held = held->next) {
			if (held->then && held->arg == arg)
				held->arg = NULL;
		}
	}
}

bool commit_full(struct commit *commit)
{
	bool full = commit->gathering->count >= HELD_MAX || commit->gathering->bytes >= HELD_BYTES;

	commit->was_full |= full;
	return full;
}

void commit_flush(struct commit *commit)
{
	wait_for_arrival(commit);
	depart(commit);
	wait_for_arrival(commit);
}

struct commit *commit_new(uv_loop_t *loop, struct store *store, const struct commit_hooks *hooks)
{
	struct commit *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->store = store;
	c->hooks = hooks;
	c->gathering = &c->groups[0];
	c->flying = &c->groups[1];
	for (int i = 0; i < 2; i++) {
		c->groups[i].batch = store_batch_new();
		if (!c->groups[i].batch) {
			commit_free(c);
			return NULL;
		}
		group_empty(&c->groups[i]);
	}
	uv_mutex_init(&c->mutex);
	uv_cond_init(&c->changed);
	uv_async_init(loop, &c->done, on_done);
	uv_prepare_init(loop, &c->prepare);
	uv_timer_init(loop, &c->again);
	c->done.data = c->prepare.data = c->again.data = c;
	uv_prepare_start(&c->prepare, on_prepare);
	if (uv_thread_create(&c->thread, write_groups, c)) {
		log_error("no thread to write leases");
		abort();
	}
	return c;
}

void commit_close(struct commit *commit)
{
	if (!commit)
		return;
	commit_flush(commit);
	thread_tell(commit, THREAD_ENDS);
	uv_thread_join(&commit->thread);
	uv_close((uv_handle_t *)&commit->prepare, NULL);
	uv_close((uv_handle_t *)&commit->done, NULL);
	uv_close((uv_handle_t *)&commit->again, NULL);
	commit->closed = true;
}

void commit_free(struct commit *commit)
{
	if (!commit)
		return;
	if (commit->closed) {
		uv_cond_destroy(&commit->changed);
		uv_mutex_destroy(&commit->mutex);
	}
	store_batch_free(commit->groups[0].batch);
	store_batch_free(commit->groups[1].batch);
	free(commit);
}
