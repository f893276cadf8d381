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

/* --- in place of the random numbers of the C library ------------------------------- */

static uint64_t state;

void fuzz_random_reset(void)
{
	state = 0x9e3779b97f4a7c15;
}

uint32_t arc4random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 32;
}

uint32_t arc4random_uniform(uint32_t bound)
{
	return bound ? arc4random() % bound : 0;
}

void arc4random_buf(void *out, size_t len)
{
	uint8_t *at = out;

	while (len--)
		*at++ = arc4random();
}
