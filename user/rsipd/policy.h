/* SPDX-License-Identifier: GPL-2.0-only */
/* What a host may ask for, before anybody looks at what is free (E-04). Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"
#include "rsipd/config.h"
#include "rsipd/datapath.h"
#include "rsipd/lease.h"

/*
 * An ASSIGN or LISTEN request: 208, 401, 103 or 307 in this order, or 0. *tunnel
 * is the type to use: the first that is supported of what was asked for, else the
 * default.
 */
uint16_t policy_request(const struct config *config, const struct client *client, const struct msg *m,
			uint8_t *tunnel);

/* The remote addresses that a request stands for: one, or those of a name. */
struct peers {
	size_t count;
	__be32 addrs[RSIP_REMOTES_MAX];
};

/* Its remote side, under remote macro or micro policy: 314, 315 or 0. Takes out
 * of `peers` what is refused; 314 when nothing is left. */
uint16_t policy_remote(const struct config *config, const struct client *client, const struct msg *m,
		       struct peers *peers);

/* Seconds to grant: the wish of a message within limits, never 0 (A-38, RSAP-20). */
uint32_t policy_lease(const struct config *config, const struct msg *m);

/* MSG_NO_*: the optional messages that are off, for want of a pool or of a host that may use them. */
unsigned int policy_messages_off(const struct config *config);

/* The methods on offer to a host, in the order to send them; returns how many (REG-04, A-22). */
#define POLICY_METHODS_MAX	3
size_t policy_methods(const struct config *config, const struct config_client *rule,
		      uint8_t out[static POLICY_METHODS_MAX]);

/* Whether a message may come from there: to one of our private addresses, from a host (SEC-02, SEC-05). */
bool policy_admits(const struct config *config, const struct origin *from);

/* One of our private addresses. */
bool policy_is_own(const struct config *config, __be32 addr);
/* May be the peer of a lease: neither the gateway nor in the private realm, which are
 * not reached through one (EG-16). */
bool policy_is_remote(const struct config *config, __be32 addr);
