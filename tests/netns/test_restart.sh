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

run_tests "$@"
