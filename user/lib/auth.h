/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Authentication of RSIP messages between a host and its gateway (SEC-04): a
 * keyed hash at the end of each message, and what keeps an old message from
 * being taken for a new one. docs/authentication.md has the bytes and the rules.
 * Pure, but for auth_load_key() and random numbers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUTH_KEY_LEN	32
#define AUTH_MAC_LEN	16
#define AUTH_LEN	39		/* of the authenticator: the last parameter of a message */
#define AUTH_VENDOR	241
#define AUTH_SUBTYPE	1

/* What makes a message unlike any other. */
struct auth_stamp {
	uint64_t nonce;			/* the gateway's choice for this host; 0: the host knows none */
	uint64_t sequence;		/* of the request; of the gateway's own messages with AUTH_ASYNC */
};
#define AUTH_ASYNC	(1ull << 63)

/* Appends the authenticator and corrects the overall length. The new length, or 0:
 * no room in `capacity`, or in 65535. */
size_t auth_seal(const uint8_t key[static AUTH_KEY_LEN], struct auth_stamp stamp, uint8_t *data, size_t len,
		 size_t capacity);
/* Whether a message ends with an authenticator made with this key; then *out. */
bool auth_open(const uint8_t key[static AUTH_KEY_LEN], const uint8_t *data, size_t len, struct auth_stamp *out);

/* Reads a key file: 64 hexadecimal digits and perhaps a newline, in a file that is
 * ours or root's and that nobody else can read. 0, or -1 and *why, a text that stands. */
int auth_load_key(const char *path, uint8_t key[static AUTH_KEY_LEN], const char **why);

/* --- at the gateway: one for each host ---------------------------------------------- */

struct auth_peer {		/* of zeroes: nothing was ever heard of the host */
	uint64_t nonce;			/* that it uses; 0: none */
	uint64_t offered;		/* told to it and not used yet; 0: none */
	uint64_t sequence;		/* of its last request under `nonce` */
	uint64_t told;			/* messages of our own under `nonce` */
};

enum auth_verdict {
	AUTH_NEW,			/* to be executed */
	AUTH_AGAIN,			/* the last request: its stored answer at most */
	AUTH_OLD,			/* silence */
	AUTH_CHALLENGE,			/* an error with auth_challenge() as its stamp: the host asks again */
};

/* Judges a request whose authenticator is right. */
enum auth_verdict auth_judge(struct auth_peer *peer, struct auth_stamp stamp);
struct auth_stamp auth_challenge(const struct auth_peer *peer, struct auth_stamp request);
/* For a message of the gateway's own. */
struct auth_stamp auth_tell(struct auth_peer *peer);

/* --- at the host ---------------------------------------------------------------------- */

struct auth_host {
	uint64_t nonce;
	uint64_t sequence;		/* of the last request */
	uint64_t told;			/* the last message of the gateway's own */
};

enum auth_news {
	AUTH_ANSWER,			/* to the last request */
	AUTH_TOLD,			/* the gateway's own, not heard before */
	AUTH_ASK_AGAIN,			/* the last request with a new stamp */
	AUTH_NOTHING,			/* an old message, or not for us */
};

/* Begins at a place that nobody can guess. */
void auth_host_init(struct auth_host *host);
/* For the next request. */
struct auth_stamp auth_ask(struct auth_host *host);
/* Judges a message whose authenticator is right; `is_error`: an ERROR_RESPONSE. */
enum auth_news auth_hear(struct auth_host *host, struct auth_stamp stamp, bool is_error);
