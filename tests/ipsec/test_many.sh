#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Ten hosts at once on one address.
# shellcheck disable=SC2119
: "${TEST_TIMEOUT:=400}"
# shellcheck source-path=SCRIPTDIR source=../netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=guest.sh
. "$(dirname "$0")/guest.sh"
NB=203.0.113.10
HOSTS=(x{1..10})

# all FUNCTION [ARGUMENT...]: with each host before the arguments, at once
all() {
	local function=$1 host pids=() pid
	shift
	for host in "${HOSTS[@]}"; do
		"$function" "$host" "$@" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid"; done
}

lease() { guest_limit=90 guest rsip_up "$build/rsip" "$1"; }

# The peer of a host: y has ten addresses. peer one|many HOST
peer() { if [ "$1" = one ]; then echo 203.0.113.2; else echo 203.0.113.$((20 + ${2#x})); fi; }

# Ten tunnels with ESP; 20 echoes of 600 bytes in each at once, counted by each host's kernel.
tunnels() {
	local host
	for host in y "${HOSTS[@]}"; do guest swan_conf "$host"; done
	for host in "${HOSTS[@]}"; do
		guest swan_conn "$host" home $NB "$(peer "$1" "$host")" esp-tunnel "mobike = no"
		guest swan_conn y "$host" "$(peer "$1" "$host")" any esp-tunnel "mobike = no"
	done
	guest_limit=90 guest swan_start y "${HOSTS[@]}"
	guest_limit=90 guest initiate "${HOSTS[@]}"
	all echoes
	same "what the hosts took in and sent" "20 12560 20 12560" \
		"$(guest_limit=60 guest carried "${HOSTS[@]/%/:$NB:2}" | sort -u)"
	same "SPIs of the hosts" 10 "$(guest spis_in y | sort -u | wc -l)"
	guest_limit=60 guest swan_stop y "${HOSTS[@]}"
}

echoes() { guest_limit=60 guest echo_test "$1" "10.50.${1#x}.1" 10.99.0.1 20 600; }

# covers: IPS-12
test_ten_hosts() {
	local i
	[ -x "$UML" ] || skip "user-mode-linux is not installed"
	lab -g -n 10
	gateway
	guest_life=$TEST_TIMEOUT guest_limit=90 guest_start "${HOSTS[@]}" y
	all lease
	same "addresses" "$NB" "$(ctl -j bindings | jq -r '[.[].address] | unique | join(" ")')"
	for i in {21..30}; do guest on y ip addr add "203.0.113.$i/24" dev eth0; done
	tunnels one
	tunnels many
	same "ESP in" 400 "$(outcome in-esp)"
	same "ESP out" 400 "$(outcome out-esp)"
	same "dropped" "" "$(ctl -j counters | jq -r '.outcomes[] | select(.verdict == "drop" and .packets > 0).outcome')"
}

run_tests "$@"
