/* SPDX-License-Identifier: GPL-2.0-only */
/* Lists, printed as they come: one of a million leases takes no more memory than one of a thousand. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "lib/out.h"

struct list {			/* of zeroes but for what says how to print it */
	bool json;
	const struct out_column *columns;
	const char *empty;		/* what an empty table says */
	const char *counted;		/* a key whose list is shown as a number; NULL: none */
	size_t count;			/* items so far */
	json_t *rows;			/* of the table, not yet printed */
	struct out_layout layout;
};

/* The next item; `list` is a struct list. Always true. ask_item */
bool list_put(json_t *item, void *list);
/* After the last item; also frees what the list holds. */
void list_end(struct list *list);
