/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A question to rsipd over its control socket: one JSON line {"command":
 * [words]} to it, one JSON value back, {"ok": true, "result": ...} or
 * {"ok": false, "error": "..."}. Each item of a list stands on a line of its own.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ASK_TIMEOUT_S	60	/* for an answer; de-registering many hosts takes its time */

/*
 * Blocks. 0 and *answer, the object that came back; or -errno: -ENOENT and
 * -ECONNREFUSED when no rsipd runs there, -ETIMEDOUT, -EACCES, -EPROTO for an
 * answer that is not one.
 */
int ask(const char *socket_path, const char *const *words, size_t count, json_t **answer);

/* What ask_list() and ask_events() hand over; false: no more is wanted. */
typedef bool ask_item(json_t *item, void *arg);

/*
 * The same for an answer that is a list, item by item: it may be long. 0; with
 * a refusal in *answer `item` is never called, else *answer is NULL.
 */
int ask_list(const char *socket_path, const char *const *words, size_t count, ask_item *item, void *arg,
	     json_t **answer);
/* For a command that answers with events until one of the ends goes, here with 0. */
int ask_events(const char *socket_path, const char *const *words, size_t count, ask_item *event, void *arg,
	       json_t **answer);
