# tap.sh - TAP for tests in shell: `is NAME GOT WANTED`, `skip NAME REASON`, and `plan` at the end.
#
#   . "${srcdir:-.}/tests/lib/tap.sh"
#
# $work is a folder that is removed at the end.  Run one test by hand: sh tests/unit/…/x.sh
# shellcheck shell=sh disable=SC2034
number=0
failed=0
source_root=${srcdir:-.}
work=$(mktemp -d "${TMPDIR:-/tmp}/triarch-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

is() {
    number=$((number + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $number - $1"
        return
    fi
    failed=1
    echo "not ok $number - $1"
    printf '%s\n' "got:" "$2" "wanted:" "$3" | sed 's/^/# /'
}

# contains NAME TEXT PART
contains() {
    case $2 in
    *"$3"*) is "$1" yes yes ;;
    *) is "$1" "$2" "(something with) $3" ;;
    esac
}

# skip NAME REASON
skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

plan() {
    echo "1..$number"
    exit "$failed"
}
