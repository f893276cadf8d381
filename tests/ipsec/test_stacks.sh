#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Another IKE daemon than strongSwan as the peer and as the host: Libreswan. It is
# unpacked into build/stacks, not installed. Without MATRIX=all only one of them.
# shellcheck disable=SC2034,SC2119 # what is to be tried, for cell.sh
: "${TEST_TIMEOUT:=300}"
# shellcheck source-path=SCRIPTDIR source=../netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=guest.sh
. "$(dirname "$0")/guest.sh"
# shellcheck source=pki.sh
. "$(dirname "$0")/pki.sh"
# shellcheck source=cell.sh
. "$(dirname "$0")/cell.sh"

# tried EVENT...: connects x1 and x2 with $stack, and writes down that it went well
tried() {
	guest swan_start x1 x2
	live_through "$@"
	record ok strongSwan "${stack##*/}" "IKEv$IKE, $auth" "$mobike" "$port" "$protection" "$(sed 's/ /, /g; s/_/ /g' <<<"$*")"
}

# The hosts' ends, and Libreswan at the peer's.
libreswan() {
	local host
	have_libreswan
	for host in x1 x2; do connect_host $host; done
	guest libre_conf y "left=$Y" "ikev2=insist" "ike=aes128-sha2;dh31" "esp=aes_gcm128" "pfs=no"
	guest libre_start y "$stack"
}

libreswan_rekeys_child() {
	new_spi x1 guest libre_whack "$stack/root" y --rekey-ipsec --name x1
	leased x1
}

libreswan_rekeys_ike() { new_cookie guest libre_whack "$stack/root" y --rekey-ike --name x1; }

# covers: IN-04 IKE-01 EG-07 IPS-12
test_libreswan_port_500() {
	local port=500 IKE=2 auth=secret mobike=no protection=esp-tunnel settings=''
	raise
	libreswan
	tried rekey_child libreswan_rekeys_child rekey_ike delete_ike
}

# covers: IN-08 IPS-23
test_libreswan_ephemeral_port() {
	local port=ephemeral IKE=2 auth=secret mobike=no protection=esp-tunnel settings=''
	raise --ike ephemeral
	libreswan
	tried rekey_child libreswan_rekeys_child libreswan_rekeys_ike delete_ike
}

# --- OpenIKED ------------------------------------------------------------------------------

# x1 and x2 for OpenIKED, which gets OPTION... in its policies. On Linux it marks SAs with nothing
# but both addresses: of two SAs between the same two the kernel uses the newer one, whose ever the
# packet is. So here is one host at a time.
openiked() {
	local host
	stack=$build/stacks/OpenIKED
	"$top/tests/ipsec/unpack.sh" "$stack" openiked libevent-2.1-7 >"$work/unpack" 2>&1 ||
		skip "no packages: $(tail -n 1 "$work/unpack")"
	for host in x1 x2; do connect_host $host "child:esp_proposals = aes128-sha1"; done
	guest iked_start "$stack/root" "$@"
	guest swan_start x1 x2
	wire_start y
}

openiked_ends() {
	wire_stop
	same "native ESP to and from y" "$1 $1" "$(wire_count y "ip proto 50 and src $NB") $(wire_count y "ip proto 50 and dst $NB")"
	same "ESP in UDP" 0 "$(wire_count y "$in_udp")"
	same "dropped by the gateway" "" "$(dropped)"
}

# covers: IN-04 IKE-01 EG-07 IPS-12
test_openiked_port_500() {
	local port=500 IKE=2 auth=secret mobike=no protection=esp-tunnel settings='' event
	raise
	openiked
	guest initiate x1
	echoes x1
	for event in rekey_child rekey_ike; do
		$event
		echoes x1
	done
	guest swan x1 --terminate --ike home >>"$work/events.log"
	guest eventually 10 settled 0:x1 0:y
	guest initiate x2
	echoes x2
	openiked_ends 40
	record ok strongSwan "OpenIKED, one host at a time" "IKEv2, secret" no 500 esp-tunnel "rekey child, rekey ike, delete ike"
}

# OpenIKED rekeys when it says so, and this soon.
# covers: IN-08 IPS-23
test_openiked_ephemeral_port() {
	local port=ephemeral IKE=2 auth=secret mobike=no protection=esp-tunnel settings='' spi cookie
	raise --ike ephemeral
	openiked ikelifetime 12 lifetime 8
	guest initiate x1
	spi=$(guest spis_in x1)
	cookie=$(guest ike x1 initiator-spi)
	guest echo_test x1 10.50.1.1 10.99.0.1 4
	guest eventually 25 others "$spi" spis_in x1
	leased x1
	guest eventually 25 others "$cookie" ike x1 initiator-spi
	guest echo_test x1 10.50.1.1 10.99.0.1 4
	openiked_ends 8
	record ok strongSwan "OpenIKED, one host at a time" "IKEv2, secret" no ephemeral esp-tunnel \
		"openiked rekeys child, openiked rekeys ike"
}

# Libreswan takes no SPI of somebody's choice, so as a host it leases a whole address
# (RSA-IP): every SPI and port of it is the host's, and a peer may begin what it likes.
test_libreswan_as_host() {
	local old
	[ -x "$UML" ] || skip "user-mode-linux is not installed"
	have_libreswan
	lab -g
	config "pools: [{name: whole, addresses: [$NB], methods: [rsa-ip]}]"
	gateway
	guest_start x1 x2 y
	guest on x1 "$build/rsip" -g 10.0.0.1 up -d --rsa-ip --manual
	guest swan_conf y
	guest swan_conn y x1 $Y any esp-tunnel "mobike = no"
	guest swan_start y
	guest libre_conf x1 "left=$NB" "right=$Y" "ikev2=insist" "ike=aes128-sha2;dh31" "esp=aes_gcm128" "pfs=no"
	guest libre_start x1 "$stack"
	wire_start y
	guest libre_whack "$stack/root" x1 --initiate --name home
	echoes x1
	new_spi y guest libre_whack "$stack/root" x1 --rekey-ipsec --name home
	echoes x1
	old=$(guest ike y initiator-spi)
	guest swan y --rekey --ike x1
	guest eventually 10 others "$old" ike y initiator-spi
	echoes x1
	new_spi y guest swan y --rekey --child net
	echoes x1
	wire_stop
	same "native ESP to y" 40 "$(wire_count y "ip proto 50 and src $NB")"
	same "native ESP from y" 40 "$(wire_count y "ip proto 50 and dst $NB")"
	same "dropped by the gateway" "" "$(dropped)"
	record ok "Libreswan, whole address" strongSwan "IKEv2, secret" no 500 esp-tunnel \
		"rekey child, peer rekeys ike, peer rekeys child"
}

# echoes HOST: ten through its tunnel, the only one of y; counted by both kernels
echoes() {
	local before after
	before=$(guest carried "$1:$NB:2" y:$Y:2)
	guest echo_test "$1" "10.50.${1#x}.1" 10.99.0.1 10 600
	after=$(guest carried "$1:$NB:2" y:$Y:2)
	same "packets and bytes in and out at $1 and y" "$(printf '%s\n' "10 6280 10 6280" "10 6280 10 6280")" \
		"$(paste -d' ' <(echo "$before") <(echo "$after") | awk '{ print $5 - $1, $6 - $2, $7 - $3, $8 - $4 }')"
}

[ $# -gt 0 ] || [ "${MATRIX:-quick}" = all ] || set -- libreswan_port_500
run_tests "$@"
