/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragments (IN-16, IN-17, EG-12). The first one decides, those that follow in
 * order go on here. One out of order makes the packet rsipd's: it gets this
 * fragment and all that come later. Nothing is put together here.
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "packet.h"

#define FRAGMENT_UNIT	8
#define FRAGMENT_LIFE	(RSIP_FRAGMENT_SECONDS * 1000000000ULL)

struct piece {			/* where a fragment belongs */
	__u32 from, to;		/* in units of 8 bytes; `to` of the last one is rounded up */
	bool last;
};

/* False: no packet can have this piece. */
static __always_inline bool fragment_place(const struct packet *p, struct piece *piece)
{
	__u32 frag = bpf_ntohs(p->ip.frag), len = p->ip.len - p->ip.header;

	piece->from = frag & IPV4_OFFSET;
	piece->to = piece->from + (len + FRAGMENT_UNIT - 1) / FRAGMENT_UNIT;
	piece->last = !(frag & IPV4_MF);
	if (!len || piece->from * FRAGMENT_UNIT + len > 0xffff - p->ip.header)
		return false;
	return piece->last || !(len % FRAGMENT_UNIT);
}

static __always_inline void fragment_key(const struct packet *p, __be16 id, struct rsip_fragment_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->src = p->ip.src;
	key->dst = p->ip.dst;
	key->client = p->outer.src;
	key->id = id;
	key->proto = p->ip.proto;
}

static __always_inline struct rsip_fragment *fragment_find(const struct rsip_fragment_key *key, __u64 now)
{
	struct rsip_fragment *there = bpf_map_lookup_elem(&rsip_fragments, key);

	return there && now - there->time < FRAGMENT_LIFE ? there : NULL;
}

enum fragment_way {
	FRAGMENT_SEND,
	FRAGMENT_HOLD,		/* it is rsipd's */
	FRAGMENT_DROP,
	FRAGMENT_STACK,		/* its first was left to the stack */
};

/* The first fragment: `target` may have it, or it stands in for RSIP_FRAGMENT_REFUSED or _PASS. */
static __always_inline enum fragment_way fragment_first(const struct rsip_fragment_key *key,
							const struct piece *piece,
							const struct rsip_target *target, __u32 state)
{
	struct rsip_fragment fresh = { .time = bpf_ktime_get_coarse_ns(), .state = state ? state : piece->to };
	struct rsip_fragment *there = fragment_find(key, fresh.time);

	fresh.target = *target;
	if (there && there->state & RSIP_FRAGMENT_SLOW) {
		if (!state) {
			there->target = *target;
			return FRAGMENT_HOLD;
		}
		there->state = state;	/* of those that follow; what rsipd holds will time out */
		return FRAGMENT_DROP;
	}
	/* Another first fragment: Y uses the identification again */
	if (bpf_map_update_elem(&rsip_fragments, key, &fresh, BPF_ANY))
		return FRAGMENT_DROP;
	return FRAGMENT_SEND;
}

/* A later fragment whose first has not come: from now on the packet is rsipd's. */
static __always_inline bool fragment_early(const struct rsip_fragment_key *key, __u64 now)
{
	struct rsip_fragment fresh = { .time = now, .state = RSIP_FRAGMENT_SLOW };

	return !bpf_map_update_elem(&rsip_fragments, key, &fresh, BPF_ANY);
}

/* A later fragment. *there: what is known of its packet, or NULL. */
static __always_inline enum fragment_way fragment_follow(const struct rsip_fragment_key *key,
							 const struct piece *piece, struct rsip_fragment **there)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	__u32 seen, next;

	*there = fragment_find(key, now);
	if (!*there)
		return fragment_early(key, now) ? FRAGMENT_HOLD : FRAGMENT_DROP;
	seen = *(volatile __u32 *)&(*there)->state;
	if (seen & RSIP_FRAGMENT_REFUSED)
		return FRAGMENT_DROP;
	if (seen & RSIP_FRAGMENT_PASS)
		return FRAGMENT_STACK;
	if (seen & RSIP_FRAGMENT_SLOW)
		return FRAGMENT_HOLD;
	if (piece->from < (seen & RSIP_FRAGMENT_NEXT))
		return FRAGMENT_DROP;	/* overlaps what has gone on */
	next = piece->from == seen ? piece->to : seen | RSIP_FRAGMENT_SLOW;
	if (__sync_val_compare_and_swap(&(*there)->state, seen, next) != seen)
		return FRAGMENT_DROP;	/* a packet whose fragments race on two CPUs is not worth more */
	return next & RSIP_FRAGMENT_SLOW ? FRAGMENT_HOLD : FRAGMENT_SEND;
}

struct handing {		/* a fragment for rsipd: rsip_event_fragment without the packet */
	struct rsip_fragment_key key;
	struct rsip_target target;
	__u32 kind;
	__u32 passed;
	__u32 tos;
	__u32 ip_at;
	__u32 len;
	__u32 pad;
};

/* False: rsipd does not take it. */
static __always_inline bool hand_fragment(struct xdp_md *ctx, const struct handing *what)
{
	struct rsip_event_fragment *event;
	__u32 len;

	if (!what->len || what->len > RSIP_EVENT_PACKET_MAX)
		return false;
	event = bpf_ringbuf_reserve(&rsip_slow, sizeof(*event), 0);
	if (!event)
		return false;
	event->kind = what->kind;
	event->passed = what->passed;
	event->target = what->target;
	event->key = what->key;
	event->tos = what->tos;
	event->len = what->len;
	/* as in hand_packet() */
	len = what->len - 1;
	barrier_var(len);
	len &= RSIP_EVENT_PACKET_MAX - 1;
	if (bpf_xdp_load_bytes(ctx, what->ip_at, event->packet, len + 1)) {
		bpf_ringbuf_discard(event, 0);
		return false;
	}
	bpf_ringbuf_submit(event, 0);
	return true;
}
