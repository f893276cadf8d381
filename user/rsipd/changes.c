// SPDX-License-Identifier: GPL-2.0-only
/* See changes.h. */
#include "rsipd/changes.h"

void changes_add_everything(struct changes *changes)
{
	changes->count = CHANGES_MAX + 1;
}

bool changes_everything(const struct changes *changes)
{
	return changes->count > CHANGES_MAX;
}

void changes_add(struct changes *changes, const struct addr_prefix *prefix)
{
	if (prefix->length && changes->count < CHANGES_MAX)
		changes->prefix[changes->count++] = *prefix;
	else
		changes_add_everything(changes);
}

void changes_join(struct changes *changes, const struct changes *more)
{
	for (unsigned int i = 0; i < more->count && i < CHANGES_MAX; i++)
		changes_add(changes, &more->prefix[i]);
	if (changes_everything(more))
		changes_add_everything(changes);
}

bool changes_touch(const struct changes *changes, __be32 addr)
{
	if (changes_everything(changes))
		return true;
	for (unsigned int i = 0; i < changes->count; i++)
		if (addr_in_prefix(addr, &changes->prefix[i]))
			return true;
	return false;
}
