/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which initiator cookies each bind has learned, oldest first (IKE-07, A-42).
 * The data plane learns them; this is the daemon's memory of it: what to take
 * off when a bind has too many, when one is idle, and when the bind ends. Pure:
 * knows no map and no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rsip/datapath.h>

#define COOKIES_PER_BIND	32	/* more: the oldest goes */
#define COOKIE_IDLE_MS		(24ull * 3600 * 1000)
#define COOKIE_SWEEP_MS		(3600ull * 1000)	/* each cookie is looked at once in this time */

struct cookies;

struct cookie_entry {
	struct rsip_cookie_key key;
	struct rsip_target target;
	__be32 peer;
};

/* For bind slots 0 to `binds` - 1 and at most `capacity` cookies. NULL if memory is short. */
struct cookies *cookies_new(uint32_t binds, uint32_t capacity);
void cookies_free(struct cookies *c);

/* A bind learned a cookie. One that is known stays where it is. 0, or -ENOSPC. */
int cookie_learned(struct cookies *c, const struct cookie_entry *entry, uint64_t now);

/* How many the bind in that slot has. */
uint32_t cookie_count(const struct cookies *c, uint32_t bind);
/* Takes the oldest off; false when there is none. */
bool cookie_take_oldest(struct cookies *c, uint32_t bind, struct cookie_entry *out);
/* Forgets one; unknown: no effect. */
void cookie_forget(struct cookies *c, uint32_t bind, const struct rsip_cookie_key *key);
/* Oldest first; stops when `visit` returns false. */
void cookie_each(const struct cookies *c, uint32_t bind,
		 bool (*visit)(const struct cookie_entry *entry, void *arg), void *arg);

/*
 * Looks at as many cookies as are due by `now`. `used` says whether a packet
 * came since it was last asked about that one, and forgets it; `idle` is called
 * for each cookie of which that was false for COOKIE_IDLE_MS; it is forgotten
 * after that.
 */
struct cookie_sweep {
	bool (*used)(const struct cookie_entry *entry, void *arg);
	void (*idle)(const struct cookie_entry *entry, void *arg);
	void *arg;
};
void cookie_sweep(struct cookies *c, uint64_t now, const struct cookie_sweep *sweep);
