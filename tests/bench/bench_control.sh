#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The control plane under load (tests/bench/load.c), and Kea's DHCPv4 server
# beside it with its own load generator. Same machine, same run, same network:
# tests/bench/lab.sh. Kea writes its leases to a file without waiting for the disk.
#
#   bench_control.sh [throughput|ceiling|kea|live|expiry]...   all of them without arguments
#   HOSTS=N   for the throughput (60000)    LIVE=N  leases held at once (1000000)
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-$PWD/build}
HOSTS=${HOSTS:-60000} LIVE=${LIVE:-1000000} RUNS=${RUNS:-7}
. tests/bench/lab.sh

trap bench_down EXIT
bench_up || exit 1
state=$build/bench-state		# on a disk, where the daemon's would be
rm -rf "$state"

# figure NAME VALUE UNIT [TARGET [NOTE]]
figure() {
	jq -nc --arg name "$1" --argjson value "$2" --arg unit "$3" --arg target "${4:-}" --arg note "${5:-}" \
		'{name: $name, value: $value, unit: $unit} + if $target != "" then {target: $target} else {} end
			+ if $note != "" then {note: $note} else {} end'
}

calc() { awk "BEGIN { printf \"%.4g\", $1 }"; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# Seconds of CPU a process has had; and its memory in MiB.
cpu_of() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"; }
memory_of() { awk '/^VmRSS/ { print $2 / 1024 }' "/proc/$1/status"; }

# start LOG COMMAND...: on the gateway's side, into $server.
start() {
	local log=$1
	shift
	nsenter --net="/run/netns/${tag}n" "$@" >"$log" 2>&1 &
	server=$!
}

# Waits until COMMAND... succeeds; sets $ready, in milliseconds.
wait_for() {
	local begin
	begin=$(date +%s%N)
	until "$@" >/dev/null 2>&1; do
		kill -0 "$server" 2>/dev/null || { cat "$work"/*.log >&2; return 1; }
		[ $(($(date +%s%N) - begin)) -lt 300000000000 ] || return 1
		sleep 0.02
	done
	ready=$((($(date +%s%N) - begin) / 1000000))
}

stop() {
	kill "-${1:-TERM}" "$server"
	wait "$server" 2>/dev/null
	return 0
}

# --- rsipd ---------------------------------------------------------------------

rsipd_config() {
	cat >"$work/rsipd.yaml" <<-END
		interfaces: {private: [{name: lan0, address: 10.0.0.1}], public: [{name: wan0}]}
		pools: [{name: shared, addresses: [203.0.113.10]}]
		leases: {registration: 3600, default: 3600, maximum: 3600}
		datapath: {pin: /sys/fs/bpf/${tag%-}}
		state: $state
		control: $work/rsipd.sock
	END
}

# Starts it; sets $ready, in milliseconds until it serves.
rsipd() {
	start "$work/rsipd.log" "$build/rsipd" -c "$work/rsipd.yaml"
	wait_for "$build/rsipctl" -s "$work/rsipd.sock" status
}

load() { on_h "$build/tests/bench/load" "$@"; }

# cycles NUMBER FIRST [PLAN]: one run; prints operations a second, leases a second, p50 and p99 (ms), CPU microseconds
# an operation
cycles() {
	local before after result
	before=$(cpu_of "$server")
	result=$(load "${3:-cycle}" -n "$1" -f "$2" -l 3600) || return
	after=$(cpu_of "$server")
	jq -r --argjson cpu "$(calc "$after - $before")" '[.operations / .seconds, .assigned / .seconds, .p50_us / 1000,
		.p99_us / 1000, $cpu * 1e6 / .operations] | @tsv' <<<"$result"
}

# column N: the median of a column of $work/runs
column() { cut -f "$1" "$work/runs" | median; }

throughput() {
	rsipd || return
	cycles $((HOSTS / 10)) 10.192.0.1 >/dev/null
	for ((run = 0; run < RUNS; run++)); do cycles "$HOSTS" "10.$((130 + run)).0.1"; done >"$work/runs"
	operations=$(column 1) leases=$(column 2)
	figure "durable lease operations" "$operations" /s ">= 100000" "register, assign, free, de-register: each on disk before its answer"
	figure "register + assign + free of a host" "$leases" /s
	figure "answer, half of them within" "$(column 3)" ms
	figure "answer, 99 of 100 within" "$(column 4)" ms
	figure "CPU of rsipd for an operation" "$(column 5)" us
	for ((run = 0; run < RUNS; run++)); do cycles "$HOSTS" "10.$((140 + run)).0.1" fill; done >"$work/runs"
	granted=$(column 2) cost=$(column 5)
	figure "leases granted" "$granted" /s "" "register, assign: as many exchanges as DHCP has; they stay"
	stop
}

# The same network and load, and a server that only sends everything back.
ceiling() {
	start "$work/echo.log" "$build/tests/bench/echo"
	sleep 0.2
	for ((run = 0; run < RUNS; run++)); do cycles "$HOSTS" 10.192.0.1; done >"$work/runs"
	echoed=$(column 1)
	figure "an echo of such datagrams, which no server can pass" "$echoed" /s
	figure "CPU of the echo for a datagram" "$(column 5)" us
	stop KILL
}

# probe NAME COMMAND...: what a host, each time another one, that asks all the time sees meanwhile. Other programs
# that want the CPU count as well; the longest turn of the loop so far is rsipd's own part.
probes=0
probe() {
	local name=$1 pid
	shift
	probes=$((probes + 1))		# not in the line below, which another shell runs
	nsenter --net="/run/netns/${tag}h" "$build/tests/bench/load" probe -f "10.255.0.$probes" -t 600 >"$work/probe" &
	pid=$!
	"$@"
	kill "$pid"
	wait "$pid" || return
	figure "$name: the longest an answer took" "$(jq '.worst_us / 1000' "$work/probe")" ms "<= 50"
	figure "$name: CPU of the longest turn of the loop" "$(status_of .longest_turn_us/1000)" ms "<= 50"
	figure "$name: the longest write to the disk" "$(status_of .longest_write_us/1000)" ms
}

status_of() { "$build/rsipctl" -s "$work/rsipd.sock" -j status | jq "$1"; }

fill() { load fill -n "$LIVE" -f 10.128.0.1 -t 600 "$@" >"$work/fill"; }

lease_count() { status_of .binds; }
all_gone() { [ "$(lease_count)" = 0 ]; }

# rsipd has nothing to do but to answer the probe.
at_rest() {
	local before
	before=$(cpu_of "$server")
	sleep 0.3
	[ "$(calc "$(cpu_of "$server") - $before < 0.06")" = 1 ]
}

# Another router, which is the same machine: every host has another next hop. Sets $moved, milliseconds.
led_elsewhere() {
	wait_for at_rest
	on_n ip neigh replace 10.0.0.3 dev lan0 lladdr \
		"$(ip -n "${tag}h" -j link show dev lan0 | jq -r '.[0].address')"
	on_n ip route replace 10.128.0.0/9 via 10.0.0.3
	wait_for at_rest
	moved=$((ready - 300))
}

# One operation among a thousand leases and among all of them.
live() {
	local few many before
	rm -rf "$state"
	rsipd || return
	figure "memory of rsipd without leases" "$(memory_of "$server")" MiB
	load fill -n 1000 -f 10.128.0.1 -l 3600 >/dev/null
	few=$(cycles 20000 10.192.0.1 | cut -f 5)
	probe "nothing else happens" sleep 5
	probe "$LIVE leases granted" fill -l 3600
	figure "leases held" "$(lease_count)" ""
	figure "memory of rsipd with them" "$(memory_of "$server")" MiB
	probe "$LIVE hosts led elsewhere" led_elsewhere
	figure "$LIVE hosts led elsewhere, after their route changed" "$(calc "$moved / 1000")" s
	many=$(cycles 20000 10.193.0.1 | cut -f 5)
	figure "CPU for an operation, against that with 1000 leases" "$(calc "$many / $few")" x "<= 1.5"
	before=$(lease_count)
	stop
	rsipd || return
	figure "restart with them, until it serves" "$(calc "$ready / 1000")" s
	figure "CPU of the restart" "$(cpu_of "$server")" s
	[ "$(lease_count)" -ge $((before - 1)) ] || { echo "bench: leases were lost" >&2; return 1; }
	stop KILL
}

# All leases run out in the same second. A fill of a million takes two minutes or so.
expiry() {
	local before
	rm -rf "$state"
	rsipd || return
	fill -a -l $((60 + LIVE / 4000))
	before=$(cpu_of "$server")
	probe "$LIVE leases run out at once" wait_for all_gone
	figure "CPU for one that runs out" "$(calc "($(cpu_of "$server") - $before) * 1e6 / $LIVE")" us
	stop
}

# --- Kea ------------------------------------------------------------------------

kea_config() {
	cat >"$work/kea.json" <<-END
		{"Dhcp4": {
			"interfaces-config": {"interfaces": ["lan0"], "dhcp-socket-type": "raw"},
			"lease-database": {"type": "memfile", "persist": true, "name": "$state.kea", "lfc-interval": 0},
			"multi-threading": {"enable-multi-threading": $1, "thread-pool-size": 2, "packet-queue-size": 64},
			"valid-lifetime": 3600,
			"subnet4": [{"id": 1, "subnet": "10.0.0.0/8", "pools": [{"pool": "10.64.0.0-10.127.255.255"}]}],
			"loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}]
		}}
	END
}

# kea_at RATE: leases granted a second (four-way exchanges done) when so many are begun, and CPU microseconds for each.
kea_at() {
	local before cpu
	rm -f "$state".kea*
	start "$work/kea.log" env KEA_PIDFILE_DIR="$work" KEA_LOCKFILE_DIR="$work" kea-dhcp4 -c "$work/kea.json"
	sleep 1
	kill -0 "$server" 2>/dev/null || { cat "$work/kea.log" >&2; return 1; }
	before=$(cpu_of "$server")
	on_h perfdhcp -4 -r "$1" -R 4000000 -p 4 -W 500000 -l lan0 -x iiii >"$work/perfdhcp" 2>&1
	cpu=$(calc "$(cpu_of "$server") - $before")
	stop
	awk -v cpu="$cpu" '/^\*\*\*Statistics for: REQUEST-ACK/ { ack = 1 }
		ack && /^received packets/ { print $3 / 4 "\t" cpu * 1e6 / $3; exit }' "$work/perfdhcp"
}

# The most that it grants, whatever the rate and the number of threads.
kea() {
	local rate threads few
	for threads in false true; do
		kea_config $threads
		for rate in 1000 2000 4000 8000 16000; do kea_at "$rate" || return; done
	done >"$work/kea.rates"
	most=$(sort -g "$work/kea.rates" | tail -n 1 | cut -f 1)
	figure "Kea DHCPv4: leases granted" "$most" /s "" "memfile, never waits for the disk; at the best rate and number of threads"
	figure "rsipd against Kea, leases granted (two exchanges each)" "$(calc "$granted / $most")" x ">= 10"
	figure "the echo against Kea, two datagrams for a lease" "$(calc "$echoed / 2 / $most")" x "" "no server on this path can do better"
	figure "rsipd against Kea, leases granted and freed (four against two)" "$(calc "$leases / $most")" x ">= 10"
	figure "rsipd against Kea, exchanges" "$(calc "$operations / 2 / $most")" x
	few=$(sort -g "$work/kea.rates" | tail -n 1 | cut -f 2)
	figure "CPU of Kea for a lease (two exchanges)" "$few" us
	figure "CPU of rsipd for a lease (two exchanges), against that" "$(calc "2 * $cost / $few")" x
}

mkdir -p "$build"
rsipd_config
[ $# -gt 0 ] || set -- throughput ceiling kea live expiry
for part in "$@"; do
	"$part" || exit 1
done
rm -rf "$state" "$state".kea*
