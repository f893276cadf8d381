// SPDX-License-Identifier: GPL-2.0-only
/* See rooms.h. */
#include "rsipd/rooms.h"

#include <errno.h>
#include <stdlib.h>

bool room_has(const struct room *room, const struct room *need)
{
	return room->ports >= need->ports && room->spis >= need->spis && room->whole >= need->whole;
}

static void tree_join(struct room *tree, uint32_t node)
{
	const struct room *a = &tree[2 * node], *b = &tree[2 * node + 1];

	tree[node].ports = a->ports > b->ports ? a->ports : b->ports;
	tree[node].spis = a->spis > b->spis ? a->spis : b->spis;
	tree[node].whole = a->whole | b->whole;
}

int rooms_init(struct rooms *rooms, uint32_t count, struct room each)
{
	rooms->count = count;
	rooms->leaves = 1;
	while (rooms->leaves < rooms->count)
		rooms->leaves *= 2;
	rooms->tree = calloc(2 * (size_t)rooms->leaves, sizeof(*rooms->tree));
	if (!rooms->tree)
		return -ENOMEM;
	for (uint32_t i = 0; i < rooms->count; i++)
		rooms_put(rooms, i, each);
	rooms_join(rooms);
	return 0;
}

void rooms_destroy(struct rooms *rooms)
{
	free(rooms->tree);
}

void rooms_set(struct rooms *rooms, uint32_t index, struct room room)
{
	uint32_t node = rooms->leaves + index;

	rooms->tree[node] = room;
	while (node /= 2)
		tree_join(rooms->tree, node);
}

void rooms_put(struct rooms *rooms, uint32_t index, struct room room)
{
	rooms->tree[rooms->leaves + index] = room;
}

void rooms_join(struct rooms *rooms)
{
	for (uint32_t node = rooms->leaves - 1; node; node--)
		tree_join(rooms->tree, node);
}

/* Among those under `node`, which are `width` from `first` on. */
static uint32_t tree_find(const struct rooms *rooms, uint32_t node, uint32_t first, uint32_t width,
			  uint32_t from, const struct room *need)
{
	uint32_t at;

	if (first + width <= from || first >= rooms->count || !room_has(&rooms->tree[node], need))
		return rooms->count;
	if (width == 1)
		return first;
	at = tree_find(rooms, 2 * node, first, width / 2, from, need);
	if (at == rooms->count)
		at = tree_find(rooms, 2 * node + 1, first + width / 2, width / 2, from, need);
	return at;
}

uint32_t rooms_next(const struct rooms *rooms, uint32_t from, const struct room *need)
{
	return tree_find(rooms, 1, 0, rooms->leaves, from, need);
}

struct room rooms_most(const struct rooms *rooms)
{
	return rooms->tree[1];
}
