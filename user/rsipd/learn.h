/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's hand in the cookie map: keeps the memory of cookie.h and the map
 * alike. The data plane puts cookies in and counts them in the bind; only the
 * daemon takes them out.
 */
#pragma once

#include <stdint.h>

#include "rsipd/bpfmaps.h"
#include "rsipd/cookie.h"
#include "rsipd/peers.h"

struct learn;

/* NULL if memory is short. `maps` and `peers`, which hears of every cookie, must outlive it. */
struct learn *learn_new(const struct bpfmaps *maps, struct peers *peers);
void learn_free(struct learn *learn);

/* The data plane learned a cookie. */
void learn_event(struct learn *learn, const struct rsip_event_cookie *event, uint64_t now);
/* A bind ended, its generation is cleared already: its cookies go. */
void learn_bind_ended(struct learn *learn, uint32_t bind);
/* The cookies of an earlier daemon: those of live binds are remembered, the others go. */
void learn_adopt(struct learn *learn, uint64_t now);
/* Once a second: idle cookies, and what the events did not tell. */
void learn_tick(struct learn *learn, uint64_t now);

const struct cookies *learn_cookies(const struct learn *learn);
