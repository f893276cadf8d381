/* SPDX-License-Identifier: GPL-2.0-only */
/* What a host may ask for, before anybody looks at what is free (E-04). Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"
#include "rsipd/config.h"
#include "rsipd/lease.h"

/*
 * An ASSIGN request: 401, 103 or 307 in this order, or 0. *tunnel is the type
 * to use: what was asked for, else the default.
 */
uint16_t policy_request(const struct config *config, const struct client *client, const struct msg *m,
			uint8_t *tunnel);

/* Its remote side: 314 or 0. */
uint16_t policy_remote(const struct config *config, const struct client *client, const struct msg *m);

/* Seconds to grant: the wish of a message within limits, never 0 (A-38, RSAP-20). */
uint32_t policy_lease(const struct config *config, const struct msg *m);

/* Whether any pool serves IPsec: RSIPSEC is off without one. */
bool policy_serves_ipsec(const struct config *config);

/* Whether a message may come from there: to one of our private addresses, from a host (SEC-02, SEC-05). */
bool policy_admits(const struct config *config, const struct origin *from);

/* One of our private addresses. */
bool policy_is_own(const struct config *config, __be32 addr);
/* May be the peer of a lease: neither the gateway nor in the private realm, which are
 * not reached through one (EG-16). */
bool policy_is_remote(const struct config *config, __be32 addr);
