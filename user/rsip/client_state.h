/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the client knows and wants, for the files that it is made of: client.c
 * (what others want of it, and time), client_request.c (what is sent),
 * client_answer.c (what comes back). None of them keeps anything elsewhere. Times
 * are milliseconds of the caller's clock, but for those in us.
 */
#pragma once

#include "rsip/client.h"

#define MS_PER_S	1000u
#define US_PER_MS	1000u
#define BACKOFF_FIRST_MS 1000u
#define NEVER		UINT64_MAX

struct request {
	uint8_t type;			/* 0: none */
	uint32_t client_id, bind_id;	/* those of the request, or 0 */
	unsigned int slot;		/* what it is about: its number, or 0 */
	bool named;			/* ASSIGN: asked for an address or ports by name */
	uint64_t first_ms;		/* first sending of these bytes: leases count from here (LSE-10) */
};

/* The request in flight, its bytes kept for repeats (T-16). */
struct pending {
	struct request is;
	uint32_t sends;
	uint64_t due_us, wait_us;	/* next sending, or failure */
	size_t len;			/* without the authenticator */
	uint8_t bytes[RSIP_MESSAGE_MAX];
	size_t sealed_len;
	uint8_t sealed[RSIP_MESSAGE_MAX];	/* what is sent */
};

struct backoff {
	uint64_t at;			/* not before this */
	uint64_t ms;			/* the next one */
};

/* One thing wanted, and the lease that is it. */
struct slot {
	struct slot *next;
	unsigned int id;
	struct want want;
	bool dropped;			/* taken off when nothing of it is left at the gateway */
	bool unnamed;			/* what was named was refused: ask for any (HOST-11) */
	struct backoff ask;
	bool has_lease;
	struct client_lease lease;
	uint64_t extend_at;
	bool to_free;			/* a bind of it that cannot be used, or is not wanted any more */
	uint32_t free_id;
};

struct client {
	const struct client_ops *ops;
	void *arg;
	uint32_t first_us, sends;
	struct pending pending;
	bool has_key;
	uint8_t key[AUTH_KEY_LEN];
	struct auth_host auth;
	uint32_t counter;		/* of the request in flight, or of the next one */

	bool wanted, stopping;
	struct slot *slots;		/* utlist */
	unsigned int last_id;
	bool tcp_tried;			/* 102 was followed once (HOST-12) */
	bool started_over;		/* since the last grant, because the gateway and we disagreed */
	bool last_try;			/* a DE-REGISTER_REQUEST of client_stop() was refused */
	struct backoff reg;		/* for REGISTER_REQUEST, and DE-REGISTER_REQUEST while stopping */
	uint64_t check_at;		/* violations are not looked into before this (ASY-08) */

	bool registered;
	uint32_t client_id;
	uint64_t registration_expires;
	uint8_t local_policy, remote_policy;
	uint8_t methods[MSG_REPEAT_MAX], method_count, tunnels[MSG_REPEAT_MAX], tunnel_count;

	bool forget;			/* DE-REGISTER this ID first: the gateway and we disagree */
	uint32_t forget_id;

	bool asking;			/* client_query() */
	uint8_t *tuples;
	size_t tuples_len;

	enum client_state shown;
	uint32_t sent, resent, received, unauthentic;
	uint16_t last_error;
};

/* Adds one at the end, with a new number. NULL: no memory. */
struct slot *slot_new(struct client *c, const struct want *want);
/* One that is not in the list. */
void slot_free(struct slot *slot);

/* The slot of a number, of a live bind, with any lease; NULL: none. */
struct slot *slot_by_id(const struct client *c, unsigned int id);
struct slot *slot_by_bind(const struct client *c, uint32_t bind_id);
struct slot *slot_with_lease(const struct client *c);

/* Its lease is extended when half of what is left is over, again and again, but not every instant at the end
 * (EXT-07, SCALE-03). Returns when. */
uint64_t slot_plan_extension(struct slot *slot, uint64_t now);
/* FREE_REQUEST for this bind is next. */
void slot_free_bind(struct slot *slot, uint32_t bind_id);

/* The next try waits, twice as long each time. Returns when it is. */
uint64_t backoff_next(struct backoff *backoff, uint64_t now);
/* The next try is at once, and if it fails waits as little as the first. */
void backoff_reset(struct backoff *backoff);

/* Tells the state of Appendix D, if it is another one. */
void client_show_state(struct client *c);
/* Tells that a request failed, and when it is tried again: 0 or NEVER, not at all. `slot`: a number, or 0. */
void client_fail(struct client *c, uint8_t type, uint16_t error, unsigned int slot, uint64_t again);

/* The lease of a slot, if it has one, is over: nothing is sent. */
void client_end_lease(struct client *c, struct slot *slot, enum client_end why);
/* The bind is gone, by the gateway's will: ask anew, not at once. An unknown one: nothing. */
void client_lose_bind(struct client *c, uint32_t bind_id, uint64_t now);
/* client_query() has its answer, or none (NULL). Nothing if nobody asked. */
void client_end_query(struct client *c, const struct msg *response);
/* The registration is over, and all leases with it: nothing is sent. */
void client_end_registration(struct client *c, enum client_end why);
/* De-registered, or as good as: the ID that was to be forgotten is, or our own registration is over. */
void client_forgotten(struct client *c);
/* The gateway knows this ID, or did: clear its side, then register. At once, but no second time without a
 * lease between. Returns when. */
uint64_t client_start_over(struct client *c, uint32_t old_id, uint64_t now);
/* The gateway does not know us as we know ourselves: drop all and begin anew (FAIL-06, FAIL-07). Returns when. */
uint64_t client_lose(struct client *c, uint64_t now);
