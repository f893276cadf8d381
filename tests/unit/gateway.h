/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A gateway for tests: real session, lease and pool code over the fake data
 * plane, with a configuration by hand, a clock by hand, and a box for what it
 * sends. After gateway_new() the configuration may be changed until
 * gateway_start().
 */
#pragma once

#include "datapath_fake.h"
#include "journal_fake.h"
#include "requests.h"
#include "rsipd/session.h"

#define GATEWAY_NA	"10.0.0.1"

struct sent {
	struct origin to;
	uint8_t data[RSIP_MESSAGE_MAX];
	size_t len;
	bool close;
	uint32_t binds;			/* in the data plane when it was sent */
};

struct gateway {
	struct config config;
	struct config_interface private_interface;
	struct config_pool pool;	/* the only one, but for tests that replace it */
	struct addr_range range;	/* 192.0.2.1 - 192.0.2.254 */
	struct config_pool both[2];	/* after gateway_lend_whole() */
	struct addr_range whole_range;
	struct config_client rule;	/* 10.0.0.0/8, everything allowed */
	struct addr_prefix local_network;	/* 10.0.0.0/8 */
	struct datapath *dp;
	struct journal *journal;
	struct sessions *s;
	uint64_t now;			/* ms */
	unsigned int fail;		/* that call to the data plane of a restart; 0: none */
	struct sent *box;		/* what was sent since the last gateway_input() or gateway_wait() */
	size_t sent;
};

#define GATEWAY_BOX	256		/* messages kept; more fail the test */

struct gateway *gateway_new(void);
/* Adds a pool of whole addresses (RSA-IP); g->pool is copied as it is now. */
void gateway_lend_whole(struct gateway *g, const char *first, const char *last);
void gateway_start(struct gateway *g);
/* As by a restart: another data plane, other sessions, the same journal; datapath_fake_fail(g->fail) before it restores. */
struct restore_counts gateway_restart(struct gateway *g);
/* Fails the test if the data plane found a fault. */
void gateway_free(struct gateway *g);

__be32 ip4(const char *text);
/* Host number n: 10.0.0.n, UDP port 5000 or TCP connection n. */
struct origin udp_host(uint32_t n);
struct origin tcp_host(uint32_t n);

/* Hands a message in; what it causes is in the box. */
void gateway_input(struct gateway *g, struct origin from, const void *data, size_t len);
/* Bytes of a TCP stream, cut as the server does. Returns the bytes that wait for more. */
size_t gateway_stream(struct gateway *g, struct origin from, const uint8_t *data, size_t len);
/* Lets time pass, calling session_tick() when it asks for it and at the end. */
void gateway_wait(struct gateway *g, uint64_t ms);

/* Encodes and hands in; returns the single answer, or NULL for silence. */
const struct sent *gateway_ask(struct gateway *g, struct origin from, const struct msg *m);
/* The same, decoded. Fails the test on silence or on an answer that cannot be read. */
struct msg gateway_call(struct gateway *g, struct origin from, const struct msg *m);

/* Registers host n over UDP with counter 1 and returns its Client ID. */
uint32_t gateway_register(struct gateway *g, uint32_t n);

/* Sums over the pool. */
struct lent {
	uint64_t ports_leased, spis_leased, ports_resting, spis_resting, grants;
};
struct lent gateway_lent(const struct gateway *g);
