#!/usr/bin/env python3
"""Measures three masters with thousands of simulated agents (agents_load) on this machine.

    scale.py [--build DIR] [--agents 1000] [--tasks 10000] [--jobs 10000] [--seconds 5]
             [--rounds 3] [--only connect,accept,place,distinct,release,updates,failover,death,poll,
                                  restart,bytes,snapshot]

Prints one JSON line for each measure on stdout and a table on stderr, as cluster.py, whose
cluster it uses.  Each measure has a cluster of its own.  With each rate comes what a thousand of
its things cost the leader in CPU time: masters, agents and clients share the cores.

10,000 agents take 10,000 and some descriptors on each master and 30,000 over the processes of
agents_load, of which there is one for each 5,000 agents (hard ulimit -n: 16,000), and ports of
several source addresses.
"""
import argparse, json, os, resource, signal, statistics, subprocess, sys, threading, time

from cluster import Cluster, load, percentiles, run_measures, until_answered

AGENTS_EACH = 5000  # in one process
ROOMY = "cpus:64;mem:262144;disk:1048576"
TICKS = os.sysconf("SC_CLK_TCK")


# ---- processes ----

def take_descriptors(agents):
    """A master has one for each agent, a process of agents three for each of its own."""
    need = max(agents, 3 * min(agents, AGENTS_EACH)) + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < need:
        raise SystemExit(f"{agents:,} agents need {need:,} descriptors in a process, and here "
                         f"it may have {hard:,}: ulimit -n {need} as root")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))



def wait_for(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen within {seconds} s")
        time.sleep(0.01)


def memory(pid):
    """KiB: the proportional set, and what of it is no file."""
    fields = {}
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            words = line.split()
            if len(words) == 3 and words[2] == "kB":
                fields[words[0]] = int(words[1])
    return fields["Pss:"], fields.get("Pss_Anon:", fields["Anonymous:"])


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICKS


class Fleet:
    """Agents in a few processes.  History is what their sums were, and when; waiting goes on in
    it from where the wait before ended, so what happened meanwhile has its own time."""

    def __init__(self, c, agents, *options):
        self.processes, self.last = [], {}
        self.changed = threading.Condition()
        self.history, self.at = [], 0
        self.answers = []
        for first in range(0, agents, AGENTS_EACH):
            p = subprocess.Popen(
                [f"{c.build}/tests/bench/agents_load", "--masters", c.masters, "--agents",
                 str(min(AGENTS_EACH, agents - first)), "--first", str(first), *options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.processes.append(p)
            threading.Thread(target=self.read, args=(p,), daemon=True).start()

    def read(self, p):
        for line in p.stdout:
            counts = json.loads(line)
            with self.changed:
                if "agent" in counts:
                    self.answers.append(counts)
                else:
                    self.last[p] = counts
                    sums = {k: sum(c[k] for c in self.last.values()) for k in counts}
                    self.history.append({**sums, "at_us": counts["at_us"]})
                self.changed.notify_all()

    def skip(self):
        """What happened so far is not waited for any more."""
        with self.changed:
            self.at = len(self.history) - 1

    def total(self, name):
        return self.history[-1][name] if self.history else 0

    def happened(self, condition):
        while self.at < len(self.history):
            if condition(self.history[self.at]):
                return True
            self.at += 1
        return False

    def wait(self, what, condition, seconds=120):
        """The time at which it was so, in us, as the processes say."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.happened(condition), seconds):
                raise SystemExit(f"{what} did not happen within {seconds} s: {self.history[-1:]}")
            return self.history[self.at]["at_us"]

    def wait_total(self, name, least, seconds=120):
        return self.wait(f"{name} {least}", lambda sums: sums[name] >= least, seconds)

    def tell(self, text, process=0):
        self.processes[process].stdin.write(text + "\n")
        self.processes[process].stdin.flush()

    def busiest(self):
        """The agent with most tasks: (tasks, process, number in it)"""
        most = (-1, 0, 0)
        for i, p in enumerate(self.processes):
            with self.changed:
                self.answers, count = [], self.last[p]["agents"]
                self.tell(f"tasks 0 {count}", i)
                self.changed.wait_for(lambda: len(self.answers) >= count, 30)
                most = max(most, *((a["tasks"], i, a["agent"]) for a in self.answers))
        return most

    def cpu(self):
        return sum(cpu_seconds(p.pid) for p in self.processes)

    def stop(self):
        for p in self.processes:
            p.stdin.close()
        for p in self.processes:
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def term(c):
    """The highest that masters know."""
    masters = json.loads(c.triarch("masters", "--json").stdout or "[]")
    return max((m["term"] or 0 for m in masters), default=0)


class Scene:
    """A cluster with its fleet, for one measure."""

    def __init__(self, a, agents=0, fleet=(), masters=()):
        take_descriptors(agents)
        self.c = Cluster(a.build, options=("--http", "none", *masters))
        self.fleet, self.killed = None, 0
        try:
            if agents > 0:
                self.fleet = Fleet(self.c, agents, *fleet)
                self.fleet.wait_total("registered", agents)
            self.leader, self.term = self.c.leader(), term(self.c)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        elections = term(self.c) - self.term - self.killed if failure == (None, None, None) else 0
        if elections > 0:
            print(f"{elections} elections that nothing called for: the figure below is not one",
                  file=sys.stderr)
        if self.fleet is not None:
            self.fleet.stop()
        self.c.stop()

    def pids(self):
        return [self.c.processes[n].pid for n in (1, 2, 3)]

    def leader_cpu(self):
        return cpu_seconds(self.c.processes[self.leader].pid)

    def submit(self, tasks, how_long, name="array", cpus="0.1", mem="16"):
        answer = self.c.triarch("run", "--name", name, "--instances", str(tasks), "--cpus", cpus,
                                "--mem", mem, "--", "task", str(how_long))
        if answer.returncode != 0:
            raise SystemExit(answer.stderr)
        return int(answer.stdout.split()[0])

    def set_maximum(self, amounts):
        answer = self.c.triarch("roles", "set", "default", "--max", amounts)
        if answer.returncode != 0:
            raise SystemExit(answer.stderr)

    def fill(self, jobs, instances, distinct=False, waiting=False):
        """Jobs that run for ever, or ask for more than an agent has."""
        options = ["--distinct"] if distinct else []
        return closed(self.c, 1024 if instances < 100 else 32, jobs, "--instances", str(instances),
                      "--task", "never", "--cpus", "1000000" if waiting else "100", *options)

    def run_for_ever(self, tasks):
        more = {n: self.fleet.total(n) + tasks for n in ("running", "acknowledged")}
        job = self.submit(tasks, "never")
        for name, least in more.items():
            self.fleet.wait_total(name, least)
        return job

    def run_to_end(self, tasks):
        """Piece by piece: all ends at once are a measure of their own."""
        while tasks > 0:
            piece = min(20_000, tasks)
            more = self.fleet.total("forgotten") + piece
            self.submit(piece, 0)
            self.fleet.wait_total("forgotten", more)
            tasks -= piece

    def run_distinct(self, jobs):
        """What load says of submitting them."""
        more = self.fleet.total("running") + jobs
        out = self.fill(jobs, 1, distinct=True)
        self.fleet.wait_total("running", more)
        return out


def closed(c, outstanding, total, *options):
    out, _ = load(c, "--mode", "closed", "--outstanding", str(outstanding), "--total", str(total),
                  *options).communicate()
    return json.loads(out)


def open_p99(c, seconds, every_us=1000):
    """Submits at a fixed pace, whatever else goes on."""
    out, _ = load(c, "--mode", "open", "--every-us", str(every_us), "--seconds",
                  str(seconds)).communicate()
    return json.loads(out)


def rate_line(text, rate, target, unit="/s"):
    return (text, f"{rate:,.0f}{unit}", f"{target:,}{unit}", f"{rate / target:.2f}")


# ---- the measures ----

def measure_connect(a):
    """All agents register at once; memory of each master before and after."""
    with Scene(a) as s:
        before = [memory(pid) for pid in s.pids()]
        cpu = s.leader_cpu()
        begin = time.monotonic()
        s.fleet = Fleet(s.c, a.agents, "--start-rate", "100000")
        s.fleet.wait_total("registered", a.agents)
        registered = time.monotonic() - begin
        s.fleet.wait_total("sessions", 3 * a.agents)
        connected = time.monotonic() - begin
        cpu = s.leader_cpu() - cpu
        after = [memory(pid) for pid in s.pids()]
        idle = s.leader_cpu()
        time.sleep(a.seconds)
        idle = (s.leader_cpu() - idle) / a.seconds
        kib = [(x[1] - y[1]) / a.agents for x, y in zip(after, before)]
        return ({"agents": a.agents, "registered_s": round(registered, 2),
                 "connected_s": round(connected, 2), "leader_cpu_s": round(cpu, 2),
                 "pss_mib": [round(m[0] / 1024, 1) for m in after],
                 "anon_kib_per_agent": [round(k, 2) for k in kib],
                 "leader_cores_idle": round(idle, 3)},
                (f"{a.agents:,} agents register",
                 f"{registered:.2f} s, {max(m[0] for m in after) / 1024:.0f} MiB", "600 MiB", "-"))


def measure_accept(a):
    """Array tasks accepted a second: jobs of 1,000 tasks, nothing runs them."""
    with Scene(a) as s:
        cpu = s.leader_cpu()
        out = s.fill(max(1, a.tasks // 1000), 1000)
        cpu = s.leader_cpu() - cpu
        rate = out["rate"] * 1000
        return ({"rate": round(rate), "p99_ms": out["p99_ms"], "tasks": a.tasks,
                 "leader_cpu_ms_per_1000": round(1e6 * cpu / a.tasks, 3)},
                rate_line("array tasks accepted", rate, 200_000))


def placed(s, begin_us, tasks):
    """From the first launch to the last, as the agents saw them."""
    first = s.fleet.wait_total("launches", 1)
    last = s.fleet.wait_total("launches", tasks)
    return {"tasks": tasks, "first_ms": round((first - begin_us) / 1e3, 1),
            "all_ms": round((last - begin_us) / 1e3, 1),
            "rate": round(tasks * 1e6 / (last - begin_us))}


def measure_place(a):
    """One array that fits at once."""
    with Scene(a, a.agents, ("--resources", ROOMY)) as s:
        cpu, fleet = s.leader_cpu(), s.fleet.cpu()
        begin = time.monotonic_ns() // 1000
        s.submit(a.tasks, "never")
        result = placed(s, begin, a.tasks)
        result["leader_cpu_ms_per_1000"] = round(1e6 * (s.leader_cpu() - cpu) / a.tasks, 3)
        result["agents_cpu_ms_per_1000"] = round(1e6 * (s.fleet.cpu() - fleet) / a.tasks, 3)
        return result, rate_line("durable placements of an array", result["rate"], 50_000)


def measure_distinct(a):
    """Jobs of one task, no two alike: from submit to launched."""
    with Scene(a, a.agents, ("--resources", ROOMY)) as s:
        cpu = s.leader_cpu()
        begin = time.monotonic_ns() // 1000
        out = s.fill(a.jobs, 1, distinct=True)
        result = placed(s, begin, a.jobs)
        result["submits_per_s"] = round(out["rate"])
        result["leader_cpu_ms_per_1000"] = round(1e6 * (s.leader_cpu() - cpu) / a.jobs, 3)
        return result, ("distinct jobs, each submitted and placed", f"{result['rate']:,.0f}/s",
                        "-", "-")


def measure_release(a):
    """The same when they wait already, for their role may have no more."""
    with Scene(a, a.agents, ("--resources", ROOMY)) as s:
        s.set_maximum("cpus:0.001")
        s.fill(a.jobs, 1, distinct=True)
        cpu = s.leader_cpu()
        begin = time.monotonic_ns() // 1000
        s.set_maximum("none")
        result = placed(s, begin, a.jobs)
        result["leader_cpu_ms_per_1000"] = round(1e6 * (s.leader_cpu() - cpu) / a.jobs, 3)
        return result, rate_line("durable placements of distinct jobs", result["rate"], 50_000)


def measure_updates(a):
    """All tasks end in the same moment: until each end is acknowledged."""
    with Scene(a, a.agents) as s:
        s.run_for_ever(a.tasks)
        cpu, fleet = s.leader_cpu(), s.fleet.cpu()
        begin = time.monotonic_ns() // 1000
        for i in range(len(s.fleet.processes)):
            s.fleet.tell(f"end 0 {AGENTS_EACH}", i)
        last = s.fleet.wait_total("forgotten", a.tasks)
        rate = a.tasks * 1e6 / (last - begin)
        return ({"rate": round(rate), "all_ms": round((last - begin) / 1e3, 1), "tasks": a.tasks,
                 "leader_cpu_ms_per_1000": round(1e6 * (s.leader_cpu() - cpu) / a.tasks, 3),
                 "agents_cpu_ms_per_1000": round(1e6 * (s.fleet.cpu() - fleet) / a.tasks, 3)},
                rate_line("state changes in batches", rate, 100_000))


def one_failover(s, a):
    """Kill the leader under submits: ms to the next acknowledgement, ms until all agents are
    back, failed submits, elections that nothing called for until the killed one is back, too."""
    f, log = s.fleet, f"{s.c.dir}/acks"
    s.c.wait_leader(all_up=True)
    before = term(s.c)
    p = load(s.c, "--mode", "open", "--every-us", "1000", "--seconds", "4", "--log", log)
    time.sleep(1.2)
    n = s.c.leader()
    f.skip()
    when = time.monotonic_ns() // 1000
    s.c.processes[n].kill()
    s.killed += 1
    f.wait("losing the leader", lambda sums: sums["sessions"] <= 2 * a.agents, 20)
    back = f.wait_total("registered", a.agents)
    out, _ = p.communicate()
    s.c.processes[n].wait()
    s.c.start_master(n)
    with open(log) as lines:
        acks = [tuple(map(int, line.split())) for line in lines]
    f.wait_total("sessions", 3 * a.agents)
    time.sleep(2)
    return (until_answered(acks, when), (back - when) / 1e3, json.loads(out)["failed"],
            term(s.c) - before - 1)


def measure_failover(a):
    with Scene(a, a.agents) as s:
        s.run_for_ever(a.tasks)
        rounds = [one_failover(s, a) for _ in range(a.rounds)]
        f = s.fleet
        restarted = f.total("repeats") + f.total("signalled")
        gap = percentiles([r[0] for r in rounds])
        back = percentiles([r[1] for r in rounds])
        return ({"agents": a.agents, "tasks": a.tasks, "gap": gap, "attached": back,
                 "failed": sum(r[2] for r in rounds), "restarted": restarted,
                 "lost": f.total("started") - f.total("ended") - f.total("running"),
                 "elections_without_need": sum(r[3] for r in rounds)},
                (f"leader killed, {a.agents:,} agents, {a.tasks:,} tasks",
                 f"submit {gap['max_ms']}, agents {back['max_ms']} ms", "500, 3,000 ms",
                 f"{restarted} moved"))


def one_death(a, agents):
    """From the silence of an agent until all its tasks run elsewhere, in ms."""
    tasks = min(a.tasks, 100 * agents)
    with Scene(a, agents, ("--resources", ROOMY)) as s:
        s.run_for_ever(tasks)
        moving, process, victim = s.fleet.busiest()
        when = time.monotonic_ns() // 1000
        s.fleet.tell(f"silence {victim} 1", process)
        moved = s.fleet.wait_total("repeats_started", moving, 60)
        time.sleep(1)
        return (moved - when) / 1e3, moving, s.fleet.total("repeats_started") - moving


def measure_death(a):
    small, large = one_death(a, 10), one_death(a, a.agents)
    return ({"ms_with_10": round(small[0]), "ms": round(large[0]), "agents": a.agents,
             "tasks_moved": [small[1], large[1]], "moved_without_need": small[2] + large[2]},
            (f"silent death, 10 / {a.agents:,} agents", f"{small[0]:,.0f} / {large[0]:,.0f} ms",
             "4,000 ms", f"{large[0] / 4000:.2f}"))


def measure_poll(a):
    """p99 of submits alone, then with clients that list everything all the time."""
    with Scene(a, a.agents) as s:
        job = s.run_for_ever(a.tasks)
        s.fill(a.jobs, 1, waiting=True)
        alone = open_p99(s.c, a.seconds)
        # They stand for other hosts: what they do with the answers is not to slow masters.
        poll = subprocess.Popen(
            ["nice", "-n", "15", f"{a.build}/tests/bench/poll", "--masters", s.c.masters,
             "--clients", "20", "--job", str(job), "--seconds", str(a.seconds + 3)],
            stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        cpu = s.leader_cpu()
        polled = open_p99(s.c, a.seconds)
        cpu = (s.leader_cpu() - cpu) / (a.seconds + 1)
        out, _ = poll.communicate()
        ratio = polled["p99_ms"] / alone["p99_ms"]
        return ({"p99_ms": alone["p99_ms"], "polled_p99_ms": polled["p99_ms"],
                 "p50_ms": alone["p50_ms"], "polled_p50_ms": polled["p50_ms"],
                 "leader_cores": round(cpu, 2), "pollers": json.loads(out)},
                ("submits beside 20 full listings, p99",
                 f"{alone['p99_ms']:.1f} to {polled['p99_ms']:.1f} ms", "2", f"{ratio:.1f}"))


def applied(s):
    """{id of a master: the index it has applied}; only those that answer"""
    masters = json.loads(s.c.triarch("masters", "--json").stdout or "[]")
    return {m["id"]: m["applied_index"] for m in masters if m["role"] in ("leader", "follower")}


def one_restart(s):
    """Kill a follower, start it again: until it has applied all that the leader had, and what it
    took of a core for that."""
    leader = s.c.leader()
    n = leader % 3 + 1
    s.c.processes[n].kill()
    s.c.processes[n].wait()
    index = applied(s)[leader]
    begin = time.monotonic()
    s.c.start_master(n)
    wait_for("catching up", lambda: applied(s).get(n, 0) >= index)
    return time.monotonic() - begin, cpu_seconds(s.c.processes[n].pid)


def measure_restart(a):
    """With nine tasks that ended for each that runs, and distinct jobs."""
    with Scene(a, a.agents) as s:
        s.run_to_end(9 * a.tasks)
        s.run_for_ever(a.tasks)
        s.fill(a.jobs, 1, distinct=True, waiting=True)
        restarts = [one_restart(s) for _ in range(a.rounds)]
        took = [wall for wall, _ in restarts]
        pss = [memory(pid) for pid in s.pids()]
        return ({"seconds": [round(t, 2) for t in took],
                 "cpu_s": [round(cpu, 2) for _, cpu in restarts], "tasks": 10 * a.tasks,
                 "running": a.tasks, "jobs": a.jobs, "pss_mib": [round(m[0] / 1024) for m in pss],
                 "anon_mib": [round(m[1] / 1024) for m in pss]},
                ("restart of a master", f"{statistics.median(took):.2f} s", "5 s",
                 f"{statistics.median(took) / 5:.2f}"))


def grown(s, count, what):
    before = [memory(pid)[1] for pid in s.pids()]
    what()
    time.sleep(1)
    return [round(1024 * (memory(pid)[1] - kib) / count) for pid, kib in zip(s.pids(), before)]


LOG_CACHE_JOBS = 70_000  # their entries fill the log cache of a master (16 MiB)


def measure_bytes(a):
    """Anonymous memory of the leader and of a follower for one more of a kind; without
    snapshots, whose buffers would count for what came meanwhile."""
    with Scene(a, a.agents, ("--resources", ROOMY), ("--snapshot-bytes", str(1 << 40))) as s:
        s.fill(LOG_CACHE_JOBS, 1)
        s.fleet.wait_total("running", LOG_CACHE_JOBS)
        kinds = {
            "placed_task": grown(s, a.tasks, lambda: s.run_for_ever(a.tasks)),
            "running_distinct_job": grown(s, a.jobs, lambda: s.run_distinct(a.jobs)),
            "waiting_array_task": grown(s, a.tasks, lambda: s.submit(a.tasks, "never", cpus="100")),
            "waiting_distinct_job": grown(s, a.jobs, lambda: s.fill(a.jobs, 1, distinct=True,
                                                                    waiting=True)),
        }
        leads = s.leader - 1
        result = {kind: {"leader": b[leads], "follower": b[leads - 1]} for kind, b in kinds.items()}
        return (result, ("bytes of a placed task / distinct job",
                         f"{kinds['placed_task'][leads]} / {kinds['running_distinct_job'][leads]}",
                         "256 / 1,024", "-"))


def measure_snapshot(a):
    """p99 of submits with a snapshot about once a second, beside none."""
    p99 = {}
    for name, size in (("none", 1 << 40), ("often", 1 << 20)):
        with Scene(a, masters=("--snapshot-bytes", str(size))) as s:
            s.fill(max(1, a.tasks // 1000), 1000)
            s.fill(a.jobs, 1, distinct=True)
            p99[name] = open_p99(s.c, a.seconds, every_us=500)
    ratio = p99["often"]["p99_ms"] / p99["none"]["p99_ms"]
    return ({"p99_ms": p99["none"]["p99_ms"], "snapshots_p99_ms": p99["often"]["p99_ms"],
             "max_ms": p99["none"]["max_ms"], "snapshots_max_ms": p99["often"]["max_ms"]},
            ("submits beside snapshots, p99",
             f"{p99['none']['p99_ms']:.1f} to {p99['often']['p99_ms']:.1f} ms", "2",
             f"{ratio:.1f}"))


MEASURES = {
    "connect": measure_connect,
    "accept": measure_accept,
    "place": measure_place,
    "distinct": measure_distinct,
    "release": measure_release,
    "updates": measure_updates,
    "failover": measure_failover,
    "death": measure_death,
    "poll": measure_poll,
    "restart": measure_restart,
    "bytes": measure_bytes,
    "snapshot": measure_snapshot,
}


def parser():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--agents", type=int, default=1000)
    p.add_argument("--tasks", type=int, default=10_000)
    p.add_argument("--jobs", type=int, default=10_000)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--rounds", type=int, default=3)
    return p


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends what it started
    run_measures(parser(), MEASURES)
