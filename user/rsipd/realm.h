/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which addresses cannot be a peer's: those of the pools and of the private
 * realm. A packet from the public side that claims one is forged (SEC-10).
 */
#pragma once

#include <rsip/datapath.h>
#include "rsipd/config.h"

/*
 * The pools and local-networks of a configuration as ranges without overlaps. A
 * local network that also holds one of the `count` addresses of public interfaces
 * (network order) or of a pool tells nothing and is left out: realms may share a prefix
 * (APF-05). Returns how many ranges had no room, the smallest.
 */
size_t realm_of(const struct config *config, const __be32 *public_addresses, size_t count, struct rsip_realm *out);
