/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RSIP messages: bytes to struct and back (RFC 3103 8 and 9, RFC 3104 6.2).
 * Pure: no clock, no socket, no allocation. The grammar of each message is one
 * row of a table in msg.c. "A-nn" is a decided reading, "W-nn" a row, of
 * docs/conformance.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include <rsip/proto.h>

/* --- values ---------------------------------------------------------------- */

struct msg_addr {
	uint8_t type;		/* enum rsip_addrtype as on the wire */
	bool any;		/* don't-care, also 0.0.0.0 and :: in a local or remote place */
	uint8_t name_len;	/* FQDN: bytes of name, 1 to RSIP_FQDN_MAX */
	union {
		__be32 v4;	/* IPv4 and netmask */
		uint8_t v6[16];
		const uint8_t *name;	/* FQDN: ASCII, not terminated; points into the message */
	};
};

/* How the values of a Ports or an SPI parameter are given (1.2 of the catalogue) */
enum msg_form {
	MSG_NOT_NEEDED,		/* Length 0: ports in RSIPSEC messages only */
	MSG_ANY,		/* `count` values, whichever */
	MSG_RUN,		/* `count` adjacent values from `first`; count 1: that one */
	MSG_LIST,		/* `count` values, listed */
};

struct msg_ports {
	enum msg_form form;
	uint16_t count;		/* 0 to 255; 0 only for remote don't-care */
	uint16_t first;		/* MSG_RUN, host order */
	uint16_t list[RSIP_PORTS_MAX];	/* MSG_LIST, host order */
};

struct msg_spis {
	enum msg_form form;	/* never MSG_NOT_NEEDED */
	uint16_t count;		/* 1 to 65535; a list holds at most RSIP_SPIS_MAX */
	uint32_t first;		/* MSG_RUN, host order */
	const uint8_t *list;	/* MSG_LIST: `count` big-endian words, see msg_spi_at(); not owned */
};

struct msg_vendor {
	uint16_t id, subtype;
	uint16_t len;
	const uint8_t *value;	/* points into the message; not owned */
};

struct msg_tuple {		/* QUERY: an address, or a network and its netmask */
	uint16_t indicator;	/* enum rsip_indicator */
	struct msg_addr addr;
	__be32 mask;		/* networks only; without holes */
};

#define MSG_REPEAT_MAX	8	/* methods, tunnels and vendor parameters kept; more are read and left out */
#define MSG_ORDER_MAX	32

/* Which members hold something: has & MSG_HAS(RSIP_PARAM_x). Address and Ports
 * are told apart by place: MSG_HAS_LOCAL and so on. */
#define MSG_HAS(param)		(1u << (param))
#define MSG_HAS_LOCAL		(1u << 24)	/* Address local */
#define MSG_HAS_LPORTS		(1u << 25)
#define MSG_HAS_REMOTE		(1u << 26)
#define MSG_HAS_RPORTS		(1u << 27)
#define MSG_HAS_ENDPOINT	(1u << 28)	/* third Address of a response: tunnel end point */
#define MSG_HAS_TUPLES		(1u << 29)

struct msg {
	uint8_t type;			/* enum rsip_message */
	uint32_t has;
	uint32_t client_id, bind_id, lease, counter;
	uint16_t error;
	uint8_t local_policy, remote_policy;
	struct msg_addr local, remote, endpoint;
	struct msg_ports lports, rports;
	struct msg_spis spis;
	uint8_t methods[MSG_REPEAT_MAX], method_count;
	uint8_t tunnels[MSG_REPEAT_MAX], tunnel_count;	/* has RSIP_PARAM_TUNNEL_TYPE: count > 0 */
	struct msg_vendor vendors[MSG_REPEAT_MAX];
	uint8_t vendor_count;
	const uint8_t *tuples;		/* QUERY: raw, checked tuples, see msg_tuple_next(); not owned */
	size_t tuples_len;
	/*
	 * Parameter types in the order they stood; Address and Ports once for each
	 * place, a run of tuples once, as RSIP_PARAM_INDICATOR. Filled by
	 * msg_decode(). msg_encode() follows it; with order_count 0 it writes the
	 * order of the grammar, Message Counter first among the optional ones where
	 * RSIP sends it so (golden vectors ips-*).
	 */
	uint8_t order[MSG_ORDER_MAX], order_count;
};

uint32_t msg_spi_at(const struct msg_spis *spis, unsigned int i);	/* value i of a run or a list */
uint16_t msg_port_at(const struct msg_ports *ports, unsigned int i);

/* Reads the next tuple; false at the end. `r_at`/`r_left` start as m->tuples, m->tuples_len. */
bool msg_tuple_next(const uint8_t **at, size_t *left, struct msg_tuple *out);
/* Bytes written at `out`, or 0 when `capacity` does not hold the whole tuple (T-34). */
size_t msg_tuple_write(const struct msg_tuple *tuple, uint8_t *out, size_t capacity);

/* --- reading ---------------------------------------------------------------- */

enum msg_role { MSG_AT_GATEWAY, MSG_AT_HOST };

#define MSG_UDP			0x01	/* one datagram: trailing bytes are 207, a counter is required */
#define MSG_REFUSE_UDP		0x02	/* with MSG_UDP: the server is TCP only, 102 (T-07) */
#define MSG_NO_RSA		0x04	/* 208 for optional messages that are off */
#define MSG_NO_LISTEN		0x08
#define MSG_NO_IPSEC		0x10

/*
 * What to do with bytes that are not a valid message. At the gateway: `error`
 * is the one to send (E-02), or 0 for silence. At the host, which never sends
 * errors (W-31): error is 0, and has_client and has_bind say whether an
 * assignment can be freed.
 */
struct msg_fault {
	uint16_t error;
	uint8_t type;			/* message type, when it could be read */
	bool has_client, has_bind;
	uint32_t client_id, bind_id;
	uint32_t counter;		/* to copy into the answer, or 0 */
	bool has_counter;		/* a TCP answer carries a counter only then */
	bool close;			/* TCP: framing is lost, close after answering (T-09) */
	char text[96];			/* for the log: what was wrong, with both numbers */
};

/*
 * Reads one message of exactly `len` bytes. Returns true and fills *out, whose
 * slices point into `data`; or false and fills *fault. At the gateway the
 * checks and their order are row E-02 up to 105; at the host the liberal forms
 * of are taken as well.
 */
bool msg_decode(const uint8_t *data, size_t len, enum msg_role role, unsigned int flags,
		struct msg *out, struct msg_fault *fault);

/*
 * TCP: how many bytes the first message in `data` takes. 0: more bytes are
 * needed. -1: the stream cannot be cut any more (Overall length below 4); pass
 * the four bytes to msg_decode() for the error.
 */
int msg_frame_len(const uint8_t *data, size_t len);

/* --- writing ---------------------------------------------------------------- */

/* Bytes written, or 0 if `capacity` is too small or the message is not a valid one. */
size_t msg_encode(const struct msg *m, uint8_t *out, size_t capacity);

/* --- names, for logs and tools (A-12) ---------------------------------------- */

const char *msg_type_name(uint8_t type);	/* "ASSIGN_REQUEST_RSIPSEC" or "unknown" */
const char *msg_error_name(uint16_t error);	/* "REGISTER_FIRST" or "?" */
const char *msg_tunnel_name(uint8_t tunnel);	/* "IP-IP", "GRE", "L2TP" or "?" */
const char *msg_method_name(uint8_t method);	/* "RSA-IP", "RSAP-IP", "RSIPSEC" or "?" */
const char *msg_policy_name(uint8_t policy);	/* "macro", "micro", "none" or "?" */

/* Request type to its response type; 0 if `type` is no request. */
uint8_t msg_response_of(uint8_t type);

/* One line in the manner of the golden vectors' summaries, for debug logs:
 * FREE_REQUEST(client=9 bind=1 counter=2). Always terminated. Returns `out`. */
const char *msg_text(const struct msg *m, char *out, size_t capacity);
