/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragments that the data plane cannot deal with (IN-16, IN-17, EG-12, TUN-12).
 * Those of a host's or a peer's packet wait until it is known whose the packet
 * is, and then go on one by one: it is put together where it is read. Those of
 * a tunnel packet are put together. Pure: time comes in, packets go out through
 * calls. What is held is bounded in all and for each source, and by time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rsip/datapath.h>

#define FRAGMENTS_MS		(RSIP_FRAGMENT_SECONDS * 1000)	/* from the first that came */
#define FRAGMENTS_PACKETS	1024	/* under way at once */
#define FRAGMENTS_BYTES		(4 << 20)
#define FRAGMENTS_SOURCE_PACKETS	32	/* of one source: Xa of what hosts send, else Y */
#define FRAGMENTS_SOURCE_BYTES	(256 << 10)
#define FRAGMENTS_PIECES	128	/* of one packet: 65535 bytes at an MTU of 576 */

struct fragments;

struct fragments_calls {
	/* A fragment may go: `event` as it came, but for the target, which is now known. */
	void (*send)(const struct rsip_event_fragment *event, void *arg);
	/* A tunnel packet is whole, from its IPv4 header on; at most 65535 bytes. */
	void (*whole)(const uint8_t *packet, size_t len, void *arg);
	/* No more is expected of the packet with this key (not told of tunnel packets). */
	void (*done)(const struct rsip_fragment_key *key, void *arg);
	void *arg;
};

struct fragments *fragments_new(const struct fragments_calls *calls);
void fragments_free(struct fragments *f);

/* Takes one fragment over; `len` bytes of it are there. `now`: ms, never less than before. */
void fragments_add(struct fragments *f, const struct rsip_event_fragment *event, uint64_t now);
/* Gives up what is not complete in time. */
void fragments_tick(struct fragments *f, uint64_t now);

struct fragments_held {
	size_t packets, bytes;		/* now */
	uint64_t dropped;		/* fragments, ever: overlapping, too many, too late */
};

struct fragments_held fragments_held(const struct fragments *f);
