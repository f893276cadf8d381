// SPDX-License-Identifier: GPL-2.0-only
/* A list: hosts have a handful of leased addresses. */
#include "rsip/tunnels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/addr.h"
#include "lib/log.h"

struct entry {
	struct entry *next;
	struct tunnel *tunnel;
	struct tunnel_spec spec;
	unsigned int users;
};

struct tunnels {
	char *gateway;
	struct entry *entries;
};

int tunnels_open(struct tunnels **out, const char *gateway)
{
	struct tunnels *ts = calloc(1, sizeof(*ts));
	int err;

	if (ts == NULL)
		return -ENOMEM;
	ts->gateway = strdup(gateway);
	err = ts->gateway != NULL ? tunnel_clean(gateway) : -ENOMEM;
	if (err)
		tunnels_close(ts);
	else
		*out = ts;
	return err;
}

static void entry_free(struct entry *entry)
{
	tunnel_close(entry->tunnel);
	free(entry);
}

void tunnels_close(struct tunnels *ts)
{
	struct entry *entry, *next;

	if (ts == NULL)
		return;
	LL_FOREACH_SAFE(ts->entries, entry, next)
		entry_free(entry);
	free(ts->gateway);
	free(ts);
}

static struct entry *entry_of(const struct tunnels *ts, __be32 address)
{
	struct entry *entry;

	LL_FOREACH(ts->entries, entry)
		if (entry->spec.address == address)
			return entry;
	return NULL;
}

static int entry_new(struct tunnels *ts, const struct tunnel_spec *spec)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	int err;

	if (entry == NULL)
		return -ENOMEM;
	entry->spec = *spec;
	entry->users = 1;
	err = tunnel_open(&entry->tunnel, ts->gateway);
	if (!err)
		err = tunnel_raise(entry->tunnel, spec);
	if (err)
		entry_free(entry);
	else
		LL_APPEND(ts->entries, entry);
	return err;
}

int tunnels_use(struct tunnels *ts, const struct tunnel_spec *spec)
{
	struct entry *entry = entry_of(ts, spec->address);
	char text[ADDR_TEXT_LEN];

	if (entry == NULL)
		return entry_new(ts, spec);
	if (entry->spec.host != spec->host || entry->spec.end != spec->end || entry->spec.type != spec->type) {
		log_warn("tunnel: %s has another tunnel already", addr_text(spec->address, text));
		return -EEXIST;
	}
	entry->users++;
	return 0;
}

void tunnels_leave(struct tunnels *ts, __be32 address)
{
	struct entry *entry = entry_of(ts, address);

	if (entry == NULL || --entry->users > 0)
		return;
	LL_DELETE(ts->entries, entry);
	entry_free(entry);
}

struct tunnel *tunnels_find(const struct tunnels *ts, __be32 address)
{
	struct entry *entry = entry_of(ts, address);

	return entry != NULL && tunnel_is_up(entry->tunnel) ? entry->tunnel : NULL;
}

struct tunnel *tunnels_next(const struct tunnels *ts, const struct tunnel *after)
{
	struct entry *entry;
	bool seen = after == NULL;

	LL_FOREACH(ts->entries, entry) {
		if (seen)
			return entry->tunnel;
		seen = entry->tunnel == after;
	}
	return NULL;
}

static int follow(struct entry *entry)
{
	int err = tunnel_follow(entry->tunnel);

	if (err == -ENODEV) {
		log_warn("the tunnel interface is gone: raising it anew");
		return tunnel_raise(entry->tunnel, &entry->spec);
	}
	if (err && err != -EADDRNOTAVAIL) {
		log_warn("tunnel: no way to its end point at present: %s", strerror(-err));
		return 0;
	}
	return err;
}

int tunnels_follow(struct tunnels *ts)
{
	struct entry *entry;
	int err = 0;

	LL_FOREACH(ts->entries, entry)
		if (!err)
			err = follow(entry);
	return err;
}
