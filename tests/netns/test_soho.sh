#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The scenarios of RFC 3104, Appendix F. One box with one public address: RSIP for some hosts, NAPT for the others, N's
# own services; and the road warrior.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

port() { rsip_field "$1" .lease.ports | grep -oE '^[0-9]+'; }

# N's only address on wan0 becomes $1
move_to() {
	ip -n "${lab}n" addr flush dev wan0
	ip -n "${lab}n" addr add "$1/24" dev wan0
}

# What is not leased belongs to NAPT: its ports and ICMP identifiers are others than the pool's.
napt() {
	on n sysctl -qw net.ipv4.ip_forward=1
	on n nft -f - <<-END
		table ip napt {
			chain out {
				type nat hook postrouting priority srcnat;
				ip saddr 10.0.0.0/24 oifname wan0 meta l4proto { tcp, udp, icmp } masquerade to :1024-39999
			}
		}
	END
}

raise() {
	lab
	ip -n "${lab}n" route del local 203.0.113.10 dev wan0
	move_to 203.0.113.10
	on n sysctl -qw net.ipv4.ip_local_port_range="1024 39999"
	config 'pools: [{name: home, addresses: [wan0], ports: 40000-65535, gateway-address: true}]'
	napt
	gateway
}

# hears NAMESPACE PORT FROM ADDRESS: a TCP connection there is answered
hears() {
	local ns=$1 port=$2 from=$3 address=$4
	on "$ns" timeout 10 busybox nc -l -p "$port" -e echo "$ns answers" &
	wait_for 5 listens "$ns" "$port"
	same "answer to $from" "$ns answers" "$(on "$from" timeout 5 busybox nc "$address" "$port" </dev/null)"
	wait $!
}

listens() { [ -n "$(on "$1" ss -Hltn "sport = :$2")" ]; }

# covers: APF-01 APF-02 APF-04 EG-15 IN-21 SEC-09
test_one_address() {
	raise
	rsip_up x1 --ports 2
	same "address of x1" 203.0.113.10 "$(rsip_field x1 .lease.address)"
	[ "$(port x1)" -ge 40000 ]
	packets exchange x1 "$(port x1)"
	hears y 8000 x2 203.0.113.2
	ping_from x2 -c 1 203.0.113.2
	hears n 2222 y 203.0.113.10
	packets exchange x1 "$(port x1)"
	# What passes to the stack is its filter's to judge.
	on n nft add table ip filter
	on n nft 'add chain ip filter in { type filter hook input priority 0; policy drop; }'
	refused on y timeout 2 busybox nc 203.0.113.10 2222 </dev/null
	packets exchange x1 "$(port x1)"
}

# N's own connections take ports from this range: a warning, since only the operator knows which should give way.
# covers: APF-02
test_local_ports_overlap() {
	raise
	refused grep 'ip_local_port_range' "$work/rsipd.log"
	gateway_stop
	on n sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
	gateway
	grep 'rsipd.yaml:[0-9]*: pool home lends ports 40000-65535.*32768-60999' "$work/rsipd.log"
}

# The provider gives another address: leases of the old one end, hosts lease the new one.
# covers: APF-03
test_address_changes() {
	raise
	rsip_up x1 --ports 2
	same "address of x1" 203.0.113.10 "$(rsip_field x1 .lease.address)"
	move_to 203.0.113.77
	wait_for 15 has_address x1 203.0.113.77
	same "pool" 203.0.113.77 "$(ctl -j bindings | jq -r '.[0].address')"
	same "leases" 1 "$(ctl -j bindings | jq length)"
	hears y 8000 x2 203.0.113.2
}

# Road warrior: the realms are swapped. y, out on the Internet, leases an address of the company's network
# and talks to x1, which is inside and knows nothing of it. The Internet is everybody's: who may do so has a key.
# covers: APF-05 APF-06
test_road_warrior() {
	(umask 077 && od -An -N 32 -tx1 /dev/urandom | tr -d ' \n' >"$work/key")
	lab -n 1
	ip -n "${lab}n" route add local 10.0.0.200 dev lan0
	config 'interfaces: {private: [{name: wan0, address: 203.0.113.1}], public: [{name: lan0}]}' \
		'pools: [{name: company, addresses: [10.0.0.200]}]' "clients: [{match: 0.0.0.0/0, key: $work/key}]" \
		'local-networks: [203.0.113.0/24]'
	gateway
	on y timeout 10 "$build/rsip" -g 203.0.113.1 up --ports 2 >"$work/stranger.log" 2>&1 &
	wait_for 10 grep 304 "$work/stranger.log"
	wait $! || true
	same "registered without the key" 0 "$(ctl -j clients | jq length)"
	rsip_up y -g 203.0.113.1 --key "$work/key" --ports 2
	same "address of y" 10.0.0.200 "$(rsip_field y .lease.address)"
	on x1 timeout 10 busybox nc -l -p 8000 -e echo "x1 answers" &
	wait_for 5 listens x1 8000
	same "answer to y" "x1 answers" "$(on y timeout 5 python3 -c '
import socket, sys
s = socket.create_connection(("10.0.0.11", 8000), 5, ("10.0.0.200", int(sys.argv[1])))
print(s.makefile().read().strip())' "$(port y)")"
	wait $!
	[ "$(outcome in-port)" -gt 0 ] && [ "$(outcome out-port)" -gt 0 ]
}

has_address() { [ "$(rsip_field "$1" .lease.address)" = "$2" ]; }

run_tests "$@"
