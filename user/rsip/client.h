/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's side of RSIP as a state machine: what to send, when to send it
 * again, when to extend, what to do when the gateway forgets us (RFC 3103 10,
 * Appendix D). Pure: no socket and no clock. Bytes and `now` (milliseconds,
 * monotonic) come in; messages and news leave through struct client_ops. One
 * request is in flight at a time (T-13); what is asked for meanwhile waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/auth.h"
#include "lib/msg.h"
#include "rsip/want.h"

struct client;

/* RFC 3103 Appendix D, as `rsip status` shows it (HOST-15) */
enum client_state { CLIENT_UNREGISTERED, CLIENT_REGISTERED, CLIENT_ASSIGNED };

/* What was granted. Slices in `spis` are owned by the client until the lease ends. */
struct client_lease {
	unsigned int id;		/* as client_add() gave it */
	struct want want;
	uint32_t bind_id;
	__be32 local;			/* Nb */
	__be32 endpoint;		/* tunnel end point given in the answer, or 0: the gateway (TUN-05, TUN-06) */
	struct msg_ports ports;		/* count 0: none */
	struct msg_spis spis;		/* count 0: none */
	uint8_t tunnel;
	uint64_t expires;		/* counted from before the request was sent (LSE-10) */
};

enum client_end {			/* why a lease or registration is over */
	CLIENT_RELEASED,		/* we asked for it */
	CLIENT_TAKEN_BACK,		/* FREE_RESPONSE or DE-REGISTER_RESPONSE of the gateway's own */
	CLIENT_EXPIRED,			/* it could not be extended in time */
	CLIENT_LOST,			/* the gateway does not know us any more (301): FAIL-06 */
};

struct client_failure {
	uint8_t type;			/* of the request; RSIP_ERROR_RESPONSE: a report that answers nothing,
					 * packets of ours were refused (ASY-08) */
	uint16_t error;			/* of RSIP; 0: seven sends got no answer, or one that cannot be used */
	unsigned int id;		/* of the lease it was about, or 0 */
	uint64_t again_ms;		/* when it is tried again, 0: never */
};

struct client_ops {
	/* Sends one message over the transport of the registration. */
	void (*send)(const uint8_t *data, size_t len, void *arg);
	/* 102: change to TCP, once, before the next send (HOST-12). */
	void (*use_tcp)(void *arg);
	/* Can this host use it? Else it goes back and another one is asked for (IPS-16). NULL: always. */
	bool (*accepts)(const struct client_lease *lease, void *arg);
	void (*granted)(const struct client_lease *lease, void *arg);
	void (*extended)(const struct client_lease *lease, void *arg);
	void (*ended)(const struct client_lease *lease, enum client_end why, void *arg);
	/* Nothing is left of what client_drop() dropped, here and at the gateway. NULL: nobody wants to know. */
	void (*gone)(unsigned int id, void *arg);
	void (*failed)(const struct client_failure *failure, void *arg);
	void (*state)(enum client_state state, void *arg);
	/* The answer to client_query(); NULL: none came. Tuples by msg_tuple_next(). */
	void (*answer)(const struct msg *response, void *arg);
	/* Everything asked for by client_stop() is done: nothing is registered any more. */
	void (*stopped)(void *arg);
};

struct client_timing {		/* T-17; zero members take the values of the RFC */
	uint32_t first_us;		/* first wait, doubled each time; 12500 */
	uint32_t sends;			/* 7 */
};

/* NULL if memory is short. `now` seeds nothing; `arg` is handed to every op. */
struct client *client_new(const struct client_ops *ops, const struct client_timing *timing, void *arg);
void client_free(struct client *c);
/* Before anything else: every message is authenticated from now on, and what is not is dropped (SEC-04). */
void client_use_key(struct client *c, const uint8_t key[static AUTH_KEY_LEN]);

/* Registers, resynchronising if the gateway still knows us (FAIL-01, FAIL-02), gets what
 * is wanted and keeps it alive until client_stop(). */
void client_start(struct client *c, uint64_t now_ms);
/* One more lease is wanted. Returns its number, never used again by this client; 0: no memory, or LISTEN
 * beside a whole address, where every port is open anyway (LSN-10). */
unsigned int client_add(struct client *c, const struct want *want, uint64_t now_ms);
/* Not wanted any more: ends the lease, then frees it at the gateway, then calls `gone`. */
void client_drop(struct client *c, unsigned int id, uint64_t now_ms);
/* Ends all leases, forgets what was wanted, de-registers (which frees it), then calls `stopped`, from
 * within if nothing is registered. Gives up after one retry schedule, or a second refusal. */
void client_stop(struct client *c, uint64_t now_ms);
/* Asks which of these is local (QUERY_REQUEST, QRY-*). Needs a registration: false otherwise.
 * Without tuples: asks for all the gateway tells. */
bool client_query(struct client *c, const struct msg_tuple *tuples, size_t count, uint64_t now_ms);

/* One message from the gateway: a datagram, or cut from the stream. Call client_run() after it. */
void client_input(struct client *c, const uint8_t *data, size_t len, uint64_t now_ms);
/* The TCP connection is gone: connect again before the next send. The pending request is sent again. */
void client_reconnected(struct client *c, uint64_t now_ms);

/* Runs what is due and returns when to call again (ms), 0: nothing is due. The
 * retransmission schedule has half milliseconds: times are rounded up. */
uint64_t client_run(struct client *c, uint64_t now_ms);

struct client_status {
	enum client_state state;
	bool registered;
	uint32_t client_id;
	uint64_t registration_expires;
	uint8_t local_policy, remote_policy;
	uint8_t methods[MSG_REPEAT_MAX], method_count, tunnels[MSG_REPEAT_MAX], tunnel_count;
	const char *pending;		/* name of the request in flight, or NULL */
	uint32_t counter;		/* of it, or of the next one */
	uint32_t sends;			/* how often it was sent */
	uint64_t next_send;		/* when it is sent again, or given up */
	uint64_t register_at;		/* when the next REGISTER_REQUEST may go, if not registered */
	uint32_t sent, resent, received;
	uint32_t unauthentic;		/* of these, dropped: not authenticated with our key */
	uint16_t last_error;
};
void client_status(const struct client *c, struct client_status *out);

/* "REGISTER_FIRST"; an error of IPsec that nobody knows is one all the same. */
const char *client_error_name(uint16_t error);

struct client_item {			/* one thing wanted */
	unsigned int id;
	const struct want *want;
	const struct client_lease *lease;	/* NULL: not granted */
	uint64_t next;			/* when it is extended, or asked for; UINT64_MAX: not under this flow policy */
	bool freeing;			/* a bind of it is being freed */
};
/* What is wanted, in the order in which it was added: start with id 0. False: no more. */
bool client_next(const struct client *c, unsigned int id, struct client_item *out);
