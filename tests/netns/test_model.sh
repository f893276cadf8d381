#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Random requests over a bad network against rsipd, beside a naive model: LONG (8) seconds; `make model` takes ten minutes.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# Entries of a pinned map
entries() { bpftool -j map dump pinned "$(echo "$pin"/v*/"rsip_$1")" | jq length; }

no_entries() {
	local map
	for map in clients ports spis grants remotes; do same "entries of rsip_$map" 0 "$(entries "$map")"; done
}

# covers: E-05 T-18 T-19 RSAP-16 IPS-19 LSE-03 FLOW-01 FLOW-10
test_model() {
	local i
	lab
	for i in $(seq 64 95); do ip -n "${lab}x1" address add "10.0.0.$i/24" dev eth0; done
	local limits='max-binds: 6, max-ports: 24, max-spis: 32, max-addresses: 2, max-requests: 0'
	config 'pools: [{name: shared, addresses: [192.0.2.1-192.0.2.3], ports: 1000-1063, spis: 0x100-0x15f},
  {name: whole, addresses: [192.0.2.17-192.0.2.20], methods: [rsa-ip]}]' \
		"clients: [{match: 10.0.0.64/29, $limits}, {match: 10.0.0.72/29, local-policy: micro, $limits},
  {match: 10.0.0.80/29, remote-policy: macro, $limits}, {match: 10.0.0.88/29, local-policy: micro, remote-policy: micro, $limits}]" \
		'leases: {registration: 3, default: 3, maximum: 5, hold-down: 1}'
	gateway
	WORK=$work BUILD=$build PIN=$pin RSIPD=$rsipd on x1 "$build/tests/netns/model" "${LONG:-8}" "${SEED:-$SRANDOM}"
	wait_for 10 no_entries
}

run_tests "$@"
