/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket, and through a lock beside it the guarantee that one
 * rsipd runs on it. One request for each connection: a JSON line {"command":
 * [words]} (request.h), answered by one JSON value (commands.h), of which no more
 * is made than the other end has taken; lib/ask.h is that end. Who watches gets
 * a line for each event until it goes; what it does not take is counted.
 */
#pragma once

#include <errno.h>

#include "rsipd/daemon.h"
#include "rsipd/reload.h"

struct control;

/* The lock of a control socket. */
#define CONTROL_BUSY	(-EBUSY)	/* another process holds it: a daemon runs */
/* Makes the folder (0755) if need be. The lock's descriptor; CONTROL_BUSY; other -errno
 * with the reason logged. Freed by close(), and when the process ends. */
int control_lock(const char *socket_path);

/* Needs the lock. Replaces the socket that a daemon which is no more left behind.
 * 0, or -errno with the reason logged. Requests are served once the loop runs. */
int control_open(struct rsipd *rsipd, struct control **out);
/* A reload is through: whoever asked for it is told. */
void control_reloaded(struct control *control, const struct reload_result *result);
/* Once a second: ends connections that take too long. */
void control_tick(struct control *control, uint64_t now);
/* Removes the socket and closes the handles; run the loop until they are, then
 * control_free(). Accepts NULL. */
void control_close(struct control *control);
void control_free(struct control *control);
