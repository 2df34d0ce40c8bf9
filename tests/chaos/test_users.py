"""A directory of users that does not answer: /etc/passwd is a file that another has leased.

Only for the agent, which has mounts of its own.  Opening it hangs until the lease is given up
(at most 45 s, fcntl(2)), as asking a server of the network may.
"""

import fcntl
import os
import shutil
import signal
import subprocess

import pytest

from lib.waiting import wait_until

NAMESPACE = ["unshare", "--mount", "--propagation", "private"]


def may_mount():
    if os.geteuid() != 0:
        return "only root can mount for the agent alone"
    words = [*NAMESPACE, "mount", "--bind", "/etc/hostname", "/etc/passwd"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode != 0 else None


class Directory:
    """The users of an agent's host."""

    def __init__(self, agent, folder):
        self.file = folder / "passwd"
        shutil.copy("/etc/passwd", self.file)
        enter = ["nsenter", f"--target={agent.pid}", "--mount"]
        subprocess.run([*enter, "mount", "--bind", self.file, "/etc/passwd"], check=True)
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # somebody wants to open it
        self.fd = os.open(self.file, os.O_RDWR)

    def hang(self):
        try:
            fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as e:
            pytest.skip(f"no leases on the files of {self.file.parent}: {e}")

    def answer(self):
        fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


@pytest.fixture
def cluster(make_cluster):
    why = may_mount()
    if why:
        pytest.skip(f"no mounts of its own here: {why}")
    made = make_cluster(masters=1, agents=1)
    made.agents[0].argv = [*NAMESPACE, *made.agents[0].argv, "--users", "*"]
    return made.start()


@pytest.fixture
def directory(cluster):
    made = Directory(cluster.agents[0], cluster.folder)
    yield made
    os.close(made.fd)


def test_nothing_else_waits(cluster, directory):
    client = cluster.client
    before = client.submit_spec(
        name="before", argv=["sleep", "1000"], user="nobody", resources={"mem": 64}
    )
    cluster.wait_states(before, "TASK_RUNNING")
    directory.hang()
    waiting = client.submit_spec(name="waiting", argv=["id", "-un"], user="games")
    wait_until(
        "it waits", lambda: client.states(waiting) in (["TASK_STARTING"], ["TASK_PENDING"])
    )
    quick = [client.submit("sh", "-c", "exit 0") for _ in range(5)]
    for job in quick:
        cluster.wait_job(job, timeout=4)
    found = client("exec", before, "--", "sh", "-c", "id -u; echo $USER").split()
    assert found == ["65534", "nobody"]

    def said():
        return client.job(waiting)["tasks"][0]["message"]

    wait_until("it is given up", lambda: "did not answer" in said(), 20)
    assert client.json("agents")[0]["state"] == "ACTIVE"
    assert "unreachable" not in cluster.masters[0].log_text()
    directory.answer()
    cluster.wait_states(waiting, "TASK_FINISHED")
    assert client("logs", waiting).strip() == "games"
    client("kill", before)


def test_agent_says_why_it_does_not_start(cluster, directory):
    agent = cluster.agents[0]
    directory.hang()
    # The next one has the mounts of this one.
    argv = ["nsenter", f"--target={agent.pid}", "--mount", *agent.argv[len(NAMESPACE) :]]
    argv[argv.index("--work-dir") + 1] += "-2"
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "the host's directory of users says nothing of" in done.stderr
