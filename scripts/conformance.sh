#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Which row of docs/conformance.md is shown by which test, and which by none:
# scripts/conformance.sh [GROUP]...   (without groups: all of them)
#
# A test names its rows in a tag, "covers:" and the row IDs up to the end of the
# line, of the string or of the comment; lines with nothing but IDs go on with
# it. A tag in a comment right above a test counts for that test, any other one
# for its line. Exit 1 when a tag names a row that does not exist.
set -eu
cd "$(dirname "$0")/.."

[ -z "${1:-}" ] || [ "${1#-}" = "$1" ] || { echo "usage: scripts/conformance.sh [GROUP]..." >&2; exit 2; }

mapfile -t files < <(grep -rlI --exclude-dir=vectors 'covers:' tests | LC_ALL=C sort)
exec awk -v wanted="$*" '
function fault(text) {
	print FILENAME ":" FNR ": " text > "/dev/stderr"
	faults++
}

# Remembers the IDs of `text` until it is known which test they stand for.
function take(text, found) {
	while (match(text, /[A-Z][A-Z]*-[0-9][0-9A-Za-z.]*/)) {
		tag[++tags] = substr(text, RSTART, RLENGTH)
		tag_line[tags] = FNR
		sub(/[.]+$/, "", tag[tags])
		if (!(tag[tags] in known))
			fault("no row " tag[tags] " in docs/conformance.md")
		text = substr(text, RSTART + RLENGTH)
		found++
	}
	return found
}

# Books the remembered IDs: for the test called `name`, else for their lines.
function book(name, i, where) {
	for (i = 1; i <= tags; i++) {
		where = last_file ":" (name != "" ? name : tag_line[i])
		if (!((tag[i], where) in seen))
			tests[tag[i]] = tests[tag[i]] (tests[tag[i]] == "" ? "" : "  ") where
		seen[tag[i], where] = 1
	}
	tags = 0
}

function percent(part, all) {
	return all ? int(100 * part / all) "%" : "-"
}

BEGIN {
	split(wanted, w, " ")
	for (i in w)
		show[w[i]] = 1
}

# --- the catalogue: rows are those of section 2, readings those of 1.6 and 1.7 ---

FILENAME == "docs/conformance.md" {
	if (/^# /)
		section = $2
	if (section == "2." && /^## [A-Z]+: /) {
		group = substr($2, 1, length($2) - 1)
		groups[++group_count] = group
		title[group] = substr($0, 4)
	}
	if (/^\| [A-Z]+-[0-9]+ \| /) {
		known[$2] = 1
		if (section == "2." && split($0, cell, / *\| */) >= 8) {
			rows[++row_count] = $2
			of_group[$2] = group
			level[$2] = cell[4]
			component[$2] = cell[5]
		}
	}
	next
}

# --- the tags -----------------------------------------------------------------

FNR == 1 {
	book("")
	last_file = FILENAME
	going_on = 0
}

/covers:/ {
	rest = substr($0, index($0, "covers:") + 7)
	ends = match(rest, /"|\*\//)
	if (ends)
		rest = substr(rest, 1, RSTART - 1)
	if (!take(rest))
		fault("a tag that names no row")
	going_on = !ends
	if (!match($0, /^[ \t]*(\/\*|\*|\/\/|#)/))
		book("")
	next
}

going_on {
	rest = $0
	sub(/^[ \t]*[*\/#]*/, "", rest)
	sub(/\*\/[ \t]*$/, "", rest)
	if (rest ~ /^[-A-Z0-9 \t,.]+$/ && take(rest))
		next
	going_on = 0
}

tags && !/^[ \t]*(\/\*|\*|\/\/|#|$)/ {
	if (match($0, /^(Test|ParameterizedTest|Theory)\([^,]*, *[a-z0-9_]+/)) {
		name = substr($0, RSTART, RLENGTH)
		sub(/.*, */, "", name)
	} else if (match($0, /^[a-z0-9_]+ *\(\)/)) {
		name = substr($0, RSTART, RLENGTH)
		sub(/ *\(\)/, "", name)
	} else {
		name = ""
	}
	book(name)
}

# --- the table ------------------------------------------------------------------

function row(id) {
	printf "  %-9s %-13s %-16s %s\n", id, level[id], component[id], tests[id] == "" ? "-" : tests[id]
}

END {
	book("")
	for (i = 1; i <= row_count; i++) {
		id = rows[i]
		covered = tests[id] != ""
		later = level[id] ~ /\(L\)/
		all++
		all_covered += covered
		in_group[of_group[id]]++
		group_covered[of_group[id]] += covered
		n = split(component[id], parts, /, */)
		for (k = 1; k <= n; k++) {
			in_component[parts[k]]++
			component_covered[parts[k]] += covered
		}
		may_wait += later
		may_wait_covered += later && covered
	}
	for (g = 1; g <= group_count; g++) {
		group = groups[g]
		if (wanted != "" && !(group in show))
			continue
		delete show[group]
		printf "%s: %d of %d\n", title[group], group_covered[group], in_group[group]
		for (i = 1; i <= row_count; i++)
			if (of_group[rows[i]] == group)
				row(rows[i])
		print ""
	}
	for (group in show) {
		print "scripts/conformance.sh: no group " group > "/dev/stderr"
		faults++
	}
	printf "%-10s %8s %6s %9s %6s\n", "group", "covered", "rows", "uncovered", ""
	for (g = 1; g <= group_count; g++) {
		group = groups[g]
		printf "%-10s %8d %6d %9d %6s\n", group, group_covered[group], in_group[group],
		       in_group[group] - group_covered[group], percent(group_covered[group], in_group[group])
	}
	printf "\n%-10s %8s %6s %9s %6s   (a row may name several)\n", "component", "covered", "rows", "uncovered", ""
	split("gw-ctl gw-dp host adm", order, " ")
	for (k = 1; k <= 4; k++)
		printf "%-10s %8d %6d %9d %6s\n", order[k], component_covered[order[k]], in_component[order[k]],
		       in_component[order[k]] - component_covered[order[k]],
		       percent(component_covered[order[k]], in_component[order[k]])
	printf "\n%d of %d rows are covered (%s); of %d that may wait, marked (L), %d\n", all_covered, all,
	       percent(all_covered, all), may_wait, may_wait_covered
	if (faults)
		exit 1
}' docs/conformance.md ${files[@]+"${files[@]}"}
