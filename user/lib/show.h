/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How values of the data plane are written, the same in rsipctl's tables, its
 * JSON and the metrics: outcomes by name, ports and SPIs as ranges.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rsip/datapath.h>

struct show_outcome {
	char name[24];		/* in-no-spi */
	const char *verdict;	/* forward, pass, drop or hand */
	const char *text;
};

/* `outcome` from 1 to RSIP_OUTCOME_COUNT - 1. */
const struct show_outcome *show_outcome(unsigned int outcome);

/* [{outcome, verdict, packets, bytes, text}...], all outcomes in order. NULL if memory is short. */
json_t *show_counters(const struct rsip_counter counters[static RSIP_OUTCOME_COUNT]);

/* "40000-40015,40020", or "0x100-0x1ff"; adjacent numbers become a range. JSON
 * null without numbers. NULL if memory is short. */
json_t *show_numbers(const uint32_t *numbers, size_t count, bool hex);

/* "192.0.2.1", "192.0.2.1:500", or "any" for 0. Address network order, port host order. */
json_t *show_remote(__be32 addr, uint16_t port);

json_t *show_addr(__be32 addr);
