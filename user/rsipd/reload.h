/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A reload, from file to last host: the file is read by another thread, since a
 * large one takes its time, then what can change is changed at once, and what
 * hosts have and does not fit is ended in parts between which others are served.
 * An invalid file changes nothing.
 */
#pragma once

#include <jansson.h>

#include "rsipd/daemon.h"

struct reload;

struct reload_result {
	const char *error;		/* NULL: it is in force; "FILE:LINE: what is wrong" */
	json_t *ended;			/* the first of what was ended, as rsipctl shows it */
	uint32_t registrations, binds;	/* all that were; not counting the binds of registrations */
};
typedef void reload_done(const struct reload_result *result, void *arg);

/* NULL if memory is short. `done` hears of the end of every reload. */
struct reload *reload_new(struct rsipd *rsipd, reload_done *done, void *arg);
/* Begins one. False: one is under way. */
bool reload_begin(struct reload *reload);
/* Closes the handles; run the loop until they are, then reload_free(). Accept NULL. */
void reload_close(struct reload *reload);
void reload_free(struct reload *reload);
