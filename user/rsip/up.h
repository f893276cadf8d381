/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A running `rsip up`: the client's state machine between its transport, the
 * tunnel, the IPsec stack, the hook and the control socket.
 */
#pragma once

#include <jansson.h>

#include "rsip/options.h"

/* Called once, with what `rsip status` shows, when the first lease is up. */
typedef void up_ready(json_t *status, const struct options *options, void *arg);

/* Runs until it is told to stop. 0: everything was given back; -errno: it could not
 * go on, which the log tells. `socket` is the path of the control socket. */
int up_run(const struct options *options, const char *socket, up_ready *ready, void *arg);
