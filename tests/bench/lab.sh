# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The least network for a benchmark of the control plane; sourced. Two
# namespaces joined by one veth, without a bridge in between, and a public link
# that nothing uses:
#
#   h  10.0.0.2, and 10.128.0.0/9 -- veth -- lan0 10.0.0.1  n  wan0 203.0.113.1
#

work=$(mktemp -d /tmp/rsip-bench.XXXXXX)
tag=bench$$-

bench_up() {
	ip netns add "${tag}h" && ip netns add "${tag}n" || return
	ip -n "${tag}h" link add lan0 type veth peer name lan0 netns "${tag}n"
	ip -n "${tag}n" link add wan0 type veth peer name wan1
	on_h sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	on_n sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	ip -n "${tag}h" addr add 10.0.0.2/24 dev lan0
	ip -n "${tag}n" addr add 10.0.0.1/24 dev lan0
	ip -n "${tag}n" addr add 203.0.113.1/24 dev wan0
	for link in lo lan0; do ip -n "${tag}h" link set "$link" up; done
	for link in lo lan0 wan0 wan1; do ip -n "${tag}n" link set "$link" up; done
	ip -n "${tag}h" route add local 10.128.0.0/9 dev lo
	ip -n "${tag}n" route add 10.128.0.0/9 via 10.0.0.2
}

bench_down() {
	local pids
	pids=$(ip netns pids "${tag}n" 2>/dev/null; ip netns pids "${tag}h" 2>/dev/null)
	# shellcheck disable=SC2086 # a list
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null
	ip netns del "${tag}h" 2>/dev/null
	ip netns del "${tag}n" 2>/dev/null
	rm -rf "$work" "/sys/fs/bpf/${tag%-}"
}

# on_h COMMAND..., on_n COMMAND...: in a namespace; nsenter keeps /sys/fs/bpf, and shows our own /sys.
on_h() { nsenter --net="/run/netns/${tag}h" "$@"; }
on_n() { nsenter --net="/run/netns/${tag}n" "$@"; }
