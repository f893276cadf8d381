/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The values of RSIP parameters: read, write and print one (RFC 3103 8,
 * RFC 3104 6.2). For msg.c only, which knows where each may stand.
 */
#pragma once

#include "lib/buf.h"
#include "lib/msg.h"

/* A parameter at its place in a message: Address and Ports mean different things by place. */
enum slot {
	SLOT_NONE,
	SLOT_CLIENT,
	SLOT_BIND,
	SLOT_LOCAL,
	SLOT_LPORTS,
	SLOT_REMOTE,
	SLOT_RPORTS,
	SLOT_SPI,
	SLOT_LEASE,
	SLOT_TUNNEL,
	SLOT_TUNNELS,		/* Tunnel Type where it may be repeated */
	SLOT_METHODS,
	SLOT_ENDPOINT,
	SLOT_ERROR,
	SLOT_FLOW,
	SLOT_COUNTER,
	SLOT_TUPLES,
	SLOT_VENDOR,
	SLOT_COUNT,
};

struct slot_info {
	const char *name;
	uint8_t param;		/* enum rsip_param */
	bool repeat;
	uint32_t has;
};
extern const struct slot_info slot_infos[SLOT_COUNT];

/* Address places inside a tuple; the others are slots. */
enum tuple_place { TUPLE_ADDRESS, TUPLE_NETWORK, TUPLE_MASK, TUPLE_NONE };

struct tlv {
	uint8_t type;
	uint16_t len;
	const uint8_t *value;
};
/* The next parameter; false at the end, and with r->failed where it does not fit. */
bool tlv_next(struct reader *r, struct tlv *out);

#define PARAM_WHY_LEN	96	/* of msg_fault.text */

struct param_in {
	uint8_t message;	/* enum rsip_message the value stands in */
	enum msg_role role;
	char *why;		/* says what is wrong when a reader returns false; PARAM_WHY_LEN */
};

/* How many values of this slot *m holds: 0 or 1, or more of a repeated one. */
unsigned int param_count(enum slot slot, const struct msg *m);

/* Reads a value into its member of *m; not for SLOT_TUPLES. Repeated ones are appended while there is room. */
bool param_read(enum slot slot, const struct tlv *t, const struct param_in *in, struct msg *m);
bool param_read_indicator(const struct tlv *t, const struct param_in *in, uint16_t *out);
/* The mask of TUPLE_MASK goes to out->v4. TUPLE_NONE: any well-formed address. */
bool param_read_tuple_addr(enum tuple_place place, const struct tlv *t, const struct param_in *in, struct msg_addr *out);

/* Writes value `index` with its header; all tuples at once for SLOT_TUPLES. */
void param_write(enum slot slot, unsigned int index, const struct msg *m, struct writer *w);
/* "client=9"; tuples as "network(10.0.0.0/mask 255.0.0.0) address(10.1.1.1)". */
void param_text(enum slot slot, unsigned int index, const struct msg *m, struct writer *w);
/* Appends text; what does not fit is cut. */
void text_add(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
