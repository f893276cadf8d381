/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bind number `i` of the packet benchmark holds: known to the program that
 * makes the binds and to those that make packets for them. Host order.
 */
#pragma once

#define BENCH_PEER	0xcb007102u	/* Y, 203.0.113.2 */
#define BENCH_GATEWAY	0x0a000001u	/* Na, 10.0.0.1 */
#define BENCH_PUBLIC	0xcb007101u	/* N's own, 203.0.113.1 */
#define BENCH_POOL	0xc6336400u	/* the first Nb, 198.51.100.0 */
#define BENCH_POOL_SIZE	64u
#define BENCH_HOST	0x0a010000u	/* the first Xa, 10.1.0.0 */
#define BENCH_FLOWS	10000u		/* through NAT */

static inline __u32 bench_addr(__u32 i)
{
	return BENCH_POOL + i % BENCH_POOL_SIZE;
}

static inline __u32 bench_host(__u32 i)
{
	return BENCH_HOST + i;
}

static inline __u16 bench_port(__u32 i)
{
	return (__u16)(10000 + i / BENCH_POOL_SIZE);
}

static inline __u64 bench_cookie(__u32 i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}
