/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of every packet: count its outcome, choose the XDP action. */
#pragma once

#include "maps.h"

#define ACTION_FORWARD	XDP_REDIRECT
#define ACTION_PASS	XDP_PASS
#define ACTION_DROP	XDP_DROP
#define ACTION_HAND	XDP_DROP
#define ACTION_ANSWER	XDP_REDIRECT
static const __u8 actions[RSIP_OUTCOME_COUNT] = {
	[RSIP_GO_ON] = XDP_ABORTED,	/* never */
#define X(name, verdict, text) [RSIP_##name] = ACTION_##verdict,
	RSIP_OUTCOMES(X)
#undef X
};

static __always_inline bool outcome_forwards(__u32 why)
{
	return why < RSIP_OUTCOME_COUNT && actions[why] == XDP_REDIRECT;
}

static __always_inline int finish(enum rsip_outcome why, __u32 frame_len)
{
	__u32 key = why;
	struct rsip_counter *counter = bpf_map_lookup_elem(&rsip_counters, &key);

	if (counter) {
		counter->packets++;
		counter->bytes += frame_len;
	}
	return key < RSIP_OUTCOME_COUNT ? actions[key] : XDP_DROP;
}
