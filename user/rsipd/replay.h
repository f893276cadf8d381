/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last request of a host and its answer, so that a duplicate gets the same
 * answer and is not executed again (RFC 3103 10.1; A-30 of the catalogue).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rsipd/lease.h"

#define REPLAY_REGISTER_MS	5000	/* how long a REGISTER_REQUEST counts as a duplicate (T-37) */
#define REPLAY_DEPARTED_MS	1600	/* how long an answer outlives its registration (T-28) */

/* A request, as far as a duplicate can be told by it. */
struct replay_request {
	const struct origin *from;
	uint8_t type;
	bool has_counter;
	uint32_t counter;
	uint32_t len;
	uint64_t hash;			/* of its bytes */
	uint64_t now;
};

struct replay {			/* of zeroes: no request yet */
	uint64_t hash, when, connection;
	uint32_t counter, len;
	uint8_t type;
	bool known, tcp;
	uint8_t *answer;		/* owned; NULL: not kept */
	size_t answer_len;
};

enum replay_verdict {
	REPLAY_NEW,			/* to be executed */
	REPLAY_AGAIN,			/* the stored answer again, or silence if there is none */
	REPLAY_OLD,			/* silence (T-21) */
};

/* The same in every run: it is written down with the host. */
uint64_t replay_hash(const uint8_t *data, size_t len);

enum replay_verdict replay_judge(const struct replay *last, const struct replay_request *request);

/* Remembers a request that was executed, and a copy of its answer. */
void replay_store(struct replay *last, const struct replay_request *request, const uint8_t *answer, size_t len);
/* Another answer than the one that was stored. */
void replay_answer(struct replay *last, const uint8_t *answer, size_t len);
void replay_clear(struct replay *last);

/* --- hosts that are gone ------------------------------------------------------------ */

/* Answers that outlive a registration: a table of fixed size in which a newer one replaces an older. */
struct departed;

struct departed *departed_new(void);	/* NULL: no memory */
void departed_free(struct departed *departed);
/* Takes `last` over from a host that is de-registered at `now`. */
void departed_add(struct departed *departed, __be32 source, struct replay *last, uint64_t now);
/* The stored answer if `request` is a duplicate of the last one, else NULL. */
const struct replay *departed_find(const struct departed *departed, const struct replay_request *request);
