/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's only door to the XDP programs and their maps. One real body,
 * datapath_bpf.c, and one for tests, tests/unit/datapath_fake.c, chosen at link
 * time. Addresses and ports are network order unless said otherwise; SPIs in
 * struct datapath_bind are host order, as pool.h grants them.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include <rsip/datapath.h>
#include "lib/msg.h"
#include "rsipd/config.h"

struct datapath;

/* --- life -------------------------------------------------------------------- */

/*
 * Makes the maps and pins them, or takes over those of an earlier daemon, whose
 * programs go on forwarding by them. Nothing is attached yet. 0, or -errno with
 * the reason logged.
 */
int datapath_open(const struct config *config, struct datapath **out);

/*
 * Every host and bind that lives on from an earlier daemon has been added again. What
 * is in the maps beyond that goes, and what is missing there comes. Before anything new is
 * added; datapath_attach() does it if nobody has. 0 or -errno, logged.
 */
int datapath_settle(struct datapath *dp);

/* Attaches the programs to all interfaces: fill, then attach. Those of an earlier daemon
 * stay, or are replaced without a gap. 0 or -errno; after an error nothing is left
 * attached that was not there before. */
int datapath_attach(struct datapath *dp);

/* Once attached: whether programs stand in libxdp's dispatcher, see attach.h. */
bool datapath_is_shared(const struct datapath *dp);

/* Takes the programs off and removes the pins. */
void datapath_detach(struct datapath *dp);

/* Closes what this process holds; programs and pins stay as they are. */
void datapath_close(struct datapath *dp);

/* Takes off the programs and removes the pins that a daemon which is no more left
 * behind; nothing there is no error. 0, or -errno with the reason logged. */
int datapath_remove_pins(const struct config *config);

/* --- hosts and binds ----------------------------------------------------------- */

/* A host registered through the private interface that has address `gateway`
 * (Na); the way to it is looked up and kept fresh. 0 or -errno. */
int datapath_client_add(struct datapath *dp, __be32 client, __be32 gateway, uint32_t client_id);
/* After this no packet from or to the host is forwarded (REG-19). Unknown: no effect. */
void datapath_client_remove(struct datapath *dp, __be32 client);

struct datapath_bind {
	uint32_t slot;			/* set by datapath_bind_add(); before datapath_settle() also read: where the
					 * bind was. If it still is, packets see no change */
	uint32_t bind_id;
	__be32 client, gateway;		/* Xa, Na */
	__be32 addr;			/* Nb */
	__be32 remote;			/* flow policy: 0: any, or as in `remotes` */
	const __be32 *remotes;		/* flow policy, a remote given by name: all its addresses, none twice */
	size_t remote_count;		/* 2 to RSIP_REMOTES_MAX; 0: `remote` decides */
	__be16 remote_port;		/* flow policy micro: 0: any */
	uint8_t tunnel;			/* enum rsip_tunnel */
	bool ipsec;			/* RSIPSEC bind */
	bool whole;			/* RSA-IP: all of `addr`, any protocol; no ports, no SPIs */
	bool ike_listen;		/* LISTEN on port 500 for one peer, `remote` or `remotes`: several hosts may hold
					 * it on one address as long as their peers differ (APG-01); no ports */
	uint64_t ends;			/* ms, the clock of daemon_now(): then it ends with or without the daemon */
	const struct msg_ports *ports;	/* run, list or not needed */
	const uint32_t *spis;		/* host order */
	uint16_t spi_count;
};

/* The i-th remote that a bind is held to; 0: to none. */
static inline __be32 datapath_bind_remote(const struct datapath_bind *bind, size_t i)
{
	return bind->remote_count ? bind->remotes[i] : bind->remote;
}

/*
 * Makes a bind usable as one step, as packets see it (SCALE-07), before it
 * returns (IN-25). 0; -ENOSPC when a map or the slots are full; other -errno.
 * On failure nothing of it is left in the maps (E-07).
 */
int datapath_bind_add(struct datapath *dp, struct datapath_bind *bind);

/*
 * Of a random SPI (host order) one whose slot is free, see rsip_spi_slot(): a bind whose SPIs
 * begin with it gets the slot where the data plane looks first. Others work as well, only slower.
 * Its last three bits stay. 0: try another one.
 */
uint32_t datapath_spi_place(const struct datapath *dp, uint32_t random);

/* Moves its end to bind->ends. `bind` else as it was given to datapath_bind_add(). */
void datapath_bind_extend(struct datapath *dp, const struct datapath_bind *bind);

/* Ends it the same way: when this returns no packet uses it (FREE-04), and its
 * cookies are gone (IKE-07). `bind` as it was given to datapath_bind_add(). */
void datapath_bind_remove(struct datapath *dp, const struct datapath_bind *bind);

/* --- a reload -------------------------------------------------------------------- */

/* Makes the addresses of all pools of `config` known as lent, and those that no peer can have (SEC-10). 0 or -errno. */
int datapath_pools_add(struct datapath *dp, const struct config *config);
/* Forgets those of `before` that `now` does not have: they are other people's from now on. */
void datapath_pools_remove(struct datapath *dp, const struct config *before, const struct config *now);

/* --- violations ------------------------------------------------------------------- */

/* Whom to tell of packets that a host may not send: each kind of each host at most once a second,
 * from within datapath_ready() and datapath_bind_remove(). */
typedef void datapath_violation(const struct rsip_event_violation *violation, uint64_t now_ms, void *arg);
void datapath_watch(struct datapath *dp, datapath_violation *tell, void *arg);

/* --- the loop ------------------------------------------------------------------- */

/*
 * File descriptors to watch for reading, and what to call when they are:
 * the event ring (cookies, packets waiting for a next hop) and netlink.
 */
#define DATAPATH_FDS	2
int datapath_fd(const struct datapath *dp, unsigned int i);	/* i < DATAPATH_FDS */
void datapath_ready(struct datapath *dp, unsigned int i, uint64_t now_ms);
/* Hosts whose ways may have changed, as datapath_ready() heard, are looked up again: a part in each call,
 * some milliseconds. true: some are left, for when others have had their turn. */
bool datapath_recheck(struct datapath *dp, uint64_t now_ms);
/* Once a second: idle cookies, next hops to try again, and whether the programs are still on their
 * interfaces. 0; -errno, logged, when one is not and cannot be put on again: nothing is forwarded there. */
int datapath_tick(struct datapath *dp, uint64_t now_ms);

/* --- for rsipctl, metrics, tests -------------------------------------------------- */

struct datapath_interface {
	char name[IF_NAMESIZE];
	bool public_side;
	const char *mode;		/* "native", "generic" or "off" */
	const char *loader;		/* "dispatcher", "lone program" or "-" */
};

/* Fills up to `max`, returns how many there are. */
size_t datapath_interfaces(const struct datapath *dp, struct datapath_interface *out, size_t max);

/* Sums over all CPUs, by enum rsip_outcome. 0 or -errno. */
int datapath_counters(const struct datapath *dp, struct rsip_counter out[static RSIP_OUTCOME_COUNT]);

struct datapath_cookie {
	uint8_t cookie[8];
	__be32 peer;
	uint16_t port;			/* host order: 500 or 4500 */
};

/* Calls `visit` for each cookie of the bind in that slot; stops when it returns false. */
void datapath_cookies(const struct datapath *dp, uint32_t slot,
		      bool (*visit)(const struct datapath_cookie *cookie, void *arg), void *arg);
