/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The RSIP sockets: UDP and TCP on the address of each private interface, and
 * nowhere else (SEC-02). Datagrams go to session.h, and the answers back; what
 * connects over TCP is in connections.h.
 */
#pragma once

#include "rsipd/connections.h"
#include "rsipd/daemon.h"

struct server;

/* NULL if memory is short. */
struct server *server_new(struct rsipd *rsipd);
/* Opens the sockets; messages go to rsipd->sessions once the loop runs. 0, or
 * -errno with the reason logged. */
int server_listen(struct server *server);
/* session_send of struct sessions; `server` as its argument. */
void server_send(const struct origin *to, const uint8_t *data, size_t len, bool close, void *server);
/* Connections that were not read while commit_full() are read again. */
void server_resume(struct server *server);
/* Once a second: ends connections that are idle, half-read or stuck. */
void server_tick(struct server *server, uint64_t now);
/* Of the connections. */
const struct connection_counters *server_counters(const struct server *server);

/* Closes the handles; run the loop until they are, then server_free(). Accepts NULL. */
void server_close(struct server *server);
void server_free(struct server *server);
