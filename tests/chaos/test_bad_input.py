"""Input that is wrong: each gets a clear error, and nothing is lost."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from lib import rpc
from lib.cluster import BUILD, Client, Failed
from lib.processes import Process, clean_environment, now
from lib.waiting import wait_until


def run_program(name, *words):
    """A program that is to end by itself at once."""
    return subprocess.run(
        [BUILD / name, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        env=clean_environment(),
        check=False,
    )


def refused(done, status, *parts):
    """One line on stderr that says all of this, and nothing on stdout."""
    assert done.returncode == status, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.fixture
def one(start_cluster):
    """One master, for errors that need no more."""
    return start_cluster(masters=1)


# ---- the wrong cluster, the wrong directory ----


def test_wrong_cluster_id(one):
    with rpc.Connection(one.masters[0].port) as connection:
        connection.send(rpc.hello(role=rpc.HELLO_AGENT, cluster=os.urandom(16), ident=1))
        words = connection.last_words()
        assert words.code == rpc.WRONG_CLUSTER and "cluster" in words.text


def test_crowd_of_another_cluster(one):
    """Each is told why; the log tells of some, and counts the others."""
    crowd = 100
    for _ in range(crowd):
        with rpc.Connection(one.masters[0].port) as connection:
            connection.send(
                rpc.hello(role=rpc.HELLO_AGENT, cluster=os.urandom(16), ident=1)
            )
            assert connection.last_words().code == rpc.WRONG_CLUSTER

    def told():
        text = one.masters[0].log_text()
        lines = len(re.findall(r": (refused 127|session of 127).*another cluster", text))
        more = re.findall(r"(\d+) more sessions were closed or refused", text)
        return lines, sum(map(int, more))

    # Once as it is refused, once as it closes.
    wait_until("all are told of", lambda: sum(told()) == 2 * crowd)
    assert told()[0] < crowd


def test_agent_of_another_cluster(make_cluster):
    """Its directory says where it belongs; its tasks are not touched."""
    first, second = make_cluster(masters=1, agents=1), make_cluster(masters=1, agents=1)
    first.start()
    second.masters[0].start()
    second.wait_leader()
    agent = first.agents[0]
    assert agent.terminate() == 0
    agent.start(second.agent_argv(agent.work, "cpus:8;mem:4096"))
    assert agent.wait_exit() != 0
    assert "the masters belong to another cluster" in agent.log_text()
    assert second.client.json("agents") == []
    agent.start()
    first.wait_agents(1)


def test_mistyped_cluster_at_founding(make_cluster):
    """Nobody founds until all were given the same list."""
    cluster = make_cluster()
    wrong = cluster.masters[2]
    right = wrong.argv
    mistyped = cluster.list.replace(
        cluster.masters[0].address, f"127.0.0.1:{cluster.free_ports(1)[0]}"
    )
    for master in cluster.masters[:2]:
        master.start()
    wrong.start(wrong_argv(cluster, wrong, mistyped))
    wait_until(
        "somebody says why",
        lambda: any("--cluster" in m.log_text() for m in cluster.masters),
    )
    with pytest.raises(Failed) as failed:
        cluster.client.submit("true", timeout="1s")
    assert failed.value.status == 1
    wrong.kill9()
    wrong.start(right)
    cluster.wait_leader()
    cluster.client.submit("true")


def wrong_argv(cluster, master, mistyped):
    return cluster.master_argv(master.ident, master.data, mistyped)


def test_mistyped_cluster_later(start_cluster):
    cluster = start_cluster()
    master = cluster.random.choice(cluster.masters)
    assert master.terminate() == 0
    mistyped = cluster.list.replace("127.0.0.1", "localhost")
    master.start(wrong_argv(cluster, master, mistyped))
    assert master.wait_exit() == 1
    assert "--cluster" in master.tail(1)
    cluster.client.submit("true")


def test_two_masters_with_one_id(start_cluster):
    """The second one is refused, wherever it listens; the first goes on undisturbed."""
    cluster = start_cluster()
    original = cluster.masters[1]
    other_port = cluster.free_ports(1)[0]
    argv = cluster.master_argv(original.ident, cluster.folder / "second")
    second = Process("second", argv, cluster.folder / "second.log").start()
    assert second.wait_exit() == 1
    assert original.address in second.tail(1)
    second.start(argv + ["--listen", f"127.0.0.1:{other_port}"])
    second.wait_log(f"another process runs as master {original.ident}")
    job = cluster.client.submit("true")
    for master in cluster.masters:
        wait_until("every master has the job", lambda m=master: job in m.jobs())
    begin = now()
    wait_until("it has tried for some time", lambda: now() - begin > 4)
    assert "lost master" not in "".join(master.log_text() for master in cluster.masters)
    second.kill9()


def test_one_data_directory_twice(start_cluster):
    cluster = start_cluster(masters=1)
    master = cluster.masters[0]
    twice = Process("twice", master.argv, cluster.folder / "twice.log").start()
    assert twice.wait_exit() == 1
    assert str(master.data) in twice.tail(1)
    cluster.client.submit("true")


def test_emptied_directory_of_known_master(start_cluster):
    """It neither founds nor votes: its word for what was acknowledged is worth nothing."""
    cluster = start_cluster()
    job = cluster.client.submit("true")
    emptied, other = cluster.random.sample(cluster.followers(), 2)
    emptied.kill9()
    saved = cluster.folder / "saved"
    emptied.data.rename(saved)
    emptied.start()
    emptied.wait_log("empty")
    cluster.client.submit("true")
    cluster.wait_leader(among=[m for m in cluster.masters if m is not emptied]).kill9()
    with pytest.raises(Failed):
        cluster.client.submit("true", timeout="2s")
    assert emptied.info()["role"] != "leader" and other.info()["role"] != "leader"
    emptied.kill9()
    shutil.rmtree(emptied.data)
    saved.rename(emptied.data)
    for master in cluster.masters:
        if not master.is_running():
            master.start()
    assert cluster.client.job(job)["id"] == job


def test_directory_of_another_node(start_cluster):
    cluster = start_cluster()
    first, second = cluster.random.sample(cluster.masters, 2)
    for master in (first, second):
        assert master.terminate() == 0
    first.start(cluster.master_argv(first.ident, second.data))
    assert first.wait_exit() == 1
    assert f"master {second.ident}" in first.tail(
        1
    ) or f"node {second.ident}" in first.tail(1)


def test_directory_that_is_none(make_cluster):
    cluster = make_cluster(masters=1)
    master = cluster.masters[0]
    master.data.write_text("not a directory", encoding="ascii")
    master.start()
    assert master.wait_exit() == 1
    assert str(master.data) in master.tail(1)


# ---- command lines ----


@pytest.mark.parametrize(
    "words",
    [
        ("triarch-master", "--no-such-flag"),
        ("triarch-master",),
        (
            "triarch-master",
            "--id",
            "0",
            "--data-dir",
            "x",
            "--cluster",
            "1=127.0.0.1:1",
        ),
        (
            "triarch-master",
            "--id",
            "2",
            "--data-dir",
            "x",
            "--cluster",
            "1=127.0.0.1:1",
        ),
        ("triarch-master", "--id", "1", "--data-dir", "x", "--cluster", "1=127.0.0.1"),
        (
            "triarch-master",
            "--id",
            "1",
            "--data-dir",
            "x",
            "--cluster",
            "1=127.0.0.1:1,2=127.0.0.1:2",
        ),
        (
            "triarch-master",
            "--id",
            "1",
            "--data-dir",
            "x",
            "--cluster",
            "1=127.0.0.1:1,1=127.0.0.1:2,3=127.0.0.1:3",
        ),
        ("triarch-agent", "--no-such-flag"),
        ("triarch-agent",),
        ("triarch",),
        ("triarch", "no-such-command"),
        ("triarch", "run"),
        ("triarch", "run", "--no-such-flag", "--", "true"),
        ("triarch", "run", "--instances", "0", "--", "true"),
        ("triarch", "run", "--instances", "1000001", "--", "true"),
        ("triarch", "run", "--cpus", "-1", "--", "true"),
        ("triarch", "run", "--cpus", "0.0001", "--", "true"),
        ("triarch", "run", "--mem", "lots", "--", "true"),
        ("triarch", "run", "--key", "", "--", "true"),
        ("triarch", "run", "--key", "k" * 129, "--", "true"),
        ("triarch", "--masters", "nonsense", "status"),
        ("triarch", "status", "one"),
        ("triarch", "status", "-1"),
        ("triarch", "wait"),
        ("triarch", "kill", "1", "two"),
        ("triarch", "purge"),
        ("triarch", "logs", "one"),
    ],
    ids=" ".join,
)
def test_wrong_usage(words):
    refused(run_program(*words), 2, words[0])


@pytest.mark.parametrize(
    "resources",
    [
        "cpus:-4",
        "cpus:0",
        "cpus:1e99",
        "cpus:99999999",
        "mem:-1",
        "mem:99999999999999999999",
        "cpus",
        "go/ld:3",
        "cpus:1;cpus:2",
        "ports:[5-1]",
    ],
)
def test_agent_with_absurd_resources(tmp_path, resources):
    done = run_program(
        "triarch-agent",
        "--masters",
        "127.0.0.1:1",
        "--work-dir",
        tmp_path / "work",
        "--resources",
        resources,
    )
    refused(done, 2, "--resources")
    assert not (tmp_path / "work").exists()


# ---- bytes on the RPC port ----


def test_agent_that_lies(one):
    """A program that is not ours claims what no machine has."""
    claims = [
        [0, 1 << 30, 0, 0],
        [1 << 53, 1 << 30, 0, 0],
        [1000, 1 << 60, 0, 0],
        [-1000, 1 << 30, 0, 0],
        [1000, 1 << 30, 0, 1 << 40],
    ]
    for claim in claims:
        with one.masters[0].connect(role=rpc.HELLO_AGENT) as connection:
            with pytest.raises(rpc.RpcError) as error:
                connection.request(
                    "register", 0, rpc.agent_spec(os.urandom(16), claim), 0, 0, 0
                )
            assert error.value.code in (rpc.INVALID, rpc.TOO_LARGE)
    assert one.client.json("agents") == []


FRAMES = {
    "no bytes": b"",
    "half a size": b"\x10\x00",
    "size of nothing": struct.pack("<I", 0),
    "size of 4 GiB": struct.pack("<I", 0xFFFFFFFF),
    "one byte too large": struct.pack("<I", rpc.FRAME_BYTES_MAX + 1),
    "not MessagePack": struct.pack("<I", 4) + b"\xc1\xc1\xc1\xc1",
    "array of 4 billion": struct.pack("<I", 5) + b"\xdd\xff\xff\xff\xff",
    "text of 4 GiB": struct.pack("<I", 5) + b"\xdb\xff\xff\xff\xff",
    "deep": struct.pack("<I", 1000) + b"\x91" * 999 + b"\x00",
    "a number": rpc.frame(7),
    "empty array": rpc.frame([]),
    "unknown type": rpc.frame([9, 1, "jobs", []]),
    "bytes behind the value": struct.pack("<I", 2) + b"\x90\x90",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
}


@pytest.mark.parametrize("greeted", [False, True], ids=["before hello", "after hello"])
def test_malformed_frames(one, greeted):
    """The connection ends, with the reason where there was a frame; everybody else goes on."""
    master = one.masters[0]
    pid = master.pid
    for name, data in FRAMES.items():
        with rpc.Connection(master.port) as connection:
            if greeted:
                connection.greet()
            connection.send(data)
            connection.socket.shutdown(socket.SHUT_WR)
            words = connection.last_words()
            if len(data) >= 4:
                assert words is not None and words.text, name
    assert one.client.submit("true") > 0
    assert master.pid == pid and master.is_running()


def test_malformed_params(one):
    """A request that cannot be read is answered; the connection goes on."""
    with one.masters[0].connect() as connection:
        for method, params in [
            ("submit", []),
            ("submit", ["key"]),
            ("submit", [b"", b"spec"]),
            ("submit", [b"key", b"not a job"]),
            ("submit", [b"k" * 129, rpc.job_spec("x", ["true"])]),
            ("submit", [b"key", rpc.job_spec("", ["true"])]),
            ("submit", [b"key", rpc.job_spec("x", [])]),
            ("submit", [b"key", rpc.job_spec("x", ["true"], 0)]),
            ("submit", [b"key", rpc.job_spec("x", ["true"], 1000001)]),
            ("submit", [b"key", rpc.job_spec("x", ["a" * 70000])]),
            ("submit", [b"key", bytes(200000)]),
            ("kill", ["one"]),
            ("jobs", [-1, 0, 1, False]),
            ("no such method", []),
            ("register", [0, b"", 0, 0, 0]),
            ("runs", [1, 5, 1, []]),
        ]:
            with pytest.raises(rpc.RpcError) as error:
                connection.request(method, *params)
            assert error.value.code in (rpc.INVALID, rpc.TOO_LARGE), (method, params)
        assert connection.request("jobs", 0, 0, 10, False)[2] == []


def test_random_bytes(one):
    """Valid requests with some bytes changed, and what is no request at all."""
    master, dice = one.masters[0], one.random
    valid = [
        rpc.hello(),
        rpc.frame([0, 1, "submit", [b"key", rpc.job_spec("x", ["true"])]]),
        rpc.frame([0, 2, "jobs", [0, 0, 10, False]]),
        rpc.frame([2, "heartbeat", [1, 1]]),
        rpc.frame([2, "raft", [b"\x01" * 40]]),
        rpc.frame(
            [
                0,
                3,
                "register",
                [0, rpc.agent_spec(b"k" * 16, [1000, 1 << 30, 0, 0]), 0, 0, 0],
            ]
        ),
    ]
    for _ in range(300):
        with rpc.Connection(master.port) as connection:
            data = bytearray(b"".join(dice.choices(valid, k=dice.randrange(1, 5))))
            for _ in range(dice.randrange(1, 6)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            if dice.random() < 0.8:
                connection.send(rpc.hello(role=dice.randrange(1, 4)))
            try:
                connection.send(bytes(data))
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert master.is_running(), master.tail()
    job = one.client.submit("true", key="after")
    assert one.client.job(job)["id"] == job


def test_silent_connections(one):
    """Who connects and says nothing is let go."""
    connections = [rpc.Connection(one.masters[0].port, timeout=15) for _ in range(50)]
    for connection in connections:
        connection.last_words()
        connection.socket.close()
    one.client.submit("true")


def count_frames(connection, count):
    """Read so many frames; fewer if the other side closes."""
    found, data, begin = 0, b"", 0
    while found < count and (more := connection.socket.recv(1 << 20)):
        data, begin = data[begin:] + more, 0
        while len(data) - begin >= 4:
            size = 4 + struct.unpack_from("<I", data, begin)[0]
            if len(data) - begin < size:
                break
            begin += size
            found += 1
    return found


def test_flood(one):
    """Clients that ask faster than one can answer get their answers, and others are heard."""
    count = 400000
    asked = rpc.frame([0, 1, "masters", [0, 0, 1, True]]) * count
    counted = []

    def flood():
        with rpc.Connection(one.masters[0].port, timeout=60) as connection:
            connection.greet()
            sender = threading.Thread(target=connection.send, args=(asked,), daemon=True)
            sender.start()
            counted.append(count_frames(connection, count))

    floods = [threading.Thread(target=flood) for _ in range(2)]
    for thread in floods:
        thread.start()
    one.client.submit("true")
    for thread in floods:
        thread.join()
    assert counted == [count, count], one.masters[0].tail()


# ---- jobs ----

JOB_FILES = {
    "empty.yaml": "",
    "text.yaml": "just a text",
    "broken.yaml": "name: [unclosed",
    "tab.yaml": "name: x\n\tcommand: true\n",
    "broken.json": '{"name": "x", "command": "true"',
    "twice.json": '{"name": "x", "name": "y", "command": "true"}',
    "unknown.yaml": "name: x\ncommand: 'true'\ncpu: 1\n",
    "no-command.yaml": "name: x\n",
    "both.yaml": "name: x\ncommand: 'true'\nargv: ['true']\n",
    "negative.yaml": "name: x\ncommand: 'true'\nresources: {cpus: -1}\n",
    "none.yaml": "name: x\ncommand: 'true'\ninstances: 0\n",
    "many.yaml": "name: x\ncommand: 'true'\ninstances: 1000001\n",
    "type.yaml": "name: x\ncommand: 7\n",
    "grace.yaml": "name: x\ncommand: 'true'\nkill_grace: soon\n",
    "control.yaml": 'name: "x\\e[31m"\ncommand: "true"\n',
    "deep.json": '{"env": ' + "[" * 100 + "]" * 100 + "}",
    "zero.yaml": b"name: x\0y\ncommand: 'true'\n",
    "latin.yaml": b"name: caf\xe9\ncommand: 'true'\n",
    "large.yaml": "name: x\ncommand: '" + "a" * (2 << 20) + "'\n",
    "long.yaml": "name: x\ncommand: '" + "a" * 70000 + "'\n",
}


def test_crowd(make_cluster):
    """Clients take every descriptor that one master may have: it says so to the next one, and
    the other masters find room."""
    cluster = make_cluster()
    for master in cluster.masters:
        master.argv = ["prlimit", "--nofile=256:256", *master.argv]
    cluster.start()
    first, second = cluster.masters[:2]
    crowd = []

    def fill():
        """Connect until the master says no; the code with which it does."""
        while True:
            connection = rpc.Connection(first.port)
            connection.send(rpc.hello())
            crowd.append(connection)
            assert len(crowd) < 300
            answer = connection.receive()
            if answer[0] == 1:
                assert answer[1] == 0
                return answer[2][0]

    assert fill() == rpc.BUSY
    second.kill9()
    assert fill() == rpc.BUSY  # what it left is taken
    found = "connected to master 1"
    before = second.log_text().count(found)
    second.start()
    wait_until(
        "the masters find each other",
        lambda: second.log_text().count(found) > before,
    )
    for connection in crowd:
        connection.socket.close()
    assert cluster.client.json("status") == []


def test_malformed_job_files(one, tmp_path):
    for name, content in JOB_FILES.items():
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        refused(one.client.run("submit", path), 1, str(path))
    refused(
        one.client.run("submit", tmp_path / "missing"), 1, str(tmp_path / "missing")
    )
    refused(one.client.run("submit", tmp_path), 1, str(tmp_path))
    assert one.client.json("status") == []


def test_job_that_fits_nowhere(start_cluster):
    cluster = start_cluster(masters=1, agents=2, resources="cpus:2;mem:1024")
    large = cluster.client.submit("true", cpus=3)
    small = cluster.client.submit("true")
    assert cluster.wait_job(small)["state"] == "COMPLETE"
    job = cluster.client.job(large)
    assert job["state"] == "PENDING"
    assert [task["state"] for task in job["tasks"]] == ["TASK_PENDING"]
    assert "cpus" in job["why"]
    assert job["why"] in cluster.client("status", large)
    cluster.client("kill", large)
    assert cluster.wait_job(large)["state"] == "KILLED"


def test_job_without_agents(one):
    job = one.client.job(one.client.submit("true"))
    assert job["state"] == "PENDING" and "agent" in job["why"]


@pytest.mark.parametrize(
    "command, part",
    [
        ("no-such-command", "no-such-command"),
        ("/etc/passwd", "/etc/passwd"),
        ("/tmp", "/tmp"),
    ],
)
def test_command_that_cannot_be_started(start_cluster, command, part):
    cluster = start_cluster(masters=1, agents=1)
    job = cluster.client.submit(command)
    ended = cluster.wait_job(job)
    task = ended["tasks"][0]
    assert (ended["state"], task["state"], task["exit_code"]) == (
        "FAILED",
        "TASK_ERROR",
        None,
    )
    assert task["reason"] == "REASON_COMMAND_NOT_STARTED"
    assert part in task["message"]
    done = cluster.client.run("wait", job)
    assert done.returncode == 1 and part in done.stdout + done.stderr


def test_ten_thousand_tasks(start_cluster):
    cluster = start_cluster(agents=2, resources="cpus:64;mem:65536")
    job = cluster.client.submit("true", instances=10000)
    begin = now()
    ended = cluster.wait_job(job, 100)
    print(f"10,000 tasks in {now() - begin:.1f} s")
    assert ended["state"] == "COMPLETE"
    tasks = ended["tasks"]
    assert [task["instance"] for task in tasks] == list(range(10000))
    assert {(task["state"], task["attempt"], task["exit_code"]) for task in tasks} == {
        ("TASK_FINISHED", 1, 0)
    }


def test_one_key_with_two_jobs(one):
    first = one.client.submit("true", key="key")
    with pytest.raises(Failed) as failed:
        one.client.submit("false", key="key")
    assert failed.value.status == 1 and "key" in failed.value.stderr
    with one.masters[0].connect() as connection:
        with pytest.raises(rpc.RpcError) as error:
            connection.request("submit", b"key", rpc.job_spec("other", ["true"]))
        assert error.value.code == rpc.CONFLICT
    assert one.client.submit("true", key="key") == first
    assert [job["id"] for job in one.client.json("status")] == [first]


def test_job_that_does_not_exist(one):
    for words in (
        ("status", 77),
        ("status", 77, "--json"),
        ("kill", 77),
        ("wait", 77),
        ("logs", "77.0"),
    ):
        refused(one.client.run(*words), 1, "77")


def test_no_master_answers():
    client = Client(["127.0.0.1:1", "127.0.0.1:2"])
    for words in (["status"], ["run", "--", "true"]):
        refused(
            client.run("--timeout", "500ms", *words), 1, "127.0.0.1:1", "127.0.0.1:2"
        )
    done = client.run("masters", "--json")
    assert done.returncode == 1
    assert [master["role"] for master in json.loads(done.stdout)] == ["unreachable"] * 2
