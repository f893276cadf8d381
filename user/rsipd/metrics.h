/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prometheus text on http://ADDRESS:PORT/metrics, in the daemon's loop. The
 * names and what they count: rsipd(8).
 */
#pragma once

#include "rsipd/daemon.h"

struct metrics;

/* *out is NULL when the configuration has metrics off. 0, or -errno with the reason logged. */
int metrics_open(struct rsipd *rsipd, struct metrics **out);
/* Once a second: ends idle connections. Accepts NULL. */
void metrics_tick(struct metrics *metrics);
/* Closes; run the loop once more before metrics_free(). Both accept NULL. */
void metrics_close(struct metrics *metrics);
void metrics_free(struct metrics *metrics);
