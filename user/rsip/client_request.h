/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the client sends: one request in flight, again and again until it is
 * answered (T-13, T-17), and which one is next.
 */
#pragma once

#include "rsip/client_state.h"

/* Sends what is to be done next, if nothing is in flight. False: nothing, now. May tell of wants that the flow
 * policy has no room for. */
bool request_next(struct client *c, uint64_t now);

/* The request in flight, which must be there: once more by its schedule; all of its schedule anew. */
void request_transmit(struct client *c, uint64_t now);
void request_begin(struct client *c, uint64_t now);
/* What is sent of it: with a key, with an authenticator of its own (SEC-04), each time a new one. */
void request_seal(struct client *c);
/* When it is sent again, or given up: ms, rounded up. */
uint64_t request_due_ms(const struct client *c);
/* It got its answer: the next one has the next counter, never 0 (T-15). Returns what it was. */
struct request request_settle(struct client *c);
