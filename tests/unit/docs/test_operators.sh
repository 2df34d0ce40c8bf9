#!/bin/sh
# test_operators.sh - docs/operators.md and the units of deploy/systemd against the programs.
. "${srcdir:-.}/tests/lib/tap.sh"

page=$source_root/docs/operators.md
units=$source_root/deploy/systemd

# options FILE : those that a help text lists
options() {
    sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}--\([a-z-]*\).*/\2/p' "$1" | sort -u
}

# ---- options ----

for program in triarch-master triarch-agent triarch; do
    "./$program" --help >"$work/$program.help"
done
for command in $(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$work/triarch.help"); do
    "./triarch" "$command" --help
done >"$work/commands.help"
cat "$work"/*.help >"$work/all"
options "$work/all" >"$work/there"
grep -ho -e '--[a-z][a-z-]*' "$page" "$units"/*.service | sed 's/^--//' | sort -u >"$work/named"
is "the page names options" "$(test "$(grep -c . "$work/named")" -gt 15 && echo many)" many
is "options that there are not" "$(comm -23 "$work/named" "$work/there")" ""

# A ```ini block, "# /etc/triarch/master.conf": a file of triarch-master.
for name in master agent; do
    sed -n "/^# \/etc\/triarch\/$name.conf/,/^\`\`\`/s/^\([a-z-]*\) = .*/\1/p" "$page" |
        sort -u >"$work/named"
    options "$work/triarch-$name.help" >"$work/there"
    is "$name.conf has lines" "$(test "$(grep -c . "$work/named")" -gt 3 && echo some)" some
    is "lines of $name.conf that there are not" "$(comm -23 "$work/named" "$work/there")" ""
done

# ---- links ----

grep -o '](\([^)#]*\)' "$page" | sed 's/^](//' | sort -u | while read -r link; do
    [ -e "$source_root/docs/$link" ] || echo "$link"
done >"$work/missing"
is "links that lead nowhere" "$(cat "$work/missing")" ""

# ---- units ----

# verify UNIT : what systemd finds wrong with it, with a program that is there
verify() {
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$units/$1" >"$work/$1"
    systemd-analyze verify --man=no "$work/$1" 2>&1
}

if command -v systemd-analyze >/dev/null; then
    for unit in triarch-master.service triarch-agent.service; do
        is "$unit" "$(verify "$unit")" ""
    done
else
    skip "units" "there is no systemd-analyze here"
fi
plan
