/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzz targets share: claims that must hold for every input, and bytes taken off one. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/buf.h"

#define claim(holds, ...) do {						\
	if (!(holds)) {							\
		fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #holds); \
		fprintf(stderr, __VA_ARGS__);				\
		fputc('\n', stderr);					\
		abort();						\
	}								\
} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A block of exactly `len` bytes, or of what is left, so that a read past its end is seen. The caller frees it. */
uint8_t *fuzz_take(struct reader *r, size_t *len);

/*
 * For each parameter of this type and length 4 in a message: `map` gives the
 * value to put there. Lets an input speak of numbers that only the run knows.
 */
void fuzz_map_param(uint8_t *data, size_t len, uint8_t param, uint32_t (*map)(uint32_t value, void *arg), void *arg);
