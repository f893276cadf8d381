#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What a host, or whoever sends as one, can take of the real daemon: connections, floods.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

raise() {
	lab
	gateway
}

# covers: SEC-08
test_slow_sender() {
	raise
	packets slow_sender
}

# covers: SEC-08
test_half_open() {
	raise
	packets half_open
}

# covers: SEC-08 SEC-01
test_many_connections() {
	raise
	packets many_connections
}

# covers: SEC-05 SEC-01
test_flood() {
	raise
	packets flood
}

run_tests "$@"
