/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TCP connections of hosts, from accept to close: a stream is cut into messages,
 * which go to session.h, and the answers are written back. How many there are, how
 * long they live and what waits in them is bounded: see the limits in connections.c
 * (SEC-05, SEC-08).
 */
#pragma once

#include "lib/log.h"
#include "rsipd/daemon.h"

struct connections;

/* `limit`, which stays the caller's, counts the lines about them in the log. NULL if memory is short. */
struct connections *connections_new(struct rsipd *rsipd, struct log_limit *limit);
/* Accepts what waits at `listener`, a socket on the address `local`; others may have to end to make room,
 * or it is closed at once. */
void connections_accept(struct connections *all, uv_stream_t *listener, __be32 local);
/* Writes to the connection to->connection; without effect if that is gone (ASY-07). `end`: it was the
 * last message, the connection ends (T-09). */
void connections_send(struct connections *all, const struct origin *to, const uint8_t *data, size_t len, bool end);
/* Those that were not read while commit_full() are read again. */
void connections_resume(struct connections *all);
/* Once a second: ends those that are idle, half-read or stuck. `now`: daemon_now(). */
void connections_tick(struct connections *all, uint64_t now);

/* Why they were ended by us (SEC-08). */
enum connection_cut {
	CUT_HALF_MESSAGE, CUT_STALLED, CUT_IDLE, CUT_TOO_MANY, CUT_FULL, CUT_LEFT_OPEN, CUT_NO_MEMORY,
	CUTS
};
const char *connection_cut_text(enum connection_cut cut);

struct connection_counters {
	uint64_t cut[CUTS];
	uint64_t refused;		/* not accepted: all are of registered hosts */
};
const struct connection_counters *connections_counters(const struct connections *all);

/* Ends all; run the loop until their handles are closed, then connections_free(), which accepts NULL. */
void connections_close(struct connections *all);
void connections_free(struct connections *all);
