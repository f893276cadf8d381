# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# System tests in network namespaces: sourced by tests/netns/test_*.sh and
# tests/ipsec/test_*.sh, which define functions test_NAME and end with run_tests.
# Writes TAP to the file that $TAP names, else to standard output, and what a
# test printed only if it failed.
#
# Each test runs in a process group of its own, with errexit, a lab prefix
# ($lab), a folder ($work) and a bpffs folder ($pin) of its own; the runner takes
# all of them away afterwards, whatever happened, and ends what is left running.
# Tests wait for conditions (wait_for), never for a time.
#
#   tests/netns/test_lease.sh [NAME...]     only these tests
#   KEEP=1                                  leave lab and folder of a failed test
#   SHOW=1                                  what a test printed also if it passed

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-$top/build}	# where the programs are
export PYTHONDONTWRITEBYTECODE=1
TEST_TIMEOUT=${TEST_TIMEOUT:-60}

# --- for tests -----------------------------------------------------------------

# A command in namespace $1 of the lab. Not "ip netns exec": that hides /sys/fs/bpf.
on() {
	local ns=$1
	shift
	nsenter --net="/run/netns/$lab$ns" "$@"
}

# ping_from NAMESPACE ARGUMENT...
ping_from() {
	local ns=$1
	shift
	on "$ns" busybox ping -W 1 "$@"
}

# lab [OPTION...]: raises the lab of this test.
lab() { "$top/scripts/lab.sh" up -p "$lab" "$@"; }

# wait_for SECONDS COMMAND...: until COMMAND succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >"$work/wait.out" 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "gave up waiting for: $*" >&2
			cat "$work/wait.out" >&2
			return 1
		fi
		sleep 0.05
	done
}

fail() {
	echo "$*" >&2
	exit 1
}

# same WHAT WANTED GOT
same() {
	[ "$2" = "$3" ] || fail "$1: wanted \"$2\", got \"$3\""
}

# Success is failure. ("! command" would never end a test under errexit.)
refused() {
	if "$@"; then fail "should have failed: $*"; fi
}

# The test cannot run here; says why.
skip() {
	echo "$*" >"$work/skip"
	exit 0
}

# cable NS1 DEV1 NS2 DEV2: as scripts/lab.sh lays them
cable() {
	ip link add "$2" netns "$lab$1" type veth peer name "$4" netns "$lab$3"
	local end
	for end in "$1 $2" "$3 $4"; do
		# shellcheck disable=SC2086 # two words
		set -- $end
		ip -n "$lab$1" link set dev "$2" up
		on "$1" ethtool -K "$2" tx off gro on >/dev/null
	done
}

# N's interface of that name again, with another index, and all that was set on it
private_anew() {
	ip -n "${lab}n" link del lan0
	cable n lan0 sw n
	ip -n "${lab}sw" link set dev n master br0
	ip -n "${lab}n" addr add 10.0.0.1/24 dev lan0
}

public_anew() {
	ip -n "${lab}n" link del wan0
	cable n wan0 y eth0
	ip -n "${lab}y" addr add 203.0.113.2/24 dev eth0
	ip -n "${lab}n" addr add 203.0.113.1/24 dev wan0
	ip -n "${lab}n" route add local 203.0.113.10 dev wan0
}

# --- the gateway -----------------------------------------------------------------

# Writes the configuration of a test. Arguments replace or add top-level keys:
# config 'leases: {default: 2}' 'tunnels: [gre]'
# shellcheck disable=SC2120 # the tests give arguments
config() {
	local entry
	declare -A value=(
		[interfaces]='{private: [{name: lan0, address: 10.0.0.1}], public: [{name: wan0}]}'
		[pools]='[{name: shared, addresses: [203.0.113.10]}]'
		[datapath]="{pin: $pin}"
		[state]="$work/state"
		[control]="$work/rsipd.sock"
	)
	for entry in "$@"; do value[${entry%%:*}]=${entry#*:}; done
	for entry in "${!value[@]}"; do echo "$entry: ${value[$entry]}"; done >"$work/rsipd.yaml"
}

# Starts rsipd on N and waits until it can serve.
gateway() {
	# shellcheck disable=SC2119
	[ -f "$work/rsipd.yaml" ] || config
	nsenter --net="/run/netns/${lab}n" "$build/rsipd" -v -c "$work/rsipd.yaml" >>"$work/rsipd.log" 2>&1 &
	rsipd=$!
	wait_for 60 gateway_serves
}

gateway_serves() {
	kill -0 "$rsipd" || fail "rsipd ended"
	ctl status
}

# gateway_stop [SIGNAL]: and says how it ended.
gateway_stop() {
	kill "-${1:-TERM}" "$rsipd"
	wait "$rsipd"
}

ctl() { timeout 10 "$build/rsipctl" -s "$work/rsipd.sock" "$@"; }

# Packets so far with an outcome, by its name: outcome in-esp
outcome() { ctl -j counters | jq --arg name "$1" '.outcomes[] | select(.outcome == $name).packets'; }

# --- hosts ------------------------------------------------------------------------

# The host program: rsip HOST ARGUMENT...
rsip() {
	local host=$1
	shift
	on "$host" timeout 20 "$build/rsip" "$@"
}

# Starts "rsip up" on a host and waits for its lease: rsip_up HOST [OPTION...]
rsip_up() {
	local host=$1
	shift
	nsenter --net="/run/netns/$lab$host" "$build/rsip" -g 10.0.0.1 up "$@" >>"$work/rsip-$host.log" 2>&1 &
	echo $! >"$work/$host.rsip"
	wait_for 10 rsip_has_lease "$host"
}

rsip_has_lease() {
	kill -0 "$(<"$work/$1.rsip")" || fail "rsip on $1 ended"
	rsip "$1" -j status | jq -e '.state == "assigned" and .tunnel != null'
}

# rsip_stop HOST [SIGNAL]: and says how it ended
rsip_stop() {
	local pid
	pid=$(<"$work/$1.rsip")
	kill "-${2:-TERM}" "$pid"
	wait "$pid"
}

# A field of "rsip -j status": rsip_field HOST FILTER
rsip_field() { rsip "$1" -j status | jq -er "$2"; }

# --- whole frames ----------------------------------------------------------------------

# A step of tests/netns/packets.py, by its name.
packets() {
	local step=$1
	shift
	LAB=$lab WORK=$work TOP=$top BUILD=$build timeout "$TEST_TIMEOUT" python3 "$top/tests/netns/packets.py" "$step" "$@"
}

# --- the runner ------------------------------------------------------------------

say() { echo "$*" >&3; }

# Ends what the running test left behind.
clean_up() {
	local ns
	[ -n "${work:-}" ] || return 0
	[ -z "${group:-}" ] || kill -KILL -- "-$group" 2>/dev/null
	# What a killed "rsip up" left: the number of its namespace is another one's some day.
	for ns in /run/netns/"$lab"*; do
		[ ! -e "$ns" ] || rm -f /run/rsip/rsip-*-"$(stat -Lc %i "$ns")".*
	done
	"$top/scripts/lab.sh" down -p "$lab" >/dev/null 2>&1
	find "$pin" "$pin-2" -depth -delete 2>/dev/null
	rm -rf "$work"
	work=
}

# Which command ended a test, and by what way it was reached.
ended_at() {
	local i
	printf '"%s" failed at' "$BASH_COMMAND" >&2
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		[ "${FUNCNAME[i]}" != run_test ] || break
		printf ' %s:%d' "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}" >&2
	done
	echo >&2
}

# The body runs in the background so that errexit holds in it and a watch can end it.
run_test() {
	local name=$1 status watch
	work=$(mktemp -d "${TMPDIR:-/tmp}/rsip-test.XXXXXX") || exit 1
	lab=t${work##*.}-
	pin=/sys/fs/bpf/rsip-${work##*.}
	set -m
	(
		set +m -eE -o pipefail
		trap ended_at ERR
		trap - EXIT INT TERM
		"$name"
	) >"$work/log" 2>&1 </dev/null 3>&- &
	group=$!
	set +m
	(
		sleep "$TEST_TIMEOUT"
		echo "no end after $TEST_TIMEOUT seconds" >>"$work/log"
		kill -TERM -- "-$group"
		sleep 2
		kill -KILL -- "-$group"
	) >/dev/null 2>&1 3>&- &
	watch=$!
	wait "$group"
	status=$?
	# The watch sleeps: end its sleep with it, and itself first.
	kill $watch $(pgrep -P $watch) 2>/dev/null
	wait $watch 2>/dev/null
	report "$name" $status
	if [ $status -eq 0 ] || [ "${KEEP:-0}" != 1 ]; then
		clean_up
	else
		echo "kept: lab $lab, folder $work"
		work=
	fi
}

report() {
	local title="$count - ${1#test_}"
	if [ "$2" -ne 0 ]; then
		say "not ok $title"
		echo "--- ${1#test_}: status $2"
		tail -n 100 "$work/log"
		show_logs
		failed=$((failed + 1))
	elif [ -f "$work/skip" ]; then
		say "ok $title # SKIP $(cat "$work/skip")"
	else
		say "ok $title"
		[ "${SHOW:-0}" = 0 ] || cat "$work/log"
	fi
}

show_logs() {
	local log
	for log in "$work"/*.log; do
		[ -s "$log" ] || continue
		echo "--- ${log##*/}"
		tail -n 40 "$log"
	done
}

# Runs the tests defined so far, in the order of the file.
run_tests() {
	local tests=() name
	count=0 failed=0
	if [ -n "${TAP:-}" ]; then exec 3>"$TAP"; else exec 3>&1; fi
	mapfile -t tests < <(grep -oE '^test_[a-z0-9_]+' "$0")
	[ $# -eq 0 ] || tests=("${@/#/test_}")
	[ "$(id -u)" -eq 0 ] || {
		say "ok 1 - all # SKIP needs root"
		say 1..1
		return 0
	}
	trap clean_up EXIT
	trap 'exit 130' INT TERM
	for name in "${tests[@]}"; do
		count=$((count + 1))
		run_test "$name"
	done
	say "1..$count"
	[ "$failed" -eq 0 ]
}
