/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the XDP programs and user space share: map keys, map values, events
 * and outcomes. The only definition of each; bpf/maps.h says who writes and
 * who reads which map.
 *
 * A demultiplexing entry (SPI, cookie, port) holds no more than a target: the
 * slot of a bind in rsip_binds and that slot's generation. Everything a packet
 * needs is in the bind and its next hop, both plain arrays, so that one hash
 * lookup decides a packet; and one store in one place makes a bind of 255
 * ports usable, ends it or moves it to another next hop. What ESP and AH of a
 * host are held to stands in rsip_senders once more, and ends by a store there.
 */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Pins live in a folder named after the layout: PIN/v4/rsip_spis. Any change
 * to a struct of this file is a new layout. */
#define RSIP_LAYOUT		"v4"

#define RSIP_PROTO_IPIP		4
#define RSIP_PROTO_GRE		47
#define RSIP_PROTO_ESP		50
#define RSIP_PROTO_AH		51

/* --- demultiplexing ----------------------------------------------------- */

struct rsip_target {		/* value of rsip_spis and rsip_ports */
	__u32 bind;		/* slot in rsip_binds */
	__u32 generation;	/* stale unless equal to the slot's */
};

struct rsip_spi_key {		/* rsip_spis: an SPI is leased for ESP and AH */
	__be32 addr;		/* Nb */
	__be32 spi;
	__u8   proto;		/* RSIP_PROTO_ESP or RSIP_PROTO_AH */
	__u8   pad[3];		/* 0: keys are compared byte by byte */
};

struct rsip_port_key {		/* rsip_ports: a port is leased for UDP and TCP (RSAP-10) */
	__be32 addr;		/* Nb */
	__be16 port;
	__u16  pad;		/* 0 */
};

struct rsip_cookie_key {	/* rsip_cookies: learned from the host (IKE-01) */
	__u8   cookie[8];	/* initiator cookie (IKEv1) or initiator SPI (IKEv2) */
	__be32 addr;		/* Nb */
	__be16 port;		/* the port at Nb: 500 or 4500 */
	__u16  pad;		/* 0 */
};

struct rsip_cookie {		/* value of rsip_cookies */
	struct rsip_target target;	/* replaced as one 64-bit word */
	__be32 peer;		/* Y: the only other end of this cookie (IKE-06) */
	__u32  used;		/* set by a packet, cleared by the daemon's idle sweep */
};

/* --- binds, clients, addresses ------------------------------------------ */

#define RSIP_BIND_COOKIES	64	/* cookies one bind may hold at once (IKE-07) */
#define RSIP_BIND_COOKIES_PEER	16	/* with so many it takes no more from a peer: those of the host come first */
#define RSIP_BIND_QUERIES	512	/* ICMP requests of one bind that are remembered in a second (SEC-07) */

struct rsip_bind {		/* value of rsip_binds, by slot: two to a line of the processor's cache */
	__u32  generation;	/* 0: the slot is free. Written last, cleared first */
	__be32 client;		/* Xa: outer destination; outer source of what X sends */
	__be32 gateway;		/* Na: outer source; outer destination of what X sends */
	__be32 addr;		/* Nb */
	__u32  nexthop;		/* slot in rsip_nexthops that leads to Xa; may become another */
	__u32  ends;		/* rsip_tick() from which on it is over, whatever the daemon does (FAIL-10) */
	__u32  spi_first;	/* host order: a run of its SPIs that are found in this slot, see rsip_spi_slot() */
	__u8   spi_count;	/* 0: its SPIs are in rsip_spis alone */
	__u8   tunnel;		/* RSIP_PROTO_IPIP or RSIP_PROTO_GRE */
	__u8   flags;		/* RSIP_BIND_* */
	__u8   pad;		/* 0 */
};

struct rsip_bind_rare {		/* value of rsip_binds_rare, by slot: what few packets need of the same bind */
	__u32  bind_id;
	__be32 remote;		/* flow policy: the only peer; 0: any */
	__be16 remote_port;	/* flow policy micro: the only port; 0: any */
	__u16  pad;		/* 0 */
	__u32  cookies;		/* learned for this bind and still in the map */
	__u32  query_second;	/* the second in which `queries` were learned (SEC-07) */
	__u32  queries;
};

/*
 * SPIs that are not suggested are chosen such that their bits name the slot of
 * their bind, where it is looked for first: no hash table, whatever the number
 * of binds. rsip_spis has every SPI all the same, for those whose slot was taken.
 *
 *   |      9 bits     |            20 bits             |    3 bits     |
 *   |  h, at random   |  slot - h * RSIP_SPI_SCATTER   | eight in a row share a slot
 *
 * Slots in use are few and low, so that they stay in caches; SPIs must not tell (IPS-14).
 */
#define RSIP_SPI_SLOTS		(1U << 20)	/* a power of two */
#define RSIP_SPI_SCATTER	0x9e377U	/* odd: in its multiples every bit is set as often as not */

static inline __u32 rsip_spi_slot(__u32 spi)
{
	return ((spi >> 3) + (spi >> 23) * RSIP_SPI_SCATTER) & (RSIP_SPI_SLOTS - 1);
}

/* The SPI that names `slot`, below RSIP_SPI_SLOTS, and else is like `spi`. */
static inline __u32 rsip_spi_in_slot(__u32 spi, __u32 slot)
{
	__u32 bits = (slot - (spi >> 23) * RSIP_SPI_SCATTER) & (RSIP_SPI_SLOTS - 1);

	return (spi & ~((RSIP_SPI_SLOTS - 1) << 3)) | bits << 3;
}

#define RSIP_BIND_IPSEC		0x01	/* a RSIPSEC bind: IKE, ESP and AH are allowed */
#define RSIP_BIND_WHOLE		0x02	/* RSA-IP: all of `addr`, every protocol */
#define RSIP_BIND_REMOTES	0x04	/* flow policy: the peers are those in rsip_remotes; `remote` is 0 */
#define RSIP_BIND_HELD		0x08	/* flow policy: to `remote`, to `remote_port` or to both, in rsip_binds_rare */

/*
 * The clock of binds. The kernel's jiffies cost a program one load, no helper
 * call; shifted, 32 bits of them last for years. A tick is 64 ms at 1000 Hz,
 * 640 ms at 100 Hz. Ticks wrap: compare differences.
 */
#define RSIP_TICK_SHIFT		6

static inline __u32 rsip_tick(__u64 jiffies)
{
	return (__u32)(jiffies >> RSIP_TICK_SHIFT);
}

static inline int rsip_is_over(__u32 ends, __u32 tick)
{
	return (__s32)(ends - tick) <= 0;
}

struct rsip_clock {		/* what the program rsip_clock fills in: one moment on both clocks */
	__u64 jiffies;
	__u64 ns;		/* CLOCK_MONOTONIC */
};

struct rsip_remote_key {	/* rsip_remotes: a peer of a bind that has several. Value: __u32, 1 */
	struct rsip_target bind;
	__be32 addr;		/* Y */
};

#define RSIP_REMOTES_MAX	16	/* of one bind */

/*
 * rsip_peers: who takes IKE from this peer when nobody knows its cookie. The
 * host that listens to it on port 500 (APG-01), or, if that is wanted, the only
 * one that has IKE with it at this address. Value: struct rsip_target.
 */
struct rsip_peer_key {
	__be32 peer;		/* Y */
	__be32 addr;		/* Nb */
};

struct rsip_client {		/* value of rsip_clients; key: Xa, __be32 */
	__u32 client_id;
	__u32 ifindex;		/* private interface the host registered on */
	__u32 reported;		/* kinds of violation the daemon was told of, by bit; it clears them */
};

/*
 * May Xa use Nb at all, and for IPsec? One entry for each pair while a bind
 * of the client on that address lives, with remote 0. Under a remote policy
 * the binds are found with a second look, by their remote address.
 * A RSA-IP bind shares its address with no other, so that one field serves both.
 */
struct rsip_grant_key {		/* rsip_grants */
	__be32 client;		/* Xa */
	__be32 addr;		/* Nb */
	__be32 remote;		/* 0, or the remote address of binds under policy */
};

struct rsip_grant {
	struct rsip_target ipsec;	/* a live RSIPSEC or RSA-IP bind; generation 0: none here */
	struct rsip_target any;		/* a live bind of any kind, for ICMP; generation 0: none here */
	__u32 flags;		/* RSIP_GRANT_* */
	__u32 pad;		/* 0 */
};

#define RSIP_GRANT_BY_REMOTE	0x01	/* look again with the packet's remote address */
#define RSIP_GRANT_WHOLE	0x02	/* `ipsec` is a RSA-IP bind: it covers every packet from Nb */

struct rsip_address {		/* value of rsip_addresses; key: __be32 */
	struct rsip_target whole;	/* the RSA-IP bind that has all of it; generation 0: none */
	__u32  flags;		/* RSIP_ADDRESS_* */
	__be32 speaker;		/* of a pool: N's own address, from which it sends ICMP about it; 0: none */
};

#define RSIP_ADDRESS_POOL	0x01	/* an Nb: what matches no lease is dropped */
#define RSIP_ADDRESS_SHARED	0x02	/* also N's own: what matches no lease goes to the stack */
#define RSIP_ADDRESS_TUNNEL	0x04	/* an Na: tunnels from hosts end here */

/*
 * Addresses that no peer can have: pools and the private realm (SEC-10). Few
 * ranges, compared one by one, since a lookup by the source would cost as much
 * as the one by the destination.
 */
#define RSIP_REALM_RANGES	16

struct rsip_range {
	__u32 first;		/* host order, as is all of this */
	__u32 span;		/* the last one is first + span */
};

struct rsip_realm {		/* value of rsip_realm, by 0 */
	__u32 count;
	struct rsip_range ranges[RSIP_REALM_RANGES];
};

/* --- ICMP ------------------------------------------------------------------ */

/*
 * An ICMP request that X sent and whose reply is X's (IN-14). Entries of more
 * than RSIP_ECHO_SECONDS ago are nobody's any more.
 */
struct rsip_echo_key {		/* rsip_echoes */
	__be32 addr;		/* Nb */
	__be32 peer;		/* Y */
	__be16 id;
	__be16 seq;
	__u8   type;		/* of the request */
	__u8   pad[3];		/* 0 */
};

struct rsip_echo {
	struct rsip_target target;	/* replaced as one 64-bit word */
	__u64 time;		/* of the request, ns of the coarse monotonic clock */
};

#define RSIP_ECHO_SECONDS	30

/*
 * What a host needs to send ESP and AH, in one look: a RSIPSEC bind of its that is
 * held to no remote. Its place is in the bits of its address. Other binds, and
 * hosts whose place is another's, are found in rsip_grants.
 */
struct rsip_sender {		/* value of rsip_senders, by rsip_sender_place() */
	__be32 client;		/* Xa. 0: nobody's place. Written last, cleared first */
	__be32 addr;		/* Nb */
	__be32 gateway;		/* Na */
	__u32  bind;		/* slot in rsip_binds */
	__u32  ends;		/* as of the bind */
	__u32  mark[2];		/* rsip_sent_mark() of what it sent with last and is in rsip_outspis; 0: none */
	__u8   tunnel;		/* RSIP_PROTO_IPIP or RSIP_PROTO_GRE */
	__u8   pad[3];		/* 0 */
};

#define RSIP_SENDERS_MAX	(1U << 20)	/* a power of two, as the number of places is */

static inline __u32 rsip_sender_place(__u32 client /* host order */, __u32 places)
{
	return client & (places - 1);
}

/* Of an SPI towards a peer; `ah`: RSIP_OUTSPI_AH or 0. Not 0. That two of a host are alike is as rare as to guess an SPI. */
static inline __u32 rsip_sent_mark(__be32 peer, __be32 spi, __u32 ah)
{
	__u32 mix = (__u32)spi ^ (__u32)peer * 2654435761u ^ ah;

	return mix ? mix : 1;
}

/*
 * Which bind sends with an SPI that Y chose: errors about ESP and AH quote it
 * (IN-12). A cache, one set of four to a line of the processor's cache. Who takes
 * an entry away clears the marks of the sender whose it was.
 */
struct rsip_outspi {
	__be32 peer;		/* Y */
	__be32 spi;
	__u32  bind;		/* slot, and RSIP_OUTSPI_AH */
	__u32  generation;	/* 0: free */
};

struct rsip_outspi_set {	/* value of rsip_outspis, by rsip_outspi_sets() */
	struct rsip_outspi way[4];
};

#define RSIP_OUTSPI_AH		0x80000000
#define RSIP_OUTSPI_WAYS	4
#define RSIP_OUTSPI_SETS	1024	/* at least */

/* Of so many sets the two for an SPI used from Nb towards Y: it goes to the one that has more room. */
struct rsip_outspi_sets {
	__u32 set[2];
};

static inline struct rsip_outspi_sets rsip_outspi_sets(__be32 addr, __be32 peer, __be32 spi, __u32 sets)
{
	__u32 mix = (__u32)spi ^ (__u32)peer * 2246822519u ^ (__u32)addr;

	return (struct rsip_outspi_sets){ {
		(__u32)((__u64)(mix * 2654435761u) * sets >> 32), (__u32)((__u64)(mix * 3266489917u) * sets >> 32),
	} };
}

struct rsip_bucket {		/* value of rsip_buckets, per CPU: ICMP errors that N may still send */
	__u64 time;		/* of the last refill, ns */
	__u64 tokens;
};

#define RSIP_BUCKET_PUBLIC	0	/* to peers */
#define RSIP_BUCKET_PRIVATE	1	/* to hosts */
#define RSIP_BUCKETS		2
#define RSIP_BUCKET_BURST	100
#define RSIP_BUCKET_RATE	1000	/* in a second, on each CPU */

/* --- fragments ------------------------------------------------------------- */

/*
 * The first fragment of a packet decides by its ports or SPI, the others
 * follow it (IN-16, EG-12). Entries older than RSIP_FRAGMENT_SECONDS are gone.
 */
struct rsip_fragment_key {	/* rsip_fragments */
	__be32 src;
	__be32 dst;
	__be32 client;		/* Xa, of what X sends; else 0 */
	__be16 id;
	__u8   proto;
	__u8   turned;		/* 1: of a packet to a leased address, for who gets it; else 0 */
};

struct rsip_fragment {
	struct rsip_target target;	/* whose; generation 0: the first fragment has not come yet */
	__u64 time;		/* of the last change, ns of the coarse monotonic clock */
	__u32 state;		/* RSIP_FRAGMENT_* */
	__u32 pad;		/* 0 */
};

#define RSIP_FRAGMENT_NEXT	0x0ffff	/* up to here all have gone on in order, in units of 8 bytes */
#define RSIP_FRAGMENT_SLOW	0x10000	/* some came out of order: rsipd has all the others */
#define RSIP_FRAGMENT_REFUSED	0x20000	/* the first may not pass, so none may */
#define RSIP_FRAGMENT_PASS	0x40000	/* the first was left to the stack */
#define RSIP_FRAGMENT_SECONDS	5

/* --- next hops ----------------------------------------------------------- */

#define RSIP_VLANS	2	/* tags of a frame: one, or QinQ */

struct rsip_vlan {		/* a tag as it stands in the frame */
	__be16 proto;		/* 0x8100 (802.1Q) or 0x88a8 (802.1ad); 0: none */
	__be16 id;
};

struct rsip_nexthop {		/* value of rsip_nexthops, by slot */
	__u32  state;		/* RSIP_NEXTHOP_*; written last */
	__u32  ifindex;		/* key in rsip_devices: a physical interface */
	__u32  mtu;		/* of that interface, layer 3 bytes */
	__u8   dst[6];		/* MAC addresses */
	__u8   src[6];
	struct rsip_vlan vlan[RSIP_VLANS];	/* tags to push, the outer one first */
};

#define RSIP_NEXTHOP_UNRESOLVED	0	/* hand the packet to the daemon (RSIP_EVENT_RESOLVE) */
#define RSIP_NEXTHOP_VALID	1
#define RSIP_NEXTHOP_REJECT	2	/* no way there, or not to be used: drop */

struct rsip_device {		/* value of rsip_devices; key: ifindex */
	__u32 ifindex;
};

/*
 * Which next hop leads to a peer: a cache in sets of four, filled by the
 * daemon after a miss. An entry is one 64-bit word and so never seen half
 * written. addr 0: free.
 */
struct rsip_route {		/* value of rsip_routes, by set * 4 + way */
	__be32 addr;		/* Y */
	__u32  nexthop;		/* slot in rsip_nexthops */
};

#define RSIP_ROUTE_SETS		4096	/* a power of two */
#define RSIP_ROUTE_WAYS		4

/* The set in which a peer's route stands: 0 to RSIP_ROUTE_SETS - 1. */
static inline __u32 rsip_route_set(__be32 addr)
{
	return ((__u32)addr * 2654435761u >> 16) & (RSIP_ROUTE_SETS - 1);
}

/* --- events: ring buffer rsip_events, XDP to daemon ------------------------ */

#define RSIP_EVENT_COOKIE	1
#define RSIP_EVENT_RESOLVE	2
#define RSIP_EVENT_VIOLATION	3

struct rsip_event_cookie {	/* a cookie was learned (IKE-13) */
	__u32 kind;		/* RSIP_EVENT_COOKIE */
	struct rsip_target target;
	__be32 peer;
	struct rsip_cookie_key key;
};

#define RSIP_EVENT_FRAGMENT	4	/* in rsip_slow */
#define RSIP_EVENT_OUTER	5	/* in rsip_slow */

#define RSIP_EVENT_PACKET_MAX	4096

struct rsip_event_resolve {	/* a packet whose next hop is not known yet */
	__u32 kind;		/* RSIP_EVENT_RESOLVE */
	__be32 dst;		/* layer 3 destination that needs a next hop */
	__u32 inbound;		/* 1: towards a host, 0: towards a peer */
	__u32 len;		/* bytes that follow; a longer packet is not handed over */
	__u8  packet[RSIP_EVENT_PACKET_MAX];	/* from the (outer) IPv4 header on, ready to be sent */
};

/*
 * A fragment for rsipd, as it came, from its IPv4 header on: one out of order
 * (RSIP_EVENT_FRAGMENT), or one of a tunnel packet (RSIP_EVENT_OUTER).
 */
struct rsip_event_fragment {
	__u32 kind;
	__u32 passed;		/* as RSIP_FRAGMENT_NEXT: what went on without rsipd */
	struct rsip_target target;	/* generation 0: not known yet */
	struct rsip_fragment_key key;
	__u32 tos;		/* of the tunnel header, of what X sends */
	__u32 len;		/* bytes that follow */
	__u8  packet[RSIP_EVENT_PACKET_MAX];
};

struct rsip_event_violation {	/* a host sent what it may not: each kind once until the daemon clears `reported` */
	__u32 kind;		/* RSIP_EVENT_VIOLATION */
	__u32 outcome;		/* enum rsip_outcome: which rule */
	__be32 client;		/* Xa */
	__u32 bind_id;		/* the bind whose rule it is; 0: none */
	__be32 src, dst;	/* of the packet in the tunnel */
	__be16 sport, dport;	/* 0: none */
};

/* --- outcomes: every packet ends in exactly one ------------------------------ */

/* X(name, verdict, text): append only, rsip_counters is indexed by it. Verdict: FORWARD redirected,
 * PASS left to the stack, DROP, HAND given to the daemon, ANSWER dropped and the sender told by ICMP. */
#define RSIP_OUTCOMES(X)							\
	X(IN_ESP,		FORWARD, "ESP to the host that leased the SPI")	\
	X(IN_AH,		FORWARD, "AH to the host that leased the SPI")	\
	X(IN_IKE,		FORWARD, "IKE to the host that owns the cookie")	\
	X(IN_NATT,		FORWARD, "UDP-encapsulated ESP to the host that leased the SPI") \
	X(IN_PORT,		FORWARD, "UDP or TCP to the host that leased the port") \
	X(IN_PASS,		PASS,	 "not for RSIP: left to the stack")	\
	X(IN_RESOLVE,		HAND,	 "next hop of the host unknown: handed to rsipd") \
	X(IN_NO_SPI,		DROP,	 "no host leased this SPI")		\
	X(IN_NO_COOKIE,		DROP,	 "no host owns this initiator cookie")	\
	X(IN_NO_PORT,		DROP,	 "no host leased this port")		\
	X(IN_REMOTE,		DROP,	 "not the peer that the lease or cookie is tied to") \
	X(IN_KEEPALIVE,		DROP,	 "NAT keepalive on port 4500")		\
	X(IN_ICMP,		DROP,	 "ICMP to a leased address")		\
	X(IN_FRAGMENT,		DROP,	 "fragment to a leased address")	\
	X(IN_PROTOCOL,		DROP,	 "protocol without a demultiplexing field") \
	X(IN_MALFORMED,		DROP,	 "truncated or malformed")		\
	X(IN_TTL,		DROP,	 "TTL would reach 0")			\
	X(IN_TOO_BIG,		DROP,	 "larger than the MTU towards the host") \
	X(IN_UNREACHABLE,	DROP,	 "no way to the host")			\
	X(OUT_ESP,		FORWARD, "ESP from a host")			\
	X(OUT_AH,		FORWARD, "AH from a host")			\
	X(OUT_IKE,		FORWARD, "IKE from a host, known or new cookie") \
	X(OUT_NATT,		FORWARD, "UDP-encapsulated ESP from a host")	\
	X(OUT_PORT,		FORWARD, "UDP or TCP from a leased port")	\
	X(OUT_PASS,		PASS,	 "not tunnelled to this gateway: left to the stack") \
	X(OUT_RESOLVE,		HAND,	 "next hop of the peer unknown: handed to rsipd") \
	X(OUT_UNREGISTERED,	DROP,	 "outer source is not a registered host") \
	X(OUT_ADDRESS,		DROP,	 "inner source address not leased to the sender") \
	X(OUT_NO_PORT,		DROP,	 "inner source port not leased to the sender") \
	X(OUT_REMOTE_ADDRESS,	DROP,	 "remote address outside the bind")	\
	X(OUT_REMOTE_PORT,	DROP,	 "remote port outside the bind")	\
	X(OUT_NO_IPSEC,		DROP,	 "ESP, AH or IKE without a RSIPSEC bind") \
	X(OUT_TUNNEL,		DROP,	 "not the tunnel type of the bind")	\
	X(OUT_COOKIE_TAKEN,	DROP,	 "initiator cookie in use by another host or peer") \
	X(OUT_COOKIE_ZERO,	DROP,	 "initiator cookie of zero")		\
	X(OUT_COOKIE_LIMIT,	DROP,	 "too many cookies for one bind, or for the table") \
	X(OUT_ICMP,		DROP,	 "ICMP from a host")			\
	X(OUT_FRAGMENT,		DROP,	 "inner or outer fragment")		\
	X(OUT_PROTOCOL,		DROP,	 "protocol without a demultiplexing field") \
	X(OUT_NESTED,		DROP,	 "tunnel inside a tunnel")		\
	X(OUT_MALFORMED,	DROP,	 "truncated or malformed")		\
	X(OUT_ECN,		DROP,	 "congestion mark on a tunnel whose packet cannot carry it") \
	X(OUT_TTL,		DROP,	 "TTL would reach 0")			\
	X(OUT_TOO_BIG,		DROP,	 "larger than the MTU towards the peer")	\
	X(OUT_UNREACHABLE,	DROP,	 "no way to the peer, or not by a public interface") \
	X(ERROR,		DROP,	 "a helper or a full event ring failed the packet") \
	X(IN_WHOLE,		FORWARD, "to the host that leased the whole address") \
	X(OUT_WHOLE,		FORWARD, "from a host that leased the whole address") \
	X(IN_ICMP_ERROR,	FORWARD, "ICMP error to the host whose packet it quotes") \
	X(IN_ICMP_REPLY,	FORWARD, "ICMP reply to the host that asked")	\
	X(IN_ICMP_REQUEST,	PASS,	 "ICMP request: N's stack answers")	\
	X(IN_SPLIT,		HAND,	 "larger than the MTU towards the host: handed to rsipd to be fragmented") \
	X(IN_TOO_BIG_TOLD,	ANSWER,	 "larger than the MTU towards the host: the peer was told") \
	X(IN_TTL_TOLD,		ANSWER,	 "TTL would reach 0: the peer was told") \
	X(OUT_ICMP_ERROR,	FORWARD, "ICMP error from a host, about a packet it got") \
	X(OUT_ICMP_QUERY,	FORWARD, "ICMP request or reply from a host")	\
	X(OUT_ICMP_TAKEN,	DROP,	 "ICMP request with an identifier that another host uses now") \
	X(OUT_ICMP_LIMIT,	DROP,	 "too many ICMP requests in a second")	\
	X(OUT_SPLIT,		HAND,	 "larger than the MTU towards the peer: handed to rsipd to be fragmented") \
	X(OUT_TOO_BIG_TOLD,	ANSWER,	 "larger than the MTU towards the peer: the host was told") \
	X(OUT_TTL_TOLD,		ANSWER,	 "TTL would reach 0: the host was told") \
	X(OUT_UNREACHABLE_TOLD,	ANSWER,	 "no way to the peer: the host was told") \
	X(IN_SPOOFED,		DROP,	 "source inside the private realm or a pool") \
	X(OUT_TURNED,		FORWARD, "from a host to a leased address: turned round to its host") \
	X(IN_FRAGMENT_SENT,	FORWARD, "fragment that follows its first, to the host") \
	X(IN_FRAGMENT_HELD,	HAND,	 "fragment out of order: rsipd holds it until its first came") \
	X(OUT_FRAGMENT_SENT,	FORWARD, "fragment that follows its first, from a host") \
	X(OUT_FRAGMENT_HELD,	HAND,	 "fragment out of order, or of a tunnel packet: rsipd has it") \
	X(OUT_ECHO,		ANSWER,	 "ICMP echo request to a leased address: N answered")

enum rsip_outcome {
	RSIP_GO_ON,		/* not an outcome: the next step decides. Its counter stays 0 */
#define X(name, verdict, text) RSIP_##name,
	RSIP_OUTCOMES(X)
#undef X
	RSIP_OUTCOME_COUNT
};

struct rsip_counter {		/* value of rsip_counters, per CPU, by outcome */
	__u64 packets;
	__u64 bytes;		/* of the frame as it arrived */
};

#ifndef __bpf__
_Static_assert(sizeof(struct rsip_target) == 8, "hidden padding");
_Static_assert(sizeof(struct rsip_spi_key) == 12, "hidden padding");
_Static_assert(sizeof(struct rsip_port_key) == 8, "hidden padding");
_Static_assert(sizeof(struct rsip_cookie_key) == 16, "hidden padding");
_Static_assert(sizeof(struct rsip_cookie) == 16, "hidden padding");
_Static_assert(sizeof(struct rsip_bind) == 32, "hidden padding");
_Static_assert(sizeof(struct rsip_bind_rare) == 24, "hidden padding");
_Static_assert(sizeof(struct rsip_remote_key) == 12, "hidden padding");
_Static_assert(sizeof(struct rsip_peer_key) == 8, "hidden padding");
_Static_assert(sizeof(struct rsip_address) == 16, "hidden padding");
_Static_assert(sizeof(struct rsip_client) == 12, "hidden padding");
_Static_assert(sizeof(struct rsip_grant_key) == 12, "hidden padding");
_Static_assert(sizeof(struct rsip_grant) == 24, "hidden padding");
_Static_assert(sizeof(struct rsip_echo_key) == 16, "hidden padding");
_Static_assert(sizeof(struct rsip_echo) == 16, "hidden padding");
_Static_assert(sizeof(struct rsip_fragment_key) == 16, "hidden padding");
_Static_assert(sizeof(struct rsip_fragment) == 24, "hidden padding");
_Static_assert(sizeof(struct rsip_sender) == 32, "hidden padding");
_Static_assert(sizeof(struct rsip_outspi_set) == 64, "not one cache line");
_Static_assert(sizeof(struct rsip_nexthop) == 32, "hidden padding");
_Static_assert(sizeof(struct rsip_route) == 8, "hidden padding");
_Static_assert(sizeof(struct rsip_event_cookie) == 32, "hidden padding");
_Static_assert(sizeof(struct rsip_event_violation) == 28, "hidden padding");
#endif
