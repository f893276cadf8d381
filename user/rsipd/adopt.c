// SPDX-License-Identifier: GPL-2.0-only
/* See adopt.h. */
#include "rsipd/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

struct adopt {
	const struct bpfmaps *maps;
	uint32_t *entries;		/* by slot */
	uint32_t generation;
};

static bool is_live(const struct bpfmaps *maps, const struct rsip_target *target)
{
	return target->generation && target->bind < maps->entries[BPFMAP_BINDS] &&
	       maps->binds[target->bind].generation == target->generation;
}

struct looking {			/* through one map */
	struct adopt *adopt;
	int fd;
	bool target_is_key;		/* else it is the value */
};

static void look_at(const void *key, const void *value, void *arg)
{
	const struct looking *looking = arg;
	struct rsip_target target;

	memcpy(&target, looking->target_is_key ? key : value, sizeof(target));
	if (is_live(looking->adopt->maps, &target))
		looking->adopt->entries[target.bind]++;
	else
		bpf_map_delete_elem(looking->fd, key);
}

_Static_assert(offsetof(struct rsip_remote_key, bind) == 0, "the target is read from the beginning of the key");

static int look_through(struct adopt *adopt)
{
	static const struct {
		enum bpfmap map;
		size_t key, value;
		bool target_is_key;
	} of[] = {
		{ BPFMAP_SPIS, sizeof(struct rsip_spi_key), sizeof(struct rsip_target), false },
		{ BPFMAP_PORTS, sizeof(struct rsip_port_key), sizeof(struct rsip_target), false },
		{ BPFMAP_REMOTES, sizeof(struct rsip_remote_key), sizeof(__u32), true },
	};
	int err = 0;

	memset(adopt->entries, 0, adopt->maps->entries[BPFMAP_BINDS] * sizeof(*adopt->entries));
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]) && !err; i++) {
		struct looking looking = { adopt, adopt->maps->fd[of[i].map], of[i].target_is_key };

		err = bpfmaps_each(looking.fd, of[i].key, of[i].value, look_at, &looking);
	}
	return err;
}

int adopt_begin(const struct bpfmaps *maps, struct adopt **out)
{
	struct adopt *adopt = calloc(1, sizeof(*adopt));
	int err;

	if (!adopt)
		return -ENOMEM;
	adopt->maps = maps;
	adopt->entries = calloc(maps->entries[BPFMAP_BINDS], sizeof(*adopt->entries));
	err = adopt->entries ? look_through(adopt) : -ENOMEM;
	if (err) {
		adopt_end(adopt);
		return err;
	}
	for (uint32_t i = 0; i < maps->entries[BPFMAP_BINDS]; i++) {
		if (maps->binds[i].generation > adopt->generation)
			adopt->generation = maps->binds[i].generation;
	}
	*out = adopt;
	return 0;
}

void adopt_end(struct adopt *adopt)
{
	if (!adopt)
		return;
	free(adopt->entries);
	free(adopt);
}

uint32_t adopt_entries(const struct adopt *adopt, uint32_t slot)
{
	return adopt->entries[slot];
}

uint32_t adopt_generation(const struct adopt *adopt)
{
	return adopt->generation;
}

/* RSA-IP: an address that leads to a bind which is no more. */
static void look_at_address(const void *key, const void *value, void *arg)
{
	const struct adopt *adopt = arg;
	struct rsip_address address;

	memcpy(&address, value, sizeof(address));
	if (!address.whole.generation || is_live(adopt->maps, &address.whole))
		return;
	address.whole = (struct rsip_target){ 0 };
	bpf_map_update_elem(adopt->maps->fd[BPFMAP_ADDRESSES], key, &address, BPF_EXIST);
}

void adopt_sweep(struct adopt *adopt, bool (*lives)(uint32_t slot, void *arg), void *arg)
{
	const struct bpfmaps *maps = adopt->maps;
	uint32_t ended = 0;

	for (uint32_t i = 0; i < maps->entries[BPFMAP_BINDS]; i++) {
		if (!maps->binds[i].generation || lives(i, arg))
			continue;
		__atomic_store_n(&maps->binds[i].generation, 0, __ATOMIC_SEQ_CST);
		memset(&maps->binds[i], 0, sizeof(maps->binds[i]));
		memset(&maps->binds_rare[i], 0, sizeof(maps->binds_rare[i]));
		ended++;
	}
	if (ended)
		look_through(adopt);
	bpfmaps_each(maps->fd[BPFMAP_ADDRESSES], sizeof(__be32), sizeof(struct rsip_address), look_at_address, adopt);
}
