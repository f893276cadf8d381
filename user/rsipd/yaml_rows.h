/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * YAML to structs, driven by tables: one row for each key says where its value
 * goes, how it is read, what is allowed and what it is when the file leaves it
 * out. A default is YAML text and takes the same way as the file. libyaml keeps a
 * mark for each node, so that an error names its line. Knows no key.
 *
 * What reads returns 0, or -1 with the error set, and the caller gives up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "rsipd/config_error.h"

struct loader {				/* a file that is read: how far, into what */
	const char *path;
	struct config_error *error;
	void *whole;			/* what the file becomes, for who looks at what was read before */
	yaml_document_t *document;	/* the file, or a default */
	char where[128];		/* "pools[2].ports" */
};

struct row {
	const char *key;		/* NULL ends a table */
	/* `to`: where the value goes, row->at in its struct */
	int (*read)(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
	size_t at;			/* offset of the value in the struct of the table */
	const char *preset;		/* YAML; NULL: the key must be there */
	bool optional;			/* without a default */
	uint32_t min, max;		/* of a number; max: of a list's items, of a text's bytes */
	const void *more;		/* words of a choice, rows of a map, the one row of a list's items */
	size_t size;			/* of a number, a choice or an item of a list: bytes */
	size_t count_at;		/* of a list: offset of its size_t */
	size_t line_at;			/* offset of the unsigned int that keeps its line; 0: nobody asks */
	/* After the value was read: does it go with what was read before? */
	int (*check)(struct loader *l, yaml_node_t *node, void *to);
};

#define LOADER_SHOWN	"%.40s"		/* of a value in an error */

/* The line of a node, counted from 1. */
unsigned int loader_line(const yaml_node_t *node);
/* "FILE:LINE: KEY: ...", the key if we are at one; with the line of a node, or another one. Always -1. */
int loader_fail(struct loader *l, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int loader_fail_at(struct loader *l, size_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a value that is not what is `wanted`: "a number from 1 to 9". Always -1. */
int loader_refuse(struct loader *l, const yaml_node_t *node, const char *text, const char *wanted);
/* The text of a scalar, never empty, without zero bytes; or NULL and an error that says what is wanted. */
const char *loader_scalar(struct loader *l, const yaml_node_t *node, const char *wanted);
/* Goes down to a key, or without one (NULL) to item `index` of a list, for the errors that come:
 * extends `where`. The caller cuts it back to the length that this returns. */
size_t loader_enter(struct loader *l, const char *key, size_t index);

/* Reads the value of a row, keeps its line, checks it. */
int row_read(struct loader *l, const struct row *row, yaml_node_t *node, void *to);

/* --- for row.read ---------------------------------------------------------------- */

/* A map by the rows of `more`, 32 at most: unknown, repeated and missing keys are errors. Goes where `to`
 * says: the struct of its rows. */
int row_map(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
/*
 * A list whose items are all of one kind, that of the row `more`. `to` is where the
 * pointer to the items goes, for the caller to free; their number stands `count_at` in
 * the same struct and counts an item as soon as its memory is there, so that half a
 * struct can be freed as well.
 */
int row_list(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
/* Is it a list of `min` to `max` items? For what reads lists of its own. */
int row_check_list(struct loader *l, const struct row *row, const yaml_node_t *node);
