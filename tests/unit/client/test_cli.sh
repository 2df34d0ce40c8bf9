# test_cli.sh - the command line against a cluster that is not one (fake_cluster.c).
# shellcheck shell=sh
. "${srcdir:-.}/tests/lib/tap.sh"

triarch=./triarch
unset TRIARCH_MASTERS NO_COLOR
TERM=xterm
export TERM

# start N: a fresh cluster; its addresses are in TRIARCH_MASTERS.
start() {
    stop
    mkfifo "$work/addresses"
    ./tests/unit/client/fake_cluster "$1" >"$work/addresses" &
    cluster=$!
    read -r TRIARCH_MASTERS <"$work/addresses"
    rm "$work/addresses"
    export TRIARCH_MASTERS
}

cluster=
stop() {
    [ -z "$cluster" ] || { kill "$cluster" && wait "$cluster"; } 2>/dev/null
    cluster=
}
trap 'stop; rm -rf "$work"' EXIT

# run ARGUMENT...: $out, $err and $status of triarch.
run() {
    status=0
    "$triarch" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

# True once COMMAND succeeded, within 10 s.
soon() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 500 ] || return 1
        sleep 0.02
    done
}

# tty COMMAND: what it writes to a terminal of 100 columns.
tty() {
    script -qec "stty cols 100 rows 30; $1" /dev/null </dev/null
}

escape=$(printf '\033')

# ---- wrong usage ----

run
is "no command: status 2" "$status" 2
run statsu
is "unknown command: status 2" "$status" 2
contains "unknown command: did you mean" "$err" "did you mean status?"
run stop 1
contains "a command of others: what it is here" "$err" "did you mean kill?"
run help
is "help: status 0" "$status" 0
contains "help: the commands" "$out" "submit"
run help submit
is "help of a command: status 0" "$status" 0
contains "help of a command" "$out" "triarch submit [OPTION]... FILE"
run help sumbit
is "help of no command: status 2" "$status" 2
contains "help of no command: did you mean" "$err" "did you mean submit?"
is "an error is one line" "$(wc -l <"$work/err")" 1
is "an error leaves stdout alone" "$out" ""
run wait seventeen
is "a job is a number: status 2" "$status" 2
contains "a job is a number" "$err" '"seventeen" is not the id of a job'
run logs 1.x
is "a task is JOB.INSTANCE: status 2" "$status" 2
run exec 1
is "exec needs a command: status 2" "$status" 2
run exec 1 --
contains "exec needs a command behind --" "$err" "give a command"
run exec -it 1 -- true
is "exec -t needs a terminal: status 2" "$status" 2
contains "exec -t needs a terminal" "$err" "-t needs a terminal"
run run
is "run needs a command: status 2" "$status" 2
run agents cordon 1 --deadline 10m
is "an option of another change of an agent: status 2" "$status" 2
is "an option of another change of an agent" "$err" "triarch: --deadline: only for agents drain"
run agents --force
is "an option of a change alone" "$err" "triarch: --force: only for agents gone"
run files ls job-1 --offset 3
is "an option of files cat: status 2" "$status" 2
is "an option of files cat" "$err" "triarch: --offset: only for files cat"
run files cat job-1 out --json
is "an option of files ls" "$err" "triarch: --json: only for files ls"
run agents show
contains "agents show: how to list them" "$err" "write list, or drain"
run agents list 7
is "agents list takes no agent: status 2" "$status" 2
run run --cpus -1 -- true
is "cpus are checked: status 2" "$status" 2
contains "cpus are checked" "$err" "--cpus"
run run --name '' -- true
is "the name is checked: status 2" "$status" 2
run run --priority 1001 -- true
is "the priority is checked: status 2" "$status" 2
contains "the priority is checked" "$err" "from -1000 to 1000"
run run --priority -x -- true
is "the priority is a number: status 2" "$status" 2
run run --env 1A=x -- true
is "variables are checked: status 2" "$status" 2
contains "variables are checked" "$err" "'1A=x' is not NAME=value"
run run --env A=1 --env TRIARCH_TERM=9 -- true
is "variables of the agent: status 2" "$status" 2
contains "variables of the agent" "$err" "'TRIARCH_TERM': the agent sets what begins with TRIARCH_"
run run --ports 65 -- true
is "ports have a limit: status 2" "$status" 2
run run --image web -- true
is "an image says what it is: status 2" "$status" 2
contains "an image says what it is" "$err" "oci:/PATH"
run run --masters 127.0.0.1 -- true
is "masters are checked: status 2" "$status" 2
run dev --masters 2
is "dev wants an odd number: status 2" "$status" 2
run dev --help
is "--help of a command has each option once" "$(grep -c -e --masters "$work/out")" 1
run submit "$work/none.yaml"
is "a missing file: status 1" "$status" 1
printf 'name: x\ninstnces: 2\ncommand: "true"\n' >"$work/bad.yaml"
run submit "$work/bad.yaml"
is "a bad file: status 1" "$status" 1
contains "a bad file: did you mean" "$err" "did you mean instances?"
printf 'name: x\ncommand: "true"\nrestart: {attempts: 2}\n' >"$work/good.yaml"
run submit --check "$work/good.yaml"
is "submit --check: status 0 without a cluster" "$status" 0
is "submit --check: no id" "$out" ""
contains "submit --check: it says so" "$err" "good.yaml: a valid job"
run submit --check "$work/bad.yaml"
is "submit --check of a bad file: status 1" "$status" 1
contains "submit --check of a bad file: the line" "$err" "bad.yaml:2: instnces"
run version
contains "version" "$out" "triarch "

# ---- nobody there ----

TRIARCH_MASTERS=127.0.0.1:1
export TRIARCH_MASTERS
run --timeout 300ms status
is "no cluster: status 1" "$status" 1
contains "no cluster: why" "$err" "connection refused"
run masters
is "no master: status 1" "$status" 1
contains "no master: shown as unreachable" "$out" "unreachable"

# ---- run and wait ----

start 3
run run --name first -- true
is "run: status 0" "$status" 0
is "run prints the id alone" "$out" 2
is "run says nothing else" "$err" ""
run run --key same -- true
first=$out
run run --key same -- true
is "the same key, the same job" "$out" "$first"
run wait 2
is "wait: status 0" "$status" 0
contains "wait tells how it ended" "$out" "job 2 COMPLETE: 1 of 1 finished"
run run --instances 3 --wait -- true
is "run --wait: status 0" "$status" 0
is "run --wait: the id alone on stdout" "$out" 4
contains "run --wait: progress on stderr" "$err" "job 4 COMPLETE: 3 of 3 finished"
run run --wait -- false
is "run --wait of a failure: status 1" "$status" 1
contains "a failure says where to look" "$err" "triarch logs --both 5.0"
contains "a failure says which and why" "$err" "5.0 TASK_FAILED (exited with "
is "a message cannot forge a line" "$(grep -c "^tape" "$work/err")" 0
run run --schedule @daily --wait -- true
is "run --wait of a schedule: status 2" "$status" 2
contains "run --wait of a schedule: why" "$err" "--wait: 'true' does not end"
run run --schedule @daily --timezone Europe//Berlin -- true
is "a timezone that is no name: status 2" "$status" 2
contains "a timezone that is no name: why" "$err" "'Europe//Berlin' is no name of a time zone"
run run --timezone Europe/Berlin -- true
is "a timezone of no schedule: status 2" "$status" 2
contains "a timezone of no schedule" "$err" "--timezone: of a schedule"
run run --schedule @never -- true
is "a schedule that is none: status 2" "$status" 2
contains "a schedule that is none: the words" "$err" "--schedule: no '@never'; give @hourly, @daily,"
printf 'name: x\ncommand: x\nschedule: {cron: "@daily", timezone: Europe}\n' >"$work/zone.yaml"
if [ -d /usr/share/zoneinfo/Europe ]; then
    run submit --check "$work/zone.yaml"
    is "a directory is no timezone: status 1" "$status" 1
    contains "a directory is no timezone: where and why" "$err" \
        "zone.yaml:3: schedule.timezone: there is no 'Europe' in /usr/share/zoneinfo"
    printf 'jobs:\n- {name: b, after: [a], command: x}\n- name: a\n  command: x\n' >"$work/zones.yaml"
    printf '%s\n' '- name: c' '  command: x' '  schedule:' '    cron: "@daily"' '    timezone: Europe' >>"$work/zones.yaml"
    run submit --check "$work/zones.yaml"
    contains "the line in a list of jobs" "$err" "zones.yaml:9: jobs[2].schedule.timezone: there is no"
    run run --schedule @daily --timezone Europe -- true
    is "a timezone that is none, as an option: status 2" "$status" 2
    contains "a timezone that is none, as an option" "$err" "triarch: --timezone: there is no 'Europe'"
else
    echo "# no tz database here: a directory of it is not tried"
fi
{
    echo "jobs:"
    n=0
    while [ $n -lt 3 ]; do
        n=$((n + 1))
        printf '  - {name: j%s, command: "%s"}\n' $n "$(head -c 50000 /dev/zero | tr '\0' x)"
    done
} >"$work/large.yaml"
run submit --check "$work/large.yaml"
is "submit --check of too many bytes: status 1" "$status" 1
contains "submit --check of too many bytes: why" "$err" "submit them in parts"
printf 'name: from-file\ncommand: "true"\ninstances: 2\n' >"$work/job.yaml"
run submit --wait "$work/job.yaml"
is "submit: status 0" "$status" 0
is "submit prints the id" "$out" 6
run submit - <"$work/job.yaml"
run wait 99
is "no such job: status 1" "$status" 1
contains "no such job" "$err" "no such job"

# ---- listings ----

run status
is "status: status 0" "$status" 0
contains "status: the head" "$out" "ID  NAME"
contains "status: what it waits for" "$out" "no agent has 64 cpus"
is "status: one line a job, hostile name or not" "$(wc -l <"$work/out")" 7
is "status: no escapes in a pipe" "$(grep -c "$escape" "$work/out")" 0
run status --json
is "status --json: each job" "$(grep -c '"submitted"' "$work/out")" 6
is "status --json: one document" "$(head -c 1 "$work/out")$(tail -n 1 "$work/out")" "[]"
contains "status --json: names" "$out" '"name": "from-file"'
run run --instances 12000 -- mixed
large=$out
"$triarch" status "$large" --all 2>"$work/err" | head -n 1 >"$work/out"
is "a reader that goes away is no error" "$(cat "$work/err")" ""
"$triarch" status "$large" --all >/dev/full 2>"$work/err"
contains "a full disk is one" "$(cat "$work/err")" "No space left on device"
status=0
"$triarch" status >&- 2>"$work/err" || status=$?
is "stdout is closed: status 1" "$status" 1
contains "stdout is closed" "$(cat "$work/err")" "Bad file descriptor"
status=0
"$triarch" status <&- >"$work/out" 2>&- || status=$?
is "stdin and stderr are closed: status 0" "$status" 0
contains "stdin and stderr are closed" "$(cat "$work/out")" "ID  NAME"
run status 5
contains "status JOB: summary" "$out" "0 of 1 finished, 1 failed"
contains "status JOB: its tasks" "$out" "5.0"
run status 5 --json
contains "status JOB --json: exit code" "$out" '"exit_code": 3'
is "status JOB --json: nothing else" "$err" ""
contains "status JOB --json: what it is" "$out" '"argv": ['
run show 5
is "show: status 0" "$status" 0
contains "show: what it is" "$out" '"false"'
cp "$work/out" "$work/shown.json"
run submit --check "$work/shown.json"
is "show: a job file" "$status" 0
run run --priority -5 --kill-grace 1500ms --reschedule 2 --schedule @daily --timezone UTC -- true
run show "$out"
is "run --timezone UTC says no more than none" "$(grep -c timezone "$work/out")" 0
contains "run --schedule" "$out" '"@daily"'
contains "run --priority" "$out" '"priority": -5'
contains "run --kill-grace" "$out" '"kill_grace": "1500ms"'
contains "run --reschedule" "$(echo "$out" | tr -d ' \n')" '"reschedule":{"attempts":2'
run show 99
is "show of no job: status 1" "$status" 1
run status 5
is "status JOB: no column without a word" "$(grep -cE "PORTS|HEALTH|RESTARTS" "$work/out")" 0
run run --wait -- serves
run status "$out"
contains "status JOB: ports, health and restarts" "$out" "4  failing      1  80,31000-31002,31005,31006"
status=0
timeout -s INT 3 "$triarch" wait 1 >"$work/out" 2>"$work/err" </dev/null || status=$?
is "wait of a pending job says why, once" \
    "$(grep -c "job 1 waits: no agent has 64 cpus" "$work/err")" 1
run status 1
contains "status JOB: why" "$out" "pending: no agent has 64 cpus"
run wait "$large"
is "a large job with failures: status 1" "$status" 1
contains "the first failures" "$err" "$large.7 TASK_FAILED"
contains "how many failures" "$err" "3 of 12000 tasks did not finish well"
run status "$large"
contains "a large job: a summary" "$out" "11997 of 12000 finished, 3 failed"
is "a large job: only unusual tasks" "$(grep -c "^$large\\." "$work/out")" 3
contains "a large job: how to see all" "$err" "--all"
run status "$large" --all
is "a large job with --all" "$(grep -c "^$large\\." "$work/out")" 12000
run status "$large.7"
is "status TASK: that one alone" "$(grep -c "^$large\\." "$work/out")" 1
contains "status TASK: its job" "$out" "11997 of 12000 finished"
run status "$large.12000"
is "status of no task: status 1" "$status" 1
run status 5 "$large.7"
is "status of several" "$(grep -c "^Job " "$work/out")" 2
run status 5 "$large.7" --json
is "status of several --json: a list" "$(grep -c '"submitted"' "$work/out")$(head -c 1 "$work/out")" "2["
run status 5.x
is "status of what is no task: status 2" "$status" 2
run status --running
is "status --running: what has not ended" "$(sed 1d "$work/out" | awk '{print $1}')" 1
run status --running --json
is "status --running --json" "$(grep -c '"submitted"' "$work/out")" 1
run status --stale
contains "stale says so" "$err" "stale: "
run agents
contains "agents: what is given of what there is" "$out" "1.5/4"
contains "agents: what else is in use" "$out" "disk 0/0 MiB"
agents=$out
run agents list
is "agents list: the same" "$out" "$agents"
contains "agents: no room on its disk" "$out" "ACTIVE, disk low"
contains "agents: attributes" "$out" "rack:a;zone:b"
run agents --json
contains "agents --json" "$out" '"state": "UNREACHABLE"'
run masters
is "masters: each of them" "$(grep -c follower "$work/out")" 2
contains "masters: the leader" "$out" "leader"
TRIARCH_MASTERS=$TRIARCH_MASTERS,127.0.0.1:1
run masters
is "masters: one of them is unreachable: status 0" "$status" 0
contains "masters: one of them is unreachable" "$out" "unreachable"
run masters --json
contains "masters --json: what is not known is null" "$out" '"id": null'
contains "masters --json: why" "$out" '"why": "connection refused"'
contains "masters --json: why not" "$out" '"why": null'
TRIARCH_MASTERS=${TRIARCH_MASTERS%,*}

# ---- kill and purge ----

run run -- sleep
sleeper=$out
run kill "$sleeper"
is "kill: status 0" "$status" 0
contains "kill" "$err" "is killed"
run kill "$first"
contains "kill of a job that had ended" "$err" "had ended before: it is COMPLETE"
run wait "$sleeper"
is "a killed job did not finish well" "$status" 1
contains "a killed job" "$err" "KILLED"
run run -- sleep
sleeper=$out
run kill 7777 "$sleeper"
is "kill of several: status 1 if one fails" "$status" 1
contains "kill of several: one is killed" "$err" "job $sleeper is killed"
contains "kill of several: how many failed" "$err" "1 of 2 jobs"
run kill "$sleeper" x
is "kill of what is no job: status 2" "$status" 2
run run --name slippery --wait -- true
slippery=$out
run purge "$slippery"
is "purge whose answer was lost: status 0" "$status" 0
run purge "$slippery"
is "purge of nothing: status 1" "$status" 1

# ---- exec ----

run exec 1 -- true
is "exec in a task that waits: status 255" "$status" 255
contains "exec in a task that waits" "$err" "does not run yet"
run exec 7777 -- true
is "exec in no task: status 255" "$status" 255
run run -- sleep
sleeper=$out
has_no_rpc() {
    run exec "$sleeper" true
    [ "$status" -eq 255 ] && case $err in *"start it with --rpc"*) ;; *) false ;; esac
}
soon has_no_rpc
is "exec on an agent without RPC" "$?" 0

# ---- logs ----

run run --wait -- true
run logs "$out"
is "logs: status 0" "$status" 0
is "logs: all lines" "$(wc -l <"$work/out")" 200
contains "logs: the last line" "$out" "says line 200"
run logs "${large}.3"
contains "logs: of any task" "$out" "job $large says line 1"
run logs --stderr "${large}.3"
is "logs that are not there: status 1" "$status" 1
contains "logs that are not there" "$err" "status 404"
run logs "$large.12000"
is "logs of no task: status 1" "$status" 1
run logs 1
contains "logs of a pending task" "$err" "has not started"
run run -- cut
cutter=$out
run logs -f "$cutter"
is "logs -f through lost connections: status 0" "$status" 0
is "logs -f: no line twice, none lost" "$(sed 's/.* line //' "$work/out" | md5sum)" \
    "$(seq 1 200 | md5sum)"

run run -- quiet
run logs --timeout 1s -f "$out"
is "logs -f through a connection that is lost after a silence: status 0" "$status" 0
is "logs -f after a silence: no line twice, none lost" \
    "$(sed 's/.* line //' "$work/out" | md5sum)" "$(seq 1 200 | md5sum)"
run run --wait --instances 3 -- true
several=$out
run logs "$several"
is "logs of a job: status 0" "$status" 0
is "logs of a job: all tasks, each line with its task" \
    "$(sed 's/ | .*//' "$work/out" | uniq -c | tr -s ' ')" \
    " 200 $several.0
 200 $several.1
 200 $several.2"
run logs -f "$several.2" "$several.0" "$several.2"
is "logs of some tasks: no line lost or mixed" "$(sort "$work/out" | uniq -c | grep -c ' 1 ')" 400
run logs "$several.0" "$large.12000"
is "logs of which one is not there: status 1" "$status" 1
is "logs of which one is not there: the others are" "$(wc -l <"$work/out")" 200
contains "logs of which one is not there: which" "$err" "$large.12000: there is no task"
contains "logs of which one is not there: how many" "$err" "1 of 2 logs"
run logs "$large"
is "logs of too many: status 1" "$status" 1
contains "logs of too many" "$err" "more than 512 logs"
run logs --since yesterday "$several"
is "logs since no time: status 2" "$status" 2
contains "logs since no time" "$err" "--since"
contains "logs of several on a terminal have colours" \
    "$(tty "./triarch logs $several")" "${escape}[36m$several.0 | ${escape}[0mjob"

run run -- moves
run logs -f "$out"
is "logs -f of an attempt whose agent hangs: status 0" "$status" 0
contains "logs -f goes on with the next attempt" "$err" "attempt 2 of task"
contains "logs -f of the next attempt: to its end" "$out" "says line 200"
run run --wait -- mute
run logs "$out"
is "logs of an agent that hangs: status 1" "$status" 1
contains "logs of an agent that hangs" "$err" "says nothing"
run run --wait -- true
run logs -f --stderr "$out"
is "logs -f of an ended task that has none: status 1" "$status" 1

# ---- failover ----

run run -- sleep
long=$out
"$triarch" wait "$long" >"$work/wait" 2>"$work/wait.err" &
waiter=$!
soon [ -s "$work/wait" ]
kill -USR1 "$cluster"
run run -- true
is "a command while the leader changes: status 0" "$status" 0
tells_leader() { grep -q "leader is now 127.0.0.1:" "$work/wait.err"; }
soon tells_leader
is "wait tells who leads" "$(tells_leader && echo yes)" yes
kill -USR2 "$cluster"
run run -- true
is "a command while the leader hangs: status 0" "$status" 0
run kill "$long"
status=0
wait "$waiter" || status=$?
is "wait goes on through changes of the leader" "$status" 1

start 3
run run -- sleep
"$triarch" wait "$out" >"$work/again" 2>"$work/again.err" &
waiter=$!
soon [ -s "$work/again" ]
kill -INT "$waiter"
status=0
wait "$waiter" || status=$?
is "an interrupted wait: status 130" "$status" 130
contains "an interrupted wait: the job goes on" "$(cat "$work/again.err")" "job 2 goes on"

# ---- a terminal ----

shown=$(tty "$triarch status")
contains "a terminal: colour" "$shown" "${escape}["
is "a terminal: lines fit" "$(echo "$shown" | sed "s/$escape\\[[0-9]*m//g" | tr -d '\r' | awk 'length > 100' | wc -l)" 0
run run --name "$(printf 'x%.0s' $(seq 255))" -- true
shown=$(NO_COLOR=1 tty "$triarch status" | tr -d '\r')
is "a terminal: lines fit, however long the names are" "$(echo "$shown" | LC_ALL=C.UTF-8 wc -L)" 100
contains "a terminal: a long name is cut" "$shown" "xxx…  "
shown=$(NO_COLOR=1 tty "$triarch status")
is "a terminal: NO_COLOR" "$(echo "$shown" | grep -c "$escape")" 0
shown=$(tty "$triarch run --wait --instances 5 -- true")
contains "a terminal: the line is redrawn" "$shown" "${escape}[K"
contains "a terminal: a bar" "$shown" "░"
contains "a terminal: the end" "$shown" "5 of 5 finished"
shown=$(TERM=dumb tty "$triarch run --wait -- true")
is "a dumb terminal: no escapes" "$(echo "$shown" | grep -c "$escape")" 0

plan
