/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the pinned maps tell when rsipd is down: the same lists as the daemon's
 * answers, without what only the daemon knows (leases, transport, policies).
 */
#pragma once

#include <jansson.h>

/* `pin` as datapath.pin of the configuration. 0 and *out, or -errno: -ENOENT
 * when nothing is pinned there. */
int pins_counters(const char *pin, json_t **out);
int pins_clients(const char *pin, json_t **out);
int pins_bindings(const char *pin, json_t **out);
