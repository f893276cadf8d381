#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every way to speak IKE and to protect traffic, through everything that happens
# to a security association in its life. A row of the table is a cell: two hosts
# that lease the same address, one peer, unmodified strongSwan and the kernel's
# ESP and AH at all three.
#
#   tests/ipsec/test_matrix.sh              the rows marked "quick"
#   MATRIX=all tests/ipsec/test_matrix.sh   all of them
#   ROW=REGEX                               rows that match
: "${TEST_TIMEOUT:=900}"
# shellcheck source-path=SCRIPTDIR source=../netns/lib.sh disable=SC2119
. "$(dirname "$0")/../netns/lib.sh"
# shellcheck source=guest.sh
. "$(dirname "$0")/guest.sh"
# shellcheck source=pki.sh
. "$(dirname "$0")/pki.sh"
# shellcheck source=cell.sh
. "$(dirname "$0")/cell.sh"

# run    port       IKE           auth          MOBIKE  protection     more settings of the connection
TABLE='
all      500        2             secret        no      esp-tunnel
all      500        2             certificates  yes     esp-transport
all      500        2             secret        yes     esp-tunnel
all      500        2             secret        yes     esp-transport
all      500        2             secret        yes     ah-transport
all      500        2             secret        no      esp-transport
all      500        2             secret        no      ah-transport
all      500        2             certificates  yes     esp-tunnel
all      500        2             certificates  yes     ah-transport
all      500        2             certificates  no      esp-tunnel
all      500        2             certificates  no      esp-transport
all      500        2             certificates  no      ah-transport
all      500        1-main        certificates  -       esp-tunnel
all      500        1-main        certificates  -       esp-transport
all      500        1-main        certificates  -       ah-transport
all      500        1-aggressive  secret        -       esp-tunnel
all      500        1-aggressive  secret        -       esp-transport
quick    500        1-aggressive  secret        -       ah-transport
quick    500        2             secret        yes     esp-tunnel     encap=yes
all      500        1-main        certificates  -       esp-tunnel     encap=yes
quick    500        2             large-certificates no esp-tunnel     fragmentation=no
all      500        2             large-certificates no ah-transport   fragmentation=no
all      ephemeral  2             secret        yes     esp-tunnel
all      ephemeral  2             secret        yes     esp-transport
all      ephemeral  2             secret        yes     ah-transport
all      ephemeral  2             secret        no      esp-tunnel
all      ephemeral  2             secret        no      esp-transport
all      ephemeral  2             secret        no      ah-transport
all      ephemeral  2             certificates  yes     esp-tunnel
all      ephemeral  2             certificates  yes     esp-transport
all      ephemeral  2             certificates  yes     ah-transport
all      ephemeral  2             certificates  no      esp-tunnel
all      ephemeral  2             certificates  no      esp-transport
all      ephemeral  2             certificates  no      ah-transport
all      ephemeral  1-main        certificates  -       esp-tunnel
quick    ephemeral  1-main        certificates  -       esp-transport
all      ephemeral  1-main        certificates  -       ah-transport
all      ephemeral  1-aggressive  secret        -       esp-tunnel
all      ephemeral  1-aggressive  secret        -       esp-transport
all      ephemeral  1-aggressive  secret        -       ah-transport
'

# What happens to x1's tunnel in a cell, in this order; x2's must not notice. With
# port 500 the peer cannot begin a phase 1 of IKEv1. It can rekey an IKE SA of IKEv2,
# in which then the host speaks first: it asks whether the peer is there. See test_life.sh.
events() {
	local peer=peer_rekeys_ike
	case $port,$IKE in 500,1-*) peer='' ;; esac
	echo rekey_child rekey_ike peer_rekeys_child $peer detect_peer delete_ike peer_deletes_ike
}

# rows PORT: those of the table that are to be run
rows() {
	awk -v port="$1" -v run="${MATRIX:-quick}" -v want="${ROW:-.}" \
		'$2 == port && (run == "all" || $1 == run) && $0 ~ want' <<<"$TABLE"
}

# run_rows PORT: each row in turn; one that fails does not end the others
run_rows() {
	local row result failed='' seconds
	local port IKE auth mobike protection settings
	while read -r row; do
		read -r _ port IKE auth mobike protection settings <<<"$row"
		seconds=$SECONDS
		(set -eE; cell) >"$work/cell" 2>&1 &
		if wait $!; then
			result=ok
		else
			result=failed failed="$failed\n$row"
			cat "$work/cell"
			guest cell_logs
		fi
		guest swan_stop x1 x2 y
		echo "$row: $result, $((SECONDS - seconds)) s"
		record "$result" strongSwan strongSwan "IKEv$IKE, $auth${settings:+, $settings}" "$mobike" "$port" "$protection" \
			"$(events | sed 's/ /, /g; s/_/ /g')"
	done < <(rows "$1")
	[ -z "$failed" ] || fail "cells that failed:$(echo -e "$failed")"
}

cell() {
	connect
	# shellcheck disable=SC2046 # words
	live_through $(events)
	[ "$settings" != fragmentation=no ] || in_fragments
}

# --- the tests ------------------------------------------------------------------------------

# covers: IN-04 IN-05 IN-31 IKE-01 IKE-03 IKE-12 APE-05 EG-07 IPS-12 IPS-17 TUN-01
test_port_500() {
	raise
	run_rows 500
}

# covers: IN-08 IPS-23 RSAP-21 APE-02
test_ephemeral_port() {
	raise --ike ephemeral
	run_rows ephemeral
}

run_tests "$@"
