/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads and writes stay inside their bounds and say so. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "lib/buf.h"

static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };

Test(buf, reads_big_endian)
{
	struct reader r = { bytes, sizeof(bytes), false };

	cr_assert(eq(u8, read_u8(&r), 0x01));
	cr_assert(eq(u16, read_u16(&r), 0x0203));
	cr_assert(eq(u32, read_u32(&r), 0x04050607));
	cr_assert(eq(ptr, (void *)read_bytes(&r, 1), (void *)&bytes[7]));
	cr_assert(eq(sz, r.left, 0));
	cr_assert(not(r.failed));
}

Test(buf, a_read_past_the_end_changes_only_failed)
{
	/* Each size of read against each number of bytes left that is too small. */
	for (size_t left = 0; left < 4; left++) {
		struct reader r = { bytes, left, false };

		cr_assert(eq(u32, read_u32(&r), 0));
		cr_assert(r.failed);
		cr_assert(eq(ptr, (void *)r.at, (void *)bytes));
		cr_assert(eq(sz, r.left, left));
	}
	for (size_t left = 0; left < 2; left++) {
		struct reader r = { bytes, left, false };

		cr_assert(eq(u16, read_u16(&r), 0));
		cr_assert(r.failed && r.left == left);
	}
	struct reader r = { bytes, 3, false };

	cr_assert(read_bytes(&r, SIZE_MAX) == NULL);
	cr_assert(r.failed && r.left == 3);
	cr_assert(eq(u8, read_u8(&r), 0), "failed stays set, and nothing is read any more");
}

Test(buf, no_bytes_at_the_end_are_there)
{
	struct reader r = { bytes, 0, false };

	cr_assert(eq(ptr, (void *)read_bytes(&r, 0), (void *)bytes));
	cr_assert(not(r.failed));
}

Test(buf, writes_big_endian)
{
	uint8_t out[9] = { 0 };
	struct writer w = { out, 0, 8, false };

	write_u8(&w, 0x01);
	write_u16(&w, 0x0203);
	write_u32(&w, 0x04050607);
	write_bytes(&w, &bytes[7], 1);
	cr_assert(not(w.failed));
	cr_assert(eq(sz, w.len, 8));
	cr_assert_arr_eq(out, bytes, 8);
	write_u8(&w, 0xff);
	cr_assert(w.failed);
	cr_assert(eq(sz, w.len, 8));
	cr_assert(eq(u8, out[8], 0));
}

Test(buf, a_write_past_the_capacity_changes_only_failed)
{
	for (size_t capacity = 0; capacity < 4; capacity++) {
		uint8_t out[4] = { 0 };
		struct writer w = { out, 0, capacity, false };

		write_u32(&w, 0xffffffff);
		cr_assert(w.failed);
		cr_assert(eq(sz, w.len, 0));
		cr_assert_arr_eq(out, ((uint8_t[4]){ 0 }), 4);
		write_u8(&w, 1);
		cr_assert(w.failed && w.len == 0);
	}
}

Test(buf, overwrites_only_what_was_written)
{
	uint8_t out[4] = { 0 };
	struct writer w = { out, 0, 4, false };

	write_u8(&w, 1);
	write_u16_at(&w, 0, 0xffff);
	cr_assert(w.failed);
	cr_assert(eq(u8, out[0], 1));

	w = (struct writer){ out, 3, 4, false };
	write_u16_at(&w, 1, 0xabcd);
	cr_assert(not(w.failed));
	cr_assert_arr_eq(out, ((uint8_t[4]){ 1, 0xab, 0xcd, 0 }), 4);
	write_u16_at(&w, SIZE_MAX, 1);
	cr_assert(w.failed);
}
