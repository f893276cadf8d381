#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Writes what "make check-interop" found into docs/interop.md: the table between
# its two marks. A row that was run several times counts as the last time.
set -eu
cd "$(dirname "$0")/.."
results=${BUILD:-build}/tests/results/interop
document=docs/interop.md

[ -s "$results" ] || {
	echo "scripts/interop.sh: no results in $results: run make check-interop first" >&2
	exit 1
}

table() {
	echo "| X | Y | IKE | MOBIKE | IKE from port | Protection | What happened | Result |"
	echo "|---|---|---|---|---|---|---|---|"
	awk -F '|' '{
		row = $1
		for (i = 2; i < NF; i++) row = row " | " $i
		if (!(row in result)) order[++n] = row
		result[row] = $NF
	}
	END { for (i = 1; i <= n; i++) print "| " order[i] " | " result[order[i]] " |" }' "$results" | sort
}

new=$(mktemp)
trap 'rm -f "$new"' EXIT
table >"$new"
sed -i -e '/^<!-- results -->$/,/^<!-- end of results -->$/ { /^<!-- results -->$/ r '"$new" -e '/^<!--/! d }' "$document"
