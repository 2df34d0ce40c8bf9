"""Tasks that do not want to end, or want more than they were given.

Each runs beside a good task, which must not notice, is ended by its limit or by `triarch kill`,
and leaves nothing: no group, and no process that carries its mark.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lib.cluster import Gate
from lib.waiting import wait_until

PIDS = 64
DISK = 20  # MiB
GOOD = "while :; do sleep 0.1; done"


@pytest.fixture
def agent_cluster(make_cluster):
    cluster = make_cluster(masters=1, agents=1)
    cluster.agents[0].argv += ["--task-pids", str(PIDS), "--default-disk", str(DISK)]
    return cluster.start()


def groups(agent):
    """Those of its tasks; none: this host, or this user, has no cgroups."""
    places = [place for _, place in agent.groups()]
    return {p for place in places for p in place.iterdir() if p.name.isdigit()}


def marked(agent):
    """Processes of tasks, by the environment that they were started with."""
    mark = f"TRIARCH_SANDBOX={agent.work}/runs/".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def submit(cluster, script, mem=32):
    return cluster.client.submit("sh", "-c", script, mem=mem)


def task(cluster, job):
    return cluster.client.job(job)["tasks"][0]


def wait_ended(cluster, job):
    wait_until(
        f"job {job} ends", lambda: cluster.client.job(job)["state"] not in LIVE, 60
    )
    return task(cluster, job)


LIVE = ("PENDING", "RUNNING")


def needs_controller(agent, mask, name):
    if not any(controllers & mask for controllers, _ in agent.groups()):
        pytest.skip(f"no cgroup limits {name} here for this user")


def check_contained(cluster, job, kill):
    """Ended, removed, and the good task runs on."""
    agent = cluster.agents[0]
    before = marked(agent)
    assert before
    if kill:
        cluster.client("kill", str(job))
    ended = wait_ended(cluster, job)
    attempts = {p.name for p in groups(agent)}
    assert len(attempts) <= 1, "only the good task has a group"
    wait_until("no process with a mark of the job", lambda: len(marked(agent)) <= 2)
    assert agent.is_running()
    return ended


KILLED = {
    "fork_bomb": "b() { b | b & }; touch ready; b; exec sleep 1000",
    "ignores_term": "trap '' TERM HUP INT; touch ready; while :; do sleep 0.05; done",
    "double_fork": "(setsid sh -c 'trap \"\" TERM; (sleep 1000 &); sleep 1000' &); "
    "touch ready; sleep 1000",
    "stops_itself": "touch ready; kill -STOP $$; sleep 1000",
    "zombie_maker": "sh -c 'for i in 1 2 3 4 5; do sh -c \"exit 1\" & done; "
    "exec sleep 1000' & touch ready; sleep 1000",
    "closes_everything": "exec 0<&- 1>&- 2>&-; touch ready; sleep 1000",
    "endless_line": "head -c 200m /dev/zero; touch ready; sleep 1000",
    "clears_its_environment": "touch ready; setsid env -i sleep 1000 & "
    "exec env -i sleep 1000",
    "replaces_its_files": "ln -sf /etc/passwd stdout; rm stderr; mkfifo stderr; "
    "touch ready; sleep 1000",
}


@pytest.mark.parametrize("name", KILLED)
def test_killed(agent_cluster, name):
    cluster, agent = agent_cluster, agent_cluster.agents[0]
    if name in ("fork_bomb", "clears_its_environment"):
        needs_controller(agent, 8, "processes")
    passwd = Path("/etc/passwd").read_bytes()
    good = submit(cluster, GOOD)
    cluster.wait_states(good, "TASK_RUNNING")
    job = submit(cluster, KILLED[name], mem=512)  # where /tmp is memory, so is its log
    wait_until("it is at work", lambda: any(agent.work.glob("runs/*/ready")))
    ended = check_contained(cluster, job, kill=True)
    assert ended["state"] == "TASK_KILLED"
    assert task(cluster, good)["state"] == "TASK_RUNNING"
    assert Path("/etc/passwd").read_bytes() == passwd


REPLACED = {
    "link": "ln -sf {secret} stdout",
    "link_inside": "ln -s {secret} out; ln -sf out stdout",
    "fifo": "rm stdout; mkfifo stdout",
    "fifo_with_a_writer": "rm stdout; mkfifo stdout; (echo {word} >stdout) &",
    "directory": "rm stdout; mkdir stdout",
    "zero": "ln -sf /dev/zero stdout",
}


@pytest.mark.parametrize("name", REPLACED)
def test_logs_that_it_replaced(agent_cluster, name):
    """Nothing of others is shown, nobody waits, and the agent does not notice."""
    cluster, agent = agent_cluster, agent_cluster.agents[0]
    secret = cluster.folder / "secret"
    secret.write_text("a secret\n")
    secret.chmod(0o600)
    script = REPLACED[name].format(secret=secret, word="a secret")
    job = submit(cluster, f"{script}\ntouch ready; exec sleep 1000")
    wait_until("it is at work", lambda: any(agent.work.glob("runs/*/ready")))
    for again in ("while it runs", "when it has ended"):
        done = cluster.client.run("logs", f"{job}.0", timeout=20)
        print(again, done.stderr)
        assert done.returncode == 1 and done.stdout == ""
        assert "stdout of attempt id 1 is not a file of it any more" in done.stderr
        assert cluster.client.run("logs", f"{job}.0", "--stderr").stdout == ""
        cluster.client("kill", job)
        assert wait_ended(cluster, job)["state"] == "TASK_KILLED"
    assert cluster.wait_job(submit(cluster, "true"))["state"] == "COMPLETE"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tasks as somebody else")
def test_a_file_of_another_in_the_place_of_a_log(make_cluster):
    """A user may move what it may not read: it is not shown, and the next start does not give
    it away."""
    cluster = make_cluster(masters=1, agents=1)
    cluster.agents[0].argv += ["--default-user", "nobody"]
    cluster.folder.chmod(0o755)
    cluster.start()
    theirs = cluster.folder / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    (theirs / "secret").write_text("a secret\n")
    (theirs / "secret").chmod(0o600)
    gate = Gate(cluster.folder / "gate")
    move = f"mv -f {theirs}/secret stdout; touch moved; flock -s {gate.path} true; exit 1"
    job = cluster.client.submit_spec(
        name="moves",
        argv=["sh", "-c", f'[ "$TRIARCH_RESTART" = 0 ] && {{ {move}; }}; cat stdout >copy'],
        resources={"cpus": 0.1, "mem": 32},
        restart={"attempts": 1, "delay": "10ms"},
    )
    wait_until("it moved", lambda: any(cluster.agents[0].work.glob("runs/*/moved")))
    for words in (["logs", f"{job}.0"], ["files", "cat", f"{job}.0", "stdout"]):
        done = cluster.client.run(*words)
        assert done.returncode == 1 and "secret" not in done.stdout + done.stderr
    gate.open()
    assert wait_ended(cluster, job)["state"] == "TASK_FINISHED"
    (copy,) = cluster.agents[0].work.glob("runs/*/copy")
    assert copy.read_text() == ""


RACER = """
import ctypes, os
os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
renameat2, exchange, here = ctypes.CDLL(None).renameat2, 2, -100
pairs = [(b"d%d" % i, b"l%d" % i) for i in range(20)]
print("at work", flush=True)
while True:
    for a, b in pairs:
        renameat2(here, a, here, b, exchange)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tasks as somebody else")
def test_removing_what_its_user_changes(make_cluster):
    """Old sandboxes go, with paths too long to name them, and nothing of others with them."""
    cluster = make_cluster(masters=1, agents=1)
    agent = cluster.agents[0]
    agent.argv += ["--default-user", "nobody", "--sandbox-keep-for", "1s"]
    cluster.folder.chmod(0o755)
    cluster.start()
    victim = cluster.folder / "victim"
    victim.mkdir()
    for i in range(200):
        (victim / str(i)).touch()
    gate = Gate(cluster.folder / "gate")
    deep = "n=$(printf 'n%.0s' $(seq 250)); for i in $(seq 20); do mkdir $n; cd -P ./$n; done"
    pairs = f"for i in $(seq 0 19); do mkdir d$i; ln -s {victim} l$i; done"
    job = submit(cluster, f"{pairs}; ({deep}); touch ready; flock -s {gate.path} true")
    wait_until("it is at work", lambda: any(agent.work.glob("runs/*/ready")))
    (sandbox,) = agent.work.glob("runs/*")
    racer = subprocess.Popen(
        [sys.executable, "-c", RACER], cwd=sandbox, stdout=subprocess.PIPE
    )
    try:
        assert racer.stdout.readline() == b"at work\n"
        gate.open()
        assert wait_ended(cluster, job)["state"] == "TASK_FINISHED"
        wait_until("some of it is removed", lambda: not (sandbox / "ready").exists(), 60)
    finally:
        racer.kill()
        racer.wait()
    wait_until("all of it is removed", lambda: not sandbox.exists(), 120)
    assert len(list(victim.iterdir())) == 200


# Its first thread ends, so that /proc shows no group, files or maps of the process.
NO_FIRST_THREAD = """
import ctypes, os, pathlib, threading, time

def rest():
    while " Z " not in pathlib.Path(f"/proc/{os.getpid()}/stat").read_text():
        time.sleep(0.01)
    pathlib.Path("gone").touch()
    time.sleep(1000)

threading.Thread(target=rest).start()
ctypes.CDLL(None).pthread_exit(None)
"""

# Its file has no name, and no descriptor either.
MAPPED = f"""
import mmap, os, time
f = open("f", "w+b")
os.posix_fallocate(f.fileno(), 0, {2 * DISK} << 20)
held = mmap.mmap(f.fileno(), {2 * DISK} << 20)
os.remove("f")
os.closerange(3, 100)
time.sleep(1000)
"""

ENDED = {
    "memory_hog": ("exec tail /dev/zero", "REASON_MEMORY_LIMIT", 4),
    "hog_in_the_background": (
        "tail /dev/zero & sleep 1000",
        "REASON_MEMORY_LIMIT",
        4,
    ),
    "disk_hog": (
        "while :; do head -c 1m /dev/zero >>f; sleep 0.01; done",
        "REASON_DISK_LIMIT",
        0,
    ),
    "hog_without_a_name": (
        "exec 3>f; rm f; (while :; do head -c 1m /dev/zero >&3; sleep 0.01; done) & wait",
        "REASON_DISK_LIMIT",
        0,
    ),
    "hog_that_is_mapped": (
        f"exec {sys.executable} -c '{MAPPED}'",
        "REASON_DISK_LIMIT",
        0,
    ),
    "kills_its_shim": (
        "sleep 1000 & setsid sleep 1000 & kill -9 $PPID; sleep 1000",
        None,
        0,
    ),
    "has_no_first_thread": (
        f"{sys.executable} -c '{NO_FIRST_THREAD}' & "
        "while ! test -e gone; do sleep 0.01; done; kill -9 $PPID; sleep 1000",
        None,
        0,
    ),
}


@pytest.mark.parametrize("name", ENDED)
def test_ends(agent_cluster, name):
    cluster, agent = agent_cluster, agent_cluster.agents[0]
    script, reason, mask = ENDED[name]
    if name == "hog_that_is_mapped" and os.geteuid() != 0:
        pytest.skip("the kernel shows to root alone what is only mapped")
    if mask:
        needs_controller(agent, mask, "memory")
    good = submit(cluster, GOOD)
    cluster.wait_states(good, "TASK_RUNNING")
    job = submit(cluster, script if reason else once(cluster, script))
    ended = check_contained(cluster, job, kill=False)
    assert task(cluster, good)["state"] == "TASK_RUNNING"
    if reason:
        assert (ended["state"], ended["reason"]) == ("TASK_FAILED", reason)
        limit = 32 if reason == "REASON_MEMORY_LIMIT" else DISK
        assert ended["message"].startswith("killed: it")
        assert ended["message"].endswith(f" of {limit} MiB")
    else:
        assert ended["state"] == "TASK_FINISHED" and ended["attempt"] == 2


def once(cluster, script):
    """Hostile at the first attempt; LOST is repeated elsewhere, here on the same agent."""
    seen = cluster.folder / "seen"
    return f"test -e {seen} && exit 0; touch {seen}; {script}"


def test_descriptors_and_identity(agent_cluster):
    """A task finds nothing of the agent: no descriptors, no names in its environment."""
    cluster, agent = agent_cluster, agent_cluster.agents[0]
    job = submit(cluster, "ls /proc/self/fd; ulimit -c; umask; grep NoNew /proc/self/status")
    ended = wait_ended(cluster, job)
    assert ended["state"] == "TASK_FINISHED"
    text = next(agent.work.glob("runs/*/stdout")).read_text().split()
    assert text == ["0", "1", "2", "3", "0", "0022", "NoNewPrivs:", "1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tasks as somebody else")
def test_user_cannot_touch_what_is_the_agents(make_cluster):
    cluster = make_cluster(masters=1, agents=1)
    agent = cluster.agents[0]
    agent.argv += ["--default-user", "nobody"]
    cluster.folder.chmod(0o755)
    cluster.start()
    script = (
        f"id -u; kill -0 {agent.pid} || echo no-signal; kill -9 $PPID || echo no-kill; "
        f"cat /proc/{agent.pid}/environ >/dev/null || echo no-trace; "
        f"cat {agent.work}/checkpoint/data.mdb >/dev/null || echo no-key; "
        "for g in $(find /sys/fs/cgroup -path '*triarch*' -name cgroup.procs); do "
        "echo $$ >$g && echo moved; done; echo done"
    )
    job = submit(cluster, f"exec 2>/dev/null; {script}")
    assert wait_ended(cluster, job)["state"] == "TASK_FINISHED"
    (sandbox,) = agent.work.glob("runs/*")
    assert sandbox.stat().st_mode & 0o777 == 0o700, "of no other user"
    text = (sandbox / "stdout").read_text().split()
    assert text == ["65534", "no-signal", "no-kill", "no-trace", "no-key", "done"]
