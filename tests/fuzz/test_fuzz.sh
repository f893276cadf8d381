#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every fuzz target for FUZZ_SECONDS (5): first over what it starts from, then on
# its own. test_fuzz.sh [TARGET...]: only these. Writes TAP to the file that $TAP
# names, else to standard output.
#
# A target starts from three folders: what seeds.py makes of the golden vectors
# and the like; tests/fuzz/corpus/TARGET, where every input that once broke it
# stays; and what earlier runs on this machine have found, in $BUILD/fuzz. An input
# that breaks a target is named in the output; run it again with
#
#   build/san/tests/fuzz/fuzz_TARGET INPUT
set -u
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-build}
work=$build/fuzz
seconds=${FUZZ_SECONDS:-5}
# A small quarantine: the inputs are many and short-lived.
export ASAN_OPTIONS=abort_on_error=1:quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1

if [ $# -eq 0 ]; then
	for file in tests/fuzz/fuzz_*.c; do
		target=${file#tests/fuzz/fuzz_}
		set -- "$@" "${target%.c}"
	done
fi
exec 3>"${TAP:-/dev/stdout}"
echo "1..$#" >&3

mkdir -p "$work/broken" && python3 tests/fuzz/seeds.py "$work/seeds" || exit 1

# fuzz TARGET: returns 0 if nothing broke it
fuzz() {
	local target=$1 path options=("$work/found/$1")

	mkdir -p "$work/found/$target"
	for path in "$work/seeds/$target" "tests/fuzz/corpus/$target"; do
		[ ! -d "$path" ] || options+=("$path")
	done
	for path in "tests/fuzz/$target.dict" "$work/seeds/$target.dict"; do
		[ ! -f "$path" ] || options+=("-dict=$path")
	done
	"$build/san/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
		-artifact_prefix="$work/broken/$target-" -print_final_stats=1 "${options[@]}"
}

status=0
for target in "$@"; do
	if fuzz "$target" >"$work/$target.log" 2>&1; then
		echo "ok - $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log") inputs" >&3
	else
		echo "not ok - $target" >&3
		tail -n 60 "$work/$target.log"
		status=1
	fi
done
exit $status
