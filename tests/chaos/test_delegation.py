"""Agents of an ordinary user with groups of version 2 that root gave to that user."""

import os
import re
from pathlib import Path

import pytest

from lib.cluster import Gate, closed_to_others
from lib.containers import NOBODY, become_ordinary
from lib.waiting import wait_until

PATIENT = ["--agent-silence", "60s"]  # no agent is given up meanwhile


def mount_point():
    """Of cgroup version 2; or None."""
    mounts = Path("/proc/self/mounts").read_text()
    found = re.search(r"^\S+ (\S+) cgroup2 \S*\brw\b", mounts, re.MULTILINE)
    return found and Path(found[1])


def pass_on(group):
    """Groups below it have its controllers."""
    for name in (group / "cgroup.controllers").read_text().split():
        (group / "cgroup.subtree_control").write_text(f"+{name}")


def give_away(group):
    """What systemd gives with Delegate=yes."""
    for path in (group, group / "cgroup.procs", group / "cgroup.subtree_control"):
        os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def groups():
    """Groups a and b of nobody, in one that is not."""
    if os.geteuid() != 0:
        pytest.skip("only root can give groups to somebody else")
    if closed_to_others():
        pytest.skip(closed_to_others())
    if mount_point() is None:
        pytest.skip("this host has no cgroup version 2 that can be written to")
    top = mount_point() / f"triarch-chaos-{os.getpid()}"
    top.mkdir()
    pass_on(top)
    for name in ("a", "b"):
        (top / name).mkdir()
        give_away(top / name)
    yield top
    for folder, _, _ in os.walk(top, topdown=False):
        os.rmdir(folder)


def start_in(group, agent):
    script = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
    agent.start(["sh", "-c", script, str(group), *agent.argv])


def leaf(group):
    """Where processes can be: with controllers, only beside the groups of tasks."""
    beside = group / "triarch-agent"
    return beside if beside.exists() else group


@pytest.fixture
def cluster(groups, make_cluster):
    """Its agent is in a."""
    found = make_cluster(masters=1, agents=1, master_options=PATIENT)
    become_ordinary(found)
    found.masters[0].start()
    start_in(groups / "a", found.agents[0])
    found.wait_agents(1)
    return found


def check_groups_below(cluster, group):
    (place,) = [where for _, where in cluster.agents[0].groups()]
    assert place.is_relative_to(group)


def test_elsewhere_is_refused_while_tasks_run(cluster, groups):
    """The kernel would not let it start one; back in its group it goes on."""
    agent = cluster.agents[0]
    check_groups_below(cluster, groups / "a")
    gate = Gate(cluster.folder / "gate")
    os.chmod(gate.path, 0o666)
    job = cluster.client.submit("flock", "-s", str(gate.path), "true")
    cluster.wait_states(job, "TASK_RUNNING")
    agent.kill9()
    start_in(groups / "b", agent)
    assert agent.wait_exit() == 1
    assert f"{groups}/cgroup.procs cannot be written; start it in" in agent.tail(1)
    start_in(leaf(groups / "a"), agent)
    wait_until("it follows again", lambda: agent.log_text().count(" follows ") == 2)
    other = cluster.client.submit("true")
    assert cluster.wait_job(other)["state"] == "COMPLETE"
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert cluster.client.job(job)["tasks"][0]["attempt"] == 1


def test_elsewhere_it_begins_anew_when_nothing_runs(cluster, groups):
    agent = cluster.agents[0]
    assert cluster.wait_job(cluster.client.submit("true"))["state"] == "COMPLETE"
    agent.kill9()
    start_in(groups / "b", agent)
    wait_until("it follows again", lambda: agent.log_text().count(" follows ") == 2)
    check_groups_below(cluster, groups / "b")
    assert cluster.wait_job(cluster.client.submit("true"))["state"] == "COMPLETE"
