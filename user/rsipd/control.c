/* SPDX-License-Identifier: GPL-2.0-only */
/* The control socket: requests, commands, answers. */
#include "rsipd/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "lib/log.h"
#include "rsipd/commands.h"
#include "rsipd/commit.h"

#define CONNECTIONS_MAX	32
#define REQUEST_MS	5000	/* until the request is there */
#define ANSWER_MS	60000	/* until the answer was taken */
#define BACKLOG		16
#define EVENTS_MAX	262144	/* bytes that wait for one that watches */

struct connection {
	uv_pipe_t pipe;
	struct control *control;
	char line[REQUEST_LINE_MAX];
	size_t len;
	uint64_t deadline;		/* 0: none */
	struct command command;
	bool began;
	char *part;			/* of the answer, being written or waiting for the disk; NULL: nothing is */
	size_t part_len;
	uv_write_t write;
	/* of one that watches: what waits for the write, and how many events found no room */
	char *events;
	size_t events_len;
	uint64_t missed;
	struct connection *prev, *next;
};

struct control {
	struct rsipd *rsipd;
	uv_pipe_t listener;
	struct connection *connections;
	unsigned int count;
};

/* --- the life of a connection ----------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;

	free(connection->part);
	free(connection->events);
	free(connection);
}

static bool is_watching(const struct connection *connection)
{
	return connection->began && connection->command.state == COMMAND_WATCHES;
}

static void watch_if_anybody_does(struct control *control);

static void connection_close(struct connection *connection)
{
	struct control *control = connection->control;

	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	DL_DELETE(control->connections, connection);
	control->count--;
	commit_forget(control->rsipd->commit, connection);
	uv_close((uv_handle_t *)&connection->pipe, on_closed);
	if (connection->began)
		command_end(&connection->command);
	watch_if_anybody_does(control);
	/* Also when the asking end went away without its answer. */
	if (connection->command.stop)
		daemon_stop(control->rsipd);
}

/* --- answers ------------------------------------------------------------------------------ */

static void on_written(uv_write_t *write, int status);

/* Takes `part` over; NULL: memory was short. */
static void send_part(struct connection *connection, char *part, size_t len)
{
	uv_buf_t buf = uv_buf_init(part, (unsigned int)len);

	connection->deadline = daemon_now() + ANSWER_MS;
	connection->part = part;
	if (part && !uv_write(&connection->write, (uv_stream_t *)&connection->pipe, &buf, 1, on_written))
		return;
	log_error("control: the answer to a request could not be written");
	connection_close(connection);
}

static void send_events(struct connection *connection)
{
	char *events = connection->events;

	connection->events = NULL;
	if (events)
		send_part(connection, events, connection->events_len);
	connection->events_len = 0;
}

static void on_written(uv_write_t *write, int status)
{
	struct connection *connection = write->handle->data;
	size_t len;
	char *part;

	free(connection->part);
	connection->part = NULL;
	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	connection->deadline = 0;
	if (status < 0 || connection->command.state == COMMAND_DONE) {
		connection_close(connection);
	} else if (connection->command.state == COMMAND_MORE) {
		part = command_more(&connection->command, &len);
		send_part(connection, part, len);
	} else {
		send_events(connection);
	}
}

/* As with hosts: an answer that tells of an end leaves when that is on disk. */
static void on_committed(bool written, void *arg)
{
	struct connection *connection = arg;
	size_t len = connection->part_len;
	char *part = connection->part, *instead = command_written(&connection->command, written, &len);

	connection->part = NULL;
	if (!written) {
		free(part);
		part = instead;
	}
	send_part(connection, part, len);
}

static void answer(struct connection *connection)
{
	struct command *command = &connection->command;
	size_t len;
	char *part;

	/* Whoever watches is read on, to see when it goes. */
	connection->began = true;
	part = command_begin(command, connection->control->rsipd, connection->line, connection->len, &len);
	if (command->state != COMMAND_WATCHES)
		uv_read_stop((uv_stream_t *)&connection->pipe);
	watch_if_anybody_does(connection->control);
	if (part && command->state == COMMAND_RELOADS) {
		free(part);
		connection->deadline = 0;
		return;
	}
	if (part && command->state == COMMAND_WRITES) {
		connection->part = part;
		connection->part_len = len;
		connection->deadline = 0;
		commit_wait(connection->control->rsipd->commit, on_committed, connection);
		return;
	}
	send_part(connection, part, len);
}

void control_reloaded(struct control *control, const struct reload_result *result)
{
	struct connection *connection, *next;

	if (!control)
		return;
	DL_FOREACH_SAFE(control->connections, connection, next) {
		size_t len;
		char *part;

		if (!connection->began || connection->command.state != COMMAND_RELOADS)
			continue;
		part = command_reloaded(&connection->command, result, &len);
		send_part(connection, part, len);
	}
}

/* --- events --------------------------------------------------------------------------------- */

static bool add_line(struct connection *connection, const char *line, size_t len)
{
	char *events = realloc(connection->events, connection->events_len + len);

	if (!events)
		return false;
	memcpy(events + connection->events_len, line, len);
	connection->events = events;
	connection->events_len += len;
	return true;
}

static void add_event(struct connection *connection, const char *line, size_t len)
{
	char missed[64];
	int missed_len;

	if (!line || connection->events_len + len + sizeof(missed) > EVENTS_MAX) {
		connection->missed++;
		return;
	}
	if (connection->missed) {
		missed_len = snprintf(missed, sizeof(missed), "{\"event\":\"missed\",\"count\":%llu}\n",
				      (unsigned long long)connection->missed);
		if (add_line(connection, missed, (size_t)missed_len))
			connection->missed = 0;
	}
	if (!add_line(connection, line, len))
		connection->missed++;
	if (!connection->part)
		send_events(connection);
}

static void on_event(const struct session_event *event, void *arg)
{
	struct control *control = arg;
	struct connection *connection, *next;
	size_t len;
	char *line = command_event(event, &len);

	DL_FOREACH_SAFE(control->connections, connection, next) {
		if (is_watching(connection))
			add_event(connection, line, len);
	}
	free(line);
}

static void watch_if_anybody_does(struct control *control)
{
	struct connection *connection;
	bool any = false;

	DL_FOREACH(control->connections, connection)
		any = any || is_watching(connection);
	sessions_watch(control->rsipd->sessions, any ? on_event : NULL, control);
}

/* --- connections ---------------------------------------------------------------------------- */

static void on_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	struct connection *connection = handle->data;
	size_t at = connection->began ? 0 : connection->len;

	*buf = uv_buf_init(connection->line + at, (unsigned int)(sizeof(connection->line) - at));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct connection *connection = stream->data;
	const char *end;

	if (len < 0) {
		connection_close(connection);
		return;
	}
	if (connection->began)		/* it watches, and has nothing more to say */
		return;
	connection->len += (size_t)len;
	end = memchr(connection->line, '\n', connection->len);
	if (end)
		connection->len = (size_t)(end - connection->line);
	/* Without a newline in a full buffer the request is too long, and told so. */
	if (end || connection->len == sizeof(connection->line))
		answer(connection);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct control *control = listener->data;
	struct connection *connection;

	if (status < 0)
		return;
	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return;
	connection->control = control;
	connection->deadline = daemon_now() + REQUEST_MS;
	uv_pipe_init(control->rsipd->loop, &connection->pipe, 0);
	connection->pipe.data = connection;
	if (uv_accept(listener, (uv_stream_t *)&connection->pipe) || control->count >= CONNECTIONS_MAX) {
		uv_close((uv_handle_t *)&connection->pipe, on_closed);
		return;
	}
	DL_APPEND(control->connections, connection);
	control->count++;
	uv_read_start((uv_stream_t *)&connection->pipe, on_buffer, on_read);
}

void control_tick(struct control *control, uint64_t now)
{
	struct connection *connection, *next;

	DL_FOREACH_SAFE(control->connections, connection, next) {
		if (connection->deadline && now > connection->deadline)
			connection_close(connection);
	}
}

/* --- the socket -------------------------------------------------------------------------------- */

/* The folder is made with what lies above it, if need be. */
static int make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	mode_t mask = umask(022);
	int err = 0;

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash && !err; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(folder, 0755) && errno != EEXIST)
			err = -errno;
		*slash = '/';
	}
	umask(mask);
	return err;
}

int control_lock(const char *socket_path)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(".lock")];
	int fd, err = make_folder(socket_path);

	if (err) {
		log_error("control: the folder of %s: %s", socket_path, strerror(-err));
		return err;
	}
	snprintf(path, sizeof(path), "%s.lock", socket_path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
		log_error("control: %s: %s", path, strerror(errno));
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? CONTROL_BUSY : -errno;
		if (err != CONTROL_BUSY)
			log_error("control: locking %s: %s", path, strerror(errno));
		close(fd);
		return err;
	}
	return fd;
}

/* The descriptor of the bound socket, readable by nobody but us. */
static int bind_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;
	mode_t mask;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(mask);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int control_open(struct rsipd *rsipd, struct control **out)
{
	const char *path = rsipd->config->control;
	struct control *control = calloc(1, sizeof(*control));
	int fd, err;

	if (!control)
		return -ENOMEM;
	fd = bind_socket(path);
	if (fd < 0) {
		err = fd;
		goto fail;
	}
	control->rsipd = rsipd;
	uv_pipe_init(rsipd->loop, &control->listener, 0);
	control->listener.data = control;
	err = uv_pipe_open(&control->listener, fd);
	if (!err)
		err = uv_listen((uv_stream_t *)&control->listener, BACKLOG, on_connection);
	*out = control;
	if (err)
		log_error("control: %s: %s", path, uv_strerror(err));
	return err;
fail:
	log_error("control: %s: %s", path, strerror(-err));
	free(control);
	return err;
}

void control_close(struct control *control)
{
	struct connection *connection, *next;

	if (!control)
		return;
	unlink(control->rsipd->config->control);
	uv_close((uv_handle_t *)&control->listener, NULL);
	DL_FOREACH_SAFE(control->connections, connection, next)
		connection_close(connection);
}

void control_free(struct control *control)
{
	free(control);
}
