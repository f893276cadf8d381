/* SPDX-License-Identifier: GPL-2.0-only */
/* What QUERY tells: which destinations are local (RFC 3103 9.14, 9.15). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "rsipd/config.h"

/*
 * Names that a query asks for, and which of them are local: all of their
 * addresses are. The first QUERY_NAMES_MAX of them; others get no tuple.
 */
#define QUERY_NAMES_MAX	8
struct query_names {
	unsigned int done;		/* so many were looked up */
	uint32_t local;			/* bit i: name i is local */
};

/* Name number `i` of a query; false: there are not so many, or they are not looked up. */
bool query_name(const struct msg *m, unsigned int i, struct msg_addr *out);
/* Books the addresses of the next name; none: it is not known. */
void query_resolved(const struct config *config, struct query_names *names, const __be32 *addrs, size_t count);

/*
 * Writes the tuples of the answer to `m` at `out`, those of addresses before
 * those of networks, cut at a tuple when `capacity` is used up (T-34). What is
 * not known to be local gets no tuple. With `query: all` every local network
 * stands in for those that were asked for (QRY-08). Returns the bytes written.
 */
size_t query_answer(const struct config *config, const struct msg *m, const struct query_names *names, uint8_t *out,
		    size_t capacity);
