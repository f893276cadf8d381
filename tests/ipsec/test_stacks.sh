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

# Libreswan unpacked, as $stack
have_libreswan() {
	stack=$build/stacks/Libreswan
	"$top/tests/ipsec/unpack.sh" "$stack" libreswan libnss3-tools libldns3 libevent-pthreads-2.1-7 libevent-core-2.1-7 \
		libcurl3-nss libunbound8 libnss3 libnspr4 >"$work/unpack" 2>&1 || skip "no packages: $(tail -n 1 "$work/unpack")"
}

# tried EVENT...: connects x1 and x2 with Libreswan, and writes down that it went well
tried() {
	guest swan_start x1 x2
	live_through "$@"
	record ok strongSwan Libreswan "IKEv$IKE, $auth" "$mobike" "$port" "$protection" "$(sed 's/ /, /g; s/_/ /g' <<<"$*")"
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
	leased
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
	echoes_of_x1
	new_spi y guest libre_whack "$stack/root" x1 --rekey-ipsec --name home
	echoes_of_x1
	old=$(guest ike y initiator-spi)
	guest swan y --rekey --ike x1
	guest eventually 10 others "$old" ike y initiator-spi
	echoes_of_x1
	new_spi y guest swan y --rekey --child net
	echoes_of_x1
	wire_stop
	same "native ESP to y" 40 "$(wire_count y "ip proto 50 and src $NB")"
	same "native ESP from y" 40 "$(wire_count y "ip proto 50 and dst $NB")"
	same "dropped by the gateway" "" "$(dropped)"
	record ok "Libreswan, whole address" strongSwan "IKEv2, secret" no 500 esp-tunnel \
		"rekey child, peer rekeys ike, peer rekeys child"
}

echoes_of_x1() {
	local before after
	before=$(guest carried x1:$NB:2 y:$Y:2)
	guest echo_test x1 10.50.1.1 10.99.0.1 10 600
	after=$(guest carried x1:$NB:2 y:$Y:2)
	same "packets and bytes in and out at x1 and y" "$(printf '%s\n' "10 6280 10 6280" "10 6280 10 6280")" \
		"$(paste -d' ' <(echo "$before") <(echo "$after") | awk '{ print $5 - $1, $6 - $2, $7 - $3, $8 - $4 }')"
}

[ $# -gt 0 ] || [ "${MATRIX:-quick}" = all ] || set -- libreswan_port_500
run_tests "$@"
