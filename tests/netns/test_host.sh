#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The host program and the daemon together, with ordinary sockets on top.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

raise() {
	lab
	gateway
}

# The first of the ports leased to a host
port() { rsip_field "$1" '.lease.ports' | grep -oE '^[0-9]+'; }

bind_of() { ctl -j bindings | jq -er ".[] | select(.client == \"$1\").bind_id"; }

registered() { [ "$(ctl -j clients | jq length)" = "$1" ]; }

messages() { ctl -j counters | jq --arg name "$1" '[.messages[] | select(.name == $name).in] | add'; }

# covers: T-02 T-03 T-11 RSAP-02 HOST-01 HOST-05 HOST-08 HOST-15 TUN-05 TUN-13 IN-02 REG-02
test_two_hosts() {
	raise
	rsip_up x1 --spis 0 --ports 4
	rsip_up x2 --spis 4 --ports 2
	same "address of x1" 203.0.113.10 "$(rsip_field x1 .lease.address)"
	same "address of x2" 203.0.113.10 "$(rsip_field x2 .lease.address)"
	same "MTU" 1480 "$(rsip_field x1 .tunnel.mtu)"
	packets exchange x1 "$(port x1)"
	packets exchange x2 "$(port x2)"
	# What is local stays local, untouched by the lease.
	ping_from x1 -c 1 10.0.0.12
	ping_from x1 -c 1 10.0.0.1
}

# covers: T-01 T-03 T-04 T-08
test_tcp() {
	raise
	rsip_up x1 --tcp --ports 2
	same "transport" tcp "$(ctl -j clients | jq -r '.[0].transport')"
	packets exchange x1 "$(port x1)"
	rsip_stop x1
	wait_for 3 registered 0
}

# covers: TUN-03 TUN-08
test_gre() {
	raise
	rsip_up x1 --tunnel gre --ports 2
	same "MTU" 1476 "$(rsip_field x1 .tunnel.mtu)"
	packets exchange x1 "$(port x1)" 1476
}

# covers: HOST-02
test_no_arp_answer() {
	raise
	rsip_up x1 --ports 1
	packets no_arp_answer x1
}

# Three lease times: the lease lives, it is the same one, and nobody asked for it.
# covers: EXT-01 EXT-07 LSE-03
test_renewal() {
	local before
	config 'leases: {default: 2, registration: 2}'
	raise
	rsip_up x1 --ports 2
	before=$(ctl -j bindings | jq -c '[.[] | [.client_id, .bind_id, .ports]]')
	wait_for 15 extended 4
	same "lease" "$before" "$(ctl -j bindings | jq -c '[.[] | [.client_id, .bind_id, .ports]]')"
	packets exchange x1 "$(port x1)"
}

extended() { [ "$(messages EXTEND_REQUEST)" -ge "$1" ]; }

# covers: HOST-13 REG-10 REG-17
test_release_on_exit() {
	raise
	rsip_up x1 --ports 2
	rsip_up x2 --ports 2
	rsip_stop x1
	registered 1
	same "who is left" 10.0.0.12 "$(ctl -j clients | jq -r '.[0].client')"
	rsip x2 down
	wait "$(<"$work/x2.rsip")"
	registered 0
	same "interfaces left" "" "$(ip -n "${lab}x1" -br link | grep rsip || true)"
	same "rules left" "" "$(ip -n "${lab}x1" rule | grep 203.0.113.10 || true)"
}

# covers: FAIL-06 FAIL-07 FAIL-05 FAIL-11
test_gateway_lost_its_state() {
	raise
	rsip_up x1 --ports 2
	rsip_up x2 --ports 2
	gateway_stop KILL || true
	rm -r "$work/state"
	gateway
	# Nothing tells a host but its next message.
	rsip x1 query 10.0.0.5 || true
	rsip x2 query 10.0.0.5 || true
	wait_for 10 registered 2
	wait_for 10 rsip_has_lease x1
	wait_for 10 rsip_has_lease x2
	packets exchange x1 "$(port x1)"
	packets exchange x2 "$(port x2)"
}

# covers: REG-14 REG-15 ASY-01
test_gateway_detached() {
	raise
	rsip_up x1 --ports 2
	ctl detach
	wait "$rsipd"
	gateway
	wait_for 10 registered 1
	wait_for 10 rsip_has_lease x1
	packets exchange x1 "$(port x1)"
}

# covers: FAIL-01 FAIL-02 FAIL-04
test_host_killed() {
	local old
	raise
	rsip_up x1 --ports 2
	old=$(ctl -j clients | jq '.[0].client_id')
	rsip_stop x1 KILL || true
	registered 1
	rsip_up x1 --ports 2
	registered 1
	[ "$old" != "$(ctl -j clients | jq '.[0].client_id')" ] || fail "the old registration is still there"
	same "binds" 1 "$(ctl -j bindings | jq length)"
	packets exchange x1 "$(port x1)"
}

# covers: FREE-05 FREE-08 ADM-03 ASY-01
test_lease_taken_back() {
	local old
	raise
	rsip_up x1 --ports 2
	old=$(bind_of 10.0.0.11)
	ctl free 10.0.0.11 "$old"
	wait_for 10 new_bind "$old"
	wait_for 10 rsip_has_lease x1
	packets exchange x1 "$(port x1)"
	ctl deregister 10.0.0.11
	wait_for 10 new_bind "$(bind_of 10.0.0.11 || echo none)"
	wait_for 10 rsip_has_lease x1
	packets exchange x1 "$(port x1)"
}

new_bind() {
	local now
	now=$(bind_of 10.0.0.11) && [ "$now" != "$1" ]
}

# covers: IPS-27 IPS-17 IPS-23
test_hook_and_strongswan() {
	raise
	cat >"$work/hook" <<-'END'
		#!/bin/sh
		echo "$RSIP_EVENT $RSIP_ADDRESS $RSIP_SPI_MIN $RSIP_SPI_MAX $RSIP_IKE_PORT" >>"${0%/*}/events"
	END
	chmod +x "$work/hook"
	mkdir "$work/swan"
	rsip_up x1 --spis 8 --ike ephemeral --hook "$work/hook" --strongswan "$work/swan"
	wait_for 5 test -s "$work/events"
	local first last
	IFS=- read -r first last < <(rsip_field x1 .lease.spis)
	same "number of SPIs" 8 $((last - first + 1))
	grep -q "^grant 203.0.113.10 $(printf '0x%08x 0x%08x' "$first" "$last") $(port x1)\$" "$work/events"
	grep -q "spi_min = $(printf '0x%08x' "$first")" "$work/swan/rsip.conf"
	grep -q "spi_max = $(printf '0x%08x' "$last")" "$work/swan/rsip.conf"
	grep -qE "^[[:space:]]*port = $(port x1)" "$work/swan/rsip.conf"
	rsip_stop x1
	grep -q '^end ' "$work/events"
	refused test -e "$work/swan/rsip.conf"
}

# covers: QRY-01 QRY-04
test_query_and_release() {
	raise
	rsip_up x1 --ports 1
	same "10.1.2.3" local "$(rsip x1 -j query 10.1.2.3 | jq -r '.[0].is')"
	same "198.51.100.1, of which the gateway does not know" remote "$(rsip x1 -j query 198.51.100.1 | jq -r '.[0].is')"
	rsip x1 release
	registered 0
	kill -0 "$(<"$work/x1.rsip")"
}

# covers: REG-08 IPS-07
test_refused_hosts() {
	config 'clients: [{match: 10.0.0.11/32, ipsec: false}]'
	raise
	on x1 timeout 5 "$build/rsip" -g 10.0.0.1 up --spis 4 >"$work/rsip-x1.log" 2>&1 || true
	grep -q 401 "$work/rsip-x1.log"
	on x2 timeout 5 "$build/rsip" -g 10.0.0.1 up --spis 4 >"$work/rsip-x2.log" 2>&1 || true
	grep -q 304 "$work/rsip-x2.log"
	registered 0 || registered 1
	same "binds" 0 "$(ctl -j bindings | jq length)"
}

# One lease for each remote, each with its own ports; what the one carries the other does not.
# covers: FLOW-12 RSAP-23 HOST-01 HOST-13
test_several_leases() {
	config 'clients: [{match: 10.0.0.0/8, remote-policy: macro}]'
	raise
	rsip_up x1 --spis 0 --ports 2 --remote 203.0.113.2 --remote 198.51.100.7
	wait_for 5 leases x1 2
	same "binds" '["198.51.100.7","203.0.113.2"]' "$(ctl -j bindings | jq -c '[.[].remote] | sort')"
	same "tunnels" 1 "$(rsip_field x1 '.tunnels | length')"
	same "interfaces" 1 "$(ip -n "${lab}x1" -br link | grep -c rsip)"
	packets exchange x1 "$(rsip_field x1 '.leases[] | select(.remote == "203.0.113.2").ports' | grep -oE '^[0-9]+')"
	rsip x1 release "$(rsip_field x1 '.leases[] | select(.remote == "198.51.100.7").bind')"
	same "binds" 1 "$(ctl -j bindings | jq length)"
	packets exchange x1 "$(rsip_field x1 '.leases[0].ports' | grep -oE '^[0-9]+')"
	refused rsip x1 release 12345
	rsip x1 down
	registered 0
	same "interfaces left" "" "$(ip -n "${lab}x1" -br link | grep rsip || true)"
}

leases() { [ "$(rsip_field "$1" '[.leases[] | select(.state == "assigned")] | length')" = "$2" ]; }

# Without a remote there is nothing to ask for: it is said, and up -d ends.
# covers: FLOW-12
test_policy_wants_a_remote() {
	config 'clients: [{match: 10.0.0.0/8, remote-policy: macro}]'
	raise
	refused rsip x1 -g 10.0.0.1 up -d 2>"$work/rsip-x1.log"
	grep -q '103 FLOW_POLICY_VIOLATION' "$work/rsip-x1.log"
	same "requests" 0 "$(messages ASSIGN_REQUEST_RSIPSEC)"
}

run_tests "$@"
