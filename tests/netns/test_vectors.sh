#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The golden vectors against the real daemon, and what tshark makes of them.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# A step of vectors.py.
vectors() {
	LAB=$lab WORK=$work TOP=$top timeout "$TEST_TIMEOUT" python3 "$top/tests/netns/vectors.py" "$1"
}

# shellcheck disable=SC2119 # lab takes options, none here
raise() {
	lab
	config 'pools: [{name: shared, addresses: [192.0.2.0/25]}, {name: whole, addresses: [192.0.2.128/25], methods: [rsa-ip]}]' \
		'clients: [{match: 10.0.0.0/8, max-requests: 0, max-spis: 1024}]'
	gateway
}

# covers: W-01 E-02
test_udp() {
	raise
	nsenter --net="/run/netns/${lab}x1" tcpdump -q -U -i eth0 -w "$work/vectors.pcap" udp port 4555 2>"$work/tcpdump.log" &
	local capture=$!
	wait_for 10 test -s "$work/vectors.pcap"
	vectors over_udp
	wait_for 10 grep -qa "the last datagram" "$work/vectors.pcap"
	kill "$capture"
	wait "$capture" || true
	vectors compare
}

# covers: T-08 T-33
test_tcp() {
	raise
	vectors over_tcp
}

run_tests "$@"
