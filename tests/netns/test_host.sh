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

# The tunnel's interface named instead of the address: by a program, and by an IKE daemon that wants a
# route to the network behind its peer.
test_by_interface() {
	raise
	rsip_up x1 --ports 1
	on x1 ping -c 1 -W 2 -I rsip0 203.0.113.2 | grep 'from 203.0.113.10 rsip0'
	ip -n "${lab}x1" route add 192.0.2.0/24 via 203.0.113.2 dev rsip0 src 203.0.113.10 table 220
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
	same "rules left" "" "$(ip -n "${lab}x1" rule | grep -E '203.0.113.10|rsip' || true)"
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
	same "rules" 2 "$(ip -n "${lab}x1" rule | grep -cE '203.0.113.10|rsip')"
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

# The gateway lends an SPI that an SA of the host has already: it goes back, and another try is made.
# covers: IPS-16
test_spi_taken_here() {
	config 'pools: [{name: shared, addresses: [203.0.113.10], spis: 0x1000-0x1003}]' 'leases: {hold-down: 0}'
	raise
	on x1 ip xfrm state allocspi src 203.0.113.2 dst 203.0.113.10 proto esp min 0x1002 max 0x1002 ||
		skip "this kernel cannot reserve an SPI"
	nsenter --net="/run/netns/${lab}x1" "$build/rsip" -g 10.0.0.1 up --spis 4 >"$work/rsip-x1.log" 2>&1 &
	echo $! >"$work/x1.rsip"
	wait_for 10 grep -q 'SPI 0x1002 already' "$work/rsip-x1.log"
	wait_for 5 freed_once
	on x1 ip xfrm state flush
	wait_for 10 rsip_has_lease x1
	same "SPIs" 0x1000-0x1003 "$(rsip_field x1 .lease.spis)"
}

freed_once() { [ "$(messages FREE_REQUEST)" -ge 1 ]; }

# A server: reached on its port from a peer that it never sent to; a taken or forbidden port is refused.
# covers: LSN-08 LSN-02 LSN-06 HOST-13
test_listen() {
	raise
	rsip x1 -g 10.0.0.1 up -d --spis 0 --ports 0
	rsip x2 -g 10.0.0.1 up -d --spis 0 --ports 0
	rsip x1 listen 8080 | grep -q '203.0.113.10 on rsip0, ports 8080, bind'
	refused rsip x2 listen 8080 2>"$work/refused"
	grep -q '311 LOCAL_ADDRPORT_INUSE' "$work/refused"
	on x1 python3 -c '
import socket
c = socket.create_server(("203.0.113.10", 8080)).accept()[0]
c.sendall(b"welcome")
c.recv(1)	# Y closes first: no TIME_WAIT here' &
	wait_for 5 on y python3 -c '
import socket
assert socket.create_connection(("203.0.113.10", 8080), 3).recv(9) == b"welcome"'
	same "kind" LISTEN "$(rsip_field x1 '.leases[0].kind')"
	same "binds of x2" 0 "$(ctl -j bindings | jq '[.[] | select(.client == "10.0.0.12")] | length')"
	rsip x1 release "$(rsip_field x1 .lease.bind)"
	same "binds" 0 "$(ctl -j bindings | jq length)"
	same "any port" 1 "$(rsip x2 -j listen --remote 203.0.113.2 | jq '.ports | split("-") | length')"
}

# A whole address, any protocol and port of it; beside it nothing is listened for.
# covers: RSA-14 LSN-10 HOST-01 RSAP-23
test_whole_address() {
	config 'pools: [{name: whole, addresses: [203.0.113.10], methods: [rsa-ip]}]'
	raise
	rsip_up x1 --rsa-ip
	same "address" 203.0.113.10 "$(rsip_field x1 .lease.address)"
	packets exchange x1 12345
	refused rsip x1 listen 80 2>"$work/refused"
	grep -q 'whole address' "$work/refused"
	same "the source of what connects" 203.0.113.10 "$(on x1 python3 -c '
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(("203.0.113.2", 9))
print(s.getsockname()[0])')"
}

rsip_up_alone() {
	nsenter --net="/run/netns/${lab}$1" "$build/rsip" -g "$2" up "${@:3}" >>"$work/rsip-$1-$2.log" 2>&1 &
	echo $! >"$work/$1-$2.rsip"
	wait_for 10 assigned_by "$1" "$2"
}

assigned_by() { [ "$(rsip "$1" -g "$2" -j status | jq -r .state)" = assigned ]; }

# Two gateways, each with a registration, leases, a tunnel and tables of its own; the end of one leaves the other alone.
# covers: REG-22 RSAP-23 HOST-01 HOST-05
test_two_gateways() {
	raise
	ip netns add "${lab}n2"
	ip -n "${lab}n2" link set lo up
	ip link add lan0 netns "${lab}n2" type veth peer name m0 netns "${lab}sw"
	ip link add wan0 netns "${lab}n2" type veth peer name m1 netns "${lab}y"
	ip -n "${lab}sw" link set m0 up master "$(ip -n "${lab}sw" -br link show type bridge | awk '{ print $1; exit }')"
	ip -n "${lab}n2" addr add 10.0.0.2/24 dev lan0
	ip -n "${lab}n2" addr add 192.0.2.1/24 dev wan0
	ip -n "${lab}y" addr add 192.0.2.2/24 dev m1
	for link in "n2 lan0" "n2 wan0" "y m1" "sw m0"; do
		# shellcheck disable=SC2086 # two words
		set -- $link
		ip -n "$lab$1" link set "$2" up
		on "$1" ethtool -K "$2" tx off gro on >/dev/null
	done
	on n2 ip route add local 192.0.2.10 dev wan0
	sed -e 's/10\.0\.0\.1/10.0.0.2/; s/203\.0\.113\.10/192.0.2.10/; s/rsipd\.sock/second.sock/' \
		-e "s|pin: $pin|pin: $pin-2|; s|$work/state|$work/state2|" "$work/rsipd.yaml" >"$work/second.yaml"
	nsenter --net="/run/netns/${lab}n2" "$build/rsipd" -c "$work/second.yaml" >"$work/second.log" 2>&1 &
	wait_for 15 "$build/rsipctl" -s "$work/second.sock" status
	rsip_up_alone x1 10.0.0.1 --spis 0 --ports 2 --manual
	rsip_up_alone x1 10.0.0.2 --spis 0 --ports 2 --manual
	same "interfaces" 2 "$(ip -n "${lab}x1" -br link | grep -c rsip)"
	refused rsip x1 status 2>/dev/null
	spoken 203.0.113.10 10.0.0.1 203.0.113.2
	spoken 192.0.2.10 10.0.0.2 192.0.2.2
	# Killed, it is none of those that could be meant; started again, it is.
	kill -KILL "$(<"$work/x1-10.0.0.1.rsip")"
	wait_for 5 rsip x1 status
	same "who is left" 10.0.0.2:4555 "$(rsip_field x1 .gateway)"
	rsip_up_alone x1 10.0.0.1 --spis 0 --ports 2 --manual
	rsip x1 -g 10.0.0.1 down
	same "interfaces" 1 "$(ip -n "${lab}x1" -br link | grep -c rsip)"
	spoken 192.0.2.10 10.0.0.2 192.0.2.2
	same "bindings of the second" 1 "$("$build/rsipctl" -s "$work/second.sock" -j bindings | jq length)"
}

# UDP there and back, by the lease of one gateway: spoken ADDRESS GATEWAY PEER
spoken() {
	local port
	port=$(rsip x1 -g "$2" -j status | jq -r .lease.ports | grep -oE '^[0-9]+')
	on y python3 -c '
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind((sys.argv[1], 7))
s.settimeout(10)
data, peer = s.recvfrom(99)
s.sendto(data, peer)' "$3" &
	wait_for 5 on x1 python3 -c '
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
s.settimeout(0.5)
s.sendto(b"hello", (sys.argv[3], 7))
assert s.recv(99) == b"hello"' "$1" "$port" "$3"
	wait $!
}

# What the tunnel carries fits it: the segment size that TCP names leaves room for the headers.
# covers: HOST-09 TUN-13
test_segment_size() {
	raise
	rsip_up x1 --spis 0 --ports 1
	packets segment_size x1 1440
}

# A tunnel end point in the answer is where packets go, and the only one that they are taken from.
# covers: TUN-06 TUN-09 HOST-14
test_end_point() {
	lab
	ip -n "${lab}n" addr add 10.0.0.254/24 dev lan0
	packets end_point x1 10.0.0.254
}

# A tunnel packet to a host without a tunnel: dropped, or an answer of its stack on the private side; nothing else.
# covers: FAIL-03
test_no_tunnel() {
	raise
	packets no_tunnel x1
	rsip_up x1 --ports 1
	packets exchange x1 "$(port x1)"
}

run_tests "$@"
