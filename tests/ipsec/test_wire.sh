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

# Every packet that crossed verifies with its SA's key and is, but for TTL and header checksum,
# what the private side had in its tunnel: not changed by one bit.
# covers: IN-04 IN-05 EG-07 TUN-01
test_second_reader() {
	local IKE=2 auth=secret mobike=no settings='' protection
	raise
	for protection in esp-tunnel esp-transport ah-transport; do
		connect
		guest initiate x1 x2
		wire_start y x1 x2
		traffic 8 600
		wire_stop
		guest on y ip xfrm state >"$work/sas"
		same "verified, $protection" "$(printf '%s\n' "${protection%-*} $NB 16" "${protection%-*} $Y 16")" \
			"$("$top/tests/ipsec/verify.py" "$work/sas" "$work/y.pcap" "$work/x1.pcap" "$work/x2.pcap")"
		guest swan_stop x1 x2 y
	done
}

# TCP through ESP over links of 1500 bytes: segments are as large as the way with its tunnel lets
# them be, and nothing stalls. The peer begins with larger ones, and is told.
# covers: IN-22 TUN-13
test_full_segments() {
	local IKE=2 auth=secret mobike=no settings='' upper=tcp protection told
	raise
	guest answer_streams y 0.0.0.0 7
	for protection in esp-tunnel esp-transport; do
		connect
		guest initiate x1 x2
		told=$(outcome in-too-big-told)
		wire_start y
		streams x1 &
		streams x2
		wait $!
		wire_stop
		full_sized
		guest swan_stop x1 x2 y
	done
	[ "$(outcome in-too-big-told)" -gt 0 ] || fail "the peer's packets were not too big"
	same "dropped without a word" "" "$(dropped)"
}

# streams HOST: a megabyte there and back
streams() {
	case $protection in
	*-tunnel) guest stream "$1" "10.50.${1#x}.1" 0 10.99.0.1 7 16 ;;
	*-transport) guest stream "$1" $NB "${own_port[$1]}" $Y 7 16 ;;
	esac
}

# The way takes 1480 bytes. Two megabytes are some 1500 segments.
full_sized() {
	local direction large
	for direction in src dst; do
		large=$(wire_count y "ip proto 50 and $direction $NB and ip[2:2] = 1480")
		[ "$large" -gt 1200 ] || fail "$protection: only $large full packets with $NB as $direction"
	done
	same "$protection: larger than the way from the hosts" 0 "$(wire_count y "src $NB and ip[2:2] > 1480")"
	same "$protection: larger than the way from the peer, which was told" \
		$(($(outcome in-too-big-told) - told)) "$(wire_count y "dst $NB and ip[2:2] > 1480")"
	same "$protection: in fragments" 0 "$(wire_count y 'ip[6:2] & 0x3fff != 0')"
}

run_tests "$@"
