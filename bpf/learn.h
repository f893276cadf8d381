/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cookie learning by trial and error (RFC 3104 6.1): the first packet from a
 * host makes the entry, whoever comes second is dropped in silence.
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "packet.h"

/* The bind field of a target while an entry of a dead bind changes hands. */
#define COOKIE_CHANGES_HANDS	(~0U)

/*
 * An entry whose bind has ended becomes the sender's. Two words must change,
 * target and peer: the target is first set to one that nobody may use or take,
 * so that one CPU wins and nobody sees the old peer with the new target.
 */
static __always_inline enum rsip_outcome cookie_take(struct rsip_cookie *cookie, const struct packet *p,
						     const struct rsip_target *target)
{
	union target_word hold = { .target.bind = COOKIE_CHANGES_HANDS };
	union target_word next = { .target = *target };
	__u64 *word = (__u64 *)&cookie->target;
	union target_word seen = { .word = *(volatile __u64 *)word };
	struct lease lease;

	if (seen.target.bind == COOKIE_CHANGES_HANDS || lease_get(&seen.target, &lease))
		return RSIP_OUT_COOKIE_TAKEN;
	if (__sync_val_compare_and_swap(word, seen.word, hold.word) != seen.word)
		return RSIP_OUT_COOKIE_TAKEN;
	cookie->peer = p->ip.dst;
	cookie->used = 1;
	__sync_lock_test_and_set(word, next.word);
	return RSIP_GO_ON;
}

/* For the daemon's limits and rsipctl. A full ring is no reason to drop: only its view is late. */
static __always_inline void cookie_report(const struct rsip_cookie_key *key, const struct packet *p,
					  const struct rsip_target *target)
{
	struct rsip_event_cookie *event = bpf_ringbuf_reserve(&rsip_events, sizeof(*event), 0);

	if (!event)
		return;
	event->kind = RSIP_EVENT_COOKIE;
	event->target = *target;
	event->peer = p->ip.dst;
	event->key = *key;
	bpf_ringbuf_submit(event, 0);
}

/* Makes the entry. OUT_COOKIE_TAKEN: another CPU was faster. */
static __always_inline enum rsip_outcome cookie_insert(const struct rsip_cookie_key *key, const struct packet *p,
						       const struct rsip_target *target)
{
	struct rsip_cookie fresh = { .target = *target, .peer = p->ip.dst, .used = 1 };
	struct rsip_cookie *cookie = bpf_map_lookup_elem(&rsip_cookies, key);
	long err;

	if (cookie)
		return cookie_take(cookie, p, target);
	err = bpf_map_update_elem(&rsip_cookies, key, &fresh, BPF_NOEXIST);
	if (err == -EEXIST)
		return RSIP_OUT_COOKIE_TAKEN;
	return err ? RSIP_OUT_COOKIE_LIMIT : RSIP_GO_ON;
}

/* A new cookie for the bind of `target`: counted, entered, reported. */
static __always_inline enum rsip_outcome learn(const struct packet *p, const struct rsip_target *target)
{
	__u32 slot = target->bind;
	struct rsip_bind *bind = bpf_map_lookup_elem(&rsip_binds, &slot);
	struct rsip_cookie_key key;
	struct lease winner;
	enum rsip_outcome why;

	if (!p->cookie)
		return RSIP_OUT_COOKIE_ZERO;
	if (!bind)
		return RSIP_ERROR;
	if (__sync_fetch_and_add(&bind->cookies, 1) >= RSIP_BIND_COOKIES) {
		why = RSIP_OUT_COOKIE_LIMIT;
	} else {
		cookie_key(p->cookie, p->ip.src, p->sport, &key);
		why = cookie_insert(&key, p, target);
	}
	if (!why) {
		cookie_report(&key, p, target);
		return RSIP_GO_ON;
	}
	__sync_fetch_and_add(&bind->cookies, -1);
	if (why == RSIP_OUT_COOKIE_TAKEN && cookie_find(p, &winner) == COOKIE_OWN)
		return RSIP_GO_ON;	/* another packet of the same exchange was faster */
	return why;
}
