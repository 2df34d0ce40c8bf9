#!/usr/bin/env python3
"""Measures one agent under one master: real tasks a second, first instruction, memory, adoption.

    agent.py [--build DIR] [--runs 5] [--tasks 2000] [--only process,oci,first,memory,oci_memory,adopt]

Prints one JSON line for each measure on stdout and a table on stderr, as cluster.py, whose
cluster it uses.  The floor, a plain loop of fork, exec and wait (of `crun run` for containers), is
measured between the runs.
Memory is the proportional set size of all processes that are not the tasks' own.
"""
import argparse, datetime, json, os, statistics, subprocess, time, urllib.request

import bare_crun
from cluster import Cluster, folder, percentiles, run_measures

RESOURCES = "cpus:4096;mem:4194304;disk:65536"


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def agent_address(c):
    agents = json.loads(c.triarch("agents", "--json").stdout or "[]")
    return agents[0]["address"] if agents and agents[0]["state"] == "ACTIVE" else None


def cluster(a):
    c = Cluster(a.build, agents=1, resources=RESOURCES, masters=1)
    wait_for("registering", lambda: agent_address(c))
    return c


def run_to_end(c, *args):
    begin = time.monotonic()
    answer = c.triarch("run", "--wait", *args)
    if answer.returncode != 0:
        raise SystemExit(answer.stderr)
    return answer.stdout.split()[0], time.monotonic() - begin


# ---- memory ----

def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def shims_of(work_dir):
    """The spawner and the shims of an agent: they stand in its work directory."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/comm") as f:
                is_shim = f.read().strip() == "triarch-shim"
            if is_shim and os.readlink(f"/proc/{name}/cwd") == work_dir:
                found.append(int(name))
        except OSError:
            pass  # it ended meanwhile
    return found


def makers_of(shim):
    """What a shim has started on the host, with what that has: of a container whatever is not in
    it.  The task of a container is in a namespace of its own."""
    with open(f"/proc/{shim}/task/{shim}/children") as f:
        children = [int(pid) for pid in f.read().split()]
    outside = [p for p in children if os.readlink(f"/proc/{p}/ns/pid") == os.readlink("/proc/self/ns/pid")]
    return outside + [p for child in outside for p in makers_of(child)]


def agent_kib(c, containers=False):
    own = pss_kib(c.processes["a1"].pid)
    ours = shims_of(os.path.realpath(f"{c.dir}/a1"))
    if containers:
        ours = set(ours + [p for shim in ours for p in makers_of(shim)])
    return own, own + sum(pss_kib(p) for p in ours)


def running(c):
    with urllib.request.urlopen(f"http://{agent_address(c)}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith('triarch_agent_runs{') and '"running"' in line:
                return int(float(line.split()[-1]))
    return 0


def start_sleepers(c, count):
    answer = c.triarch("run", "--name", "sleepers", "--instances", str(count), "--cpus", "0.1",
                       "--mem", "16", "--", "/bin/sleep", "3600")
    if answer.returncode != 0:
        raise SystemExit(answer.stderr)
    wait_for("starting all tasks", lambda: running(c) == count, 120)
    return answer.stdout.split()[0]


def end_job(c, job):
    c.triarch("kill", job)
    c.triarch("wait", job)


# ---- the measures ----

def measure_process(a):
    ratios, rates, floors = [], [], []
    for _ in range(a.runs):
        loop = subprocess.run([f"{a.build}/tests/bench/fork_loop", str(a.tasks)],
                              capture_output=True, text=True, check=True)
        floors.append(float(loop.stdout))
        c = cluster(a)
        try:
            _, took = run_to_end(c, "--name", "true", "--instances", str(a.tasks), "--cpus", "1",
                                 "--mem", "16", "--", "/bin/true")
        finally:
            c.stop()
        rates.append(a.tasks / took)
        ratios.append(rates[-1] / floors[-1])
    rate, bare, ratio = map(statistics.median, (rates, floors, ratios))
    return ({"per_second": round(rate), "plain_loop": round(bare), "ratio": round(ratio, 2)},
            ("`true` as processes", f"{rate:,.0f}/s", f"{bare:,.0f}/s", f"{ratio:.2f}"))


def submit_to_end(c, path):
    begin = time.monotonic()
    job = c.triarch("submit", path).stdout.strip()
    if c.triarch("wait", job).returncode != 0:
        raise SystemExit(c.triarch("status", job).stdout)
    return time.monotonic() - begin


def write_job(path, image, count, argv=("true",)):
    with open(path, "w") as f:
        json.dump({"name": "true", "argv": argv, "image": image, "instances": count,
                   "resources": {"cpus": 1, "mem": 64}}, f)
    return path


def measure_oci(a):
    """The image is unpacked before, by one task."""
    reason = bare_crun.missing()
    if reason is not None:
        return {"skipped": reason}, ("`true` as containers", "skipped", "-", "-")
    place = folder()
    image = bare_crun.make_image(place)
    bundle = bare_crun.make_bundle(a.build, place, image)
    one = write_job(f"{place}/one.json", image, 1)
    job = write_job(f"{place}/job.json", image, a.containers)
    rates, floors, ratios = [], [], []
    for _ in range(a.runs):
        floors.append(bare_crun.loop(a.build, a.containers, place, bundle))
        c = cluster(a)
        try:
            submit_to_end(c, one)
            rates.append(a.containers / submit_to_end(c, job))
        finally:
            c.stop()
        ratios.append(rates[-1] / floors[-1])
    rate, bare, ratio = map(statistics.median, (rates, floors, ratios))
    return ({"per_second": round(rate, 1), "bare_crun": round(bare, 1), "ratio": round(ratio, 2)},
            ("`true` as containers", f"{rate:,.1f}/s", f"{bare:,.1f}/s", f"{ratio:.2f}"))


def first_instruction_us(c, job):
    """What the task printed, and the stamp of its placement, both in us since 1970; or None."""
    task = json.loads(c.triarch("status", job, "--json").stdout)["tasks"][0]
    if task["state"] != "TASK_RUNNING" or not task["placed"]:
        return None
    placed = datetime.datetime.fromisoformat(task["placed"].replace("Z", "+00:00"))
    printed = c.triarch("logs", job + ".0").stdout
    return (int(printed), placed.timestamp() * 1e6) if printed else None


def measure_first(a):
    """From the placement's stamp in the log to the task's first instruction, one at a time."""
    c = cluster(a)
    times = []
    try:
        for _ in range(a.firsts):
            answer = c.triarch("run", "--name", "first", "--cpus", "0.1", "--mem", "16", "--",
                               f"{a.build}/tests/bench/first")
            job, seen = answer.stdout.split()[0], []
            wait_for("running", lambda: seen.append(first_instruction_us(c, job)) or seen[-1])
            times.append((seen[-1][0] - seen[-1][1]) / 1000)
            end_job(c, job)
    finally:
        c.stop()
    p = percentiles(times)
    return p, ("placement to first instruction", f"p50 {p['p50_ms']}, p99 {p['p99_ms']} ms", "-", "-")


def measure_memory(a):
    c = cluster(a)
    try:
        agent, idle = agent_kib(c)
        job = start_sleepers(c, a.sleepers)
        agent_busy, busy = agent_kib(c)
        end_job(c, job)
    finally:
        c.stop()
    each = (busy - idle) / a.sleepers
    return ({"idle_kib": idle, "agent_idle_kib": agent, "agent_busy_kib": agent_busy,
             "tasks": a.sleepers, "per_task_kib": round(each, 1)},
            ("memory (PSS): idle; each task more", f"{idle / 1024:.1f} MiB; {each:.0f} KiB", "-", "-"))


def measure_oci_memory(a):
    """The image is unpacked before, by one task."""
    reason = bare_crun.missing()
    if reason is not None:
        return {"skipped": reason}, ("memory (PSS): each container", "skipped", "-", "-")
    place = folder()
    image = bare_crun.make_image(place)
    one = write_job(f"{place}/one.json", image, 1)
    many = write_job(f"{place}/many.json", image, a.containers, ("sleep", "3600"))
    c = cluster(a)
    try:
        submit_to_end(c, one)
        _, idle = agent_kib(c)
        job = c.triarch("submit", many).stdout.strip()
        wait_for("starting all containers", lambda: running(c) == a.containers, 120)
        _, busy = agent_kib(c, containers=True)
        end_job(c, job)
    finally:
        c.stop()
    each = (busy - idle) / a.containers
    return ({"tasks": a.containers, "per_container_kib": round(each, 1)},
            ("memory (PSS): each container more", f"{each:.0f} KiB", "-", "-"))


def measure_adopt(a):
    took = []
    c = cluster(a)
    try:
        job = start_sleepers(c, a.sleepers)
        for _ in range(a.runs):
            c.processes["a1"].kill()
            c.processes["a1"].wait()
            begin = time.monotonic()
            c.start_agent(1, RESOURCES)
            log = f"{c.dir}/agent1.log"
            at = os.path.getsize(log)
            wait_for("adopting", lambda: "follows master" in open(log).read()[at:] and running(c) == a.sleepers)
            took.append((time.monotonic() - begin) * 1000)
        end_job(c, job)
    finally:
        c.stop()
    p = percentiles(took)
    return ({**p, "tasks": a.sleepers},
            (f"adopting {a.sleepers} tasks", f"p50 {p['p50_ms']}, max {p['max_ms']} ms", "-", "-"))


MEASURES = {
    "process": measure_process,
    "oci": measure_oci,
    "first": measure_first,
    "memory": measure_memory,
    "oci_memory": measure_oci_memory,
    "adopt": measure_adopt,
}


def parser():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--tasks", type=int, default=2000)
    p.add_argument("--containers", type=int, default=300)
    p.add_argument("--firsts", type=int, default=100)
    p.add_argument("--sleepers", type=int, default=1000)
    return p


if __name__ == "__main__":
    run_measures(parser(), MEASURES)
