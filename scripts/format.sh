#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Brings the C code into the style of .clang-format: scripts/format.sh [--check]
# Only indentation and blank lines: blanks within a line, and where a line ends,
# are the author's choice, since clang-format has no idea of a table. --check
# changes nothing, prints what would change and returns 1 if anything would.
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

# The indentation is made of other characters than blanks, so that `diff -w`
# compares it. Lines of a macro that are empty but for their backslash have none.
mark() {
	LC_ALL=C sed -e '/^[ \t]*\\$/b' -e ':t' -e 's/^\([\x01\x02]*\)\t/\1\x01/;tt' \
		-e 's/^\([\x01\x02]*\) /\1\x02/;tt'
}
unmark() { LC_ALL=C tr '\001\002' '\t '; }

# From a diff in the normal format, the changes that keep the number of lines
# and what is not blank in each, or take away or add empty lines. Lines that
# begin with a string stay where they are: clang-format lines them up with
# whatever string came before.
in_place() {
	LC_ALL=C awk '
	function flush(i, same, blank, strings) {
		same = was == is
		blank = 1
		strings = was > 0
		for (i = 1; i <= (was > is ? was : is); i++) {
			same = same && old[i] == new[i]
			blank = blank && old[i] new[i] == ""
			strings = strings && old[i] ~ /^"/
		}
		if (head != "" && (same || blank) && !strings)
			printf "%s\n%s", head, body
		split("", old)
		split("", new)
		was = is = 0
		body = ""
	}
	/^[0-9]/ {
		flush()
		head = $0
		next
	}
	{
		body = body $0 "\n"
		text = substr($0, 3)
		gsub(/[ \t\001\002]/, "", text)
	}
	/^</ { old[++was] = text }
	/^>/ { new[++is] = text }
	END { flush() }'
}

status=0
while read -r file; do
	mark <"$file" >"$work/now"
	clang-format "$file" | mark >"$work/formatted"
	diff -w "$work/now" "$work/formatted" | in_place >"$work/diff"
	[ -s "$work/diff" ] || continue
	if [ "$check" ]; then
		echo "$file"
		unmark <"$work/diff"
		status=1
	else
		patch -s -o "$work/new" "$work/now" "$work/diff"
		unmark <"$work/new" >"$file"
		echo "  FORMAT $file"
	fi
done < <(git ls-files '*.c' '*.h' ':!vmlinux/')
exit $status
