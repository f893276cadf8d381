#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs a script as root on Debian 12's kernel: tests/vm/vm.sh [OPTION...] SCRIPT
#
#   -m MEBIBYTES  memory (1024)      -t SECONDS  until it is ended (600)
#   -o FOLDER     the script sees it under the same path and may write there; $vmout
#
# QEMU without KVM: any machine will do, at a small part of its speed. The
# guest's root is the host's, by virtiofs, with a layer on top: it runs the very
# programs and tests that were built here, and leaves nothing behind but what
# it wrote into FOLDER. Prints what the script printed; its exit status, or 125
# when the guest did not come so far.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build}
memory=1024 patience=600 out=
while getopts m:t:o: option; do
	case $option in
	m) memory=$OPTARG ;;
	t) patience=$OPTARG ;;
	o) out=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || {
	echo "usage: tests/vm/vm.sh [-m MEBIBYTES] [-t SECONDS] [-o FOLDER] SCRIPT" >&2
	exit 2
}

kernel=$build/vm
"$here/kernel.sh" "$kernel" || exit 125
kernel=$(realpath "$kernel")
work=$(mktemp -d "${TMPDIR:-/tmp}/rsip-vm.XXXXXX") || exit 125
share=
trap '[ -z "$share" ] || kill "$share" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
[ -n "$out" ] || out=$work
mkdir -p "$out"
out=$(realpath "$out")
rm -f "$out"/{output,status}
cp "$1" "$out/script"

/usr/lib/qemu/virtiofsd --socket-path="$work/socket" -o source=/ -o cache=always -o sandbox=chroot \
	>"$work/virtiofsd" 2>&1 &
share=$!
for _ in $(seq 100); do
	[ -S "$work/socket" ] && break
	sleep 0.05
done
timeout --foreground -k 5 "$patience" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp "$(nproc)" -m "$memory" \
	-nodefaults -nographic -no-reboot -serial "file:$work/console" \
	-object "memory-backend-memfd,id=memory,size=${memory}M,share=on" -machine q35,memory-backend=memory \
	-chardev "socket,id=root,path=$work/socket" -device vhost-user-fs-pci,chardev=root,tag=root \
	-kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
	-append "console=ttyS0 quiet panic=-1 mitigations=off vmout=$out vmlib=$kernel/lib/modules" \
	</dev/null >"$work/qemu" 2>&1
ended=$?
cat "$out/output" 2>/dev/null
[ -f "$out/status" ] && exit "$(<"$out/status")"
echo "vm: the guest ended without a result (status $ended of QEMU; 124: after $patience s)" >&2
tail -n 30 "$work/console" "$work/qemu" "$work/virtiofsd" >&2
exit 125
