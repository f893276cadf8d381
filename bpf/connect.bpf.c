// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports of applications, for kernels that would choose them from anywhere
 * (RFC 3102 3.6): a program on connect() of IPv4 sockets gives one that is not
 * bound, and goes to the public side, the leased address and a leased port that
 * is free towards this peer. What is local it leaves alone. Programs do not
 * notice.
 *
 * It hangs at the root of the cgroup hierarchy, as rsip's own link, and looks
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

static __always_inline void wish(struct bpf_sock_addr *ctx, enum rsip_wish_kind kind)
{
	struct rsip_wish w = { .addr = ctx->user_ip4, .port = ctx->user_port, .kind = kind };

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
static __always_inline struct rsip_ends *ends_for(__be32 addr, __be16 port)
{
	struct rsip_end peer = { .addr = addr, .port = port };
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
	struct rsip_ends *ends;
	__u32 start;
	bool found;
};

/* Is there a TCP connection from `end` to this peer, be it in TIME_WAIT? */
static __always_inline bool connected(struct bpf_sock_addr *ctx, const struct rsip_end *end)
{
	struct bpf_sock_tuple tuple = {
		.ipv4 = { .saddr = ctx->user_ip4, .sport = ctx->user_port, .daddr = end->addr, .dport = end->port },
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

/* For bpf_loop(): 1 ends it. */
static long try_end(__u32 i, struct search *s)
{
	struct rsip_end *end = &s->ends->list[(s->start + i) % (s->ends->count ?: 1) % RSIP_ENDS_MAX];
	struct sockaddr_in source = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = end->addr,
		.sin_port = end->port,
	};

	if (connected(s->ctx, end))
		return 0;
	s->found = bpf_bind(s->ctx, (struct sockaddr *)&source, sizeof(source)) == 0;
	return s->found;
}

/*
 * Connections of TCP to different peers may share a port, as with ports that
 * the kernel chooses: that they do not have the same peer is seen to above.
 */
static __always_inline bool bind_leased(struct bpf_sock_addr *ctx, struct rsip_ends *ends)
{
	struct search search = { .ctx = ctx, .ends = ends, .start = bpf_get_prandom_u32() };
	int on = 1;

	if (ctx->protocol == IPPROTO_TCP)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	bpf_loop(ends->count, try_end, &search, 0);
	return search.found;
}

SEC("cgroup/connect4")
int rsip_connect(struct bpf_sock_addr *ctx)
{
	struct rsip_end peer = { .addr = ctx->user_ip4, .port = ctx->user_port };
	struct bpf_sock *sk = ctx->sk;
	struct rsip_ends *ends;
	__u32 place;

	if (bpf_get_netns_cookie(ctx) != netns || (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP))
		return ALLOW;
	place = place_of(peer.addr);
	/* Another host has that port of our address: the packet would never get there (RFC 3102 6.7). */
	if (place == RSIP_PLACE_OWN)
		return bpf_map_lookup_elem(&rsip_own, &peer) ? ALLOW : refuse(EHOSTUNREACH);
	if (place == RSIP_PLACE_LOCAL || !sk || sk->src_port)
		return ALLOW;
	if (place == RSIP_PLACE_UNKNOWN)
		wish(ctx, RSIP_WISH_PLACE);
	ends = ends_for(peer.addr, peer.port);
	if (!ends && !ports_for_all)
		return ALLOW;
	if (ends && bind_leased(ctx, ends))
		return ALLOW;
	wish(ctx, RSIP_WISH_PORTS);
	return refuse(ends ? EADDRNOTAVAIL : EAGAIN);
}

char LICENSE[] SEC("license") = "GPL";
