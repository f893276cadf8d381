#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What rsipd may do in the kernel once it serves, and that this is enough.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# Bits of linux/capability.h
net_bind_service=0x400 net_admin=0x1000 net_raw=0x2000 sys_admin=0x200000 perfmon=0x4000000000 bpf=0x8000000000

# Which it needs here; "dispatcher" wants two more.
needed() {
	local rights=$((net_admin | net_raw | bpf))
	if ctl -j status | jq -e '[.interfaces[].loader] | index("dispatcher")' >/dev/null; then
		rights=$((rights | perfmon | sys_admin))
	fi
	printf '%016x\n' $((rights | ${1:-0}))
}

# The main thread has these and no others, those that write nothing at all, and no thread can get more: has_only RIGHTS
has_only() {
	local field task
	for field in CapPrm CapEff; do same "$field of rsipd" "$1" "$(status_field "$field" "/proc/$rsipd")"; done
	for task in /proc/"$rsipd"/task/*; do
		for field in CapInh CapBnd CapAmb; do
			same "$field of $(<"$task/comm")" 0000000000000000 "$(status_field $field "$task")"
		done
		same "NoNewPrivs of $(<"$task/comm")" 1 "$(status_field NoNewPrivs "$task")"
		[[ $(status_field CapPrm "$task") =~ ^($1|0+)$ ]] || fail "$(<"$task/comm"): $(status_field CapPrm "$task")"
		[[ $(<"$task/comm") != rocksdb* ]] || same "CapPrm of the store" 0000000000000000 "$(status_field CapPrm "$task")"
	done
}

status_field() { sed -n "s/^$1:\s*//p" "$2/status"; }
programs() { on n bpftool -j net show | jq '[.[].xdp[]?] | length'; }
port() { rsip_field x1 .lease.ports | grep -oE '^[0-9]+'; }
native() { ctl -j status | jq -e '[.interfaces[].mode] == ["native", "native"]'; }

# Forwarding, a reload of a file that only its owner may read, a start after a crash, interfaces that
# come back, and detaching.
# covers: SEC-11
test_rights() {
	lab
	config
	chmod 600 "$work/rsipd.yaml"
	gateway
	has_only "$(needed)"
	rsip_up x1 --ports 2
	packets exchange x1 "$(port)"
	ctl reload
	has_only "$(needed)"
	gateway_stop KILL || true
	gateway
	has_only "$(needed)"
	private_anew
	public_anew
	wait_for 5 native
	wait_for 10 packets exchange x1 "$(port)"
	ctl detach
	wait "$rsipd"
	same "programs" 0 "$(programs)"
	same "pins" "" "$(find "$pin" -type f 2>/dev/null)"
}

# covers: SEC-11
test_low_port() {
	lab
	config 'server: {port: 900}'
	gateway
	has_only "$(needed $net_bind_service)"
	gateway_stop
}

run_tests "$@"
