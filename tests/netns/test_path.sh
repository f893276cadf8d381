#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What paths do to packets, through the real daemon: ICMP, links that are too small, fragments.
# tests/netns/path.py does the work.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# The stations' own stacks must not answer what the scripts send and receive.
quiet() {
	local ns
	for ns in "$@"; do
		on "$ns" nft -f - <<-END
			table ip quiet {
				chain in {
					type filter hook input priority 0
					policy drop
					udp sport 4555 accept
				}
			}
		END
	done
}

raise() {
	lab
	quiet x1 x2 y
	gateway
}

path() {
	LAB=$lab WORK=$work TOP=$top BUILD=$build timeout "$TEST_TIMEOUT" python3 "$top/tests/netns/path.py" "$@"
}

# covers: IN-14 IN-15 EG-10
test_ping() {
	raise
	path ping
}

# covers: IN-10 IN-11 IN-12 IN-13 EG-11 FLOW-13
test_errors() {
	raise
	path errors
}

# covers: EG-14
test_traceroute() {
	raise
	path traceroute
}

# covers: IN-22 TUN-13
test_too_big() {
	raise
	path too_big
}

# covers: IN-16 IN-27 EG-12
test_fragments_in_every_order() {
	raise
	path orders
}

# covers: IN-23 IN-10 IN-15 IN-16 IN-22 EG-12
test_from_host_to_host() {
	raise
	path hairpin
}

# covers: IN-16 APF-04
test_fragments_to_an_address_of_two() {
	config 'pools: [{name: shared, addresses: [203.0.113.10], gateway-address: true}]'
	lab
	quiet x1 x2 y
	gateway
	path shared
}

# covers: APE-01 IN-27
test_fragments_of_a_peer_that_begins() {
	config "datapath: {pin: $pin, peer-rekey: true}"
	raise
	path begun_by_peer
}

# covers: TUN-12
test_tunnel_fragments() {
	raise
	path outer
}

no_fragments() {
	[ "$(bpftool -j map dump pinned "$pin/v4/rsip_fragments" |
		jq '[.[] | select(.formatted.value.state >= 65536 and .formatted.value.state < 131072)] | length')" = 0 ]
}

# Those that never complete are given up, and their entries with them. covers: IN-17 EG-12
test_fragments_refused() {
	raise
	path refused
	refused no_fragments
	wait_for 12 no_fragments
}

# --- the programs that people use ----------------------------------------------------------

raise_hosts() {
	lab
	gateway
	rsip_up x1 --spis 0 --ports 2
	rsip_up x2 --spis 0 --ports 2
}

# ping_real HOST: 20 echoes, all answered
ping_real() {
	on "$1" ping -q -c 20 -i 0.02 -W 2 -I 203.0.113.10 203.0.113.2 | grep ' 20 received'
}

# Two hosts ping one peer from one address at once.
# covers: IN-14 EG-10
test_ping_program() {
	raise_hosts
	ping_real x1 &
	ping_real x2
	wait $!
	same "replies" 40 "$(($(outcome in-icmp-reply) + $(outcome in-resolve)))"
	same "taken" 0 "$(outcome out-icmp-taken)"
}

# hops FROM WANTED OPTION...: traceroute sees these addresses, one after the other
hops() {
	local from=$1 wanted=$2
	shift 2
	same "the way, $*" "$wanted" "$(on "$from" traceroute -n -q 2 -w 2 -m 4 "$@" |
		awk 'NR > 1 { for (i = 2; i <= NF; i++) if ($i ~ /[.]0[.]|[*]/) printf "%s ", $i }')"
}

# N is a hop, seen by probes of UDP and of ICMP, from both sides. Each has to come from a leased port.
# covers: EG-14
test_traceroute_program() {
	local port
	raise_hosts
	port=$(rsip_field x1 .lease.ports | grep -oE '^[0-9]+')
	hops x1 "203.0.113.1 203.0.113.2 " -s 203.0.113.10 --sport="$port" 203.0.113.2
	hops x1 "203.0.113.1 203.0.113.2 " -s 203.0.113.10 -I 203.0.113.2
	hops y "203.0.113.1 203.0.113.10 " -U -p "$port" 203.0.113.10
}

run_tests "$@"
