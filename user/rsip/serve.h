/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket of a running `rsip up`: questions as lib/ask.h asks them,
 * one for each connection. An answer may come later.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <uv.h>

struct serve;
struct serve_reply;

/* One command. Exactly one of serve_answer() and serve_refuse() follows, then or later. */
typedef void serve_command(const char *const *words, size_t count, struct serve_reply *reply, void *arg);

/* 0 or -errno. What stood at `path` before is removed: the caller knows that nobody listens there. */
int serve_open(struct serve **out, uv_loop_t *loop, const char *path, serve_command *command, void *arg);
/* Takes `result`; NULL is JSON null. */
void serve_answer(struct serve_reply *reply, json_t *result);
void serve_refuse(struct serve_reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* No new connections; removes the socket. Frees when the last answer is gone. Accepts NULL. */
void serve_close(struct serve *serve);
