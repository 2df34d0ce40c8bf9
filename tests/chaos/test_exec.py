"""`triarch exec`: commands in running tasks, with terminals and without."""

import os
import shutil
import signal
import subprocess
import threading

import pytest

from lib import rpc
from lib.cluster import BUILD
from lib.processes import clean_environment, kill
from lib.terminal import Terminal
from lib.waiting import SLOW, wait_until

OURS = 255
TERMINAL, INPUT = 1, 2
SESSIONS, TASK_SESSIONS = 100, 32
NOBODY = 65534


class Task:
    """A task that sleeps, in a cluster, and commands in it."""

    def __init__(self, cluster, instances=1):
        self.cluster = cluster
        line = "cat /proc/self/cgroup >groups; exec sleep 1000"
        self.job = cluster.client.submit(
            "sh", "-c", line, instances=instances, mem=256
        )
        cluster.wait_states(self.job, "TASK_RUNNING")

    def argv(self, *words, flags=()):
        masters = ["--masters", self.cluster.client.addresses]
        return [BUILD / "triarch", *masters, "exec", *flags, self.job, "--", *words]

    def popen(self, *words, flags=(), **options):
        argv = [str(word) for word in self.argv(*words, flags=flags)]
        return subprocess.Popen(argv, env=clean_environment(), **options)

    def run(self, *words, flags=(), given=b"", **options):
        """The finished client, with the bytes of both streams."""
        argv = [str(word) for word in self.argv(*words, flags=flags)]
        return subprocess.run(
            argv,
            input=given,
            capture_output=True,
            timeout=60 * SLOW,
            check=False,
            env=clean_environment(),
            **options,
        )

    def terminal(self, *words, **size):
        return Terminal(self.argv(*words, flags=["-it"]), **size)

    def sandbox(self, instance=0):
        return self.cluster.agents[0].work / "runs" / str(self.attempt(instance))

    def attempt(self, instance=0):
        leader = self.cluster.wait_leader()
        with leader.connect() as connection:
            page = connection.request("tasks", self.job, instance, 1, False)
            return page[2][0][2]

    def wait_pid(self):
        """The number that a command wrote into `pid` in the sandbox."""
        path = self.sandbox() / "pid"
        wait_until("the command tells its pid", lambda: path.exists() and path.read_text())
        return int(path.read_text())


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_gone(pid, timeout=20):
    wait_until(f"command {pid} is gone", lambda: is_gone(pid), timeout)


@pytest.fixture
def task(start_cluster):
    return Task(start_cluster(masters=1, agents=1))


# ---- pipes ----


def test_streams_codes_and_place(task):
    done = task.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert task.run("sh", "-c", "kill -KILL $$").returncode == 128 + 9
    done = task.run("no-such-command", "-x")
    assert done.returncode == 127
    assert b'exec "no-such-command": No such file' in done.stderr
    assert task.run("/").returncode == 126
    done = task.run("sh", "-c", "pwd; echo $TRIARCH_TASK_ID; cat; tty")
    words = [str(task.sandbox()), f"{task.job}.0", "not a tty"]
    assert done.stdout.decode().splitlines() == words


def test_runs_in_the_groups_of_the_task(task):
    path = task.sandbox() / "groups"
    wait_until("the task has told its groups", lambda: path.exists() and path.read_bytes())
    assert task.run("cat", "/proc/self/cgroup").stdout == path.read_bytes()


def test_input_comes_back(task):
    """10 MB through `cat`: from a pipe, and from a file, which cannot be waited for."""
    given = os.urandom(10_000_000)
    done = task.run("cat", flags=["-i"], given=given)
    assert done.returncode == 0 and done.stdout == given
    path = task.cluster.folder / "given"
    path.write_bytes(given)
    with open(path, "rb") as file:
        client = task.popen("cat", flags=["-i"], stdin=file, stdout=subprocess.PIPE)
        assert client.communicate(timeout=60 * SLOW)[0] == given


def test_reader_that_went_away(task):
    """As `triarch exec ... | head`: the client ends by SIGPIPE, and the command too."""
    client = task.popen("sh", "-c", "echo $$ >pid; exec yes", stdout=subprocess.PIPE)
    assert client.stdout.readline() == b"y\n"
    client.stdout.close()
    assert client.wait(20) == -signal.SIGPIPE
    wait_gone(task.wait_pid())


def written(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as io:
        return int(io.readline().split()[1]) + int(io.readline().split()[1])


def test_slow_reader_stops_the_command(task):
    client = task.popen("sh", "-c", "echo $$ >pid; exec yes", stdout=subprocess.PIPE)
    pid = task.wait_pid()
    seen = []

    def stands_still():
        seen.append(written(pid))
        return len(seen) > 50 and seen[-1] == seen[-50] > 0

    wait_until("the command waits", stands_still, 30)
    assert seen[-1] < 1 << 20, "pipes and windows hold less"
    assert len(client.stdout.read(2 << 20)) == 2 << 20
    wait_until("the command goes on", lambda: written(pid) > 2 << 20)
    client.kill()
    client.wait()
    client.stdout.close()
    wait_gone(pid)


def test_slow_command_stops_the_writer(task):
    client = task.popen("sleep", "1000", flags=["-i"], stdin=subprocess.PIPE)
    taken = []

    def write():
        try:
            while True:
                taken.append(client.stdin.write(b"x" * 65536))
                client.stdin.flush()
        except OSError:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    seen = []

    def stands_still():
        seen.append(len(taken))
        return len(seen) > 50 and seen[-1] == seen[-50] > 0

    wait_until("the client takes no more", stands_still, 30)
    assert sum(taken) < 1 << 20, "pipes and windows hold less"
    client.kill()
    client.wait()
    writer.join(20)


# ---- terminals ----


def test_shell_on_a_terminal(task):
    with task.terminal("sh", rows=33, columns=99) as terminal:
        terminal.check_shell()


def test_keys_of_a_command(task):
    with task.terminal("sleep", "1000") as terminal:
        terminal.wait_raw()
        terminal.type("\x03")
        assert terminal.wait_exit() == 128 + signal.SIGINT
    with task.terminal("cat") as terminal:
        terminal.wait_raw()
        terminal.type("some words\n")
        terminal.wait_shown("some words\r\nsome words\r\n")
        terminal.type("\x04")
        assert terminal.wait_exit() == 0


def test_much_output_on_a_terminal(task):
    with task.terminal("sh", "-c", "seq 200000; echo all") as terminal:
        terminal.wait_shown("199999\r\n200000\r\nall", 60)
        assert terminal.wait_exit() == 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]
)
def test_killed_client_restores_the_terminal(task, number):
    with task.terminal("sh", "-c", "echo $$ >pid; exec sleep 1000") as terminal:
        pid = task.wait_pid()
        terminal.wait_raw()
        terminal.signal(number)
        assert terminal.wait_exit() == -number
    wait_gone(pid)


def test_stopped_client_gives_the_terminal_back(task):
    with task.terminal("cat") as terminal:
        terminal.wait_raw()
        terminal.signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(terminal.pid, os.WUNTRACED)[1])
        assert not terminal.is_raw()
        terminal.signal(signal.SIGCONT)
        terminal.wait_raw()
        terminal.type("back\n\x04")
        terminal.wait_shown("back\r\nback")
        assert terminal.wait_exit() == 0


def test_terminal_without_input(task):
    argv = task.argv("sh", "-c", "tty; cat; echo end", flags=["-t"])
    with Terminal(argv) as terminal:
        terminal.wait_shown("/dev/pts/")
        terminal.wait_shown("end")
        assert terminal.wait_exit() == 0


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_standard_files(task, closed):
    words = " ".join(map(str, task.argv("sh", "-c", "'cat; exit 3'", flags=["-i"])))
    done = subprocess.run(
        ["sh", "-c", f"{words} {closed}>&-"],
        stdin=subprocess.DEVNULL,
        timeout=60 * SLOW,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 3


def test_command_that_cannot_start_on_a_terminal(task):
    with task.terminal("no-such-command") as terminal:
        terminal.wait_shown('exec "no-such-command"')
        assert terminal.wait_exit() == 127


# ---- ends ----


@pytest.mark.parametrize("flags", [[], ["-i"]])
def test_client_killed(task, flags):
    line = "trap '' HUP; echo $$ >pid; while :; do sleep 1000; done"
    client = task.popen("sh", "-c", line, flags=flags, stdin=subprocess.PIPE)
    pid = task.wait_pid()
    client.kill()
    client.wait()
    wait_gone(pid)
    client.stdin.close()


def test_task_killed(task):
    with task.terminal("sh", "-c", "echo $$ >pid; exec sleep 1000") as terminal:
        pid = task.wait_pid()
        terminal.wait_raw()
        task.cluster.client("kill", task.job)
        status = terminal.wait_exit()
    assert status in (OURS, 128 + signal.SIGKILL)
    wait_gone(pid)
    task.cluster.wait_states(task.job, "TASK_KILLED")
    done = task.run("true")
    assert done.returncode == OURS and b"has ended (TASK_KILLED)" in done.stderr


def test_agent_killed(task):
    agent = task.cluster.agents[0]
    with task.terminal("sh", "-c", "echo $$ >pid; exec sleep 1000") as terminal:
        pid = task.wait_pid()
        terminal.wait_raw()
        agent.kill9()
        terminal.wait_shown(f"the connection to agent {agent.ident} ended")
        assert terminal.wait_exit() == OURS
    wait_gone(pid)
    agent.start()
    wait_until(
        "the adopted task runs commands",
        lambda: task.run("echo", "again").stdout == b"again\n",
    )


def test_agent_frozen(task):
    """Its kernel answers for it; the client is free all the same, and so is its terminal."""
    agent = task.cluster.agents[0]
    with task.terminal("sh", "-c", "read x; echo heard $x; exec sleep 1000") as terminal:
        terminal.wait_raw()
        terminal.type("it\r")
        terminal.wait_shown("heard it")
        agent.stop()
        try:
            terminal.wait_shown("has been silent for 15s", timeout=40)
            assert terminal.wait_exit() == OURS
        finally:
            agent.go_on()


def test_masters_come_and_go(start_cluster):
    cluster = start_cluster(masters=3, agents=1)
    task = Task(cluster)
    with task.terminal("cat") as terminal:
        terminal.wait_raw()
        for _ in range(2):
            leader = cluster.wait_leader()
            leader.kill9()
            terminal.type("still here\n")
            terminal.wait_shown("still here\r\nstill here")
            leader.start()
            cluster.wait_leader()
        terminal.type("\x04")
        assert terminal.wait_exit() == 0


# ---- what is refused ----


def test_wrong_tasks(task):
    client = task.cluster.client
    for words, status, why in [
        (["99", "--", "true"], OURS, "there is no job 99"),
        ([f"{task.job}.5", "--", "true"], OURS, f"there is no task {task.job}.5"),
        (["x", "--", "true"], 2, "is not a task"),
        ([str(task.job)], 2, "exec needs TASK"),
        ([str(task.job), "--"], 2, "give a command"),
        (["-t", str(task.job), "--", "true"], 2, "-t needs a terminal"),
    ]:
        done = client.run("exec", *words)
        assert (done.returncode, why in done.stderr) == (status, True), done.stderr
    waiting = client.submit("true", cpus=64)
    done = client.run("exec", waiting, "--", "true")
    assert done.returncode == OURS and "does not run yet" in done.stderr


class Agent(rpc.Connection):
    """The RPC port of an agent, by hand."""

    def __init__(self, task):
        address = task.cluster.client.json("agents")[0]["rpc_address"]
        super().__init__(int(address.rpartition(":")[2]))

    def exec(self, attempt, *argv, flags=0, rows=0, columns=0):
        self.greet()
        return self.ask("exec", attempt, [*argv], flags, rows, columns, [])


def refused(connection):
    with pytest.raises(rpc.RpcError) as caught:
        connection.answer(1)
    return caught.value


def test_limits_of_sessions(start_cluster):
    task = Task(start_cluster(masters=1, agents=1), instances=4)
    attempts = [task.attempt(n) for n in range(4)]
    sessions = []
    try:
        for count in range(SESSIONS):
            sessions.append(Agent(task))
            sessions[-1].exec(attempts[count // TASK_SESSIONS], "sleep", "1000")
            assert sessions[-1].answer(1) == []
            if count == TASK_SESSIONS - 1:
                with Agent(task) as more:
                    more.exec(attempts[0], "true")
                    error = refused(more)
                    assert error.code == rpc.BUSY and "in this task" in error.text
        done = task.run("true")
        assert done.returncode == OURS
        assert b"this agent runs 100 commands" in done.stderr
        sessions.pop(0).socket.close()
        wait_until("a place is free", lambda: task.run("true").returncode == 0)
    finally:
        for session in sessions:
            session.socket.close()


def test_rules_of_the_protocol(task):
    attempt = task.attempt()
    with Agent(task) as agent:
        agent.send(rpc.hello(role=rpc.HELLO_MASTER))
        assert agent.last_words().code == rpc.INVALID
    with Agent(task) as agent:
        agent.send(rpc.hello(cluster=b"x" * 16))
        assert agent.last_words().code == rpc.WRONG_CLUSTER
    with Agent(task) as agent:
        agent.greet()
        agent.ask("jobs", 0, 0, 1, True)
        assert agent.last_words().code == rpc.INVALID
    with Agent(task) as agent:
        agent.exec(attempt + 1000, "true")
        assert refused(agent).code == rpc.NOT_FOUND
    with Agent(task) as agent:
        agent.exec(attempt)
        assert agent.last_words().code == rpc.INVALID


@pytest.mark.parametrize(
    "frames",
    [
        [[2, "exec_data", [1, b"x"]]],
        [[2, "exec_data", [0, b"x" * (16 * 1024 + 1)]]],
        [[2, "exec_data", [0, b"x" * 16 * 1024]]] * 16,
        [[2, "exec_credit", [1 << 20]]],
        [[2, "exec_resize", [1 << 20, 1]]],
        [[0, 2, "exec", [1, ["true"], 0, 0, 0, []]]],
    ],
)
def test_rules_of_a_session(task, frames):
    """Who breaks one is told so, and its command ends."""
    with Agent(task) as agent:
        agent.exec(task.attempt(), "sh", "-c", "echo $$ >pid; exec sleep 1000", flags=INPUT)
        assert agent.answer(1) == []
        pid = task.wait_pid()
        for frame in frames:
            agent.send(rpc.frame(frame))
        assert agent.last_words().code == rpc.INVALID
    wait_gone(pid)
    assert task.run("true").returncode == 0


def test_agent_without_a_port(make_cluster):
    cluster = make_cluster(masters=1, agents=1)
    cluster.agents[0].argv += ["--rpc", "none"]
    task = Task(cluster.start())
    done = task.run("true")
    assert done.returncode == OURS and b"start it with --rpc" in done.stderr


# ---- an ordinary user ----


@pytest.mark.skipif(os.geteuid() != 0, reason="the others run as an ordinary user then")
def test_agent_of_an_ordinary_user(make_cluster):
    cluster = make_cluster(masters=1, agents=1)
    agent = cluster.agents[0]
    cluster.folder.chmod(0o755)
    programs = cluster.folder / "programs"
    programs.mkdir()
    for name in ("triarch-agent", "triarch-shim", "triarch-fetch", "triarch-contain"):
        shutil.copy(BUILD / name, programs)
    agent.work.mkdir()
    os.chown(agent.work, NOBODY, NOBODY)
    agent.argv[0] = str(programs / "triarch-agent")
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    agent.argv = become + agent.argv
    task = Task(cluster.start())
    done = task.run("id", "-u")
    assert done.stdout == f"{NOBODY}\n".encode()
    with task.terminal("sh", "-c", "echo $$ >pid; echo >$(tty) on it; cat") as terminal:
        pid = task.wait_pid()
        terminal.wait_shown("on it")
        kill(terminal.pid)
        wait_gone(pid)
