/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tunnels of a host: one for each leased address (HOST-01), however many
 * leases there are on it.
 */
#pragma once

#include "rsip/tunnel.h"

struct tunnels;

/* Removes what a run for this gateway left when it was killed. 0 or -errno. */
int tunnels_open(struct tunnels **out, const char *gateway);
void tunnels_close(struct tunnels *ts);		/* lowers all; accepts NULL */

/* One more lease uses this tunnel, which is raised if it is the first. -EEXIST: another lease has the
 * same address through another tunnel, and a source address can lead into one only. Logs what is wrong. */
int tunnels_use(struct tunnels *ts, const struct tunnel_spec *spec);
/* One less; the last one lowers it. */
void tunnels_leave(struct tunnels *ts, __be32 address);

/* The tunnel of a leased address, or NULL: none is up. */
struct tunnel *tunnels_find(const struct tunnels *ts, __be32 address);
/* In the order in which they were raised; NULL: the first, or no more. */
struct tunnel *tunnels_next(const struct tunnels *ts, const struct tunnel *after);

/* Follows the host's own links and routes; an interface that is gone is made anew. 0, or -errno:
 * -EADDRNOTAVAIL: Xa is no address of this host any more; else one could not be made. */
int tunnels_follow(struct tunnels *ts);
