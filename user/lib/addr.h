/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IPv4 addresses, prefixes and number ranges: text to value and back.
 * Addresses are __be32 (network order) everywhere in this project; ranges of
 * ports and SPIs are host order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

struct addr_prefix {		/* 10.0.0.0/8 */
	__be32 network;		/* host bits are 0 */
	uint8_t length;		/* 0 to 32 */
};

struct addr_range {		/* 203.0.113.10-203.0.113.20, ends included */
	uint32_t first, last;	/* host order, for counting */
};

struct num_range {		/* 1024-65535 or 0x100-0xffffffff, ends included */
	uint32_t first, last;
};

#define ADDR_TEXT_LEN	16	/* "255.255.255.255" and its NUL */
#define PREFIX_TEXT_LEN	19

/* Each parser takes the whole string or nothing: true and *out written, or false. */
bool addr_parse(const char *text, __be32 *out);				/* dotted quad, no octal */
bool addr_parse_prefix(const char *text, struct addr_prefix *out);	/* A/N or A; host bits must be 0 */
bool addr_parse_range(const char *text, struct addr_range *out);	/* A, A-B or A/N, all addresses of N */
bool num_parse_range(const char *text, uint32_t max, struct num_range *out); /* N or N-M, decimal or 0x */

/* Write text and return `out`. */
const char *addr_text(__be32 addr, char out[static ADDR_TEXT_LEN]);
const char *addr_prefix_text(const struct addr_prefix *prefix, char out[static PREFIX_TEXT_LEN]);

bool addr_in_prefix(__be32 addr, const struct addr_prefix *prefix);
__be32 addr_mask(uint8_t length);		/* 0 to 32: the netmask, network order */
/* The prefix length of a mask without holes, or -1. */
int addr_mask_length(__be32 mask);
