# test_dev.sh - triarch dev with the real programs: begin, use, end, begin again.
# shellcheck shell=sh
. "${srcdir:-.}/tests/lib/tap.sh"

unset TRIARCH_MASTERS
dev=
trap 'kill -KILL "${dev:-0}" 2>/dev/null; rm -rf "$work"' EXIT

# True once COMMAND succeeded, within 20 s.
soon() {
    tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 400 ] || return 1
        sleep 0.05
    done
}

is_ready() {
    grep -q 'export TRIARCH_MASTERS' "$work/dev.out"
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# start ARGUMENT...: a cluster that is ready; its children's pids are in $children.
start() {
    : >"$work/dev.out" # what the last one said is not said yet
    TMPDIR=$work ./triarch dev "$@" >"$work/dev.out" 2>"$work/dev.err" &
    dev=$!
    soon is_ready || sed 's/^/# /' "$work/dev.err"
    eval "$(grep 'export TRIARCH_MASTERS' "$work/dev.out")"
    children=$(cat "/proc/$dev/task/$dev/children")
}

all_gone() {
    for pid in $children $task; do
        is_gone "$pid" || return 1
    done
}

# finish SIGNAL: and wait; the exit status is in $status.
finish() {
    kill "-$1" "$dev"
    status=0
    wait "$dev" || status=$?
}

start
is "three masters and two agents" "$(echo "$children" | wc -w)" 5
contains "it says how to use it" "$(cat "$work/dev.out")" "triarch run --wait"
leads() {
    tr '\0' ' ' <"/proc/$(sed -n 's/.* process \([0-9]*\)\..*/\1/p' "$work/dev.out")/cmdline"
}
contains "it says which process leads" "$(leads)" "triarch-master --id"
contains "log lines have prefixes" "$(cat "$work/dev.err")" "master-1 |"
contains "its agents are in two racks" "$(./triarch plan --without rack=b)" "agent "
contains "its agents are in two racks, by turns" "$(./triarch agents --json)" '"rack": "a"'
is "a job runs" "$(./triarch run --wait -- echo hello 2>/dev/null)" 1
is "its output is there" "$(./triarch logs 1)" hello
# shellcheck disable=SC2016
./triarch run --ports 2 --wait -- sh -c 'echo $TRIARCH_PORTS' >/dev/null 2>&1
contains "its agents give out ports" "$(./triarch logs 2)" ,3
# shellcheck disable=SC2016
./triarch run -- sh -c 'echo $$; exec sleep 1000' >/dev/null
wrote_pid() { task=$(./triarch logs 3) && [ -n "$task" ]; }
soon wrote_pid
finish INT
is "Ctrl-C: status 0" "$status" 0
soon all_gone
is "Ctrl-C ends all processes and tasks" "$(all_gone && echo gone)" gone
is "its data is removed" "$(find "$work" -name 'triarch-dev.*')" ""

# Its readers went away, as `dev 2>&1 | tee log` at Ctrl-C.
mkfifo "$work/fifo"
(TMPDIR=$work && export TMPDIR && exec ./triarch dev >"$work/fifo" 2>&1) &
dev=$!
grep -m 1 'export TRIARCH_MASTERS' <"$work/fifo" >"$work/dev.out"
eval "$(cat "$work/dev.out")"
children=$(cat "/proc/$dev/task/$dev/children")
finish INT
soon all_gone
is "without readers: all processes end" "$(all_gone && echo gone)" gone
is "without readers: its data is removed" "$(find "$work" -name 'triarch-dev.*')" ""

start --masters 1 --agents 1 --data "$work/kept"
is "one master, one agent" "$(echo "$children" | wc -w)" 2
./triarch run --name kept --wait -- true >/dev/null 2>&1
finish TERM
is "TERM: status 0" "$status" 0
start --masters 1 --agents 1 --data "$work/kept"
contains "a kept cluster goes on" "$(./triarch status)" kept
status=0
./triarch dev --masters 1 --agents 1 --data "$work/kept" >"$work/other.out" 2>"$work/other.err" || status=$?
is "a second one in the same directory: status 1" "$status" 1
contains "a second one in the same directory" "$(cat "$work/other.err")" "in use by another"
finish HUP
status=0
./triarch dev --masters 3 --data "$work/kept" >"$work/other.out" 2>"$work/other.err" || status=$?
is "another number of masters: status 1" "$status" 1
contains "another number of masters" "$(cat "$work/other.err")" "repeat with --masters 1"

# Two at once give different ports to tasks.
task_ports() { ./triarch agents --json | grep -o '"[0-9]*-[0-9]*"'; }
start --masters 1 --agents 2
first=$(task_ports)
first_dev=$dev first_children=$children
start --masters 1 --agents 2
second=$(task_ports)
is "two agents of each of two: four ranges" \
    "$(printf '%s\n' "$first" "$second" | sort -u | wc -l)" 4
finish INT
dev=$first_dev children="$children $first_children" task=
finish INT

# A master that cannot begin.
rm -rf "$work/kept/master-1" && mkdir -p "$work/kept/master-1/lock"
status=0
./triarch dev --masters 1 --agents 0 --data "$work/kept" >"$work/bad.out" 2>"$work/bad.err" || status=$?
is "a master that does not start: status 1" "$status" 1
contains "a master that does not start" "$(cat "$work/bad.err")" "master-1 ended: "

cp triarch "$work/alone"
status=0
PATH=/nowhere "$work/alone" dev >"$work/alone.out" 2>"$work/alone.err" || status=$?
is "no programs: status 1" "$status" 1
contains "no programs" "$(cat "$work/alone.err")" "triarch-master is neither beside triarch"

# Its parent dies.
TMPDIR=$work sh -c './triarch dev --masters 1 --agents 1 >"$0/dev.out" 2>"$0/dev.err" & echo $! >"$0/dev.pid"; wait' "$work" &
parent=$!
: >"$work/dev.out"
soon is_ready
dev=$(cat "$work/dev.pid")
children=$(cat "/proc/$dev/task/$dev/children")
task=
kill -KILL "$parent"
soon is_gone "$dev"
is "it ends with its parent" "$(is_gone "$dev" && echo gone)" gone
soon all_gone
is "its processes too" "$(all_gone && echo gone)" gone

plan
