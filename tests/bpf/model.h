/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What must become of a packet in the world of run.h, worked out slowly: every
 * table is walked, every checksum is computed in full, one packet at a time.
 * Written from docs/conformance.md, to be compared with the programs.
 */
#pragma once

#include "run.h"

#define MODEL_COOKIES	2048
#define MODEL_NOTES	4096

struct model_cookie {
	uint64_t cookie;	/* as on the wire, first byte highest */
	uint32_t addr;		/* host order, as everywhere in the model */
	unsigned int port;
	uint32_t peer;
	const struct world_bind *bind;
};

struct model_note {		/* an ICMP request, or an SPI that a host sent with */
	unsigned int proto, type;	/* 1 and the type of the request, or 50, or 51 */
	uint32_t addr, peer, field;	/* identifier and sequence number, or SPI */
	const struct world_bind *bind;
};

struct model_fragments {	/* a packet of which fragments came */
	uint32_t src, dst, client;
	bool turned;		/* as who gets it from another host sees it */
	unsigned int id, proto, next;	/* next: up to here they went on, in units of 8 bytes */
	enum { IN_ORDER, SLOW, REFUSED, PASSED } state;
	const struct world_bind *bind;	/* NULL: not known */
};

struct model {
	struct model_cookie cookies[MODEL_COOKIES];
	size_t cookie_count;
	struct model_note notes[MODEL_NOTES];
	size_t note_count;
	struct model_fragments fragments[MODEL_NOTES];
	size_t fragments_count;
};

struct verdict {
	enum rsip_outcome outcome;
	struct frame out;	/* what leaves or is handed over, else empty */
};

/* May learn a cookie. */
void model_run(struct model *m, enum side side, const struct frame *in, struct verdict *out);

/* ICMP requests so far are too old for a reply. */
void model_forget_requests(struct model *m);

/* Makes the checksums of the IPv4 header, and of one tunnelled in it, right again. */
void model_fix(struct frame *f);
