/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether what a host was granted goes with a configuration: that of a reload,
 * or of a start with leases from before. Pure. What a host holds counts, not
 * what it may still ask for: a lower limit, a shorter lease or another flow
 * policy ends nothing.
 */
#pragma once

#include "rsipd/config.h"
#include "rsipd/datapath.h"
#include "rsipd/pool.h"

/* The rule that a host registered at gateway address `gateway` (Na) has now; or
 * NULL and *why: it cannot stay registered. */
const struct config_client *fit_client(const struct config *config, __be32 host, __be32 gateway, const char **why);

/* NULL: a bind of a host with that rule may stay; else why not. `pools` are those
 * of `config`. */
const char *fit_bind(const struct config *config, const struct pools *pools, const struct config_client *rule,
		     const struct datapath_bind *bind);
