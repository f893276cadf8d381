/* SPDX-License-Identifier: GPL-2.0-only */
/* From the notation of the catalogue to a message: what msg_text() writes, read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"

/* A message and what its slices point to. */
struct text_msg {
	struct msg m;
	uint8_t tuples[1024], spis[1024];
	char names[256];
};

/* Reads MESSAGE(key=value ...). false: `why` says which part cannot be read. */
bool text_parse(const char *text, struct text_msg *out, char why[static 128]);
