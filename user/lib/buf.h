/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A bounded reader and a bounded writer of big-endian bytes. A read past the
 * end or a write past the capacity changes nothing but `failed`, which stays
 * set: check it once, at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

struct writer {
	uint8_t *data;
	size_t len, capacity;
	bool failed;
};

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
/* `len` bytes where they stand, or NULL. */
const uint8_t *read_bytes(struct reader *r, size_t len);

void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_bytes(struct writer *w, const void *data, size_t len);
/* Overwrites two bytes written earlier, at offset `at`. */
void write_u16_at(struct writer *w, size_t at, uint16_t v);
