#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian 12's kernel for a guest: tests/vm/kernel.sh FOLDER
#
# FOLDER gets the kernel (vmlinuz), its modules (lib/modules) and an initial
# root (initrd) that mounts the host's root and goes on in it. The package is
# downloaded and unpacked, not installed; a FOLDER that has all this already, in
# its newest version, is left alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1

# What the guest needs to find its root; all else it loads from there.
modules="virtio_pci virtiofs overlay"

package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
[ -n "$package" ] || {
	echo "no package linux-image-cloud-amd64: is this Debian on amd64, and was apt-get update run?" >&2
	exit 1
}
version=${package#linux-image-}
if [ -f "$folder/initrd" ] && [ "$(cat "$folder/version" 2>/dev/null)" = "$version" ] && [ "$folder/initrd" -nt "$0" ] &&
	[ "$folder/initrd" -nt "$here/init.sh" ]; then
	exit 0
fi

download() {
	rm -rf "$folder"
	mkdir -p "$folder/package"
	chmod 755 "$folder/package"
	(cd "$folder/package" && apt-get -qq -o APT::Sandbox::User=root download "$package")
	dpkg-deb -x "$folder"/package/*.deb "$folder/unpacked"
	mv "$folder/unpacked/boot/vmlinuz-$version" "$folder/vmlinuz"
	mv "$folder/unpacked/lib" "$folder/lib"
	rm -rf "$folder/package" "$folder/unpacked"
	depmod -b "$folder" "$version"
}

# The files of a module and of what it needs, in the order of loading.
module_files() {
	modprobe -d "$folder" -S "$version" --show-depends "$1" | awk '$1 == "insmod" { print $2 }'
}

initial_root() {
	local root=$folder/root module file
	rm -rf "$root"
	mkdir -p "$root"/{bin,proc,sys,dev,modules,host,upper,new}
	cp /bin/busybox "$root/bin/"
	cp "$here/init.sh" "$root/init"
	chmod 755 "$root/init"
	for module in $modules; do
		module_files "$module"
	done | awk '!seen[$0]++' >"$folder/order"
	while read -r file; do
		cp "$file" "$root/modules/"
		basename "$file" >>"$root/modules/order"
	done <"$folder/order"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$folder/initrd"
	rm -rf "$root" "$folder/order"
}

if [ ! -f "$folder/vmlinuz" ] || [ "$(cat "$folder/version" 2>/dev/null)" != "$version" ]; then
	download
fi
initial_root
echo "$version" >"$folder/version"
