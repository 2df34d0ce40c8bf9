#!/usr/bin/env python3
"""Draws the pictures of docs/scheduling.md: what happens to the same jobs under each policy.

    queue_plots.py [--build DIR] [--out docs/images] [--only fcfs,sjf,…]

Each picture is a real run: one master, one agent that gives out 8 cpus, and tasks that sleep.
What is drawn is what `triarch status` said of them, ten times a second.  About half a minute each.
As root each user of the run is a user of this machine; else all jobs are of one.
"""
import argparse, datetime, json, os, pathlib, pwd, subprocess, time

from cluster import Cluster

CPUS = 8
SAMPLE_SECONDS = 0.1
RUN_SECONDS_MAX = 120

# name, who, begins at, tasks, cpus of each, seconds, priority
JOBS = [
    ("render", "ann", 0.0, 12, 2, 4, 0),
    ("small", "bob", 0.6, 8, 1, 2, 0),
    ("train", "ann", 1.2, 1, 8, 4, 0),
    ("urgent", "cy", 1.8, 2, 4, 3, 10),
    ("more", "bob", 2.4, 6, 1, 2, 0),
]
COLOURS = {"render": "#4878a8", "small": "#e08040", "train": "#a04868", "urgent": "#c8a020",
           "more": "#60a060"}
USERS = {"ann": "daemon", "bob": "nobody", "cy": "games"}

# picture: what it shows, options of `triarch roles set default`
POLICIES = {
    "fcfs": ("first come, first served", ["--order", "fcfs", "--reserve", "off"]),
    "easy": ("first come, first served, with room kept for who waits first",
             ["--order", "fcfs", "--reserve", "0s"]),
    "sjf": ("shortest job first", ["--order", "sjf", "--aging", "never", "--reserve", "off"]),
    "srtf": ("shortest remaining time first, which may stop what takes longer",
             ["--order", "srtf", "--aging", "never", "--reserve", "off", "--preempt", "100"]),
    "priority": ("by priority, which may stop what has less",
                 ["--order", "priority", "--reserve", "off", "--preempt", "100"]),
    "fair": ("fair shares of users", ["--order", "fair", "--reserve", "off"]),
}


# ---- a run ----

def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def as_user(who):
    """Options of a process of this user."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(USERS[who])
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def check(done):
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip())
    return done.stdout


def submit(c, job):
    name, who, _, tasks, cpus, length, priority = job
    spec = {"name": name, "instances": tasks, "argv": ["sleep", str(length)],
            "resources": {"cpus": cpus, "mem": 1}, "estimate": f"{length}s", "priority": priority,
            "kill_grace": "1s"}
    done = subprocess.run([f"{c.build}/triarch", "--masters", c.masters, "submit", "-"],
                          input=json.dumps(spec), capture_output=True, text=True, timeout=60,
                          cwd="/", **as_user(who))
    return int(check(done))


class Record:
    """When each attempt ran, as far as anybody was told."""

    def __init__(self):
        self.submitted, self.runs, self.over = {}, {}, set()

    def look(self, c, job, name):
        now = time.time()
        told = json.loads(check(c.triarch("status", str(job), "--json")))
        self.submitted[name] = seconds(told["submitted"])
        for task in told["tasks"]:
            place = (name, task["instance"])
            runs = self.runs.setdefault(place, {})
            for number, run in runs.items():
                if number != task["attempt"] and run[1] is None:
                    run[1] = now  # another one came, or is to come
            if task["state"] == "TASK_PENDING":
                for run in runs.values():
                    run[1] = run[1] or now
            elif task["started"]:
                run = runs.setdefault(task["attempt"], [seconds(task["started"]), None])
                run[1] = seconds(task["ended"]) if task["ended"] else None
        if told["state"] in ("COMPLETE", "FAILED", "KILLED"):
            self.over.add(name)


def wait_for_agent(c):
    while not json.loads(c.triarch("agents", "--json").stdout or "[]"):
        time.sleep(0.05)


def run(build, options):
    c = Cluster(build, agents=1, resources=f"cpus:{CPUS};mem:4096;disk:4096", masters=1)
    record, ids = Record(), {}
    try:
        wait_for_agent(c)
        check(c.triarch("roles", "set", "default", *options))
        begin = time.time()
        while len(record.over) < len(JOBS):
            if time.time() > begin + RUN_SECONDS_MAX:
                raise SystemExit("the jobs did not end; logs in " + c.dir)
            for job in JOBS:
                if job[0] not in ids and time.time() >= begin + job[2]:
                    ids[job[0]] = submit(c, job)
            for name, ident in ids.items():
                if name not in record.over:
                    record.look(c, ident, name)
            time.sleep(SAMPLE_SECONDS)
        return begin, record
    finally:
        c.stop()


# ---- a picture ----

LEFT, TOP, ROW, WIDTH = 92, 40, 11, 620


def bar(x, y, width, height, colour, opacity):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.8):.1f}" height="{height}" '
            f'fill="{colour}" fill-opacity="{opacity}"/>')


def label(x, y, text, anchor="start", size=11):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-family="sans-serif" fill="#404040">{text}</text>')


def axis(end, scale, bottom):
    parts = []
    for second in range(0, int(end) + 1, 5):
        x = LEFT + second * scale
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" '
                     'stroke="#d8d8d8" stroke-width="1"/>')
        parts.append(label(x, bottom + 14, f"{second} s", "middle"))
    return parts


def draw(title, begin, record):
    end = max(run[1] for runs in record.runs.values() for run in runs.values()) - begin
    scale = (WIDTH - LEFT - 12) / end
    rows = sum(job[3] for job in JOBS) + len(JOBS) - 1
    bottom = TOP + rows * ROW
    parts = [label(LEFT, 20, title, size=13)] + axis(end, scale, bottom)
    y = TOP
    for name, who, _, tasks, cpus, length, _ in JOBS:
        waits = []
        asked = record.submitted[name] - begin
        for instance in range(tasks):
            runs = sorted(record.runs[name, instance].values())
            first = runs[0][0] - begin
            waits.append(first - asked)
            last = asked
            for start, over in runs:
                parts.append(bar(LEFT + last * scale, y + 4, (start - begin - last) * scale, 3,
                                 COLOURS[name], 0.25))
                parts.append(bar(LEFT + (start - begin) * scale, y + 1, (over - start) * scale,
                                 ROW - 2, COLOURS[name], 1 if over == runs[-1][1] else 0.55))
                last = over - begin
            y += ROW
        middle = y - tasks * ROW / 2
        parts.append(label(LEFT - 8, middle + 1, name, "end"))
        parts.append(label(LEFT - 8, middle + 11, f"{who}, {tasks} × {cpus} cpu", "end", 8))
        y += ROW
    parts.append(label(LEFT, bottom + 30, "thin: waits; full: runs; pale: was stopped, and runs "
                       "again later", size=9))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + 40}" '
            f'viewBox="0 0 {WIDTH} {bottom + 40}"><rect width="100%" height="100%" fill="#ffffff"/>'
            + "\n".join(parts) + "</svg>\n")


def mean_waits(begin, record):
    """Seconds until the first start of a task, by job."""
    waits = {}
    for (name, _), runs in record.runs.items():
        first = min(run[0] for run in runs.values())
        waits.setdefault(name, []).append(first - record.submitted[name])
    return {name: round(sum(w) / len(w), 1) for name, w in waits.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=".")
    parser.add_argument("--out", default="docs/images")
    parser.add_argument("--only", default=",".join(POLICIES))
    a = parser.parse_args()
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    for policy in a.only.split(","):
        title, options = POLICIES[policy]
        begin, record = run(os.path.abspath(a.build), options)
        (out / f"queue-{policy}.svg").write_text(draw(title, begin, record), encoding="utf-8")
        end = max(run[1] for runs in record.runs.values() for run in runs.values()) - begin
        print(json.dumps({"policy": policy, "ends_s": round(end, 1),
                          "mean_wait_s": mean_waits(begin, record)}), flush=True)


if __name__ == "__main__":
    main()
