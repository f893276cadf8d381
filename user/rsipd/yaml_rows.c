/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps and lists by rows, and the errors of whatever is read. See yaml_rows.h. */
#include "rsipd/yaml_rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- errors ---------------------------------------------------------------------- */

unsigned int loader_line(const yaml_node_t *node)
{
	return (unsigned int)node->start_mark.line + 1;
}

static void fail(struct loader *l, size_t line, const char *format, va_list args)
{
	char text[384];

	vsnprintf(text, sizeof(text), format, args);
	config_error_set(l->error, l->path, line, "%s%s%s", l->where, l->where[0] ? ": " : "", text);
}

int loader_fail_at(struct loader *l, size_t line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail(l, line, format, args);
	va_end(args);
	return -1;
}

int loader_fail(struct loader *l, const yaml_node_t *node, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail(l, loader_line(node), format, args);
	va_end(args);
	return -1;
}

int loader_refuse(struct loader *l, const yaml_node_t *node, const char *text, const char *wanted)
{
	return loader_fail(l, node, "\"" LOADER_SHOWN "\" is wrong: %s is allowed", text, wanted);
}

const char *loader_scalar(struct loader *l, const yaml_node_t *node, const char *wanted)
{
	const char *text = (const char *)node->data.scalar.value;

	if (node->type != YAML_SCALAR_NODE) {
		loader_fail(l, node, "a %s stands here: %s is allowed", node->type == YAML_MAPPING_NODE ? "map" : "list",
			    wanted);
		return NULL;
	}
	if (strlen(text) != node->data.scalar.length) {
		loader_fail(l, node, "a zero byte stands here: %s is allowed", wanted);
		return NULL;
	}
	if (!*text) {
		loader_fail(l, node, "has no value: %s is allowed", wanted);
		return NULL;
	}
	return text;
}

size_t loader_enter(struct loader *l, const char *key, size_t index)
{
	size_t len = strlen(l->where);

	if (key)
		snprintf(l->where + len, sizeof(l->where) - len, "%s%.40s", len ? "." : "", key);
	else
		snprintf(l->where + len, sizeof(l->where) - len, "[%zu]", index + 1);
	return len;
}

/* --- a value of any kind -------------------------------------------------------- */

int row_read(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	if (row->line_at)
		*(unsigned int *)((char *)to - row->at + row->line_at) = loader_line(node);
	if (row->read(l, row, node, to))
		return -1;
	return row->check ? row->check(l, node, to) : 0;
}

/* A value the file leaves out. */
static int read_preset(struct loader *l, const struct row *row, yaml_node_t *map, void *to)
{
	yaml_document_t *outer = l->document, document;
	yaml_parser_t parser;
	yaml_node_t *root = NULL;
	int err = -1;

	if (!yaml_parser_initialize(&parser))
		return loader_fail(l, map, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)row->preset, strlen(row->preset));
	if (yaml_parser_load(&parser, &document)) {
		root = yaml_document_get_root_node(&document);
		/* What is wrong with a default is wrong because of the map that it is used in. */
		for (yaml_node_t *node = document.nodes.start; node < document.nodes.top; node++)
			node->start_mark = map->start_mark;
		l->document = &document;
		err = row_read(l, row, root, to);
		l->document = outer;
		yaml_document_delete(&document);
	} else {
		loader_fail(l, map, "out of memory");
	}
	yaml_parser_delete(&parser);
	return err;
}

/* --- maps ------------------------------------------------------------------------ */

static const char *keys_text(const struct row *rows, char *out, size_t capacity)
{
	size_t len = 0;

	out[0] = 0;
	for (const struct row *row = rows; row->key && len < capacity; row++)
		len += (size_t)snprintf(out + len, capacity - len, "%s%s",
					row == rows ? "" : row[1].key ? ", " : " and ", row->key);
	return out;
}

/* The row of each key, or an error: an unknown key, one that is there twice, or no key at all. */
static const struct row *find_row(struct loader *l, const struct row *rows, const yaml_node_t *map,
				  const yaml_node_pair_t *pair)
{
	yaml_node_t *key = yaml_document_get_node(l->document, pair->key), *other;
	const struct row *row = rows;
	const char *text;
	char wanted[256];

	text = loader_scalar(l, key, keys_text(rows, wanted, sizeof(wanted)));
	if (!text)
		return NULL;
	while (row->key && strcmp(row->key, text))
		row++;
	if (!row->key) {
		loader_fail(l, key, "unknown key \"" LOADER_SHOWN "\": %s are allowed", text, wanted);
		return NULL;
	}
	for (const yaml_node_pair_t *before = map->data.mapping.pairs.start; before < pair; before++) {
		other = yaml_document_get_node(l->document, before->key);
		if (!strcmp((const char *)other->data.scalar.value, text)) {
			loader_fail(l, key, "the key \"%s\" is here again: it stands in line %u, once is allowed", text,
				    loader_line(other));
			return NULL;
		}
	}
	return row;
}

int row_map(struct loader *l, const struct row *map_row, yaml_node_t *node, void *to)
{
	const struct row *rows = map_row->more;
	uint32_t present = 0;
	size_t back;
	char wanted[256];

	if (node->type != YAML_MAPPING_NODE)
		return loader_fail(l, node, "a map with these keys is allowed: %s", keys_text(rows, wanted, sizeof(wanted)));
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const struct row *row = find_row(l, rows, node, pair);

		if (!row)
			return -1;
		present |= 1u << (row - rows);
		back = loader_enter(l, row->key, 0);
		if (row_read(l, row, yaml_document_get_node(l->document, pair->value), (char *)to + row->at))
			return -1;
		l->where[back] = 0;
	}
	for (const struct row *row = rows; row->key; row++) {
		if (present & 1u << (row - rows) || row->optional)
			continue;
		back = loader_enter(l, row->key, 0);
		if (!row->preset)
			return loader_fail(l, node, "missing: it must be given");
		if (read_preset(l, row, node, (char *)to + row->at))
			return -1;
		l->where[back] = 0;
	}
	return 0;
}

/* --- lists ----------------------------------------------------------------------- */

int row_check_list(struct loader *l, const struct row *row, const yaml_node_t *node)
{
	size_t count;

	if (node->type != YAML_SEQUENCE_NODE)
		return loader_fail(l, node, "a list is allowed: [first, second, ...]");
	count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (count < row->min || count > row->max)
		return loader_fail(l, node, "a list of %zu: %u to %u are allowed", count, row->min, row->max);
	return 0;
}

int row_list(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	size_t *count = (size_t *)((char *)to - row->at + row->count_at), wanted, back;
	yaml_node_item_t *items;
	char *list;

	if (row_check_list(l, row, node))
		return -1;
	items = node->data.sequence.items.start;
	wanted = (size_t)(node->data.sequence.items.top - items);
	list = calloc(wanted + 1, row->size);
	if (!list)
		return loader_fail(l, node, "out of memory");
	*(void **)to = list;
	for (size_t i = 0; i < wanted; i++) {
		yaml_node_t *item = yaml_document_get_node(l->document, items[i]);

		++*count;
		back = loader_enter(l, NULL, i);
		if (row_read(l, row->more, item, list + i * row->size))
			return -1;
		l->where[back] = 0;
	}
	return 0;
}
