/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IPv4 fragmentation (RFC 791 3.2), for packets that XDP cannot send because
 * they are larger than the link and may be fragmented. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPLIT_MAX	65535	/* the largest packet, with what stands in front of it */

/* Takes one fragment, with what stands in front of it; false ends the work. */
typedef bool split_send(const uint8_t *packet, size_t len, void *arg);

/*
 * Cuts an IPv4 packet so that each part, with `front` bytes of tunnel headers
 * before it (an IPv4 header without options first, or none: 0), has at most `mtu` bytes. A
 * packet that is a fragment itself is cut on. The tunnel headers are repeated,
 * lengths and checksums made right; only options that say so are repeated.
 * `len` counts the front. 0; -EMSGSIZE: DF is set, or the MTU leaves no room;
 * -EINVAL: lengths or header checksum are wrong; -ECANCELED: `send` ended it.
 */
int split_packet(const uint8_t *packet, size_t len, size_t front, size_t mtu, split_send *send, void *arg);
