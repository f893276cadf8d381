/* SPDX-License-Identifier: GPL-2.0-only */
/* What only the system knows of a configuration: interfaces and their addresses, in this network namespace. */
#pragma once

#include "rsipd/config.h"

/* That interfaces and their addresses exist, and that none of this machine's addresses is lent but by a
 * gateway-address pool. 0, or -1 and *error, with file and line. Also warns (log). */
int config_check_system(const struct config *config, const char *path, struct config_error *error);

/* The first IPv4 address of an interface; 0: none, or no such interface. */
__be32 config_interface_address(const char *name);

/* The first of the interfaces in the pools that has another address now (*address) than
 * when the file was read; NULL: none. One without an address has not changed yet. */
const struct config_follow *config_moved(const struct config *config, __be32 *address);
