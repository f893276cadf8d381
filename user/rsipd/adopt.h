/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of an earlier daemon: which demultiplexing entries its binds have, so
 * that those of a bind that lives on need not be written again, and which lead
 * nowhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "rsipd/bpfmaps.h"

struct adopt;

/* Looks through the maps; entries that lead nowhere are removed. 0 or -errno. */
int adopt_begin(const struct bpfmaps *maps, struct adopt **out);
void adopt_end(struct adopt *adopt);	/* accepts NULL */

/* How many entries of rsip_ports, rsip_spis and rsip_remotes lead to the bind in that slot. */
uint32_t adopt_entries(const struct adopt *adopt, uint32_t slot);

/* The highest generation that a bind has. */
uint32_t adopt_generation(const struct adopt *adopt);

/* Binds in slots that `lives` does not know end, and all that leads to them goes. */
void adopt_sweep(struct adopt *adopt, bool (*lives)(uint32_t slot, void *arg), void *arg);
