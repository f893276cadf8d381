/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Single values of a YAML file, for row.read (yaml_rows.h): what stands there as
 * text, checked, into a member of a struct. `min`, `max`, `size` and `more` are
 * those of the row. Numbers and true or false are not quoted: a quoted value is a
 * text. Each is 0, or -1 with an error that says what is allowed.
 */
#pragma once

#include "rsipd/yaml_rows.h"

/* From `min` to `max`, in decimal or hexadecimal, into a uint16_t (size 2) or uint32_t. */
int value_number(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
/* N-M within `min` to `max`, into a struct num_range; one number is the range of that number. */
int value_range(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
/* true or false, into a bool. */
int value_bool(struct loader *l, const struct row *row, yaml_node_t *node, void *to);

struct word {				/* of a choice */
	const char *text;		/* NULL ends the table */
	unsigned int value;
};

/* One of the words of `more`: its value into a uint8_t or bool (size 1), or an unsigned int or enum. */
int value_word(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
/* A list of different words of `more`, in their order; four at most, as `max` says too.
 * Not for row.read itself: fills values[] and returns how many, or -1. */
int value_choices(struct loader *l, const struct row *row, yaml_node_t *node, unsigned int values[static 4]);

/* Texts, into a char * that the caller frees: letters, digits, "-", "_" and "." (max 63); an absolute path;
 * ADDRESS:PORT with an IPv4 address and a port but 0. */
int value_name(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
int value_path(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
int value_listen(struct loader *l, const struct row *row, yaml_node_t *node, void *to);

/* What could be the name of an interface, into a char[IF_NAMESIZE]. */
int value_interface(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
/* An IPv4 address, into a __be32; a network ADDRESS/LENGTH without host bits, or an address, into a struct
 * addr_prefix. */
int value_address(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
int value_prefix(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
