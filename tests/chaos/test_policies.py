"""What a job says about its tasks, as their processes see it: when they are started again, whom
they run as, and which cpu they get."""

import os
import pwd
import re
import time
from pathlib import Path

import pytest
from lib.waiting import SLOW, wait_until

CPU = 1  # in WORK_DIR/cgroups
CLOCK_STEP = 0.01  # of /proc/uptime, in seconds


def submit(cluster, script, **more):
    spec = {"resources": {"cpus": 0.1, "mem": 16}, **more}
    return cluster.client.submit_spec(name="policy", argv=["sh", "-c", script], **spec)


def task(cluster, job):
    return cluster.client.job(job)["tasks"][0]


# ---- again, not before its time ----


@pytest.fixture
def cluster(make_cluster):
    return make_cluster(masters=1, agents=1).start()


def stamps(file):
    return [float(line) for line in file.read_text(encoding="ascii").split()]


def check_delays(times, delays):
    assert len(times) == len(delays) + 1
    waited = [after - before for before, after in zip(times, times[1:])]
    print(f"waited {waited}, at least {delays}")
    for one, delay in zip(waited, delays):
        assert one >= delay - CLOCK_STEP, f"waited {waited}, to be at least {delays}"


def stamp_and_fail(file):
    return f"read now rest </proc/uptime; echo $now >>{file}; exit 3"


def check_left(found, file, delay):
    """What a master said a moment ago of the delay that began when the task failed last."""
    passed = time.clock_gettime(time.CLOCK_BOOTTIME) - stamps(file)[-1]
    print(f"{found and found[0]}, {passed:.2f} s after it failed")
    assert found
    assert delay - passed - 1 <= int(found[1]) <= delay


def test_restarts_wait_for_their_delay(cluster):
    """Doubled from one to the next, up to max_delay; the agent waits, in one attempt."""
    file = cluster.folder / "stamps"
    policy = {"attempts": 4, "interval": 0, "delay": "300ms", "max_delay": "900ms"}
    job = submit(cluster, stamp_and_fail(file), restart=policy)
    assert cluster.wait_job(job)["state"] == "FAILED"
    found = task(cluster, job)
    assert (found["attempt"], found["restarts"]) == (1, 4)
    check_delays(stamps(file), [0.3, 0.6, 0.9, 0.9])


def test_an_agent_that_is_killed_still_waits(cluster):
    """What is left of the delay is not known to the next agent: it waits at least the whole."""
    file = cluster.folder / "stamps"
    policy = {"attempts": 1, "interval": 0, "delay": "3s"}
    job = submit(cluster, stamp_and_fail(file), restart=policy)
    wait_until("it failed once", lambda: task(cluster, job)["restarts"] == 1)
    cluster.agents[0].kill9()
    assert len(stamps(file)) == 1, "it was started again already"
    cluster.agents[0].start()
    assert cluster.wait_job(job)["state"] == "FAILED"
    check_delays(stamps(file), [3])


def test_new_attempts_wait_for_their_delay(cluster):
    """The same of a job that is placed again: its masters wait."""
    file = cluster.folder / "stamps"
    policy = {"attempts": 3, "interval": 0, "delay": "500ms", "max_delay": "1s"}
    job = submit(cluster, stamp_and_fail(file), reschedule=policy)
    assert cluster.wait_job(job)["state"] == "FAILED"
    assert task(cluster, job)["attempt"] == 4
    check_delays(stamps(file), [0.5, 1, 1])


def test_new_attempts_wait_through_a_change_of_leader(start_cluster):
    cluster = start_cluster(agents=1)
    file = cluster.folder / "stamps"
    delay = round(4 * SLOW)
    policy = {"attempts": 1, "interval": 0, "delay": f"{delay}s"}
    job = submit(cluster, stamp_and_fail(file), reschedule=policy)
    cluster.wait_states(job, "TASK_PENDING")
    wait_until("it failed", lambda: task(cluster, job)["exit_code"] == 3)
    why = r"retry 1 of 1 in (\d+)s"
    check_left(re.fullmatch(why, task(cluster, job)["why"]), file, delay)
    shown = cluster.client("status", job)
    check_left(re.search(why + r" \(exited with status 3\)", shown), file, delay)
    cluster.wait_leader().kill9()
    assert cluster.wait_job(job)["state"] == "FAILED"
    check_delays(stamps(file), [delay])


# ---- users ----


def check_refused(cluster, user, words):
    job = submit(cluster, "true", user=user)
    assert cluster.wait_job(job)["state"] == "FAILED"
    found = task(cluster, job)
    assert (found["state"], found["reason"]) == (
        "TASK_ERROR",
        "REASON_COMMAND_NOT_STARTED",
    )
    assert words in found["message"]


def check_runs_as(cluster, user):
    job = submit(cluster, "id -u", user=user)
    assert cluster.wait_job(job)["state"] == "COMPLETE", task(cluster, job)["message"]
    uid = pwd.getpwnam(user).pw_uid
    assert cluster.client("logs", f"{job}.0").strip() == str(uid)


def as_user_cluster(make_cluster, *options):
    cluster = make_cluster(masters=1, agents=1)
    cluster.folder.chmod(0o755)
    cluster.agents[0].argv += options
    return cluster.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tasks as somebody else")
def test_only_listed_users(make_cluster):
    cluster = as_user_cluster(make_cluster, "--users", "daemon,nobody")
    check_runs_as(cluster, "daemon")
    check_runs_as(cluster, "nobody")
    why = 'tasks may not run as user "bin" on this agent: its --users allows daemon,nobody'
    check_refused(cluster, "bin", why)
    check_refused(cluster, "root", "its --users allows daemon,nobody")
    check_refused(cluster, "daemo", 'this host has no user "daemo"')


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tasks as somebody else")
def test_no_users_of_the_system(make_cluster):
    """Without a list: the agent's own, and those with a uid of 1000 or more."""
    cluster = as_user_cluster(make_cluster)
    check_runs_as(cluster, "root")
    check_runs_as(cluster, "nobody")
    check_refused(cluster, "daemon", "its --users is not given")


@pytest.mark.skipif(os.geteuid() == 0, reason="root runs tasks as anybody")
def test_an_ordinary_agent_has_one_user(make_cluster):
    cluster = as_user_cluster(make_cluster, "--users", "*")
    check_runs_as(cluster, pwd.getpwuid(os.geteuid()).pw_name)
    check_refused(cluster, "root", "the agent runs as an ordinary user")


# ---- what an agent gave away ----


def test_allocated_ports_and_custom_resources(make_cluster):
    resources = "cpus:4;mem:1024;ports:[32500-32519];licence:2"
    cluster = make_cluster(masters=1, agents=1, resources=resources).start()
    needs = {"cpus": 0.5, "mem": 16, "ports": 3, "custom": {"licence": 0.5}}
    job = submit(cluster, "sleep 1000", resources=needs)
    cluster.wait_states(job, "TASK_RUNNING")
    allocated = cluster.client.json("agents")[0]["allocated"]
    assert (allocated["cpus"], allocated["mem"]) == (0.5, 16)
    assert allocated["ports"] == ["32500-32502"]
    assert allocated["custom"] == {"licence": 0.5}
    cluster.client("kill", job)
    cluster.wait_job(job)
    allocated = cluster.client.json("agents")[0]["allocated"]
    assert (allocated["ports"], allocated["custom"]) == ([], {})


# ---- cpu ----


def cpu_group(agent, pid):
    """The group that limits the cpu of a task, in which its process must be."""
    for mask, place in agent.groups():
        if mask & CPU:
            (group,) = [p for p in place.iterdir() if p.name.isdigit()]
            assert str(pid) in (group / "cgroup.procs").read_text().split()
            return group
    return pytest.skip("no cgroup limits cpus here for this user")


def start_busy(cluster, cpus, limit):
    """A task that takes what it gets; its group."""
    job = submit(
        cluster,
        "echo $$ >pid.new; mv pid.new pid; while :; do :; done",
        resources={"cpus": cpus, "mem": 16, "cpu_limit": limit},
    )
    files = cluster.agents[0].work.glob
    file = wait_until("it runs", lambda: list(files("runs/*/pid")))[0]
    return job, cpu_group(cluster.agents[0], int(file.read_text()))


def limits(group):
    """(share of one cpu, quota in µs of each 100 ms or None), of either version."""
    if (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text().split()
        share = int((group / "cpu.weight").read_text()) / 100
    else:
        quota = (group / "cpu.cfs_quota_us").read_text().strip()
        period = (group / "cpu.cfs_period_us").read_text().strip()
        share = int((group / "cpu.shares").read_text()) / 1024
    assert int(period) == 100000
    return share, None if quota in ("max", "-1") else int(quota)


def throttled(group):
    """How often the kernel made it wait, its quota being used up."""
    words = (group / "cpu.stat").read_text().split()
    return int(words[words.index("nr_throttled") + 1])


def test_cpu_as_a_share_and_hard(cluster):
    job, group = start_busy(cluster, 0.25, "share")
    assert limits(group) == (0.25, None)
    cluster.client("kill", job)
    cluster.wait_job(job)
    wait_until("its group is gone", lambda: not group.exists())
    for pid in cluster.agents[0].work.glob("runs/*/pid"):
        pid.unlink()
    job, group = start_busy(cluster, 0.25, "hard")
    assert limits(group) == (0.25, 25000)
    wait_until("it is held back", lambda: throttled(group) > 1)
    cluster.client("kill", job)
    cluster.wait_job(job)


def test_no_limit_of_memory(cluster):
    """mem: 0 takes none of the agent's, and may then use what there is: here more than the
    128 MiB of a job that says nothing. tail holds all of a line that has no end."""
    gate = cluster.folder / "gate"
    os.mkfifo(gate)
    job = submit(
        cluster,
        f"read go <{gate}; head -c 200m /dev/zero | tail | wc -c",
        resources={"cpus": 0.1, "mem": 0},
    )
    cluster.wait_states(job, "TASK_RUNNING")
    (agent,) = cluster.client.json("agents")
    assert agent["allocated"]["mem"] == 0
    gate.write_text("go\n", encoding="ascii")
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert cluster.client("logs", f"{job}.0").strip() == str(200 << 20)
