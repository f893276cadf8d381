#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Unmodified programs on a host: which address and port their sessions get.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

# A web server on a host of the lab that answers with the address and port it is asked from: serve NS ADDRESS
serve() {
	on "$1" python3 -c '
import http.server, socketserver, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = "%s %d\n" % self.client_address
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer((sys.argv[1], 80), Answer).serve_forever()' "$2" >"$work/http-$1.log" 2>&1 &
	wait_for 20 listens "$1" "$2:80"
}

listens() { on "$1" ss -Hltn src "$2" | grep -q LISTEN; }

# Whom the server sees when a host of the lab asks it: seen HOST SERVER
seen() { on "$1" curl -sS --max-time 5 "http://$2/" 2>>"$work/curl.log"; }

ports() { rsip_field "$1" '[.leases[].ports // empty] | join(",")'; }

# Is port $2 one of those leased to host $1?
leased() {
	local range
	for range in $(ports "$1" | tr , ' '); do
		[ "$2" -ge "${range%-*}" ] && [ "$2" -le "${range#*-}" ] && return
	done
	fail "port $2 is not one of $(ports "$1") of $1"
}

# Two hosts, one address: curl reaches the peer from ports of its own host only; what is local uses any port.
# covers: HOST-04 HOST-05 HOST-06 RSAP-21 HOST-03 QRY-10
test_curl() {
	local i answer all=
	lab
	gateway
	serve y 203.0.113.2
	serve x2 10.0.0.12
	rsip_up x1 --spis 0 --ports 4
	rsip_up x2 --spis 0 --ports 4
	for i in 1 2 3 4; do
		read -r -a answer < <(seen x1 203.0.113.2)
		same "address seen" 203.0.113.10 "${answer[0]}"
		leased x1 "${answer[1]}"
		read -r -a answer < <(seen x2 203.0.113.2)
		same "address seen" 203.0.113.10 "${answer[0]}"
		leased x2 "${answer[1]}"
		read -r -a answer < <(seen x1 10.0.0.12)
		same "address seen" 10.0.0.11 "${answer[0]}"
		all+="${answer[1]} "
	done
	if (leased x1 "${all%% *}") 2>/dev/null; then fail "a local session took a leased port: $all"; fi
	# Nothing was refused at the gateway, and after the first word on 203.0.113.2 nothing was asked any more.
	same "not leased" 0 "$(outcome out-no-port)"
	same "messages: registration, lease, all localities, the peer" 4 "$(rsip_field x1 .messages.sent)"
	rsip x1 down
	refused seen x1 203.0.113.2
}

# The same with IPsec: its source ports are chosen before it sees a packet, so what it protects uses leased ones too.
# covers: APA-02
test_ports_beside_spis() {
	local answer ports
	lab
	gateway
	serve y 203.0.113.2
	rsip_up x1 --spis 4 --ports 2 --ike ephemeral
	# The first two are IKE's: no other program is given them.
	ports=$(rsip_field x1 .lease.ports)
	for _ in 1 2; do
		read -r -a answer < <(seen x1 203.0.113.2)
		leased x1 "${answer[1]}"
		[ "${answer[1]}" -ge $((${ports%-*} + 2)) ] || fail "${answer[1]} of $ports is IKE's"
	done
}

# More connections to one peer than ports: more are leased at once, and given back when nothing uses them.
# covers: RSAP-22 FREE-07 HOST-07
test_more_ports() {
	lab
	gateway
	serve y 203.0.113.2
	rsip_up x1 --spis 0 --ports 2 --idle 2
	on x1 python3 - "$work/go" >"$work/held" <<-'END' &
		import os, socket, sys, time
		held = []
		while len(held) < 3:
		    s = socket.socket()
		    try:
		        s.connect(("203.0.113.2", 80))
		        held.append(s)
		    except OSError as error:
		        print(error, flush=True)
		        time.sleep(0.05)
		print("held", flush=True)
		while not os.path.exists(sys.argv[1]):
		    time.sleep(0.05)
		for s in held:
		    # A reset: no TIME_WAIT, which would hold the port for a minute
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
		    s.close()
		print("let go", flush=True)
	END
	wait_for 10 grep -q held "$work/held"
	grep -q 'Cannot assign requested address' "$work/held"
	sleep 4	# longer than --idle: open sockets keep what they use
	same "binds" 2 "$(ctl -j bindings | jq length)"
	touch "$work/go"
	wait_for 10 grep -q 'let go' "$work/held"
	wait_for 10 binds 1
}

binds() { [ "$(ctl -j bindings | jq length)" = "$1" ]; }

# A remote flow policy: each new peer gets a lease of its own first.
# covers: FLOW-12 HOST-03
test_lease_for_each_peer() {
	config 'clients: [{match: 10.0.0.0/8, remote-policy: macro}]'
	lab
	ip -n "${lab}y" addr add 198.51.100.7/32 dev lo
	ip -n "${lab}n" route add 198.51.100.7 via 203.0.113.2
	gateway
	serve y 203.0.113.2
	serve y 198.51.100.7
	rsip x1 -g 10.0.0.1 up -d --spis 0 --ports 2
	same "binds" 0 "$(ctl -j bindings | jq length)"
	refused seen x1 203.0.113.2
	wait_for 5 seen x1 203.0.113.2
	refused seen x1 198.51.100.7
	wait_for 5 seen x1 198.51.100.7
	same "binds" '["198.51.100.7","203.0.113.2"]' "$(ctl -j bindings | jq -c '[.[].remote] | sort')"
	same "to the wrong peer" 0 "$(outcome out-remote-address)"
	rsip x1 down
}

# The other host's port of our own address cannot be reached, and that is said at once; our own can.
# covers: HOST-10
test_same_address() {
	local port
	lab
	gateway
	rsip_up x1 --spis 0 --ports 1
	rsip_up x2 --spis 0 --ports 1
	same "the port of x2" "No route to host" "$(reach x1 "$(ports x2)")"
	port=$(ports x1)
	on x1 busybox nc -l -p "$port" </dev/null &
	wait_for 5 listens x1 ":$port"
	same "its own port" "reached" "$(reach x1 "$port")"
}

# What connecting to a port of Nb comes to: reach HOST PORT
reach() {
	on "$1" python3 -c '
import os, socket, sys
error = socket.socket().connect_ex(("203.0.113.10", int(sys.argv[1])))
print(os.strerror(error) if error else "reached")' "$2"
}

# A port with a connection in TIME_WAIT is not freed.
# covers: HOST-07
test_time_wait() {
	lab
	gateway
	serve y 203.0.113.2
	rsip_up x1 --spis 0 --ports 1
	seen x1 203.0.113.2
	on x1 ss -Htan state time-wait | grep -q 203.0.113.10
	timeout 20 nsenter --net="/run/netns/${lab}x1" "$build/rsip" release "$(rsip_field x1 .lease.bind)" >"$work/release.log" 2>&1 &
	sleep 2
	binds 1
	# It can wait for a minute; here the connection is made to be forgotten.
	on x1 ss -K state time-wait src 203.0.113.10 >/dev/null || skip "this kernel cannot end connections in TIME_WAIT"
	if on x1 ss -Htan state time-wait | grep -q 203.0.113.10; then skip "this kernel cannot end connections in TIME_WAIT"; fi
	wait_for 5 binds 0
}

# Another private address: another host to the gateway, with other leases; nothing of the old ones is left.
# covers: HOST-03 HOST-06
test_address_changes() {
	local answer before
	config 'clients: [{match: 10.0.0.0/8, remote-policy: macro}]'
	lab
	gateway
	serve y 203.0.113.2
	mkdir "$work/swan"
	rsip_up x1 --spis 4 --ports 2 --remote 203.0.113.2 --remote 198.51.100.7 --strongswan "$work/swan"
	wait_for 5 binds 2
	before=$(ports x1)
	ip -n "${lab}x1" addr add 10.0.0.99/24 dev eth0
	ip -n "${lab}x1" addr del 10.0.0.11/24 dev eth0
	ip -n "${lab}x1" addr show dev eth0 | grep -q 10.0.0.99 || ip -n "${lab}x1" addr add 10.0.0.99/24 dev eth0
	ip -n "${lab}x1" route replace default via 10.0.0.1
	wait_for 10 known_as x1 10.0.0.99
	wait_for 10 rsip_has_lease x1
	[ "$before" != "$(ports x1)" ] || fail "still $before"
	read -r -a answer < <(seen x1 203.0.113.2)
	leased x1 "${answer[1]}"
	grep -q "spi_min = 0x$(printf %08x "$(rsip_field x1 '.leases[0].spis | split("-")[0]')")" "$work/swan/rsip.conf"
}

known_as() { [ "$(rsip_field "$1" .host)" = "$2" ]; }

# A socket of IPv6 that speaks IPv4, as programs have that serve both: the same ports, the same refusals.
# covers: HOST-06 RSAP-21 HOST-10
test_mapped_address() {
	local answer
	[ -e /proc/net/if_inet6 ] || skip "this kernel has no IPv6"
	lab
	gateway
	serve y 203.0.113.2
	serve x2 10.0.0.12
	rsip_up x1 --spis 0 --ports 2
	rsip_up x2 --spis 0 --ports 1
	for _ in 1 2; do
		read -r -a answer < <(seen_mapped x1 203.0.113.2)
		same "address seen" 203.0.113.10 "${answer[0]}"
		leased x1 "${answer[1]}"
	done
	read -r -a answer < <(seen_mapped x1 10.0.0.12)
	same "address seen" 10.0.0.11 "${answer[0]}"
	read -r -a answer < <(on x1 python3 -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.connect(("::ffff:203.0.113.2", 53))
print(*s.getsockname()[:2])')
	same "address of a UDP socket" ::ffff:203.0.113.10 "${answer[0]}"
	leased x1 "${answer[1]}"
	same "the port of x2" "[Errno 113] No route to host" "$(seen_mapped x1 203.0.113.10 "$(ports x2)")"
	same "not leased" 0 "$(outcome out-no-port)"
}

# seen_mapped HOST SERVER [PORT]
seen_mapped() { connect_ipv6 "$1" "::ffff:$2" "${3:-80}"; }

# What a server answers to a socket of IPv6, or why there is no answer: connect_ipv6 HOST ADDRESS PORT
connect_ipv6() {
	on "$1" python3 -c '
import http.client, socket, sys
s = socket.socket(socket.AF_INET6)
s.settimeout(5)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    sys.exit(print(error))
s.sendall(b"GET / HTTP/1.0\r\n\r\n")
answer = http.client.HTTPResponse(s)
answer.begin()
print(answer.read().decode().strip())' "$2" "$3"
}

# covers: HOST-06
test_manual() {
	lab
	gateway
	serve y 203.0.113.2
	rsip_up x1 --spis 0 --ports 1 --manual
	refused seen x1 203.0.113.2
	same "asked from the leased end" "203.0.113.10 $(ports x1)" \
		"$(on x1 curl -sS --max-time 5 --interface 203.0.113.10 --local-port "$(ports x1)" http://203.0.113.2/)"
}

run_tests "$@"
