#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Another XDP program on the same interfaces: xdp-filter of xdp-tools, through libxdp's dispatcher.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

filter() { on n xdp-filter "$@"; }

# The dispatcher takes programs as extensions of its own, which not every kernel loads.
raise() {
	lab -n 1
	filter load -m native -f udp,ipv4 lan0
	filter load -m native -f udp,ipv4 wan0
	on n xdp-loader status wan0 | grep xdp_dispatcher ||
		skip "this kernel loads no extension programs: libxdp has no dispatcher"
}

loaders() { ctl -j status | jq -r '[.interfaces[] | .mode + " " + .loader] | join(", ")'; }

traffic() { packets exchange x1 "$(rsip_field x1 .lease.ports | grep -oE '^[0-9]+')"; }

# It came first. It goes on filtering with rsipd there and after it has gone.
test_filter_first() {
	raise
	gateway
	same "modes" "native dispatcher, native dispatcher" "$(loaders)"
	rsip_up x1 --ports 2
	traffic
	# It drops what it was told to: here what y sends from that port.
	filter port -m src -p udp 7000
	refused traffic
	filter port -r -m src -p udp 7000
	traffic
	rsip_stop x1
	ctl detach
	wait "$rsipd"
	same "xdp-filter after rsipd" 2 "$(filter status | grep -cE '^ *(lan0|wan0)')"
}

# rsipd came first and stays when the other goes.
test_filter_later() {
	raise
	filter unload lan0
	filter unload wan0
	gateway
	same "modes" "native dispatcher, native dispatcher" "$(loaders)"
	rsip_up x1 --ports 2
	filter load -m native -f udp,ipv4 wan0
	traffic
	filter unload wan0
	traffic
	same "modes" "native dispatcher, native dispatcher" "$(loaders)"
	rsip_stop x1
	ctl detach
	wait "$rsipd"
	same "programs left" 0 "$(on n bpftool -j net show | jq '[.[].xdp[]?] | length')"
}

index() { ip -n "${lab}n" -j link show dev "$1" | jq '.[0].ifindex'; }

# Of an index: ours, and those of labs that are gone, whose interface had it too.
pins() { find /sys/fs/bpf/xdp -maxdepth 1 -name "dispatch-$1-*" | wc -l; }

all_shared() { [ "$(loaders)" = "native dispatcher, native dispatcher" ]; }

# Interfaces that come back as other devices: libxdp's pins of the old ones do not stay.
test_made_anew() {
	local lan wan lan_pins wan_pins
	raise
	filter unload lan0
	filter unload wan0
	gateway
	lan=$(index lan0) wan=$(index wan0)
	lan_pins=$(pins "$lan") wan_pins=$(pins "$wan")
	private_anew
	public_anew
	wait_for 30 all_shared
	[ "$(pins "$lan")" -lt "$lan_pins" ] || fail "pins of lan0 that is gone are left"
	[ "$(pins "$wan")" -lt "$wan_pins" ] || fail "pins of wan0 that is gone are left"
	ctl detach
	wait "$rsipd"
}

run_tests "$@"
