/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an address is to the gateway, as packets see it: lent by a pool, as a
 * whole or not, an end of tunnels, or one that no peer can have. The maps
 * rsip_addresses and rsip_realm. Addresses are network order.
 */
#pragma once

#include <rsip/datapath.h>
#include "rsipd/bpfmaps.h"
#include "rsipd/config.h"

/* The pools of a configuration, its ends of tunnels and its realm. What else is known of an address
 * stays, also its `speaker` if that is 0. 0; -ENOSPC when the map is full; other -errno. */
int addresses_add(const struct bpfmaps *maps, const struct config *config, __be32 speaker);
/* After a reload: those of the pools of `before` that no pool of `now` has. */
void addresses_remove(const struct bpfmaps *maps, const struct config *before, const struct config *now);
/* RSA-IP: the address leads to that bind; generation 0: to none. 0; -ENOENT if it is not known. */
int addresses_lend(const struct bpfmaps *maps, __be32 addr, struct rsip_target target);
/* What an earlier daemon left and the configuration does not have goes. */
void addresses_sweep(const struct bpfmaps *maps, const struct config *config);
