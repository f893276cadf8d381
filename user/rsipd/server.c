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

#include "lib/log.h"
#include "rsipd/commit.h"
#include "rsipd/connections.h"
#include "rsipd/outbox.h"

#define BACKLOG			128	/* connections that wait to be accepted */
#define DATAGRAM_SLOT		65536	/* libuv cuts the buffer into these */
#define DATAGRAMS		16	/* of one recvmmsg */
#define SOCKET_BUFFER		(1 << 20)

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
	struct connections *connections;
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

/* --- TCP -------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status)
{
	const struct endpoint *endpoint = listener->data;
	struct server *server = endpoint->server;

	if (status < 0) {
		if (log_allowed(&server->limit, 10, daemon_now()))
			log_warn("server: a connection could not be accepted: %s", uv_strerror(status));
		return;
	}
	connections_accept(server->connections, listener, endpoint->address);
}

/* --- both ------------------------------------------------------------------------- */

void server_send(const struct origin *to, const uint8_t *data, size_t len, bool end, void *arg)
{
	struct server *server = arg;

	if (to->tcp)
		connections_send(server->connections, to, data, len, end);
	else
		send_datagram(server, to, data, len);
}

void server_resume(struct server *server)
{
	connections_resume(server->connections);
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
	for (size_t i = 0; i < server->endpoint_count; i++)
		follow_interface(&server->endpoints[i]);
	connections_tick(server->connections, now);
}

const struct connection_counters *server_counters(const struct server *server)
{
	return connections_counters(server->connections);
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
	server->connections = connections_new(rsipd, &server->limit);
	if (!server->connections) {
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
	if (!server)
		return;
	outbox_close(server->outbox);
	for (size_t i = 0; i < server->endpoint_count; i++) {
		if (server->endpoints[i].udp_open)
			uv_close((uv_handle_t *)&server->endpoints[i].udp, NULL);
		if (server->endpoints[i].tcp_open)
			uv_close((uv_handle_t *)&server->endpoints[i].tcp, NULL);
	}
	connections_close(server->connections);
}

void server_free(struct server *server)
{
	if (!server)
		return;
	outbox_free(server->outbox);
	connections_free(server->connections);
	free(server->endpoints);
	free(server);
}
