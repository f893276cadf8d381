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

# A field of the peer's device: packets of its wire, both ways
wire() { on y ip -s -j link show eth0 | jq ".[0].stats64.$1.packets"; }

# The sum of the outcomes that match
outcomes() { ctl -j counters | jq --arg which "$1" '[.outcomes[] | select(.outcome | test($which)).packets] | add'; }

# Between transfers from two hosts much is lost at N. What came in less what is counted as lost is what went out: at the
# wire of the peer, where nothing but the data plane's packets is, all three are known from the devices.
# covers: IN-21 SCALE-05
test_loss_among_bulk() {
	local sent arrived
	raise
	ip -n "${lab}n" neigh replace 203.0.113.2 lladdr "$(mac y eth0)" dev wan0 nud permanent
	ip -n "${lab}y" neigh replace 203.0.113.10 lladdr "$(mac n wan0)" dev eth0 nud permanent
	sent=$(($(wire tx) - $(outcomes '^in-'))) arrived=$(($(wire rx) - $(outcomes "$leaves")))
	packets bulk x1 "$(port x1)" &
	local one=$!
	packets bulk x2 "$(port x2)" &
	local two=$!
	packets nobodys 1 20000
	packets not_mine x1 "$(port x2)" 5000
	wait $one
	wait $two
	wait_for 3 all_counted
	all_of in-no-port 20000
	all_of out-no-port 5000
	same "sent to N" "$sent" "$(($(wire tx) - $(outcomes '^in-')))"
	same "arrived from N" "$arrived" "$(($(wire rx) - $(outcomes "$leaves")))"
}

# So many packets have this outcome, but for what veth itself lost before N: a full ring, on a busy machine.
all_of() {
	local counted full
	counted=$(outcome "$1")
	full=$(for dev in "y eth0" "x1 eth0" "sw n"; do ip -n "$lab${dev% *}" -s -j link show "${dev#* }"; done |
		jq -s '[.[][0].stats64.tx.dropped] | add')
	if [ "$counted" -gt "$2" ] || [ "$counted" -lt $(($2 - full)) ]; then
		fail "$1: $counted of $2, $full lost before"
	fi
}

mac() { ip -n "$lab$1" -j link show "$2" | jq -r '.[0].address'; }

# Sent on by the private side, or by rsipd for it
leaves='^out-(port|resolve)$'

# Links become too small in the middle of a transfer, one after the other: whoever sends too much is told, and it goes on.
# covers: IN-22 TUN-13
test_mtu_shrinks() {
	raise
	packets bulk x1 "$(port x1)" 60 &
	wait_for 10 moves
	ip -n "${lab}n" link set lan0 mtu 1496
	wait_for 10 grows in-too-big-told
	wait_for 10 moves
	ip -n "${lab}y" link set eth0 mtu 1300
	ip -n "${lab}y" route change 203.0.113.0/24 dev eth0 advmss 1440	# it does not warn the hosts
	ip -n "${lab}n" link set wan0 mtu 1300
	wait_for 10 grows out-too-big-told
	wait_for 10 moves
	wait $!
	wait_for 3 all_counted
	same "lost without a word" 0 "$(($(outcome in-too-big) + $(outcome out-too-big)))"
}

grows() { [ "$(outcome "$1")" -gt 0 ]; }

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
