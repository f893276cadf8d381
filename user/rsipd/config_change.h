/* SPDX-License-Identifier: GPL-2.0-only */
/* A configuration in the place of the running one (reload.c). */
#pragma once

#include "rsipd/config.h"

/*
 * Whether all that differs between the running configuration and a fresh one can
 * change while rsipd runs: pools, clients, leases, local-networks, query and
 * tunnels. 0, or -1 and *error, with file and line of what needs a restart.
 */
int config_check_change(const struct config *running, const struct config *fresh, const char *path,
			struct config_error *error);
/* Moves what can change from `fresh` to `running` and back: `running` stays where
 * it is, `fresh` then holds what was replaced. */
void config_swap(struct config *running, struct config *fresh);
