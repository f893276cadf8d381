#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The lab itself: what people and the other tests rely on.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# Namespaces of the lab with this prefix
spaces() { ip netns list | awk -v p="$1" 'index($1, p) == 1 { print substr($1, length(p) + 1) }' | sort | paste -sd' '; }

test_up_and_down() {
	lab -n 3
	same "namespaces" "n sw x1 x2 x3 y" "$(spaces "$lab")"
	ping_from x1 -c 1 10.0.0.1
	ping_from x3 -c 1 10.0.0.11
	ping_from y -c 1 203.0.113.1
	# The leased address is N's to answer ARP for, though nobody has it and nothing is forwarded.
	on y busybox arping -c 1 -w 2 -I eth0 203.0.113.10
	same "addresses of N" "10.0.0.1 203.0.113.1" "$(on n ip -br -4 addr show up | awk '$1 != "lo" { sub("/.*", "", $3); print $3 }' | paste -sd' ')"
	same "forwarding" 0 "$(on n sysctl -n net.ipv4.ip_forward)"
	refused ping_from x1 -c 1 203.0.113.2
	"$top/scripts/lab.sh" status -p "$lab" | grep 'wan0 *UP *203.0.113.1/24' >/dev/null
	# Again: anew, with fewer hosts. Down: also with processes in it, and again with nothing left.
	lab -n 1
	same "namespaces" "n sw x1 y" "$(spaces "$lab")"
	nsenter --net="/run/netns/${lab}x1" sleep 100 &
	"$top/scripts/lab.sh" down -p "$lab"
	same "namespaces" "" "$(spaces "$lab")"
	refused kill -0 $!
	"$top/scripts/lab.sh" down -p "$lab"
	refused "$top/scripts/lab.sh" status -p "$lab"
}

# One's name begins with the other's: they stay apart.
test_two_labs() {
	lab -n 1
	"$top/scripts/lab.sh" up -p "${lab}b-" -n 1
	same "namespaces of the second" "n sw x1 y" "$(spaces "${lab}b-")"
	ping_from x1 -c 1 10.0.0.1
	nsenter --net="/run/netns/${lab}b-x1" busybox ping -W 1 -c 1 10.0.0.1
	"$top/scripts/lab.sh" down -p "$lab"
	nsenter --net="/run/netns/${lab}b-x1" busybox ping -W 1 -c 1 10.0.0.1
	"$top/scripts/lab.sh" down -p "${lab}b-"
	same "namespaces" "" "$(spaces "$lab")"
}

test_wrong_arguments() {
	refused "$top/scripts/lab.sh"
	refused "$top/scripts/lab.sh" sideways
	refused "$top/scripts/lab.sh" up -p "$lab" -n 0
	refused "$top/scripts/lab.sh" up -p "a b"
	refused "$top/scripts/lab.sh" up -p "$lab" more
	same "namespaces" "" "$(spaces "$lab")"
}

run_tests "$@"
