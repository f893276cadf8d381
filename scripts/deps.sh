#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Installs the Debian packages that a build, the tests and the demo need and
# that are missing. Prints nothing and returns at once when none is. "deps.sh bench":
# also what benchmarks compare with. (Kea is started by its package, and serves no
# interface until it is told of one.)
set -eu

packages="
	build-essential clang llvm pkg-config bpftool libelf-dev zlib1g-dev linux-libc-dev
	libbpf-dev libxdp-dev libuv1-dev libyaml-dev libjansson-dev libmnl-dev libmicrohttpd-dev libc-ares-dev
	libsystemd-dev libncurses-dev libsodium-dev librocksdb-dev uthash-dev
	libclang-rt-dev libcriterion-dev clang-format shellcheck mandoc
	iproute2 iputils-ping traceroute ethtool nftables tcpdump tshark kmod busybox-static procps jq
	strongswan-charon strongswan-swanctl libcharon-extra-plugins
	libstrongswan-standard-plugins libstrongswan-extra-plugins
	user-mode-linux qemu-system-x86 xdp-tools python3 python3-scapy python3-cryptography
	curl openssl
"

[ "${1:-}" != bench ] || packages="$packages kea-dhcp4-server kea-admin"

missing=
for package in $packages; do
	status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
	case $status in
	ii*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: these packages are missing, install them as root:$missing" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
