/* SPDX-License-Identifier: GPL-2.0-only */
/* The IPv4 header checksum: whole for headers we make, by difference for those we change. */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

static __always_inline __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Of a header without options. Ten additions: bpf_csum_diff() costs a helper call. */
static __always_inline __sum16 csum_header(const struct iphdr *ip)
{
	const __u16 *word = (const __u16 *)ip;

	return ~csum_fold((__u32)word[0] + word[1] + word[2] + word[3] + word[4] +
			  word[6] + word[7] + word[8] + word[9]);
}

/* RFC 1624 eqn. 3, for one 16-bit word. */
static __always_inline __sum16 csum_update(__sum16 sum, __be16 from, __be16 to)
{
	return ~csum_fold((__u16)~sum + (__u32)(__u16)~from + to);
}
