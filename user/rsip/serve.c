// SPDX-License-Identifier: GPL-2.0-only
/* Each connection reads one line of JSON, waits for the answer, writes it and closes. */
#include "rsip/serve.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_LEN	65536
#define WORDS_MAX	1024
#define CONNECTIONS_MAX	32

enum stage { READING, WAITING, WRITING };

struct serve_reply {		/* a connection */
	uv_pipe_t pipe;
	struct serve *serve;
	struct serve_reply *next;
	enum stage stage;
	bool closing;		/* freed when closed and not WAITING */
	bool closed;
	uv_write_t write;
	char *text;
	size_t len;
	char line[LINE_MAX_LEN];
};

struct serve {
	uv_pipe_t pipe;
	char *path;
	serve_command *command;
	void *arg;
	struct serve_reply *connections;
	size_t count;
	bool closing, closed;
};

static void serve_free(struct serve *serve)
{
	if (!serve->closed || serve->connections != NULL)
		return;
	free(serve->path);
	free(serve);
}

static void reply_free(struct serve_reply *reply)
{
	struct serve *serve = reply->serve;
	struct serve_reply **at = &serve->connections;

	while (*at != reply)
		at = &(*at)->next;
	*at = reply->next;
	serve->count--;
	free(reply->text);
	free(reply);
	serve_free(serve);
}

static void reply_closed(uv_handle_t *handle)
{
	struct serve_reply *reply = handle->data;

	reply->closed = true;
	if (reply->stage != WAITING)	/* else an answer is still to come, which finds it closed */
		reply_free(reply);
}

static void reply_close(struct serve_reply *reply)
{
	if (reply->closing)
		return;
	reply->closing = true;
	uv_close((uv_handle_t *)&reply->pipe, reply_closed);
}

static void reply_written(uv_write_t *write, int err)
{
	reply_close(write->data);
}

/* --- answering -------------------------------------------------------------------------- */

static void reply_send(struct serve_reply *reply, json_t *object)
{
	uv_buf_t buf;

	reply->stage = WRITING;
	reply->text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (reply->closed) {
		reply_free(reply);
		return;
	}
	if (reply->closing)
		return;
	if (reply->text == NULL) {
		reply_close(reply);
		return;
	}
	buf = uv_buf_init(reply->text, (unsigned int)strlen(reply->text));
	buf.base[buf.len++] = '\n';	/* in the place of the NUL */
	reply->write.data = reply;
	if (uv_write(&reply->write, (uv_stream_t *)&reply->pipe, &buf, 1, reply_written))
		reply_close(reply);
}

void serve_answer(struct serve_reply *reply, json_t *result)
{
	reply_send(reply, json_pack("{sb so}", "ok", 1, "result", result != NULL ? result : json_null()));
}

void serve_refuse(struct serve_reply *reply, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reply_send(reply, json_pack("{sb ss}", "ok", 0, "error", text));
}

/* --- reading ---------------------------------------------------------------------------- */

static void run_command(struct serve_reply *reply)
{
	json_t *request = json_loadb(reply->line, reply->len, 0, NULL);
	json_t *list = json_object_get(request, "command");
	const char *words[WORDS_MAX];
	size_t count = json_array_size(list);
	bool valid = json_is_array(list) && count > 0 && count <= WORDS_MAX;

	for (size_t i = 0; valid && i < count; i++) {
		words[i] = json_string_value(json_array_get(list, i));
		valid = words[i] != NULL;
	}
	reply->stage = WAITING;
	if (valid)
		reply->serve->command(words, count, reply, reply->serve->arg);
	else
		serve_refuse(reply, "not a command: {\"command\": [1 to %d words]} and a newline", WORDS_MAX);
	json_decref(request);
}

static void lend_line(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct serve_reply *reply = handle->data;

	*buf = uv_buf_init(reply->line + reply->len, (unsigned int)(sizeof(reply->line) - reply->len));
}

static void line_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct serve_reply *reply = stream->data;

	if (len == 0 && reply->len < sizeof(reply->line))
		return;
	if (len <= 0) {
		reply_close(reply);
		return;
	}
	/* More after the line is not looked at: one question for each connection. */
	if (reply->stage != READING)
		return;
	reply->len += (size_t)len;
	if (memchr(buf->base, '\n', (size_t)len) != NULL)
		run_command(reply);
	else if (reply->len == sizeof(reply->line))
		reply_close(reply);
}

static void connection_new(uv_stream_t *stream, int status)
{
	struct serve *serve = stream->data;
	struct serve_reply *reply;

	if (status < 0)
		return;
	reply = calloc(1, sizeof(*reply));
	if (reply == NULL)
		return;
	reply->serve = serve;
	reply->next = serve->connections;
	serve->connections = reply;
	uv_pipe_init(stream->loop, &reply->pipe, 0);
	reply->pipe.data = reply;
	if (serve->count++ >= CONNECTIONS_MAX || uv_accept(stream, (uv_stream_t *)&reply->pipe) ||
	    uv_read_start((uv_stream_t *)&reply->pipe, lend_line, line_read)) {
		/* Above the limit it is accepted and closed, or it would come up again and again. */
		uv_accept(stream, (uv_stream_t *)&reply->pipe);
		reply_close(reply);
	}
}

/* --- opening and closing ------------------------------------------------------------------ */

static void serve_closed(uv_handle_t *handle)
{
	struct serve *serve = handle->data;

	serve->closed = true;
	serve_free(serve);
}

int serve_open(struct serve **out, uv_loop_t *loop, const char *path, serve_command *command, void *arg)
{
	struct serve *serve = calloc(1, sizeof(*serve));
	mode_t mask;
	int err;

	if (serve == NULL)
		return -ENOMEM;
	serve->path = strdup(path);
	serve->command = command;
	serve->arg = arg;
	unlink(path);
	uv_pipe_init(loop, &serve->pipe, 0);
	serve->pipe.data = serve;
	mask = umask(0077);
	err = serve->path == NULL ? -ENOMEM : uv_pipe_bind(&serve->pipe, path);
	umask(mask);
	if (!err)
		err = uv_listen((uv_stream_t *)&serve->pipe, 16, connection_new);
	if (err) {
		serve_close(serve);
		return err;
	}
	*out = serve;
	return 0;
}

void serve_close(struct serve *serve)
{
	if (serve == NULL || serve->closing)
		return;
	serve->closing = true;
	if (serve->path != NULL)
		unlink(serve->path);
	for (struct serve_reply *reply = serve->connections; reply != NULL; reply = reply->next)
		if (reply->stage == READING)
			reply_close(reply);
	uv_close((uv_handle_t *)&serve->pipe, serve_closed);
}
