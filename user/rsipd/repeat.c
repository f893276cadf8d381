// SPDX-License-Identifier: GPL-2.0-only
/* See repeat.h. A wheel says when, a table finds what is said to one host; all of it in one allocation. */
#include "rsipd/repeat.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#include "lib/container.h"
#include "rsipd/table.h"
#include "rsipd/wheel.h"

struct saying {
	struct repeat what;
	unsigned int left;
	struct wheel_node timer;
	struct host *host;
	struct saying *prev, *next;	/* to the same host; or free */
};

struct host {				/* to whom something is said */
	struct table_node by_address;
	struct saying *sayings;
	struct host *next;		/* free */
};

struct repeats {
	struct wheel timers;
	struct table hosts;
	struct saying *free_sayings;
	struct host *free_hosts;
	struct saying sayings[REPEATS_MAX];
	struct host all_hosts[REPEATS_MAX];
};

struct repeats *repeats_new(void)
{
	struct repeats *repeats = calloc(1, sizeof(*repeats));

	if (!repeats || table_init(&repeats->hosts, REPEATS_MAX)) {
		free(repeats);
		return NULL;
	}
	for (unsigned int i = 0; i < REPEATS_MAX; i++) {
		LL_PREPEND(repeats->free_sayings, &repeats->sayings[i]);
		LL_PREPEND(repeats->free_hosts, &repeats->all_hosts[i]);
	}
	return repeats;
}

void repeats_free(struct repeats *repeats)
{
	if (!repeats)
		return;
	table_destroy(&repeats->hosts);
	free(repeats);
}

static struct host *find_host(const struct repeats *repeats, __be32 address)
{
	struct table_node *node = table_find(&repeats->hosts, address);

	return node ? container_of(node, struct host, by_address) : NULL;
}

/* There is a free one: no host is without a saying. */
static struct host *new_host(struct repeats *repeats, __be32 address)
{
	struct host *host = repeats->free_hosts;

	LL_DELETE(repeats->free_hosts, host);
	host->sayings = NULL;
	table_add(&repeats->hosts, &host->by_address, address);
	return host;
}

static void drop(struct repeats *repeats, struct saying *saying)
{
	struct host *host = saying->host;

	wheel_remove(&repeats->timers, &saying->timer);
	DL_DELETE(host->sayings, saying);
	LL_PREPEND(repeats->free_sayings, saying);
	if (host->sayings)
		return;
	table_remove(&repeats->hosts, &host->by_address);
	LL_PREPEND(repeats->free_hosts, host);
}

void repeat_add(struct repeats *repeats, const struct repeat *what, uint64_t now)
{
	struct saying *saying = repeats->free_sayings;
	struct host *host = find_host(repeats, what->to.source);

	if (!saying)
		return;
	LL_DELETE(repeats->free_sayings, saying);
	if (!host)
		host = new_host(repeats, what->to.source);
	saying->what = *what;
	saying->left = REPEAT_TIMES;
	saying->host = host;
	DL_APPEND(host->sayings, saying);
	wheel_set(&repeats->timers, &saying->timer, now + REPEAT_MS);
}

void repeat_stop(struct repeats *repeats, __be32 address)
{
	struct host *host = find_host(repeats, address);
	struct saying *saying, *next;

	if (!host)
		return;
	DL_FOREACH_SAFE(host->sayings, saying, next)
		drop(repeats, saying);
}

bool repeat_due(struct repeats *repeats, uint64_t now, struct repeat *out)
{
	unsigned int moves = UINT_MAX;		/* there are few */
	struct wheel_node *timer = wheel_pop(&repeats->timers, now, &moves);
	struct saying *saying;

	if (!timer)
		return false;
	saying = container_of(timer, struct saying, timer);
	*out = saying->what;
	if (--saying->left)
		wheel_set(&repeats->timers, &saying->timer, now + REPEAT_MS);
	else
		drop(repeats, saying);
	return true;
}

uint64_t repeat_next(const struct repeats *repeats)
{
	return wheel_next(&repeats->timers);
}
