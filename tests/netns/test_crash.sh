#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# rsipd is killed at random moments under load: ROUNDS (8) times; `make crash` does it a few hundred times.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# covers: T-18 FAIL-11 IN-25
test_crash() {
	local i
	lab
	for i in $(seq 100 129); do ip -n "${lab}x1" address add "10.0.0.$i/24" dev eth0; done
	config "datapath: {pin: $pin, max-bindings: 65536}" 'clients: [{match: 10.0.0.0/8, max-requests: 0}]'
	LAB=$lab WORK=$work BUILD=$build on x1 python3 "$top/tests/netns/crash.py" "${ROUNDS:-8}" ${SEED:+"$SEED"}
}

run_tests "$@"
