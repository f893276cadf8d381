#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Restart, upgrade, crash: what lives on in rsipd, on its disk and in the kernel.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

raise() {
	lab
	gateway
}

# What a host holds, as the gateway sees it, without the time that is left.
holdings() { ctl -j bindings | jq -cS '[.[] | del(.lease, .cookies)]'; }

# covers: REG-14
test_leases_live_on() {
	local before signal
	raise
	rsip_up x1 --spis 8 --ports 4
	before=$(holdings)
	for signal in TERM KILL; do
		gateway_stop $signal || [ $signal = KILL ]
		gateway
		same "holdings after SIG$signal" "$before" "$(holdings)"
	done
	packets exchange x1 "$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')"
	rsip_stop x1
	same "hosts" 0 "$(ctl -j clients | jq length)"
}

run_tests "$@"
