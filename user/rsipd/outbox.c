/* SPDX-License-Identifier: GPL-2.0-only */
/* See outbox.h. */
#include "rsipd/outbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/addr.h"
#include "lib/log.h"

#define DATAGRAMS	64		/* of one sendmmsg */
#define BYTES		65536		/* of all of them; the longest datagram fits */

struct outbox {
	uv_prepare_t prepare;		/* before the loop waits */
	struct log_limit limit;
	int fd;				/* of all that is in it */
	unsigned int count;
	size_t used;
	struct sockaddr_in to[DATAGRAMS];
	struct iovec iov[DATAGRAMS];
	struct mmsghdr messages[DATAGRAMS];
	uint8_t data[BYTES];
};

static void log_lost(struct outbox *box, const struct sockaddr_in *to, int err)
{
	char text[ADDR_TEXT_LEN];

	if (log_allowed(&box->limit, 10, uv_hrtime() / 1000000))
		log_warn("server: a message to %s could not be sent: %s", addr_text(to->sin_addr.s_addr, text), strerror(err));
}

/* One that cannot be sent is left out; the others go. */
void outbox_flush(struct outbox *box)
{
	unsigned int at = 0;

	while (at < box->count) {
		int sent = sendmmsg(box->fd, box->messages + at, box->count - at, MSG_DONTWAIT);

		if (sent > 0) {
			at += (unsigned int)sent;
		} else if (errno != EINTR) {
			log_lost(box, &box->to[at], errno);
			at++;
		}
	}
	box->count = 0;
	box->used = 0;
}

static void on_prepare(uv_prepare_t *prepare)
{
	outbox_flush(prepare->data);
}

void outbox_put(struct outbox *box, int fd, __be32 addr, __be16 port, const uint8_t *data, size_t len)
{
	struct sockaddr_in *to;
	struct iovec *iov;

	if (box->count == DATAGRAMS || len > BYTES - box->used || (box->count && fd != box->fd))
		outbox_flush(box);
	if (len > BYTES)
		return;
	box->fd = fd;
	to = &box->to[box->count];
	iov = &box->iov[box->count];
	*to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = addr };
	*iov = (struct iovec){ box->data + box->used, len };
	memcpy(iov->iov_base, data, len);
	box->used += len;
	box->messages[box->count++].msg_hdr = (struct msghdr){
		.msg_name = to, .msg_namelen = sizeof(*to), .msg_iov = iov, .msg_iovlen = 1,
	};
}

struct outbox *outbox_new(uv_loop_t *loop)
{
	struct outbox *box = calloc(1, sizeof(*box));

	if (!box)
		return NULL;
	uv_prepare_init(loop, &box->prepare);
	box->prepare.data = box;
	uv_prepare_start(&box->prepare, on_prepare);
	return box;
}

void outbox_close(struct outbox *box)
{
	if (!box)
		return;
	outbox_flush(box);
	uv_close((uv_handle_t *)&box->prepare, NULL);
}

void outbox_free(struct outbox *box)
{
	free(box);
}
