/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looks up names: questions to the name servers of /etc/resolv.conf (and
 * /etc/hosts), over c-ares and the event loop, so that nothing waits for a slow
 * server. A change of /etc/resolv.conf is noticed with the next question.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "rsipd/session.h"

struct resolver;

/* The answer to resolver_lookup(): IPv4 addresses; count 0: there is none, or no answer came. */
typedef void resolver_found(uint32_t id, const __be32 *addrs, size_t count, void *arg);

/* NULL, with the reason logged. */
struct resolver *resolver_new(uv_loop_t *loop, resolver_found *found, void *arg);
/* Calls `found` later, within 1.2 s for each name server, or before it returns. */
void resolver_lookup(struct resolver *resolver, uint32_t id, const char *name);
/* Stops; `found` is not called any more. Then the loop runs until its handles are closed. */
void resolver_close(struct resolver *resolver);
void resolver_free(struct resolver *resolver);
