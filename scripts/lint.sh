#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Checks the committed files: C style, shell scripts, man pages, licence lines,
# blanks, and that the documents name what the code has. Prints each fault and
# exits 1 if there was one. Needs no build.
set -u
cd "$(dirname "$0")/.." || exit 1

for tool in git clang-format shellcheck mandoc; do
	command -v $tool >/dev/null || { echo "lint: $tool is missing: make deps" >&2; exit 1; }
done

git ls-files --error-unmatch Makefile >/dev/null || exit 1

report=$(mktemp)
trap 'rm -f "$report"' EXIT
# check WHAT: standard input says what is wrong
check() { sed "1s|^|$1:\\n|" | sed 's/^/  /; 1s/^  //' >>"$report"; }

# A file may be listed and not be there, in the middle of a move.
files() { git ls-files -- "$@" | while read -r f; do [ -f "$f" ] && [ -s "$f" ] && echo "$f"; done; }

# --- C -----------------------------------------------------------------------

scripts/format.sh --check | check "not in the style of .clang-format (make format)"

files 'bpf/*.[ch]' 'user/*.[ch]' 'include/*.h' | while read -r f; do
	expand "$f" | awk -v f="$f" 'length > 128 { print f ":" NR ": " length " columns" }'
done | check "lines over 128 columns"

# Braces and bodies, which the formatter leaves alone.
git grep -nE -e '^[a-z].*\) \{$' -- 'bpf/*.[ch]' 'user/*.[ch]' 'include/*.h' 'tests/*.[ch]' |
	grep -vE ':(Test|ParameterizedTest|ParameterizedTestParameters|TestSuite)\(' | check "{ of a function on a line of its own"
git grep -nE '^ +[^ *]' -- 'bpf/*.[ch]' 'user/*.[ch]' 'include/*.h' 'tests/*.[ch]' | check "indented with blanks"
git grep -nE '\b(if|for|while|switch)\(|\b(else|do)\{' -- 'bpf/*.[ch]' 'user/*.[ch]' 'include/*.h' 'tests/*.[ch]' |
	check "no blank before ( or {"
git grep -nE '^	+if \([^()]*(\([^()]*\)[^()]*)*\) [^{]*;' -- '*.[ch]' ':!vmlinux/' |
	check "body on the line of its if"
git grep -nE -A 1 '^	+(\} )?(if|for|while|switch|else|do)\b.*[^;{,&|\\]$' -- '*.[ch]' ':!vmlinux/' |
	grep -E '^[^:]+-[0-9]+-	+\{$' | check "{ belongs behind its if, for, while, switch, else or do"

# --- shell ---------------------------------------------------------------------

mapfile -t scripts < <(files | while read -r f; do
	case $f in *.sh) echo "$f" && continue ;; esac
	head -c 64 "$f" | head -n 1 | grep -qaE '^#!.*/(env )?(ba|da)?sh\b' && echo "$f"
done)
shellcheck -x -P SCRIPTDIR -f gcc "${scripts[@]}" | check "shellcheck"
for f in "${scripts[@]}"; do
	head -n 1 "$f" | grep -q '^#!' && [ ! -x "$f" ] && echo "$f"
done | check "scripts with a #! line that cannot be run"

# --- man pages -------------------------------------------------------------------

files 'docs/man/*.[1-9]' | xargs -r mandoc -Tlint -W warning 2>&1 | check "mandoc -Tlint"

# --- every file --------------------------------------------------------------------

files '*.c' '*.h' '*.sh' '*.py' '*.yaml' '*.service' '*.bt' Makefile .ci/run | while read -r f; do
	head -n 3 "$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f"
done | check "no SPDX line"

git grep -nIE '[[:blank:]]+$' -- . ':!LICENSE' ':!vmlinux/' ':!tests/fuzz/corpus/' | check "blanks at the end of a line"
files ':!LICENSE' ':!tests/fuzz/corpus/' | while read -r f; do
	[ -z "$(tail -c 1 "$f" | tr -d '\n')" ] || echo "$f"
done 2>/dev/null | check "no newline at the end of the file"
git grep -nIwE 'TO[D]O|FIX[M]E|X[X]X' -- . ':!LICENSE' | check "marks of unfinished work"
git grep -nIE '(^|[^[:alnum:]_}])/(wor[k]|hom[e]|roo[t]|far[m])/' -- . ':!LICENSE' | check "paths of one machine"

# --- documents ------------------------------------------------------------------------

# Links to files of this project, in Markdown.
files '*.md' | while read -r f; do
	grep -oE '\]\([^)# ]+' "$f" | sed 's/^](//' | grep -vE '^[a-z]+:' | while read -r link; do
		[ -e "$(dirname "$f")/$link" ] || echo "$f: $link"
	done
done | check "links to files that do not exist"

# Every outcome of a packet is explained, and none that does not exist.
# shellcheck disable=SC2016 # backquotes of Markdown
diff <(sed -n 's/^\tX(\([A-Z_]*\),.*/\L\1/p' include/rsip/datapath.h | tr _ - | sort) \
	<(sed -n 's/^| `\(\(in\|out\)-[a-z-]*\|error\)` |.*/\1/p' docs/operations.md | sort) |
	sed -n 's/^< \(.*\)/\1 is not in docs\/operations.md/p; s/^> \(.*\)/\1 is not in include\/rsip\/datapath.h/p' |
	check "outcomes"

# Every command of rsipctl is in its man page and in operations.md.
sed -n '/commands\[\] = {/,/^};/s/^\t{ "\([a-z]*\)",.*/\1/p' user/rsipctl/main.c | while read -r word; do
	grep -qE "\`rsipctl $word\b" docs/operations.md || echo "rsipctl $word is not in docs/operations.md"
	[ ! -f docs/man/rsipctl.8 ] || grep -qE "^\.(It|Ic|Cm) .*\b$word\b" docs/man/rsipctl.8 ||
		echo "rsipctl $word is not in docs/man/rsipctl.8"
done | check "commands"

# Tags of tests name rows that exist.
scripts/conformance.sh 2>&1 >/dev/null | check "covers: tags"

# What the README and the other documents tell people to type.
files '*.md' | xargs -r grep -ohE '`make [a-z-]+' | sed 's/`make //' | sort -u | while read -r target; do
	grep -q "^$target:" Makefile || echo "make $target"
done | check "make targets that do not exist"

[ ! -s "$report" ] || { cat "$report"; exit 1; }
echo "lint: no faults"
