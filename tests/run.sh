#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Runs test suites and adds up their results: tests/run.sh [SUITE]...
# Suites are folders of tests/, and asan: unit and replay once more, built with
# sanitizers. Without arguments: all of them. Every test program writes TAP:
# Criterion's (unit, replay, bpf) or that of a script (netns, ipsec, vm, fuzz), kept in
# build/tests/results with what the program printed. The last line is
# "N passed, N failed, N skipped"; each failure and each skip is named above it.
# A program that dies, hangs, or gives another number of results than it has
# announced is a failure. REQUIRE=1: a skip is one too. What a test prints after
# "note: " is shown beside its result.
set -u
cd "$(dirname "$0")/.." || exit 1

build=${BUILD:-build}
suites='unit replay asan fuzz bpf netns ipsec vm'
# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- $suites
for suite in "$@"; do
	case " $suites " in
	*" $suite "*) ;;
	*) echo "tests/run.sh: no suite \"$suite\": $suites" >&2; exit 2 ;;
	esac
done

results=$build/tests/results
mkdir -p "$results" || exit 1
taps=()
trap 'exit 130' INT

count() { grep -cE "$1" "$2"; }
skip='^ok.*# *(skip|SKIP)'

# run NAME SECONDS COMMAND...: COMMAND writes TAP to $results/NAME.tap
run() {
	local name=$1 seconds=$2 tap=$results/$1.tap log=$results/$1.log rc wrong='' start=$SECONDS planned given
	shift 2
	rm -f "$tap"
	# In the foreground, so that Ctrl-C reaches the test and it can clean up.
	{ timeout --foreground -k 20 "$seconds" "$@" >"$log" 2>&1 </dev/null; rc=$?; } 2>/dev/null
	touch "$tap"
	taps+=("$tap")
	planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$tap" | tail -n 1)
	given=$(count '^(not )?ok\b' "$tap")
	if [ $rc -eq 124 ] || [ $((SECONDS - start)) -ge "$seconds" ]; then
		wrong="not ended after $seconds s, stopped"
	elif [ $rc -gt 128 ]; then
		wrong="killed by signal $((rc - 128))"
	elif [ -z "$planned" ]; then
		wrong="ended with status $rc and no result"
	elif [ "$given" -ne "$planned" ] || [ "$given" -eq 0 ]; then
		wrong="$given results of $planned, status $rc"
	elif [ $rc -ne 0 ] && ! grep -q '^not ok' "$tap"; then
		wrong="ended with status $rc though no test failed"
	fi
	[ -z "$wrong" ] || echo "not ok - $wrong" >>"$tap"
	if grep -q '^not ok' "$tap"; then
		sed 's/^/    /' "$log"
	fi
	printf '  %-32s %4d ok %3d not ok %3d skipped %5d s\n' "$name" \
		$(($(count '^ok\b' "$tap") - $(count "$skip" "$tap"))) "$(count '^not ok' "$tap")" \
		"$(count "$skip" "$tap")" $((SECONDS - start))
	sed -n 's/^note: /      /p' "$log"
}

shopt -s nullglob
for suite in "$@"; do
	tests=(tests/"$suite"/test_*.c tests/"$suite"/test_*.sh) objects=$build options=()
	if [ "$suite" = asan ]; then
		# Criterion ends with status 0 after a leak, unless that is a crash.
		tests=(tests/unit/test_*.c tests/replay/test_*.c) objects=$build/san options=(env ASAN_OPTIONS=abort_on_error=1)
	fi
	for file in ${tests[@]+"${tests[@]}"}; do
		name=$suite-$(basename "${file%.*}")
		case $file in
		*.c) run "$name" 600 ${options[@]+"${options[@]}"} "$objects/${file%.c}" --tap="$results/$name.tap" ;;
		*.sh) run "$name" "${TEST_TIMEOUT:-900}" env TAP="$results/$name.tap" "$file" ;;
		esac
	done
	if [ ${#tests[@]} -eq 0 ]; then
		echo "not ok - no tests in tests/$suite" >"$results/$suite.tap"
		taps+=("$results/$suite.tap")
	fi
done

all=$results/all
for tap in "${taps[@]}"; do
	sed -nE "s|^((not )?ok)\b *[0-9]*[ -]*|\\1 - $(basename "$tap" .tap): |p" "$tap"
done >"$all"
grep '^not ok' "$all"
grep -E "$skip" "$all"
failed=$(count '^not ok' "$all")
skipped=$(count "$skip" "$all")
passed=$(($(count '^ok\b' "$all") - skipped))
status=0
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] || status=1
if [ "$skipped" -ne 0 ] && [ "${REQUIRE:-0}" = 1 ]; then
	echo "skipped tests count as failures here (REQUIRE=1)"
	status=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
