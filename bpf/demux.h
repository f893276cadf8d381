/* SPDX-License-Identifier: GPL-2.0-only */
/* From the field that names a host to its bind. Both sides look here; nothing is decided. */
#pragma once

#include "clock.h"
#include "maps.h"
#include "packet.h"

struct lease {			/* what a lookup found */
	const struct rsip_bind *bind;
	struct rsip_target target;
	__be32 peer;		/* the one other end of a cookie; 0: found by another field */
	bool new_cookie;	/* found without the cookie, which is still to be learned */
	struct rsip_sender *sender;	/* `bind` was not looked at: the sender may send by it. NULL: found otherwise */
};

union target_word {
	struct rsip_target target;
	__u64 word;
};

/* The bind of a target. False when it has ended. */
static __always_inline bool lease_of(struct rsip_target target, struct lease *lease)
{
	__u32 slot = target.bind;

	lease->target = target;
	lease->bind = bpf_map_lookup_elem(&rsip_binds, &slot);
	return lease->bind && target.generation && lease->bind->generation == target.generation &&
	       !bind_is_over(lease->bind);
}

/* The same of a target in a map, in one load: a cookie's is replaced in place. */
static __always_inline bool lease_get(const struct rsip_target *target, struct lease *lease)
{
	union target_word now = { .word = *(const volatile __u64 *)target };

	return lease_of(now.target, lease);
}

/* Still the same bind? To be asked after the last look at it: the slot may be filled anew at any moment. */
static __always_inline bool lease_lasts(const struct lease *lease)
{
	barrier();
	return *(const volatile __u32 *)&lease->bind->generation == lease->target.generation;
}

/* What else is known of it. */
static __always_inline struct rsip_bind_rare *bind_rare(__u32 slot)
{
	return bpf_map_lookup_elem(&rsip_binds_rare, &slot);
}

/* The only port that it may talk to, by flow policy; 0: any. */
static __always_inline __be16 lease_remote_port(const struct lease *lease)
{
	const struct rsip_bind_rare *rare;

	if (!(lease->bind->flags & RSIP_BIND_HELD))
		return 0;
	rare = bind_rare(lease->target.bind);
	return rare ? rare->remote_port : 0;
}

/* The bind in whose slot an SPI stands, if it is in the slot that its bits name. */
static __always_inline bool lease_in_slot(__be32 addr, __u32 spi, struct lease *lease)
{
	__u32 slot = rsip_spi_slot(spi);
	const struct rsip_bind *bind = bpf_map_lookup_elem(&rsip_binds, &slot);

	if (!bind)
		return false;
	/* before anything else of it: lease_lasts() sees whether the slot was filled anew meanwhile */
	lease->target = (struct rsip_target){ slot, *(const volatile __u32 *)&bind->generation };
	barrier();
	lease->bind = bind;
	return bind->addr == addr && spi - bind->spi_first < bind->spi_count && lease->target.generation &&
	       !bind_is_over(bind);
}

static __always_inline bool lease_by_spi(__be32 addr, __be32 spi, __u8 proto, struct lease *lease)
{
	struct rsip_spi_key key = { .addr = addr, .spi = spi, .proto = proto };
	const struct rsip_target *target;

	if (lease_in_slot(addr, bpf_ntohl(spi), lease))
		return true;
	target = bpf_map_lookup_elem(&rsip_spis, &key);
	return target && lease_get(target, lease);
}

static __always_inline bool lease_by_port(__be32 addr, __be16 port, struct lease *lease)
{
	struct rsip_port_key key = { .addr = addr, .port = port };
	const struct rsip_target *target = bpf_map_lookup_elem(&rsip_ports, &key);

	return target && lease_get(target, lease);
}

/* Of the map, as it was made. */
const volatile __u32 sender_places = RSIP_SENDERS_MAX;

/* What stands in the place of a host, perhaps another's. */
static __always_inline struct rsip_sender *sender_at(__be32 client)
{
	__u32 place = rsip_sender_place(bpf_ntohl(client), sender_places);

	return bpf_map_lookup_elem(&rsip_senders, &place);
}

/* What is this address to N? NULL: nothing. */
static __always_inline const struct rsip_address *address_of(__be32 addr)
{
	return bpf_map_lookup_elem(&rsip_addresses, &addr);
}

/* RSA-IP: the address alone (IN-01). Asked last, and so paid for by such addresses only. */
static __always_inline bool lease_by_address(const struct rsip_address *address, struct packet *p, struct lease *lease)
{
	if (p->kind == PACKET_MALFORMED || p->kind == PACKET_ICMP)
		return false;
	if (!address || !lease_get(&address->whole, lease))
		return false;
	if (p->kind == PACKET_FRAGMENT && lease_remote_port(lease))
		return false;	/* its ports must be seen */
	p->kind = PACKET_WHOLE;
	return true;
}

static __always_inline void cookie_key(__u64 cookie, __be32 addr, __be16 port, struct rsip_cookie_key *key)
{
	*(__u64 *)key->cookie = cookie;
	key->addr = addr;
	key->port = port;
	key->pad = 0;
}

/* IKE that a peer begins: somebody may listen to it on port 500 (LSN-11). Cookie 0 is no beginning. */
static __always_inline bool lease_by_peer(const struct packet *p, struct lease *lease)
{
	struct rsip_peer_key key = { .peer = p->ip.src, .addr = p->ip.dst };
	const struct rsip_target *target = p->cookie ? bpf_map_lookup_elem(&rsip_peers, &key) : NULL;

	lease->new_cookie = target && lease_get(target, lease);
	return lease->new_cookie;
}

/* For the idle sweep. Written only when it changes, so that the line stays shared. */
static __always_inline void cookie_touch(struct rsip_cookie *cookie)
{
	if (!cookie->used)
		cookie->used = 1;
}

/* Public side: whose packet is it? False: nobody's. */
static __always_inline bool demux(struct packet *p, struct lease *lease)
{
	if (packet_has_spi(p)) {
		__u8 proto = p->kind == PACKET_AH ? RSIP_PROTO_AH : RSIP_PROTO_ESP;

		if (lease_by_spi(p->ip.dst, p->spi, proto, lease))
			return true;
		if (p->kind != PACKET_NATT)
			return false;
	} else if (p->kind == PACKET_IKE) {
		struct rsip_cookie_key key;
		struct rsip_cookie *cookie;

		cookie_key(p->cookie, p->ip.dst, p->dport, &key);
		cookie = bpf_map_lookup_elem(&rsip_cookies, &key);
		if (cookie && lease_get(&cookie->target, lease)) {
			lease->peer = cookie->peer;
			if (cookie->peer == p->ip.src)
				cookie_touch(cookie);
			return true;
		}
	} else if (p->kind > PACKET_NATT_SHORT) {
		return false;
	}
	/* UDP and TCP, and what is left of ports 500 and 4500: they can be leased too */
	if (!lease_by_port(p->ip.dst, p->dport, lease))
		return p->kind == PACKET_IKE && lease_by_peer(p, lease);
	p->kind = PACKET_PORT;
	return true;
}

enum cookie_state {
	COOKIE_NONE,		/* no live one */
	COOKIE_OWN,		/* the sender's, towards this peer */
	COOKIE_TAKEN,		/* another host's or towards another peer */
};

/* Private side: what is the packet's cookie to its sender? COOKIE_OWN fills `lease`. */
static __always_inline enum cookie_state cookie_find(const struct packet *p, struct lease *lease)
{
	struct rsip_cookie_key key;
	struct rsip_cookie *cookie;

	cookie_key(p->cookie, p->ip.src, p->sport, &key);
	cookie = bpf_map_lookup_elem(&rsip_cookies, &key);
	if (!cookie || !lease_get(&cookie->target, lease))
		return COOKIE_NONE;
	if (lease->bind->client != p->outer.src || cookie->peer != p->ip.dst)
		return COOKIE_TAKEN;
	cookie_touch(cookie);
	return COOKIE_OWN;
}
