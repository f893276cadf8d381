/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs the program of --hook for each event, with the lease in its
 * environment: without a shell, never two at once, killed when it takes
 * longer than HOOK_TIMEOUT_MS. What happens meanwhile waits in order.
 */
#pragma once

#include <uv.h>

#define HOOK_TIMEOUT_MS	30000

struct hook;
struct hook_event;

struct hook *hook_new(uv_loop_t *loop, const char *program);
/* `name` is RSIP_EVENT and the program's only argument. NULL if memory is short. */
struct hook_event *hook_event_new(const char *name);
/* Adds one variable; nothing happens when `event` is NULL. */
void hook_event_set(struct hook_event *event, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Takes the event. An event that waits behind an equal one of the same name replaces it. */
void hook_run(struct hook *hook, struct hook_event *event);
/* Nothing new is taken; what waits is still run, then the loop has no handle of ours any more. */
void hook_finish(struct hook *hook);
