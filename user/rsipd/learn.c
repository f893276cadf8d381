// SPDX-License-Identifier: GPL-2.0-only
/* Cookies: the map and the daemon's memory of it. */
#include "rsipd/learn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "lib/log.h"

#define RECONCILE	64	/* map entries looked at in a second */

struct learn {
	const struct bpfmaps *maps;
	struct peers *peers;
	struct cookies *cookies;
	struct rsip_cookie_key cursor;	/* where reconciliation goes on */
	bool at_start;
	struct log_limit limit;
};

struct learn *learn_new(const struct bpfmaps *maps, struct peers *peers)
{
	struct learn *learn = calloc(1, sizeof(*learn));

	if (!learn)
		return NULL;
	learn->maps = maps;
	learn->peers = peers;
	learn->at_start = true;
	learn->cookies = cookies_new(maps->entries[BPFMAP_BINDS], maps->entries[BPFMAP_COOKIES]);
	if (!learn->cookies) {
		free(learn);
		return NULL;
	}
	return learn;
}

void learn_free(struct learn *learn)
{
	if (!learn)
		return;
	cookies_free(learn->cookies);
	free(learn);
}

const struct cookies *learn_cookies(const struct learn *learn)
{
	return learn->cookies;
}

static bool same(const struct rsip_target *a, const struct rsip_target *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool is_live(const struct learn *learn, const struct rsip_target *target)
{
	return target->bind < learn->maps->entries[BPFMAP_BINDS] &&
	       learn->maps->binds[target->bind].generation == target->generation;
}

/*
 * Takes a cookie out of the map. The data plane may at any moment give a cookie
 * of an ended bind to a new one: what proves to be no longer ours is put back.
 */
static void take_out(struct learn *learn, const struct cookie_entry *entry)
{
	int fd = learn->maps->fd[BPFMAP_COOKIES];
	struct rsip_cookie value;

	if (bpf_map_lookup_elem(fd, &entry->key, &value) || !same(&value.target, &entry->target))
		return;
	if (bpf_map_lookup_and_delete_elem(fd, &entry->key, &value))
		return;
	if (!same(&value.target, &entry->target))
		bpf_map_update_elem(fd, &entry->key, &value, BPF_NOEXIST);
	else if (is_live(learn, &entry->target))
		__atomic_fetch_sub(&learn->maps->binds_rare[entry->target.bind].cookies, 1, __ATOMIC_RELAXED);
}

/* One that was remembered is so no longer. */
static void forgotten(struct learn *learn, const struct cookie_entry *entry)
{
	peers_cookie_removed(learn->peers, entry);
	take_out(learn, entry);
}

static void learned(struct learn *learn, const struct cookie_entry *entry, uint64_t now)
{
	uint32_t before = cookie_count(learn->cookies, entry->target.bind);
	struct cookie_entry oldest;

	if (!is_live(learn, &entry->target)) {
		take_out(learn, entry);
		return;
	}
	if (cookie_learned(learn->cookies, entry, now)) {
		/* As many as the map holds: some of them must be gone from it, the sweep will tell. */
		if (log_allowed(&learn->limit, 1, now))
			log_warn("cookies: no room to remember one more; it is forgotten");
		take_out(learn, entry);
		return;
	}
	if (cookie_count(learn->cookies, entry->target.bind) > before)
		peers_cookie_added(learn->peers, entry);
	while (cookie_count(learn->cookies, entry->target.bind) > COOKIES_PER_BIND &&
	       cookie_take_oldest(learn->cookies, entry->target.bind, &oldest))
		forgotten(learn, &oldest);
}

void learn_event(struct learn *learn, const struct rsip_event_cookie *event, uint64_t now)
{
	const struct cookie_entry entry = { .key = event->key, .target = event->target, .peer = event->peer };

	learned(learn, &entry, now);
}

void learn_bind_ended(struct learn *learn, uint32_t bind)
{
	struct cookie_entry entry;

	while (cookie_take_oldest(learn->cookies, bind, &entry))
		forgotten(learn, &entry);
}

/* --- the sweep ------------------------------------------------------------------------ */

static bool was_used(const struct cookie_entry *entry, void *arg)
{
	const struct learn *learn = arg;
	int fd = learn->maps->fd[BPFMAP_COOKIES];
	struct rsip_cookie value;

	if (bpf_map_lookup_elem(fd, &entry->key, &value) || !same(&value.target, &entry->target) || !value.used)
		return false;
	/* Nobody else changes the entry of a live bind but for this flag. */
	value.used = 0;
	bpf_map_update_elem(fd, &entry->key, &value, BPF_EXIST);
	return true;
}

static void idle(const struct cookie_entry *entry, void *arg)
{
	forgotten(arg, entry);
}

/* An event that found the ring full is made up for here, and so is an entry whose bind has ended. */
static void reconcile(struct learn *learn, uint64_t now, uint32_t count)
{
	int fd = learn->maps->fd[BPFMAP_COOKIES];

	if (learn->at_start && bpf_map_get_next_key(fd, NULL, &learn->cursor))
		return;
	learn->at_start = false;
	for (unsigned int i = 0; i < count && !learn->at_start; i++) {
		struct cookie_entry entry = { .key = learn->cursor };
		struct rsip_cookie value;

		/* First the next one: this one may be gone in a moment. */
		learn->at_start = bpf_map_get_next_key(fd, &entry.key, &learn->cursor) != 0;
		if (bpf_map_lookup_elem(fd, &entry.key, &value))
			continue;
		entry.target = value.target;
		entry.peer = value.peer;
		learned(learn, &entry, now);
	}
}

void learn_adopt(struct learn *learn, uint64_t now)
{
	reconcile(learn, now, learn->maps->entries[BPFMAP_COOKIES]);
	learn->at_start = true;
}

void learn_tick(struct learn *learn, uint64_t now)
{
	const struct cookie_sweep sweep = { .used = was_used, .idle = idle, .arg = learn };

	cookie_sweep(learn->cookies, now, &sweep);
	reconcile(learn, now, RECONCILE);
}
