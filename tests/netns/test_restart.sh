#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Restart, upgrade, crash: what lives on in rsipd, on its disk and in the kernel.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

raise() {
	lab
	gateway
}

# What a host holds, as the gateway sees it, without the time that is left.
holdings() { ctl -j bindings | jq -cS '[.[] | del(.lease, .cookies)]'; }

# covers: REG-14
test_leases_live_on() {
	local before signal
	raise
	rsip_up x1 --spis 8 --ports 4
	before=$(holdings)
	for signal in TERM KILL; do
		gateway_stop $signal || [ $signal = KILL ]
		gateway
		same "holdings after SIG$signal" "$before" "$(holdings)"
	done
	packets exchange x1 "$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')"
	rsip_stop x1
	same "hosts" 0 "$(ctl -j clients | jq length)"
}

# Sends datagrams as fast as it can until $work/enough is there; prints how many:
# stream NAMESPACE ADDRESS PORT TO PORT
stream() {
	on "$1" python3 - "$2" "$3" "$4" "$5" "$work/enough" <<-'END'
		import os, socket, sys
		own, port, to, to_port, enough = sys.argv[1:]
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		s.bind((own, int(port)))
		sent = 0
		while not os.path.exists(enough):
		    for _ in range(500):
		        s.sendto(bytes(64), (to, int(to_port)))
		    sent += 500
		print(sent)
	END
}

# Datagrams that reached the stack of a namespace, whatever became of them there.
datagrams_at() {
	# shellcheck disable=SC2016 # awk's own
	on "$1" awk '/^Udp: [0-9]/ { print $2 + $3 + $6 }' /proc/net/snmp
}

programs() { on n bpftool -j net show | jq -c '[.[].xdp[]?.id] | sort'; }

# Packets both ways, without a pause, while rsipd ends and starts: every one of them arrives.
# covers: IN-25
test_no_packet_is_lost() {
	local in out port in_port out_port at_x at_y ids signal rounds=0
	raise
	rsip_up x1 --ports 2
	port=$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')
	packets exchange x1 "$port"	# the ways are known
	in_port=$(outcome in-port) out_port=$(outcome out-port)
	at_x=$(datagrams_at x1) at_y=$(datagrams_at y)
	ids=$(programs)
	stream y 203.0.113.2 9999 203.0.113.10 "$port" >"$work/in" &
	in=$!
	stream x1 203.0.113.10 "$((port + 1))" 203.0.113.2 9998 >"$work/out" &
	out=$!
	for signal in TERM KILL TERM KILL; do
		gateway_stop $signal || [ $signal = KILL ]
		sleep 0.2	# nobody is there
		gateway
		rounds=$((rounds + 1))
	done
	touch "$work/enough"
	wait $in
	wait $out
	echo "$rounds restarts, $(<"$work/in") packets in, $(<"$work/out") out"
	same "packets in" "$(<"$work/in")" $(($(outcome in-port) - in_port))
	same "packets out" "$(<"$work/out")" $(($(outcome out-port) - out_port))
	same "datagrams at x1" "$(<"$work/in")" $(($(datagrams_at x1) - at_x))
	same "datagrams at y" "$(<"$work/out")" $(($(datagrams_at y) - at_y))
	same "programs" "$ids" "$(programs)"
}

# status_of COMMAND...: its exit status; output goes to $work/output
status_of() {
	"$@" >"$work/output" 2>&1 && echo 0 || echo $?
}

# rsipd refuses to start, says so in words, and leaves folder and forwarding as they are: refuses_to_start WORDS
refuses_to_start() {
	local before
	before=$(files)
	same "status: $1" 1 "$(status_of timeout 10 nsenter --net="/run/netns/${lab}n" "$build/rsipd" -c "$work/rsipd.yaml")"
	grep -q "$1" "$work/output" || fail "no \"$1\" in: $(cat "$work/output")"
	same "files: $1" "$before" "$(files)"
	same "programs: $1" "$ids" "$(programs)"
}

# All that says who holds what, with its checksums.
files() {
	(cd "$work/state" && find . \( -name version -o -name '*.log' -o -name '*.sst' -o -name 'MANIFEST*' -o -name CURRENT \) \
		-exec sha256sum {} + | sort)
}

# What may have happened to the folder.
test_state_folder_is_not_right() {
	local ids file
	config
	mkdir "$work/state"
	mount -t tmpfs -o size=16m state "$work/state"
	trap 'umount -l "$work/state"' EXIT
	raise
	rsip_up x1 --ports 2
	ids=$(programs)
	gateway_stop

	sed -i 's/version 1/version 9/' "$work/state/version"
	refuses_to_start 'written by a newer'
	sed -i 's/version 9/version 1/' "$work/state/version"

	for file in "$work"/state/leases/*.log "$work/state/leases/CURRENT"; do
		cp "$file" "$work/good"
		dd if=/dev/urandom of="$file" bs=16 count=1 seek=1 conv=notrunc status=none
		[ "${file##*/}" != CURRENT ] || echo nonsense >"$file"
		refuses_to_start 'damaged'
		cp "$work/good" "$file"
	done

	mount -o remount,ro "$work/state"
	refuses_to_start 'read-only'
	mount -o remount,rw "$work/state"

	gateway
	same "leases" 1 "$(ctl -j bindings | jq length)"
	gateway_stop
}

# Are leases recorded? As rsipctl says it to who reads and to programs, and as Prometheus sees it: recording yes true 1
recording() {
	same "recording, as text" "$1" "$(ctl status | awk '$1 == "recording:" { print $2 }')"
	same "recording" "$2" "$(ctl -j status | jq .recording)"
	same "rsip_recording" "rsip_recording $3" "$(on n busybox wget -q -O - http://127.0.0.1:9455/metrics | grep '^rsip_recording ')"
}

# The disk fills up while rsipd runs: 104 to those who want something new, all else goes on. With room again it
# goes on by itself, and a restart finds what was promised.
# covers: SCALE-06
test_disk_is_full() {
	local port
	config 'metrics: 127.0.0.1:9455'
	mkdir "$work/state"
	mount -t tmpfs -o size=2m state "$work/state"
	trap 'umount -l "$work/state"' EXIT
	raise
	rsip_up x1 --ports 2
	port=$(rsip_field x1 '.lease.ports' | grep -oE '^[0-9]+')
	dd if=/dev/zero of="$work/state/fill" bs=4k status=none 2>/dev/null || true
	recording yes true 1
	packets disk_full
	recording no false 0
	grep -q 'No space left.*make room' "$work/rsipd.log"
	grep -q 'leases cannot be recorded' "$work/rsipd.log"
	rsip x1 query 10.0.0.5
	packets exchange x1 "$port"
	refused ctl deregister 10.0.0.11
	rm "$work/state/fill"
	wait_for 20 grep -q 'are recorded again' "$work/rsipd.log"
	recording yes true 1
	rsip_up x2 --ports 1
	gateway_stop KILL || true
	gateway
	same "leases of x2" 1 "$(ctl -j bindings | jq '[.[] | select(.client == "10.0.0.12")] | length')"
	rsip_stop x2
	same "leases" 1 "$(ctl -j bindings | jq '[.[] | select(.client == "10.0.0.11")] | length')"
	packets exchange x1 "$port"
	rsip_stop x1
	same "hosts" 0 "$(ctl -j clients | jq length)"
}

run_tests "$@"
