#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Authentication with the real programs: a key on both sides, on one, and another one.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# make_key FILE
make_key() { (umask 077 && od -An -N 32 -tx1 /dev/urandom | tr -d ' \n' >"$1"); }

raise() {
	make_key "$work/key"
	make_key "$work/other"
	config "clients: [{match: 10.0.0.11, key: $work/key}, {match: 10.0.0.0/8}]" "$@"
	lab -n 3
	gateway
}

# A host with the key works over UDP and TCP, through a restart of either side; one with another key or
# none is refused; one that needs no key is not disturbed.
# covers: SEC-04
test_key() {
	local transport
	raise
	for transport in udp tcp; do
		rsip_up x1 --$transport --key "$work/key" --ports 2
		packets exchange x1 "$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')"
		ctl free 10.0.0.11 "$(ctl -j bindings | jq '.[0].bind_id')"
		wait_for 10 rsip_has_lease x1
		rsip_stop x1
		same "registrations" 0 "$(ctl -j clients | jq length)"
	done
	rsip_up x2 --ports 2
	rsip_begin x1 --ports 2
	wait_for 5 grep -q '304' "$work/rsip-x1.log"
	rsip_stop x1 || true
	rsip_begin x1 --key "$work/other" --ports 2
	wait_for 5 unauthentic
	rsip_stop x1 || true
	same "registered" 10.0.0.12 "$(ctl -j clients | jq -r 'map(.client) | join(" ")')"
}

# Begins without waiting for a lease that will not come.
rsip_begin() {
	nsenter --net="/run/netns/$lab$1" "$build/rsip" -g 10.0.0.1 up "${@:2}" >"$work/rsip-$1.log" 2>&1 &
	echo $! >"$work/$1.rsip"
}

unauthentic() { [ "$(ctl -j counters | jq .unauthentic)" -ge 3 ]; }

# covers: SEC-04
test_restart() {
	local bind
	raise 'leases: {registration: 6, default: 6}'
	rsip_up x1 --key "$work/key" --ports 2
	bind=$(ctl -j bindings | jq -c '.[0] | {client_id, bind_id, ports}')
	gateway_stop KILL || true
	gateway
	same "bind after the restart" "$bind" "$(ctl -j bindings | jq -c '.[0] | {client_id, bind_id, ports}')"
	wait_for 8 extended
	same "bind after an extension" "$bind" "$(ctl -j bindings | jq -c '.[0] | {client_id, bind_id, ports}')"
}

# EXTEND_RESPONSE was sent by this rsipd
extended() { ctl -j counters | jq -e '.messages[] | select(.name == "EXTEND_RESPONSE").out > 0'; }

# A reload reads the key again.
test_new_key() {
	raise
	rsip_up x1 --key "$work/key" --ports 2
	cp "$work/other" "$work/key"
	ctl reload
	rsip_stop x1 || true
	rsip_begin x1 --key "$work/other" --ports 2
	wait_for 10 rsip_has_lease x1
}

test_key_files() {
	raise
	chmod 640 "$work/key"
	ctl reload >"$work/output" 2>&1 && fail "a key that others can read was taken"
	grep -q 'clients\[1\].key: the key file .*/key: is open to others' "$work/output"
	rsip x1 -g 10.0.0.1 up --key "$work/key" >"$work/output" 2>&1 && fail "a host took it"
	grep -q 'is open to others' "$work/output"
}

run_tests "$@"
