#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Interfaces: several of them, some that come back as others, some that allow no native XDP.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

port() { rsip_field "$1" .lease.ports | grep -oE '^[0-9]+'; }

modes() { ctl -j status | jq -r '[.interfaces[] | .name + " " + .mode] | join(", ")'; }

# Another index, the same name and address: leases go on, and a new host can register.
# covers: IN-19 EG-14
test_made_anew() {
	lab
	gateway
	rsip_up x1 --ports 2
	packets exchange x1 "$(port x1)"
	private_anew
	public_anew
	wait_for 5 both_native
	wait_for 10 packets exchange x1 "$(port x1)"
	rsip_up x2 --ports 2
	packets exchange x2 "$(port x2)"
	rsip_stop x1
}

both_native() { [ "$(modes)" = "lan0 native, wan0 native" ]; }

# So many events at once that the kernel drops some: rsipd looks at everything, and hears the next ones.
# covers: IN-19
test_events_are_lost() {
	lab
	gateway
	rsip_up x1 --ports 2
	packets exchange x1 "$(port x1)"
	kill -STOP "$rsipd"
	ip -n "${lab}n" -batch <(awk 'BEGIN { for (i = 0; i < 30000; i++)
		printf "route add blackhole 198.18.%d.%d\n", i / 250, i % 250 }')
	kill -CONT "$rsipd"
	wait_for 10 grep -q 'netlink: events were lost' "$work/rsipd.log"
	private_anew
	wait_for 10 both_native
	wait_for 10 packets exchange x1 "$(port x1)"
	rsip_stop x1
}

# A second network of hosts, and a second way to the peer that routing turns to.
# covers: IN-19 EG-14
test_several() {
	lab -n 3
	ip -n "${lab}x3" link del eth0
	cable n lan1 x3 eth0
	ip -n "${lab}n" addr add 10.1.0.1/24 dev lan1
	ip -n "${lab}x3" addr add 10.1.0.13/24 dev eth0
	ip -n "${lab}x3" route add default via 10.1.0.1
	cable n wan1 y eth1
	ip -n "${lab}n" addr add 198.51.100.1/24 dev wan1
	ip -n "${lab}y" addr add 198.51.100.2/24 dev eth1
	config 'interfaces: {private: [{name: lan0, address: 10.0.0.1}, {name: lan1, address: 10.1.0.1}],
		public: [{name: wan0}, {name: wan1}]}'
	gateway
	same "modes" "lan0 native, lan1 native, wan0 native, wan1 native" "$(modes)"
	rsip_up x1 --ports 2
	rsip_up x3 -g 10.1.0.1 --ports 2
	packets exchange x1 "$(port x1)"
	packets exchange x3 "$(port x3)"
	on n sysctl -qw net.ipv4.conf.wan1.rp_filter=0
	ip -n "${lab}n" route add 203.0.113.2 via 198.51.100.2
	ip -n "${lab}y" route add 203.0.113.10 via 198.51.100.1
	wait_for 5 through wan1 x1
	through wan1 x3
}

# Is what a host exchanges with the peer seen on that interface, both ways?
through() {
	local before after
	before=$(frames "$1")
	packets exchange "$2" "$(port "$2")"
	after=$(frames "$1")
	[ "${after% *}" -gt "${before% *}" ] && [ "${after#* }" -gt "${before#* }" ]
}

frames() { on y ip -s -j link show "eth${1#wan}" | jq -r '.[0].stats64 | "\(.rx.packets) \(.tx.packets)"'; }

# veth refuses native XDP when the frames that its other end may send are larger than a page.
# covers: ADM-05
test_native_refused() {
	lab
	ip -n "${lab}sw" link set dev n mtu 9000
	gateway
	same "modes" "lan0 generic, wan0 native" "$(modes)"
	grep 'lan0: no native XDP' "$work/rsipd.log"
	rsip_up x1 --ports 2
	packets exchange x1 "$(port x1)"
	rsip_stop x1
	ctl detach
	wait "$rsipd"
	config "datapath: {pin: $pin, mode: native}"
	refused timeout 10 nsenter --net="/run/netns/${lab}n" "$build/rsipd" -c "$work/rsipd.yaml"
	same "programs left" 0 "$(on n bpftool -j net show | jq '[.[].xdp[]?] | length')"
}

run_tests "$@"
