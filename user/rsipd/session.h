/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The RSIP server's mind: a message in, the answer out, with all the state
 * between (RFC 3103 9 and 10, RFC 3104 6). No sockets, no clock: bytes, their
 * origin and `now` (milliseconds, monotonic) come in; answers and asynchronous
 * messages leave through `send`. Resources come from pool.h, leases from
 * lease.h, and the data plane is told through datapath.h, before an answer
 * leaves (IN-25, FREE-04).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rsipd/config.h"
#include "rsipd/datapath.h"
#include "rsipd/lease.h"

struct sessions;

struct journal;

/* Sends one message. `close`: a TCP connection is closed after it (T-09). */
typedef void (*session_send)(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg);

/* NULL if memory is short. `config`, `dp` and `journal` must outlive it. */
struct sessions *sessions_new(const struct config *config, struct datapath *dp, struct journal *journal,
			      session_send send, void *arg);

/*
 * Takes up what an earlier run wrote down, before the first message: its hosts
 * and leases live on, what ended meanwhile rests. What the configuration does not
 * allow any more ends, a log line for each. 0, or -errno with the reason logged
 * when the records cannot be read.
 */
struct restore_counts {
	uint32_t clients, binds;	/* live on */
	uint32_t expired, resting;	/* ended meanwhile; still in hold-down */
	uint32_t unfit;			/* not allowed any more */
};
int sessions_restore(struct sessions *s, uint64_t now, struct restore_counts *counts);
/* Frees all; tells nobody. See sessions_stop(). */
void sessions_free(struct sessions *s);

/* A datagram, or one message cut from a stream with msg_frame_len(). */
void session_input(struct sessions *s, const struct origin *from, const uint8_t *data, size_t len, uint64_t now);

/*
 * Names: `resolve` is asked for the IPv4 addresses of a remote that a host gave
 * by name, and answers later, or at once, with session_resolved(). Without
 * addresses the host gets 314, as it does when there is no `resolve`, or when
 * there is no answer within 1.5 s. `name` is printable ASCII, valid during the call.
 */
typedef void session_resolve(uint32_t id, const char *name, void *arg);
void sessions_resolver(struct sessions *s, session_resolve *resolve, void *arg);
void session_resolved(struct sessions *s, uint32_t id, const __be32 *addrs, size_t count, uint64_t now);
/* A request of that host waits for a name: what else came over TCP is not to be handed in yet (T-33). */
bool session_waits(const struct sessions *s, const struct origin *from);

/* Ends what is over; sends DE-REGISTER_RESPONSE for registrations (REG-13) and
 * FREE_RESPONSE for binds (ASY-05). Call once a second or when it says: returns
 * the next moment something ends, 0 if nothing will. */
uint64_t session_tick(struct sessions *s, uint64_t now);

/*
 * A message that was handed to `send` could not leave, since the disk refused
 * what it tells of: what it granted ends, and the host gets 104 instead.
 */
void session_refuse(struct sessions *s, const struct origin *to, const uint8_t *data, size_t len, bool close,
		    uint64_t now);

/*
 * A host sent what it may not (RFC 3103 10.4): it is told by an asynchronous
 * ERROR_RESPONSE, the first of a kind at once, the next no sooner than
 * SESSION_VIOLATION_MS later (ASY-06).
 */
#define SESSION_VIOLATION_MS	10000
void session_violation(struct sessions *s, const struct rsip_event_violation *v, uint64_t now);

/* De-registers every host, telling each (REG-14). */
void sessions_stop(struct sessions *s, uint64_t now);

/* Something broke and stops the gateway: tells every host by error 104 (RFC 3103 10.4). What they have stays. */
void sessions_fault(struct sessions *s);

/* false: what changes cannot be written down at present. Hosts get 104; the operator should not try either. */
bool sessions_record(const struct sessions *s);

/* The operator: rsipctl free and deregister (ADM-03). false: no such client or bind. */
bool session_evict(struct sessions *s, uint32_t client_id, uint64_t now);
bool session_free_bind(struct sessions *s, uint32_t client_id, uint32_t bind_id, uint64_t now);

/* Nobody new is registered (304) and no lease gets longer than its registration has left (ADM-06). */
void sessions_drain(struct sessions *s, bool on);
bool sessions_draining(const struct sessions *s);

/* For those who watch: what has just happened. */
enum session_event_kind {
	SESSION_REGISTERED, SESSION_DEREGISTERED,	/* client */
	SESSION_GRANTED, SESSION_EXTENDED, SESSION_ENDED,	/* client, bind */
	SESSION_REFUSED,		/* host, message, error, perhaps client */
};
struct session_event {
	enum session_event_kind kind;
	const struct client *client;	/* NULL: not registered */
	__be32 host;			/* without a client */
	const struct bind *bind;
	uint8_t message;		/* enum rsip_message; 0: none */
	uint16_t error;
	const char *why;		/* SESSION_DEREGISTERED, SESSION_ENDED */
	uint64_t now;
};
typedef void session_watch(const struct session_event *event, void *arg);
/* One watcher; NULL: nobody. */
void sessions_watch(struct sessions *s, session_watch *watch, void *arg);

/* What a reload ended. */
struct session_unfit {
	__be32 host;
	uint32_t client_id;
	uint32_t bind_id;		/* 0: the registration with all its binds */
	const char *why;
};
typedef void session_report(const struct session_unfit *what, void *arg);

/*
 * A reload: `running`, the configuration that sessions_new() was given, takes
 * from `fresh` what can change (config_swap()). 0; `fresh` then holds what was
 * replaced, and must stay as it is until sessions_refit() is through. -EBUSY
 * while an earlier one is not, or -ENOMEM, with nothing changed.
 * A host is asked no later than its next request whether what it has fits, told
 * what is taken from it, and `report` hears of each.
 */
int sessions_change(struct sessions *s, struct config *running, struct config *fresh, session_report *report,
		    void *arg);
/* Looks at some more hosts: a few milliseconds of work. False: it was the last part. */
bool sessions_refit(struct sessions *s, uint64_t now);

/* Counters for rsipctl and metrics: messages by type in and out, errors by
 * code, messages dropped without an answer. */
#define SESSION_ERROR_MAX	404
struct session_counters {
	uint64_t in[256], out[256];
	uint64_t errors[SESSION_ERROR_MAX];
	uint64_t duplicates;		/* answered with the stored answer (T-18) */
	uint64_t unauthentic;		/* of hosts with a key, without a good authenticator (SEC-04) */
	uint64_t limited;		/* requests over the rate of their host (SEC-01) */
	uint64_t unanswered;		/* errors not sent over UDP to senders that are not registered (SEC-05) */
	uint64_t ignored;		/* no answer: too short, responses, old counters, foreign senders */
};
const struct session_counters *session_counters(const struct sessions *s);

struct leases *session_leases(struct sessions *s);
struct pools *session_pools(struct sessions *s);
