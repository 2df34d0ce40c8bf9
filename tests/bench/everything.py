#!/usr/bin/env python3
"""All measures in one table: what a cluster, an agent, the scheduler and ten thousand agents do.

    everything.py [--build DIR] [--quick] [--peers FOLDER] [--peer STEP,STEP]

Runs cluster.py, agent.py, bench_sched and scale.py one after the other, since they would disturb
each other: 40 minutes; with --quick, fewer runs of each, 15.  Lines of JSON on stdout, one table
on stderr.

--peers: a folder with a script `run-all.sh OUT STEP...` that measures other systems on this
machine and writes a line of JSON for each (PEERS below says what is read of them).  It runs
behind ours, and rows with both are added: ours, theirs, the ratio.
"""
import argparse, json, math, os, signal, subprocess, sys

import agent, cluster, scale

STEPS = "etcd,etcd-failover,zk,zk-failover,slurm"

QUICK = {
    cluster: ["--runs", "3", "--seconds", "5", "--kills", "20"],
    agent: ["--runs", "3", "--tasks", "1000", "--containers", "100", "--firsts", "50"],
}
LARGE = ["--agents", "10000", "--tasks", "100000", "--jobs", "50000", "--rounds", "4"]


# ---- the scheduler alone ----

def per_placement(build, measure, agents):
    """Nanoseconds; bench_sched takes the median of five."""
    out = subprocess.run([f"{build}/tests/bench/bench_sched", "--json", "--only", measure,
                          str(agents)], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)["value"]


def placements(measure, text, goal):
    def take(a):
        few, many = (per_placement(a.build, measure, agents) for agents in (100, 10_000))
        rate, growth = 1e9 / many, many / few / (math.log(10_000) / math.log(100))
        return ({"per_second": round(rate), "growth_beside_log_n": round(growth, 2)},
                (f"placed in memory: {text}", f"{rate:,.0f}/s, growth {growth:.2f} of log n",
                 f"{goal:,}/s", f"{rate / goal:.2f}"))
    return take


SCHEDULER = {
    "sched_array": placements("array", "arrays", 300_000),
    "sched_choosy": placements("choosy", "arrays, constraints", 300_000),
    "sched_distinct": placements("distinct", "distinct jobs", 100_000),
    "sched_mixed": placements("mixed", "distinct, constraints", 100_000),
}


# ---- peers ----

# What to compare: text; our measure, and the number in it; of the peer its bench and the number
# in its line.
PEERS = [
    ("submits beside puts, etcd", "submit", "rate", "etcd-throughput", "put_c512.s"),
    ("one at a time, p50, etcd", "latency", "p50_ms", "etcd-throughput", "put_c1.p50_ms"),
    ("leader killed, etcd", "kill", "p50_ms", "etcd-failover", "gap_ms"),
    ("submits beside creates, ZooKeeper", "submit", "rate", "zookeeper-throughput",
     "create_o512.s"),
    ("leader killed, ZooKeeper", "kill", "p50_ms", "zookeeper-failover", "gap_ms"),
    ("submits, Slurm", "submit", "rate", "slurm-throughput", "submit_api_p8"),
]


def number(line, path):
    """The median where there were several runs."""
    for name in path.split("."):
        line = line[name]
    return line["median"] if isinstance(line, dict) else line


def compare(a, results):
    out = os.path.join(cluster.folder(), "peers.jsonl")
    subprocess.run([os.path.join(a.peers, "run-all.sh"), out, *a.peer.split(",")], check=True,
                   stdout=sys.stderr)
    with open(out) as f:
        lines = [json.loads(line) for line in f]
    for text, measure, ours, bench, theirs in PEERS:
        found = [line for line in lines if line.get("bench") == bench]
        if not found or measure not in results:
            print(f"{text}: not measured", file=sys.stderr)
            continue
        x, y = results[measure][ours], number(found[0], theirs)
        print(json.dumps({"measure": text, "ours": x, "peer": y, "of": found[0]}), flush=True)
        cluster.print_row(text, f"{x:,.6g}", f"{y:,.6g}", f"{x / y:.2f}")


def options(module, a, *more):
    taken = module.parser().parse_args([*more, *(QUICK.get(module, []) if a.quick else [])])
    taken.build = a.build
    return taken


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default=".")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--peers")
    p.add_argument("--peer", default=STEPS)
    a = p.parse_args()
    a.build = os.path.abspath(a.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends what it started

    cluster.print_head()
    results = cluster.print_measures(cluster.MEASURES, cluster.MEASURES, options(cluster, a))
    cluster.print_measures(agent.MEASURES, agent.MEASURES, options(agent, a))
    cluster.print_measures(SCHEDULER, SCHEDULER, a)
    cluster.print_measures(scale.MEASURES, scale.MEASURES, options(scale, a, *LARGE))
    if a.peers:
        compare(a, results)


if __name__ == "__main__":
    main()
