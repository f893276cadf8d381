# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
#
# Inside the guest kernel, after hosts.sh: Libreswan and OpenIKED, from folders that
# unpack.sh filled.

SECRET=5ca1ab1e5ca1ab1e5ca1ab1e		# that of swan_conn

# libre_conf HOST [LINE...]: settings, of all connections; for y, one connection
# for each of x1 and x2, for a host, one named home
libre_conf() {
	local host=$1 dir=$HOSTS/$1/libreswan
	shift
	mkdir -p "$dir/run" "$dir/nss"
	echo ": PSK 0x$SECRET" >"$dir/ipsec.secrets"
	chmod 600 "$dir/ipsec.secrets"
	{
		printf '%s\n' "config setup" "	uniqueids=no" "	ikev1-policy=accept" "conn %default" "	authby=secret" \
			"	auto=add" "	leftid=@$host.example" "	leftupdown=%disabled"
		printf '\t%s\n' "$@"
		case $host in
		y) libre_conn x1 && libre_conn x2 ;;
		*) printf '%s\n' "conn home" "	rightid=@y.example" "	leftsubnet=10.50.${host#x}.1/32" "	rightsubnet=10.99.0.1/32" ;;
		esac
	} >"$dir/ipsec.conf"
}

libre_conn() {
	printf '%s\n' "conn $1" "	right=%any" "	rightid=@$1.example" "	leftsubnet=10.99.0.1/32" "	rightsubnet=10.50.${1#x}.1/32"
}

# libre_start HOST FOLDER
libre_start() {
	local host=$1 root=$2/root dir=$HOSTS/$1/libreswan name
	# It looks for its own programs there.
	mkdir -p /usr/libexec && ln -sfn "$root/usr/libexec/ipsec" /usr/libexec/ipsec
	libre_on "$root" "$host" "$root/usr/bin/certutil" -N -d "sql:$dir/nss" --empty-password || return
	rm -f "$dir/run/pluto.ctl"
	spawn "$host" pluto env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/libexec/ipsec/pluto" --nofork \
		--stderrlog --config "$dir/ipsec.conf" --rundir "$dir/run" --nssdir "$dir/nss" \
		--secretsfile "$dir/ipsec.secrets" --ipsecdir "$dir" --no-dnssec --nhelpers 0
	if ! eventually 20 [ -S "$dir/run/pluto.ctl" ] || ! libre_whack "$root" "$host" --listen; then
		log "$host" pluto
		return 1
	fi
	sed -n 's/^conn \([^%].*\)/\1/p' "$dir/ipsec.conf" | while read -r name; do
		libre_on "$root" "$host" "$root/usr/libexec/ipsec/addconn" --config "$dir/ipsec.conf" \
			--ctlsocket "$dir/run/pluto.ctl" "$name" || exit
	done
}

# libre_on ROOT HOST COMMAND...
libre_on() {
	local root=$1 host=$2
	shift 2
	on "$host" env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$@"
}

# libre_whack ROOT HOST OPTION...
libre_whack() {
	local root=$1 host=$2
	shift 2
	libre_on "$root" "$host" timeout 25 "$root/usr/libexec/ipsec/whack" --rundir "$HOSTS/$host/libreswan/run" "$@"
}

# libre_install HOST ROOT: as its package does
libre_install() {
	cp -a "$2/usr/." /usr/ && ldconfig && mkdir -p /var/lib/ipsec/nss || return
	on "$1" cp -a "$2/etc/." /etc/
	on "$1" mkdir -p /run/pluto
}

# --- OpenIKED, as the peer ---------------------------------------------------------------

# iked_start ROOT [OPTION...]: on y, with a policy for each of x1 and x2, with these options.
# Keys of the kernel go through PF_KEY, which cannot do AEAD.
iked_start() {
	local root=$1 dir=$HOSTS/y/iked host
	shift
	mkdir -p "$dir" /var/lib/openiked/empty
	on y mkdir -p /run/openiked
	for host in private ca crls certs pubkeys; do mkdir -p /etc/iked/$host; done
	grep -q ^_iked: /etc/passwd || {
		echo "_iked:x:990:990::/var/lib/openiked/empty:/usr/sbin/nologin" >>/etc/passwd
		echo "_iked:x:990:" >>/etc/group
	}
	openssl ecparam -name prime256v1 -genkey -noout -out /etc/iked/private/local.key 2>/dev/null
	echo "set passive" >"$dir/iked.conf"
	for host in x1 x2; do
		echo "ikev2 $host passive esp from 10.99.0.1 to 10.50.${host#x}.1 local 203.0.113.2 peer any" \
			"ikesa enc aes-128 prf hmac-sha2-256 auth hmac-sha2-256 group curve25519" \
			"childsa enc aes-128 auth hmac-sha1 noesn srcid y.example dstid $host.example $* psk 0x$SECRET"
	done >>"$dir/iked.conf"
	chmod 600 "$dir/iked.conf"
	modprobe -q af_key
	spawn y iked "$root/usr/sbin/iked" -dvv -f "$dir/iked.conf"
	# It drops what comes before that.
	eventually 20 grep -q 'mode active -> passive' "$HOSTS/y/iked.log" || {
		log y iked
		return 1
	}
}
