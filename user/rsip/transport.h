/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages to and from one gateway, over UDP or TCP (RFC 3103 5). The kernel
 * chooses the source address with the first message; it is kept, since the
 * gateway knows a host by it.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct transport;

struct transport_ops {
	void (*message)(const uint8_t *data, size_t len, void *arg);	/* one whole message */
	void (*reconnected)(void *arg);		/* TCP: a lost connection is there again */
};

struct transport *transport_new(uv_loop_t *loop, const struct sockaddr_in *gateway, bool tcp,
				const struct transport_ops *ops, void *arg);
/* Opens what is closed. What cannot be sent is lost: the client sends again. */
void transport_send(struct transport *t, const uint8_t *data, size_t len);
/* From the next message on (HOST-12) */
void transport_use_tcp(struct transport *t);
/* Forgets connection and source address: the next message starts afresh. */
void transport_reset(struct transport *t);
bool transport_is_tcp(const struct transport *t);
__be32 transport_source(const struct transport *t);	/* Xa, or 0 before the first message */
void transport_free(struct transport *t);		/* accepts NULL */
