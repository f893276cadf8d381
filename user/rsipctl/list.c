/* SPDX-License-Identifier: GPL-2.0-only */
/* See list.h. */
#include "rsipctl/list.h"

#include <stdio.h>

#define ROWS	512		/* measured together for the width of columns */

static void put_rows(struct list *list)
{
	if (json_array_size(list->rows))
		out_table_part(stdout, list->rows, list->columns, &list->layout);
	json_array_clear(list->rows);
}

static void put_row(struct list *list, json_t *item)
{
	const json_t *items = list->counted ? json_object_get(item, list->counted) : NULL;

	if (json_is_array(items))
		json_object_set_new(item, list->counted, json_integer((json_int_t)json_array_size(items)));
	if (!list->rows)
		list->rows = json_array();
	json_array_append(list->rows, item);
	if (json_array_size(list->rows) == ROWS)
		put_rows(list);
}

bool list_put(json_t *item, void *arg)
{
	struct list *list = arg;

	if (list->json) {
		fputs(list->count ? ",\n  " : "[\n  ", stdout);
		json_dumpf(item, stdout, JSON_ENCODE_ANY);
	} else {
		put_row(list, item);
	}
	list->count++;
	return true;
}

void list_end(struct list *list)
{
	if (list->json)
		puts(list->count ? "\n]" : "[]");
	else if (!list->count)
		puts(list->empty);
	else
		put_rows(list);
	json_decref(list->rows);
	list->rows = NULL;
}
