#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Ten thousand hosts with a lease each: packets of any of them find their way, both ways. tests/netns/many.py does the work.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# covers: SCALE-01 IN-02 IN-03 IN-19 IN-21 EG-01
test_ten_thousand_hosts() {
	lab -n 1
	ip -n "${lab}n" route add 10.128.0.0/16 via 10.0.0.11
	ip -n "${lab}x1" route add local 10.128.0.0/16 dev lo
	# The stations' own stacks must not answer what the script sends and receives.
	local ns
	for ns in x1 y; do
		on $ns nft 'add table ip quiet; add chain ip quiet in { type filter hook input priority 0; policy drop; }'
	done
	on x1 nft 'add rule ip quiet in udp sport 4555 accept'
	gateway
	LAB=$lab WORK=$work TOP=$top BUILD=$build timeout "$TEST_TIMEOUT" python3 "$top/tests/netns/many.py" 10000 500
	same "leases" 10000 "$(ctl -j status | jq .binds)"
}

run_tests "$@"
