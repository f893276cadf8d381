/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which hosts have to be looked up again since routes changed, and in which
 * order: first those whose addresses are in prefixes that changed; then, when
 * everything may have, all the others. A part at a time, so that a million of
 * them hold up nobody. Pure.
 */
#pragma once

#include <stdbool.h>

#include "rsipd/changes.h"
#include "rsipd/nexthop.h"

/* What a part may cost: a host that is passed over 1, one that is looked up RECHECK_LOOK. */
#define RECHECK_PART	32768
#define RECHECK_LOOK	32

struct recheck_pass {		/* over all hosts */
	struct changes about, next;	/* the one under way, and the one after it */
	struct nexthop_host *cursor;	/* the next host; NULL: none is under way */
};

struct recheck {		/* { 0 }: no host, nothing to do */
	struct nexthop_host *hosts;	/* all of them */
	struct recheck_pass some, all;
};

/* A host that has just been looked up: no pass under way looks at it. */
void recheck_add(struct recheck *recheck, struct nexthop_host *host);
void recheck_remove(struct recheck *recheck, struct nexthop_host *host);

/* Hosts have to be looked up again. */
void recheck_changed(struct recheck *recheck, const struct changes *changes);
/* The next one, and takes what it cost off `work`. NULL: none is left, or no work. */
struct nexthop_host *recheck_next(struct recheck *recheck, unsigned int *work);
/* Are some left? */
bool recheck_pending(const struct recheck *recheck);
