/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which host may send from which address, and for IPsec by which of its binds:
 * the map rsip_grants. Binds of one host on one address share an entry, those
 * that are held to remotes one for each remote as well.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <rsip/datapath.h>
#include "rsipd/bpfmaps.h"
#include "rsipd/datapath.h"
#include "rsipd/table.h"

struct grants {
	int fd;
	struct table by_key;
	struct grant *list;
	bool settled;			/* before, they are kept here only */
};

struct grantee {			/* a bind, as grants see it */
	struct rsip_target target;	/* set by the caller, as is `whole`; all else is 0 then */
	bool whole, ipsec;		/* RSA-IP; this or RSIPSEC */
	struct grant *pair;
	struct claim *claims;
	size_t claim_count;
};

/* 0 or -ENOMEM. */
int grants_init(struct grants *grants, const struct bpfmaps *maps);
void grants_fini(struct grants *grants);

/* Entries name the bind before it is live: until then they allow nothing. 0; -ENOSPC, other -errno, and nothing changed. */
int grants_join(struct grants *grants, struct grantee *g, const struct datapath_bind *bind);
/* Another bind of the host takes its place, or the entry goes. */
void grants_leave(struct grants *grants, struct grantee *g);

/* Every bind that lives on from an earlier daemon has joined: the map is brought in line with them. 0 or -errno. */
int grants_settle(struct grants *grants);
