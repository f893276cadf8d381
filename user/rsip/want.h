/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a lease shall be, as the request that asks for it, and whether an
 * answer is that. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"

enum want_kind {			/* by which message it is asked for */
	WANT_PORTS,			/* RSAP-IP */
	WANT_IPSEC,			/* RSIPSEC */
	WANT_WHOLE,			/* RSA-IP: a whole address */
	WANT_LISTEN,			/* LISTEN: ports open to everybody whom the policy admits */
};

struct want {
	enum want_kind kind;
	__be32 local;			/* 0: any; that of another lease is preferred, so that one tunnel does */
	uint8_t ports;			/* how many; 0: don't-need (RSIPSEC only, IPS-10) */
	uint16_t first_port;		/* host order: these adjacent ones; 0: whichever */
	bool exact;			/* what is named must be granted so; else any other will do (HOST-11) */
	uint16_t spis;			/* how many, RSIPSEC */
	__be32 remote;			/* 0: any, or remote_name */
	char remote_name[RSIP_FQDN_MAX + 1];	/* the remote as a name; "": none */
	uint16_t remote_port;		/* host order, 0: any */
	uint8_t tunnel;			/* enum rsip_tunnel; 0: the gateway's default */
	uint32_t lease;			/* seconds wished for; 0: no wish */
};

uint8_t want_request_type(const struct want *want);
/* A granted lease of it has ports. (RSA-IP has all of them, RSIPSEC may need none.) */
bool want_has_ports(const struct want *want);

/* The request, but for its counter. `local`: the address to name, 0: any. `named`: name first_port too.
 * Slices point into `want`. */
void want_write(const struct want *want, uint32_t client_id, __be32 local, bool named, struct msg *out);

/* May it be asked for under this flow policy (FLOW-12, A-08, A-22, A-25, A-26)? */
bool want_permitted(const struct want *want, uint8_t local_policy, uint8_t remote_policy);

/* Can this host use what an answer grants, and is it what was asked for? `named`: local address
 * and ports were asked for by name. */
bool want_fits(const struct want *want, bool named, const struct msg *answer);
