#!/bin/sh
# test_limits.sh - docs/limits.md lists the limits of src/base/limits.h with their values.
. "${srcdir:-.}/tests/lib/tap.sh"

# NAME EXPRESSION of each line, made into NAME NUMBER by the shell's arithmetic.
evaluate() {
    while read -r name expression; do
        # shellcheck disable=SC2004 # the text is the expression
        echo "$name $(($expression))"
    done
}

header=$(sed -n 's/^#define \(LIMIT_[A-Z_]*\) *\(.*\)$/\1 \2/p' "$source_root/src/base/limits.h" |
    sed 's|/\*.*||; s/ull//g; s/MIB/(1024 * KIB)/; s/KIB/1024/' | evaluate)
table=$(sed -n 's/^| `\(LIMIT_[A-Z_]*\)` | \([^|]*\) |.*/\1 \2/p' "$source_root/docs/limits.md" |
    sed 's/,//g; s/2^/1 << /; s/ KiB$/ * 1024/; s/ MiB$/ * 1024 * 1024/' | evaluate)

is "the header has limits" "$(echo "$header" | grep -c .)" \
    "$(grep -c '^#define LIMIT_' "$source_root/src/base/limits.h")"
is "names, values and order agree" "$table" "$header"
plan
