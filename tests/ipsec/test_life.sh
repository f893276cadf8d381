#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What the gateway's life does to tunnels, and what a peer can begin. Without
# MATRIX=all some of it.
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

# gateway_again SIGNAL: ends the gateway so, and starts it
gateway_again() {
	gateway_stop "$1" || [ "$1" = KILL ]
	gateway
}

# What each host holds, without the time that is left.
holdings() { ctl -j bindings | jq -cS '[.[] | del(.lease, .cookies)]'; }

# Ended and killed under traffic: no tunnel notices. Each round of pings is one
# after the other, so that one that is lost is seen.
# covers: REG-14
test_restart_under_traffic() {
	local IKE=2 auth=secret mobike=no protection=esp-tunnel settings='' before signal hosts=()
	raise
	connect
	guest initiate x1 x2
	before=$(holdings && guest spis_in x1 && guest spis_in x2)
	guest_limit=240 guest echo_until x1 10.50.1.1 10.99.0.1 enough &
	hosts+=($!)
	guest_limit=240 guest echo_until x2 10.50.2.1 10.99.0.1 enough &
	hosts+=($!)
	for signal in TERM KILL; do gateway_again $signal; done
	touch "$guest_out/enough"
	wait "${hosts[0]}"
	wait "${hosts[1]}"
	same "leases and SPIs" "$before" "$(holdings && guest spis_in x1 && guest spis_in x2)"
	# And IKE goes on as well, by cookies that were learned before. In the IKE SA that comes
	# of a rekey the host has to speak first, so that is the last thing here.
	peer_rekeys_child
	rekey_ike
	traffic 4 100
	same "dropped by the gateway" "" "$(dropped)"
	written ok "gateway ended, gateway killed, peer rekeys child, rekey ike"
}

# written RESULT EVENTS: of this cell, for the table
written() { record "$1" strongSwan strongSwan "IKEv$IKE, $auth" "$mobike" 500 "$protection" "$2"; }

# IKEv2 that Y began on port 500: the IKE SA that came of it has a cookie that nobody told
# the gateway. Dropped, as RFC 3104, Appendix E, says; with the extension it arrives.
# covers: APE-01
test_peer_speaks_first_on_a_new_ike_sa() {
	local IKE=2 auth=secret mobike=no protection=esp-tunnel settings='' dead_peers=0s old
	raise
	connect
	guest initiate x1
	peer_rekeys_ike
	old=$(guest spis_in x1)
	guest swan y --rekey --child net
	wait_for 20 dropped_for no-cookie
	same "SPIs of x1" "$old" "$(guest spis_in x1)"
	with_extension
	guest eventually 20 others "$old" spis_in x1
	leased x1
	written "$beyond" "peer rekeys ike, peer rekeys child by the new one before the host has spoken"
}

# IKEv1 phase 1 that Y begins on port 500: the same, from its first message on.
# covers: APE-01
test_peer_begins_phase_1() {
	local IKE=1-aggressive auth=secret mobike=- protection=esp-tunnel settings='' dead_peers=0s old
	raise
	connect
	guest initiate x1
	old=$(guest ike x1 initiator-spi)
	guest swan y --rekey --ike x1
	wait_for 20 dropped_for no-cookie
	same "cookie of x1" "$old" "$(guest ike x1 initiator-spi)"
	with_extension
	guest eventually 20 others "$old" ike x1 initiator-spi
	guest eventually 10 established x1
	guest echo_test x1 10.50.1.1 10.99.0.1 4
	written "$beyond" "peer rekeys ike"
}

beyond="dropped (RFC 3104, Appendix E); ok with peer-rekey"

dropped_for() { [ "$(outcome "in-$1")" -gt 0 ]; }

# From here on the gateway gives what a peer begins to the only host that speaks with it.
# Y's IKE repeats what was dropped.
with_extension() {
	config "datapath: {pin: $pin, peer-rekey: true}"
	gateway_again TERM
}

[ $# -gt 0 ] || [ "${MATRIX:-quick}" = all ] || set -- restart_under_traffic peer_begins_phase_1
run_tests "$@"
