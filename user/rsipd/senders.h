/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which bind stands in the place of its host in rsip_senders, by which ESP and AH
 * leave after one look (struct rsip_sender). One that does not stand there works as
 * well: its packets find it in rsip_grants. Packets use the map meanwhile, so that
 * `client` is what makes an entry valid.
 */
#pragma once

#include <stdint.h>

#include "rsipd/bpfmaps.h"

/*
 * The live bind in `slot` of rsip_binds stands in its host's place from now on, or goes on to
 * with its new end. Not if it is none for IPsec or held to a remote, nor if another one, of
 * this host or of one with the same place, stands there.
 */
void senders_put(const struct bpfmaps *maps, uint32_t slot);
/* No longer: before the bind ends. rsip_binds still says whose it is. */
void senders_remove(const struct bpfmaps *maps, uint32_t slot);
/* Takes out what an earlier daemon left and no live bind stands behind. */
void senders_sweep(const struct bpfmaps *maps);
