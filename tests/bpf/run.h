/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The real programs on the running kernel, without interfaces: load them, fill
 * the maps with a small world, run one packet (BPF_PROG_TEST_RUN), see the
 * action, the packet that came out, the counters that moved and the events.
 */
#pragma once

#include <stdbool.h>
#include <rsip/datapath.h>

#include "pkt.h"
#include "rsip.skel.h"

enum side {
	PUBLIC,
	PRIVATE,
};

/*
 * The world: who holds what. Slot = place in the table of run.c; generations
 * are slot + 100.
 *
 *  slot bind of  address  holds                              else
 *   1   X1       NB       SPI 0x1001, port 40000             RSIPSEC
 *   2   X2       NB       SPI 0x2001, port 40100             RSIPSEC
 *   3   X1       NB       port 41000                         GRE
 *   4   X2       NB       port 42000                         remote Y
 *   5   X2       NB       port 43000, SPI 0x2005             remote Y port 80, RSIPSEC
 *   6   X4       NB       port 44000                         no RSIPSEC bind at all
 *   7   X5       NB       SPI 0x5001, port 45000             remote Y port 80, RSIPSEC, found by remote
 *   8   X1       NB2      SPI 0x1001, port 40000             RSIPSEC
 *   9   X2       NB2      SPI 0x2001, port 40200             RSIPSEC, GRE
 *  10   X1       SH       SPI 0x9001, port 40000             RSIPSEC, on a shared address
 *  11   X6       NB3      ports 500 and 4500                 plain
 *  12   XD       NB       port 50001                         next hop not resolved
 *  13   XR       NB       port 50002                         next hop refused
 *  14   XV       NB       port 50003                         next hop with VLAN 7
 *  15   XM       NB       port 50004                         next hop with MTU 100
 *  16   X1       NB       SPI 0x1016, port 40016             ended: generation 0
 *  17   X1       NB       SPI 0x1017, port 40017             ended: the slot is another bind's
 *  18   X3       NB       SPI 0x3001                         RSIPSEC, its cookies are full
 *  19   X5       NB2      port 45001                         its RSIPSEC bind there has ended
 *  20   X2       NB3      SPI 0x2020                         remote Y, RSIPSEC, granted for any remote too
 *  21   X2       NB3      SPI 0x2021                         remote Z, RSIPSEC, found by remote
 *  22   X4       NB3      SPI 0x2022                         remote Y, RSIPSEC, granted for any remote
 *  23   X1       W1       everything                         RSA-IP
 *  24   X2       W2       everything                         RSA-IP, remote Y port 80, GRE
 *  25   X5       NB3      SPI 0x5025, port 46000             remotes Y and YV, port 80, RSIPSEC, found by remote
 *  26   X2       NB2      SPI 0xb0e519                       RSIPSEC, found in its slot and not in rsip_spis
 *
 * In rsip_senders stand X1 with slot 1 and X2 with slot 9.
 *
 * XU never registered. Peers: Y and Z are reached at
 * once, YD's next hop is not resolved, YR's refused, YV's has VLAN 9, YM's has
 * MTU 100, YN is in no cache. NB, NB2, NB3, W1, W2 and W3 are the pool, SH is
 * shared with N, NA and NA2 end tunnels.
 */
enum {
	SLOT_FREE = 16,
	SLOT_REUSED = 17,
	SLOT_FULL = 18,
};

enum {
	HOP_NONE,
	HOP_X1,
	HOP_X2,
	HOP_X4,
	HOP_X5,
	HOP_X6,
	HOP_XD,
	HOP_XR,
	HOP_XV,
	HOP_XM,
	HOP_Y,
	HOP_YD,
	HOP_YR,
	HOP_YV,
	HOP_YM,
	HOP_X3,
	WORLD_HOPS,
};

#define WORLD_ROUTES	6
#define WORLD_BINDS	26
#define WORLD_CLIENTS	10
#define WORLD_ADDRESSES	9
#define WORLD_REALM	4
#define WORLD_PEERS	2
#define WORLD_GRANTS	21

extern const struct world_hop {
	const char *dst;
	unsigned int state, mtu, vlan;
} world_hops[WORLD_HOPS];

extern const struct world_route {
	const char *peer;
	unsigned int hop;
} world_routes[WORLD_ROUTES];

extern const struct world_bind {
	__u32 slot;
	const char *client, *addr, *remote;
	unsigned int remote_port, tunnel, hop, spi, ports[2];
	bool ipsec, whole;
	const char *remotes[2];
} world_binds[WORLD_BINDS];

extern const char *const world_clients[WORLD_CLIENTS];

extern const struct world_address {
	const char *addr;
	__u32 flags;
	const char *speaker;
} world_addresses[WORLD_ADDRESSES];

/* NB to NB3, SH, the whole addresses and 10.0.0.0/8 are no peer's: host order, ends included. */
extern const struct world_range {
	__u32 first, last;
} world_realm[WORLD_REALM];

/* Whose IKE goes to whom when the cookie is new: X1 listens to Y, X2 to Z, both on NB2. */
extern const struct world_peer {
	const char *peer, *addr;
	__u32 slot;
} world_peers[WORLD_PEERS];

extern const struct world_grant {
	const char *client, *addr, *remote;
	__u32 slot, any, flags;
} world_grants[WORLD_GRANTS];

struct world {
	struct rsip_bpf *skel;
	struct ring_buffer *ring;
	struct rsip_counter counters[RSIP_OUTCOME_COUNT];	/* after the last run */
};

#define EVENTS_MAX	8

struct run {
	int action;			/* XDP_* */
	struct frame out;
	enum rsip_outcome outcome;	/* whose counter moved */
	unsigned long counted;		/* by how much all counters moved: 1 */
	unsigned long bytes;
	int events;
	struct rsip_event_cookie cookie;	/* the last of its kind */
	int cookies;
	struct rsip_event_resolve resolve;
	int resolves;
	struct rsip_event_fragment fragment;
	int fragments;
	struct rsip_event_violation violation;
	int violations;
};

/* Loads and fills. Skips the test where BPF cannot be loaded (not root). */
void world_open(struct world *w);
void world_close(struct world *w);

void world_run(struct world *w, enum side side, const struct frame *in, struct run *out);
/* The same in half the time if `guess` is the outcome: that other counters have moved as well is seen in the next world_run(). */
void world_run_fast(struct world *w, enum side side, const struct frame *in, enum rsip_outcome guess, struct run *out);

/* Packets so far. */
unsigned long world_counted(struct world *w, enum rsip_outcome outcome);

/* The action that goes with an outcome. */
int outcome_action(enum rsip_outcome outcome);
/* Is the packet handed to the daemon, ready to be sent? */
bool outcome_hands(enum rsip_outcome outcome);
const char *outcome_name(enum rsip_outcome outcome);

__u32 world_generation(__u32 slot);
/* What the programs take for now, see rsip_tick(). */
__u32 world_tick(struct world *w);
void world_bind(struct world *w, __u32 slot, struct rsip_bind *out);
void world_bind_set(struct world *w, __u32 slot, const struct rsip_bind *bind);
void world_sender(struct world *w, const char *client, struct rsip_sender *out);
void world_sender_set(struct world *w, const char *client, const struct rsip_sender *sender);
void world_rare(struct world *w, __u32 slot, struct rsip_bind_rare *out);
void world_rare_set(struct world *w, __u32 slot, const struct rsip_bind_rare *rare);
/* Two tags towards a next hop: 802.1ad, then 802.1Q. */
void world_hop_qinq(struct world *w, __u32 hop, unsigned int outer, unsigned int inner);
/* An entry of rsip_cookies, as learned by the bind of a slot. */
void world_cookie(struct world *w, uint64_t cookie, const char *addr, unsigned int port, __u32 slot,
		  __u32 generation, const char *peer);
bool world_cookie_get(struct world *w, uint64_t cookie, const char *addr, unsigned int port,
		      struct rsip_cookie *out);
size_t world_cookies(struct world *w);

/*
 * One packet and what must become of it. `out` is the frame that leaves; NULL:
 * the frame as it came for PASS, else it is not looked at. For RESOLVE and SPLIT
 * it is the packet that the daemon gets, after an Ethernet header.
 */
struct row {
	const char *name;
	const char *in;
	enum rsip_outcome outcome;
	const char *out;
};

/* Runs a table; each row that fails is reported by its name. */
void rows_run(struct world *w, enum side side, const struct row *rows, size_t count);

/* Rows of both sides, in the order in which they happen. */
struct step {
	enum side side;
	struct row row;
};

void steps_run(struct world *w, const struct step *steps, size_t count);

/* Runs one; false and a report if it does not end as `row` says. */
bool row_run(struct world *w, enum side side, const struct row *row, struct run *run);

/* Forgets all of a map's entries. */
void world_forget(struct bpf_map *map);

/* So many ICMP errors may N send from now on; else as good as any number. */
void world_bucket(struct world *w, unsigned int tokens);

#define ROWS(rows)	rows, sizeof(rows) / sizeof((rows)[0])
