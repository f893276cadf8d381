#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Performance: runs tests/bench/bench_*.sh, prints a table and writes
# build/bench.json. scripts/bench.sh [NAME...]: only bench_NAME.sh.
#
# A benchmark prints a line of JSON for each figure, and nothing else:
#
#   {"name": "durable lease operations", "value": 120000, "unit": "/s", "target": ">= 100000"}
#
# "target" and "note" may be missing. A figure is a median of its runs where that
# makes sense. Targets that are missed are marked; they do not make this script fail,
# a benchmark that ends with another status than 0 does.
set -u
cd "$(dirname "$0")/.." || exit 1

build=${BUILD:-build}
export BUILD=$PWD/$build
lines=$build/bench.lines
[ "$(id -u)" -eq 0 ] || { echo "bench: needs root" >&2; exit 1; }
: >"$lines" || exit 1

if [ $# -eq 0 ]; then
	for file in tests/bench/bench_*.sh; do
		name=${file#tests/bench/bench_}
		set -- "$@" "${name%.sh}"
	done
fi

status=0
for name in "$@"; do
	echo "bench: $name" >&2
	"tests/bench/bench_$name.sh" | jq -c --unbuffered --arg bench "$name" '{bench: $bench} + . +
		if .target then
			(.target | split(" ")) as [$op, $limit] | ($limit | tonumber) as $limit |
			{met: (if $op == ">=" then .value >= $limit else .value <= $limit end)}
		else {} end' >>"$lines"
	[ "${PIPESTATUS[*]}" = "0 0" ] || { echo "bench: $name failed" >&2; status=1; }
done

jq -s --arg cpu "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" --arg cpus "$(nproc)" \
	--arg kernel "$(uname -r)" --arg date "$(date -u +%FT%TZ)" \
	'{machine: {cpu: $cpu, cpus: ($cpus | tonumber), kernel: $kernel}, date: $date, results: .}' \
	"$lines" >"$build/bench.json"
jq -r '.machine | "\(.cpus) x \(.cpu), Linux \(.kernel)"' "$build/bench.json"
jq -r '.results[] | [.name, (.value * 100 | round / 100 | tostring), .unit,
	(if .target then .target + (if .met then "" else ", MISSED" end) else "" end), .note // ""] | @tsv' \
	"$build/bench.json" | awk -F '\t' '{ printf "  %-58s %12s %-6s %-20s %s\n", $1, $2, $3, $4, $5 }'
exit $status
