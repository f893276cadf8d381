# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two hosts that lease the same address, one peer, unmodified strongSwan and the
# kernel's ESP and AH at all three: how they connect, what passes, and what may
# happen to their security associations. x1 is where things happen, x2 is to
# notice nothing. Sourced after lib.sh, guest.sh and pki.sh.
#
# shellcheck disable=SC2154 # set by whoever sources this
# What is to be tried, for connect and what follows it:
#   IKE         2, 1-main or 1-aggressive
#   auth        secret, certificates, large-certificates (more than a packet holds)
#   mobike      yes or no, with IKE 2
#   protection  esp-tunnel, esp-transport, ah-transport
#   upper       what transport mode is for: udp, if nothing is said; with IKE 2 also several, "udp tcp"
#   dead_peers  after how much silence a host asks whether the peer is there (2s)
#   settings    one more setting of the connections, as KEY=VALUE, or nothing

NB=203.0.113.10 Y=203.0.113.2

# raise [OPTION of rsip up...]: lab, daemon, guest; both hosts with a lease
raise() {
	[ -x "$UML" ] || skip "user-mode-linux is not installed"
	lab -g
	gateway
	guest_life=$TEST_TIMEOUT guest_start x1 x2 y
	# What transport mode is for: each host's own port, as selector (RFC 3104, Appendix A).
	guest rsip_up "$build/rsip" x1 --manual --ports 1 "$@" &
	guest rsip_up "$build/rsip" x2 --manual --ports 1 "$@"
	wait $!
	same "addresses" "$NB" "$(ctl -j bindings | jq -r '[.[].address] | unique | join(" ")')"
	ports
	guest answer_datagrams y $Y 7
}

# The port of each host's own, behind those of IKE.
ports() {
	local host
	declare -gA own_port
	for host in x1 x2; do
		own_port[$host]=$(ctl -j bindings | jq -r ".[] | select(.client == \"10.0.0.1${host#x}\").ports" | grep -oE '[0-9]+$')
	done
}

# What the gateway dropped, and why.
dropped() {
	ctl -j counters | jq -r '[.outcomes[] | select(.verdict == "drop" and .packets > 0) | "\(.outcome) \(.packets)"] | join(", ")'
}

# charon on all three, with the connections of this cell
connect() {
	local host
	for host in x1 x2; do
		connect_host $host
		connect_peer $host
	done
	guest swan_start y x1 x2
}

# connect_host HOST [SETTING...]: its end of the connection
connect_host() {
	local host=$1 mine=()
	shift
	settings_of_ike mine "$host"
	mine+=("dpd_delay = ${dead_peers:-2s}" "$@")
	selectors mine $NB "${own_port[$host]}" $Y 7
	guest swan_conf "$host" "${charon[@]}"
	guest swan_conn "$host" home $NB $Y "$protection" "${mine[@]}"
}

# connect_peer HOST: y's end of the connection with HOST; first that with x1
connect_peer() {
	local host=$1 mine=()
	settings_of_ike mine y
	selectors mine $Y 7 $NB "${own_port[$host]}"
	[ "$host" != x1 ] || guest swan_conf y "${charon[@]}"
	guest swan_conn y "$host" $Y any "$protection" "${mine[@]}"
}

charon=("delete_rekeyed = yes" "i_dont_care_about_security_and_use_aggressive_mode_psk = yes")

# settings_of_ike ARRAY HOST: gets what both ends of a connection have
settings_of_ike() {
	local -n added=$1
	local names
	case $IKE in
	2) added+=("version = 2" "mobike = $mobike") ;;
	1-main) added+=("version = 1") ;;
	1-aggressive) added+=("version = 1" "aggressive = yes") ;;
	esac
	if [ -n "$settings" ]; then added+=("${settings/=/ = }"); fi
	case $auth in
	secret) return ;;
	certificates) names=0 ;;
	large-certificates) names=60 ;;
	esac
	added+=(certificates)
	[ -d "$work/$auth" ] || pki_make "$work/$auth" 2048 $names x1 x2 y
	guest swan_credentials "$2" "$work/$auth"
}

# selectors ARRAY LOCAL PORT REMOTE PORT: added to a connection in transport mode
selectors() {
	# shellcheck disable=SC2178 # an array, by its name
	local -n added=$1
	local protocol here='' there=''
	for protocol in ${upper:-udp}; do
		here+=",$2/32[$protocol/$3]" there+=",$4/32[$protocol/$5]"
	done
	case $protection in *-transport) added+=("child:local_ts = ${here#,}" "child:remote_ts = ${there#,}") ;; esac
}

# live_through EVENT...: both hosts connect; after each EVENT traffic is as it was
live_through() {
	local event drops
	drops=$(dropped)
	wire_start y
	# Also where this ends halfway and the test does not.
	trap 'kill "${wire_pids[@]}" 2>/dev/null || true' EXIT
	exchanged=0
	guest initiate x1 x2
	traffic 10 1000
	for event in "$@"; do
		echo "$event"
		"$event"
		traffic 4 100
	done
	wire_stop
	native
	same "dropped by the gateway" "$drops" "$(dropped)"
}

# traffic COUNT SIZE: there and back in both tunnels at once; every kernel has taken in
# and sent exactly that.
traffic() {
	local before after wanted n bytes=$(($2 + 28))
	before=$(guest carried x1:$NB:2 x2:$NB:2 y:$Y:4)
	exchange x1 "$1" "$2" &
	exchange x2 "$1" "$2"
	wait $!
	after=$(guest carried x1:$NB:2 x2:$NB:2 y:$Y:4)
	# ICMP or UDP with its IPv4 header; in transport mode the kernel does not count that.
	case $protection in *-transport) bytes=$(($2 + 8)) ;; esac
	wanted=$(for n in "$1" "$1" $((2 * $1)); do echo "$n $((n * bytes)) $n $((n * bytes))"; done)
	same "packets and bytes in and out at x1, x2, y" "$wanted" \
		"$(paste -d' ' <(echo "$before") <(echo "$after") | awk '{ print $5 - $1, $6 - $2, $7 - $3, $8 - $4 }')"
	exchanged=$((exchanged + 2 * $1))
}

# exchange HOST COUNT SIZE
exchange() {
	case $protection in
	*-tunnel) guest echo_test "$1" "10.50.${1#x}.1" 10.99.0.1 "$2" "$3" ;;
	*-transport) guest datagrams "$1" $NB "${own_port[$1]}" $Y 7 "$2" "$3" ;;
	esac
}

# The wire beyond the gateway had those packets, as native ESP or AH.
native() {
	local number=50
	case $protection,$settings in
	*,encap=yes)
		same "ESP in UDP" "$exchanged $exchanged" "$(wire_count y "$in_udp and src $NB") $(wire_count y "$in_udp and src $Y")"
		same "native ESP" 0 "$(wire_count y "ip proto 50")"
		return
		;;
	ah-*) number=51 ;;
	esac
	same "native packets to and from y" "$exchanged $exchanged" \
		"$(wire_count y "ip proto $number and src $NB and dst $Y") $(wire_count y "ip proto $number and src $Y and dst $NB")"
	same "ESP in UDP" 0 "$(wire_count y "$in_udp")"
}

# IKE that is larger than a packet went in fragments, both ways.
in_fragments() {
	local fragments='ip[6:2] & 0x3fff != 0' from
	for from in $NB $Y; do
		[ "$(wire_count y "$fragments and src $from")" -ge 4 ] || fail "no fragments from $from"
	done
}

# On port 4500 IKE begins with four zero bytes, and a keep-alive is one byte.
in_udp='udp and port 4500 and udp[4:2] > 12 and udp[8:4] != 0'

# record RESULT X Y IKE MOBIKE PORT PROTECTION EVENTS: for scripts/interop.sh, which makes
# a table of docs/interop.md of it. X and Y: the stack, and a comma before what else is to be said
record() {
	local result=$1 x=$2 y=$3
	shift 3
	mkdir -p "$build/tests/results"
	(
		IFS='|'
		echo "$(version "$x")|$(version "$y")|$*|$result"
	) >>"$build/tests/results/interop"
}

version() {
	local stack=${1%%,*}
	case $stack in
	strongSwan) echo "$stack $(dpkg-query -W -f '${Version}' strongswan-charon | sed 's/-.*//')${1#"$stack"}" ;;
	*) echo "$stack $(cat "$build/stacks/$stack/version")${1#"$stack"}" ;;
	esac
}

# Libreswan unpacked, as $stack
have_libreswan() {
	stack=$build/stacks/Libreswan
	"$top/tests/ipsec/unpack.sh" "$stack" libreswan libnss3-tools libldns3 libevent-pthreads-2.1-7 libevent-core-2.1-7 \
		libcurl3-nss libunbound8 libnss3 libnspr4 >"$work/unpack" 2>&1 || skip "no packages: $(tail -n 1 "$work/unpack")"
}

# --- what happens --------------------------------------------------------------------------

# new_spi HOST COMMAND...: COMMAND gives HOST other SPIs than it takes something in at now
new_spi() {
	local host=$1 old
	shift
	old=$(guest spis_in "$host")
	"$@" >>"$work/events.log"
	guest eventually 10 others "$old" spis_in "$host"
}

# new_cookie COMMAND...: COMMAND gives x1's IKE SA another cookie. With IKEv1 the old
# IKE SA stays ten seconds.
new_cookie() {
	local old
	old=$(guest ike x1 initiator-spi)
	"$@" >>"$work/events.log"
	guest eventually 25 others "$old" ike x1 initiator-spi
	guest eventually 10 established x1
}

rekey_child() {
	new_spi x1 guest swan x1 --rekey --child net
	leased x1
}

peer_rekeys_child() {
	new_spi x1 guest swan y --rekey --child net
	leased x1
}

# The first word in the new IKE SA has to be x1's: by it the gateway learns the cookie.
rekey_ike() {
	new_cookie guest swan x1 --rekey --ike home
	detect_peer
}

peer_rekeys_ike() { new_cookie guest swan y --rekey --ike x1; }

# x1 asks whether y is there, and hears that it is.
detect_peer() {
	local answer='parsed INFORMATIONAL response|DPD_ACK' asked answered
	asked=$(guest said x1 'sending DPD request') || true
	answered=$(guest said x1 "$answer") || true
	guest eventually 10 says_more x1 'sending DPD request' "$asked"
	guest eventually 10 says_more x1 "$answer" "$answered"
}

delete_ike() {
	guest swan x1 --terminate --ike home >>"$work/events.log"
	guest eventually 10 settled 0:x1 2:x2 2:y
	guest initiate x1
}

peer_deletes_ike() {
	guest swan y --terminate --ike x1 >>"$work/events.log"
	guest eventually 10 settled 0:x1 2:x2 2:y
	guest initiate x1
}
