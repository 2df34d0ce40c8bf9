"""Agents that end and come back: what they find of their tasks, and what they refuse."""

import os
import pwd
import shutil
import signal
import subprocess

import pytest

from lib import processes
from lib.cluster import BUILD, Gate, closed_to_others
from lib.waiting import wait_until

PATIENT = ["--agent-silence", "60s"]  # no agent is given up meanwhile
BOOT_ID = "/proc/sys/kernel/random/boot_id"
MANY = 1000


def start(make_cluster, resources="cpus:8;mem:4096", argv=()):
    cluster = make_cluster(
        masters=1, agents=1, master_options=PATIENT, resources=resources
    )
    cluster.agents[0].argv += list(argv)
    return cluster.start()


def listed(cluster):
    return cluster.client.json("agents")[0]


def task(cluster, job):
    return cluster.client.job(job)["tasks"][0]


def submit(cluster, *argv, **more):
    return cluster.client.submit_spec(
        name="life",
        argv=[str(word) for word in argv],
        resources={"cpus": 0.1, "mem": 16},
        **more,
    )


class Kinds:
    """A task of each kind, under a witness."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.gate = Gate(cluster.folder / "gate")
        kinds = [
            {},
            {"restart": {"attempts": 3, "delay": "10ms"}},
            {"exclusive": {"lease": "20s"}},
            {"on_disconnect": {"stop_after": "20s"}},
            {"max_runtime": "1h"},
        ]
        if closed_to_others():
            print("without a task of another user:", closed_to_others())
        else:
            kinds.append({"user": self.other_user()})
        argv = cluster.witness.argv(self.gate)
        self.jobs = [submit(cluster, *argv, **kind) for kind in kinds]
        for job in self.jobs:
            cluster.wait_states(job, "TASK_RUNNING")
            wait_until("it has begun", lambda job=job: cluster.witness.begun(job, 1))

    def other_user(self):
        """Root can run a task as somebody else, who must reach the witness."""
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid()).pw_name
        os.chmod(self.cluster.folder, 0o755)
        os.chmod(self.cluster.witness.folder, 0o777)
        return min(
            (u for u in pwd.getpwall() if u.pw_uid >= 1000), key=lambda u: u.pw_uid
        ).pw_name

    def check(self):
        """Nothing was restarted, and everything ends well."""
        for job in self.jobs:
            assert self.cluster.client.states(job) == ["TASK_RUNNING"]
        self.gate.open()
        for job in self.jobs:
            assert self.cluster.wait_job(job)["state"] == "COMPLETE"
            self.cluster.witness.check_ran_once(job)
            found = task(self.cluster, job)
            assert (found["attempt"], found["restarts"]) == (1, 0)


@pytest.mark.parametrize("way", ["killed", "upgraded"])
def test_tasks_of_each_kind_are_adopted(make_cluster, way):
    cluster = start(make_cluster)
    kinds = Kinds(cluster)
    agent = cluster.agents[0]
    for _ in range(2):
        if way == "killed":
            agent.kill9()
        else:
            assert agent.terminate() == 0
        agent.start()
        wait_follows(cluster)
    kinds.check()
    cluster.check_digests()


PROGRAMS = ("triarch-agent", "triarch-shim", "triarch-contain", "triarch-fetch")


def install(cluster, version):
    """The programs of the agent at another place; the one to start."""
    folder = cluster.folder / version
    folder.mkdir()
    folder.parent.chmod(0o755)
    for name in PROGRAMS:
        shutil.copy2(BUILD / name, folder)
    return folder / PROGRAMS[0]


def program_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except FileNotFoundError:  # it has just ended
        return ""


def test_upgraded_to_other_programs(make_cluster):
    """The old ones are removed; what they started is adopted, and killed as before."""
    cluster = make_cluster(masters=1, agents=1, master_options=PATIENT)
    agent = cluster.agents[0]
    old = install(cluster, "old")
    agent.argv[0] = str(old)
    cluster.start()
    kinds = Kinds(cluster)
    sleeps = submit(cluster, "sleep", 1000)
    cluster.wait_states(sleeps, "TASK_RUNNING")
    assert program_of(agent.pid) == str(old)
    assert agent.terminate() == 0
    agent.argv[0] = str(install(cluster, "new"))
    shutil.rmtree(old.parent)
    agent.start()
    wait_follows(cluster)
    assert program_of(agent.pid) == agent.argv[0]
    assert cluster.client("exec", f"{sleeps}.0", "--", "echo", "here") == "here\n"
    cluster.client("kill", sleeps)
    assert cluster.wait_job(sleeps)["state"] == "KILLED"
    kinds.check()
    pids = processes.users_of(agent.work)
    assert not [p for p in pids if str(old.parent) in program_of(p)], "an old one runs"
    cluster.check_digests()


def wait_follows(cluster):
    """Until the agent that runs now takes work."""
    job = cluster.client.submit("true")
    assert cluster.wait_job(job)["state"] == "COMPLETE"


def test_restarts_are_counted_through_a_kill(make_cluster):
    """The first run of the command fails, the agent is killed, the second one goes on."""
    cluster = start(make_cluster)
    gate = Gate(cluster.folder / "gate")
    script = f'[ "$TRIARCH_RESTART" = 1 ] || exit 3; flock -s {gate.path} true; exit 4'
    policy = {"attempts": 1, "interval": "0s", "delay": "10ms"}
    job = submit(cluster, "sh", "-c", script, restart=policy)
    wait_until("it was restarted", lambda: task(cluster, job)["restarts"] == 1)
    cluster.wait_states(job, "TASK_RUNNING")
    cluster.agents[0].kill9()
    gate.open()
    cluster.agents[0].start()
    assert cluster.wait_job(job)["state"] == "FAILED"
    found = task(cluster, job)
    assert (found["exit_code"], found["restarts"], found["attempt"]) == (4, 1, 1)


class OtherBoot:
    """The argv of an agent for which the host has another boot id."""

    def __init__(self, folder):
        self.file = folder / "boot_id"
        self.file.write_text("01234567-89ab-4def-8123-456789abcdef\n")

    def argv(self, argv):
        script = f'mount --bind "$0" {BOOT_ID} && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(self.file), *argv]


def can_fake_boot(folder):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return not subprocess.run(OtherBoot(folder).argv(["true"]), check=False).returncode


@pytest.mark.parametrize("first", [signal.SIGKILL, signal.SIGTERM])
def test_host_restarted(make_cluster, first):
    """What ran is lost and runs again, also when it was shut down (TERM first); what had
    ended before is told as it ended."""
    cluster = start(make_cluster)
    if not can_fake_boot(cluster.folder):
        pytest.skip("only root with mount namespaces can show another boot id")
    agent = cluster.agents[0]
    gate, other = Gate(cluster.folder / "gate"), Gate(cluster.folder / "other")
    runs = submit(cluster, *cluster.witness.argv(gate))
    ends = submit(cluster, *cluster.witness.argv(other, 7))
    for job in (runs, ends):
        wait_until("it has begun", lambda job=job: cluster.witness.begun(job, 1))
        cluster.wait_states(job, "TASK_RUNNING")
    agent.kill9()
    other.open()
    wait_until("one ended", lambda: len(cluster.witness.lines(ends)) == 2)
    wait_until("its shim too", lambda: len(processes.users_of(agent.work / "runs")) == 1)
    for pid in processes.users_of(agent.work):
        processes.kill(pid, first)
    wait_until("all ended", lambda: not processes.users_of(agent.work / "runs"))
    processes.end_all(processes.users_of(agent.work))
    agent.start(OtherBoot(cluster.folder).argv(agent.argv))
    wait_until("it runs again", lambda: len(cluster.witness.lines(runs)) == 2)
    assert cluster.wait_job(ends)["state"] == "FAILED"
    found = task(cluster, ends)
    assert (found["exit_code"], found["attempt"]) == (7, 1)
    gate.open()
    assert cluster.wait_job(runs)["state"] == "COMPLETE"
    assert task(cluster, runs)["attempt"] == 2
    cluster.witness.check_finished_once(runs)


def test_host_gone_and_back(make_cluster):
    """Nothing of it runs when the agent comes back: lost, and run again."""
    cluster = start(make_cluster)
    agent = cluster.agents[0]
    gate = Gate(cluster.folder / "gate")
    job = submit(cluster, *cluster.witness.argv(gate))
    cluster.wait_states(job, "TASK_RUNNING")
    wait_until("it has begun", lambda: cluster.witness.begun(job, 1))
    agent.kill9_host()
    agent.start()
    wait_until("it runs again", lambda: len(cluster.witness.lines(job)) == 2)
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert task(cluster, job)["attempt"] == 2
    cluster.witness.check_finished_once(job)


def sandboxes(agent):
    return {int(entry.name) for entry in (agent.work / "runs").iterdir()}


def test_sandboxes_are_removed_by_age(make_cluster):
    """Those of ended tasks only, also when the agent was restarted meanwhile."""
    cluster = start(make_cluster, argv=["--sandbox-keep-for", "3s"])
    agent = cluster.agents[0]
    gate = Gate(cluster.folder / "gate")
    runs = submit(cluster, *cluster.witness.argv(gate))
    cluster.wait_states(runs, "TASK_RUNNING")
    live = sandboxes(agent)
    job = cluster.client.submit("true", instances=5)
    cluster.wait_job(job)
    agent.kill9()
    assert len(sandboxes(agent)) == 6
    agent.start()
    wait_until("they are removed", lambda: sandboxes(agent) == live, 60)
    gate.open()
    assert cluster.wait_job(runs)["state"] == "COMPLETE"
    wait_until("the last one too", lambda: not sandboxes(agent), 60)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "triarch-chaos", tmp_path],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {made.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def cluster_on(disk, make_cluster, *options):
    cluster = make_cluster(masters=1, agents=1, master_options=PATIENT)
    agent = cluster.agents[0]
    agent.work = disk / "work"
    agent.argv[agent.argv.index("--work-dir") + 1] = str(agent.work)
    agent.argv += options
    return cluster.start()


def fill_disk(disk, but):
    """A file that takes all that is free, but so many bytes."""
    room = os.statvfs(disk)
    with open(disk / "fill", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - but)
    return disk / "fill"


def test_disk_reserve(small_disk, make_cluster):
    """2 of 64 MiB are less than 5 %, and enough for an agent that keeps one; not for another."""
    cluster = cluster_on(small_disk, make_cluster, "--disk-reserve", "1")
    fill = fill_disk(small_disk, 2 << 20)
    wait_follows(cluster)
    assert not listed(cluster)["disk_low"]
    agent = cluster.agents[0]
    assert agent.terminate() == 0
    agent.argv[-1] = "3"
    agent.start()
    wait_until("its disk is low", lambda: listed(cluster)["disk_low"])
    job = cluster.client.submit("true")
    wait_until("it waits", lambda: "short of disk" in (cluster.client.job(job)["why"] or ""))
    fill.unlink()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert not listed(cluster)["disk_low"]


def test_disk_low(small_disk, make_cluster):
    """It takes no new work and says why; what runs goes on; with room it does again."""
    cluster = cluster_on(small_disk, make_cluster)
    gate = Gate(cluster.folder / "gate")
    runs = submit(cluster, *cluster.witness.argv(gate))
    cluster.wait_states(runs, "TASK_RUNNING")
    fill = fill_disk(small_disk, 1 << 20)
    wait_until("its disk is low", lambda: listed(cluster)["disk_low"])
    assert "disk low" in cluster.client("agents")
    waits = cluster.client.submit("true")
    why = wait_until("it waits", lambda: cluster.client.job(waits)["why"])
    assert "the 1 agent that is large enough is short of disk or damped" in why
    assert cluster.client.states(waits) == ["TASK_PENDING"]
    assert cluster.client.states(runs) == ["TASK_RUNNING"]
    fill.unlink()
    assert cluster.wait_job(waits)["state"] == "COMPLETE"
    assert not listed(cluster)["disk_low"]
    gate.open()
    assert cluster.wait_job(runs)["state"] == "COMPLETE"
    cluster.witness.check_ran_once(runs)


def fitting():
    """So many sleeping tasks as this machine has memory for, at 2 MiB for each."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        free = next(int(line.split()[1]) for line in lines if "MemAvailable" in line)
    return min(MANY, free // 2048)


def starts_of(cluster, job):
    return {t["instance"]: (t["attempt"], t["restarts"]) for t in tasks_of(cluster, job)}


def tasks_of(cluster, job):
    return cluster.client.job(job)["tasks"]


def sleepers(agent):
    """Pids of the tasks' processes."""
    return set(processes.users_of(agent.work / "runs"))


def test_many_tasks_are_adopted(make_cluster):
    count = fitting()
    print(f"{count} tasks")
    cluster = start(make_cluster, resources="cpus:100;mem:100000")
    agent = cluster.agents[0]
    job = cluster.client.submit("sleep", "600", instances=count, mem=1)
    cluster.wait_states(job, "TASK_RUNNING", 120)
    before = sleepers(agent)
    assert len(before) >= count
    agent.kill9()
    agent.start()
    wait_follows(cluster)
    assert cluster.client.states(job) == ["TASK_RUNNING"] * count
    assert sleepers(agent) == before
    assert set(starts_of(cluster, job).values()) == {(1, 0)}
    cluster.client("kill", job)
    assert cluster.wait_job(job, 120)["state"] == "KILLED"
    wait_until("none is left", lambda: not sleepers(agent))
