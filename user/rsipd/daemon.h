/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a running rsipd is made of, for the modules that serve it, show it or
 * control it. Owned by main.c.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "rsipd/config.h"
#include "rsipd/datapath.h"
#include "rsipd/session.h"

struct reload;
struct server;

struct rsipd {
	uv_loop_t *loop;
	const char *config_path;
	struct config *config;		/* stays where it is; reload.c changes what it says */
	struct reload *reload;
	struct server *server;
	struct datapath *dp;
	struct commit *commit;
	struct sessions *sessions;
	uint64_t started;		/* daemon_now() */
	uint64_t longest_turn_us;	/* of the loop, in CPU time: so long did others wait for their turn */
};

/* The daemon's clock: milliseconds, monotonic. */
static inline uint64_t daemon_now(void)
{
	return uv_hrtime() / 1000000;
}

/* The operator, or a message, changed what ends next: session_tick() is due now. */
void daemon_wake(struct rsipd *rsipd);
/* De-registers every host and takes the programs off; the loop goes on. */
void daemon_detach(struct rsipd *rsipd);
/* Leaves the loop, and then the program with status 0. */
void daemon_stop(struct rsipd *rsipd);
