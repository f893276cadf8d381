/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the RSIP server share, and nobody else: receive.c (messages as
 * they come in), answer.c (from request to answer), send.c (what leaves), register.c
 * (hosts), assign.c (what a host asks for), bind.c (what it then has), keep.c and
 * restore.c (what is written down of both and comes back from there), session.c
 * (the server's own life). The rest of the daemon uses session.h.
 */
#pragma once

#include "lib/auth.h"
#include "lib/log.h"
#include "rsipd/journal.h"
#include "rsipd/policy.h"
#include "rsipd/query.h"
#include "rsipd/rate.h"
#include "rsipd/repeat.h"
#include "rsipd/replay.h"
#include "rsipd/session.h"

#define SESSION_LOG_BURST	20	/* lines a second of each kind */
#define SESSION_LOG_REFIT	1000	/* of what a reload ends: the operator asked for it */
#define SESSION_VIOLATIONS	6	/* kinds, see violation.c */

#define LOOKUPS_MAX	1024
#define LOOKUP_MS	1500	/* then a name has no address: the host asks for 1.6 s */
#define REQUEST_WAITS	UINT16_MAX	/* instead of an error: no answer yet */

/* lookup.c: names that are looked up. */
struct lookups {
	session_resolve *resolve;
	void *arg;
	struct table by_id;
	struct wheel timers;
	uint32_t ids, count;
};

struct sessions {
	const struct config *config;
	struct datapath *dp;
	struct journal *journal;
	session_send send;
	void *send_arg;
	struct pools *pools;
	struct leases *leases;
	struct departed *departed;
	struct repeats *repeats;
	struct lookups lookups;
	unsigned int messages_off;	/* MSG_NO_*: what the configuration has no use for */
	bool draining;
	session_watch *watch;
	void *watch_arg;
	uint32_t configuration;		/* counts reloads */
	struct refit {			/* refit.c: the reload that is under way */
		bool running;
		struct lease_walk walk;
		session_report *report;
		void *arg;
	} refit;
	struct session_counters counters;
	struct rate_table requests, errors;	/* of sources that are not registered */
	struct rate all_errors;
	struct stranger *strangers;	/* hosts with a key that are not registered: authentic.c */
	struct log_limit faults, refusals, changes, failures;
	unsigned int changes_burst;	/* of `changes`, lines a second */
	/* scratch, one message at a time */
	uint8_t out[RSIP_MESSAGE_MAX];
	uint8_t values[RSIP_MESSAGE_MAX];	/* tuples or SPIs of an answer */
};

/* What is kept of a registered host beside its leases. */
struct session {
	struct replay last;
	struct rate requests;
	struct lookup *lookup;		/* the request that waits for a name; NULL: none */
	uint32_t last_bind;		/* that the last answer speaks of; 0: of none */
	struct auth_peer auth;
	bool counted;			/* asynchronous messages carry a counter */
	uint64_t report_next[SESSION_VIOLATIONS];	/* by kind: when the host may be told again, ms */
	bool resync;			/* the last answer was 302: a DE-REGISTER_REQUEST has any counter */
	uint32_t configuration;		/* that what the host has was found to fit, or was granted under */
};

/* How what is sent is authenticated; without a key not at all. */
struct seal {
	const uint8_t *key;
	struct auth_stamp stamp;
};

/* What was found for the names of a request. */
struct resolved {
	struct peers peers;		/* ASSIGN */
	struct query_names names;	/* QUERY */
	uint64_t until;			/* no name is looked up after that, ms */
};

/* A request on its way. */
struct exchange {
	struct sessions *s;
	const struct origin *from;
	const struct msg *m;
	const struct replay_request *request;
	const uint8_t *data;		/* the request as it came */
	size_t data_len;
	const struct resolved *resolved;	/* what its names stand for; NULL: not looked up yet */
	uint64_t now;
	struct client *client;		/* NULL: not registered (any more) */
	struct seal seal;		/* of the answer */
	bool again;			/* the authenticator is that of the last request */
	struct bind *bind;		/* EXTEND, FREE: the one that is named; ASSIGN: the new one */
	struct peers peers;		/* ASSIGN: what the flow policy ties the new one to */
	struct msg answer;
};

/* What those who end many things hand to lease_each_client() and lease_each_bind(). */
struct ending {
	struct sessions *s;
	uint64_t now;
};

/* --- session.c ------------------------------------------------------------------------- */

/* The host at a private address, or NULL. What of it is over ends first, however late the timer. */
struct client *session_client(struct sessions *s, __be32 source, uint64_t now);

/* Seconds to grant or extend for; while the gateway drains no more than the registration has, perhaps 0. */
uint32_t session_lease(const struct exchange *x);

/* Tells who watches. */
void session_happened(const struct sessions *s, const struct session_event *event);

/* An ERROR_RESPONSE is made; without effect for codes that none is sent with. */
void session_count_error(struct sessions *s, uint16_t error);

/* --- receive.c: messages as they come in -------------------------------------------------- */

/* Carries out a request that waited for a name. */
void session_go_on(struct sessions *s, const struct origin *from, const uint8_t *data, size_t len,
		   const struct resolved *resolved, uint64_t now);

/* --- answer.c: from request to answer ------------------------------------------------------ */

/* What these three write is in s->out, encoded and not sealed; they return its length. */

/* Checks a request and carries it out. *error: 0, what the answer says, or REQUEST_WAITS: then there is none yet. */
size_t answer_request(struct exchange *x, uint16_t *error);
/* Refuses one: an error that is told to who watches and to the log. */
size_t answer_refusal(struct exchange *x, uint16_t error);
/* An ERROR_RESPONSE to it, with the IDs that go with the error. */
size_t answer_error(struct exchange *x, uint16_t error);

/* Whether what a type of request changes is written down; the type was decoded. */
bool answer_is_recorded(uint8_t request);

/* --- send.c: what leaves ------------------------------------------------------------------- */

/* How many bytes a message may have before it is sealed. */
size_t send_room(bool tcp, const struct seal *seal);
/* Encodes into s->out. Returns the length; 0: it would be too long. */
size_t send_encode(struct sessions *s, const struct msg *m, bool tcp, const struct seal *seal);
/* Seals a message, s->out or another, where there is a key, and hands it to whom sessions_new() was given. */
void send_message(struct sessions *s, const struct origin *to, const uint8_t *data, size_t len, bool close,
		  const struct seal *seal);
/* The same to the sender of a request; errors to senders that are not registered are limited (SEC-05). */
void send_reply(struct exchange *x, const uint8_t *data, size_t len, bool close);

/* FREE_RESPONSE or DE-REGISTER_RESPONSE of the gateway's own accord, to where the host was
 * heard last (T-31); over UDP it is said again. bind_id 0: none is named. */
void session_tell(struct sessions *s, const struct client *client, uint8_t type, uint32_t bind_id, uint64_t now);
/* ERROR_RESPONSE of its own accord, once. */
void session_tell_error(struct sessions *s, const struct client *client, uint16_t error, uint32_t bind_id);
/* Says again what is due, LEASE_EXPIRE_MAX messages at most. */
void send_again(struct sessions *s, uint64_t now);

/* --- lookup.c: a request waits for a name ------------------------------------------------------ */

int lookups_init(struct lookups *lookups);
void lookups_destroy(struct lookups *lookups);	/* after all hosts */

/* Has a name of a request looked up. REQUEST_WAITS; 314 when nobody looks up names, or not any more for this
 * one, 104 when too many wait. */
uint16_t lookup_begin(struct exchange *x, const struct msg_addr *name);
/* The host is gone, or asked for something else. */
void lookup_drop(struct sessions *s, struct client *client);
/* Ends what takes too long. Returns when to call again, 0: nothing waits. */
uint64_t lookups_expire(struct sessions *s, uint64_t now);

/* --- authentic.c: hosts with a key (SEC-04) --------------------------------------------------- */

/* Judges the bytes of a request, and sets x->seal and x->again. False: it is not to be
 * looked at any further; *error is to be answered, or 0 for silence. */
bool authentic_request(struct exchange *x, const uint8_t *data, size_t len, uint16_t *error);
/* For a message of our own to a host. */
struct seal authentic_tell(struct sessions *s, __be32 host);
/* That of a message which was sealed before, to seal another in its place. */
struct seal authentic_again(struct sessions *s, __be32 host, const uint8_t *data, size_t len);
/* What is known of a host that registers goes with it, and stays when it leaves. */
void authentic_register(struct sessions *s, const struct client *client);
void authentic_leave(struct sessions *s, const struct client *client);

/* --- refit.c: what a host has and the configuration that was loaded since ------------------ */

/* Ends what does not fit, once for each configuration. False: the host itself is gone. */
bool refit_client(struct sessions *s, struct client *client, uint64_t now);

/* --- register.c: a host comes and goes ---------------------------------------------- */

/* REGISTER_REQUEST and DE-REGISTER_REQUEST; 0 or the error to answer with. */
uint16_t register_request(struct exchange *x);
uint16_t deregister_request(struct exchange *x);

/* Ends a registration, its binds first. `why` is for the log. */
void register_end(struct sessions *s, struct client *client, const char *why, uint64_t now);

/* --- assign.c: a host asks for resources ---------------------------------------------- */

/* The ASSIGN_REQUESTs and LISTEN_REQUEST; 0 or the error to answer with. */
uint16_t assign_request(struct exchange *x);

/* --- bind.c: the one place where a bind begins, is extended and ends ------------------ */

/* EXTEND_REQUEST and FREE_REQUEST for x->bind; 0. */
uint16_t bind_extend_request(struct exchange *x);
uint16_t bind_free_request(struct exchange *x);

/* Makes a bind of `grant` and puts it into the data plane: x->bind. 0, or 104
 * with all undone, the grant given back as well (E-07). */
uint16_t bind_grant(struct exchange *x, struct pool_grant *grant, uint8_t tunnel, uint32_t seconds);
void bind_extend(struct sessions *s, struct bind *bind, uint32_t seconds, uint64_t now);
/* As the data plane knows it. `ports` is where the bind's are written; it must live as long as *out. */
void bind_describe(const struct bind *bind, struct msg_ports *ports, struct datapath_bind *out);
/* Traffic stops before the resources go back (FREE-04). `why` is for the log; NULL: not worth a line. */
void bind_end(struct sessions *s, struct bind *bind, const char *why, uint64_t now);

/* Puts a bind into the data plane, which sets its slot. 0 or -errno. */
int bind_install(struct sessions *s, struct bind *bind);

/* --- keep.c: what is written down, before the answer that tells of it leaves ------------ */

void keep_client(struct sessions *s, struct client *client);
void keep_client_end(struct sessions *s, const struct client *client);
void keep_bind(struct sessions *s, struct bind *bind);
/* Before its grant goes back to the pool. */
void keep_bind_end(struct sessions *s, struct bind *bind, uint64_t now);
