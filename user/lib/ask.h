/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A question to rsipd over its control socket: one JSON line {"command":
 * [words]} to it, one JSON line back, {"ok": true, "result": ...} or
 * {"ok": false, "error": "..."}.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#define ASK_TIMEOUT_S	60	/* for an answer; de-registering many hosts takes its time */

/*
 * Blocks. 0 and *answer, the object that came back; or -errno: -ENOENT and
 * -ECONNREFUSED when no rsipd runs there, -ETIMEDOUT, -EACCES, -EPROTO for an
 * answer that is not one.
 */
int ask(const char *socket_path, const char *const *words, size_t count, json_t **answer);
