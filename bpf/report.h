/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a host may not send is told to the daemon, which tells the host (RFC
 * 3103 10.4). Each kind once: its bit in the host's entry is set from then on,
 * until the daemon stores the entry anew. So a flood costs one event (ASY-06).
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "packet.h"

/* The kinds of refusal that there is an error number for. */
_Static_assert(RSIP_OUT_TUNNEL - RSIP_OUT_ADDRESS == 5, "six kinds in a row");

/* 0: no host is told of this one. */
static __always_inline __u32 violation_bit(enum rsip_outcome why)
{
	if (why == RSIP_OUT_PROTOCOL)	/* no port, so none that was leased (EG-13) */
		why = RSIP_OUT_NO_PORT;
	return why >= RSIP_OUT_ADDRESS && why <= RSIP_OUT_TUNNEL ? 1U << (why - RSIP_OUT_ADDRESS) : 0;
}

/* Whose rule was it? What a lookup found may be over, or another host's. */
static __always_inline __u32 violated_bind(const struct packet *p, const struct lease *lease)
{
	const struct rsip_bind *bind = lease->bind;
	const struct rsip_bind_rare *rare = bind_rare(lease->target.bind);

	if (!bind || !rare || bind->generation != lease->target.generation || bind->client != p->outer.src)
		return 0;
	return rare->bind_id;
}

static __always_inline void report(struct rsip_client *client, const struct packet *p, const struct lease *lease,
				   enum rsip_outcome why)
{
	__u32 bit = violation_bit(why);
	struct rsip_event_violation *event;

	if (!bit || client->reported & bit)
		return;
	event = bpf_ringbuf_reserve(&rsip_events, sizeof(*event), 0);
	if (!event)
		return;
	if (__sync_fetch_and_or(&client->reported, bit) & bit) {
		bpf_ringbuf_discard(event, 0);	/* another CPU was faster */
		return;
	}
	event->kind = RSIP_EVENT_VIOLATION;
	event->outcome = why;
	event->client = p->outer.src;
	event->bind_id = violated_bind(p, lease);
	event->src = p->ip.src;
	event->dst = p->ip.dst;
	event->sport = p->sport;
	event->dport = p->dport;
	bpf_ringbuf_submit(event, 0);
}
