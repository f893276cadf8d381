/* SPDX-License-Identifier: GPL-2.0-only */
/* The asking side of the control socket. */
#include "lib/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Waits `seconds` for each part of an answer; 0: for ever. */
static int connect_to(const char *path, int seconds)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = seconds };
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int send_words(int fd, const char *const *words, size_t count)
{
	json_t *list = json_array(), *request;
	char *line;
	size_t len;
	ssize_t sent = -1;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(words[i]));
	request = json_pack("{so}", "command", list);
	line = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (!line)
		return -EINVAL;		/* a word that is no UTF-8, or no memory */
	len = strlen(line);
	line[len] = '\n';		/* in the place of the NUL */
	errno = EPROTO;
	sent = send(fd, line, len + 1, MSG_NOSIGNAL);
	free(line);
	return sent == (ssize_t)len + 1 ? 0 : -errno;
}

static size_t receive(void *buffer, size_t capacity, void *arg)
{
	ssize_t len;

	do {
		len = recv(*(int *)arg, buffer, capacity, 0);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? (size_t)-1 : (size_t)len;
}

int ask(const char *socket_path, const char *const *words, size_t count, json_t **answer)
{
	int fd = connect_to(socket_path, ASK_TIMEOUT_S), err;
	json_t *read;

	if (fd < 0)
		return fd;
	err = send_words(fd, words, count);
	if (err)
		goto out;
	errno = 0;
	read = json_load_callback(receive, &fd, 0, NULL);
	if (!read) {
		err = errno == EAGAIN ? -ETIMEDOUT : -EPROTO;
	} else if (!json_is_object(read) || !json_is_boolean(json_object_get(read, "ok"))) {
		json_decref(read);
		err = -EPROTO;
	} else {
		*answer = read;
	}
out:
	close(fd);
	return err;
}

/* --- answers by lines ------------------------------------------------------------------ */

#define LIST_BEGINS	"{\"ok\":true,\"result\":["

struct lines {
	FILE *file;
	char *line;
	size_t capacity;
	ssize_t len;			/* without its newline */
};

static int lines_open(struct lines *lines, const char *socket_path, int seconds, const char *const *words, size_t count)
{
	int fd = connect_to(socket_path, seconds), err;

	*lines = (struct lines){ 0 };
	if (fd < 0)
		return fd;
	err = send_words(fd, words, count);
	if (!err) {
		lines->file = fdopen(fd, "r");
		err = lines->file ? 0 : -errno;
	}
	if (err)
		close(fd);
	return err;
}

static void lines_close(struct lines *lines)
{
	fclose(lines->file);
	free(lines->line);
}

/* 1, 0 at the end, or -errno. */
static int lines_next(struct lines *lines)
{
	errno = 0;
	lines->len = getline(&lines->line, &lines->capacity, lines->file);
	if (lines->len <= 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (lines->line[lines->len - 1] != '\n')
		return -EPROTO;
	lines->line[--lines->len] = 0;
	return 1;
}

/* The first line when it is a whole answer: a refusal, or that events follow. */
static int whole_answer(const struct lines *lines, json_t **answer)
{
	json_t *read = json_loadb(lines->line, (size_t)lines->len, 0, NULL);

	if (!json_is_boolean(json_object_get(read, "ok"))) {
		json_decref(read);
		return -EPROTO;
	}
	*answer = read;
	return 0;
}

/* 0 and *more, or -EPROTO for a line that is no JSON. */
static int hand_over(const char *line, size_t len, ask_item *item, void *arg, bool *more)
{
	json_t *value = json_loadb(line, len, 0, NULL);

	if (!value)
		return -EPROTO;
	*more = item(value, arg);
	json_decref(value);
	return 0;
}

int ask_list(const char *socket_path, const char *const *words, size_t count, ask_item *item, void *arg,
	     json_t **answer)
{
	struct lines lines;
	int err = lines_open(&lines, socket_path, ASK_TIMEOUT_S, words, count);
	bool more = true;

	*answer = NULL;
	if (err)
		return err;
	err = lines_next(&lines);
	if (err == 1 && strcmp(lines.line, LIST_BEGINS))
		err = whole_answer(&lines, answer);
	else if (err == 0)
		err = -EPROTO;
	while (!*answer && err == 1 && more) {
		err = lines_next(&lines);
		if (err == 0)
			err = -EPROTO;		/* the end came without "]}" */
		if (err < 0 || !strcmp(lines.line, "]}"))
			break;
		err = hand_over(lines.line, (size_t)lines.len - (lines.len && lines.line[lines.len - 1] == ','), item,
				arg, &more);
		err = err ? err : 1;
	}
	lines_close(&lines);
	return err < 0 ? err : 0;
}

int ask_events(const char *socket_path, const char *const *words, size_t count, ask_item *event, void *arg,
	       json_t **answer)
{
	struct lines lines;
	int err = lines_open(&lines, socket_path, 0, words, count);
	bool more = true;

	*answer = NULL;
	if (err)
		return err;
	err = lines_next(&lines);
	if (err == 1)
		err = whole_answer(&lines, answer);
	else if (err == 0)
		err = -EPROTO;
	while (!err && json_is_true(json_object_get(*answer, "ok")) && more) {
		err = lines_next(&lines);
		if (err <= 0)
			break;
		err = hand_over(lines.line, (size_t)lines.len, event, arg, &more);
	}
	lines_close(&lines);
	return err;
}
