#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The lab: network namespaces joined by veth, the least network in which a
# gateway can lend a public address to hosts.
#
#   x1 10.0.0.11 ---+
#   x2 10.0.0.12 ---+-- sw --- lan0 10.0.0.1  n  wan0 203.0.113.1 --- y 203.0.113.2
#   ...             |  (bridge)                  lends 203.0.113.10 (Nb)
#
# Nb belongs to no interface. For the neighbours on the public side N must
# answer ARP for it all the same: "ip route add local Nb dev wan0" on N does
# that, without ip_forward and with nothing to set up at the peer. The address
# is lent by rsipd: its program takes what comes for Nb before N's stack sees
# it. (Where the pool is routed to the gateway, as with a block of its own, this
# is not needed. A proxy neighbour entry would not do: the kernel wants
# forwarding on wan0 for it.)
#
# The namespaces are named PREFIX + x1, x2 ... n, y, sw. To see pinned maps
# enter with nsenter: "ip netns exec" hides /sys/fs/bpf.
set -u

usage() {
	cat <<-END
		usage: scripts/lab.sh up|down|status [-p PREFIX] [-n HOSTS] [-g]
		  up      raise the lab, anew if there is one of that name
		  down    end every process in it and take it away
		  status  show it
		  -p PREFIX  of the namespaces' names (rsip-)
		  -n HOSTS   how many hosts, 1 to 200 (2)
		  -g         hosts and peer are elsewhere, in a guest kernel: only the far ends
		             of their links, in the namespace PREFIX + guest, named x1, x2 ... y
	END
}

PRIVATE=10.0.0 PUBLIC=203.0.113
NB=$PUBLIC.10

die() {
	echo "lab: $*" >&2
	exit 1
}

# The namespaces of this lab that exist, and of no other whose prefix begins the same.
spaces() {
	ip netns list | awk -v prefix="$prefix" '
		index($1, prefix) == 1 && substr($1, length(prefix) + 1) ~ /^(x[0-9]+|n[0-9]*|y|sw|guest)$/ { print $1 }' | sort
}

in_ns() {
	local ns=$prefix$1
	shift
	nsenter --net="/run/netns/$ns" "$@"
}

add_ns() {
	ip netns add "$prefix$1" || return
	in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null
	ip -n "$prefix$1" link set lo up
}

# mac NUMBER: addresses that a reader of a capture knows again
mac() { printf '02:00:00:00:%02x:%02x' $(($1 >> 8)) $(($1 & 255)); }

# link NS1 DEV1 MAC1 NS2 DEV2 MAC2
#
# Checksums are computed by the sender: a frame that XDP redirects keeps what
# it has. GRO on: veth takes redirected frames only where the receiving end
# polls, and that is what GRO switches on. (On an interface that is up: else
# some kernels, 6.18 among them, do not take its other end as a target.)
link() {
	ip link add "$2" netns "$prefix$1" address "$(mac "$3")" type veth \
		peer name "$5" netns "$prefix$4" address "$(mac "$6")" || return
	local end
	for end in "$1 $2" "$4 $5"; do
		# shellcheck disable=SC2086 # two words
		set -- $end
		ip -n "$prefix$1" link set dev "$2" up || return
		in_ns "$1" ethtool -K "$2" tx off gro on >/dev/null 2>&1
	done
}

bpffs() {
	[ "$(stat -f -c %T /sys/fs/bpf 2>/dev/null)" = bpf_fs ] || mount -t bpf bpf /sys/fs/bpf
}

build() {
	local i
	bpffs || return
	add_ns n && add_ns sw || return
	ip -n "${prefix}sw" link add br0 type bridge mcast_snooping 0 && ip -n "${prefix}sw" link set dev br0 up || return
	link n lan0 1 sw n 0x101 && ip -n "${prefix}sw" link set dev n master br0 || return
	ip -n "${prefix}n" addr add $PRIVATE.1/24 dev lan0 || return
	if $guest; then add_ns guest; else add_ns y; fi || return
	for ((i = 1; i <= hosts; i++)); do
		host "$i" || return
	done
	if $guest; then
		link n wan0 2 guest y 0x202 || return
		in_ns guest ethtool -K y gro on >/dev/null 2>&1
	else
		link n wan0 2 y eth0 3 && ip -n "${prefix}y" addr add $PUBLIC.2/24 dev eth0 || return
	fi
	ip -n "${prefix}n" addr add $PUBLIC.1/24 dev wan0 && ip -n "${prefix}n" route add local $NB dev wan0
}

# Bridge port and host of number $1.
host() {
	local address=$PRIVATE.$((10 + $1))
	if $guest; then
		link sw "x$1" $((0x110 + $1)) guest "x$1" $((0x210 + $1)) || return
	else
		add_ns "x$1" && link sw "x$1" $((0x110 + $1)) "x$1" eth0 $((0x10 + $1)) || return
		ip -n "${prefix}x$1" addr add "$address/24" dev eth0 &&
			ip -n "${prefix}x$1" route add default via $PRIVATE.1 || return
	fi
	ip -n "${prefix}sw" link set dev "x$1" master br0
}

up() {
	down || return
	build || {
		down
		die "could not raise the lab \"$prefix\""
	}
}

# The processes of a namespace, but for ourselves: somebody may have called us from within.
others() { ip netns pids "$1" 2>/dev/null | grep -vx -e $$ -e $PPID -e $BASHPID; }

# Ends the processes of a namespace, politely first.
empty() {
	local pid pids wait
	for wait in 20 0; do
		pids=$(others "$1") || return 0
		for pid in $pids; do
			if [ $wait -gt 0 ]; then kill "$pid"; else kill -9 "$pid"; fi 2>/dev/null
		done
		while [ $wait -gt 0 ] && others "$1" >/dev/null; do
			sleep 0.1
			wait=$((wait - 1))
		done
	done
}

down() {
	local ns
	for ns in $(spaces); do empty "$ns"; done
	for ns in $(spaces); do ip netns del "$ns" || return; done
}

status() {
	local ns found=false
	for ns in $(spaces); do
		found=true
		printf '%s\n' "$ns"
		ip -n "$ns" -br addr show | awk '$1 != "lo" || $3 { sub(/@.*/, "", $1); printf "    %-8s %-8s %s\n", $1, $2, $3 " " $4 }'
		ip -n "$ns" route show | awk '{ print "    route    " $0 }'
		nsenter --net="/run/netns/$ns" bpftool net show 2>/dev/null |
			awk '/^xdp:/ { x = 1; next } /^[a-z_]+:/ { x = 0 } x && NF { print "    xdp      " $0 }'
		ip netns pids "$ns" 2>/dev/null | while read -r pid; do
			printf '    process  %s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
		done
	done
	$found || {
		echo "no lab \"$prefix\""
		return 1
	}
}

command=${1:-}
[ $# -gt 0 ] && shift
prefix=rsip- hosts=2 guest=false
while getopts p:n:gh option; do
	case $option in
	p) prefix=$OPTARG ;;
	n) hosts=$OPTARG ;;
	g) guest=true ;;
	h) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
done
shift $((OPTIND - 1))
case $command in up | down | status) ;; help | -h | --help) usage && exit 0 ;; *) usage >&2 && exit 2 ;; esac
[ $# -eq 0 ] || {
	usage >&2
	exit 2
}
[[ $prefix =~ ^[A-Za-z0-9_.-]{1,32}$ ]] || die "a prefix is 1 to 32 letters, digits, \"_\", \".\" and \"-\", not \"$prefix\""
[[ $hosts =~ ^([1-9][0-9]?|1[0-9]{2}|200)$ ]] || die "1 to 200 hosts, not \"$hosts\""
[ "$(id -u)" -eq 0 ] || die "needs root"
$command
