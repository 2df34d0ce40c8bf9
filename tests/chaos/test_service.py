"""The agent as a service of systemd, with the unit of deploy/systemd."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from lib.cluster import Gate
from lib.waiting import wait_until

UNITS = Path(__file__).resolve().parents[2] / "deploy/systemd"
UNIT = f"triarch-chaos-{os.getpid()}.service"
PLACE = Path("/run/systemd/system") / UNIT
PATIENT = ["--agent-silence", "60s"]  # no agent is given up meanwhile


def systemctl(*words):
    done = subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"systemctl {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def unit_of(agent):
    """The unit as it is, but for the agent's argv and its log."""
    text = (UNITS / "triarch-agent.service").read_text(encoding="utf-8")
    start = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    argv = shlex.join(map(str, agent.argv))
    changed = f"ExecStart={argv}\nStandardError=append:{agent.log}"
    assert len(start) == 1
    return text.replace(start[0], changed).replace("StateDirectory=triarch-agent\n", "")


class Service:
    def __init__(self, cluster):
        self.cluster = cluster
        self.agent = cluster.agents[0]
        self.followed = 0

    def pid(self):
        return int(systemctl("show", "-P", "MainPID", UNIT))

    def wait_follows(self):
        """Once more than before."""
        self.followed += 1
        wait_until(
            "it follows",
            lambda: self.agent.log_text().count(" follows master") >= self.followed,
        )

    def submit(self, *argv, mem=16):
        return self.cluster.client.submit_spec(
            name="service",
            argv=[str(word) for word in argv],
            resources={"cpus": 0.1, "mem": mem},
        )


@pytest.fixture
def service(make_cluster):
    if os.geteuid() != 0 or not Path("/run/systemd/system").exists():
        pytest.skip("only root where systemd runs has services")
    cluster = make_cluster(masters=1, agents=1, master_options=PATIENT)
    found = Service(cluster)
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(unit_of(found.agent), encoding="utf-8")
    try:
        systemctl("daemon-reload")
        cluster.masters[0].start()
        systemctl("start", UNIT)
        found.wait_follows()
        yield found
    finally:
        systemctl("stop", UNIT)
        PLACE.unlink()
        systemctl("daemon-reload")


def restart(found):
    systemctl("restart", UNIT)


def stop_and_start(found):
    systemctl("stop", UNIT)
    systemctl("daemon-reload")
    systemctl("start", UNIT)


def kill9(found):
    os.kill(found.pid(), 9)  # systemd starts it again


@pytest.mark.parametrize("end", [restart, stop_and_start, kill9])
def test_tasks_go_on_without_it(service, end):
    cluster = service.cluster
    gate = Gate(cluster.folder / "gate")
    job = service.submit(*cluster.witness.argv(gate))
    cluster.wait_states(job, "TASK_RUNNING")
    wait_until("it has begun", lambda: cluster.witness.begun(job, 1))
    before = service.pid()
    end(service)
    service.wait_follows()
    assert service.pid() not in (0, before)
    other = service.submit("true")
    assert cluster.wait_job(other)["state"] == "COMPLETE"
    assert cluster.client.states(job) == ["TASK_RUNNING"]
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert cluster.client.job(job)["tasks"][0]["attempt"] == 1
    cluster.witness.check_finished_once(job)


def test_one_task_out_of_memory_ends_alone(service):
    cluster = service.cluster
    if not any(mask & 4 for mask, _ in service.agent.groups()):
        pytest.skip("no cgroup limits memory here")
    good = service.submit("sleep", "1000")
    cluster.wait_states(good, "TASK_RUNNING")
    before = service.pid()
    hog = service.submit("tail", "/dev/zero", mem=32)
    assert cluster.wait_job(hog)["state"] == "FAILED"
    assert cluster.client.job(hog)["tasks"][0]["reason"] == "REASON_MEMORY_LIMIT"
    assert cluster.client.states(good) == ["TASK_RUNNING"]
    assert service.pid() == before
    cluster.client("kill", good)
    assert cluster.wait_job(good)["state"] == "KILLED"
