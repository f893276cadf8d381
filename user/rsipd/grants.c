// SPDX-License-Identifier: GPL-2.0-only
/* See grants.h. An entry of the map and the binds it stands for: a grant, and a claim of each. */
#include "rsipd/grants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <utlist.h>

#include "lib/container.h"

struct grant {
	struct rsip_grant_key key;
	uint32_t refs;			/* remote 0: all binds of the pair; else binds held to it */
	uint32_t held;			/* remote 0: claims of RSIPSEC binds of the pair that are held to remotes */
	struct claim *ipsec;		/* of RSIPSEC and RSA-IP binds that the entry may name; the first is named */
	struct claim *any;		/* of binds of all kinds, the same */
	bool stored;			/* grants_settle(): its entry is right */
	struct table_node by_key;
	struct grant *prev, *next;
};

struct claim {				/* a bind for each of its remotes, a RSA-IP bind once */
	struct grantee *of;
	struct grant *grant;
	struct claim *prev, *next;	/* of grant->any */
	struct claim *ipsec_prev, *ipsec_next;	/* of grant->ipsec, if it is in there */
};

/* 64 bits of the 96: another pair's grant for some remote may have the same. */
static uint64_t grant_hash(const struct rsip_grant_key *key)
{
	return ((uint64_t)key->client << 32 | key->addr) ^ table_hash(key->remote, 0);
}

static struct grant *grant_find(const struct grants *grants, const struct rsip_grant_key *key)
{
	struct table_node *node = table_find(&grants->by_key, grant_hash(key));

	while (node && memcmp(&container_of(node, struct grant, by_key)->key, key, sizeof(*key)))
		node = table_find_next(node);
	return node ? container_of(node, struct grant, by_key) : NULL;
}

static struct grant *grant_get(struct grants *grants, const struct rsip_grant_key *key)
{
	struct grant *grant = grant_find(grants, key);

	if (grant)
		return grant;
	grant = calloc(1, sizeof(*grant));
	if (!grant)
		return NULL;
	grant->key = *key;
	table_add(&grants->by_key, &grant->by_key, grant_hash(key));
	DL_APPEND(grants->list, grant);
	return grant;
}

static struct rsip_grant grant_value(const struct grant *grant)
{
	struct rsip_grant value = { .flags = grant->held ? RSIP_GRANT_BY_REMOTE : 0 };

	if (grant->ipsec) {
		value.ipsec = grant->ipsec->of->target;
		value.flags |= grant->ipsec->of->whole ? RSIP_GRANT_WHOLE : 0;
	}
	if (grant->any)
		value.any = grant->any->of->target;
	return value;
}

/* Brings the entry in line with the binds it stands for; none: it goes. */
static int grant_store(struct grants *grants, struct grant *grant)
{
	struct rsip_grant value;

	if (!grant->refs) {
		bpf_map_delete_elem(grants->fd, &grant->key);
		table_remove(&grants->by_key, &grant->by_key);
		DL_DELETE(grants->list, grant);
		free(grant);
		return 0;
	}
	/* Half of its binds would make an entry that refuses the others. */
	if (!grants->settled)
		return 0;
	value = grant_value(grant);
	return bpfmaps_put(grants->fd, &grant->key, &value);
}

void grants_leave(struct grants *grants, struct grantee *g)
{
	struct grant *pair = g->pair;

	for (struct claim *claim = g->claims; claim < g->claims + g->claim_count; claim++) {
		struct grant *grant = claim->grant;

		DL_DELETE(grant->any, claim);
		if (g->ipsec)
			DL_DELETE2(grant->ipsec, claim, ipsec_prev, ipsec_next);
		if (grant == pair)
			continue;
		pair->held -= g->ipsec;
		grant->refs--;
		grant_store(grants, grant);
	}
	free(g->claims);
	pair->refs--;
	grant_store(grants, pair);
	g->pair = NULL;
	g->claims = NULL;
	g->claim_count = 0;
}

static int grant_claim(struct grants *grants, struct grantee *g, const struct rsip_grant_key *key)
{
	struct claim *claim = &g->claims[g->claim_count];
	struct grant *grant = grant_get(grants, key);

	if (!grant)
		return -ENOMEM;
	*claim = (struct claim){ .of = g, .grant = grant };
	DL_APPEND(grant->any, claim);
	if (g->ipsec)
		DL_APPEND2(grant->ipsec, claim, ipsec_prev, ipsec_next);
	g->claim_count++;
	if (grant == g->pair)
		return 0;
	g->pair->held += g->ipsec;
	grant->refs++;
	return grant_store(grants, grant);
}

/* One for each remote; RSA-IP: one, policy looks at the remotes later. */
static int grants_claim(struct grants *grants, struct grantee *g, const struct datapath_bind *bind)
{
	size_t count = bind->whole || !bind->remote_count ? 1 : bind->remote_count;
	int err = 0;

	g->ipsec = bind->ipsec || bind->whole;
	g->claims = calloc(count, sizeof(*g->claims));
	if (!g->claims)
		return -ENOMEM;
	for (size_t i = 0; i < count && !err; i++) {
		const struct rsip_grant_key key = {
			.client = bind->client, .addr = bind->addr, .remote = bind->whole ? 0 : datapath_bind_remote(bind, i),
		};

		err = grant_claim(grants, g, &key);
	}
	return err;
}

int grants_join(struct grants *grants, struct grantee *g, const struct datapath_bind *bind)
{
	const struct rsip_grant_key key = { .client = bind->client, .addr = bind->addr };
	int err;

	g->pair = grant_get(grants, &key);
	if (!g->pair)
		return -ENOMEM;
	g->pair->refs++;
	err = grants_claim(grants, g, bind);
	if (!err)
		err = grant_store(grants, g->pair);
	if (err)
		grants_leave(grants, g);
	return err;
}

/* --- life ----------------------------------------------------------------------------------- */

int grants_init(struct grants *grants, const struct bpfmaps *maps)
{
	*grants = (struct grants){ .fd = maps->fd[BPFMAP_GRANTS] };
	return table_init(&grants->by_key, maps->entries[BPFMAP_CLIENTS]);
}

void grants_fini(struct grants *grants)
{
	struct grant *grant, *next;

	DL_FOREACH_SAFE(grants->list, grant, next)
		free(grant);
	grants->list = NULL;
	table_destroy(&grants->by_key);
}

static void settle_grant(const void *key, const void *value, void *arg)
{
	struct grants *grants = arg;
	struct grant *grant = grant_find(grants, key);
	struct rsip_grant want;

	if (!grant) {
		bpf_map_delete_elem(grants->fd, key);
		return;
	}
	want = grant_value(grant);
	grant->stored = !memcmp(value, &want, sizeof(want));
}

int grants_settle(struct grants *grants)
{
	struct grant *grant, *next;
	int err = bpfmaps_each(grants->fd, sizeof(struct rsip_grant_key), sizeof(struct rsip_grant), settle_grant, grants);

	grants->settled = true;
	DL_FOREACH_SAFE(grants->list, grant, next) {
		if (!err && !grant->stored)
			err = grant_store(grants, grant);
	}
	return err;
}
