/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A running `rsip up`, as its parts see it: up.c (the loop), status.c,
 * announce.c, commands.c, queries.c. Each part has its own members.
 */
#pragma once

#include <uv.h>

#include "lib/log.h"
#include "rsip/client.h"
#include "rsip/hook.h"
#include "rsip/kernel.h"
#include "rsip/locality.h"
#include "rsip/options.h"
#include "rsip/serve.h"
#include "rsip/transport.h"
#include "rsip/tunnels.h"
#include "rsip/up.h"

#define STOP_WAITERS	8	/* who may wait for the same end */
#define QUERY_MAX	1000	/* destinations at once; a datagram holds as many */
#define UNKNOWN_MAX	16	/* destinations that wait to be asked about */

enum stopping { STAY, GIVE_BACK, STOP };	/* GIVE_BACK: `rsip release`, stay and do nothing */

/* What is asked of the gateway about localities, one query at a time */
struct queries {
	struct locality known;
	enum { NO_QUERY, QUERY_ALL, QUERY_UNKNOWN, QUERY_COMMAND } current;
	bool refresh;			/* ask for all that the gateway tells, when there is time */
	uint64_t networks;		/* digest of this host's own */
	struct serve_reply *reply;	/* `rsip query` waits for its answer */
	size_t asked_count;
	struct addr_prefix asked[QUERY_MAX];	/* by the command */
	__be32 unknown[UNKNOWN_MAX];
	size_t unknown_count;
};

struct demand;

/* What programs need, and what is leased for it on demand */
struct demands {
	struct demand *list;
	struct locality told;		/* the prefixes that the program on connect() knows */
	uint64_t not_before;		/* nothing more is asked for */
};

/* A command that waits for a lease to be granted (listen) or gone (release) */
struct waiting {
	struct waiting *next;
	unsigned int id;		/* of the lease */
	bool listen;
	bool closing;			/* a release that waits for the end of TIME_WAIT (HOST-07) */
	struct serve_reply *reply;	/* NULL: it failed and was told so, the lease is to be dropped */
};

struct up {
	const struct options *options;
	up_ready *ready;
	void *ready_arg;
	uv_loop_t loop;
	struct client *client;
	struct transport *transport;
	struct tunnels *tunnels;
	struct hook *hook;
	struct serve *serve;
	struct kernel watch, asks;	/* news, and questions */
	struct sources *sources;	/* NULL: programs choose their ports themselves */
	uv_timer_t due;			/* client_run() wants to be called */
	uv_timer_t settle;		/* tunnels_follow() has to be called */
	uv_timer_t look;		/* demand.c looks for sockets */
	uv_poll_t news, wishes;
	uv_signal_t signals[3];

	bool told;			/* `ready` was called */
	enum stopping stopping;
	bool stop_asked;		/* client_stop() was called */
	bool stopped;			/* the client has given back everything */
	bool restart;			/* our address changed: register anew */
	bool closed;
	struct log_limit failures;
	int result;			/* -errno: why it could not go on */
	struct serve_reply *stoppers[STOP_WAITERS];
	size_t stopper_count;
	struct queries queries;
	struct waiting *waiting;
	struct demands demand;
};

/* --- up.c -------------------------------------------------------------------- */

/* Milliseconds of the clock that the client and all timers use */
uint64_t up_now(void);
/* After anything happened: lets the client work and does what it and others asked for. Not from within the client. */
void up_step(struct up *up);
/* Seconds from now until `ms`, as status and hook show them */
json_int_t up_seconds_left(uint64_t ms);
/* The other end of a lease's tunnel */
__be32 up_end_point(const struct up *up, const struct client_lease *lease);

/* --- status.c ------------------------------------------------------------------ */

json_t *status_lease(const struct up *up, const struct client_lease *lease);
json_t *status_ports(const struct client_lease *lease);
json_t *status_spis(const struct client_lease *lease);
/* What `rsip status` shows */
json_t *status_all(const struct up *up);

/* --- announce.c: the hook and strongSwan ------------------------------------------ */

/* The ports of the local IKE daemon unless it shares 500 and 4500: the first two leased. */
bool announce_ike_ports(const struct up *up, const struct client_lease *lease, uint16_t *ike, uint16_t *natt);
/* `name`: grant, extend or end. */
void announce_hook(struct up *up, const char *name, const struct client_lease *lease);
/* Writes the file for the first lease with SPIs other than `over`, or removes it; 0 or -errno, logged. */
int announce_strongswan(struct up *up, const struct client_lease *over);

/* --- queries.c -------------------------------------------------------------------- */

/* `rsip query WORD...` */
void queries_command(struct up *up, const char *const *words, size_t count, struct serve_reply *reply);
/* The answer of the gateway, or NULL. */
void queries_answer(struct up *up, const struct msg *response);
/* Sends the next one if there is time. */
void queries_run(struct up *up);
/* What is known is asked for again. */
void queries_refresh(struct up *up);
/* The same, if this host's own networks are not those of the last call. */
void queries_networks(struct up *up);
/* Whether this destination is local is not known. */
void queries_unknown(struct up *up, __be32 addr);
/* The registration is over; who waits is told so. */
void queries_end(struct up *up);

/* --- commands.c ------------------------------------------------------------------- */

/* Runs a command of the control socket. */
void commands_run(struct up *up, const char *const *words, size_t count, struct serve_reply *reply);
/* News for those that wait: a lease was granted; asking for it failed; it is gone. */
void commands_granted(struct up *up, const struct client_lease *lease);
void commands_failed(struct up *up, const struct client_failure *failure);
void commands_gone(struct up *up, unsigned int id);
/* From the loop, not from within the client: drops what has failed. */
void commands_settle(struct up *up);
/* Goes on with what waits for the end of TIME_WAIT; true: something still does. */
bool commands_look(struct up *up);
/* Is this lease about to be given back? */
bool commands_closing(const struct up *up, unsigned int id);
/* All leases are over; whoever still waits is told so. */
void commands_end(struct up *up);

/* --- demand.c ------------------------------------------------------------------------ */

int demand_open(struct up *up);
void demand_close(struct up *up);
/* Tells the program on connect() which leases there are; all but `over`, which ends. */
void demand_leases(struct up *up, const struct client_lease *over);
/* ... and what is local. */
void demand_places(struct up *up);
/* Is this asked for on demand, for each peer that a program connects to (FLOW-12)? */
bool demand_serves(const struct up *up, const struct want *want);
/* News of the client, as for commands.c */
void demand_failed(struct up *up, const struct client_failure *failure);
void demand_gone(struct up *up, unsigned int id);
void demand_settle(struct up *up);
/* The client is another one: its leases have other numbers. */
void demand_forget(struct up *up);
/* Looks at the sockets, again and again, until nothing waits for it. */
void demand_look(struct up *up);
/* Has a port of it a connection in TIME_WAIT? */
bool demand_rests(const struct client_lease *lease);
