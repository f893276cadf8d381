#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# The guest's first process, twice: in the initial root it makes the host's
# root its own, with a layer on top that takes what is written; then, as "init.sh
# in-root", it runs the script. vm.sh gives on the kernel command line: vmout, the
# one folder that is the host's for writing too; vmlib, the kernel's modules.
set -u

fail() {
	echo "guest: $*"
	busybox poweroff -f
}

# The value of a word of the kernel command line
parameter() { busybox tr ' ' '\n' </proc/cmdline | busybox sed -n "s/^$1=//p"; }

run_script() {
	export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8
	ip link set lo up
	cd / || exit
	bash "$out/script" >"$out/output" 2>&1 </dev/null
	echo $? >"$out/status"
	sync
	busybox poweroff -f
}

if [ "${1:-}" = in-root ]; then
	out=$(parameter vmout)
	run_script
fi

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
out=$(parameter vmout)
lib=$(parameter vmlib)
while read -r module; do
	insmod "/modules/$module" || fail "module $module"
done </modules/order
mount -t virtiofs root /host || fail "no root of the host"
mount -t tmpfs -o size=75% upper /upper
mkdir /upper/new /upper/work
mount -t overlay -o lowerdir=/host,upperdir=/upper/new,workdir=/upper/work overlay /new || fail "no overlay"
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
mount -o bind /dev /new/dev
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts devpts /new/dev/pts
mount -t tmpfs shm /new/dev/shm
mount -t tmpfs run /new/run
ln -s /proc/self/fd /new/dev/fd
mount -t bpf bpf /new/sys/fs/bpf
mount -t tracefs tracefs /new/sys/kernel/tracing
mkdir -p "/new$out" /new/lib/modules
mount -o bind "/host$out" "/new$out" || fail "no folder $out"
mount -o bind "/host$lib" /new/lib/modules || fail "no folder $lib"
cp /init /new/run/init
exec switch_root /new /run/init in-root
