/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hash table of structs that carry their own node: finding, adding and
 * removing cost the same whatever the number of entries, and adding never
 * allocates. Keys may come from the network: the hash is keyed with a secret.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct table_node {
	struct table_node *next;
	uint64_t key;
};

struct table {
	struct table_node **buckets;
	unsigned int bits;		/* 1 << bits buckets */
	uint64_t secret;
};

/* Room for about `capacity` entries; pages are touched as they fill. 0 or -ENOMEM. */
int table_init(struct table *table, size_t capacity);
void table_destroy(struct table *table);

struct table_node *table_find(const struct table *table, uint64_t key);
/* Another one with the same key; NULL: there is none. Only for tables whose keys are not unique. */
struct table_node *table_find_next(const struct table_node *node);
void table_add(struct table *table, struct table_node *node, uint64_t key);
void table_remove(struct table *table, struct table_node *node);

/* A 64-bit mix in which every bit of the input matters, also used for sets of SPIs. */
uint64_t table_hash(uint64_t key, uint64_t secret);
