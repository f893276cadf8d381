/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's security associations, as far as a lease of SPIs is concerned (IPS-16). */
#pragma once

#include <stdint.h>
#include <linux/types.h>

#include "lib/msg.h"
#include "rsip/kernel.h"

/* The first of these SPIs that an SA of this host has already: one that arrives at `address` or any of
 * this host's own. 0: they are free, or the kernel has no IPsec. `k` asks whose an address is. */
uint32_t xfrm_taken(struct kernel *k, __be32 address, const struct msg_spis *spis);
