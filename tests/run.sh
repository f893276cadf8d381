#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Runs test suites and adds up their results: tests/run.sh [unit|bpf|netns|ipsec]...
# Without arguments: all of them. Every test program writes TAP: Criterion's
# (unit, bpf) or that of tests/netns/lib.sh (netns, ipsec). The last line is
# "N passed, N failed, N skipped"; each failure and each skip is named above it.
# REQUIRE=1, or CI=true: a skip is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

[ $# -gt 0 ] || set -- unit bpf netns ipsec
[ "${CI:-}" = true ] && REQUIRE=1
results=build/tests/results
rm -rf "$results" && mkdir -p "$results" || exit 1
status=0

# run NAME COMMAND...: COMMAND writes TAP to $results/NAME.tap
run() {
	local name=$1 rc start=$SECONDS
	shift
	"$@" >"$results/$name.log" 2>&1
	rc=$?
	if ! grep -q '^1\.\.' "$results/$name.tap" 2>/dev/null; then
		echo "not ok - $name: ended with status $rc and no result" >>"$results/$name.tap"
	elif [ $rc -ne 0 ] && ! grep -q '^not ok' "$results/$name.tap"; then
		echo "not ok - $name: ended with status $rc though no test failed" >>"$results/$name.tap"
	fi
	if grep -q '^not ok' "$results/$name.tap"; then
		sed 's/^/    /' "$results/$name.log"
	fi
	printf '  %-28s %4d ok %3d not ok %3d skipped  %4d s\n' "$name" \
		"$(grep -c '^ok' "$results/$name.tap")" "$(grep -c '^not ok' "$results/$name.tap")" \
		"$(grep -ci '^ok.*# skip' "$results/$name.tap")" $((SECONDS - start))
}

# Criterion writes its TAP where it is told; a test that asserts nothing still counts as run.
criterion() { "$1" --tap="$results/$2.tap" --quiet; }
shell_test() { TAP="$results/$2.tap" "$1"; }

for suite in "$@"; do
	case $suite in
	unit | bpf)
		for program in build/tests/"$suite"/test_*; do
			case $program in *.o | *.d) continue ;; esac
			run "$suite-$(basename "$program")" criterion "$program" "$suite-$(basename "$program")"
		done
		;;
	netns | ipsec)
		for script in tests/"$suite"/test_*.sh; do
			name=$suite-$(basename "$script" .sh)
			run "$name" shell_test "$script" "$name"
		done
		;;
	*)
		echo "tests/run.sh: no suite \"$suite\": unit, bpf, netns, ipsec" >&2
		exit 2
		;;
	esac
done

passed=$(cat "$results"/*.tap | grep '^ok' | grep -vci '# skip')
failed=$(cat "$results"/*.tap | grep -c '^not ok')
skipped=$(cat "$results"/*.tap | grep -ci '^ok.*# skip')
grep -h '^not ok' "$results"/*.tap
grep -hi '^ok.*# skip' "$results"/*.tap
[ "$failed" -eq 0 ] || status=1
if [ "$skipped" -ne 0 ] && [ "${REQUIRE:-0}" = 1 ]; then
	echo "skipped tests count as failures here (REQUIRE=1)"
	status=1
fi
[ "$passed" -gt 0 ] || status=1
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
