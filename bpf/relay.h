/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose is an ICMP message? Errors are their host's whose packet they quote,
 * replies theirs who asked, by identifier and sequence number (IN-10 to
 * IN-15, EG-10, EG-11); a host that has all of an address gets both without
 * that. All of it is rare, and may look at the clock.
 */
#pragma once

#include "demux.h"
#include "icmp.h"
#include "maps.h"
#include "outspi.h"
#include "packet.h"
#include "policy.h"

#define SECOND_NS	1000000000ULL

/* --- requests and replies --------------------------------------------------------- */

static __always_inline __u8 icmp_request_of(__u8 reply)
{
	return reply == ICMP_ECHO_REPLY ? ICMP_ECHO : reply - 1;
}

static __always_inline void echo_key(__be32 addr, __be32 peer, __u8 type, const struct packet *p,
				     struct rsip_echo_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->addr = addr;
	key->peer = peer;
	key->id = p->sport;
	key->seq = p->dport;
	key->type = type;
}

static __always_inline bool echo_fresh(const struct rsip_echo *echo, __u64 now)
{
	return now - *(const volatile __u64 *)&echo->time < RSIP_ECHO_SECONDS * SECOND_NS;
}

static __always_inline bool echo_find(const struct rsip_echo_key *key, struct lease *lease)
{
	const struct rsip_echo *echo = bpf_map_lookup_elem(&rsip_echoes, key);

	return echo && echo_fresh(echo, bpf_ktime_get_coarse_ns()) && lease_get(&echo->target, lease);
}

/* May the bind have one more request remembered in this second? */
static __always_inline bool query_allowed(__u32 slot, __u64 now)
{
	struct rsip_bind_rare *bind = bind_rare(slot);
	__u32 second = now / SECOND_NS;

	if (!bind)
		return false;
	if (bind->query_second != second) {
		bind->query_second = second;
		bind->queries = 0;
	}
	return __sync_fetch_and_add(&bind->queries, 1) < RSIP_BIND_QUERIES;
}

/*
 * Remembers a host's request. Of two hosts with one identifier and sequence
 * number towards one peer the first has them until its entry is old.
 */
static __always_inline enum rsip_outcome echo_learn(const struct packet *p, const struct rsip_target *target)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct rsip_echo fresh = { .target = *target, .time = now };
	struct rsip_echo_key key;
	struct rsip_echo *echo;
	struct lease owner;

	echo_key(p->ip.src, p->ip.dst, p->icmp_type, p, &key);
	echo = bpf_map_lookup_elem(&rsip_echoes, &key);
	if (echo && echo_fresh(echo, now) && lease_get(&echo->target, &owner) &&
	    owner.bind->client != p->outer.src)
		return RSIP_OUT_ICMP_TAKEN;
	if (!query_allowed(target->bind, now))
		return RSIP_OUT_ICMP_LIMIT;
	return bpf_map_update_elem(&rsip_echoes, &key, &fresh, BPF_ANY) ? RSIP_ERROR : RSIP_GO_ON;
}

/* --- public side ------------------------------------------------------------------- */

/* The bind that sent the packet which an error quotes. */
static __always_inline bool relay_sender(const struct packet *q, struct lease *lease)
{
	struct rsip_cookie_key cookie;
	struct rsip_echo_key echo;
	const struct rsip_cookie *entry;

	switch (q->kind) {
	case PACKET_ESP:
	case PACKET_AH:
	case PACKET_NATT:
		if (outspi_find(q, lease))
			return true;
		if (q->kind == PACKET_NATT)
			break;
		return false;
	case PACKET_IKE:
		cookie_key(q->cookie, q->ip.src, q->sport, &cookie);
		entry = bpf_map_lookup_elem(&rsip_cookies, &cookie);
		if (entry && lease_get(&entry->target, lease)) {
			lease->peer = entry->peer;
			return true;
		}
		break;
	case PACKET_ICMP:
		echo_key(q->ip.src, q->ip.dst, q->icmp_type, q, &echo);
		return echo_find(&echo, lease);
	case PACKET_PORT:
	case PACKET_IKE_SHORT:
	case PACKET_NATT_SHORT:
		break;
	default:
		return false;
	}
	return lease_by_port(q->ip.src, q->sport, lease);
}

/*
 * An error is held to the policy as the quoted packet is: by where that went,
 * not by the router that sends the error (FLOW-13).
 */
static __always_inline enum rsip_outcome relay_policy_inbound(const struct packet *p, const struct packet *q,
							      const struct lease *lease)
{
	struct packet seen = { .kind = q->kind, .sport = q->dport, .ports = q->ports };

	seen.ip.src = q->ip.dst;
	seen.ip.ttl = p->ip.ttl;
	return policy_inbound(&seen, lease);
}

/* A reply to what a host asked. */
static __always_inline enum rsip_outcome relay_reply(const struct packet *p, const struct rsip_address *address,
						     struct lease *lease)
{
	struct rsip_echo_key key;

	echo_key(p->ip.dst, p->ip.src, icmp_request_of(p->icmp_type), p, &key);
	if (!(address && lease_get(&address->whole, lease)) && !echo_find(&key, lease))
		return RSIP_IN_ICMP;
	return policy_inbound(p, lease);
}

/* Finds the host of a message from outside; `sent` is its outcome when it is delivered. */
static __always_inline enum rsip_outcome relay_inbound(const void *data, const void *end, struct packet *p,
						       struct lease *lease, enum rsip_outcome *sent)
{
	const struct rsip_address *address = address_of(p->ip.dst);
	bool whole = address && lease_get(&address->whole, lease);
	struct packet q = {};

	switch (icmp_class(p->icmp_type)) {
	case ICMP_CLASS_REPLY:
		*sent = RSIP_IN_ICMP_REPLY;
		return relay_reply(p, address, lease);
	case ICMP_CLASS_ERROR:
		*sent = RSIP_IN_ICMP_ERROR;
		icmp_quote(data, end, p, SIDE_PRIVATE, &q);
		if (q.kind == PACKET_MALFORMED || q.ip.src != p->ip.dst || (!whole && !relay_sender(&q, lease)))
			return RSIP_IN_ICMP;
		if (whole)
			q.kind = PACKET_WHOLE;
		return relay_policy_inbound(p, &q, lease);
	case ICMP_CLASS_REQUEST:
		return RSIP_IN_ICMP_REQUEST;
	default:
		return RSIP_IN_ICMP;
	}
}

/* --- private side ------------------------------------------------------------------- */

/* Any bind of the sender on this address, by the remote address if need be. */
static __always_inline enum rsip_outcome admit_any(const struct packet *p, struct lease *lease)
{
	struct rsip_grant_key key = { .client = p->outer.src, .addr = p->ip.src };
	const struct rsip_grant *grant = bpf_map_lookup_elem(&rsip_grants, &key);

	if (!grant)
		return RSIP_OUT_ICMP;
	if (lease_get(&grant->any, lease) && is_remote(lease, p->ip.dst))
		return RSIP_GO_ON;
	key.remote = p->ip.dst;
	grant = bpf_map_lookup_elem(&rsip_grants, &key);
	return grant && lease_get(&grant->any, lease) ? RSIP_GO_ON : RSIP_OUT_REMOTE_ADDRESS;
}

/* An error must be about a packet that was the sender's own, and go to where that came from. */
static __always_inline enum rsip_outcome admit_error(const struct packet *p, struct packet *q, struct lease *lease)
{
	struct packet sent = { .dport = q->sport, .ports = q->ports };

	if (q->ip.dst != p->ip.src || q->ip.src != p->ip.dst || !demux(q, lease) ||
	    lease->new_cookie || lease->bind->client != p->outer.src)
		return RSIP_OUT_ICMP;
	sent.outer = p->outer;
	sent.ip = p->ip;
	sent.kind = q->kind;
	return policy_outbound(&sent, lease);
}

/* By which bind may the sender send this message? Its policy as well. */
static __always_inline enum rsip_outcome relay_outbound(const void *data, const void *end, struct packet *p,
							struct lease *lease, enum rsip_outcome *sent)
{
	enum icmp_class class = icmp_class(p->icmp_type);
	struct packet q = {};
	enum rsip_outcome why;

	if (class == ICMP_CLASS_OTHER)
		return RSIP_OUT_ICMP;
	if (class == ICMP_CLASS_ERROR) {
		*sent = RSIP_OUT_ICMP_ERROR;
		icmp_quote(data, end, p, SIDE_PUBLIC, &q);
		return admit_error(p, &q, lease);
	}
	*sent = RSIP_OUT_ICMP_QUERY;
	why = admit_any(p, lease);
	return why ? why : policy_outbound(p, lease);
}
