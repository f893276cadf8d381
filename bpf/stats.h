/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of every packet: count its outcome, choose the XDP action. */
#pragma once

#include "maps.h"

/* The outcomes of one verdict as a set of bits. */
#define VERDICT_FORWARD	1
#define VERDICT_PASS	2
#define VERDICT_DROP	3
#define VERDICT_HAND	4
#define X(name, verdict, text) | (__u64)(VERDICT_##verdict == VERDICT_FORWARD) << RSIP_##name
static const __u64 forwarded = 0 RSIP_OUTCOMES(X);
#undef X
#define X(name, verdict, text) | (__u64)(VERDICT_##verdict == VERDICT_PASS) << RSIP_##name
static const __u64 passed = 0 RSIP_OUTCOMES(X);
#undef X
_Static_assert(RSIP_OUTCOME_COUNT <= 64, "more outcomes than bits");

static __always_inline int finish(enum rsip_outcome why, __u32 frame_len)
{
	__u32 key = why;
	struct rsip_counter *counter = bpf_map_lookup_elem(&rsip_counters, &key);

	if (counter) {
		counter->packets++;
		counter->bytes += frame_len;
	}
	if (forwarded >> key & 1)
		return XDP_REDIRECT;
	if (passed >> key & 1)
		return XDP_PASS;
	return XDP_DROP;
}
