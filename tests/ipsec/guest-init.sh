#!/bin/dash
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
#
# Process 1 of the guest kernel (user-mode Linux). Its root is this machine's,
# read-only; what is written goes to a tmpfs on top and is gone with the guest.
# guest_out= on the kernel command line is the folder shared with the outside,
# guest_modules= the kernel's modules, guest_lib= the folder of the functions to run. When all
# is mounted the guest runs what appears as cmd.1, cmd.2 ... (tests/ipsec/guest.sh).
#
# A small shell, here and in hosts.sh: in this kernel a process costs by the memory
# it maps, and a large shell takes five times as long.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8

if [ "${1:-}" != serve ]; then
	mount -t proc proc /proc
	read -r line </proc/cmdline
	for word in $line; do
		case $word in
		guest_out=*) out=${word#*=} ;;
		guest_modules=*) modules=${word#*=} ;;
		guest_lib=*) lib=${word#*=} ;;
		esac
	done
	mount -t tmpfs top /mnt
	mkdir -p /mnt/upper /mnt/work /mnt/root /mnt/kernel/lib/modules
	mount -t hostfs -o "$modules" none /mnt/kernel/lib/modules
	modprobe -d /mnt/kernel overlay
	root=/mnt/root
	mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay $root || busybox poweroff -f
	mount -t proc proc $root/proc
	mount -t sysfs sys $root/sys
	mount -t bpf bpf $root/sys/fs/bpf
	mount -t tmpfs run $root/run
	mount -t tmpfs dev $root/dev
	for node in null:3 zero:5 random:8 urandom:9; do
		mknod -m 666 $root/dev/${node%:*} c 1 ${node#*:}
	done
	mkdir -p $root/dev/net $root/dev/shm $root/out $root/lib/modules $root/below
	mknod $root/dev/net/tun c 10 200
	ln -s /proc/self/fd $root/dev/fd
	mount -t hostfs -o "$out" none $root/out
	mount -t hostfs -o "$modules" none $root/lib/modules
	# Not a mere chroot: who enters a mount namespace starts at its real root.
	cd $root && pivot_root . below && exec chroot . /bin/dash "$0" serve "$lib"
	busybox poweroff -f
fi

umount -l /below
ip link set dev lo up
# shellcheck disable=SC1091
. "$2/hosts.sh"
# shellcheck disable=SC1091
. "$2/stacks.sh"
n=1
: >/out/ready
while :; do
	while [ ! -e /out/cmd.$n ]; do
		busybox usleep 20000
	done
	(
		# shellcheck disable=SC1090
		(. "/out/cmd.$n") >"/out/cmd.$n.out" 2>&1 </dev/null
		echo $? >"/out/cmd.$n.status"
		mv "/out/cmd.$n.status" "/out/cmd.$n.end"
	) &
	n=$((n + 1))
done
