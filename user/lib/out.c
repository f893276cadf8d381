/* SPDX-License-Identifier: GPL-2.0-only */
/* jansson values as JSON, as a table, as "key: value" lines. */
#include "lib/out.h"

#include <stdlib.h>
#include <string.h>

#define INDENT		2

void out_json(FILE *to, const json_t *value)
{
	json_dumpf(value, to, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', to);
}

/* A cell or the value of a field: one line, and no byte of it moves a cursor. */
static void put_value(FILE *to, const json_t *value)
{
	size_t i;
	json_t *item;
	char *text;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		for (const char *at = json_string_value(value); *at; at++) {
			if ((unsigned char)*at < 0x20 || *at == 0x7f)
				fprintf(to, "\\x%02x", (unsigned char)*at);
			else
				fputc(*at, to);
		}
		break;
	case JSON_INTEGER:
		fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		fprintf(to, "%.3f", json_real_value(value));
		break;
	case JSON_TRUE:
		fputs("yes", to);
		break;
	case JSON_FALSE:
		fputs("no", to);
		break;
	case JSON_ARRAY:
		if (json_array_size(value) == 0)
			fputc('-', to);
		json_array_foreach(value, i, item) {
			if (i)
				fputc(',', to);
			put_value(to, item);
		}
		break;
	case JSON_OBJECT:
		text = json_dumps(value, JSON_COMPACT);
		fputs(text ? text : "-", to);
		free(text);
		break;
	case JSON_NULL:
		fputc('-', to);
		break;
	}
}

/* The text of a value; the caller frees it. NULL if memory is short. */
static char *value_text(const json_t *value)
{
	char *text = NULL;
	size_t len;
	FILE *memory = open_memstream(&text, &len);

	if (!memory)
		return NULL;
	put_value(memory, value);
	if (fclose(memory)) {
		free(text);
		return NULL;
	}
	return text;
}

static void measure(struct out_layout *layout, unsigned int c, const json_t *list, const struct out_column *column)
{
	int *width = &layout->columns[c].width;
	bool any = false, numbers = true;
	size_t i;
	json_t *row;

	if (!layout->begun)
		*width = (int)strlen(column->title);
	json_array_foreach(list, i, row) {
		const json_t *value = json_object_get(row, column->key);
		char *text = value_text(value);
		int len = text ? (int)strlen(text) : 0;

		if (len > *width)
			*width = len;
		if (value && !json_is_null(value)) {
			any = true;
			numbers = numbers && json_is_number(value);
		}
		free(text);
	}
	layout->columns[c].numbers = any && numbers;
}

/* One cell; the last of a line has no blanks after it. */
static void put_cell(FILE *to, const struct out_layout *layout, unsigned int c, const char *text, bool last)
{
	if (c)
		fputs("  ", to);
	if (layout->columns[c].numbers)
		fprintf(to, "%*s", layout->columns[c].width, text);
	else if (last)
		fputs(text, to);
	else
		fprintf(to, "%-*s", layout->columns[c].width, text);
	if (last)
		fputc('\n', to);
}

void out_table_part(FILE *to, const json_t *list, const struct out_column *columns, struct out_layout *layout)
{
	unsigned int count = 0;
	size_t i;
	json_t *row;

	for (; columns[count].title && count < OUT_COLUMNS_MAX; count++)
		measure(layout, count, list, &columns[count]);
	for (unsigned int c = 0; c < count && !layout->begun; c++)
		put_cell(to, layout, c, columns[c].title, c + 1 == count);
	layout->begun = true;
	json_array_foreach(list, i, row) {
		for (unsigned int c = 0; c < count; c++) {
			char *text = value_text(json_object_get(row, columns[c].key));

			put_cell(to, layout, c, text ? text : "?", c + 1 == count);
			free(text);
		}
	}
}

void out_table(FILE *to, const json_t *list, const struct out_column *columns, const char *empty)
{
	struct out_layout layout = { 0 };

	if (json_array_size(list) == 0)
		fprintf(to, "%s\n", empty);
	else
		out_table_part(to, list, columns, &layout);
}

static void put_fields(FILE *to, const json_t *object, int indent)
{
	int width = 0;
	const char *key;
	json_t *value;

	/* json_object_foreach() wants a pointer it could write through; it does not. */
	json_object_foreach((json_t *)object, key, value) {
		if (!json_is_object(value) && (int)strlen(key) > width)
			width = (int)strlen(key);
	}
	json_object_foreach((json_t *)object, key, value) {
		fprintf(to, "%*s%s:", indent, "", key);
		if (json_is_object(value)) {
			fputc('\n', to);
			put_fields(to, value, indent + INDENT);
			continue;
		}
		fprintf(to, "%*s", width - (int)strlen(key) + 1, "");
		put_value(to, value);
		fputc('\n', to);
	}
}

void out_fields(FILE *to, const json_t *object)
{
	put_fields(to, object, 0);
}
