#!/usr/bin/env python3
"""Measures a real cluster on this machine: submits, failover, tasks.

    cluster.py [--build DIR] [--runs 5] [--only submit,latency,kill,stop,transfer,tasks]

Starts three masters (and an agent where tasks run) on free loopback ports in a temporary
directory under TMPDIR, measures, and prints one JSON line for each measure on stdout and a table
on stderr.  Everything it starts it ends, by pid.
"""
import argparse, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, time


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Cluster:
    def __init__(self, build, agents=0, resources="cpus:64;mem:65536;disk:65536"):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="triarch-bench-")
        self.ports = free_ports(3)
        self.cluster = ",".join(f"{i + 1}=127.0.0.1:{p}" for i, p in enumerate(self.ports))
        self.masters = ",".join(f"127.0.0.1:{p}" for p in self.ports)
        self.processes = {}
        for i in range(3):
            self.start_master(i + 1)
        for i in range(agents):
            self.start_agent(i + 1, resources)
        self.wait_leader()

    def start_master(self, n):
        log = open(f"{self.dir}/master{n}.log", "a")
        self.processes[n] = subprocess.Popen(
            [f"{self.build}/triarch-master", "--id", str(n), "--data-dir", f"{self.dir}/m{n}",
             "--cluster", self.cluster, "--http", "none"], stderr=log, stdin=subprocess.DEVNULL)

    def start_agent(self, n, resources):
        log = open(f"{self.dir}/agent{n}.log", "a")
        self.processes[f"a{n}"] = subprocess.Popen(
            [f"{self.build}/triarch-agent", "--masters", self.masters, "--work-dir",
             f"{self.dir}/a{n}", "--resources", resources, "--http", "127.0.0.1:0"],
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
            if any(m["role"] == "leader" for m in ms) and (not all_up or len(up) == 3):
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
        shutil.rmtree(self.dir, ignore_errors=True)


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


def gap_after(path, when_us):
    """From the moment of the fault to the first acknowledgement of a submit that was still
    unanswered then or asked later."""
    best = None
    for line in open(path):
        asked, came = map(int, line.split())
        if came > when_us and (best is None or came < best):
            if came - when_us > 200 or asked > when_us:  # not one that was in the socket already
                best = came
    return None if best is None else (best - when_us) / 1000.0


def longest_gap(path, since_us, until_us):
    last, worst = since_us, 0
    for line in open(path):
        came = int(line.split()[1])
        if came < since_us:
            last = max(last, came) if came > since_us - 100000 else last
            continue
        if came > until_us:
            break
        worst = max(worst, came - last)
        last = came
    return worst / 1000.0


def faults(build, kind, rounds):
    """Faults of the leader under constant submission; a list of gaps in ms."""
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
            gaps.append(longest_gap(log, when, when + 4_000_000))
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


def percentiles(values):
    v = sorted(values)
    pick = lambda p: v[min(len(v) - 1, int(p * len(v)))]
    return {"p50": pick(0.5), "p99": pick(0.99), "max": v[-1], "n": len(v)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=".")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--kills", type=int, default=100)
    p.add_argument("--only", default="submit,latency,kill,stop,transfer,tasks")
    a = p.parse_args()
    a.build = os.path.abspath(a.build)
    only = a.only.split(",")

    def say(name, **kw):
        print(json.dumps({"measure": name, **kw}), flush=True)
        print(f"{name:12} " + "  ".join(f"{k} {v}" for k, v in kw.items()), file=sys.stderr)

    if "submit" in only:
        r = [closed(a.build, 1024, a.seconds) for _ in range(a.runs)]
        say("submit", rate_median=round(statistics.median(x["rate"] for x in r)),
            rates=[round(x["rate"]) for x in r],
            p50_ms=statistics.median(x["p50_ms"] for x in r),
            p99_ms=statistics.median(x["p99_ms"] for x in r), failed=sum(x["failed"] for x in r))
    if "latency" in only:
        r = [closed(a.build, 1, min(a.seconds, 5)) for _ in range(a.runs)]
        say("latency", p50_ms=statistics.median(x["p50_ms"] for x in r),
            p99_ms=statistics.median(x["p99_ms"] for x in r),
            rate=round(statistics.median(x["rate"] for x in r)))
    for kind, rounds in (("kill", a.kills), ("stop", min(20, a.kills)), ("transfer", min(20, a.kills))):
        if kind in only:
            gaps, failed = faults(a.build, kind, rounds)
            say(kind, **{k: round(v, 1) for k, v in percentiles(gaps).items()}, failed=failed)
    if "tasks" in only:
        r = [tasks(a.build, 3000) for _ in range(a.runs)]
        say("tasks", per_second=round(statistics.median(x[0] for x in r)),
            plain_loop=round(statistics.median(x[1] for x in r)),
            ratio=round(statistics.median(x[0] / x[1] for x in r), 2))


if __name__ == "__main__":
    main()
