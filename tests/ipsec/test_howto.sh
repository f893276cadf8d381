#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What docs/operations.md tells who has an IPsec host to do, as it stands there: its files
# are written where it says, its commands are run. Without MATRIX=all strongSwan only.
# shellcheck disable=SC2119
: "${TEST_TIMEOUT:=300}"
# shellcheck source-path=SCRIPTDIR source=../netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=guest.sh
. "$(dirname "$0")/guest.sh"
# shellcheck source=pki.sh
. "$(dirname "$0")/pki.sh"
# shellcheck source=cell.sh
. "$(dirname "$0")/cell.sh"

# blocks SECTION FILE: the block that comes after the name of FILE. With "sh": all commands but the hook.
blocks() {
	awk -v section="### $1" -v file="$2" '
		/^##/ { here = $0 == section }
		!here { next }
		/^```/ && inside { inside = 0; if (file != "sh") exit; next }
		/^```/ { inside = file == "sh" ? /sh$/ : named; next }
		inside && /^#!/ { inside = 0 }
		inside
		index($0, "`" file "`") { named = 1 }' "$top/docs/operations.md"
}

# put HOST PATH SECTION: a file as the how-to has it, on HOST; the how-to speaks of x1
put() {
	blocks "$3" "$2" | sed "s/x1/$1/" >"$guest_out/file"
	[ -s "$guest_out/file" ] || fail "operations.md has no $2"
	guest on "$1" install -m 600 /out/file "$2"
}

# commands HOST SECTION
commands() {
	blocks "$2" sh >"$guest_out/commands-$1"
	grep -q ping "$guest_out/commands-$1" || fail "operations.md has no commands"
	guest_limit=90 guest as_written "$1" "/out/commands-$1" "$build"
}

# The network of the how-to: hosts, gateway, a peer with a network behind it; strongSwan at the peer.
raise_network() {
	[ -x "$UML" ] || skip "user-mode-linux is not installed"
	lab -g
	config "pools: [{name: shared, addresses: [$NB]}, {name: whole, addresses: [203.0.113.11], methods: [rsa-ip]}]"
	ip -n "${lab}n" route add local 203.0.113.11 dev wan0
	ip -n "${lab}n" route add 198.51.100.7 via $Y
	gateway
	guest_life=$TEST_TIMEOUT guest_start x1 x2 y
	guest own_etc x1 x2 y
	guest on y ip addr add 198.51.100.7/32 dev lo
	guest on y ip addr add 192.0.2.1/32 dev lo
	pki_make "$guest_out/pki" 2048 0 x1 x2 gw
	wire_start y
}

# certificate HOST NAME: that of NAME and its key, to HOST
certificate() {
	guest on "$1" cp "/out/pki/$2.pem" /etc/swanctl/x509/
	guest on "$1" cp "/out/pki/$2.key" /etc/swanctl/private/
	guest on "$1" cp /out/pki/ca.pem /etc/swanctl/x509ca/
}

peer_starts() {
	echo "systemctl restart strongswan" >"$guest_out/commands-y"
	guest as_written y /out/commands-y "$build"
}

# native_only COUNT: so much ESP each way, none of it in UDP, and nothing lost
native_only() {
	wire_stop
	same "native ESP to and from y" "$1 $1" "$(wire_count y "ip proto 50 and dst 198.51.100.7") $(wire_count y "ip proto 50 and src 198.51.100.7")"
	same "ESP in UDP" 0 "$(wire_count y "$in_udp")"
	same "dropped by the gateway" "" "$(dropped)"
}

# Two hosts with one address, each as the how-to says. Nothing there turns MOBIKE off: IKE moves to
# port 4500 after its first exchange, ESP stays native.
# covers: IN-04 IN-31 IKE-01 IKE-03 EG-07 IPS-12 HOST-03
test_strongswan() {
	local host
	raise_network
	certificate x1 x1
	certificate x2 x2
	certificate y gw
	for host in x1 x2; do put $host /etc/swanctl/conf.d/home.conf strongSwan; done
	put y /etc/swanctl/conf.d/hosts.conf strongSwan
	peer_starts
	commands x1 strongSwan &
	commands x2 strongSwan
	wait $!
	native_only 6
	leased x1
	[ "$(wire_count y "udp and src $NB and src port 4500 and dst port 4500")" -ge 4 ] || fail "no IKE on port 4500"
}

# covers: IPS-12
test_libreswan() {
	have_libreswan
	raise_network
	guest libre_install x2 "$stack/root"
	put x2 /etc/ipsec.d/home.conf Libreswan
	put x2 /etc/ipsec.d/home.secrets Libreswan
	cat >"$guest_out/psk.conf" <<-END
		connections {
			x2 {
				version = 2
				local {
					auth = psk
					id = gw.example
				}
				remote {
					auth = psk
					id = x2.example
				}
				children {
					net {
						local_ts = 192.0.2.0/24
					}
				}
			}
		}
		secrets {
			ike {
				id = x2.example
				secret = $(blocks Libreswan /etc/ipsec.d/home.secrets | sed 's/.*PSK//')
			}
		}
	END
	guest on y cp /out/psk.conf /etc/swanctl/conf.d/
	peer_starts
	commands x2 Libreswan
	native_only 3
}

[ $# -gt 0 ] || [ "${MATRIX:-quick}" = all ] || set -- strongswan
run_tests "$@"
