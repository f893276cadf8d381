#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs what is built: scripts/install.sh BUILD DESTDIR PREFIX
# An existing /etc/rsip/rsipd.yaml is left alone. What goes outside PREFIX is
# the configuration only, always under /etc.
set -eu
cd "$(dirname "$0")/.."
if [ $# -ne 3 ] || [ -z "$1" ] || [ -z "$3" ]; then
	echo "usage: scripts/install.sh BUILD DESTDIR PREFIX" >&2
	exit 2
fi
build=$1 root=$2 prefix=$3
case $prefix in
/*) ;;
*) echo "install: PREFIX must begin with /, not \"$prefix\"" >&2; exit 2 ;;
esac

# put MODE FILE DIRECTORY, under DESTDIR
put() {
	install -d "$root$3"
	install -m "$1" "$2" "$root$3/"
	echo "  INST   $root$3/${2##*/}"
}

put 755 "$build/rsipd" "$prefix/sbin"
put 755 "$build/rsipctl" "$prefix/bin"
put 755 "$build/rsip" "$prefix/bin"

for page in docs/man/*.[1-9]; do
	put 644 "$page" "$prefix/share/man/man${page##*.}"
done
for page in README.md LICENSE docs/*.md docs/rsipd.yaml docs/pictures/*.svg; do
	case $page in
	docs/*) put 644 "$page" "$prefix/share/doc/rsip/${page%/*}" ;;
	*) put 644 "$page" "$prefix/share/doc/rsip" ;;
	esac
done

put 644 scripts/rsipd.service "$prefix/lib/systemd/system"
sed -i "s|/usr/sbin/rsipd|$prefix/sbin/rsipd|" "$root$prefix/lib/systemd/system/rsipd.service"

if [ -e "$root/etc/rsip/rsipd.yaml" ]; then
	echo "  KEEP   $root/etc/rsip/rsipd.yaml"
else
	put 644 docs/rsipd.yaml /etc/rsip
fi
