/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Datagrams that are sent together: what is put in during one turn of the loop
 * leaves with one system call before the loop waits again. One that does not fit
 * into the socket's buffer is lost like any datagram; the host asks again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <linux/types.h>

struct outbox;

/* NULL if memory is short. */
struct outbox *outbox_new(uv_loop_t *loop);
/* Copies the datagram. `fd`: the socket to send it from. */
void outbox_put(struct outbox *box, int fd, __be32 addr, __be16 port, const uint8_t *data, size_t len);
/* Sends what is in it now. */
void outbox_flush(struct outbox *box);
/* Flushes and closes its handle; run the loop until it is, then outbox_free(). Accept NULL. */
void outbox_close(struct outbox *box);
void outbox_free(struct outbox *box);
