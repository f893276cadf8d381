#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The real daemon, scripted hosts, whole frames: tests/netns/packets.py does the work.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# The stations' own stacks must not answer what the scripts send and receive.
quiet() {
	local ns
	for ns in "$@"; do
		on "$ns" nft -f - <<-END
			table ip quiet {
				chain in {
					type filter hook input priority 0
					policy drop
					udp sport 4555 accept
					tcp sport 4555 accept
				}
			}
		END
	done
}

raise() {
	lab -n 3
	quiet x1 x2 x3 y
	gateway
}

# covers: IN-02 IN-03 IN-04 IN-05 IN-07 IN-08 IN-09 IN-25 IN-26 IN-30 IN-31 EG-07 EG-09
# covers: TUN-01 TUN-02 TUN-10 IKE-01 IKE-03 IPS-12 RSAP-10 RSAP-13 T-02 REG-02 IPS-03 IPS-13
test_traffic() {
	raise
	packets traffic
}

# covers: TUN-03 TUN-08
test_traffic_gre() {
	config 'tunnels: [gre]'
	raise
	packets traffic gre
}

# covers: T-01 T-04 T-26
test_traffic_tcp() {
	raise
	packets traffic ipip tcp
}

# covers: IN-25 IPS-12
test_without_forwarding() {
	raise
	same "forwarding on N" "0 0 0" "$(on n sysctl -n net.ipv4.ip_forward net.ipv4.conf.lan0.forwarding \
		net.ipv4.conf.wan0.forwarding | paste -sd' ')"
	packets first_packet
}

# covers: IN-06 EG-01 EG-02 EG-08 EG-13 IKE-08 IKE-09 REG-19 TUN-15 ADM-05 IN-27
# covers: SEC-10
test_refuse() {
	raise
	packets refuse
}

# covers: EG-01 EG-06 REG-19 REG-21
test_wrong_source() {
	raise
	packets wrong_source
}

# covers: IKE-01 IKE-02 IKE-03 IKE-06 IKE-07 IKE-12 IKE-13 SCALE-04
test_cookie_collision() {
	raise
	packets cookie_collision
}

# covers: IKE-07 SEC-07
test_cookie_limit() {
	raise
	packets cookie_limit
}

# covers: FREE-01 FREE-02 FREE-04 REG-09 REG-10 REG-18 RSAP-07 RSAP-12 EXT-04
test_free() {
	raise
	packets free
}

# covers: LSE-06 ASY-05 EXT-01 EXT-02 EXT-09 IN-28 RSAP-20
test_expiry() {
	raise
	packets expiry
}

# covers: REG-13 LSE-02 LSE-07
test_registration_expiry() {
	config 'leases: {registration: 2}'
	raise
	packets registration_expiry
}

# covers: RSAP-18 IPS-13 FREE-04 ADM-07
test_maps() {
	# bpftool shows every slot of an array, so few of them.
	config "datapath: {pin: $pin, max-bindings: 64}"
	raise
	packets maps "$pin"
}

# covers: SEC-02
test_public_side_closed() {
	lab
	# Even to the address of the service, from the wrong side.
	ip -n "${lab}y" route add 10.0.0.0/24 via 203.0.113.1
	gateway
	packets public_closed
}

# covers: EG-01 EG-02 EG-05 ASY-06 SEC-07
test_violations() {
	raise
	packets violations
}

# covers: IN-23
test_hairpin() {
	raise
	packets hairpin
}

# covers: FAIL-10 IN-28
test_expiry_without_the_daemon() {
	raise
	local state
	state=$(packets hold 3)
	gateway_stop KILL || true
	packets outlived "$state"
}

# A gateway that lost its state while its programs went on forwarding.
# covers: FAIL-05 FAIL-08 FAIL-09
test_state_lost_after_kill() {
	raise
	local state
	state=$(packets hold)
	gateway_stop KILL || true
	rm -r "$work/state"
	gateway
	packets forgotten "$state"
}

# covers: FAIL-05 FAIL-08 FAIL-09
test_state_lost() {
	raise
	local state
	state=$(packets hold)
	gateway_stop
	rm -r "$work/state"
	gateway
	packets forgotten "$state"
}

# covers: FAIL-01 FAIL-02 FAIL-04 REG-07 T-22
test_host_reboot() {
	raise
	local state
	state=$(packets hold)
	packets rebooted "$state"
}

run_tests "$@"
