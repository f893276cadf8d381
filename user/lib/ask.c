/* SPDX-License-Identifier: GPL-2.0-only */
/* The asking side of the control socket. */
#include "lib/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = ASK_TIMEOUT_S };
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
	int fd = connect_to(socket_path), err;
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
