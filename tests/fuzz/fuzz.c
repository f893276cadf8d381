// SPDX-License-Identifier: GPL-2.0-only
/* See fuzz.h. */
#include "fuzz.h"

#include <string.h>

#include <rsip/proto.h>

uint8_t *fuzz_take(struct reader *r, size_t *len)
{
	const uint8_t *bytes;
	uint8_t *copy;

	if (*len > r->left)
		*len = r->left;
	bytes = read_bytes(r, *len);
	if (!bytes)
		*len = 0;
	copy = malloc(*len ? *len : 1);
	if (bytes)
		memcpy(copy, bytes, *len);
	return copy;
}

void fuzz_map_param(uint8_t *data, size_t len, uint8_t param, uint32_t (*map)(uint32_t value, void *arg), void *arg)
{
	size_t at = RSIP_HEADER_LEN;

	while (at + RSIP_PARAM_HEADER_LEN <= len) {
		struct reader r = { data + at, RSIP_PARAM_HEADER_LEN, false };
		uint8_t type = read_u8(&r);
		uint16_t size = read_u16(&r);

		at += RSIP_PARAM_HEADER_LEN;
		if (size > len - at)
			return;
		if (type == param && size == 4) {
			struct reader value = { data + at, 4, false };
			struct writer w = { data + at, 0, 4, false };

			write_u32(&w, map(read_u32(&value), arg));
		}
		at += size;
	}
}
