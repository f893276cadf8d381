#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Brings the C code into the style of .clang-format: scripts/format.sh [--check]
# A line that differs in nothing but blanks behind its indentation stays as it
# is: clang-format has no idea of a table. --check changes nothing, prints what
# would change and returns 1 if anything would.
set -eu
cd "$(dirname "$0")/.."
check=
case "${1:-}" in
--check) check=1 ;;
"") ;;
*) echo "usage: scripts/format.sh [--check]" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The indentation is made of other characters than blanks, so that `diff -b` compares it.
mark() { LC_ALL=C sed -e ':t' -e 's/^\([\x01\x02]*\)\t/\1\x01/;tt' -e 's/^\([\x01\x02]*\) /\1\x02/;tt'; }
unmark() { LC_ALL=C tr '\001\002' '\t '; }

status=0
while read -r file; do
	mark <"$file" >"$work/now"
	clang-format "$file" | mark >"$work/formatted"
	if diff -u -b --label "$file" --label "$file (formatted)" "$work/now" "$work/formatted" >"$work/diff"; then
		continue
	fi
	if [ "$check" ]; then
		unmark <"$work/diff"
		status=1
	else
		patch -s -o "$work/new" "$work/now" "$work/diff"
		unmark <"$work/new" >"$file"
		echo "  FORMAT $file"
	fi
done < <(git ls-files '*.c' '*.h' ':!vmlinux/')
exit $status
