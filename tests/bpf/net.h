/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A gateway's place of its own for one test: a network namespace with two
 * veths, their other ends in a namespace outside, and a mount namespace with a
 * BPF file system that nobody else sees. All of it ends with the process.
 *
 *     outside           N (the test runs here)          outside
 *     x0  10.0.0.5/24 -- lan0 10.0.0.1/24
 *                        wan0 203.0.113.1/24 -- y0 203.0.113.2/24
 *
 * x0 also has 10.0.0.6, y0 203.0.113.3. ip_forward is 0 in N. The MAC address
 * of each ends in the number in its name below.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "rsipd/config.h"

#define NET_MAC_LAN	"02:00:00:00:00:01"
#define NET_MAC_X	"02:00:00:00:00:05"
#define NET_MAC_WAN	"02:00:00:00:00:11"
#define NET_MAC_Y	"02:00:00:00:00:12"

/* Skips the test when this is not root; fails it when something cannot be made. */
void net_enter(void);

/* A command in N, or outside; it must succeed. */
void net_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
void net_outside(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Takes both veths away and makes them anew: the same but for their indexes. */
void net_anew(void);

/* Puts VLAN 7 on lan0 and x0, as lan0.7 10.7.0.1/24 and x0.7 10.7.0.5/24. Skips the
 * test where the kernel has no VLANs. */
void net_vlan(void);

/* QinQ: VLAN 7 on the provider's VLAN 100, as lan0.100.7 10.8.0.1/24 and x0.100.7 10.8.0.5/24. The same. */
void net_qinq(void);

/* A socket that sees (and can send) the IPv4 frames at a device outside. */
int net_sniff(const char *device);
/* The next frame that came in there, within 5 s; its length, or 0. */
size_t net_frame(int sniffer, uint8_t *out, size_t capacity);

/* Milliseconds of the monotonic clock. */
uint64_t net_now(void);

/* Calls `step` and then asks `done`, until that is true or 10 s are over: false. */
bool net_until(void (*step)(void *arg), bool (*done)(void *arg), void *arg);

/* A configuration with lan0 and wan0, a pool of 203.0.113.10 and .11, and room for 64 binds. */
struct config *net_config(void);

/* A map that the gateway of that configuration has pinned; the test fails if it is not there. To be closed. */
int net_map(const char *name);
/* One element that is there; one that may be. */
void net_get(const char *name, const void *key, void *value);
void net_put(const char *name, const void *key, const void *value);

__be32 net_addr(const char *text);
void net_mac(const char *text, uint8_t out[static 6]);
