/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a QUERY_RESPONSE says about a destination (RFC 3103 9.15.3): tuples
 * match by containment, the longest wins, and what none contains is remote.
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
