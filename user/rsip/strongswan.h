/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hands a lease to strongSwan: DIR/rsip.conf, a snippet of strongswan.conf
 * that keeps charon to the leased SPIs and, for IKE from leased ports, ports.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/msg.h"

#define STRONGSWAN_FILE	"rsip.conf"

struct strongswan_lease {
	__be32 address;
	const struct msg_spis *spis;
	uint16_t port, port_nat_t;	/* host order; 0: charon's own, 500 and 4500 */
};

/* The longest run of adjacent SPIs; the lowest of several. false: there is none, or no memory. */
bool strongswan_run(const struct msg_spis *spis, struct num_range *out);

/* The snippet as text, always terminated; 0 or -errno (-ENODATA: no SPI; -ENOSPC). */
int strongswan_text(const struct strongswan_lease *lease, char *out, size_t capacity);

/* Writes the file whole or not at all; 0 or -errno. */
int strongswan_write(const char *dir, const struct strongswan_lease *lease);
void strongswan_remove(const char *dir);
