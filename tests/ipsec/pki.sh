# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Certificates for IKE. Sourced.

# pki_make FOLDER BITS [NAMES] HOST...: an authority (ca.pem), and for each HOST
# a certificate of HOST.example (HOST.pem) and its key (HOST.key), RSA with so
# many bits. NAMES more names make it larger, by 40 bytes each.
pki_make() {
	local dir=$1 bits=$2 names=$3 host san
	shift 3
	mkdir -p "$dir"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/ca.key" -out "$dir/ca.pem" -days 3650 -subj /CN=ca.example \
		2>"$dir/log" || return
	for host in "$@"; do
		san=DNS:$host.example
		while [ "$(grep -o DNS <<<"$san" | wc -l)" -le "$names" ]; do
			san+=,DNS:another-name-of-the-same-host-${#san}.example
		done
		openssl req -newkey "rsa:$bits" -nodes -keyout "$dir/$host.key" -out "$dir/$host.csr" -subj "/CN=$host.example" \
			2>>"$dir/log" &&
			openssl x509 -req -in "$dir/$host.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 3650 \
				-extfile <(echo "subjectAltName = $san") -out "$dir/$host.pem" 2>>"$dir/log" || return
	done
}
