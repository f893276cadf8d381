# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The other way: the same hosts, guest and lab, with N masquerading them behind
# its own public address. Sourced after guest.sh.

nat_start() {
	nat_on_n sysctl -qw net.ipv4.ip_forward=1 &&
		nat_on_n nft -f - <<-END
			table ip nat {
				chain out {
					type nat hook postrouting priority srcnat
					oifname "wan0" masquerade
				}
			}
		END
}

nat_stop() {
	nat_on_n nft delete table ip nat
	nat_on_n sysctl -qw net.ipv4.ip_forward=0
}

# shellcheck disable=SC2154 # lab: set by whoever sources this
nat_on_n() { nsenter --net="/run/netns/${lab}n" "$@"; }

# AH between x1 and y, keys by hand. Prints how many of COUNT pings come back
# and how many packets y refused.
nat_ah() {
	local answered failed
	guest nat_ah || return
	answered=$(guest pings x1 10.0.0.11 203.0.113.2 "$1")
	failed=$(guest manual_failed y 0x1001)
	guest manual_clear x1 y
	echo "$answered $failed"
}

# ESP from x1 and x2 at once, keys by hand. Prints how many of COUNT pings come
# back to x1 and how many to x2.
nat_esp() {
	local first second
	guest nat_esp || return
	first=$(guest pings x1 10.50.1.1 10.99.0.1 "$1")
	second=$(guest pings x2 10.50.2.1 10.99.0.1 "$1")
	guest manual_clear x1 x2 y
	echo "$first $second"
}
