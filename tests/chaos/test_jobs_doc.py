"""docs/jobs.md: every example is valid, and does what the page says on a real cluster."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from lib import oci, processes
from lib.cluster import BUILD
from lib.waiting import wait_until

PAGE = Path(__file__).resolve().parents[2] / "docs/jobs.md"
PLACE = "/tmp/triarch-example"  # of files on the page; here a folder of the test
RESOURCES = "cpus:8;mem:4096;disk:4096;ports:[31000-31099];licence:2"


def blocks(language, marker):
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(
        rf"^```{language}\n# {marker}: (\S+)\n(.*?)^```$", text, re.M | re.S
    )
    assert len(found) == text.count(f"```{language}\n"), "a block without its marker"
    assert len(found) == len(dict(found)), "two blocks have the same name"
    return dict(found)


EXAMPLES = blocks("yaml", "example")
SETUPS = blocks("sh", "setup")


class Run:
    """One example on a cluster of its own."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.client = cluster.client
        self.folder = cluster.folder / "example"
        self.folder.mkdir(exist_ok=True)
        self.text = EXAMPLES[name].replace(PLACE, str(self.folder))
        if name in SETUPS:
            setup = SETUPS[name].replace(PLACE, str(self.folder))
            subprocess.run(["sh", "-ec", setup], check=True, capture_output=True)

    def submit(self):
        path = self.folder / "job.yaml"
        path.write_text(self.text, encoding="utf-8")
        return int(self.client("submit", path))

    def ends(self, state="COMPLETE"):
        """Until it has ended; the lines of its log, and its tasks."""
        job = self.submit()
        ended = self.cluster.wait_job(job)
        assert ended["state"] == state, ended
        return self.client("logs", job).splitlines(), ended["tasks"]

    def starts(self):
        job = self.submit()
        self.cluster.wait_states(job, "TASK_RUNNING")
        return job

    def kill(self, job):
        self.client("kill", job)
        assert self.cluster.wait_job(job)["state"] == "KILLED"


def hello(run):
    assert run.ends()[0] == [f"hello from {os.uname().nodename}"]


def array(run):
    lines = run.ends()[0]
    assert len(lines) == 20
    assert any(line.endswith("7 squared is 49") for line in lines)


def argv(run):
    assert run.ends()[0] == ["no $HOME is expanded", "and * stays a star"]


def env(run):
    text = "\n".join(run.ends()[0])
    assert "good morning from task 1.1, 1 of 2" in text
    assert "attempt 1, restart 0, agent " in text


def resources(run):
    run.ends()


def where(run):
    lines, tasks = run.ends()
    assert len(lines) == 2
    assert {task["agent_id"] for task in tasks} == {1, 2}


def ports(run):
    lines, _ = run.ends()
    assert lines == ["I may listen on 31000 and 31001, all are 31000,31001"]


def service(run):
    """Whether it serves is seen from here."""
    job = run.starts()
    (port,) = run.client.job(job)["tasks"][0]["ports"]

    def serves():
        try:
            with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    wait_until(f"it serves on port {port}", serves)
    assert f"  {port}  " in run.client("status", job)
    run.kill(job)


def retry(run):
    lines, (task,) = run.ends()
    assert task["attempt"] == 2 and task["restarts"] == 1
    assert lines == ["attempt 2 restart 0", "attempt 2 restart 1"]


def gang(run):
    assert sorted(run.ends()[0]) == [f"1.{i} | rank {i} of 4" for i in range(4)]


def system(run):
    job = run.starts()
    assert {task["agent_id"] for task in run.client.job(job)["tasks"]} == {1, 2}
    assert "on 2 of 2 agents" in run.client("status", job)
    run.kill(job)


def pipeline(run):
    """The second adds what the first wrote; the third is for another day."""
    path = run.folder / "job.yaml"
    path.write_text(run.text, encoding="utf-8")
    # The alarm never begins, and so it was meant: status 0.
    ids = [int(line) for line in run.client("submit", "--wait", path).splitlines()]
    assert ids == sorted(ids)
    states = {j["name"]: j["state"] for j in map(run.cluster.wait_job, ids)}
    assert states == {"extract": "COMPLETE", "sum": "COMPLETE", "alarm": "KILLED"}
    assert run.client("logs", ids[1]) == "55\n"
    assert f"never began: job {ids[0]} " in run.client.job(ids[2])["why"]
    path.write_text(run.text.replace("seq 10", "false"), encoding="utf-8")
    done = run.client.run("submit", "--wait", path)
    ids = [int(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and f"job {ids[0]} FAILED" in done.stderr, done.stderr
    assert [run.client.job(i)["state"] for i in ids] == ["FAILED", "KILLED", "COMPLETE"]
    done = run.client.run("run", "--after", ids[0], "--after", 99, "--", "true")
    assert done.returncode == 1 and "after: there is no job 99" in done.stderr, done.stderr


def nightly(run):
    """It waits for its time, and says when that is."""
    job = run.submit()
    status = run.client.job(job)
    assert status["state"] == "PENDING" and status["tasks"] == []
    next_at = re.match(r"next at 20\d\d-\d\d-\d\dT0[01]:30:00Z; 0 started", status["why"])
    assert next_at, status["why"]
    run.kill(job)


def encode(run):
    job = run.submit()
    dispatch = ("dispatch", "--key", "a", job, "INPUT=a b.mp4")
    made = int(run.client(*dispatch))
    assert int(run.client(*dispatch)) == made
    assert run.cluster.wait_job(made)["state"] == "COMPLETE"
    assert run.client("logs", made) == "a b.mp4 at 23\n"
    refused = {
        (): "INPUT: the job needs it; give INPUT=VALUE",
        ("INPUT=a", "FOO=1"): "'FOO=1' is no parameter of the job",
    }
    for values, part in refused.items():
        done = run.client.run("dispatch", job, *values)
        assert done.returncode == 1 and part in done.stderr, done.stderr
    assert "1 so far" in run.client.job(job)["why"]
    run.kill(job)
    run.client("purge", job)
    assert int(run.client(*dispatch)) == made  # the key outlives the job
    done = run.client.run("dispatch", job, "INPUT=a")
    assert done.returncode == 1 and f"there is no job {job}" in done.stderr, done.stderr


def artifact(run):
    assert run.ends()[0] == ["hello from ./hello.sh", "<h1>It works</h1>"]


def user(run):
    assert run.ends()[0] == ["nobody"]


def container(run):
    has_images = ["images" in a["features"] for a in run.client.json("agents")]
    if not any(has_images):
        pytest.skip("no agent here can run images")
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox here to make an image of")
    files = {
        "bin/busybox": oci.file_entry(Path(busybox).read_bytes(), 0o755),
        "bin/sh": oci.link_entry("busybox"),
        "bin/cat": oci.link_entry("busybox"),
        "etc/greeting": b"hello from inside\n",
    }
    oci.Layout(run.folder / "image").add(oci.layer(**files), tag="1")
    (run.folder / "data").mkdir()
    assert run.ends()[0] == ["hello from inside"]
    assert (run.folder / "data/notes").read_text() == "noted\n"


def deadline(run):
    lines, (task,) = run.ends("FAILED")
    assert lines == ["saved what I had"]
    assert task["reason"] == "REASON_MAX_RUNTIME"


def disconnect(run):
    run.kill(run.starts())


def move(run, job):
    """Its one task, to the other agent."""
    before = run.client.job(job)["tasks"][0]
    run.client("agents", "drain", before["agent_id"], "--deadline", "0s", "--wait")

    def moved():
        task = run.client.job(job)["tasks"][0]
        return task if task["state"] == "TASK_RUNNING" and task["attempt"] == 2 else None

    assert wait_until("it runs elsewhere", moved)["agent_id"] != before["agent_id"]
    run.client("agents", "uncordon", before["agent_id"])


def exclusive(run):
    """The store takes nothing of the first attempt once the second has written."""

    def append(text):
        done = subprocess.run(
            [run.folder / "append", fence, text],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    def ledger():
        path = run.folder / "ledger"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    job = run.starts()
    wait_until("it has written", lambda: ledger() == ["begun by attempt 1"])
    fence = (run.folder / "fence").read_text(encoding="ascii").strip()
    assert append("still there") == (0, "")
    move(run, job)
    both = ["begun by attempt 1", "still there", "begun by attempt 2"]
    wait_until("the successor has written", lambda: ledger() == both)
    last = (run.folder / "fence").read_text(encoding="ascii").strip()
    assert append("too late") == (1, f"refused: {last} came after {fence}\n")
    assert ledger() == both
    run.kill(job)


def drain(run):
    job = run.starts()
    move(run, job)
    run.kill(job)


RUNS = {
    f.__name__: f
    for f in (
        hello,
        array,
        argv,
        env,
        resources,
        where,
        ports,
        service,
        retry,
        gang,
        system,
        pipeline,
        nightly,
        encode,
        artifact,
        user,
        container,
        deadline,
        disconnect,
        exclusive,
        drain,
    )
}
AS_ROOT = {"user": "only an agent of root runs tasks as somebody else"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_valid(name, tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(EXAMPLES[name], encoding="utf-8")
    done = subprocess.run(
        [BUILD / "triarch", "submit", "--check", path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=processes.clean_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_each_example_has_a_run():
    assert set(EXAMPLES) == set(RUNS)
    assert set(SETUPS) <= set(EXAMPLES)


@pytest.mark.parametrize("name", RUNS)
def test_example_runs(name, make_cluster):
    if name in AS_ROOT and os.geteuid() != 0:
        pytest.skip(AS_ROOT[name])
    two = name in ("drain", "exclusive", "system", "where")
    cluster = make_cluster(masters=1, agents=2 if two else 1, resources=RESOURCES)
    for agent, rack in zip(cluster.agents, "ab"):
        agent.argv += ["--attributes", f"rack:{rack}"]
        if name in AS_ROOT:
            agent.argv += ["--users", "nobody"]
        agent.argv += ["--volumes", str(cluster.folder)]
    cluster.folder.chmod(0o755)
    RUNS[name](Run(cluster.start(), name))
