/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A data plane for tests: keeps what the daemon put into it, in tables that
 * refuse what the real maps could not hold, and fails when it is told to.
 */
#pragma once

#include "rsipd/datapath.h"

struct datapath *datapath_fake_new(void);
void datapath_fake_free(struct datapath *dp);

/* The n-th call from now (1: the next) to datapath_client_add() or
 * datapath_bind_add() fails with `err` (negative), once. 0: none. */
void datapath_fake_fail(struct datapath *dp, unsigned int n, int err);

/* What the daemon did wrong so far (a second holder of a port or an SPI, a bind
 * of an unknown host, a removal of what is not there), or NULL. */
const char *datapath_fake_fault(const struct datapath *dp);

uint32_t datapath_fake_clients(const struct datapath *dp);
uint32_t datapath_fake_binds(const struct datapath *dp);
uint64_t datapath_fake_calls(const struct datapath *dp);	/* that changed something */

/* The host that a packet would reach, 0: none. Numbers in host order. */
__be32 datapath_fake_port(const struct datapath *dp, __be32 addr, uint16_t port);
__be32 datapath_fake_spi(const struct datapath *dp, __be32 addr, uint32_t spi);
__be32 datapath_fake_whole(const struct datapath *dp, __be32 addr);	/* RSA-IP */
__be32 datapath_fake_ike_listen(const struct datapath *dp, __be32 addr, __be32 peer);

/* The bind of that host and ID as it was given, without ports and SPIs, with its end. false: unknown. */
bool datapath_fake_bind(const struct datapath *dp, __be32 client, uint32_t bind_id, struct datapath_bind *out);
