/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where is room: what each of a row of addresses can still give, and which is the
 * first that has enough. A tree of the most that is anywhere below, so that
 * changing and finding cost as many steps as the number of addresses has bits
 * (finding: more, where much of one kind and much of another are in different
 * places). Pure: knows addresses by their number only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What an address can still give. */
struct room {
	uint32_t ports, spis;
	uint32_t whole;			/* 1: itself */
};

struct rooms {
	uint32_t count, leaves;		/* addresses; a power of two */
	struct room *tree;		/* node i: the most under 2i and 2i + 1; leaves from `leaves` on */
};

/* `count` addresses, at most UINT32_MAX / 4, with room `each`. 0 or -ENOMEM. */
int rooms_init(struct rooms *rooms, uint32_t count, struct room each);
void rooms_destroy(struct rooms *rooms);	/* also of zeroes */

/* The room at address `index` from now on. */
void rooms_set(struct rooms *rooms, uint32_t index, struct room room);
/* The same for many at once: the tree is right again after rooms_join(), which goes through all addresses. */
void rooms_put(struct rooms *rooms, uint32_t index, struct room room);
void rooms_join(struct rooms *rooms);

/* The first address from `from` on with at least that much room; `count` of them: there is none. */
uint32_t rooms_next(const struct rooms *rooms, uint32_t from, const struct room *need);
/* The most of each that an address has, not necessarily the same one. */
struct room rooms_most(const struct rooms *rooms);
/* Whether that much is there. */
bool room_has(const struct room *room, const struct room *need);
