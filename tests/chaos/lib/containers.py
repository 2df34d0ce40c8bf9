"""A cluster with an agent that runs tasks with an image, as root or as an ordinary user."""

import json
import os
import shutil
from pathlib import Path

import pytest
from lib.cluster import BUILD
from lib.oci import Layout, busybox_layer
from lib.waiting import wait_until

NOBODY = 65534
PROGRAMS = ("triarch-agent", "triarch-shim", "triarch-fetch", "triarch-contain")


def become_ordinary(cluster):
    """The agent runs as nobody, with programs that nobody can reach."""
    if os.geteuid() != 0:
        return
    agent = cluster.agents[0]
    cluster.folder.chmod(0o755)
    programs = cluster.folder / "programs"
    programs.mkdir()
    for name in PROGRAMS:
        shutil.copy(BUILD / name, programs)
    agent.work.mkdir()
    os.chown(agent.work, NOBODY, NOBODY)
    agent.argv[0] = str(programs / "triarch-agent")
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    agent.argv = become + agent.argv


class Containers:
    def __init__(self, cluster):
        self.cluster = cluster
        self.agent = cluster.agents[0]
        self.layout = Layout(cluster.folder / "layout")
        self.layout.add(busybox_layer(), tag="plain")
        self.volumes = cluster.folder / "volumes"
        self.volumes.mkdir()
        self.volumes.chmod(0o777)
        self.agent.argv += ["--volumes", f"/nowhere,{self.volumes}"]
        cluster.folder.chmod(0o755)
        self.jobs = []

    def submit(self, script, tag="plain", mem=64, **more):
        job = {
            "name": "test",
            "argv": ["sh", "-c", script],
            "image": f"oci:{self.layout.folder}:{tag}",
            "resources": {"cpus": 0.1, "mem": mem},
            **more,
        }
        path = self.cluster.folder / "job.json"
        path.write_text(json.dumps(job))
        self.jobs.append(int(self.cluster.client("submit", path)))
        return self.jobs[-1]

    def ended(self, job):
        return self.cluster.wait_job(job)["tasks"][0]

    def out(self, job, *options):
        return self.cluster.client("logs", f"{job}.0", *options)

    def check(self, script, **more):
        """Runs it, which must succeed; what it printed."""
        job = self.submit(script, **more)
        task = self.ended(job)
        said = self.out(job, "--stderr")
        assert task["state"] == "TASK_FINISHED", (task, said)
        return self.out(job)

    def sandboxes(self):
        found = (self.agent.work / "runs").iterdir()
        return sorted(found, key=lambda path: int(path.name))

    def killed(self, job):
        self.cluster.client("kill", job)

        def told():
            task = self.cluster.client.job(job)["tasks"][0]
            return task["message"] if task["ended"] else None

        return wait_until("the end is told", told)

    def end(self):
        """What still runs, and look that nothing is left of it."""
        for job in self.jobs:
            if not all(t["ended"] for t in self.cluster.client.job(job)["tasks"]):
                self.killed(job)
        assert Path("/dev/null").owner() == "root", "crun gives away what it stands on"
        bundles = self.agent.work / "bundles"
        wait_until("bundles are gone", lambda: not list(bundles.glob("*")))
        assert str(self.agent.work) not in Path("/proc/self/mounts").read_text()
        for line in (self.agent.work / "cgroups").read_text().splitlines()[1:]:
            place = Path(line.split(":", 2)[2])
            assert not [p for p in place.iterdir() if p.name.isdigit()]


def start_containers(make_cluster, ordinary, *options):
    if shutil.which("crun") is None or not Path("/bin/busybox").exists():
        pytest.skip("needs crun and busybox-static")
    cluster = make_cluster(masters=1, agents=1)
    if ordinary:
        become_ordinary(cluster)
    containers = Containers(cluster)
    containers.agent.argv += options
    cluster.start()
    log = containers.agent.log_text()
    if "no tasks with an image" in log:
        pytest.skip(log[log.index("no tasks with an image") :].splitlines()[0])
    return containers
