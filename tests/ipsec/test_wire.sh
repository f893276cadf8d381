#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What is on the wire: ESP and AH seen by a second reader (scapy, with the keys of the kernel's
# SAs), and how large packets get.
# shellcheck disable=SC2034,SC2119 # what is to be tried, for cell.sh
: "${TEST_TIMEOUT:=300}"
# shellcheck source-path=SCRIPTDIR source=../netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=guest.sh
. "$(dirname "$0")/guest.sh"
# shellcheck source=pki.sh
. "$(dirname "$0")/pki.sh"
# shellcheck source=cell.sh
. "$(dirname "$0")/cell.sh"

test_wire() {
	local IKE=2 auth=secret mobike=no settings='' upper="udp tcp" protection told=0
	raise
	guest answer_streams y 0.0.0.0 7
	for protection in esp-tunnel esp-transport ah-transport; do
		connect
		guest initiate x1 x2
		second_reader
		[ $protection = ah-transport ] || full_segments
		guest swan_stop x1 x2 y
	done
	same "dropped without a word" "" "$(dropped)"
}

# Every packet that crossed verifies with its SA's key and is, but for TTL and header checksum,
# what the private side had in its tunnel: not changed by one bit.
# covers: IN-04 IN-05 EG-07 TUN-01
second_reader() {
	wire_start y x1 x2
	traffic 8 600
	wire_stop
	guest on y ip xfrm state >"$work/sas"
	same "verified, $protection" "$(printf '%s\n' "${protection%-*} $NB 16" "${protection%-*} $Y 16")" \
		"$("$top/tests/ipsec/verify.py" "$work/sas" "$work/y.pcap" "$work/x1.pcap" "$work/x2.pcap")"
}

# TCP through ESP over links of 1500 bytes: segments are as large as the way with its tunnel (1480
# bytes) lets them be, and nothing stalls. The peer begins with a larger one, and is told; once,
# since it remembers.
# covers: IN-22 TUN-13
full_segments() {
	local direction large
	wire_start y
	streams x1 &
	streams x2
	wait $!
	wire_stop
	# Two megabytes are some 1500 segments.
	for direction in src dst; do
		large=$(wire_count y "ip proto 50 and $direction $NB and ip[2:2] = 1480")
		[ "$large" -gt 1200 ] || fail "$protection: only $large full packets with $NB as $direction"
	done
	same "$protection: larger than the way from the hosts" 0 "$(wire_count y "src $NB and ip[2:2] > 1480")"
	large=$(wire_count y "dst $NB and ip[2:2] > 1480")
	[ "$protection" = esp-transport ] || [ "$large" -gt 0 ] || fail "the peer never sent too much"
	[ "$large" -lt 20 ] || fail "the peer does not heed what it is told: $large packets that are too large"
	told=$((told + large))
	same "$protection: the peer was told" "$told" "$(outcome in-too-big-told)"
	same "$protection: in fragments" 0 "$(wire_count y 'ip[6:2] & 0x3fff != 0')"
}

# streams HOST: a megabyte there and back
streams() {
	case $protection in
	*-tunnel) guest stream "$1" "10.50.${1#x}.1" 0 10.99.0.1 7 16 ;;
	*-transport) guest stream "$1" $NB "${own_port[$1]}" $Y 7 16 ;;
	esac
}

run_tests "$@"
