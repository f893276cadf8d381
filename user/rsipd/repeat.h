/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asynchronous messages that are said again: over UDP nobody acknowledges a
 * FREE_RESPONSE or a DE-REGISTER_RESPONSE that the gateway sends of its own
 * accord, so each is sent up to three times more, until its host is heard
 * (T-27, A-32). Memory is bounded: beyond REPEATS_MAX a message is said once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "rsipd/lease.h"

#define REPEAT_TIMES	3
#define REPEAT_MS	250
#define REPEATS_MAX	4096

struct repeat {				/* what to say */
	struct origin to;
	uint8_t type;
	uint32_t client_id, bind_id;	/* bind_id 0: none is named */
};

struct repeats;

struct repeats *repeats_new(void);	/* NULL: no memory */
void repeats_free(struct repeats *repeats);

/* It was said for the first time at `now`. */
void repeat_add(struct repeats *repeats, const struct repeat *what, uint64_t now);
/* A host was heard: nothing is said to it again. */
void repeat_stop(struct repeats *repeats, __be32 host);

/* The next thing to say again by `now`; false: nothing is due. */
bool repeat_due(struct repeats *repeats, uint64_t now, struct repeat *out);
/* When to ask repeat_due(), no later than it has something; 0: never. */
uint64_t repeat_next(const struct repeats *repeats);
