#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A second reader of ESP and AH: scapy, with the keys of the kernel's SAs.
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

run_tests "$@"
