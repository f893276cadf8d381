/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * By what packets find a bind: its ports, its SPIs, the peers that it listens to or is
 * held to, its whole address. An entry leads to a target: valid from the moment on
 * that the bind in its slot has that generation.
 */
#pragma once

#include <stdint.h>

#include "rsipd/bpfmaps.h"
#include "rsipd/datapath.h"
#include "rsipd/peers.h"

struct entries {		/* where they are */
	const struct bpfmaps *maps;
	struct peers *peers;
};

/*
 * Makes all of them lead to `target`. `known`: so many of those that are the bind's alone
 * (SPIs count twice, for ESP and AH) an earlier daemon has left; if that is all, they are
 * not written again. 0; -ENOSPC when a map is full, other -errno: some are there then.
 */
int entries_add(const struct entries *e, const struct datapath_bind *bind, struct rsip_target target, uint32_t known);
/* Takes all of them out; those that are not there are no matter. */
void entries_remove(const struct entries *e, const struct datapath_bind *bind, struct rsip_target target);
