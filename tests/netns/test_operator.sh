#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What an operator does: options, configuration errors, rsipctl, stopping, what is left behind.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

raise() {
	lab
	gateway
}

# status_of COMMAND...: its exit status; output goes to $work/output
status_of() {
	"$@" >"$work/output" 2>&1 && echo 0 || echo $?
}

# XDP programs on the lab's N
programs() { on n bpftool -j net show | jq '[.[].xdp[]?] | length'; }

# covers: ADM-01
test_configuration_errors() {
	local line key want
	lab
	config
	same "status of -t" 0 "$(status_of on n "$build/rsipd" -t -c "$work/rsipd.yaml")"
	# What is wrong, and a word that the message must have.
	while IFS='|' read -r key want; do
		config "$key"
		line=$(grep -n "^${key%%:*}:" "$work/rsipd.yaml" | cut -d: -f1)
		same "status of -t with $key" 2 "$(status_of on n "$build/rsipd" -t -c "$work/rsipd.yaml")"
		grep -qE "^rsipd: |rsipd.yaml:$line: .*$want" "$work/output" || fail "$key: $(cat "$work/output")"
		same "lines about $key" 1 "$(wc -l <"$work/output")"
		same "status with $key" 2 "$(status_of timeout 5 nsenter --net="/run/netns/${lab}n" \
			"$build/rsipd" -c "$work/rsipd.yaml")"
	done <<-'END'
		nonsense: 1|nonsense
		leases: {default: 1h}|1h
		leases: {default: 600, maximum: 300}|
		pools: []|
		pools: [{name: a, addresses: [203.0.113.10]}, {name: b, addresses: [203.0.113.0/28]}]|
		pools: [{name: a, addresses: [203.0.113.300]}]|203.0.113.300
		interfaces: {private: [{name: lan7, address: 10.0.0.1}], public: [{name: wan0}]}|lan7
		interfaces: {private: [{name: lan0, address: 10.0.0.9}], public: [{name: wan0}]}|10.0.0.9
		datapath: {mode: fast}|fast
		server: {port: 70000}|70000
		tunnels: [l2tp]|l2tp
	END
	same "status without a file" 2 "$(status_of on n "$build/rsipd" -t -c "$work/none.yaml")"
	same "status of an unknown option" 2 "$(status_of on n "$build/rsipd" --nonsense)"
	same "programs attached" 0 "$(programs)"
}

# covers: ADM-02 ADM-05
test_rsipctl() {
	local command
	raise
	rsip_up x1 --spis 8 --ports 2
	for command in status clients bindings pools counters; do
		ctl $command >"$work/output"
		[ -s "$work/output" ] || fail "$command prints nothing"
		ctl -j $command | jq -e 'length > 0' >/dev/null
	done
	same "state of lan0" "private native" "$(ctl -j status | jq -r '.interfaces[] | select(.name == "lan0") | .side + " " + .mode')"
	same "state of wan0" "public native" "$(ctl -j status | jq -r '.interfaces[] | select(.name == "wan0") | .side + " " + .mode')"
	same "leased" "2 8" "$(ctl -j pools | jq -r '"\(.[0].ports_leased) \(.[0].spis_leased)"')"
	same "host" "10.0.0.11 203.0.113.10" "$(ctl -j bindings | jq -r '.[0] | .client + " " + .address')"
	ctl bindings | grep 10.0.0.11 >/dev/null
	same "status of an unknown command" 2 "$(status_of ctl nonsense)"
	same "status of no command" 2 "$(status_of ctl)"
	same "status of a refusal" 1 "$(status_of ctl free 10.0.0.99 1)"
	same "status without a daemon" 3 "$(status_of "$build/rsipctl" -s "$work/none.sock" status)"
	rsip_stop x1
	same "resting" "2 8" "$(ctl -j pools | jq -r '"\(.[0].ports_resting) \(.[0].spis_resting)"')"
}

# covers: ADM-03 FREE-08 REG-14
test_free_and_deregister() {
	local bind
	raise
	rsip_up x1 --ports 2
	bind=$(ctl -j bindings | jq '.[0].bind_id')
	ctl free 10.0.0.11 "$bind"
	same "status the second time" 1 "$(status_of ctl free 10.0.0.11 "$bind")"
	ctl deregister 10.0.0.11
	wait_for 10 grep -q 'took it back' "$work/rsip-x1.log"
}

# covers: REG-14
test_detach() {
	local how
	lab
	for how in "ctl detach" "on n $build/rsipd -c $work/rsipd.yaml --detach"; do
		gateway
		rsip_up x1 --ports 2
		same "programs" 2 "$(programs)"
		same "status of $how" 0 "$(status_of eval "$how")"
		wait "$rsipd"
		same "programs after $how" 0 "$(programs)"
		same "pins after $how" "" "$(find "$pin" -type f 2>/dev/null)"
		rsip_stop x1 KILL || true
	done
}

# covers: REG-14
test_farewell() {
	raise
	packets farewell "\"$build/rsipctl\" -s \"$work/rsipd.sock\" detach"
	wait "$rsipd"
	same "programs" 0 "$(programs)"
	same "pins" "" "$(find "$pin" -type f 2>/dev/null)"
}

# A killed daemon leaves programs and pins; the next one starts all the same, or --detach removes them.
# covers: FAIL-11
test_leftovers() {
	raise
	gateway_stop KILL || true
	same "programs of the dead" 2 "$(programs)"
	ctl clients >/dev/null || [ $? -eq 3 ]
	gateway
	same "programs" 2 "$(programs)"
	gateway_stop KILL || true
	on n "$build/rsipd" -c "$work/rsipd.yaml" --detach
	same "programs after --detach" 0 "$(programs)"
	same "pins after --detach" "" "$(find "$pin" -type f 2>/dev/null)"
}

# Nobody ends binds then but the data plane, which leaves them where they are (FAIL-10): the list goes by their time.
# covers: ADM-02
test_bindings_of_the_dead() {
	config 'leases: {registration: 4, default: 4, maximum: 8}'
	raise
	rsip_up x1 --ports 2
	kill -STOP "$(<"$work/x1.rsip")"	# it extends nothing
	gateway_stop KILL || true
	same "address" 203.0.113.10 "$(ctl -p "$pin" -j bindings | jq -r '.[].address')"
	wait_for 10 nothing_leased
	same "hosts" 1 "$(ctl -p "$pin" -j clients | jq length)"
	same "slots in use" 1 "$(bpftool -j map dump pinned "$(echo "$pin"/v*/rsip_ports)" | jq '[.[].formatted.value.bind] | unique | length')"
}

nothing_leased() { [ "$(ctl -p "$pin" -j bindings | jq length)" = 0 ]; }

test_second_daemon() {
	raise
	same "status of a second daemon" 1 "$(status_of timeout 10 nsenter --net="/run/netns/${lab}n" \
		"$build/rsipd" -c "$work/rsipd.yaml")"
	gateway_serves >/dev/null
	same "programs" 2 "$(programs)"
}

test_ready_for_systemd() {
	lab
	config
	python3 - "$work/notify" >"$work/told" <<-'END' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		s.settimeout(20)
		print(s.recv(1000).decode())
	END
	wait_for 5 test -S "$work/notify"
	NOTIFY_SOCKET=$work/notify gateway
	wait_for 5 grep -q '^READY=1' "$work/told"
}

test_generic_mode() {
	config "datapath: {pin: $pin, mode: generic}"
	raise
	same "mode of wan0" generic "$(ctl -j status | jq -r '.interfaces[] | select(.name == "wan0").mode')"
	rsip_up x1 --ports 2
	packets exchange x1 "$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')"
}

test_metrics() {
	config 'metrics: 127.0.0.1:9455'
	raise
	rsip_up x1 --ports 2
	on n busybox wget -q -O - http://127.0.0.1:9455/metrics >"$work/metrics"
	grep -q '^rsip_' "$work/metrics"
	# The text's own grammar: comments, or a name, perhaps labels, and a number.
	refused grep -vE '^(#.*|[a-z_]+(\{[^}]*\})? [0-9.e+-]+)$' "$work/metrics"
}

# --- reload ----------------------------------------------------------------------------

# Of three hosts one keeps what it has, one loses its lease and one its registration; packets of the
# first keep flowing. An invalid file, and one that needs a restart, change nothing.
# covers: ADM-01 ADM-03
test_reload() {
	local port
	config 'pools: [{name: shared, addresses: [203.0.113.10, 203.0.113.11]}]'
	lab -n 3
	gateway
	rsip_up x1 --ports 2 --local 203.0.113.10
	rsip_up x2 --ports 2 --local 203.0.113.11
	rsip_up x3 --ports 2 --local 203.0.113.10
	port=$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')

	config 'pools: [{name: shared, addresses: [203.0.113.10]}]' 'leases: {default: never}'
	same "status with an invalid file" 1 "$(status_of ctl reload)"
	grep -q "rsipd.yaml:$(grep -n ^leases "$work/rsipd.yaml" | cut -d: -f1): leases.default: \"never\"" "$work/output"
	config 'pools: [{name: shared, addresses: [203.0.113.10]}]' 'server: {port: 4556}'
	same "status with another port" 1 "$(status_of ctl reload)"
	grep -q "rsipd.yaml:$(grep -n ^server "$work/rsipd.yaml" | cut -d: -f1): server: cannot change" "$work/output"
	same "binds" 3 "$(ctl -j bindings | jq length)"
	packets exchange x1 "$port"

	config 'pools: [{name: shared, addresses: [203.0.113.10]}]' \
		'clients: [{match: 10.0.0.11}, {match: 10.0.0.12, max-ports: 7}]'
	ctl -j reload >"$work/reload"
	same "ended" "1 1" "$(jq -r '"\(.registrations_ended) \(.binds_ended)"' "$work/reload")"
	same "who" "10.0.0.12 10.0.0.13" "$(jq -r '[.ended[].client] | sort | join(" ")' "$work/reload")"
	same "bind of x1" "10.0.0.11" "$(ctl -j bindings | jq -r 'map(.client) | join(" ")')"
	packets exchange x1 "$port"
	grep -q 'took it back' "$work/rsip-x2.log"
	grep -q 'took it back' "$work/rsip-x3.log"
	refused bpftool map lookup pinned "$(echo "$pin"/v*/rsip_addresses)" key hex cb 00 71 0b
	wait_for 5 grep -q '312 LOCAL_ADDR_UNALLOWED' "$work/rsip-x2.log"
	wait_for 5 grep -q '304 REGISTRATION_DENIED' "$work/rsip-x3.log"

	config
	kill -HUP "$rsipd"
	wait_for 5 grep -q 'reload: .* is in force; 0 registrations and 0 other binds' "$work/rsipd.log"
	packets exchange x1 "$port"
}

# covers: ADM-06
test_drain() {
	config 'leases: {registration: 4, default: 4, maximum: 8}'
	raise
	rsip_up x1 --ports 2
	ctl drain
	same "draining" true "$(ctl -j status | jq .draining)"
	nsenter --net="/run/netns/${lab}x2" "$build/rsip" -g 10.0.0.1 up --ports 1 >>"$work/rsip-x2.log" 2>&1 &
	echo $! >"$work/x2.rsip"
	wait_for 5 grep -q 304 "$work/rsip-x2.log"
	ctl undrain
	wait_for 10 rsip_has_lease x2
	ctl drain
	# Nobody is told: leases that are not extended any more run out, and the daemon ends cleanly.
	wait "$rsipd"
	same "programs" 0 "$(programs)"
}

# --- watching ------------------------------------------------------------------------------

# Everything that happens to a host is one line; one that does not read is told how much it missed.
# covers: ADM-02
test_monitor() {
	local bind
	raise
	ctl_watch -j monitor >"$work/events" &
	local watcher=$!
	ctl_watch monitor >"$work/events.txt" &
	local text=$!
	wait_for 5 watched_by 2
	rsip_up x1 --ports 2
	bind=$(ctl -j bindings | jq '.[0].bind_id')
	ctl free 10.0.0.11 "$bind"
	wait_for 5 happened ended
	rsip_stop x1
	wait_for 5 happened deregistered
	same "order" "registered granted ended" "$(jq -r .event "$work/events" | head -n 3 | xargs)"
	same "who" 10.0.0.11 "$(jq -r .client "$work/events" | sort -u)"
	same "why" "taken back by the operator" "$(jq -r 'select(.event == "ended").why' "$work/events" | head -n 1)"
	grep -q ' granted 10.0.0.11 client_id=' "$work/events.txt"
	kill $watcher $text
	wait_for 5 watched_by 0
}

ctl_watch() { exec timeout 30 "$build/rsipctl" -s "$work/rsipd.sock" "$@"; }
happened() { jq -e --arg event "$1" 'select(.event == $event)' "$work/events"; }
# How many connections the control socket has, but for that of nobody
watched_by() { [ "$(ss -xH state connected src "$work/rsipd.sock" | wc -l)" -eq "$1" ]; }

# covers: ADM-02
test_slow_watcher() {
	raise
	packets slow_watcher
}

test_top() {
	local port
	raise
	rsip_up x1 --ports 2
	port=$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')
	ctl -j top >"$work/top" &
	local top_pid=$!
	while kill -0 $top_pid 2>/dev/null; do packets exchange x1 "$port"; done
	wait $top_pid
	jq -e '.registrations == 1 and .binds == 1 and .interval > 0.9 and .pools[0].ports_leased == 2' "$work/top"
	jq -e '[.outcomes[].outcome] | index("in-port")' "$work/top"
	ctl top | grep -q 'shared .* 1 '
	# On a terminal: a screen, until q.
	(sleep 1.5; printf q) | TERM=vt100 timeout 10 script -qec "$build/rsipctl -s $work/rsipd.sock top" "$work/screen" >/dev/null
	grep -qa 'q ends' "$work/screen"
}

# Somebody takes a program off: it is back before long, and leases go on.
# covers: FAIL-13
test_program_is_taken_off() {
	local port device
	raise
	rsip_up x1 --ports 2
	port=$(rsip_field x1 .lease.ports | grep -oE '^[0-9]+')
	packets exchange x1 "$port"
	for device in wan0 lan0; do
		ip -n "${lab}n" link set dev $device xdp off
		wait_for 5 both_attached
		packets exchange x1 "$port"
		grep -q "$device: somebody had taken the XDP program off" "$work/rsipd.log"
	done
	rsip_stop x1
	gateway_stop
}

both_attached() { [ "$(programs)" = 2 ]; }

# Another rsipd takes the interfaces: hosts of the first hear of it, and it ends; their leases are there when it comes back.
# covers: FAIL-13
test_interfaces_are_taken_over() {
	local status=0
	raise
	sed 's/rsipd.sock/second.sock/; s/^state:.*/&2/; s/^datapath:.*/datapath: {pin: '"${pin//\//\\/}"'\/2}/' \
		"$work/rsipd.yaml" >"$work/second.yaml"
	echo 'server: {port: 4556}' >>"$work/second.yaml"
	packets fault "nsenter --net=/run/netns/${lab}n $build/rsipd -v -c $work/second.yaml >$work/second.log 2>&1 &"
	wait "$rsipd" || status=$?
	same "status" 1 $status
	grep -qE 'lan0(: another rsipd has put its| already has an) XDP program' "$work/rsipd.log"
	wait_for 10 grep -q ready "$work/second.log"
	on n "$build/rsipd" -c "$work/second.yaml" --detach
	gateway
	same "leases" 1 "$(ctl -j bindings | jq length)"
	same "hosts" 2 "$(ctl -j clients | jq length)"
	gateway_stop
}

run_tests "$@"
