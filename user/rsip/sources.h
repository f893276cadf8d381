/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program on connect() (bpf/connect.bpf.c) in user space: attached to the
 * root of the cgroup hierarchy for this network namespace, told which
 * destinations are local and which ports are leased, and heard when ports are
 * short.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <rsip/connect.h>

#include "lib/addr.h"

struct sources;

/* 0 or -errno: the kernel has no programs on cgroups, or another one keeps ours away. Logged. */
int sources_open(struct sources **out);
void sources_close(struct sources *c);		/* accepts NULL */

/* One lease: its ends serve connections to `peer` (port 0: any port of it; both 0: anybody). */
struct source_lease {
	struct rsip_end peer;
	__be32 address;
	const uint16_t *ports;			/* host order */
	size_t port_count;
	size_t own_count;			/* of these, first in the list, programs may not be given: IKE's */
};

/* Replaces all leases. `for_all`: what has no lease is refused and wished for, not left alone. */
void sources_leases(struct sources *c, const struct source_lease *leases, size_t count, bool for_all);
/* What is known of one prefix. RSIP_PLACE_UNKNOWN: nothing any more. */
void sources_place(struct sources *c, const struct addr_prefix *prefix, enum rsip_place place);

/* Readable when there are wishes. */
int sources_fd(const struct sources *c);
void sources_read(struct sources *c, void (*wish)(const struct rsip_wish *wish, void *arg), void *arg);
