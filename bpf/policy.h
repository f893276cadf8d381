/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is allowed. Public side: the peer that a lease is tied to. Private
 * side: may this host send this packet? Also the names of refusals: the maps
 * that only tell one reason from another are looked at here, after the fact.
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "outspi.h"
#include "packet.h"
#include "report.h"

static __always_inline bool is_in_remotes(const struct lease *lease, __be32 peer)
{
	struct rsip_remote_key key = { .bind = lease->target, .addr = peer };

	return bpf_map_lookup_elem(&rsip_remotes, &key);
}

/* Is this a peer that the bind may talk to? FLOW-07, FLOW-14 */
static __always_inline bool is_remote(const struct lease *lease, __be32 peer)
{
	const struct rsip_bind_rare *rare;

	if (!(lease->bind->flags & (RSIP_BIND_REMOTES | RSIP_BIND_HELD)))
		return true;
	if (lease->bind->flags & RSIP_BIND_REMOTES)
		return is_in_remotes(lease, peer);
	rare = bind_rare(lease->target.bind);
	return rare && (!rare->remote || rare->remote == peer);
}

/*
 * And its port? Compared where it can be seen: not in ESP (APD-01). IKE, and
 * what else a RSIPSEC bind covers on ports 500 and 4500, goes by the address (FLOW-15).
 */
static __always_inline bool is_remote_port(const struct packet *p, const struct lease *lease, __be16 port)
{
	bool seen = p->ports && (p->kind == PACKET_PORT || p->kind == PACKET_AH || p->kind == PACKET_WHOLE);
	__be16 only = seen ? lease_remote_port(lease) : 0;

	return !only || only == port;
}

/* --- public side ---------------------------------------------------------------- */

/* The peer of the cookie and the flow policy. */
static __always_inline enum rsip_outcome policy_inbound(const struct packet *p, const struct lease *lease)
{
	if (lease->peer && lease->peer != p->ip.src)
		return RSIP_IN_REMOTE;
	if (!is_remote(lease, p->ip.src) || !is_remote_port(p, lease, p->sport))
		return RSIP_IN_REMOTE;
	return p->ip.ttl > 1 ? RSIP_GO_ON : RSIP_IN_TTL;
}

/* Does a peer claim to be a host, or what hosts lease? SEC-10 */
static __always_inline bool is_spoofed(__be32 src)
{
	__u32 zero = 0, at = bpf_ntohl(src);
	const struct rsip_realm *realm = bpf_map_lookup_elem(&rsip_realm, &zero);

	if (!realm)
		return false;
	for (__u32 i = 0; i < RSIP_REALM_RANGES && i < realm->count; i++) {
		if (at - realm->ranges[i].first <= realm->ranges[i].span)
			return true;
	}
	return false;
}

/* A packet that is no host's: dropped if it is for an address that only RSIP owns. */
static __always_inline enum rsip_outcome unmatched_inbound(const struct packet *p,
							   const struct rsip_address *address)
{
	if (!address || !(address->flags & RSIP_ADDRESS_POOL) || address->flags & RSIP_ADDRESS_SHARED)
		return RSIP_IN_PASS;
	switch (p->kind) {
	case PACKET_ESP:
	case PACKET_AH:
	case PACKET_NATT:
		return RSIP_IN_NO_SPI;
	case PACKET_IKE:
	case PACKET_IKE_SHORT:
		return RSIP_IN_NO_COOKIE;
	case PACKET_PORT:
		return RSIP_IN_NO_PORT;
	case PACKET_KEEPALIVE:
		return RSIP_IN_KEEPALIVE;
	case PACKET_ICMP:
		return RSIP_IN_ICMP;
	case PACKET_FRAGMENT:
		return RSIP_IN_FRAGMENT;
	case PACKET_TUNNEL:
	case PACKET_PROTOCOL:
		return RSIP_IN_PROTOCOL;
	default:
		return RSIP_IN_MALFORMED;
	}
}

/* --- private side --------------------------------------------------------------- */

/* The bind's tunnel and flow policy. */
static __always_inline enum rsip_outcome policy_bind(const struct packet *p, const struct lease *lease)
{
	if (lease->bind->gateway != p->outer.dst || lease->bind->tunnel != p->outer.proto)
		return RSIP_OUT_TUNNEL;
	if (!is_remote(lease, p->ip.dst))
		return RSIP_OUT_REMOTE_ADDRESS;
	return is_remote_port(p, lease, p->dport) ? RSIP_GO_ON : RSIP_OUT_REMOTE_PORT;
}

/*
 * ESP and AH by what stands in the sender's place: any RSIPSEC bind of its on this
 * address allows it. Only that it may: if not so, the grants know by which
 * bind, or why not.
 */
static __always_inline bool admit_sender(const struct packet *p, struct lease *lease)
{
	struct rsip_sender *sender = packet_has_spi(p) ? sender_at(p->outer.src) : NULL;

	if (!sender || sender->client != p->outer.src || sender->addr != p->ip.src || sender->gateway != p->outer.dst ||
	    sender->tunnel != p->outer.proto || rsip_is_over(sender->ends, rsip_tick(bpf_jiffies64())))
		return false;
	lease->sender = sender;
	lease->target.bind = sender->bind;
	return true;
}

/*
 * ESP, AH and new cookies: the sender's RSIPSEC bind on this address, by the
 * remote address if need be. `none` is the reason when there is none. Should
 * all of the address be the sender's, the packet becomes a PACKET_WHOLE.
 */
static __always_inline enum rsip_outcome admit_ipsec(struct packet *p, struct lease *lease, enum rsip_outcome none)
{
	struct rsip_grant_key key = { .client = p->outer.src, .addr = p->ip.src };
	const struct rsip_grant *grant = bpf_map_lookup_elem(&rsip_grants, &key);

	if (!grant)
		return none;
	if (grant->flags & RSIP_GRANT_WHOLE) {
		p->kind = PACKET_WHOLE;
		return lease_get(&grant->ipsec, lease) ? RSIP_GO_ON : none;
	}
	if (lease_get(&grant->ipsec, lease) && is_remote(lease, p->ip.dst))
		return RSIP_GO_ON;
	if (!(grant->flags & RSIP_GRANT_BY_REMOTE))
		return lease_get(&grant->ipsec, lease) ? RSIP_OUT_REMOTE_ADDRESS : none;
	key.remote = p->ip.dst;
	grant = bpf_map_lookup_elem(&rsip_grants, &key);
	return grant && lease_get(&grant->ipsec, lease) ? RSIP_GO_ON : RSIP_OUT_REMOTE_ADDRESS;
}

/* RSA-IP: anything from an address that is the sender's alone (RSA-08). `why` if it is not. */
static __always_inline enum rsip_outcome admit_whole(struct packet *p, struct lease *lease, enum rsip_outcome why)
{
	struct rsip_grant_key key = { .client = p->outer.src, .addr = p->ip.src };
	const struct rsip_grant *grant = bpf_map_lookup_elem(&rsip_grants, &key);

	if (!grant || !(grant->flags & RSIP_GRANT_WHOLE) || !lease_get(&grant->ipsec, lease))
		return why;
	if (p->kind == PACKET_FRAGMENT && lease_remote_port(lease))
		return why;	/* its ports must be seen */
	p->kind = PACKET_WHOLE;
	return RSIP_GO_ON;
}

/* Is it a kind that any other lease could cover at all? */
static __always_inline enum rsip_outcome admit_kind(const struct packet *p)
{
	switch (p->kind) {
	case PACKET_ICMP:
		return RSIP_OUT_ICMP;
	case PACKET_FRAGMENT:
		return RSIP_OUT_FRAGMENT;
	case PACKET_TUNNEL:
		return RSIP_OUT_NESTED;
	case PACKET_PROTOCOL:
		return RSIP_OUT_PROTOCOL;
	case PACKET_MALFORMED:
		return RSIP_OUT_MALFORMED;
	case PACKET_FOREIGN:
		return RSIP_OUT_PASS;
	default:
		return RSIP_GO_ON;
	}
}

/*
 * By which bind may the sender send this? ESP and AH by any RSIPSEC bind on
 * the address, whatever the SPI.
 */
static __always_inline enum rsip_outcome admit(struct packet *p, struct lease *lease)
{
	enum cookie_state cookie = COOKIE_NONE;
	enum rsip_outcome why = admit_kind(p);

	if (why == RSIP_OUT_MALFORMED || why == RSIP_OUT_PASS)
		return why;
	if (why)
		return admit_whole(p, lease, why);
	why = RSIP_OUT_NO_PORT;
	switch (p->kind) {
	case PACKET_ESP:
	case PACKET_AH:
		return admit_ipsec(p, lease, RSIP_OUT_NO_IPSEC);
	case PACKET_NATT:
	case PACKET_KEEPALIVE:
		why = admit_ipsec(p, lease, RSIP_OUT_NO_PORT);
		if (!why)
			return RSIP_GO_ON;
		break;
	case PACKET_IKE:
		cookie = cookie_find(p, lease);
		if (cookie == COOKIE_OWN)
			return RSIP_GO_ON;
		break;
	case PACKET_IKE_SHORT:
	case PACKET_NATT_SHORT:
		why = RSIP_OUT_MALFORMED;
		break;
	default:
		break;
	}
	/* UDP and TCP, and what is left of ports 500 and 4500: they can be leased too */
	if (lease_by_port(p->ip.src, p->sport, lease) && lease->bind->client == p->outer.src) {
		p->kind = PACKET_PORT;
		return RSIP_GO_ON;
	}
	if (p->kind != PACKET_IKE)
		return why == RSIP_OUT_REMOTE_ADDRESS ? why : admit_whole(p, lease, why);
	why = admit_ipsec(p, lease, RSIP_OUT_NO_PORT);
	if (why || p->kind == PACKET_WHOLE)
		return why;
	lease->new_cookie = cookie != COOKIE_TAKEN;
	return lease->new_cookie ? RSIP_GO_ON : RSIP_OUT_COOKIE_TAKEN;
}

/* Congestion that happened in the tunnel, to a packet that cannot tell of it (RFC 6040 4.2). */
static __always_inline bool is_unmarkable(const struct packet *p)
{
	return (p->outer.tos & ECN_MASK) == ECN_CE && !(p->ip.tos & ECN_MASK);
}

/* The bind's, and what the headers themselves forbid. */
static __always_inline enum rsip_outcome policy_outbound(const struct packet *p, const struct lease *lease)
{
	enum rsip_outcome why = lease->sender ? RSIP_GO_ON : policy_bind(p, lease);

	if (why)
		return why;
	if (is_unmarkable(p))
		return RSIP_OUT_ECN;
	return p->ip.ttl > 1 ? RSIP_GO_ON : RSIP_OUT_TTL;
}

/* Names the refusal `why` of a tunnelled packet, unless there is a better reason to refuse it, and reports it. */
static __always_inline enum rsip_outcome refuse(const struct packet *p, const struct lease *lease,
						enum rsip_outcome why)
{
	struct rsip_grant_key key = { .client = p->outer.src, .addr = p->ip.src };
	const struct rsip_address *address;
	struct rsip_client *client;

	address = address_of(p->outer.dst);
	if (!address || !(address->flags & RSIP_ADDRESS_TUNNEL))
		return RSIP_OUT_PASS;	/* someone else's tunnel, in transit */
	if (why == RSIP_OUT_MALFORMED)
		return why;
	client = bpf_map_lookup_elem(&rsip_clients, &key.client);
	if (!client)
		return RSIP_OUT_UNREGISTERED;
	if (why == RSIP_OUT_NESTED || !p->ip.len)
		return why;
	if (!bpf_map_lookup_elem(&rsip_grants, &key))
		why = RSIP_OUT_ADDRESS;
	report(client, p, lease, why);
	return why;
}
