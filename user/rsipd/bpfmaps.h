/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of the data plane: made and pinned with the sizes that the
 * configuration asks for, the arrays mapped into memory. Programs are opened
 * here as well, since they are loaded on these maps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rsip/datapath.h>
#include "rsipd/config.h"
#include "rsipd/nexthop.h"

struct rsip_bpf;

enum bpfmap {
	BPFMAP_SPIS, BPFMAP_PORTS, BPFMAP_COOKIES, BPFMAP_BINDS, BPFMAP_BINDS_RARE, BPFMAP_CLIENTS, BPFMAP_GRANTS,
	BPFMAP_REMOTES, BPFMAP_PEERS, BPFMAP_ADDRESSES, BPFMAP_REALM, BPFMAP_DEVICES, BPFMAP_NEXTHOPS, BPFMAP_ROUTES,
	BPFMAP_EVENTS, BPFMAP_COUNTERS, BPFMAP_ECHOES, BPFMAP_SENDERS, BPFMAP_OUTSPIS, BPFMAP_BUCKETS, BPFMAP_FRAGMENTS,
	BPFMAP_SLOW,
	BPFMAP_COUNT
};

struct bpfmaps {
	int fd[BPFMAP_COUNT];
	uint32_t entries[BPFMAP_COUNT];
	struct rsip_bind *binds;	/* mappings of the arrays of these names */
	struct rsip_bind_rare *binds_rare;
	struct rsip_sender *senders;
	struct nexthop_slot *nexthops;
	struct rsip_route *routes;
	bool adopted;			/* they are an earlier daemon's, with what it put there */
};

/*
 * Takes over the maps that are pinned under PIN/RSIP_LAYOUT with the right sizes;
 * others are set aside (programs that use them keep them until they are replaced) and
 * new ones made and pinned. 0 or -errno, logged.
 */
int bpfmaps_open(const struct config *config, struct bpfmaps **out);
/* Closes; the pins stay. */
void bpfmaps_close(struct bpfmaps *maps);

/*
 * Removes the pins of every layout from the pin folder, and the folders that
 * are empty then. What is not ours stays. Returns how many pins there were.
 */
unsigned int bpfmaps_remove_pins(const struct config *config);

/* Opens one of the programs, not yet loaded, on these maps; the other one is
 * left out. NULL on failure, logged. Free with bpfmaps_program_close(). */
struct rsip_bpf *bpfmaps_program_open(const struct bpfmaps *maps, const char *program);
void bpfmaps_program_close(struct rsip_bpf *skeleton);

/* One element. 0; -ENOSPC when the map is full, other -errno. */
int bpfmaps_put(int fd, const void *key, const void *value);

/* --- many elements at once -------------------------------------------------------- */

#define BPFMAPS_KEY_MAX	16

/*
 * Key `i` of a series, for the two calls below. Elements go to the kernel in
 * batches, so that a bind of many ports or SPIs costs few system calls.
 */
typedef void bpfmaps_key(unsigned int i, void *key, const void *arg);

/* Gives all keys of the series the same value. 0; -ENOSPC when the map is full,
 * other -errno; some may be in the map then. */
int bpfmaps_update(int fd, size_t key_size, unsigned int count, bpfmaps_key *key, const void *arg,
		   const void *value, size_t value_size);
/* Those that are not there are left out. */
void bpfmaps_delete(int fd, size_t key_size, unsigned int count, bpfmaps_key *key, const void *arg);

/* Calls `visit` for each element of a hash map; it may delete that element. What is
 * added meanwhile may be missed. 0 or -errno. */
int bpfmaps_each(int fd, size_t key_size, size_t value_size, void (*visit)(const void *key, const void *value, void *arg),
		 void *arg);
