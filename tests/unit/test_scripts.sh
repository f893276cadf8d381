#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The scripts that judge: does each see what it is there to see? And what the
# documents must say.
# shellcheck disable=SC2016 # the bodies of scripts
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "${TAP:-}" ]; then exec 3>"$TAP"; else exec 3>&1; fi
count=0 status=0

# same WHAT WANTED GOT
same() {
	count=$((count + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $count - $1" >&3
		return
	fi
	echo "not ok $count - $1" >&3
	printf '%s:\n--- wanted\n%s\n--- got\n%s\n' "$1" "$2" "$3"
	status=1
}

# --- tests/run.sh --------------------------------------------------------------------

# A suite in a tree of its own: suite NAME BODY...
suite() {
	rm -rf "$work/run"
	mkdir -p "$work/run/tests/netns"
	cp tests/run.sh "$work/run/tests/"
	while [ $# -gt 0 ]; do
		printf '#!/bin/bash\n%s\n' "$2" >"$work/run/tests/netns/test_$1.sh"
		chmod +x "$work/run/tests/netns/test_$1.sh"
		shift 2
	done
}

# The last line of run.sh, and its exit status
verdict() {
	local out rc
	out=$(env -u REQUIRE -u BUILD -u TAP "$@" "$work/run/tests/run.sh" netns 2>/dev/null)
	rc=$?
	echo "$(tail -n 1 <<<"$out"), status $rc"
}

good='(echo ok 1 - a; echo ok 2 - b; echo 1..2) >$TAP'
suite good "$good"
same "run.sh: all pass" "2 passed, 0 failed, 0 skipped, status 0" "$(verdict)"
suite good "$good" bad '(echo ok 1 - a; echo not ok 2 - b; echo 1..2) >$TAP; exit 1'
same "run.sh: one fails" "3 passed, 1 failed, 0 skipped, status 1" "$(verdict)"
suite skips '(echo ok 1 - a; echo "ok 2 - b # SKIP no kernel"; echo 1..2) >$TAP'
same "run.sh: a skip" "1 passed, 0 failed, 1 skipped, status 0" "$(verdict)"
same "run.sh: a skip where none is allowed" "1 passed, 0 failed, 1 skipped, status 1" "$(verdict REQUIRE=1)"
suite skips 'echo "ok 1 - a # SKIP no kernel" >$TAP; echo 1..1 >>$TAP'
same "run.sh: nothing but skips" "0 passed, 0 failed, 1 skipped, status 1" "$(verdict)"
suite good "$good" dies '(echo 1..2; echo ok 1 - a) >$TAP; kill -9 $$'
same "run.sh: killed after its first result" "3 passed, 1 failed, 0 skipped, status 1" "$(verdict)"
suite good "$good" short '(echo ok 1 - a; echo 1..2) >$TAP'
same "run.sh: fewer results than announced" "3 passed, 1 failed, 0 skipped, status 1" "$(verdict)"
suite good "$good" silent true
same "run.sh: no result" "2 passed, 1 failed, 0 skipped, status 1" "$(verdict)"
suite good "$good" status "$good; exit 3"
same "run.sh: all pass, but the program fails" "4 passed, 1 failed, 0 skipped, status 1" "$(verdict)"
suite good "$good"
touch "$work/run/tests/netns/test_gone.c"
same "run.sh: not built" "2 passed, 1 failed, 0 skipped, status 1" "$(verdict)"
suite
same "run.sh: no test at all" "0 passed, 1 failed, 0 skipped, status 1" "$(verdict)"

# --- scripts/conformance.sh --------------------------------------------------------------

mkdir -p "$work/con/scripts" "$work/con/docs" "$work/con/tests"
cp scripts/conformance.sh "$work/con/scripts/"
cp docs/conformance.md "$work/con/docs/"
tag=covers # the tags below are not this file's own
cat >"$work/con/tests/test_a.c" <<END
/* $tag: IKE-01, IKE-02 (see A-39) */
Test(ike, first)
{
}
/*
 * $tag: IKE-03
 *         IKE-04
 */
Test(ike, second) {
	{ "row", "$tag: IKE-05" },	/* and not IKE-06 */
END
same "conformance.sh: tags" "IKE-01 tests/test_a.c:first
IKE-02 tests/test_a.c:first
IKE-03 tests/test_a.c:second
IKE-04 tests/test_a.c:second
IKE-05 tests/test_a.c:10" \
	"$("$work/con/scripts/conformance.sh" IKE | awk '/^  IKE-/ && $NF != "-" { print $1, $NF }')"
same "conformance.sh: known rows only" 0 "$("$work/con/scripts/conformance.sh" >/dev/null; echo $?)"
echo "/* $tag: IKE-99 */" >>"$work/con/tests/test_a.c"
same "conformance.sh: a row that does not exist" "tests/test_a.c:11: no row IKE-99 in docs/conformance.md, status 1" \
	"$("$work/con/scripts/conformance.sh" 2>&1 >/dev/null), status $("$work/con/scripts/conformance.sh" >/dev/null 2>&1; echo $?)"

# --- scripts/install.sh --------------------------------------------------------------------

mkdir "$work/build"
touch "$work/build/"{rsipd,rsip,rsipctl}
scripts/install.sh "$work/build" "$work/root" /opt/rsip >/dev/null
same "install.sh: the unit starts what was installed" "ExecStart=/opt/rsip/sbin/rsipd" \
	"$(grep ^ExecStart= "$work/root/opt/rsip/lib/systemd/system/rsipd.service")"
echo "# changed" >>"$work/root/etc/rsip/rsipd.yaml"
scripts/install.sh "$work/build" "$work/root" /opt/rsip >/dev/null
same "install.sh: the configuration is kept" "# changed" "$(tail -n 1 "$work/root/etc/rsip/rsipd.yaml")"

# --- what the documents must say ---------------------------------------------------------------

# says TEXT: does operations.md, wherever its lines end?
says() { tr '\n' ' ' <docs/operations.md | tr -s ' ' | grep -qF "$1" && echo yes; }

# covers: SEC-06
same "docs: hiding addresses is not security" yes "$(says 'Hiding addresses is not security')"
# covers: IPS-26
same "docs: identities, no main mode with a pre-shared key" "yes yes" \
	"$(says 'Identities are not addresses') $(says 'No main mode with a pre-shared key')"
# covers: APE-03
same "docs: the example rekeys before the peer" yes "$(says "rekey_time = 50m # shorter than the peer's")"
# covers: IKE-04
same "docs: a lost first packet" yes "$(says 'A retry is a new exchange')"
# covers: APE-04
same "docs: who rekeys" yes "$(says 'Give X a shorter IKE lifetime than Y, or delete the IKE SA once the IPsec SA stands')"
# covers: DNS-01 DNS-02
same "docs: an example of split DNS" "yes yes" \
	"$(says 'interface: 10.0.0.1 # not on a public interface') $(says 'local-zone: "lan.example." static # answered here, never asked outside')"
# covers: DNS-04
same "docs: no name for a shared address" yes "$(says 'rsipd touches no DNS')"
# covers: DISC-08
same "docs: a false gateway" yes "$(says "use SLP's authentication, or \`key\`, which no false gateway has")"
# covers: CAS-06
same "docs: RSIP and NAT in a row" "yes yes yes" \
	"$(says '**N behind NAT**') $(says '**Hosts behind NAT**: all of them have one source address') $(says '**A host that translates for others**')"
# covers: APG-05
same "docs: where a peer finds the port" yes "$(says '_isakmp._udp.x1.example. SRV 0 0 40200')"

echo "1..$count" >&3
exit $status
