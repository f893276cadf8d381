/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is written down of hosts and leases: structs to bytes and back. Pure.
 * The bytes come from a disk and may be anything: each record carries its
 * version and a checksum over its number and itself, and every field is checked.
 * Times are milliseconds of the journal's clock (journal.h), not of the day.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rsip/datapath.h>
#include "rsipd/lease.h"
#include "rsipd/replay.h"

#define RECORD_VERSION	1
#define RECORD_MAX	(65536 + RSIP_MESSAGE_MAX)	/* bytes; an answer, or a list of SPIs, and the rest */
#define RECORD_BOOT_LEN	16

enum record_kind { RECORD_CLOCK = 1, RECORD_CLIENT, RECORD_BIND };

/* One moment, on all clocks: how a later run finds the journal's time. */
struct record_clock {
	uint64_t journal;		/* ms */
	uint64_t monotonic;		/* ms, of the boot that is named */
	uint64_t wall;			/* ms since 1970 */
	uint8_t boot[RECORD_BOOT_LEN];
};

struct record_client {
	uint32_t client_id;
	struct origin origin;		/* without its connection */
	uint8_t local_policy, remote_policy;
	bool counted, resync;		/* as in struct session */
	uint32_t bind_ids;
	uint64_t registered, expires;
	struct replay last;		/* the answer is not owned: it lies in the record's bytes */
};

struct record_bind {
	uint32_t client_id, bind_id;
	enum lease_kind kind;
	uint8_t tunnel;
	__be32 gateway, remote;
	uint16_t remote_port;
	const __be32 *remotes;		/* not owned: those of struct record, or of the bind */
	uint8_t remote_count;		/* at most RSIP_REMOTES_MAX */
	uint32_t slot;
	uint64_t granted, expires;
	uint64_t rests;			/* ended before that, rests since then; 0: it did not */
	struct pool_grant grant;	/* its lists are those of struct record */
};

struct record {
	enum record_kind kind;
	union {
		struct record_clock clock;
		struct record_client client;
		struct record_bind bind;
	};
	__be32 remotes[RSIP_REMOTES_MAX];
	uint16_t ports[RSIP_PORTS_MAX];
	uint32_t spis[UINT16_MAX];
};

/* Bytes written at `out`, of RECORD_MAX; 0: it does not fit. */
size_t record_clock_encode(uint64_t number, const struct record_clock *clock, uint8_t *out);
size_t record_client_encode(uint64_t number, const struct record_client *client, uint8_t *out);
size_t record_bind_encode(uint64_t number, const struct record_bind *bind, uint8_t *out);

/* NULL, or what is wrong with the bytes. *out may point into them. */
const char *record_decode(uint64_t number, const uint8_t *data, size_t len, struct record *out);
