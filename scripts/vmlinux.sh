#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Makes vmlinux/vmlinux.h from the running kernel's BTF: only the types named
# below, as the programs in bpf/ use them. The result is committed, so that a
# build needs neither BTF nor bpftool's view of the builder's kernel; run this
# again when a program needs one more type. The types are ABI (uapi), so their
# layout does not depend on the kernel they were read from.
set -eu
cd "$(dirname "$0")/.."

typedefs='__u8 __s8 __u16 __s16 __u32 __s32 __u64 __s64 __be16 __be32 __be64 __sum16 __wsum __kernel_sa_family_t bool'
types='struct:ethhdr struct:iphdr struct:udphdr struct:icmphdr struct:xdp_md struct:__sk_buff struct:bpf_redir_neigh'
types="$types struct:bpf_sock_addr struct:bpf_sock struct:bpf_sock_tuple struct:sockaddr_in struct:in_addr struct:sockaddr_in6 struct:in6_addr"
types="$types enum:bpf_map_type enum:xdp_action enum:bpf_adj_room_mode"
# Enums without a name, by one of their constants
constants='false BPF_NOEXIST BPF_F_MMAPABLE BPF_RB_NO_WAKEUP BPF_F_ADJ_ROOM_FIXED_GSO BPF_F_RECOMPUTE_CSUM BPF_F_INGRESS IPPROTO_UDP BPF_F_CURRENT_NETNS'

out=vmlinux/vmlinux.h
trap 'rm -f "$out.tmp"' EXIT
{
	cat <<-'HEAD'
	/* SPDX-License-Identifier: GPL-2.0-only */
	/* Made by scripts/vmlinux.sh: the kernel types that bpf/ uses, and no others. */
	#ifndef __VMLINUX_H__
	#define __VMLINUX_H__

	HEAD
	bpftool btf dump file /sys/kernel/btf/vmlinux format c |
		awk -v typedefs="$typedefs" -v types="$types" -v constants="$constants" '
		BEGIN {
			for (n = split(typedefs, a, " "); n; n--) want["typedef " a[n]]
			for (n = split(types, a, " "); n; n--) { sub(":", " ", a[n]); want[a[n]] }
			for (n = split(constants, a, " "); n; n--) constant[a[n]]
		}
		/^typedef [^{]*;$/ {
			name = $NF; sub(";", "", name)
			if ("typedef " name in want) { print; print ""; delete want["typedef " name] }
			next
		}
		/^(struct|enum) .*\{$|^enum \{$/ { block = ""; inside = 1; name = $1 " " $2; keep = name in want }
		inside {
			block = block $0 "\n"
			if ($1 in constant) { keep = 1; delete constant[$1] }
		}
		/^}.*;$/ && inside {
			inside = 0
			if (keep) { print block; delete want[name] }
		}
		END {
			for (name in want) { print "scripts/vmlinux.sh: BTF has no " name > "/dev/stderr"; bad = 1 }
			for (name in constant) { print "scripts/vmlinux.sh: BTF has no " name > "/dev/stderr"; bad = 1 }
			exit bad
		}'
	cat <<-'TAIL'
	/* Macros of the uapi headers: BTF does not carry them. */
	#define ETH_ALEN	6
	#define ETH_P_IP	0x0800
	#define ETH_P_ARP	0x0806
	#define ETH_P_8021Q	0x8100
	#define ETH_P_8021AD	0x88a8
	#define TC_ACT_UNSPEC	(-1)
	#define TC_ACT_OK	0
	#define TC_ACT_SHOT	2
	#define TC_ACT_REDIRECT	7
	#define AF_INET		2
	#define AF_INET6	10
	#define EEXIST		17

	#endif
	TAIL
} >"$out.tmp"
mv "$out.tmp" "$out"
