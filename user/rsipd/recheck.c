// SPDX-License-Identifier: GPL-2.0-only
/* See recheck.h. */
#include "rsipd/recheck.h"

#include <utlist.h>

void recheck_add(struct recheck *recheck, struct nexthop_host *host)
{
	/* Where passes that are under way do not come any more. */
	DL_PREPEND2(recheck->hosts, host, all_prev, all_next);
}

static void pass_leave(struct recheck_pass *pass, const struct nexthop_host *host)
{
	if (pass->cursor == host)
		pass->cursor = host->all_next;
}

void recheck_remove(struct recheck *recheck, struct nexthop_host *host)
{
	pass_leave(&recheck->some, host);
	pass_leave(&recheck->all, host);
	DL_DELETE2(recheck->hosts, host, all_prev, all_next);
}

void recheck_changed(struct recheck *recheck, const struct changes *changes)
{
	struct changes *some = &recheck->some.next;

	changes_join(some, changes);
	if (!changes_everything(some))
		return;
	changes_add_everything(&recheck->all.next);
	*some = (struct changes){ 0 };
}

static struct nexthop_host *pass_next(struct recheck_pass *pass, struct nexthop_host *hosts, unsigned int *work)
{
	if (!pass->cursor && pass->next.count) {
		pass->about = pass->next;
		pass->next.count = 0;
		pass->cursor = hosts;
	}
	while (pass->cursor && *work) {
		struct nexthop_host *host = pass->cursor;

		pass->cursor = host->all_next;
		if (changes_touch(&pass->about, host->addr)) {
			*work -= *work < RECHECK_LOOK ? *work : RECHECK_LOOK;
			return host;
		}
		--*work;
	}
	return NULL;
}

struct nexthop_host *recheck_next(struct recheck *recheck, unsigned int *work)
{
	struct nexthop_host *host = pass_next(&recheck->some, recheck->hosts, work);

	return host ? host : pass_next(&recheck->all, recheck->hosts, work);
}

static bool pass_pending(const struct recheck_pass *pass)
{
	return pass->cursor || pass->next.count;
}

bool recheck_pending(const struct recheck *recheck)
{
	return pass_pending(&recheck->some) || pass_pending(&recheck->all);
}
