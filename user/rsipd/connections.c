/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP connections, over libuv. */
#include "rsipd/connections.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/log.h"
#include "lib/msg.h"
#include "rsipd/commit.h"

/* SEC-08 */
#define CONNECTIONS_MAX		4096
#define CONNECTIONS_PER_HOST	4	/* one more ends the one that was silent longest */
#define BUFFER_FIRST		4096	/* a connection's; grows up to one message */
#define IDLE_MS			60000	/* of a connection whose host is not registered */
#define HALF_MESSAGE_MS		10000	/* from a message's first byte to its last */
#define STALLED_MS		30000	/* answers wait for a host that does not read */
#define LINGER_MS		2000	/* between our end of a stream and the host's */
#define UNSENT_PAUSE		65536	/* answers waiting: no more requests are read */
#define UNSENT_MAX		262144	/* and here the connection ends */
#define KEEPALIVE_S		60

struct connection {
	uv_tcp_t tcp;
	struct connections *all;
	struct origin origin;
	uint8_t *data;			/* what is not yet a whole message */
	size_t len, capacity;
	uint64_t active;		/* last byte received */
	uint64_t message_since;		/* a message is half read since then; 0: none is */
	uint64_t paused_since;		/* no requests are read since then; 0: they are */
	uint64_t ending_since;		/* our end is closed; 0: it is not */
	UT_hash_handle hh;		/* by origin.connection */
};

struct connections {
	struct rsipd *rsipd;
	struct connection *open;	/* hash */
	uint64_t ids;
	struct connection_counters counters;
	struct log_limit *limit;	/* of the server */
};

/* --- the life of a connection ---------------------------------------------------- */

static void on_connection_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;

	free(connection->data);
	free(connection);
}

/* Ends a connection; the registration stays (T-32). */
static void connection_close(struct connection *connection)
{
	if (uv_is_closing((uv_handle_t *)&connection->tcp))
		return;
	HASH_DEL(connection->all->open, connection);
	uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
}

static void connection_cut(struct connection *connection, enum connection_cut cut)
{
	const char *why = connection_cut_text(cut);
	char text[ADDR_TEXT_LEN];

	connection->all->counters.cut[cut]++;

	if (log_allowed(connection->all->limit, 10, daemon_now()))
		log_info("server: connection of %s ended: %s", addr_text(connection->origin.source, text), why);
	connection_close(connection);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	free(request);
}

/* After the last answer (T-09): our end is closed, and what still comes is thrown away
 * until the host's is, since closing at once could take the answer from it. */
static void connection_end(struct connection *connection)
{
	uv_shutdown_t *request = malloc(sizeof(*request));

	connection->ending_since = daemon_now();
	connection->len = 0;
	if (!request || uv_shutdown(request, (uv_stream_t *)&connection->tcp, on_shutdown)) {
		free(request);
		connection_close(connection);
	}
}

/* --- reading ---------------------------------------------------------------------- */

static void connection_pause(struct connection *connection)
{
	uv_read_stop((uv_stream_t *)&connection->tcp);
	connection->paused_since = daemon_now();
}

/* Handles the whole messages in the buffer, in order (T-08, T-33). Returns the bytes used. */
static size_t take_messages(struct connection *connection, uint64_t now)
{
	struct sessions *sessions = connection->all->rsipd->sessions;
	size_t at = 0;

	while (!uv_is_closing((uv_handle_t *)&connection->tcp) && !connection->ending_since) {
		size_t left = connection->len - at;
		int frame = msg_frame_len(connection->data + at, left);

		/* -1: the header cannot be right; its answer ends the connection. */
		if (frame < 0)
			frame = RSIP_HEADER_LEN;
		if (frame == 0 || (size_t)frame > left)
			return at;
		if (session_waits(sessions, &connection->origin)) {
			connection_pause(connection);
			return at;
		}
		session_input(sessions, &connection->origin, connection->data + at, (size_t)frame, now);
		at += (size_t)frame;
		if (uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp) > UNSENT_PAUSE ||
		    commit_full(connection->all->rsipd->commit)) {
			connection_pause(connection);
			return at;
		}
	}
	return connection->len;
}

/* Room for at least one more byte; a message is never longer than RSIP_MESSAGE_MAX. */
static bool connection_grow(struct connection *connection)
{
	size_t capacity = connection->capacity * 2;
	uint8_t *data;

	if (connection->len < connection->capacity)
		return true;
	if (capacity > RSIP_MESSAGE_MAX + 1)
		capacity = RSIP_MESSAGE_MAX + 1;
	data = realloc(connection->data, capacity);
	if (!data)
		return false;
	connection->data = data;
	connection->capacity = capacity;
	return true;
}

static void connection_work(struct connection *connection)
{
	uint64_t now = daemon_now();
	size_t used = take_messages(connection, now);

	if (uv_is_closing((uv_handle_t *)&connection->tcp) || connection->ending_since)
		return;
	connection->len -= used;
	memmove(connection->data, connection->data + used, connection->len);
	if (!connection->len)
		connection->message_since = 0;
	else if (used || !connection->message_since)
		connection->message_since = now;
	if (!connection_grow(connection))
		connection_cut(connection, CUT_NO_MEMORY);
}

static void on_stream_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	struct connection *connection = handle->data;

	*buf = uv_buf_init((char *)connection->data + connection->len,
			   (unsigned int)(connection->capacity - connection->len));
}

static void on_stream(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct connection *connection = stream->data;

	if (len < 0) {
		connection_close(connection);
		return;
	}
	if (len == 0 || connection->ending_since)
		return;
	connection->active = daemon_now();
	connection->len += (size_t)len;
	connection_work(connection);
}

/* --- writing ---------------------------------------------------------------------- */

/* Reads on after connection_pause(), unless answers still wait. */
static void connection_resume(struct connection *connection)
{
	uv_stream_t *stream = (uv_stream_t *)&connection->tcp;

	if (!connection->paused_since || uv_stream_get_write_queue_size(stream) > UNSENT_PAUSE / 2)
		return;
	connection->paused_since = 0;
	connection_work(connection);
	if (!uv_is_closing((uv_handle_t *)stream) && !connection->paused_since)
		uv_read_start(stream, on_stream_buffer, on_stream);
}

void connections_resume(struct connections *all)
{
	struct connection *connection, *next;

	HASH_ITER(hh, all->open, connection, next)
		connection_resume(connection);
}

struct unsent {
	uv_write_t request;
	char data[];
};

static void on_written(uv_write_t *request, int status)
{
	struct connection *connection = request->handle->data;
	uv_stream_t *stream = request->handle;

	free((char *)request - offsetof(struct unsent, request));
	if (uv_is_closing((uv_handle_t *)stream))
		return;
	if (status < 0) {
		connection_close(connection);
		return;
	}
	if (!commit_full(connection->all->rsipd->commit))
		connection_resume(connection);
}

static bool write_later(struct connection *connection, const uint8_t *data, size_t len)
{
	struct unsent *unsent = malloc(sizeof(*unsent) + len);
	uv_buf_t buf;

	if (!unsent)
		return false;
	memcpy(unsent->data, data, len);
	buf = uv_buf_init(unsent->data, (unsigned int)len);
	if (uv_write(&unsent->request, (uv_stream_t *)&connection->tcp, &buf, 1, on_written)) {
		free(unsent);
		return false;
	}
	return true;
}

void connections_send(struct connections *all, const struct origin *to, const uint8_t *data, size_t len, bool end)
{
	struct connection *connection;
	uv_buf_t buf = uv_buf_init((char *)data, (unsigned int)len);
	int sent;

	HASH_FIND(hh, all->open, &to->connection, sizeof(to->connection), connection);
	/* No connection: an asynchronous message is dropped, never a connection made (ASY-07). */
	if (!connection || connection->ending_since)
		return;
	sent = uv_try_write((uv_stream_t *)&connection->tcp, &buf, 1);
	if (sent == UV_EAGAIN)
		sent = 0;
	if (sent < 0) {
		connection_close(connection);
		return;
	}
	if ((size_t)sent < len && !write_later(connection, data + sent, len - (size_t)sent)) {
		connection_cut(connection, CUT_NO_MEMORY);
		return;
	}
	if (uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp) > UNSENT_MAX) {
		connection_cut(connection, CUT_STALLED);
		return;
	}
	if (end)
		connection_end(connection);
}

/* --- accepting ------------------------------------------------------------------- */

/* A host's silent connections may be those of its life before a reboot: they make room. */
static void limit_host(struct connections *all, __be32 source)
{
	struct connection *connection, *next, *silent = NULL;
	unsigned int count = 0;

	HASH_ITER(hh, all->open, connection, next) {
		if (connection->origin.source != source)
			continue;
		count++;
		if (!silent || connection->active < silent->active)
			silent = connection;
	}
	if (count >= CONNECTIONS_PER_HOST)
		connection_cut(silent, CUT_TOO_MANY);
}

static bool is_registered(const struct connections *all, const struct connection *connection)
{
	return lease_client_by_address(session_leases(all->rsipd->sessions), connection->origin.source);
}

/* Of those whose host is not registered the one that was silent longest makes room. */
static bool limit_all(struct connections *all)
{
	struct connection *connection, *next, *silent = NULL;

	if (HASH_COUNT(all->open) < CONNECTIONS_MAX)
		return true;
	HASH_ITER(hh, all->open, connection, next) {
		if ((!silent || connection->active < silent->active) && !is_registered(all, connection))
			silent = connection;
	}
	if (silent)
		connection_cut(silent, CUT_FULL);
	else
		all->counters.refused++;
	return silent;
}

static bool learn_origin(struct connection *connection, __be32 local)
{
	struct sockaddr_in peer = { 0 };
	int len = sizeof(peer);

	if (uv_tcp_getpeername(&connection->tcp, (struct sockaddr *)&peer, &len) || peer.sin_family != AF_INET)
		return false;
	connection->origin = (struct origin){
		.source = peer.sin_addr.s_addr, .source_port = peer.sin_port, .local = local, .tcp = true,
		.connection = ++connection->all->ids,
	};
	return true;
}

void connections_accept(struct connections *all, uv_stream_t *listener, __be32 local)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return;
	connection->all = all;
	connection->active = daemon_now();
	connection->capacity = BUFFER_FIRST;
	connection->data = malloc(connection->capacity);
	uv_tcp_init(all->rsipd->loop, &connection->tcp);
	connection->tcp.data = connection;
	if (!connection->data || uv_accept(listener, (uv_stream_t *)&connection->tcp) ||
	    !learn_origin(connection, local) || !limit_all(all)) {
		uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
		return;
	}
	limit_host(all, connection->origin.source);
	HASH_ADD(hh, all->open, origin.connection, sizeof(connection->origin.connection), connection);
	uv_tcp_nodelay(&connection->tcp, 1);
	uv_tcp_keepalive(&connection->tcp, 1, KEEPALIVE_S);
	uv_read_start((uv_stream_t *)&connection->tcp, on_stream_buffer, on_stream);
}

/* Whether it is time to end a connection, and why. */
static bool is_overdue(const struct connections *all, const struct connection *connection, uint64_t now,
		       enum connection_cut *why)
{
	if (connection->ending_since) {
		*why = CUT_LEFT_OPEN;
		return now - connection->ending_since > LINGER_MS;
	}
	if (connection->paused_since) {
		*why = CUT_STALLED;
		return now - connection->paused_since > STALLED_MS;
	}
	*why = CUT_HALF_MESSAGE;
	if (connection->message_since && now - connection->message_since > HALF_MESSAGE_MS)
		return true;
	*why = CUT_IDLE;
	return now - connection->active > IDLE_MS && !is_registered(all, connection);
}

void connections_tick(struct connections *all, uint64_t now)
{
	struct connection *connection, *next;
	enum connection_cut why;

	HASH_ITER(hh, all->open, connection, next) {
		if (is_overdue(all, connection, now, &why))
			connection_cut(connection, why);
	}
}

const char *connection_cut_text(enum connection_cut cut)
{
	static const char *const texts[CUTS] = {
		[CUT_HALF_MESSAGE] = "half a message for too long",
		[CUT_STALLED] = "it does not read its answers",
		[CUT_IDLE] = "idle, and the host is not registered",
		[CUT_TOO_MANY] = "the host opened too many",
		[CUT_FULL] = "others need the room, and the host is not registered",
		[CUT_LEFT_OPEN] = "the host left it open",
		[CUT_NO_MEMORY] = "out of memory",
	};

	return texts[cut];
}

const struct connection_counters *connections_counters(const struct connections *all)
{
	return &all->counters;
}

/* --- all of them ------------------------------------------------------------------------ */

struct connections *connections_new(struct rsipd *rsipd, struct log_limit *limit)
{
	struct connections *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->rsipd = rsipd;
	all->limit = limit;
	return all;
}

void connections_close(struct connections *all)
{
	struct connection *connection, *next;

	HASH_ITER(hh, all->open, connection, next)
		connection_close(connection);
}

void connections_free(struct connections *all)
{
	free(all);
}
