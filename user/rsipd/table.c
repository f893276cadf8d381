// SPDX-License-Identifier: GPL-2.0-only
/* See table.h. The size is fixed: an untouched page of buckets costs nothing. */
#include "rsipd/table.h"

#include <errno.h>
#include <stdlib.h>

/* The finalizer of MurmurHash3, twice, with the secret between. */
static uint64_t mix(uint64_t v)
{
	v ^= v >> 33;
	v *= 0xff51afd7ed558ccdULL;
	v ^= v >> 33;
	v *= 0xc4ceb9fe1a85ec53ULL;
	return v ^ v >> 33;
}

uint64_t table_hash(uint64_t key, uint64_t secret)
{
	return mix(mix(key ^ secret) + secret);
}

static struct table_node **bucket(const struct table *table, uint64_t key)
{
	return &table->buckets[table_hash(key, table->secret) & ((1ULL << table->bits) - 1)];
}

int table_init(struct table *table, size_t capacity)
{
	table->bits = 4;
	while ((1ULL << table->bits) < capacity && table->bits < 28)
		table->bits++;
	table->buckets = calloc(1ULL << table->bits, sizeof(*table->buckets));
	if (!table->buckets)
		return -ENOMEM;
	arc4random_buf(&table->secret, sizeof(table->secret));
	return 0;
}

void table_destroy(struct table *table)
{
	free(table->buckets);
	table->buckets = NULL;
}

struct table_node *table_find(const struct table *table, uint64_t key)
{
	struct table_node *node = *bucket(table, key);

	while (node && node->key != key)
		node = node->next;
	return node;
}

struct table_node *table_find_next(const struct table_node *node)
{
	struct table_node *next = node->next;

	while (next && next->key != node->key)
		next = next->next;
	return next;
}

void table_add(struct table *table, struct table_node *node, uint64_t key)
{
	struct table_node **head = bucket(table, key);

	node->key = key;
	node->next = *head;
	*head = node;
}

void table_remove(struct table *table, struct table_node *node)
{
	struct table_node **at = bucket(table, node->key);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->next = NULL;
}
