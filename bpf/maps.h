/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every map. "rsipd" is user/rsipd/datapath_bpf.c; it sets max_entries from the
 * configuration before the load where the comment says so, and pins all of them.
 */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <rsip/datapath.h>

#define MAX_BINDS	(1 << 20)

/*
 * What is rare is a function of its own, verified on its own, and reads the
 * packet again: the common way keeps it in registers.
 */
#define RARE		__attribute__((noinline))

/* ESP and AH by SPI. rsipd writes, public side reads. Two for each SPI lent: as configured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_BINDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_spi_key);
	__type(value, struct rsip_target);
} rsip_spis SEC(".maps");

/* IKE by initiator cookie. Both sides learn (the public one from peers in rsip_peers) and read, rsipd removes.
 * As configured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_BINDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_cookie_key);
	__type(value, struct rsip_cookie);
} rsip_cookies SEC(".maps");

/* UDP and TCP by port. rsipd writes, both sides read. One for each port lent: as configured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_BINDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_port_key);
	__type(value, struct rsip_target);
} rsip_ports SEC(".maps");

/* Binds by slot. rsipd writes through mmap, both sides read. As configured. Mapped, an array begins with a page, and
 * elements of half a cache line or a whole one are not split. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_BINDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_bind);
} rsip_binds SEC(".maps");

/* The rest of each bind. rsipd writes through mmap, both sides read, and count cookies and queries. As configured. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_BINDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_bind_rare);
} rsip_binds_rare SEC(".maps");

/* Who takes IKE from a peer when nobody knows its cookie. rsipd writes, public side reads then. As configured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_peer_key);
	__type(value, struct rsip_target);
} rsip_peers SEC(".maps");

/* Peers of binds that have several. rsipd writes, both sides read. As configured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_remote_key);
	__type(value, __u32);
} rsip_remotes SEC(".maps");

/* Registered hosts by Xa. rsipd writes, private side reads to name a refusal, and notes that it was told. As configured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __be32);
	__type(value, struct rsip_client);
} rsip_clients SEC(".maps");

/* May Xa use Nb, and for IPsec, or all of it. rsipd writes, private side reads. At most two a bind: as configured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_BINDS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_grant_key);
	__type(value, struct rsip_grant);
} rsip_grants SEC(".maps");

/* ICMP requests of hosts, for the replies. Private side learns, public side reads. Fixed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_echo_key);
	__type(value, struct rsip_echo);
} rsip_echoes SEC(".maps");

/* Hosts that may send ESP and AH, by address. rsipd writes through mmap, private side reads, and writes marks. A place
 * for each bind at least: as configured. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RSIP_SENDERS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_sender);
} rsip_senders SEC(".maps");

/* SPIs that hosts send with. Private side writes, public side reads for ICMP errors. As configured. Nobody maps it,
 * but see rsip_binds. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RSIP_OUTSPI_SETS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_outspi_set);
} rsip_outspis SEC(".maps");

/* Fragmented packets that are under way. Both sides write, rsipd removes. Fixed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct rsip_fragment_key);
	__type(value, struct rsip_fragment);
} rsip_fragments SEC(".maps");

/* Fragments for rsipd, apart from rsip_events: a flood of them drowns nothing else. About 250. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} rsip_slow SEC(".maps");

/* How many ICMP errors N may send. Both sides. Fixed: datapath.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RSIP_BUCKETS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_bucket);
} rsip_buckets SEC(".maps");

/* What an address is to N. rsipd writes, both sides read on a miss and to answer. The pools of two configurations, and Na. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __be32);
	__type(value, struct rsip_address);
} rsip_addresses SEC(".maps");

/* What no peer can be. rsipd writes, public side reads. One element. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_realm);
} rsip_realm SEC(".maps");

/* Next hops by slot, one for each neighbour. rsipd writes through mmap (slots are 32 bytes apart), both sides read.
 * As configured. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_nexthop);
} rsip_nexthops SEC(".maps");

/* Next hops of peers. rsipd writes through mmap, private side reads. Fixed: datapath.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_route);
} rsip_routes SEC(".maps");

/* Packets and bytes by outcome. Both sides write, rsipd and rsipctl read. Fixed: datapath.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RSIP_OUTCOME_COUNT);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_counter);
} rsip_counters SEC(".maps");

/* Cookies learned, violations, packets that rsipd has to send. Both sides write, rsipd reads. About 500 packets. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 21);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} rsip_events SEC(".maps");

/* Where a redirect may go, by ifindex. rsipd writes, both sides redirect by it. Interfaces of N. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 256);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct rsip_device);
} rsip_devices SEC(".maps");
