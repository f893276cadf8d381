# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
#
# Inside the guest kernel: hosts x1, x2 and peer y, each a network namespace with
# a /run of its own, as on machines of their own, and strongSwan on them. These
# functions are what tests/ipsec/guest.sh has the guest run.
#
# Behind host xN is the address 10.50.N.1, behind y 10.99.0.1: what tunnel mode
# connects.

HOSTS=/hosts			# state of each host, in the guest's own layer
CHARON=/usr/lib/ipsec/charon
# Few and small plugins: what is loaded is what starting takes.
PLUGINS="random nonce aes sha1 sha2 hmac kdf curve25519 gcm kernel-netlink socket-default vici"
CERTIFICATE_PLUGINS="pem pkcs1 pkcs8 x509 pubkey gmp"

# on HOST COMMAND...
on() {
	local host=$1 anchor
	shift
	read -r anchor <"$HOSTS/$host/anchor"
	nsenter -t "$anchor" -m -n "$@"
}

# set_up INTERFACE...: hosts of these names on vec0, vec1 ...
set_up() {
	local host i=0
	modprobe -aq esp4 ah4 ipip xfrm_user gcm ccm seqiv echainiv authenc cbc hmac sha256_generic \
		aes_generic ghash_generic || return
	for host in "$@"; do
		set_up_host "$host" vec$i || return
		i=$((i + 1))
	done
}

set_up_host() {
	local host=$1 device=$2
	mkdir -p "$HOSTS/$host"
	unshare -m -n dash -c "mount -t tmpfs run /run && mount -t sysfs sys /sys && mount -t bpf bpf /sys/fs/bpf &&
		echo \$\$ >$HOSTS/$host/anchor && exec sleep infinity" &
	until [ -s "$HOSTS/$host/anchor" ]; do busybox usleep 10000; done
	ip link set dev "$device" netns "$(cat "$HOSTS/$host/anchor")" name eth0
	{
		echo "link set dev lo up"
		echo "link set dev eth0 up"
		case $host in
		y)
			echo "addr add 203.0.113.2/24 dev eth0"
			echo "addr add 10.99.0.1/32 dev lo"
			echo "route add default via 203.0.113.1"
			;;
		x*)
			echo "addr add 10.0.0.$((10 + ${host#x}))/24 dev eth0"
			echo "addr add 10.50.${host#x}.1/32 dev lo"
			echo "route add default via 10.0.0.1"
			;;
		esac
	} | on "$host" ip -batch -
}

# spawn HOST NAME COMMAND...: in the background; output goes to NAME.log
spawn() {
	local host=$1 name=$2 anchor
	shift 2
	read -r anchor <"$HOSTS/$host/anchor"
	# Not by on(): $! has to be the program itself.
	nsenter -t "$anchor" -m -n "$@" >>"$HOSTS/$host/$name.log" 2>&1 </dev/null &
	echo $! >"$HOSTS/$host/$name.pid"
}

# end HOST NAME [SIGNAL]: ends what spawn started and waits for it
end() {
	local pid i=0
	read -r pid <"$HOSTS/$1/$2.pid"
	kill "-${3:-TERM}" "$pid" || return
	while [ -d "/proc/$pid" ]; do
		i=$((i + 1))
		[ $i -le 250 ] || {
			echo "$2 on $1 does not end"
			return 1
		}
		busybox usleep 20000
	done
}

log() { tail -n "${3:-40}" "$HOSTS/$1/$2.log"; }

# rsip_up PROGRAM HOST [OPTION...]: registers, leases, hands the lease to strongSwan
rsip_up() {
	local program=$1 host=$2 i=0
	shift 2
	mkdir -p "$HOSTS/$host/rsip"
	spawn "$host" rsip "$program" -g 10.0.0.1 up --strongswan "$HOSTS/$host/rsip" "$@"
	until [ -e "$HOSTS/$host/rsip/rsip.conf" ]; do
		i=$((i + 1))
		[ $i -le 400 ] || {
			log "$host" rsip
			return 1
		}
		busybox usleep 20000
	done
}

# --- strongSwan --------------------------------------------------------------------

# swan_conf HOST [SETTING...]: settings of charon, as "key = value"; on a host that
# has a lease, those that rsip wrote as well.
swan_conf() {
	local dir=$HOSTS/$1 plugins=$PLUGINS
	shift
	[ ! -d "$dir/swanctl/x509" ] || plugins="$plugins $CERTIFICATE_PLUGINS"
	mkdir -p "$dir/swanctl/conf.d"
	{
		echo "swanctl { load = random }"
		echo "charon {"
		printf '\t%s\n' "load = $plugins" "retransmit_tries = 4" "retransmit_timeout = 2.0" \
			"delete_rekeyed_delay = 1" "install_virtual_ip = no" "install_routes = no"
		echo "	filelog { log { path = $dir/charon.log"
		printf '\t\t%s\n' "default = 1" "knl = 2" "flush_line = yes } }"
		echo "	plugins { vici { socket = unix://$dir/vici } }"
		[ $# -eq 0 ] || printf '\t%s\n' "$@"
		echo "}"
		[ ! -e "$dir/rsip/rsip.conf" ] || echo "include $dir/rsip/rsip.conf"
	} >"$dir/strongswan.conf"
	echo "include conf.d/*.conf" >"$dir/swanctl/swanctl.conf"
	rm -f "$dir"/swanctl/conf.d/*
}

# swan_credentials HOST DIR: certificate and key of HOST, and who signed it, as
# pki.sh made them; before swan_conf
swan_credentials() {
	local dir=$HOSTS/$1/swanctl
	mkdir -p "$dir/x509" "$dir/x509ca" "$dir/private"
	cp "$2/$1.pem" "$dir/x509/" && cp "$2/ca.pem" "$dir/x509ca/" && cp "$2/$1.key" "$dir/private/"
}

# swan_conn HOST NAME LOCAL REMOTE MODE [SETTING...]
#
# A connection with one child "net". MODE: esp-tunnel, ah-tunnel between the
# networks behind the hosts, esp-transport, ah-transport between the hosts
# themselves. Settings are of the connection, or with "child:" before them of
# the child; "also:MODE" is one more child, named after its protocol;
# "certificates" has both show theirs, in place of a shared secret. REMOTE
# "any": whoever asks; on y, a connection named after a host is for that host
# alone.
swan_conn() {
	local host=$1 name=$2 local=$3 remote=$4 mode=$5 auth=psk setting
	shift 5
	case " $* " in *" certificates "*) auth=pubkey ;; esac
	{
		echo "connections { $name {"
		printf '\t%s\n' "local_addrs = $local" "proposals = aes128-sha256-x25519"
		[ "$remote" = any ] || echo "	remote_addrs = $remote"
		for setting in "$@"; do
			case $setting in child:* | also:* | certificates) ;; *) echo "	$setting" ;; esac
		done
		printf '\t%s\n' "local { auth = $auth" "id = $host.example"
		[ $auth = psk ] || echo "	certs = $host.pem"
		printf '\t%s\n' "}" "remote { auth = $auth"
		case $host,$name in
		y,x*) echo "	id = $name.example }" ;;
		y,*) echo "	}" ;;
		*) echo "	id = y.example }" ;;
		esac
		echo "	children { net {"
		swan_child "$host" "$mode"
		for setting in "$@"; do
			case $setting in child:*) echo "		${setting#child:}" ;; esac
		done
		for setting in "$@"; do
			case $setting in
			also:*)
				setting=${setting#also:}
				echo "	}"
				echo "	${setting%%-*} {"
				swan_child "$host" "$setting"
				;;
			esac
		done
		printf '\t} }\n} }\n'
		echo "secrets { ike-$name { secret = 0x5ca1ab1e5ca1ab1e5ca1ab1e } }"
	} >"$HOSTS/$host/swanctl/conf.d/$name.conf"
}

swan_child() {
	case $2 in
	esp-*) echo "		esp_proposals = aes128gcm16" ;;
	ah-*) echo "		ah_proposals = sha256" ;;
	esac
	case $2,$1 in
	*-transport,*) echo "		mode = transport" ;;
	*,y) printf '\t\t%s\n' "local_ts = 10.99.0.0/24" "remote_ts = 10.50.0.0/16" ;;
	*) printf '\t\t%s\n' "local_ts = 10.50.${1#x}.1/32" "remote_ts = 10.99.0.1/32" ;;
	esac
}

# swan_start HOST...: charon on each, with its connections
swan_start() {
	local host i
	for host in "$@"; do
		rm -f "$HOSTS/$host/vici"
		spawn "$host" charon-out env STRONGSWAN_CONF="$HOSTS/$host/strongswan.conf" $CHARON
	done
	for host in "$@"; do
		i=0
		while [ ! -S "$HOSTS/$host/vici" ] && [ $i -lt 500 ]; do
			busybox usleep 20000
			i=$((i + 1))
		done
		swan "$host" --load-all >"$HOSTS/$host/load.log" 2>&1 || {
			cat "$HOSTS/$host/load.log" "$HOSTS/$host/charon-out.log"
			tail -n 20 "$HOSTS/$host/charon.log"
			return 1
		}
	done
}

swan_stop() {
	local host
	for host in "$@"; do end "$host" charon-out || return; done
}

# swan HOST OPTION...: swanctl
swan() {
	local host=$1
	shift
	SWANCTL_DIR="$HOSTS/$host/swanctl" STRONGSWAN_CONF="$HOSTS/$host/strongswan.conf" \
		timeout 25 swanctl "$@" --uri "unix://$HOSTS/$host/vici"
}

# The SPIs in use on HOST for what comes in, hexadecimal without 0x, one a line
spis_in() { swan "$1" --list-sas --raw | grep -oE 'spi-in=[0-9a-f]+' | cut -d= -f2; }

# Packets and bytes that HOST's child SAs took in, of all that live: "PACKETS BYTES"
taken_in() {
	swan "$1" --list-sas --raw | grep -oE '(packets|bytes)-in=[0-9]+' |
		awk -F= '{ sum[$1] += $2 } END { print sum["packets-in"] + 0, sum["bytes-in"] + 0 }'
}

# initiate HOST...: at once
initiate() {
	local host pids=''
	for host in "$@"; do
		swan "$host" --initiate --child net --timeout 20 >"$HOSTS/$host/initiate.log" 2>&1 &
		pids="$pids $!"
	done
	for host in $pids; do
		wait "$host" || {
			tail -n 20 "$HOSTS"/x*/initiate.log
			return 1
		}
	done
}

# ike HOST FIELD: that field of HOST's IKE SAs, such as initiator-spi, one a line
ike() { swan "$1" --list-sas --raw | grep -oE "$2=[0-9A-Za-z_]+" | cut -d= -f2; }

# carried HOST:ADDRESS:COUNT...: of each, as soon as its kernel has COUNT SAs, what they
# took in at ADDRESS and sent from it so far, "PACKETS BYTES PACKETS BYTES"; one a line
carried() {
	local word rest
	for word in "$@"; do
		rest=${word#*:}
		eventually 10 carried_by "${word%%:*}" "${rest%:*}" "${rest#*:}" || return
	done
}

carried_by() {
	on "$1" ip -s xfrm state | awk -v here="$2" -v count="$3" '
		$1 == "src" { in_ = $4 == here; n++ }
		/\(bytes\), [0-9]+\(packets\)/ { bytes[in_] += $1; packets[in_] += $2 }
		END { if (n != count) exit 1; print packets[1] + 0, bytes[1] + 0, packets[0] + 0, bytes[0] + 0 }'
}

# What the daemons wrote last.
cell_logs() {
	local file
	for file in "$HOSTS"/*/charon.log "$HOSTS"/y/pluto.log "$HOSTS"/y/iked.log; do
		[ -e "$file" ] || continue
		echo "--- $file"
		tail -n 30 "$file"
	done
}

# said HOST REGEX: how often charon's log has it
said() { grep -cE "$2" "$HOSTS/$1/charon.log"; }

# says_more HOST REGEX COUNT: more often than that
says_more() { [ "$(said "$1" "$2")" -gt "$3" ]; }

# others OLD COMMAND...: COMMAND prints something, and nothing that is in OLD
others() {
	local old=$1 word new
	shift
	new=$("$@") && [ -n "$new" ] || return
	for word in $new; do
		case " $old " in *" $word "*) return 1 ;; esac
	done
}

# settled COUNT:HOST...: each HOST has exactly so many SAs in its kernel
settled() {
	local word
	for word in "$@"; do
		[ "$(on "${word#*:}" ip xfrm state | grep -c ^src)" = "${word%:*}" ] || return
	done
}

# The kernel's security associations of HOST, one a line: SOURCE DESTINATION PROTOCOL SPI
sas() { on "$1" ip xfrm state | awk '/^src/ { src = $2; dst = $4 } $1 == "proto" { print src, dst, $2, $4 }'; }

# eventually SECONDS COMMAND...
eventually() {
	local end
	end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		busybox usleep 100000
	done
}

# HOST has exactly one IKE SA, it is up and has exactly one child that is.
established() {
	[ "$(swan "$1" --list-sas --raw | grep -oE 'state=(ESTABLISHED|INSTALLED|REKE[A-Z]*|DELE[A-Z]*|CREATED)' | paste -sd' ')" = \
		"state=ESTABLISHED state=INSTALLED" ]
}

# echo_test HOST FROM TO COUNT [SIZE]: every one of COUNT pings must return
echo_test() {
	local out
	out=$(on "$1" busybox ping -W 1 -A -q -c "$4" -s "${5:-56}" -I "$2" "$3")
	case $out in
	*" $4 packets received"*) ;;
	*)
		echo "$out"
		return 1
		;;
	esac
}

# echo_until HOST FROM TO FILE: again and again, until the outside has made FILE
echo_until() {
	echo_test "$1" "$2" "$3" 20 || return
	while [ ! -e "/out/$4" ]; do echo_test "$1" "$2" "$3" 20 || return; done
}

# Datagrams, for security associations that are for one port. Straight to the system
# calls: in this kernel what a program loads is what it costs.
# answer_datagrams HOST ADDRESS PORT: in the background
answer_datagrams() {
	spawn "$1" answer python3 -ISc 'import _socket, sys
s = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
while True:
	s.sendto(*s.recvfrom(65535))' "$2" "$3"
}

# datagrams HOST FROM PORT TO PORT COUNT SIZE: every one comes back as it was sent
datagrams() {
	on "$1" python3 -ISc 'import _socket, sys
source, sport, to, port, count, size = sys.argv[1:]
s = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
s.bind((source, int(sport)))
s.settimeout(2)
for i in range(int(count)):
	data = i.to_bytes(4, "big") * (int(size) // 4)
	s.sendto(data, (to, int(port)))
	if s.recv(65535) != data:
		sys.exit("another datagram came back")' "$2" "$3" "$4" "$5" "$6" "$7"
}

# A stream, both ways at once: as much as can be, as TCP decides.
# answer_streams HOST ADDRESS PORT: sends all back, one connection after the other; in the background
answer_streams() {
	spawn "$1" streams python3 -ISc 'import _socket, sys
s = _socket.socket()
s.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen(5)
while True:
	fd, _ = s._accept()
	c = _socket.socket(fileno=fd)
	while data := c.recv(65536):
		c.sendall(data)
	c.close()' "$2" "$3"
}

# stream HOST FROM PORT TO PORT COUNT: COUNT times 64 KB; every byte comes back, and never later than two
# seconds after the one before
stream() {
	on "$1" python3 -ISc 'import _socket, posix, sys
source, sport, to, port, count = sys.argv[1:]
s = _socket.socket()
s.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
s.bind((source, int(sport)))
s.settimeout(2)
s.connect((to, int(port)))
block, back = bytes(range(256)) * 256, 0
if not posix.fork():
	for _ in range(int(count)):
		s.sendall(block)
	s.shutdown(_socket.SHUT_WR)
	posix._exit(0)
while data := s.recv(65536):
	if data != (block * 2)[back % 256:][:len(data)]:
		sys.exit("another byte came back")
	back += len(data)
if back != int(count) * len(block):
	sys.exit(f"{back} bytes came back")' "$2" "$3" "$4" "$5" "$6"
}

# --- as on a machine of its own, with what its distribution installs -----------------------

# own_etc HOST...: what HOST writes to /etc is its own
own_etc() {
	local host top
	for host in "$@"; do
		top=$HOSTS/$host/etc
		mkdir -p "$top"
		on "$host" dash -c "mount -t tmpfs etc $top && mkdir $top/upper $top/work &&
			mount -t overlay -o lowerdir=/etc,upperdir=$top/upper,workdir=$top/work etc /etc" || return
	done
}

# as_written HOST SCRIPT FOLDER: SCRIPT's commands, those of FOLDER among them. There is no systemd
# here, so another one does what the units do.
as_written() {
	mkdir -p $HOSTS/bin
	cat >$HOSTS/bin/systemctl <<-'END'
		#!/bin/dash -e
		case $2 in
		strongswan)
			/usr/lib/ipsec/charon >/dev/null 2>&1 &
			until [ -S /run/charon.vici ]; do busybox usleep 50000; done
			exec swanctl --load-all --noprompt
			;;
		ipsec)
			ipsec checknss >/dev/null
			/usr/libexec/ipsec/pluto --config /etc/ipsec.conf --nofork >/dev/null 2>&1 &
			until [ -S /run/pluto/pluto.ctl ] && ipsec whack --status >/dev/null; do busybox usleep 50000; done
			exec ipsec addconn --config /etc/ipsec.conf --autoall
			;;
		esac
	END
	chmod +x $HOSTS/bin/systemctl
	on "$1" env PATH="$HOSTS/bin:$3:$PATH" dash -ex "$2"
}

# --- keys by hand: IPsec without IKE, to see one packet type alone -----------------------

AUTH=0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
AEAD=0x000102030405060708090a0b0c0d0e0f10111213

# These two print lines for "ip -batch".
# sa PROTOCOL MODE SOURCE DESTINATION SPI
sa() {
	case $1 in
	esp) echo "xfrm state add src $3 dst $4 proto esp spi $5 reqid $5 mode $2 aead rfc4106(gcm(aes)) $AEAD 128" ;;
	ah) echo "xfrm state add src $3 dst $4 proto ah spi $5 reqid $5 mode $2 auth-trunc hmac(sha256) $AUTH 128" ;;
	esac
}

# policy in|out PROTOCOL MODE FROM TO SOURCE DESTINATION SPI: what goes from FROM to TO
# must use that security association of SOURCE and DESTINATION
policy() {
	echo "xfrm policy add src $4 dst $5 dir $1 tmpl src $6 dst $7 proto $2 reqid $8 mode $3"
}

# manual_tunnel HOST PROTOCOL LOCAL-NET REMOTE-NET LOCAL REMOTE SPI-OUT SPI-IN
manual_tunnel() {
	{
		sa "$2" tunnel "$5" "$6" "$7"
		sa "$2" tunnel "$6" "$5" "$8"
		policy out "$2" tunnel "$3" "$4" "$5" "$6" "$7"
		policy in "$2" tunnel "$4" "$3" "$6" "$5" "$8"
	} | on "$1" ip -batch -
}

# manual_transport HOST PROTOCOL LOCAL REMOTE SPI-OUT SPI-IN
manual_transport() {
	{
		sa "$2" transport "$3" "$4" "$5"
		sa "$2" transport "$4" "$3" "$6"
		policy out "$2" transport "$3" "$4" "$3" "$4" "$5"
		policy in "$2" transport "$4" "$3" "$4" "$3" "$6"
	} | on "$1" ip -batch -
}

# manual_clear HOST...
manual_clear() {
	local host
	for host in "$@"; do printf 'xfrm state flush\nxfrm policy flush\n' | on "$host" ip -batch - || return; done
}

# How many packets failed the integrity check of the SA with this SPI on HOST
manual_failed() {
	on "$1" ip -s xfrm state list spi "$2" | awk '{ for (i = 1; i < NF; i++) if ($i == "failed") print $(i + 1) }'
}

# pings HOST FROM TO COUNT: how many of COUNT come back
pings() { on "$1" busybox ping -W 1 -A -q -c "$4" -I "$2" "$3" | awk '/packets received/ { print $4 }'; }

# AH in transport mode between x1 and y, which knows x1 by the address NAT gives it
nat_ah() {
	manual_transport x1 ah 10.0.0.11 203.0.113.2 0x1001 0x2001 &&
		manual_transport y ah 203.0.113.2 203.0.113.1 0x2001 0x1001
}

# ESP in tunnel mode from x1 and x2 to y, which knows both by the same address
nat_esp() {
	local n
	for n in 1 2; do
		manual_tunnel x$n esp 10.50.$n.1 10.99.0.1 10.0.0.1$n 203.0.113.2 0x100$n 0x200$n &&
			manual_tunnel y esp 10.99.0.1 10.50.$n.1 203.0.113.2 203.0.113.1 0x200$n 0x100$n || return
	done
}
