"""Commands inside containers: `triarch exec`, and checks of tasks with an image."""

import os
import signal
import subprocess

import pytest
from lib.cluster import BUILD
from lib.oci import busybox_layer, layer
from lib.processes import clean_environment
from lib.terminal import Terminal
from lib.waiting import wait_until

QUICK = {"interval": "200ms", "timeout": "5s", "failures": 2}
MARK = "987643"
SOON = {"kill_grace": "100ms"}  # process 1 of a container does not heed TERM


class Inside:
    """Commands in a task with an image, which sleeps."""

    def __init__(self, containers, job=None, **more):
        self.containers = containers
        self.job = job or containers.submit("touch /made; exec sleep 1000", **SOON, **more)
        containers.cluster.wait_states(self.job, "TASK_RUNNING")

    def argv(self, *words, flags=()):
        masters = ["--masters", self.containers.cluster.client.addresses]
        found = [BUILD / "triarch", *masters, "exec", *flags, self.job, "--", *words]
        return [str(word) for word in found]

    def run(self, *words, flags=(), given=b""):
        return subprocess.run(
            self.argv(*words, flags=flags),
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
            env=clean_environment(),
        )

    def said(self, line):
        done = self.run("sh", "-c", line)
        assert (done.returncode, done.stderr) == (0, b""), done
        return done.stdout.decode()

    def terminal(self, *words, **size):
        return Terminal(self.argv(*words, flags=["-it"]), **size)

    def popen(self, *words):
        return subprocess.Popen(
            self.argv(*words), stdin=subprocess.PIPE, env=clean_environment()
        )


def with_mark():
    """Pids of processes of this host whose command line has it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if MARK.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            pass  # it ended meanwhile
    return found


def wait_nothing():
    wait_until("nothing of it is left", lambda: not with_mark())


@pytest.fixture
def inside(containers):
    return Inside(containers, env={"A": "of the job"})


# ---- exec ----


def test_it_is_in_the_container(inside):
    words = inside.said("pwd; ls -d /made; echo $A $TRIARCH_SANDBOX; cat /proc/1/cmdline")
    assert words.splitlines()[:3] == ["/sandbox", "/made", "of the job /sandbox"]
    assert "sleep\0001000" in words
    inside.said("echo new >/sandbox/file")
    assert (inside.containers.sandboxes()[0] / "file").read_text() == "new\n"


def test_streams_and_codes(inside):
    done = inside.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert inside.run("sh", "-c", "kill -KILL $$").returncode == 128 + 9
    done = inside.run("no-such-command", "-x")
    assert done.returncode == 127
    assert b'exec "no-such-command": No such file' in done.stderr
    assert inside.run("/").returncode == 126
    given = os.urandom(1_000_000)
    done = inside.run("cat", flags=["-i"], given=given)
    assert done.returncode == 0 and done.stdout == given


def test_it_has_what_the_task_has(containers):
    """User, rights, the filter of system calls, groups of the kernel."""
    ask = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status; cat /proc/self/cgroup"
    job = containers.submit(f"{ask}; touch ready; sleep 1000", **SOON)
    wait_until("it is at work", lambda: any(containers.agent.work.glob("runs/*/ready")))
    assert Inside(containers, job).said(ask) == containers.out(job)
    assert "Seccomp:\t2" in containers.out(job)


def test_users(root):
    group = layer(**{"etc/group": b"g:x:1235:\nmore:x:50:user,other\nless:x:51:other\n"})
    root.layout.add(busybox_layer(), group, tag="groups")
    ask = "id -u; id -g; id -G"
    assert root.check(ask, tag="groups", user="user") == "1234\n1235\n1235 50\n"
    task = Inside(root, tag="groups", user="user")
    assert task.said(ask) == "1234\n1235\n1235 50\n"
    with task.terminal("sh", "-c", "id -u; tty; echo end") as terminal:
        terminal.wait_shown("1234\r\n/dev/pts/0\r\nend")
        assert terminal.wait_exit() == 0


def test_filter_of_system_calls(containers):
    said = containers.check(
        "busybox unshare -U true || echo no users; busybox unshare -m true || echo no mounts;"
        "busybox mount -t tmpfs none /tmp || echo no mount; (true) && echo forks"
    )
    assert said.splitlines() == ["no users", "no mounts", "no mount", "forks"]


def test_shell_on_a_terminal(inside):
    with inside.terminal("sh", rows=33, columns=99) as terminal:
        terminal.check_shell("busybox ")
    with inside.terminal("sh", "-c", "echo up; exec sleep 1000") as terminal:
        terminal.wait_shown("up")
        terminal.type("\x03")
        assert terminal.wait_exit() == 128 + signal.SIGINT
    with inside.terminal("busybox", "tty") as terminal:
        terminal.wait_shown("/dev/pts/0")  # its own, which can be opened by its name
        assert terminal.wait_exit() == 0
    with inside.terminal("no-such-command") as terminal:
        terminal.wait_shown('exec "no-such-command"')
        assert terminal.wait_exit() == 127
    with inside.terminal("sh", "-c", "busybox seq 20000; echo all") as terminal:
        terminal.wait_shown("19999\r\n20000\r\nall", 60)
        assert terminal.wait_exit() == 0


DAEMON = f"(busybox setsid sleep {MARK} &); "


def test_nothing_outlives_a_command(inside):
    assert inside.run("sh", "-c", DAEMON + "exit 3").returncode == 3
    wait_nothing()


@pytest.mark.parametrize("line", ["", "trap '' HUP; "])
def test_client_goes_away(inside, line):
    client = inside.popen("sh", "-c", f"{DAEMON}{line}while :; do sleep {MARK}; done")
    wait_until("it runs", lambda: len(with_mark()) > 2)
    client.kill()
    client.wait()
    wait_nothing()
    with inside.terminal("sh", "-c", f"{DAEMON}{line}while :; do sleep {MARK}; done") as terminal:
        wait_until("it runs", lambda: len(with_mark()) > 2)
        terminal.signal(signal.SIGKILL)
        os.waitpid(terminal.pid, 0)
        terminal.status = -signal.SIGKILL
    wait_nothing()


def test_task_is_killed(inside):
    client = inside.popen("sh", "-c", f"{DAEMON}exec sleep {MARK}")
    wait_until("it runs", lambda: len(with_mark()) > 1)
    inside.containers.killed(inside.job)
    assert client.wait(20) in (255, 128 + signal.SIGKILL)
    wait_nothing()


def test_agent_is_killed(inside):
    inside.containers.agent.kill9()
    inside.containers.agent.start()
    inside.containers.cluster.wait_states(inside.job, "TASK_RUNNING")
    wait_until("commands work", lambda: inside.run("true").returncode == 0)


# ---- checks ----


def health(containers, job):
    return containers.cluster.client.job(job)["tasks"][0]["health"]


def test_command_checks_the_container(containers):
    job = containers.submit(
        "touch /alive; exec sleep 1000",
        env={"PLACE": "/alive"},
        health={"command": "ls $PLACE && pwd && [ $TRIARCH_INSTANCE = 0 ]", **QUICK},
        restart={"attempts": 1, "delay": "10ms"},
        **SOON,
    )
    wait_until("it passes", lambda: health(containers, job) == "passing")
    Inside(containers, job).run("busybox", "rm", "/alive")
    wait_until(
        "it was started again",
        lambda: containers.cluster.client.job(job)["tasks"][0]["restarts"] == 1,
    )
    wait_until("it passes", lambda: health(containers, job) == "passing")


def test_check_that_hangs_leaves_nothing(containers):
    hang = {"command": f"{DAEMON}exec sleep {MARK}", "interval": "200ms", "timeout": "1s"}
    job = containers.submit("exec sleep 1000", health={**hang, "failures": 2}, **SOON)
    task = containers.ended(job)
    assert task["reason"] == "REASON_HEALTH_CHECK"
    assert "timed out" in task["message"]
    wait_nothing()


def test_port_of_a_user_that_the_host_does_not_know(root):
    """Only the image has the user; a port is asked all the same."""
    (port,) = root.cluster.free_ports(1)
    job = root.submit(
        f"while :; do busybox nc -l -p {port} -e true; done",
        user="user",
        readiness={"tcp": True, "port": port, **QUICK},
        **SOON,
    )
    wait_until("it is ready", lambda: health(root, job) == "passing")
