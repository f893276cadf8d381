/* SPDX-License-Identifier: GPL-2.0-only */
/* What QUERY tells: which destinations are local (RFC 3103 9.14, 9.15). Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "rsipd/config.h"

/*
 * Writes the tuples of the answer to `m` at `out`, those of addresses before
 * those of networks, cut at a tuple when `capacity` is used up (T-34). What is
 * not known to be local gets no tuple. With `query: all` every local network
 * stands in for those that were asked for (QRY-08). Returns the bytes written.
 */
size_t query_answer(const struct config *config, const struct msg *m, uint8_t *out, size_t capacity);
