#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Remotes given by name: rsipd asks a name server on the peer's machine.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# rsipd with an /etc/resolv.conf of its own
gateway_with_names() {
	echo "nameserver 203.0.113.2" >"$work/resolv.conf"
	config 'clients: [{remote-policy: macro}]'
	# shellcheck disable=SC2016 # the inner shell expands them
	nsenter --net="/run/netns/${lab}n" unshare -m sh -c \
		'mount --bind "$1" /etc/resolv.conf && exec "$2" -v -c "$3"' sh \
		"$work/resolv.conf" "$build/rsipd" "$work/rsipd.yaml" >>"$work/rsipd.log" 2>&1 &
	rsipd=$!
	wait_for 15 gateway_serves
}

# covers: FLOW-14 DNS-05 QRY-12 T-19 T-33
test_names() {
	[ -e /etc/resolv.conf ] || skip "there is no /etc/resolv.conf to stand in for"
	lab -n 2
	gateway_with_names
	LAB=$lab WORK=$work TOP=$top BUILD=$build timeout "$TEST_TIMEOUT" python3 "$top/tests/netns/names.py"
}

run_tests "$@"
