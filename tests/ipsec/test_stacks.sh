#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Other IKE daemons than strongSwan as the peer. They are unpacked into
# build/stacks, not installed. Without MATRIX=all only one of them.
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

# have NAME PACKAGE...: unpacked, as $stack
have() {
	local name=$1
	shift
	stack=$build/stacks/$name
	"$top/tests/ipsec/unpack.sh" "$stack" "$@" >"$work/unpack" 2>&1 || skip "no packages of $name: $(tail -n 1 "$work/unpack")"
}

# tried PEER EVENT...: connects x1 and x2, and after each EVENT traffic is as it was
tried() {
	local peer=$1 event
	shift
	guest swan_start x1 x2
	wire_start y
	exchanged=0
	guest initiate x1 x2 || {
		guest cell_logs
		return 1
	}
	traffic 10 1000
	for event in "$@"; do
		echo "$event"
		"$event"
		traffic 4 100
	done
	wire_stop
	native
	same "dropped by the gateway" "" "$(dropped)"
	record ok strongSwan "$peer" "IKEv$IKE, $auth" "$mobike" "$port" "$protection" "$(sed 's/ /, /g; s/_/ /g' <<<"$*")"
}

libreswan() {
	local host
	have Libreswan libreswan libnss3-tools libldns3 libevent-pthreads-2.1-7 libevent-core-2.1-7 libcurl3-nss libunbound8 libnss3 libnspr4
	for host in x1 x2; do connect_host $host; done
	guest libre_conf y "left=$Y" "ikev2=insist" "ike=aes128-sha2;dh31" "esp=aes_gcm128" "pfs=no"
	guest libre_start y "$stack"
}

libreswan_rekeys_child() {
	local old
	old=$(guest spis_in x1)
	guest libre_whack "$stack/root" y --rekey-ipsec --name x1
	guest eventually 10 others "$old" spis_in x1
	leased
}

libreswan_rekeys_ike() {
	local old
	old=$(guest ike x1 initiator-spi)
	guest libre_whack "$stack/root" y --rekey-ike --name x1
	guest eventually 25 others "$old" ike x1 initiator-spi
	guest eventually 10 established x1
}

# covers: IN-04 IKE-01 EG-07 IPS-12
test_libreswan_port_500() {
	local port=500 IKE=2 auth=secret mobike=no protection=esp-tunnel settings=''
	raise
	libreswan
	tried Libreswan rekey_child rekey_ike libreswan_rekeys_child delete_ike
}

# covers: IN-08 IPS-23
test_libreswan_ephemeral_port() {
	local port=ephemeral IKE=2 auth=secret mobike=no protection=esp-tunnel settings=''
	raise --ike ephemeral
	libreswan
	tried Libreswan rekey_child libreswan_rekeys_child libreswan_rekeys_ike delete_ike
}

# covers: IN-04 IKE-01 EG-07 IPS-12
test_openiked_port_500() {
	local port=500 IKE=2 auth=secret mobike=no protection=esp-tunnel settings='' host
	raise
	have OpenIKED openiked libevent-2.1-7
	for host in x1 x2; do connect_host $host "child:esp_proposals = aes128-sha1-noesn"; done
	guest iked_start y "$stack"
	tried OpenIKED rekey_child rekey_ike delete_ike
}

[ $# -gt 0 ] || [ "${MATRIX:-quick}" = all ] || set -- libreswan_port_500
run_tests "$@"
