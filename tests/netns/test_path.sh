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

# covers: TUN-12
test_tunnel_fragments() {
	raise
	path outer
}

no_fragments() {
	[ "$(bpftool -j map dump pinned "$pin/v2/rsip_fragments" |
		jq '[.[] | select(.formatted.value.state >= 65536 and .formatted.value.state < 131072)] | length')" = 0 ]
}

# Those that never complete are given up, and their entries with them. covers: IN-17 EG-12
test_fragments_refused() {
	raise
	path refused
	refused no_fragments
	wait_for 12 no_fragments
}

run_tests "$@"
