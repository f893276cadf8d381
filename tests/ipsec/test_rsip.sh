#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Unmodified strongSwan at both ends, kernel ESP and AH, through the gateway: two
# hosts that lease the same address, one peer.
# shellcheck source-path=SCRIPTDIR source=../netns/lib.sh disable=SC2119
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=guest.sh
. "$(dirname "$0")/guest.sh"
TEST_TIMEOUT=250
NB=203.0.113.10 Y=203.0.113.2

# raise [OPTION of rsip up...]: lab, daemon, guest; both hosts with a lease
raise() {
	[ -x "$UML" ] || skip "user-mode-linux is not installed"
	lab -g
	gateway
	guest_start x1 x2 y
	guest rsip_up "$build/rsip" x1 "$@" &
	guest rsip_up "$build/rsip" x2 "$@"
	wait $!
	same "addresses" "$NB $NB" "$(ctl -j bindings | jq -r '[.[].address] | join(" ")')"
}

# tunnels MODE MODE [SETTING...]: how x1 and x2 connect to y
tunnels() {
	local first=$1 second=$2 host
	shift 2
	for host in x1 x2 y; do guest swan_conf $host; done
	guest swan_conn x1 home $NB $Y "$first" "$@"
	guest swan_conn x2 home $NB $Y "$second" "$@"
	guest swan_conn y x1 $Y any "$first" "$@"
	guest swan_conn y x2 $Y any "$second" "$@"
	guest swan_start y x1 x2
	before=$(ctl -j counters)
	wire_start y
	guest swan x1 --initiate --child net --timeout 20 >>"$work/initiate.log" &
	guest swan x2 --initiate --child net --timeout 20 >>"$work/initiate.log"
	wait $!
}

# ends: those tunnels; the gateway dropped nothing that it should not
ends() {
	wire_stop
	nothing_lost
	guest swan_stop x1 x2 y
}

# Packets with an outcome since the tunnels were begun: moved in-esp
moved() {
	echo $(($(outcome "$1") - $(jq --arg name "$1" '.outcomes[] | select(.outcome == $name).packets' <<<"$before")))
}

# echoes COUNT SIZE: through both tunnels at once, all come back
echoes() {
	guest echo_test x1 10.50.1.1 10.99.0.1 "$1" "$2" &
	guest echo_test x2 10.50.2.1 10.99.0.1 "$1" "$2"
	wait $!
}

# One after the other, in one guest: booting it takes longer.
test_port_500() {
	raise
	esp_tunnel
	ah
	host_leaves
}

# covers: IN-04 IN-07 IN-26 EG-07 EG-09 IKE-01 IKE-03 IKE-12 IPS-12 IPS-17 IPS-27 IPS-24 IPS-25
# covers: TUN-01 TUN-02 HOST-03 IKE-05 SPI-04
esp_tunnel() {
	local old new
	tunnels esp-tunnel esp-tunnel "mobike = no"
	old=$(leased x1 && leased x2)
	same "inbound SPIs" 2 "$(wc -w <<<"$old")"
	echoes 40 1200
	# 40 echoes of 1200 bytes and 28 of header, in each tunnel: not one more or less.
	same "x1 took in" "40 49120" "$(guest taken_in x1)"
	same "x2 took in" "40 49120" "$(guest taken_in x2)"
	same "y took in" "80 98240" "$(guest taken_in y)"
	same "ESP in and out" "80 80" "$(moved in-esp) $(moved out-esp)"

	# X1 rekeys its child: a new SPI, leased too, and traffic goes on in both tunnels.
	guest swan x1 --rekey --child net
	new=$(leased x1)
	grep -qvxF "$old" <<<"$new" || fail "no new SPI: $new"
	echoes 40 1200
	same "ESP in and out" "160 160" "$(moved in-esp) $(moved out-esp)"

	ends
	same "native ESP to y" 160 "$(wire_count y "ip proto 50 and src $NB and dst $Y")"
	same "native ESP from y" 160 "$(wire_count y "ip proto 50 and src $Y and dst $NB")"
	same "UDP encapsulation" 0 "$(wire_count y "udp port 4500")"
	same "IKE from another port than 500" 0 "$(wire_count y "udp and src $NB and not src port 500")"
	[ "$(wire_count y "udp and src $NB and src port 500 and dst port 500")" -ge 6 ]
}

# One host in transport mode, the other in tunnel mode, both with AH: it covers the addresses,
# so this also shows that no bit of the packet but TTL and its checksum changed.
# covers: IN-05 EG-07 IPS-12 IPS-17 TUN-01
ah() {
	tunnels ah-transport ah-tunnel "mobike = no"
	leased x1
	leased x2
	guest echo_test x1 $NB $Y 40 1200 &
	guest echo_test x2 10.50.2.1 10.99.0.1 40 1200
	wait $!
	same "AH in and out" "80 80" "$(moved in-ah) $(moved out-ah)"
	ends
	same "native AH to y" 80 "$(wire_count y "ip proto 51 and src $NB and dst $Y")"
	same "native AH from y" 80 "$(wire_count y "ip proto 51 and src $Y and dst $NB")"
}

# X1 gives its lease back in the middle of it: not one of its packets passes any more, and X2 does not notice.
# covers: FREE-04 REG-09 REG-17 HOST-03 HOST-13
host_leaves() {
	tunnels esp-tunnel esp-tunnel "mobike = no"
	echoes 10 100
	nothing_lost
	guest end x1 rsip
	same "hosts" 10.0.0.12 "$(ctl -j clients | jq -r '.[].client')"
	guest echo_test x1 10.50.1.1 10.99.0.1 2 && fail "x1 still reaches y"
	guest echo_test y 10.99.0.1 10.50.1.1 2 && fail "y still reaches x1"
	guest echo_test x2 10.50.2.1 10.99.0.1 10 100
	wire_stop
	same "native ESP from $NB" 30 "$(wire_count y "ip proto 50 and src $NB")"
	[ "$(moved in-no-spi)" -ge 2 ] || fail "$(ctl counters)"
}

# The gateway dropped nothing that it should not.
nothing_lost() {
	same "dropped" "" "$(ctl -j counters | jq -r '.outcomes[] | select(.verdict == "drop" and .packets > 0) |
		"\(.outcome) \(.packets)"')"
}

# IKE from leased ports: Y sees no NAT, ESP stays native, and Y can start a rekey of the IKE SA.
# covers: IN-08 IPS-23 RSAP-21
test_ephemeral_port() {
	local ports
	raise --ike ephemeral
	tunnels esp-tunnel esp-tunnel
	ports=$(ctl -j bindings | jq -r '.[].ports' | tr -- '-\n' '  ')
	same "leased ports" 4 "$(wc -w <<<"$ports")"
	echoes 10 100
	guest swan y --rekey --ike x1
	guest swan y --rekey --child net
	guest eventually 10 established x1
	guest eventually 10 established x2
	echoes 10 100
	ends
	same "IKE from ports that are not leased" 0 \
		"$(wire_count y "udp and src $NB and not (src port ${ports// / or src port })" | sed 's/ or src port $//')"
	same "native ESP to y" 40 "$(wire_count y "ip proto 50 and src $NB")"
	same "UDP-encapsulated ESP" "0 0" "$(moved in-natt) $(moved out-natt)"
	same "IKE by cookie" "0 0" "$(moved in-ike) $(moved out-ike)"
}

run_tests "$@"
