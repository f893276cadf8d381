/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the gateway says about destinations (RFC 3103 9.15.3): tuples match by
 * containment, the longest wins, and what none contains is remote. Answers are
 * kept for later destinations (QRY-10).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/addr.h"
#include "lib/msg.h"

/* A tuple of the answer as a prefix. false: neither an IPv4 address nor network. */
bool locality_of(const struct msg_tuple *tuple, struct addr_prefix *prefix, bool *local);

/* `destination`: an address (/32) or a network, which has to be contained as a whole. */
bool locality_is_local(const struct msg *response, const struct addr_prefix *destination);

/* --- what was learned so far --------------------------------------------------- */

#define LOCALITY_MAX	4096	/* entries; more are not kept */

struct locality_entry {
	struct addr_prefix prefix;
	bool local;
};

struct locality {		/* zeroed at first */
	struct locality_entry *list;
	size_t count;
};

enum locality_is { LOCALITY_UNKNOWN, LOCALITY_LOCAL, LOCALITY_REMOTE };

enum locality_is locality_known(const struct locality *l, const struct addr_prefix *destination);
/* Replaces what was known of exactly this prefix. */
void locality_learn(struct locality *l, const struct addr_prefix *prefix, bool local);
void locality_learn_all(struct locality *l, const struct msg *response);
void locality_forget(struct locality *l);
