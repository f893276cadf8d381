// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports of applications, for kernels that would choose them from anywhere
 * (RFC 3102 3.6): programs on connect() give a socket that is not bound, and goes
 * to the public side, the leased address and a leased port that is free towards
 * this peer. What is local they leave alone. Applications do not notice. Sockets of
 * IPv6 speak IPv4 to addresses ::ffff:a.b.c.d; other addresses of IPv6 are none of our concern.
 *
 * They hang at the root of the cgroup hierarchy, as rsip's own links, and look
 * at one network namespace only.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <rsip/connect.h>

#define REFUSE		0
#define ALLOW		1
#define SOL_SOCKET	1
#define SO_REUSEADDR	2
#define EAGAIN		11
#define EADDRNOTAVAIL	99
#define EHOSTUNREACH	113
#define TCP_LISTEN	10
#define MAPPED		bpf_htonl(0xffff)	/* the third word of ::ffff:a.b.c.d */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rsip_place_key);
	__type(value, __u32);
} rsip_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rsip_end);
	__type(value, struct rsip_ends);
} rsip_sources SEC(".maps");

/* Every leased end, to tell our own servers from those of other hosts on the same address */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rsip_end);
	__type(value, __u32);
} rsip_own SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} rsip_wishes SEC(".maps");

__u64 netns;		/* cookie of the network namespace that this is about */
bool ports_for_all;	/* every connection to the public side needs a leased port: without one, one is wished for */

static __always_inline void wish(const struct rsip_end *peer, enum rsip_wish_kind kind)
{
	struct rsip_wish w = { .addr = peer->addr, .port = peer->port, .kind = kind };

	bpf_ringbuf_output(&rsip_wishes, &w, sizeof(w), 0);	/* full: there will be another try */
}

static __always_inline int refuse(int error)
{
	bpf_set_retval(-error);
	return REFUSE;
}

static __always_inline __u32 place_of(__be32 addr)
{
	struct rsip_place_key key = { .length = 32, .addr = addr };
	__u32 *place = bpf_map_lookup_elem(&rsip_places, &key);

	return place ? *place : RSIP_PLACE_UNKNOWN;
}

/* The ends of the lease for exactly this peer, for its address, or for anybody. */
static __always_inline struct rsip_ends *ends_for(struct rsip_end peer)
{
	struct rsip_ends *ends = bpf_map_lookup_elem(&rsip_sources, &peer);

	if (ends)
		return ends;
	peer.port = 0;
	ends = bpf_map_lookup_elem(&rsip_sources, &peer);
	if (ends)
		return ends;
	peer.addr = 0;
	return bpf_map_lookup_elem(&rsip_sources, &peer);
}

struct search {
	struct bpf_sock_addr *ctx;
	const struct rsip_end *peer;
	bool mapped;		/* a socket of IPv6 */
	struct rsip_ends *ends;
	__u32 start;
	bool found;
};

/* Is there a TCP connection from `end` to this peer, be it in TIME_WAIT? */
static __always_inline bool connected(struct bpf_sock_addr *ctx, const struct rsip_end *peer,
				      const struct rsip_end *end)
{
	struct bpf_sock_tuple tuple = {
		.ipv4 = { .saddr = peer->addr, .sport = peer->port, .daddr = end->addr, .dport = end->port },
	};
	struct bpf_sock *sk;
	bool is;

	if (ctx->protocol != IPPROTO_TCP)
		return false;
	sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	is = sk->state != TCP_LISTEN;
	bpf_sk_release(sk);
	return is;
}

static __always_inline bool bind_to(const struct search *s, const struct rsip_end *end)
{
	struct sockaddr_in6 mapped = {
		.sin6_family = AF_INET6,
		.sin6_addr.in6_u.u6_addr32 = { 0, 0, MAPPED, end->addr },
		.sin6_port = end->port,
	};
	struct sockaddr_in source = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = end->addr,
		.sin_port = end->port,
	};

	if (s->mapped)
		return bpf_bind(s->ctx, (struct sockaddr *)&mapped, sizeof(mapped)) == 0;
	return bpf_bind(s->ctx, (struct sockaddr *)&source, sizeof(source)) == 0;
}

/* For bpf_loop(): 1 ends it. */
static long try_end(__u32 i, struct search *s)
{
	struct rsip_end *end = &s->ends->list[(s->start + i) % (s->ends->count ?: 1) % RSIP_ENDS_MAX];

	if (connected(s->ctx, s->peer, end))
		return 0;
	s->found = bind_to(s, end);
	return s->found;
}

/*
 * Connections of TCP to different peers may share a port, as with ports that
 * the kernel chooses: that they do not have the same peer is seen to above.
 */
static __always_inline bool bind_leased(struct bpf_sock_addr *ctx, const struct rsip_end *peer, bool mapped,
					struct rsip_ends *ends)
{
	struct search search = {
		.ctx = ctx, .peer = peer, .mapped = mapped, .ends = ends, .start = bpf_get_prandom_u32(),
	};
	int on = 1;

	if (ctx->protocol == IPPROTO_TCP)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	bpf_loop(ends->count, try_end, &search, 0);
	return search.found;
}

static __always_inline int on_connect(struct bpf_sock_addr *ctx, const struct rsip_end *peer, bool mapped)
{
	struct bpf_sock *sk = ctx->sk;
	struct rsip_ends *ends;
	__u32 place;

	if (bpf_get_netns_cookie(ctx) != netns || (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP))
		return ALLOW;
	place = place_of(peer->addr);
	/* Another host has that port of our address: the packet would never get there (RFC 3102 6.7). */
	if (place == RSIP_PLACE_OWN)
		return bpf_map_lookup_elem(&rsip_own, peer) ? ALLOW : refuse(EHOSTUNREACH);
	if (place == RSIP_PLACE_LOCAL || !sk || sk->src_port)
		return ALLOW;
	if (place == RSIP_PLACE_UNKNOWN)
		wish(peer, RSIP_WISH_PLACE);
	ends = ends_for(*peer);
	if (!ends && !ports_for_all)
		return ALLOW;
	if (ends && bind_leased(ctx, peer, mapped, ends))
		return ALLOW;
	wish(peer, RSIP_WISH_PORTS);
	return refuse(ends ? EADDRNOTAVAIL : EAGAIN);
}

SEC("cgroup/connect4")
int rsip_connect(struct bpf_sock_addr *ctx)
{
	struct rsip_end peer = { .addr = ctx->user_ip4, .port = ctx->user_port };

	return on_connect(ctx, &peer, false);
}

SEC("cgroup/connect6")
int rsip_connect_mapped(struct bpf_sock_addr *ctx)
{
	struct rsip_end peer = { .addr = ctx->user_ip6[3], .port = ctx->user_port };

	if (ctx->user_ip6[0] || ctx->user_ip6[1] || ctx->user_ip6[2] != MAPPED)
		return ALLOW;
	return on_connect(ctx, &peer, true);
}

char LICENSE[] SEC("license") = "GPL";
