/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who takes IKE that a peer begins, to port 500 of an address that hosts share.
 * The cookie of such a packet is new, so it cannot tell. A host that listens to
 * that peer there has said so (RFC 3103 9.16; APG-01). Without one, if the
 * operator wants it, a peer that rekeys the IKE SA (RFC 3104, Appendix E) finds the only
 * host that has IKE with it at that address; with two there is no telling.
 *
 * Keeps rsip_peers in line with that.
 */
#pragma once

#include <stdbool.h>

#include "rsipd/bpfmaps.h"
#include "rsipd/cookie.h"

struct peers;

/* `rekey`: the second rule as well. NULL if memory is short. `maps` must outlive it. */
struct peers *peers_new(const struct bpfmaps *maps, bool rekey);
void peers_free(struct peers *peers);

/* Everything that shall live on has been said again: what an earlier daemon put into the map beyond that goes. */
void peers_settle(struct peers *peers);

/* A bind listens to `peer` at `addr`. 0; -EEXIST: another one does; -ENOSPC: no room; -ENOMEM. */
int peers_listen(struct peers *peers, __be32 peer, __be32 addr, struct rsip_target bind);
/* It does so no longer; unknown: no effect. */
void peers_unlisten(struct peers *peers, __be32 peer, __be32 addr, struct rsip_target bind);

/* A cookie of a bind came, or went: each call of the one is followed by one of the other. */
void peers_cookie_added(struct peers *peers, const struct cookie_entry *cookie);
void peers_cookie_removed(struct peers *peers, const struct cookie_entry *cookie);
