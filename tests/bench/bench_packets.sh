#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Packets: the programs alone, and the gateway between two veths beside a bare
# redirect, kernel forwarding and nftables masquerade. packets.c does the work.
#
#   x  x0 10.0.0.2 ------ lan0 10.0.0.1  n  wan0 203.0.113.1 ------ y0 203.0.113.2  y
#      (hosts are behind it)
set -eu
build=${BUILD:-build}
prefix=rsip-bench-

end() {
	for ns in n x y; do ip netns del "$prefix$ns" 2>/dev/null || true; done
}
trap end EXIT
trap 'exit 130' INT TERM
end

in_ns() {
	local ns=$prefix$1
	shift
	nsenter --net="/run/netns/$ns" "$@"
}

# link DEVICE ADDRESS NS PEER-DEVICE PEER-ADDRESS: neighbours are known on both sides.
link() {
	ip link add "$1" netns "${prefix}n" address 02:00:00:00:00:01 type veth peer name "$4" netns "$prefix$3"
	ip -n "${prefix}n" addr add "$2/24" dev "$1"
	ip -n "$prefix$3" addr add "$5/24" dev "$4"
	ip -n "${prefix}n" link set "$1" up
	ip -n "$prefix$3" link set "$4" up
	in_ns n ethtool -K "$1" gro on
	in_ns "$3" ethtool -K "$4" gro on
	ip -n "${prefix}n" neigh replace "$5" dev "$1" nud permanent lladdr \
		"$(ip -n "$prefix$3" -j link show "$4" | jq -r '.[0].address')"
}

for ns in n x y; do
	ip netns add "$prefix$ns"
	in_ns $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	ip -n "$prefix$ns" link set lo up
done
link lan0 10.0.0.1 x x0 10.0.0.2
link wan0 203.0.113.1 y y0 203.0.113.2
in_ns n sysctl -qw net.ipv4.ip_forward=1
ip -n ${prefix}n route add 10.0.0.0/8 via 10.0.0.2

in_ns n "$build/tests/bench/packets"
in_ns n "$build/tests/bench/packets" ${prefix}x ${prefix}y
