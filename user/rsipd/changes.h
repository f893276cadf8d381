/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What routes changed about: a few prefixes one by one, or everything. Pure.
 */
#pragma once

#include <stdbool.h>
#include <linux/types.h>

#include "lib/addr.h"

#define CHANGES_MAX	16	/* prefixes remembered one by one; more: everything */

struct changes {		/* { 0 }: nothing changed */
	struct addr_prefix prefix[CHANGES_MAX];
	unsigned int count;	/* above CHANGES_MAX: everything */
};

/* A prefix of length 0 is everything. */
void changes_add(struct changes *changes, const struct addr_prefix *prefix);
void changes_add_everything(struct changes *changes);
bool changes_everything(const struct changes *changes);
/* Adds all that is in `more`. */
void changes_join(struct changes *changes, const struct changes *more);
/* May the way to that address be another one? */
bool changes_touch(const struct changes *changes, __be32 addr);
