/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cookie learning by trial and error (RFC 3104 6.1): the first packet from a
 * host makes the entry, whoever comes second is dropped in silence. So does the
 * first from a peer that a host listens to.
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "packet.h"

/* The bind field of a target while an entry of a dead bind changes hands. */
#define COOKIE_CHANGES_HANDS	(~0U)

/* A cookie to be learned. */
struct learning {
	struct rsip_cookie_key key;
	struct rsip_target target;	/* the bind that gets it */
	__be32 peer;
};

/*
 * An entry whose bind has ended becomes the new bind's. Two words must change,
 * target and peer: the target is first set to one that nobody may use or take,
 * so that one CPU wins and nobody sees the old peer with the new target.
 */
static __always_inline bool cookie_take(struct rsip_cookie *cookie, const struct learning *what)
{
	union target_word hold = { .target.bind = COOKIE_CHANGES_HANDS };
	union target_word next = { .target = what->target };
	__u64 *word = (__u64 *)&cookie->target;
	union target_word seen = { .word = *(volatile __u64 *)word };
	struct lease lease;

	if (seen.target.bind == COOKIE_CHANGES_HANDS || lease_get(&seen.target, &lease))
		return false;
	if (__sync_val_compare_and_swap(word, seen.word, hold.word) != seen.word)
		return false;
	cookie->peer = what->peer;
	cookie->used = 1;
	__sync_lock_test_and_set(word, next.word);
	return true;
}

/* For the daemon's limits and rsipctl. A full ring is no reason to drop: only its view is late. */
static __always_inline void cookie_report(const struct learning *what)
{
	struct rsip_event_cookie *event = bpf_ringbuf_reserve(&rsip_events, sizeof(*event), 0);

	if (!event)
		return;
	event->kind = RSIP_EVENT_COOKIE;
	event->target = what->target;
	event->peer = what->peer;
	event->key = what->key;
	bpf_ringbuf_submit(event, 0);
}

enum learned {
	LEARNED,
	LEARNED_TAKEN,		/* another CPU was faster */
	LEARNED_LIMIT,		/* the bind or the table has no room */
	LEARNED_ERROR,
};

static __always_inline enum learned cookie_insert(const struct learning *what)
{
	struct rsip_cookie fresh = { .target = what->target, .peer = what->peer, .used = 1 };
	struct rsip_cookie *cookie = bpf_map_lookup_elem(&rsip_cookies, &what->key);
	long err;

	if (cookie)
		return cookie_take(cookie, what) ? LEARNED : LEARNED_TAKEN;
	err = bpf_map_update_elem(&rsip_cookies, &what->key, &fresh, BPF_NOEXIST);
	if (err == -EEXIST)
		return LEARNED_TAKEN;
	return err ? LEARNED_LIMIT : LEARNED;
}

/* Counted, entered, reported; a bind may hold `max`. */
static __always_inline enum learned cookie_learn(const struct learning *what, __u32 max)
{
	struct rsip_bind_rare *bind = bind_rare(what->target.bind);
	enum learned result = LEARNED_LIMIT;

	if (!bind)
		return LEARNED_ERROR;
	if (__sync_fetch_and_add(&bind->cookies, 1) < max)
		result = cookie_insert(what);
	if (result == LEARNED)
		cookie_report(what);
	else
		__sync_fetch_and_add(&bind->cookies, -1);
	return result;
}

/* From a host: a new cookie for the bind of `target`. */
static __always_inline enum rsip_outcome learn(const struct packet *p, const struct rsip_target *target)
{
	struct learning what = { .target = *target, .peer = p->ip.dst };
	struct lease winner;

	if (!p->cookie)
		return RSIP_OUT_COOKIE_ZERO;
	cookie_key(p->cookie, p->ip.src, p->sport, &what.key);
	switch (cookie_learn(&what, RSIP_BIND_COOKIES)) {
	case LEARNED:
		return RSIP_GO_ON;
	case LEARNED_TAKEN:
		/* perhaps by another packet of the same exchange */
		return cookie_find(p, &winner) == COOKIE_OWN ? RSIP_GO_ON : RSIP_OUT_COOKIE_TAKEN;
	case LEARNED_LIMIT:
		return RSIP_OUT_COOKIE_LIMIT;
	default:
		return RSIP_ERROR;
	}
}

/*
 * From a peer that may begin: the host's answers need the cookie as well. Anybody
 * can write the peer's address into a packet, so that few are taken, and a
 * host's own exchanges never give way to them.
 */
static __always_inline enum rsip_outcome learn_from_peer(const struct packet *p, const struct rsip_target *target)
{
	struct learning what = { .target = *target, .peer = p->ip.src };
	const struct rsip_cookie *winner;

	cookie_key(p->cookie, p->ip.dst, p->dport, &what.key);
	switch (cookie_learn(&what, RSIP_BIND_COOKIES_PEER)) {
	case LEARNED:
		return RSIP_GO_ON;
	case LEARNED_TAKEN:
		winner = bpf_map_lookup_elem(&rsip_cookies, &what.key);
		return winner && winner->target.bind == target->bind ? RSIP_GO_ON : RSIP_IN_NO_COOKIE;
	case LEARNED_LIMIT:
		return RSIP_IN_NO_COOKIE;
	default:
		return RSIP_ERROR;
	}
}
