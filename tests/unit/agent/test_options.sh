#!/bin/sh
# test_options.sh - what triarch-agent refuses, and how it says so.
. "${srcdir:-.}/tests/lib/tap.sh"

# refused NAME STATUS PART OPTION... : it ends with that status, and says so in one line
refused() {
    name=$1 wanted=$2 part=$3
    shift 3
    ./triarch-agent "$@" >"$work/out" 2>"$work/err"
    is "$name: status" $? "$wanted"
    contains "$name: message" "$(cat "$work/err")" "$part"
    is "$name: one line" "$(wc -l <"$work/err")" 1
}

# wrong NAME PART OPTION... : wrong usage, found before the work directory is touched
wrong() {
    name=$1 part=$2
    shift 2
    refused "$name" 2 "$part" --work-dir "$work/untouched" "$@"
}

masters=127.0.0.1:1

wrong "no masters" "--masters"
wrong "master without port" "write HOST:PORT" --masters 127.0.0.1
wrong "a master twice" "given twice" --masters a:1,a:1
wrong "too many masters" "more than 5" --masters a:1,b:1,c:1,d:1,e:1,f:1
wrong "negative cpus" "-1 is negative" --masters $masters --resources cpus:-1
wrong "no cpus" "cpus: 0" --masters $masters --resources cpus:0
wrong "absurd cpus" "more than any machine" --masters $masters --resources cpus:1000000
wrong "absurd memory" "mem: " --masters $masters --resources mem:99999999999999999999
wrong "no name of a resource" "'r+m'" --masters $masters --resources r+m:1
wrong "ports upside down" "2-1" --masters $masters --resources 'ports:[2-1]'
wrong "attribute without value" "NAME:VALUE" --masters $masters --attributes rack
wrong "name of two words" "hostname" --masters $masters --hostname 'a b'
wrong "no HTTP port" "--http" --masters $masters --http 127.0.0.1
wrong "nothing to advertise" "--http is none" --masters $masters --http none --advertise a:1
wrong "no RPC port" "--rpc" --masters $masters --rpc 127.0.0.1
wrong "nothing to advertise of RPC" "--rpc is none" --masters $masters --rpc none --advertise-rpc a:1
wrong "relative volumes" "data is not an absolute path" --masters $masters --volumes /srv,data
wrong "empty volume" "empty item" --masters $masters --volumes /srv,
wrong "empty user" "empty item" --masters $masters --users a,,b
wrong "log level" "write error, warning" --masters $masters --log-level loud
wrong "unknown option" "--colour" --masters $masters --colour
is "wrong usage leaves no directory" "$(ls "$work/untouched" 2>&1 >/dev/null | wc -l)" 1

TRIARCH_AGENT_RESOURCES=cpus:none
export TRIARCH_AGENT_RESOURCES
wrong "from the environment" "TRIARCH_AGENT_RESOURCES" --masters $masters
unset TRIARCH_AGENT_RESOURCES
echo "attributes = rack" >"$work/agent.conf"
wrong "from the file" "agent.conf:1" --masters $masters --config "$work/agent.conf"

: >"$work/file"
refused "work directory is a file" 1 "$work/file" --masters $masters --work-dir "$work/file" \
    --http none
refused "work directory below nothing" 1 "$work/no/where" --masters $masters \
    --work-dir "$work/no/where" --http none
if [ "$(id -u)" -ne 0 ]; then
    mkdir -m 500 "$work/readonly"
    refused "work directory is not writable" 1 "Permission denied" --masters $masters \
        --work-dir "$work/readonly" --http none
fi
refused "no such default user" 2 "this host has no user" --masters $masters --work-dir "$work/w" \
    --http none --rpc none --default-user nosuchuser
refused "HTTP address is not ours" 1 "192.0.2.1" --masters $masters --work-dir "$work/w" \
    --http 192.0.2.1:0

./triarch-agent --help >"$work/help"
is "help: status" $? 0
contains "help" "$(cat "$work/help")" "--work-dir DIR"
contains "version" "$(./triarch-agent --version)" "triarch-agent"
plan
