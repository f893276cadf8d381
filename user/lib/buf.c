/* SPDX-License-Identifier: GPL-2.0-only */
/* Big-endian bytes, never outside their bounds. */
#include "lib/buf.h"

#include <string.h>

const uint8_t *read_bytes(struct reader *r, size_t len)
{
	const uint8_t *at = r->at;

	if (r->failed || len > r->left) {
		r->failed = true;
		return NULL;
	}
	r->at += len;
	r->left -= len;
	return at;
}

uint8_t read_u8(struct reader *r)
{
	const uint8_t *at = read_bytes(r, 1);

	return at ? at[0] : 0;
}

uint16_t read_u16(struct reader *r)
{
	const uint8_t *at = read_bytes(r, 2);

	return at ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

uint32_t read_u32(struct reader *r)
{
	const uint8_t *at = read_bytes(r, 4);

	return at ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3] : 0;
}

void write_bytes(struct writer *w, const void *data, size_t len)
{
	if (w->failed || len > w->capacity - w->len) {
		w->failed = true;
		return;
	}
	if (len)
		memcpy(w->data + w->len, data, len);
	w->len += len;
}

void write_u8(struct writer *w, uint8_t v)
{
	write_bytes(w, &v, 1);
}

void write_u16(struct writer *w, uint16_t v)
{
	write_bytes(w, (uint8_t[]){ v >> 8, v }, 2);
}

void write_u32(struct writer *w, uint32_t v)
{
	write_bytes(w, (uint8_t[]){ v >> 24, v >> 16, v >> 8, v }, 4);
}

void write_u16_at(struct writer *w, size_t at, uint16_t v)
{
	if (w->failed || at > w->len || w->len - at < 2) {
		w->failed = true;
		return;
	}
	w->data[at] = v >> 8;
	w->data[at + 1] = v;
}
