"""What people see of tasks: their files, their logs, what they use."""

import json
import os
import pty
import re
import signal
import subprocess
import termios
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

import pytest

from lib.cluster import BUILD, Failed
from lib.terminal import Terminal
from lib.waiting import SLOW, wait_until


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(masters=1, agents=1)


def script(cluster, text, instances=1):
    """A job of tasks that run a shell script, all of which have started."""
    job = cluster.client.submit("sh", "-c", text, instances=instances, mem=64)
    started = {"TASK_RUNNING", "TASK_FINISHED"}
    wait_until(
        "its tasks have started", lambda: set(cluster.client.states(job)) <= started
    )
    return job


# ---- files ----


def test_files_of_a_running_task(cluster):
    job = script(
        cluster,
        r"""mkdir -p "a b/deep" && printf 0123456789 >"a b/deep/$(printf 'x\377y')" &&
        ln -s "a b/deep" inside && ln -s /etc/passwd outside && mkfifo fifo &&
        echo ready && exec sleep 1000""",
    )
    task = f"{job}.0"
    wait_until("it is ready", lambda: "ready" in cluster.client("logs", task))
    lines = cluster.client("files", "ls", task).splitlines()
    assert lines[0].split() == ["MODE", "SIZE", "MODIFIED", "NAME"]
    names = [line[lines[0].index("NAME") :] for line in lines[1:]]
    links = ["inside -> a b/deep", "outside -> /etc/passwd"]
    assert names == ["a b/", "fifo", *links, "stderr", "stdout"]
    assert re.fullmatch(r"drwxr-xr-x +\d+  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  a b/", lines[1])
    listed = cluster.client.json("files", "ls", task, "inside/")
    assert [(e["name"], e["url"], e["size"]) for e in listed] == [
        (r"x\xffy", "x%FFy", 10)
    ]
    name = "inside/x\udcffy"  # the byte 0xff
    assert cluster.client("files", "cat", task, name) == "0123456789"
    assert cluster.client("files", "cat", task, name, "--tail", 3) == "789"
    words = ["files", "cat", task, name, "--offset", 2, "--length", 4]
    assert cluster.client(*words) == "2345"
    for path, why in [
        ("outside", "leads out"),
        ("../../lock", "leads out"),
        ("..", "leads out"),
        ("/etc/passwd", "leads out"),
        ("fifo", "neither a file nor a directory"),
        ("a b", "is a directory"),
        ("none", 'no file "none"'),
    ]:
        with pytest.raises(Failed, match=why) as failed:
            cluster.client("files", "cat", task, path)
        assert failed.value.status == 1 and failed.value.stdout == ""
        assert failed.value.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_are_listed_as_what_they_are(cluster):
    job = script(cluster, "mknod c c 1 3; mknod b b 7 0")
    cluster.wait_job(job)
    lines = cluster.client("files", "ls", job).splitlines()
    assert [line[0] for line in lines[1:3]] == ["b", "c"]


def test_files_of_a_frozen_agent(cluster):
    """It is not waited for as long as for an answer of a master."""
    job = script(cluster, "exec sleep 1000")
    cluster.agents[0].stop()
    with pytest.raises(Failed, match="does not answer: it says nothing for 3s"):
        cluster.client("files", "ls", job)
    cluster.agents[0].go_on()


def test_a_large_directory_is_listed(cluster):
    job = script(cluster, "seq 2500 | sed 's/^/f/' | xargs touch")
    cluster.wait_job(job)
    names = [entry["name"] for entry in cluster.client.json("files", "ls", job)]
    assert sorted(names) == names
    assert set(names) == {f"f{n}" for n in range(1, 2501)} | {"stdout", "stderr"}


def test_files_cat_keeps_every_byte(cluster):
    """A sparse file of some size: nothing is added, cut or decoded."""
    job = script(cluster, "truncate -s 3M big && echo end >>big")
    cluster.wait_job(job)
    assert cluster.client("files", "cat", job, "big") == "\0" * (3 << 20) + "end\n"


def test_usage_errors_of_files(cluster):
    for words in (["ls"], ["look", "1"], ["cat", "1"], ["ls", "x"]):
        with pytest.raises(Failed) as failed:
            cluster.client("files", *words)
        assert failed.value.status == 2


# ---- logs ----


def test_the_last_lines_of_a_log(cluster):
    job = script(cluster, "seq 1000; echo wrong >&2; exec sleep 1000")
    wait_until("it has written", lambda: "\n1000\n" in cluster.client("logs", job))
    assert cluster.client("logs", "--tail", 3, job) == "998\n999\n1000\n"
    assert cluster.client("logs", "-n", 0, job) == ""
    assert cluster.client("logs", "--tail", 9, "--stderr", job) == "wrong\n"
    assert cluster.client("logs", "--tail", 9999, job).count("\n") == 1000


def test_the_last_lines_of_a_large_log(cluster):
    """Nobody reads gigabytes to find the last million lines; it is said."""
    job = script(cluster, "yes 0123456789abcde | head -c 16m")
    cluster.wait_job(job)
    few = cluster.client.run("logs", "--tail", 10, job)
    assert few.stdout.count("\n") == 10 and few.stderr == ""
    many = cluster.client.run("logs", "--tail", 1 << 20, job)
    assert many.stdout.count("\n") in range(1 << 18, 1 << 20)
    assert "there is more: --tail looks for lines in the last 8 MiB" in many.stderr


def test_who_failed_at_once_has_logs(cluster):
    """What ends before it is told that it runs."""
    words = ["run", "--wait", "--mem", 16, "--", "sh", "-c", "echo wrong >&2; exit 3"]
    done = cluster.client.run(*words)
    task = f"{done.stdout.strip()}.0"
    assert f"`triarch logs --both {task}` shows what it wrote" in done.stderr


def test_logs_of_a_job_line_by_line(cluster):
    """Many write at the same time, in pieces of lines."""
    writer = """for i in $(seq 60); do printf %s "$TRIARCH_INSTANCE says "
        sleep 0.01; echo "line $i"; done"""
    job = script(cluster, writer, instances=4)
    lines = cluster.client("logs", "-f", job).splitlines()
    for instance in range(4):
        prefix = f"{job}.{instance} | "
        own = [line[len(prefix) :] for line in lines if line.startswith(prefix)]
        assert own == [f"{instance} says line {i + 1}" for i in range(60)]
    assert len(lines) == 240


def test_logs_since(cluster):
    """Times survive the agent; what was written before is not shown."""
    text = "echo early; {wait}; echo late; exec sleep 1000"
    gate = cluster.folder / "gate"
    waiting = f"until test -e {gate}; do sleep 0.05; done"
    job = script(cluster, text.format(wait=waiting))
    wait_until("it has begun", lambda: cluster.client("logs", job) == "early\n")
    times = cluster.agents[0].work / "times"
    wait_until(
        "its time is kept", lambda: any(f.stat().st_size for f in times.glob("*.stdout"))
    )
    cluster.agents[0].kill9()
    cluster.agents[0].start()
    cluster.wait_agents(1)
    after_early = datetime.now(timezone.utc)
    gate.touch()
    since = after_early.isoformat()
    wait_until(
        "it went on",
        lambda: "late" in cluster.client.run("logs", "--since", since, job).stdout,
    )
    assert cluster.client("logs", "--since", since, job) == "late\n"
    assert cluster.client("logs", "--since", "1h", job) == "early\nlate\n"
    assert cluster.client("logs", "--since", "1h", "--tail", 1, job) == "late\n"
    assert cluster.client("logs", "--since", "2100-01-01T00:00:00Z", job) == ""


def test_following_goes_on_elsewhere(start_cluster):
    """Through a restart of the agent, and to the successor on another one."""
    cluster = start_cluster(masters=1, agents=2)
    text = 'echo "attempt $TRIARCH_ATTEMPT"; exec sleep 1000'
    job = script(cluster, text)
    log = cluster.folder / "followed"
    with open(log, "w", encoding="utf-8") as out:
        words = [BUILD / "triarch", "--masters", cluster.client.addresses]
        words += ["logs", "-f", str(job)]
        follower = subprocess.Popen(words, stdout=out, stderr=out)
    wait_until("it is followed", lambda: "attempt 1\n" in log.read_text())
    first = cluster.agent_with(job)
    first.kill9()
    first.start()
    cluster.wait_agents(2)
    first.kill9_host()
    wait_until("it runs again", lambda: "attempt 2\n" in log.read_text(), 30)
    assert log.read_text().count("attempt 1\n") == 1
    assert f"attempt 2 of task {job}.0 runs on agent" in log.read_text()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10 * SLOW) == -signal.SIGINT


# ---- usage ----

SPIN = "while :; do :; done"


def top_task(cluster, job):
    """What `top` knows of the first task of a job, once it knows something."""
    tasks = {task["id"]: task for task in cluster.client.json("top")["tasks"]}
    task = tasks.get(f"{job}.0")
    return task if task is not None and task["cpu_seconds"] is not None else None


def test_top_shows_what_tasks_use(cluster):
    spins = script(cluster, SPIN)
    sleeps = script(cluster, "exec sleep 1000")
    wait_until(
        "one is seen to work", lambda: (top_task(cluster, spins) or {}).get("cpus")
    )
    idle = wait_until("the other is known", lambda: top_task(cluster, sleeps))
    busy = top_task(cluster, spins)
    assert idle["cpu_seconds"] < 1 < busy["cpus"] * 1000
    assert idle["pids"] == busy["pids"] == 1
    assert 0 < idle["memory_bytes"] <= idle["memory_peak_bytes"] < 100 << 20
    agent = cluster.client.json("top")["agents"][0]
    assert agent["tasks"] == 2
    assert agent["memory_bytes"] >= idle["memory_bytes"]
    lines = cluster.client("top").splitlines()
    assert lines[0].split()[:4] == ["AGENT", "HOSTNAME", "STATE", "TASKS"]
    assert [line.split()[1] for line in lines[4:]] == [f"{spins}.0", f"{sleeps}.0"]


def test_usage_is_told_to_a_new_leader(start_cluster):
    cluster = start_cluster(masters=3, agents=1)
    job = script(cluster, "exec sleep 1000")
    wait_until("it is known", lambda: top_task(cluster, job))
    cluster.wait_leader().kill9()
    wait_until("it is known again", lambda: top_task(cluster, job))


def test_usage_of_an_ended_task(cluster):
    """Also after the agent that saw it has gone."""
    job = script(cluster, SPIN)
    wait_until("it is known", lambda: top_task(cluster, job))
    cluster.client("kill", job)
    cluster.wait_job(job)
    agent = cluster.agents[0]
    before = cluster.client.json("agents")[0]["address"]
    agent.terminate()
    agent.start()

    def new_address():
        address = cluster.client.json("agents")[0]["address"]
        return address if address != before else None

    address = wait_until("the next agent is here", new_address)
    with urllib.request.urlopen(f"http://{address}/tasks/1/usage") as answer:
        usage = json.load(answer)
    assert usage["cpu_seconds"] > 0 and usage["ended"] is not None
    assert usage["pids"] == 0 and usage["memory_peak_bytes"] > 0
    assert not cluster.client.json("top")["tasks"]


def test_top_on_a_terminal(cluster):
    job = script(cluster, "exec sleep 1000")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        argv = ["triarch", "--masters", cluster.client.addresses, "top"]
        os.execv(BUILD / "triarch", argv)
    seen = b""
    for wanted, key in [(b"by cpu", b"m"), (b"by memory", b"q"), (b"\033[?1049l", b"")]:
        while wanted not in seen:
            seen += os.read(terminal, 4096)
        os.write(terminal, key)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert seen.startswith(b"\033[?1049h") and f"{job}.0".encode() in seen


def is_stopped(pid):
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0] == "T"


def test_stopped_top_gives_the_terminal_back(cluster):
    argv = [BUILD / "triarch", "--masters", cluster.client.addresses, "top"]
    with Terminal(argv, under_shell=True) as terminal:
        terminal.wait_shown("\033[?1049h")
        terminal.wait_shown("by cpu")
        terminal.type("\x1a")  # Ctrl-Z
        terminal.wait_shown("\033[?25h\033[?1049l")
        wait_until("it is stopped", lambda: is_stopped(terminal.job))
        assert not terminal.is_raw()
        os.kill(terminal.job, signal.SIGCONT)
        terminal.wait_shown("\033[?1049h")
        terminal.wait_shown("by cpu")
        terminal.wait_raw()
        terminal.type("q")
        assert terminal.wait_exit() == 0


def test_top_is_drawn_again_after_a_stop_that_it_did_not_see(cluster):
    argv = [BUILD / "triarch", "--masters", cluster.client.addresses, "top"]
    with Terminal(argv, under_shell=True) as terminal:
        terminal.wait_shown("by cpu")
        os.kill(terminal.job, signal.SIGSTOP)
        wait_until("it is stopped", lambda: is_stopped(terminal.job))
        termios.tcsetattr(terminal.side, termios.TCSANOW, terminal.modes)
        os.kill(terminal.job, signal.SIGCONT)
        terminal.wait_shown("\033[?1049h")
        terminal.wait_shown("by cpu")
        assert terminal.is_raw()
        terminal.type("q")
        assert terminal.wait_exit() == 0


def test_top_without_a_shell_is_not_stopped(cluster):
    """Nobody could go on with it."""
    argv = [BUILD / "triarch", "--masters", cluster.client.addresses, "top"]
    with Terminal(argv) as terminal:
        terminal.wait_shown("by cpu")
        terminal.type("\x1a")
        terminal.wait_shown("by cpu")
        terminal.type("q")
        assert terminal.wait_exit() == 0
