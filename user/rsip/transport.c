// SPDX-License-Identifier: GPL-2.0-only
/* UDP and TCP by libuv; TCP is cut by Overall length and comes back by itself. */
#include "rsip/transport.h"

#include <stdlib.h>
#include <string.h>

#include <rsip/proto.h>

#include "lib/log.h"
#include "lib/msg.h"

#define RETRY_FIRST_MS	100
#define RETRY_MAX_MS	5000

struct transport {
	uv_loop_t *loop;
	struct sockaddr_in gateway;
	struct transport_ops ops;
	void *arg;
	bool tcp;
	__be32 source;
	uv_udp_t *udp;			/* each handle's data is the transport, or NULL while it closes */
	uv_tcp_t *stream;
	bool open;			/* the stream is connected */
	bool was_open;			/* ... and has been before */
	uv_timer_t *retry;
	uint64_t retry_ms;
	size_t waiting_len, in_len;
	uint8_t waiting[RSIP_MESSAGE_MAX];	/* to be sent when connected: the one request in flight */
	uint8_t in[RSIP_MESSAGE_MAX];
	uint8_t chunk[RSIP_MESSAGE_MAX];	/* what libuv reads into */
};

static void stream_start(struct transport *t);

static void handle_freed(uv_handle_t *handle)
{
	free(handle);
}

/* Takes a handle away from the transport; it is freed when libuv is done with it. */
static void handle_close(void *at)
{
	uv_handle_t **handle = at;

	if (*handle == NULL)
		return;
	(*handle)->data = NULL;
	uv_close(*handle, handle_freed);
	*handle = NULL;
}

static void lend_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct transport *t = handle->data;

	*buf = t != NULL ? uv_buf_init((char *)t->chunk, sizeof(t->chunk)) : uv_buf_init(NULL, 0);
}

static __be32 address_of(int err, const struct sockaddr_storage *name)
{
	return err ? 0 : ((const struct sockaddr_in *)name)->sin_addr.s_addr;
}

/* --- UDP ------------------------------------------------------------------------------ */

static void udp_received(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
	struct transport *t = udp->data;

	/* An error is an ICMP answer: nobody listens there at the moment. */
	if (t != NULL && len > 0)
		t->ops.message((const uint8_t *)buf->base, (size_t)len, t->arg);
}

static int udp_open(struct transport *t)
{
	struct sockaddr_storage name;
	int len = sizeof(name), err;

	t->udp = malloc(sizeof(*t->udp));
	if (t->udp == NULL)
		return UV_ENOMEM;
	uv_udp_init(t->loop, t->udp);
	t->udp->data = t;
	/* Connected: datagrams from elsewhere never reach us. */
	err = uv_udp_connect(t->udp, (const struct sockaddr *)&t->gateway);
	if (!err)
		err = uv_udp_recv_start(t->udp, lend_chunk, udp_received);
	if (err) {
		handle_close(&t->udp);
		return err;
	}
	t->source = address_of(uv_udp_getsockname(t->udp, (struct sockaddr *)&name, &len), &name);
	return 0;
}

static void udp_send(struct transport *t, const uint8_t *data, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)data, (unsigned int)len);
	int err = t->udp == NULL ? udp_open(t) : 0;

	if (!err)
		err = uv_udp_try_send(t->udp, &buf, 1, NULL);
	if (err >= 0)
		return;
	log_debug("sending to the gateway: %s", uv_strerror(err));
	/* The address or the route is gone: the next try may find another. */
	if (err != UV_EAGAIN && err != UV_ECONNREFUSED)
		handle_close(&t->udp);
}

/* --- TCP ------------------------------------------------------------------------------ */

static void retry_due(uv_timer_t *timer)
{
	struct transport *t = timer->data;

	handle_close(&t->retry);
	if (t->stream == NULL)
		stream_start(t);
}

static void retry_later(struct transport *t)
{
	if (t->retry != NULL)
		return;
	t->retry = malloc(sizeof(*t->retry));
	if (t->retry == NULL)
		return;
	uv_timer_init(t->loop, t->retry);
	t->retry->data = t;
	uv_timer_start(t->retry, retry_due, t->retry_ms, 0);
	t->retry_ms = t->retry_ms * 2 < RETRY_MAX_MS ? t->retry_ms * 2 : RETRY_MAX_MS;
}

static void stream_lost(struct transport *t, const char *why)
{
	if (t->open)
		log_info("the TCP connection to the gateway is lost: %s", why);
	else
		log_debug("cannot connect to the gateway: %s", why);
	handle_close(&t->stream);
	t->open = false;
	t->in_len = 0;
	retry_later(t);
}

/* Hands over every whole message in `in`. The transport may be closed by what they cause. */
static void stream_cut(struct transport *t)
{
	uv_tcp_t *stream = t->stream;
	size_t at = 0;

	while (t->stream == stream) {
		int len = msg_frame_len(t->in + at, t->in_len - at);

		if (len < 0) {
			stream_lost(t, "what it sends is not RSIP");
			return;
		}
		if (len == 0)
			break;
		t->ops.message(t->in + at, (size_t)len, t->arg);
		at += (size_t)len;
	}
	if (t->stream != stream)
		return;
	memmove(t->in, t->in + at, t->in_len - at);
	t->in_len -= at;
}

static void stream_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct transport *t = stream->data;
	const char *data = buf->base;

	if (t == NULL || len == 0)
		return;
	if (len < 0) {
		stream_lost(t, uv_strerror((int)len));
		return;
	}
	/* `in` holds any message, but a chunk may bring the end of one and more. */
	while (len > 0 && (void *)t->stream == stream) {
		size_t part = sizeof(t->in) - t->in_len;

		if (part > (size_t)len)
			part = (size_t)len;
		memcpy(t->in + t->in_len, data, part);
		t->in_len += part;
		data += part;
		len -= (ssize_t)part;
		stream_cut(t);
	}
}

static void stream_written(uv_write_t *write, int err)
{
	struct transport *t = write->handle->data;

	if (err && t != NULL)
		stream_lost(t, uv_strerror(err));
	free(write);
}

static void stream_write(struct transport *t, const uint8_t *data, size_t len)
{
	/* The bytes follow the request: libuv may need them after we return. */
	uv_write_t *write = malloc(sizeof(*write) + len);
	uv_buf_t buf;
	int err;

	if (write == NULL)
		return;
	buf = uv_buf_init((char *)(write + 1), (unsigned int)len);
	memcpy(buf.base, data, len);
	err = uv_write(write, (uv_stream_t *)t->stream, &buf, 1, stream_written);
	if (err) {
		free(write);
		stream_lost(t, uv_strerror(err));
	}
}

static void stream_connected(uv_connect_t *connect, int err)
{
	struct transport *t = connect->handle->data;
	struct sockaddr_storage name;
	int len = sizeof(name);
	bool again;

	free(connect);
	if (t == NULL)
		return;
	if (!err)
		err = uv_read_start((uv_stream_t *)t->stream, lend_chunk, stream_read);
	if (err) {
		stream_lost(t, uv_strerror(err));
		return;
	}
	uv_tcp_nodelay(t->stream, 1);
	t->source = address_of(uv_tcp_getsockname(t->stream, (struct sockaddr *)&name, &len), &name);
	t->retry_ms = RETRY_FIRST_MS;
	again = t->was_open;
	t->open = t->was_open = true;
	if (t->waiting_len > 0) {
		stream_write(t, t->waiting, t->waiting_len);
		t->waiting_len = 0;
	} else if (again) {
		t->ops.reconnected(t->arg);
	}
}

static void stream_start(struct transport *t)
{
	struct sockaddr_in source = { .sin_family = AF_INET, .sin_addr.s_addr = t->source };
	uv_connect_t *connect = malloc(sizeof(*connect));
	int err;

	t->stream = malloc(sizeof(*t->stream));
	if (connect == NULL || t->stream == NULL) {
		free(connect);
		free(t->stream);
		t->stream = NULL;
		retry_later(t);
		return;
	}
	uv_tcp_init(t->loop, t->stream);
	t->stream->data = t;
	err = t->source != 0 ? uv_tcp_bind(t->stream, (const struct sockaddr *)&source, 0) : 0;
	if (!err)
		err = uv_tcp_connect(connect, t->stream, (const struct sockaddr *)&t->gateway, stream_connected);
	if (err) {
		free(connect);
		t->source = 0;
		stream_lost(t, uv_strerror(err));
	}
}

static void stream_send(struct transport *t, const uint8_t *data, size_t len)
{
	if (t->open) {
		stream_write(t, data, len);
		return;
	}
	memcpy(t->waiting, data, len);
	t->waiting_len = len;
	if (t->stream == NULL && t->retry == NULL)
		stream_start(t);
}

/* --- both ------------------------------------------------------------------------------ */

struct transport *transport_new(uv_loop_t *loop, const struct sockaddr_in *gateway, bool tcp,
				const struct transport_ops *ops, void *arg)
{
	struct transport *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->loop = loop;
	t->gateway = *gateway;
	t->tcp = tcp;
	t->ops = *ops;
	t->arg = arg;
	t->retry_ms = RETRY_FIRST_MS;
	return t;
}

void transport_send(struct transport *t, const uint8_t *data, size_t len)
{
	if (len > RSIP_MESSAGE_MAX)
		return;
	if (t->tcp)
		stream_send(t, data, len);
	else
		udp_send(t, data, len);
}

static void close_all(struct transport *t)
{
	handle_close(&t->udp);
	handle_close(&t->stream);
	handle_close(&t->retry);
	t->open = t->was_open = false;
	t->waiting_len = t->in_len = 0;
	t->retry_ms = RETRY_FIRST_MS;
}

void transport_use_tcp(struct transport *t)
{
	close_all(t);
	t->tcp = true;
}

void transport_reset(struct transport *t)
{
	close_all(t);
	t->source = 0;
}

bool transport_is_tcp(const struct transport *t)
{
	return t->tcp;
}

__be32 transport_source(const struct transport *t)
{
	return t->source;
}

void transport_free(struct transport *t)
{
	if (t == NULL)
		return;
	close_all(t);
	free(t);
}
