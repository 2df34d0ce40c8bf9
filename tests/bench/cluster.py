#!/usr/bin/env python3
"""Measures a real cluster on this machine: submits, failover, tasks.

    cluster.py [--build DIR] [--runs 5] [--only submit,latency,kill,stop,transfer,tasks]

Starts three masters (and an agent where tasks run) on free loopback ports in a temporary
directory under TMPDIR, measures, and prints one JSON line for each measure on stdout and a table
on stderr.  Where there is a floor it is measured between the runs: a bare replicated commit
(commit_floor.c), a plain loop that starts processes (fork_loop.c).  Everything it starts it
ends, by pid; folders are removed last, since ext4 without a journal makes new files slowly where
many were just removed.
"""
import argparse, atexit, json, math, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, time


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def folder():
    name = tempfile.mkdtemp(prefix="triarch-bench-")
    atexit.register(shutil.rmtree, name, ignore_errors=True)
    return name


class Cluster:
    def __init__(self, build, agents=0, resources="cpus:64;mem:65536;disk:65536", masters=3,
                 options=("--http", "none")):
        self.build = build
        self.options = options  # of masters
        self.dir = folder()
        self.ports = free_ports(masters)
        self.cluster = ",".join(f"{i + 1}=127.0.0.1:{p}" for i, p in enumerate(self.ports))
        self.masters = ",".join(f"127.0.0.1:{p}" for p in self.ports)
        self.processes = {}
        for i in range(masters):
            self.start_master(i + 1)
        for i in range(agents):
            self.start_agent(i + 1, resources)
        self.wait_leader()

    def start_master(self, n):
        log = open(f"{self.dir}/master{n}.log", "a")
        self.processes[n] = subprocess.Popen(
            [f"{self.build}/triarch-master", "--id", str(n), "--data-dir", f"{self.dir}/m{n}",
             "--cluster", self.cluster, *self.options], stderr=log, stdin=subprocess.DEVNULL)

    def start_agent(self, n, resources):
        log = open(f"{self.dir}/agent{n}.log", "a")
        self.processes[f"a{n}"] = subprocess.Popen(
            [f"{self.build}/triarch-agent", "--masters", self.masters, "--work-dir",
             f"{self.dir}/a{n}", "--resources", resources, "--http", "127.0.0.1:0",
             "--rpc", "none"],
            stderr=log, stdin=subprocess.DEVNULL)

    def triarch(self, *args):
        return subprocess.run([f"{self.build}/triarch", "--masters", self.masters, *args],
                              capture_output=True, text=True, timeout=60)

    def leader(self):
        answer = self.triarch("masters", "--json")
        for m in json.loads(answer.stdout or "[]"):
            if m["role"] == "leader":
                return m["id"]
        return None

    def wait_leader(self, all_up=False):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            answer = self.triarch("masters", "--json")
            ms = json.loads(answer.stdout or "[]")
            up = [m for m in ms if m["role"] in ("leader", "follower")]
            if any(m["role"] == "leader" for m in ms) and (not all_up or len(up) == len(self.ports)):
                if not all_up or max(m["applied_index"] for m in ms) - min(
                        m["applied_index"] for m in ms) < 2000:
                    return
            time.sleep(0.02)
        raise SystemExit("no leader within 30 s; logs in " + self.dir)

    def stop(self):
        for p in self.processes.values():
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.terminate()
        for p in self.processes.values():
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def load(c, *args, **kw):
    return subprocess.Popen([f"{c.build}/tests/bench/load", "--masters", c.masters, *args],
                            stdout=subprocess.PIPE, text=True, **kw)


def closed(build, outstanding, seconds):
    c = Cluster(build)
    try:
        out, _ = load(c, "--mode", "closed", "--outstanding", str(outstanding), "--seconds",
                      str(seconds)).communicate()
        return json.loads(out)
    finally:
        c.stop()


def until_answered(acks, when_us):
    """From the fault to the first acknowledgement of a submit that was asked after it: the old
    leader cannot have given that one.  In ms."""
    answers = [came for asked, came in acks if asked > when_us]
    if not answers:
        raise SystemExit("nothing that was asked after the fault was ever answered")
    return (min(answers) - when_us) / 1000.0


def longest_gap(acks, since_us, until_us):
    """The longest time without an acknowledgement that ended between the two, in ms."""
    came = sorted(came for _, came in acks)
    return max(b - a for a, b in zip(came, came[1:]) if since_us <= b <= until_us) / 1000.0


def faults(build, kind, rounds):
    """Faults of the leader under constant submission, one a ms; a list of gaps in ms."""
    gaps, failed = [], 0
    c = Cluster(build)
    try:
        for _ in range(rounds):
            c.wait_leader(all_up=True)
            log = f"{c.dir}/acks"
            p = load(c, "--mode", "open", "--every-us", "1000", "--seconds",
                     "5" if kind == "stop" else "2", "--log", log)
            time.sleep(1.2)
            n = c.leader()
            victim = c.processes[n]
            when = time.monotonic_ns() // 1000
            if kind == "kill":
                victim.kill()
            elif kind == "stop":
                victim.send_signal(signal.SIGSTOP)
            else:
                victim.terminate()
            out, _ = p.communicate()
            failed += json.loads(out)["failed"]
            with open(log) as lines:
                acks = [tuple(map(int, line.split())) for line in lines]
            gaps.append(longest_gap(acks, when, when + 250_000) if kind == "transfer"
                        else until_answered(acks, when))
            if kind == "stop":
                victim.send_signal(signal.SIGCONT)
            else:
                victim.wait()
                c.start_master(n)
        return gaps, failed
    finally:
        c.stop()


def tasks(build, count):
    """Real `true` tasks a second through everything, beside a plain fork+exec+wait loop."""
    c = Cluster(build, agents=1)
    try:
        deadline = time.monotonic() + 20
        while not json.loads(c.triarch("agents", "--json").stdout or "[]"):
            if time.monotonic() > deadline:
                raise SystemExit("no agent; logs in " + c.dir)
            time.sleep(0.05)
        begin = time.monotonic()
        answer = c.triarch("run", "--wait", "--name", "true", "--instances", str(count), "--cpus",
                           "1", "--mem", "16", "--", "/bin/true")
        took = time.monotonic() - begin
        if answer.returncode != 0:
            raise SystemExit(answer.stderr)
    finally:
        c.stop()
    out = subprocess.run([f"{build}/tests/bench/fork_loop", str(count)], capture_output=True, text=True)
    return count / took, float(out.stdout)


def floor(build, entries, seconds):
    """A bare replicated commit of as many bytes: three processes that do nothing else."""
    out = subprocess.run([f"{build}/tests/bench/commit_floor", folder(), str(entries),
                          str(seconds)], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def median(runs, key, digits=None):
    return round(statistics.median(r[key] for r in runs), digits)


def percentiles(values):
    v = sorted(values)
    pick = lambda p: round(v[math.ceil(p * len(v)) - 1], 1)
    return {"p50_ms": pick(0.5), "p99_ms": pick(0.99), "max_ms": round(v[-1], 1), "n": len(v)}


# ---- the measures: each gives what is printed as JSON, and its line of the table ----

OUTSTANDING = 1024


def measure_submit(a):
    ours, floors = [], []
    for _ in range(a.runs):
        floors.append(floor(a.build, OUTSTANDING, max(1, a.seconds / 5)))
        ours.append(closed(a.build, OUTSTANDING, a.seconds))
    rate, bare = median(ours, "rate"), median(floors, "rate")
    return ({"rate": rate, "rates": [round(r["rate"]) for r in ours],
             "p50_ms": median(ours, "p50_ms", 1), "p99_ms": median(ours, "p99_ms", 1),
             "floor_rate": bare, "failed": sum(r["failed"] for r in ours)},
            (f"submits, {OUTSTANDING} outstanding", f"{rate:,}/s", f"{bare:,}/s",
             f"{rate / bare:.3f}"))


def measure_latency(a):
    ours, floors = [], []
    for _ in range(a.runs):
        floors.append(floor(a.build, 1, max(1, a.seconds / 5)))
        ours.append(closed(a.build, 1, min(a.seconds, 5)))
    p50, bare = median(ours, "p50_ms", 3), median(floors, "p50_ms", 3)
    return ({"p50_ms": p50, "p99_ms": median(ours, "p99_ms", 3), "rate": median(ours, "rate"),
             "floor_p50_ms": bare},
            ("submit, one at a time, p50", f"{p50:.2f} ms", f"{bare:.2f} ms", f"{p50 / bare:.1f}"))


def measure_fault(kind, text):
    def measure(a):
        gaps, failed = faults(a.build, kind, a.kills if kind == "kill" else min(20, a.kills))
        p = percentiles(gaps)
        return ({**p, "failed": failed},
                (text, f"p50 {p['p50_ms']}, p99 {p['p99_ms']} ms; {failed} failed", "-", "-"))
    return measure


def measure_tasks(a):
    runs = [tasks(a.build, 3000) for _ in range(a.runs)]
    ours = round(statistics.median(r[0] for r in runs))
    loop = round(statistics.median(r[1] for r in runs))
    ratio = round(statistics.median(r[0] / r[1] for r in runs), 2)
    return ({"per_second": ours, "plain_loop": loop, "ratio": ratio},
            ("tasks of `true` through everything", f"{ours:,}/s", f"{loop:,}/s", f"{ratio}"))


MEASURES = {
    "submit": measure_submit,
    "latency": measure_latency,
    "kill": measure_fault("kill", "gap at kill -9 of the leader"),
    "stop": measure_fault("stop", "gap at SIGSTOP of the leader"),
    "transfer": measure_fault("transfer", "gap at SIGTERM of the leader"),
    "tasks": measure_tasks,
}


def print_row(*cells):
    print("{:46} {:>38} {:>16} {:>8}".format(*cells), file=sys.stderr, flush=True)


def print_head():
    print_row("measure", "Triarch", "floor, peer, goal", "ratio")


def print_measures(names, measures, a):
    """Take these; a line of JSON and one of a table for each.  {name: result}"""
    results = {}
    for name in names:
        result, row = measures[name](a)
        print(json.dumps({"measure": name, **result}), flush=True)
        print_row(*row)
        results[name] = result
    return results


def run_measures(p, measures):
    """Those that the command line names, all by default."""
    p.add_argument("--build", default=".")
    p.add_argument("--only", default=",".join(measures))
    a = p.parse_args()
    a.build = os.path.abspath(a.build)
    unknown = [name for name in a.only.split(",") if name not in measures]
    if unknown:
        p.error(f"no measure {unknown[0]}; they are: {', '.join(measures)}")
    print_head()
    print_measures(a.only.split(","), measures, a)


def parser():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--kills", type=int, default=100)
    return p


if __name__ == "__main__":
    run_measures(parser(), MEASURES)
