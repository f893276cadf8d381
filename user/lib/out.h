/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One model for what the tools print: jansson values, shown as JSON or as text
 * with aligned columns. A list is always an array, also with one element; keys
 * never change meaning.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct out_column {
	const char *key;	/* in each object of the list; a missing key prints "-" */
	const char *title;	/* NULL ends a table of columns */
};

/* Prints `value` as indented JSON and a newline. */
void out_json(FILE *to, const json_t *value);
/* Prints an array of objects as a table, right-aligning numbers. An empty list prints `empty`. */
void out_table(FILE *to, const json_t *list, const struct out_column *columns, const char *empty);

#define OUT_COLUMNS_MAX	24

/* A table in parts, for lists that nobody wants in memory as a whole: of zeroes, then
 * handed to each part. The head is printed with the first; columns only grow wider. */
struct out_layout {
	bool begun;
	struct {
		int width;
		bool numbers;	/* right-aligned: nothing in the column but numbers */
	} columns[OUT_COLUMNS_MAX];
};
void out_table_part(FILE *to, const json_t *list, const struct out_column *columns, struct out_layout *layout);
/* Prints an object as "key: value" lines, aligned, with nested objects indented. */
void out_fields(FILE *to, const json_t *object);
