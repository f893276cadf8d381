/* SPDX-License-Identifier: GPL-2.0-only */
/* Which ports of a leased address this host's sockets use, TIME_WAIT included: by sock_diag. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

struct sockets {		/* of one address */
	uint8_t used[65536 / 8];	/* a bit for each port in use */
	uint8_t resting[65536 / 8];	/* ... and for each with a connection in TIME_WAIT */
};

/* 0, or -errno: not known. TCP and UDP, of both families: IPv6 sockets use IPv4 addresses too. */
int sockets_read(__be32 address, struct sockets *out);
bool sockets_use(const struct sockets *s, uint16_t port);	/* host order */
bool sockets_rest(const struct sockets *s, uint16_t port);
