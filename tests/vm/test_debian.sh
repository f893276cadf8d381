#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian 12's own kernel (6.1), in one boot: every test that loads or attaches
# BPF, and what this kernel has and others may lack (libxdp's dispatcher, VLAN
# devices). Left out are the races, adoption and the long random runs: those try our
# code, not the kernel, and take minutes here. That kernel has all that these tests
# need, so one that is skipped there counts as failed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=$(realpath "${BUILD:-$top/build}")
if [ -n "${TAP:-}" ]; then exec 3>"$TAP"; else exec 3>&1; fi

bpf="load inbound outbound sender senders outspi peers report expiry vlan icmp fragment turn whole cookies tunnel handover datapath"
bpf="$bpf nexthop attach"
netns="beside rights"

skip() {
	echo "ok 1 - all # SKIP $*" >&3
	echo 1..1 >&3
	exit 0
}

[ "$(id -u)" -eq 0 ] || skip "needs root"
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || skip "needs Debian on amd64"
type qemu-system-x86_64 >/dev/null 2>&1 || skip "needs qemu-system-x86"

work=$(mktemp -d "${TMPDIR:-/tmp}/rsip-guest.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
shared=$work/shared

cat >"$work/script" <<END
cd "$top" || exit 1
export BUILD="$build" TEST_TIMEOUT=180
for name in $bpf; do
	echo "--- \$name"
	"$build/tests/bpf/test_\$name" --jobs "\$(nproc)" --tap="$shared/\$name.tap"
done
for name in $netns; do
	echo "--- \$name"
	TAP="$shared/\$name.tap" "tests/netns/test_\$name.sh"
done
END
BUILD=$build "$here/vm.sh" -o "$shared" -t 800 "$work/script"

count=0 failed=0
# Results of one program, "ok 3 - what" or "not ok - 3 what", counted on.
pass_on() {
	local line what
	while read -r line; do
		count=$((count + 1))
		what=$(sed -E 's/^(not )?ok *-? *[0-9]* *-? *//; s/#//' <<<"$line")
		case $line in
		not\ ok* | *"# SKIP"* | *"# skip"*)
			echo "not ok $count - $1: $what"
			failed=1
			;;
		*) echo "ok $count - $1: $what" ;;
		esac
	done < <(grep -E '^(not )?ok\b' "$shared/$1.tap" || echo "not ok - no result")
}
for name in $bpf $netns; do pass_on "$name"; done >&3
echo "1..$count" >&3
exit $failed
