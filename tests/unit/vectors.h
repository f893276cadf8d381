/* SPDX-License-Identifier: GPL-2.0-only */
/* The golden vectors of tests/vectors, read once; its head says what the notes mean. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VECTORS		283		/* lines of the file: a lost one fails the tests */

struct vector {
	char name[40];
	bool to_host;			/* S>C */
	uint8_t *data;
	size_t len;
	char *summary;			/* "FREE_REQUEST(client=9 bind=1 counter=2)", or a name alone when malformed */
	char *notes;			/* all that follows, "" if nothing */
	bool canonical;			/* well-formed, and a form that is sent */
	bool accept;			/* well-formed, never sent */
	bool tcp;			/* [TCP]: may lack a counter */
	bool silence;			/* EXPECT SILENCE */
	uint16_t error;			/* EXPECT ERROR, or 0 */
	uint32_t counter;		/* of that error */
};

/* All VECTORS of them; the test program ends with a message if the file is not as it should be. */
const struct vector *vectors(void);
const struct vector *vector_named(const char *name);
/* The name starts with it: "bad-" */
bool vector_is(const struct vector *v, const char *prefix);
