# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Hosts and peer in a guest kernel. The running kernel need not know ESP or AH:
# user-mode Linux (Debian package user-mode-linux) does, and its interfaces are
# the far ends of a lab raised with "lab.sh up -g". So native ESP and AH of a
# real stack cross the gateway, which runs on this kernel.
#
# shellcheck disable=SC2154 # set by whoever sources this
# Sourced, with $top, $lab and $work set; inside the guest, hosts.sh is at hand.

UML=/usr/bin/linux.uml
UML_MODULES=/usr/lib/uml/modules

# guest_start INTERFACE...: boots; the guest's vec0, vec1 ... are these
# interfaces of the lab's guest namespace. Ends by itself after ten minutes, or $guest_life seconds.
guest_start() {
	local devices=() name
	guest_out=$work/guest guest_count=0
	mkdir -p "$guest_out"
	for name in "$@"; do
		ip -n "${lab}guest" link set dev "$name" promisc on || return
		devices+=("vec${#devices[@]}:transport=raw,ifname=$name,depth=64")
	done
	TMPDIR=/dev/shm nsenter --net="/run/netns/${lab}guest" timeout -k 2 "${guest_life:-600}" \
		unshare -pf --kill-child --mount-proc "$UML" mem=512M \
		root=/dev/root rootfstype=hostfs rootflags=/ ro init="$top/tests/ipsec/guest-init.sh" \
		uml_dir="$guest_out/uml" con=null con0=fd:0,fd:1 quiet panic=-1 "${devices[@]}" \
		guest_out="$guest_out" guest_modules="$UML_MODULES" guest_lib="$top/tests/ipsec" \
		</dev/null >"$work/console.log" 2>&1 3>&- &
	guest_pid=$!
	guest_wait ready 40 || return
	guest set_up "$@"
}

guest_stop() {
	kill "$guest_pid" 2>/dev/null
	wait "$guest_pid" 2>/dev/null
}

# guest_wait FILE SECONDS: until the guest has made it
guest_wait() {
	local end=$((SECONDS + $2))
	until [ -e "$guest_out/$1" ]; do
		if [ $SECONDS -ge $end ] || ! kill -0 "$guest_pid" 2>/dev/null; then
			echo "guest: no $1 after $2 seconds" >&2
			return 124
		fi
		sleep 0.02
	done
}

# Runs a command in the guest, a function of hosts.sh or a program; its output
# and status are those of this function. At most 30 seconds, or $guest_limit.
guest() {
	local n
	# Several callers at once: whoever makes the file has the number.
	while n=$((guest_count + 1)) && ! (set -o noclobber && : >"$guest_out/take.$n") 2>/dev/null; do
		guest_count=$n
	done
	guest_count=$n
	printf "'%s' " "${@//\'/\'\\\'\'}" >"$guest_out/next.$n"
	mv "$guest_out/next.$n" "$guest_out/cmd.$n"
	guest_wait "cmd.$n.end" "${guest_limit:-30}" || return
	cat "$guest_out/cmd.$n.out"
	return "$(cat "$guest_out/cmd.$n.end")"
}

# leased HOST: all SPIs at which its kernel takes something in are among those it leased; prints them.
leased() {
	local first last spi
	IFS=- read -r first last < <(ctl -j bindings | jq -r ".[] | select(.client == \"10.0.0.1${1#x}\").spis")
	for spi in $(guest sas "$1" | awk -v here="$NB" '$2 == here { print $4 }'); do
		((spi >= first && spi <= last)) || fail "$1 uses SPI $spi, leased are $first to $last"
		echo "$spi"
	done
}

# --- the wire, seen from outside the gateway -----------------------------------------------
#
# Not at lan0 and wan0: frames that XDP redirects never reach a capture there. The other
# ends of the same links see them.

# wire_start INTERFACE...: x1, x2 or y
wire_start() {
	local name
	wire_pids=()
	for name in "$@"; do
		nsenter --net="/run/netns/${lab}guest" tcpdump -Z root -U --immediate-mode -s 2048 -B 8192 -n \
			-i "$name" -w "$work/$name.pcap" >/dev/null 2>"$work/$name.tcpdump" 3>&- &
		wire_pids+=($!)
	done
	for name in "$@"; do
		until grep -qs 'listening on' "$work/$name.tcpdump"; do sleep 0.02; done
	done
}

# Ends the captures; what was sent before is in them.
wire_stop() {
	sleep 0.2
	kill "${wire_pids[@]}"
	wait "${wire_pids[@]}" 2>/dev/null
	wire_pids=()
}

# wire_count INTERFACE FILTER...: packets that match
wire_count() {
	local name=$1
	shift
	tcpdump -n -r "$work/$name.pcap" "$@" 2>/dev/null | wc -l
}
