#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Bulk traffic, and counters that leave nothing out: every packet that came in has exactly one outcome.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

port() { rsip_field "$1" .lease.ports | grep -oE '^[0-9]+'; }

# What N received on both interfaces, and what is counted, since the programs are there.
received() { on n ip -s -j link | jq '[.[] | select(.ifname == "lan0" or .ifname == "wan0").stats64.rx.packets] | add'; }
counted() { ctl -j counters | jq '[.outcomes[].packets] | add'; }

begin() { received_before=$(received) counted_before=$(counted); }

all_counted() { [ $(($(received) - received_before)) -eq $(($(counted) - counted_before)) ]; }

raise() {
	lab
	gateway
	begin
	rsip_up x1 --ports 2
	rsip_up x2 --ports 2
}

# TCP both ways, from two hosts at once: nothing is dropped, and the sum is exact.
# covers: SCALE-05 IN-02 IN-20
test_tcp() {
	raise
	packets bulk x1 "$(port x1)" &
	packets bulk x2 "$(port x2)"
	wait $!
	[ "$(outcome in-port)" -gt 5000 ] && [ "$(outcome out-port)" -gt 5000 ]
	same "what else became of packets" "[]" "$(ctl -j counters | jq -c '[.outcomes[] | select(.packets > 0).outcome] -
		["in-port", "out-port", "in-pass", "out-pass", "in-resolve", "out-resolve"]')"
	wait_for 3 all_counted
}

# What is lost is counted, no more and no less.
# covers: IN-21
test_loss() {
	raise
	packets nobodys 1 700
	wait_for 3 no_port 700
	wait_for 3 all_counted
}

no_port() { [ "$(outcome in-no-port)" -eq "$1" ]; }

# An interface goes down and comes back in the middle of a transfer: it goes on, and the sum is exact.
test_flap() {
	local side
	raise
	packets bulk x1 "$(port x1)" 60 &
	wait_for 10 moves
	for side in lan0 wan0; do
		ip -n "${lab}n" link set "$side" down
		ip -n "${lab}n" link set "$side" up
		[ $side = lan0 ] || ip -n "${lab}n" route replace local 203.0.113.10 dev wan0
		wait_for 20 moves
	done
	wait $!
	wait_for 3 all_counted
}

moves() {
	local before
	before=$(outcome out-port)
	sleep 0.1
	[ "$(outcome out-port)" -gt $((before + 100)) ]
}

run_tests "$@"
