#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An IKE daemon that cannot be installed beside strongSwan, or is not worth it:
# tests/ipsec/unpack.sh FOLDER PACKAGE...
#
# Downloads Debian packages and unpacks them to FOLDER/root; FOLDER/version is
# the version of the first. What is there already stays.
set -eu
folder=$1
shift
[ ! -s "$folder/version" ] || exit 0

rm -rf "$folder"
mkdir -p "$folder/packages" "$folder/root"
chmod 755 "$folder/packages"
(cd "$folder/packages" && apt-get -qq -o APT::Sandbox::User=root download "$@")
for package in "$folder"/packages/*.deb; do
	dpkg-deb -x "$package" "$folder/root"
done
rm -rf "$folder/packages"
apt-cache show "$1" | awk '$1 == "Version:" { sub(/-.*/, "", $2); print $2; exit }' >"$folder/version"
