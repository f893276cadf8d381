#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck source-path=SCRIPTDIR
#
# The demonstration: two hosts with real IPsec on one public address, to one
# peer that knows nothing of it; then the same hosts behind NAT. Every line of
# the report is a check. Exit 0 only if all of them held; nothing stays behind.
#
# The gateway runs on this kernel. Hosts and peer run in a guest kernel that has
# ESP and AH (tests/ipsec/guest.sh), so that it works on any machine.
set -u -o pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
# shellcheck source=../tests/ipsec/guest.sh
. "$top/tests/ipsec/guest.sh"
# shellcheck source=../tests/ipsec/nat.sh
. "$top/tests/ipsec/nat.sh"

NB=203.0.113.10 PEER=203.0.113.2
work=$(mktemp -d "${TMPDIR:-/tmp}/rsip-demo.XXXXXX") || exit 1
lab=demo${work##*.}-
pin=/sys/fs/bpf/rsip-demo-${work##*.}
failed=0 rsipd='' guest_pid='' wire_pids=() note=

clean_up() {
	trap - EXIT INT TERM
	[ -z "$guest_pid" ] || guest_stop
	[ -z "$rsipd" ] || kill "$rsipd" 2>/dev/null
	"$top/scripts/lab.sh" down -p "$lab"
	if [ -d "$pin" ]; then find "$pin" -depth -delete; fi
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# check TEXT COMMAND...: a line of the report. What the command leaves in `note` is
# shown with it, what it printed only if it failed.
check() {
	local text=$1
	shift
	note=
	if "$@" >"$work/output" 2>&1; then
		printf '  ok    %s%s\n' "$text" "${note:+: $note}"
	else
		printf '  FAIL  %s%s\n' "$text" "${note:+: $note}"
		tail -n 25 "$work/output" | sed 's/^/          /'
		failed=$((failed + 1))
	fi
}

# The same, for what everything after it needs.
need() {
	local before=$failed
	check "$@"
	[ "$failed" -eq "$before" ] || {
		echo "        the rest makes no sense without this"
		exit 1
	}
}

title() { printf '\n%s\n' "$*"; }
ctl() { timeout 10 "$build/rsipctl" -s "$work/rsipd.sock" "$@"; }
outcome() { ctl -j counters | jq --arg name "$1" '.outcomes[] | select(.outcome == $name).packets'; }
lease() { ctl -j bindings | jq -er ".[] | select(.client == \"10.0.0.1${1#x}\").$2"; }
ike_of() { wire_count y "udp and src $1 and src port $2"; }

# both COMMAND...: with x1 and with x2 in the place of HOST, at the same time
both() {
	local status=0
	"${@//HOST/x1}" &
	"${@//HOST/x2}" || status=1
	wait $! || status=1
	return $status
}

# --- the gateway ---------------------------------------------------------------------------

raise_lab() { "$top/scripts/lab.sh" up -g -p "$lab"; }

start_gateway() {
	local i
	cat >"$work/rsipd.yaml" <<-END
		interfaces: {private: [{name: lan0, address: 10.0.0.1}], public: [{name: wan0}]}
		pools: [{name: shared, addresses: [$NB]}]
		datapath: {pin: $pin}
		state: $work/state
		control: $work/rsipd.sock
	END
	nsenter --net="/run/netns/${lab}n" "$build/rsipd" -c "$work/rsipd.yaml" >"$work/rsipd.log" 2>&1 &
	rsipd=$!
	for ((i = 0; i < 200; i++)); do
		kill -0 $rsipd || break
		! ctl status >/dev/null 2>&1 || break
		sleep 0.05
	done
	note=$(ctl -j status | jq -er '[.interfaces[] | "\(.name) \(.mode) XDP (\(.loader))"] | join(", ")') || {
		cat "$work/rsipd.log"
		return 1
	}
	[ "$(nsenter --net="/run/netns/${lab}n" bpftool -j net show | jq '[.[].xdp[]] | length')" = 2 ]
}

stop_gateway() {
	ctl detach >/dev/null && wait "$rsipd" || return
	rsipd=
	[ "$(nsenter --net="/run/netns/${lab}n" bpftool -j net show | jq '[.[].xdp[]] | length')" = 0 ]
}

start_guest() {
	guest_start x1 x2 y || return
	note="Linux $(guest uname -r)"
}

leases() {
	both guest rsip_up "$build/rsip" HOST --spis 8 || return
	[ "$(lease x1 address) $(lease x2 address)" = "$NB $NB" ] || return
	note="$NB, SPIs $(lease x1 spis) and $(lease x2 spis)"
}

# --- IPsec ------------------------------------------------------------------------------------

# configure LOCAL1 LOCAL2 SETTING...: strongSwan everywhere, x1 and x2 from these addresses
configure() {
	local first=$1 second=$2 host
	shift 2
	for host in x1 x2 y; do guest swan_conf $host || return; done
	guest swan_conn x1 home "$first" $PEER esp-tunnel "$@" &&
		guest swan_conn x2 home "$second" $PEER esp-tunnel "$@" &&
		guest swan_conn y x1 $PEER any esp-tunnel "$@" &&
		guest swan_conn y x2 $PEER any esp-tunnel "$@" && guest swan_start y x1 x2
}

connect() { both guest swan HOST --initiate --child net --timeout 20; }

by_rsip() {
	configure $NB $NB "mobike = no" also:ah-transport && connect || return
	[ "$(ike_of $NB 500)" -ge 4 ] && [ "$(wire_count y "udp and src $NB and not src port 500")" = 0 ] || return
	note="$(guest sas y | grep -c esp) SAs at y, all IKE from $NB port 500"
}

# echoes COUNT: of 1200 bytes through both tunnels at once
echoes() {
	guest echo_test x1 10.50.1.1 10.99.0.1 "$1" 1200 &
	guest echo_test x2 10.50.2.1 10.99.0.1 "$1" 1200 && wait $!
}

dropped() { ctl -j counters | jq '[.outcomes[] | select(.verdict == "drop").packets] | add'; }

esp_both_ways() {
	echoes 25 || return
	note="25 echoes of 1200 bytes in each; $(outcome out-esp) ESP out, $(outcome in-esp) in, $(dropped) dropped"
	[ "$(outcome out-esp) $(outcome in-esp) $(dropped)" = "50 50 0" ]
}

rekey() {
	local old new first last
	old=$(guest spis_in x1)
	guest swan x1 --rekey --child net || return
	new=$(guest spis_in x1 | grep -v "$old" | tail -n 1)
	IFS=- read -r first last < <(lease x1 spis)
	note="SPI 0x$old, then 0x$new"
	((0x$new >= first && 0x$new <= last)) && echoes 10
}

native_ah() {
	guest swan x1 --initiate --child ah --timeout 20 && guest echo_test x1 $NB $PEER 10 || return
	note="10 echoes; $(outcome out-ah) AH out, $(outcome in-ah) in"
	[ "$(outcome out-ah) $(outcome in-ah)" = "10 10" ]
}

on_the_wire() {
	local esp ah
	wire_stop
	esp=$(wire_count y "ip proto 50") ah=$(wire_count y "ip proto 51")
	rsip_bytes=$(longest)
	note="$esp native ESP (protocol 50), $ah AH (51), $(wire_count y udp port 4500) in UDP"
	[ "$esp $ah $(wire_count y udp port 4500)" = "140 20 0" ]
}

# The longest packet of the capture at y, in bytes from its IPv4 header on
longest() { tcpdump -n -v -r "$work/y.pcap" ip 2>/dev/null | grep -oE 'length [0-9]+\)' | tr -dc '0-9\n' | sort -n | tail -n 1; }

counters() {
	ctl counters >"$work/counters" || return
	awk 'NR == 1 || ($3 > 0 && $2 ~ /forward|hand|drop/)' "$work/counters" | cut -c 1-100
}

spis_map() {
	bpftool map dump pinned "$pin"/v*/rsip_spis >"$work/spis" || return
	note="$(grep -c '"spi"' "$work/spis") entries"
	[ "$(grep -cE '"(addr|spi|proto)": ' "$work/spis") $(grep -cE '"(bind|generation)": ' "$work/spis")" = "96 64" ]
}

# --- NAT ----------------------------------------------------------------------------------------

ah_behind_nat() {
	local answered refused
	read -r answered refused < <(nat_ah 3)
	note="of 3 sent, y refused $refused (integrity check), $answered were answered"
	[ "$answered $refused" = "0 3" ]
}

esp_behind_nat() {
	local first second
	read -r first second < <(nat_esp 3)
	note="x1 got $first of 3 answers, x2 $second of 3"
	[ "$first $second" = "3 0" ]
}

by_nat() {
	configure 10.0.0.11 10.0.0.12 && connect || return
	nat_ports=$(tcpdump -n -r "$work/y.pcap" "udp and src 203.0.113.1 and dst port 4500" 2>/dev/null |
		grep -oE '203\.0\.113\.1\.[0-9]+ >' | grep -oE '[0-9]+ ' | sort -nu | paste -sd' ' | tr -s ' ')
	note="seen by y from 203.0.113.1 ports $nat_ports"
	[ "$(wc -w <<<"$nat_ports")" = 2 ]
}

natt_both_ways() {
	echoes 25 || return
	wire_stop
	nat_bytes=$(longest)
	note="25 echoes of 1200 bytes in each; $(wire_count y ip proto 50) native ESP, $(wire_count y udp port 4500) packets on UDP 4500"
	[ "$(wire_count y ip proto 50)" = 0 ] && [ "$(wire_count y udp port 4500)" -ge 100 ]
}

larger_by_udp() {
	note="$nat_bytes bytes instead of $rsip_bytes"
	[ $((nat_bytes - rsip_bytes)) -eq 8 ]
}

# --- the report -----------------------------------------------------------------------------------

[ "$(id -u)" -eq 0 ] || {
	echo "demo: needs root: network namespaces, XDP" >&2
	exit 1
}

title "RSIP: x1 and x2 share $NB, both talk IPsec to y"
need "lab: x1 10.0.0.11, x2 10.0.0.12 - gateway n - peer y $PEER" raise_lab
need "rsipd runs on n" start_gateway
need "x1, x2 and y are up in a guest kernel with ESP and AH" start_guest
need "x1 and x2 lease the same address" leases
wire_start y
need "both tunnels are up at once" by_rsip
check "traffic both ways in both tunnels" esp_both_ways
check "x1 rekeys, the new SPI is a leased one too, traffic goes on" rekey
check "AH crosses unchanged" native_ah
check "what y's wire saw" on_the_wire
check "rsipctl counters" counters
sed 's/^/          /' "$work/output"
check "bpftool shows what is leased, by name" spis_map
tr -d '\n\t ' <"$work/spis" | grep -oE '\{"key":\{[^{}]*\},"value":\{[^{}]*\}\}' | sed -n '1,2s/^/          /p; 3s/.*/          .../p'
check "the hosts give back what they had" both guest end HOST rsip
check "rsipctl detach ends rsipd, and nothing is left attached" stop_gateway

title "NAT: the same hosts behind nftables masquerade on n"
guest swan_stop x1 x2 y >/dev/null
need "n masquerades" nat_start
check "AH does not pass" ah_behind_nat
check "native ESP to one peer works for one host only" esp_behind_nat
wire_start y
check "IKE has to move to port 4500, behind ports that n rewrites" by_nat
check "both tunnels need ESP in UDP" natt_both_ways
check "which makes each packet 8 bytes larger" larger_by_udp

title "$( ((failed)) && echo "$failed checks failed" || echo "all checks passed") in $SECONDS s"
[ "$failed" -eq 0 ]
