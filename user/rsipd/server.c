/* SPDX-License-Identifier: GPL-2.0-only */
/* The RSIP sockets, over libuv. */
#include "rsipd/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "lib/log.h"
#include "lib/msg.h"
#include "rsipd/outbox.h"
#include "rsipd/commit.h"

/* TCP (SEC-08) */
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
#define BACKLOG			128

/* UDP */
#define DATAGRAM_SLOT		65536	/* libuv cuts the buffer into these */
#define DATAGRAMS		16	/* of one recvmmsg */
#define SOCKET_BUFFER		(1 << 20)

struct connection {
	uv_tcp_t tcp;
	struct server *server;
	struct origin origin;
	uint8_t *data;			/* what is not yet a whole message */
	size_t len, capacity;
	uint64_t active;		/* last byte received */
	uint64_t message_since;		/* a message is half read since then; 0: none is */
	uint64_t paused_since;		/* no requests are read since then; 0: they are */
	uint64_t ending_since;		/* our end is closed; 0: it is not */
	UT_hash_handle hh;		/* by origin.connection */
};

struct endpoint {			/* of one private interface */
	struct server *server;
	__be32 address;
	char name[IF_NAMESIZE];		/* and what it was when the sockets were bound to it: */
	unsigned int ifindex;
	uv_udp_t udp;
	uv_tcp_t tcp;
	bool udp_open, tcp_open;
	int udp_fd;			/* owned by udp */
};

struct server {
	struct rsipd *rsipd;
	struct endpoint *endpoints;
	size_t endpoint_count;
	struct outbox *outbox;
	struct connection *connections;	/* hash */
	uint64_t connection_ids;
	struct server_counters counters;
	struct log_limit limit;
	char datagrams[DATAGRAMS * DATAGRAM_SLOT];
};

/* --- UDP -------------------------------------------------------------------------- */

static void on_datagram_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	const struct endpoint *endpoint = handle->data;

	*buf = uv_buf_init(endpoint->server->datagrams, sizeof(endpoint->server->datagrams));
}

static void on_datagram(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf, const struct sockaddr *address,
			unsigned int flags)
{
	const struct endpoint *endpoint = udp->data;
	const struct sockaddr_in *source = (const struct sockaddr_in *)address;
	struct origin from = { .local = endpoint->address };

	if (len < 0) {
		if (log_allowed(&endpoint->server->limit, 10, daemon_now()))
			log_warn("server: receiving over UDP failed: %s", uv_strerror((int)len));
		return;
	}
	/* No address: nothing was there, or libuv gives the buffer back. */
	if (!source || flags & UV_UDP_PARTIAL)
		return;
	/* The disk is behind: as if it were lost on the way, the host asks again. */
	if (commit_full(endpoint->server->rsipd->commit))
		return;
	from.source = source->sin_addr.s_addr;
	from.source_port = source->sin_port;
	session_input(endpoint->server->rsipd->sessions, &from, (const uint8_t *)buf->base, (size_t)len, daemon_now());
}

/* From the address the request came to (T-31): the socket is bound to it. */
static void send_datagram(struct server *server, const struct origin *to, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < server->endpoint_count; i++) {
		const struct endpoint *endpoint = &server->endpoints[i];

		if (endpoint->udp_open && endpoint->address == to->local)
			outbox_put(server->outbox, endpoint->udp_fd, to->source, to->source_port, data, len);
	}
}

/* --- TCP: the life of a connection ---------------------------------------------------- */

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
	HASH_DEL(connection->server->connections, connection);
	uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
}

static void connection_cut(struct connection *connection, enum server_cut cut)
{
	const char *why = server_cut_text(cut);
	char text[ADDR_TEXT_LEN];

	connection->server->counters.cut[cut]++;

	if (log_allowed(&connection->server->limit, 10, daemon_now()))
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

/* --- TCP: reading ---------------------------------------------------------------------- */

static void connection_pause(struct connection *connection)
{
	uv_read_stop((uv_stream_t *)&connection->tcp);
	connection->paused_since = daemon_now();
}

/* Handles the whole messages in the buffer, in order (T-08, T-33). Returns the bytes used. */
static size_t take_messages(struct connection *connection, uint64_t now)
{
	struct sessions *sessions = connection->server->rsipd->sessions;
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
		    commit_full(connection->server->rsipd->commit)) {
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
		connection_cut(connection, SERVER_NO_MEMORY);
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

/* --- TCP: writing ---------------------------------------------------------------------- */

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

void server_resume(struct server *server)
{
	struct connection *connection, *next;

	HASH_ITER(hh, server->connections, connection, next)
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
	if (!commit_full(connection->server->rsipd->commit))
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

static void send_stream(struct server *server, const struct origin *to, const uint8_t *data, size_t len, bool end)
{
	struct connection *connection;
	uv_buf_t buf = uv_buf_init((char *)data, (unsigned int)len);
	int sent;

	HASH_FIND(hh, server->connections, &to->connection, sizeof(to->connection), connection);
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
		connection_cut(connection, SERVER_NO_MEMORY);
		return;
	}
	if (uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp) > UNSENT_MAX) {
		connection_cut(connection, SERVER_STALLED);
		return;
	}
	if (end)
		connection_end(connection);
}

void server_send(const struct origin *to, const uint8_t *data, size_t len, bool end, void *arg)
{
	if (to->tcp)
		send_stream(arg, to, data, len, end);
	else
		send_datagram(arg, to, data, len);
}

/* --- TCP: accepting ------------------------------------------------------------------- */

/* A host's silent connections may be those of its life before a reboot: they make room. */
static void limit_host(struct server *server, __be32 source)
{
	struct connection *connection, *next, *silent = NULL;
	unsigned int count = 0;

	HASH_ITER(hh, server->connections, connection, next) {
		if (connection->origin.source != source)
			continue;
		count++;
		if (!silent || connection->active < silent->active)
			silent = connection;
	}
	if (count >= CONNECTIONS_PER_HOST)
		connection_cut(silent, SERVER_TOO_MANY);
}

static bool is_registered(const struct server *server, const struct connection *connection)
{
	return lease_client_by_address(session_leases(server->rsipd->sessions), connection->origin.source);
}

/* Of those whose host is not registered the one that was silent longest makes room. */
static bool limit_all(struct server *server)
{
	struct connection *connection, *next, *silent = NULL;

	if (HASH_COUNT(server->connections) < CONNECTIONS_MAX)
		return true;
	HASH_ITER(hh, server->connections, connection, next) {
		if ((!silent || connection->active < silent->active) && !is_registered(server, connection))
			silent = connection;
	}
	if (silent)
		connection_cut(silent, SERVER_FULL);
	else
		server->counters.refused++;
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
		.connection = ++connection->server->connection_ids,
	};
	return true;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct endpoint *endpoint = listener->data;
	struct server *server = endpoint->server;
	struct connection *connection;

	if (status < 0) {
		if (log_allowed(&server->limit, 10, daemon_now()))
			log_warn("server: a connection could not be accepted: %s", uv_strerror(status));
		return;
	}
	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return;
	connection->server = server;
	connection->active = daemon_now();
	connection->capacity = BUFFER_FIRST;
	connection->data = malloc(connection->capacity);
	uv_tcp_init(server->rsipd->loop, &connection->tcp);
	connection->tcp.data = connection;
	if (!connection->data || uv_accept(listener, (uv_stream_t *)&connection->tcp) ||
	    !learn_origin(connection, endpoint->address) || !limit_all(server)) {
		uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
		return;
	}
	limit_host(server, connection->origin.source);
	HASH_ADD(hh, server->connections, origin.connection, sizeof(connection->origin.connection), connection);
	uv_tcp_nodelay(&connection->tcp, 1);
	uv_tcp_keepalive(&connection->tcp, 1, KEEPALIVE_S);
	uv_read_start((uv_stream_t *)&connection->tcp, on_stream_buffer, on_stream);
}

/* Whether it is time to end a connection, and why. */
static bool is_overdue(const struct server *server, const struct connection *connection, uint64_t now,
		       enum server_cut *why)
{
	if (connection->ending_since) {
		*why = SERVER_LEFT_OPEN;
		return now - connection->ending_since > LINGER_MS;
	}
	if (connection->paused_since) {
		*why = SERVER_STALLED;
		return now - connection->paused_since > STALLED_MS;
	}
	*why = SERVER_HALF_MESSAGE;
	if (connection->message_since && now - connection->message_since > HALF_MESSAGE_MS)
		return true;
	*why = SERVER_IDLE;
	return now - connection->active > IDLE_MS && !is_registered(server, connection);
}

static void bind_again(const uv_handle_t *handle, const char *name)
{
	uv_os_fd_t fd;

	if (uv_fileno(handle, &fd) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)))
		log_warn("server: %s: cannot listen there again: %s", name, strerror(errno));
}

/* A socket is bound to an interface by its index, which is another one when it was made anew. */
static void follow_interface(struct endpoint *endpoint)
{
	unsigned int ifindex = if_nametoindex(endpoint->name);

	if (!ifindex || ifindex == endpoint->ifindex)
		return;
	endpoint->ifindex = ifindex;
	if (endpoint->udp_open)
		bind_again((const uv_handle_t *)&endpoint->udp, endpoint->name);
	if (endpoint->tcp_open)
		bind_again((const uv_handle_t *)&endpoint->tcp, endpoint->name);
}

void server_tick(struct server *server, uint64_t now)
{
	struct connection *connection, *next;
	enum server_cut why;

	for (size_t i = 0; i < server->endpoint_count; i++)
		follow_interface(&server->endpoints[i]);
	HASH_ITER(hh, server->connections, connection, next) {
		if (is_overdue(server, connection, now, &why))
			connection_cut(connection, why);
	}
}

const char *server_cut_text(enum server_cut cut)
{
	static const char *const texts[SERVER_CUTS] = {
		[SERVER_HALF_MESSAGE] = "half a message for too long",
		[SERVER_STALLED] = "it does not read its answers",
		[SERVER_IDLE] = "idle, and the host is not registered",
		[SERVER_TOO_MANY] = "the host opened too many",
		[SERVER_FULL] = "others need the room, and the host is not registered",
		[SERVER_LEFT_OPEN] = "the host left it open",
		[SERVER_NO_MEMORY] = "out of memory",
	};

	return texts[cut];
}

const struct server_counters *server_counters(const struct server *server)
{
	return &server->counters;
}

/* --- opening and closing ---------------------------------------------------------------- */

/* Bound to the interface as well as to the address: a packet for that address that comes
 * in by another interface, a public one above all, does not reach it (SEC-02). */
static int bound_socket(int type, const struct config_interface *interface, uint16_t port)
{
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, size = SOCKET_BUFFER, err;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	address.sin_addr.s_addr = interface->address;
	if (fd < 0)
		return -errno;
	if ((type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one))) ||
	    (type == SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size))) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface->name, (socklen_t)strlen(interface->name)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int open_udp(struct endpoint *endpoint, const struct config_interface *interface, uint16_t port)
{
	int fd = bound_socket(SOCK_DGRAM, interface, port), err;

	if (fd < 0)
		return fd;
	err = uv_udp_init_ex(endpoint->server->rsipd->loop, &endpoint->udp, AF_UNSPEC | UV_UDP_RECVMMSG);
	if (!err) {
		endpoint->udp.data = endpoint;
		endpoint->udp_open = true;
		endpoint->udp_fd = fd;
		err = uv_udp_open(&endpoint->udp, fd);
	}
	if (err) {
		close(fd);
		return err;
	}
	return uv_udp_recv_start(&endpoint->udp, on_datagram_buffer, on_datagram);
}

static int open_tcp(struct endpoint *endpoint, const struct config_interface *interface, uint16_t port)
{
	int fd = bound_socket(SOCK_STREAM, interface, port), err;

	if (fd < 0)
		return fd;
	err = uv_tcp_init(endpoint->server->rsipd->loop, &endpoint->tcp);
	if (!err) {
		endpoint->tcp.data = endpoint;
		endpoint->tcp_open = true;
		err = uv_tcp_open(&endpoint->tcp, fd);
	}
	if (err) {
		close(fd);
		return err;
	}
	return uv_listen((uv_stream_t *)&endpoint->tcp, BACKLOG, on_connection);
}

struct server *server_new(struct rsipd *rsipd)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->rsipd = rsipd;
	server->endpoints = calloc(rsipd->config->private_count, sizeof(*server->endpoints));
	if (!server->endpoints) {
		server_free(server);
		return NULL;
	}
	server->outbox = outbox_new(rsipd->loop);	/* last: it is in the loop from here on */
	if (!server->outbox) {
		server_free(server);
		return NULL;
	}
	return server;
}

int server_listen(struct server *server)
{
	const struct config *config = server->rsipd->config;

	for (size_t i = 0; i < config->private_count; i++) {
		const struct config_interface *interface = &config->private_interfaces[i];
		struct endpoint *endpoint = &server->endpoints[server->endpoint_count++];
		char text[ADDR_TEXT_LEN];
		const char *what = "UDP";
		int err;

		endpoint->server = server;
		endpoint->address = interface->address;
		memcpy(endpoint->name, interface->name, sizeof(endpoint->name));
		endpoint->ifindex = if_nametoindex(interface->name);
		/* With UDP off it is still read, to answer 102 (T-07). */
		err = open_udp(endpoint, interface, config->server.port);
		if (!err && config->server.tcp) {
			what = "TCP";
			err = open_tcp(endpoint, interface, config->server.port);
		}
		if (err) {
			log_error("server: %s %s port %u on %s: %s", what, addr_text(interface->address, text),
				  config->server.port, interface->name, uv_strerror(err));
			return err;
		}
	}
	return 0;
}

void server_close(struct server *server)
{
	struct connection *connection, *next;

	if (!server)
		return;
	outbox_close(server->outbox);
	for (size_t i = 0; i < server->endpoint_count; i++) {
		if (server->endpoints[i].udp_open)
			uv_close((uv_handle_t *)&server->endpoints[i].udp, NULL);
		if (server->endpoints[i].tcp_open)
			uv_close((uv_handle_t *)&server->endpoints[i].tcp, NULL);
	}
	HASH_ITER(hh, server->connections, connection, next)
		connection_close(connection);
}

void server_free(struct server *server)
{
	if (!server)
		return;
	outbox_free(server->outbox);
	free(server->endpoints);
	free(server);
}
