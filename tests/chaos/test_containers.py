"""Tasks with an image: containers of crun, one overlay for each, on images that are shared."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from lib.oci import busybox_layer, layer
from lib.waiting import wait_until

def test_what_it_sees(containers):
    script = "pwd; id -u; echo $A $TRIARCH_SANDBOX $TRIARCH_INSTANCE; echo $$; ls /; cat /proc/1/comm"
    said = containers.check(script, env={"A": "b c"}).splitlines()
    assert said[:4] == ["/sandbox", "0", "b c /sandbox 0", "1"]
    wanted = {"bin", "dev", "etc", "proc", "sandbox", "sys", "tmp"}
    assert wanted <= set(said[4:-1]) and "home" not in said
    assert "HOME=/home" not in containers.check("env")


def test_exit_codes_and_logs(containers):
    job = containers.submit("echo out; echo err >&2; exit 7")
    task = containers.ended(job)
    assert (task["state"], task["exit_code"]) == ("TASK_FAILED", 7)
    assert containers.out(job) == "out\n"
    assert containers.out(job, "--stderr") == "err\n"


def test_image_and_layers(containers):
    top = layer(**{"etc/.wh.passwd": b"", "etc/new": b"new\n"})
    containers.layout.add(
        busybox_layer(),
        top,
        tag="two",
        config={"Env": ["FROM=image", "A=image", 5], "WorkingDir": "/etc", "Cmd": 3},
    )
    said = containers.check("ls; cat new; echo $FROM $A; pwd", tag="two", env={"A": "job"})
    assert "new\nimage job\n/etc\n" in said and "passwd" not in said


def test_sandbox_and_layer(containers):
    """Files in /sandbox stay; all others are the container's own and go with it."""
    containers.check("echo kept >/sandbox/file; echo gone >/etc/file; touch /etc/passwd")
    assert (containers.sandboxes()[0] / "file").read_text() == "kept\n"
    assert "file" not in containers.check("ls /etc")
    keys = {p.name for p in (containers.agent.work / "images").iterdir()}
    key = next(name for name in keys if len(name) == 64)
    assert keys == {key, f"{key}.lock"}, "one image for all"
    assert not (containers.agent.work / "images" / key / "rootfs/etc/file").exists()


def test_many_at_once(containers):
    job = containers.submit("cat /etc/passwd >here; sleep 0.1", instances=8)
    assert {t["state"] for t in containers.cluster.wait_job(job)["tasks"]} == {
        "TASK_FINISHED"
    }
    assert len(list((containers.agent.work / "images").iterdir())) == 2


def test_long_ones_at_once(containers):
    """Of one image: the second is not to wait for the end of the first."""
    for _ in range(2):
        containers.submit("touch ready; exec sleep 1000", kill_grace="100ms")
    wait_until(
        "both are at work",
        lambda: len(list(containers.agent.work.glob("runs/*/ready"))) == 2,
    )


def images(containers):
    folder = containers.agent.work / "images"
    return [path for path in folder.glob("*") if len(path.name) == 64]


def cpu_limit(agent):
    """The hard limit of the only task, as its group has it."""
    for _, place in agent.groups():
        for file in place.glob("[0-9]*/cpu.cfs_quota_us"):
            return int(file.read_text())
        for file in place.glob("[0-9]*/cpu.max"):
            return int(file.read_text().split()[0])
    return pytest.skip("no cgroup limits cpus here")


def test_image_is_not_made_at_the_pace_of_its_task(root):
    """Others wait for it, too: a task with a hundredth of a cpu must not hold them up."""
    root.layout.add(busybox_layer(), layer(big=os.urandom(128 << 20)), tag="big")
    root.submit(
        "touch ready; exec sleep 1000",
        tag="big",
        resources={"cpus": 0.01, "mem": 512, "cpu_limit": "hard"},
        kill_grace="100ms",
    )
    wait_until("its image is made", lambda: images(root), 12)
    wait_until("it runs", lambda: list(root.agent.work.glob("runs/*/ready")), 60)
    assert cpu_limit(root.agent) == 1000


def test_kill(containers):
    job = containers.submit(
        "trap 'echo told; exit 5' TERM; touch ready; while :; do sleep 0.05; done"
    )
    stubborn = containers.submit("touch ready; sleep 1000", kill_grace="100ms")
    wait_until(
        "both are at work",
        lambda: len(list(containers.agent.work.glob("runs/*/ready"))) == 2,
    )
    assert containers.killed(job).startswith("exited with status 5")
    assert containers.out(job) == "told\n"
    assert "137" in containers.killed(stubborn) or "signal 9" in containers.killed(stubborn)


def test_agent_is_killed(containers):
    job = containers.submit("touch ready; while [ ! -e go ]; do sleep 0.05; done; exit 3")
    wait_until("it is at work", lambda: any(containers.agent.work.glob("runs/*/ready")))
    containers.agent.kill9()
    containers.agent.start()
    containers.cluster.wait_states(job, "TASK_RUNNING")
    (containers.sandboxes()[0] / "go").touch()
    assert containers.ended(job)["exit_code"] == 3


def process_1(containers):
    """Of the only container that is at work."""
    (path,) = containers.agent.work.glob("bundles/*/pid")
    return int(path.read_text())


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def at_work(containers, count=1):
    wait_until(
        "it is at work",
        lambda: len(list(containers.agent.work.glob("runs/*/ready"))) == count,
    )


def test_nothing_of_crun_stays(containers):
    """The shim is the parent of process 1, and all else that there is of it."""
    job = containers.submit("touch ready; exec sleep 1000", kill_grace="100ms")
    at_work(containers)
    first = process_1(containers)
    assert Path(f"/proc/{parent(first)}/comm").read_text() == "triarch-shim\n"
    mine = [p for p in Path("/proc").iterdir() if p.name.isdigit() and parent_is(p, first)]
    assert mine == [], "it has no children"
    held = Path(f"/proc/{first}/fd")
    assert sorted(p.name for p in held.iterdir()) == ["0", "1", "2"]
    state = dict(line.split(":\t") for line in Path(f"/proc/{first}/status").read_text().splitlines() if ":\t" in line)
    assert (state["SigBlk"], int(state["SigIgn"], 16) & 0x7FFFFFFF) == ("0" * 16, 0)
    assert containers.killed(job).startswith("ended by signal 9")


def state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


def parent_is(path, pid):
    try:
        return parent(path.name) == pid
    except OSError:
        return False


def test_shim_is_killed(containers):
    job = containers.submit("touch ready; sleep 1000")
    at_work(containers)
    os.kill(parent(process_1(containers)), 9)
    at_work(containers, 2)
    containers.killed(job)


def test_they_die_with_their_shims(containers):
    """Also while there is no agent that would end them; the next one removes their bundles."""
    containers.submit("touch ready; sleep 1000", kill_grace="100ms", instances=3)
    at_work(containers, 3)
    pids = [int(p.read_text()) for p in containers.agent.work.glob("bundles/*/pid")]
    shims = [parent(pid) for pid in pids]
    containers.agent.kill9()
    for shim in shims:
        os.kill(shim, 9)
    wait_until("they are gone", lambda: {state_of(pid) for pid in pids} <= {"gone", "Z"})
    dead = [p.name for p in containers.agent.work.glob("bundles/*")]
    assert len(dead) == 3
    containers.agent.start()
    bundles = containers.agent.work / "bundles"
    wait_until(
        "their bundles are gone",
        lambda: not [p for p in bundles.iterdir() if p.name.split("-")[0] in dead],
    )


@pytest.mark.parametrize(
    "argv, reason",
    [
        (["no-such"], 'exec "no-such": No such file or directory (looked in PATH /usr'),
        (["/etc/passwd"], 'exec "/etc/passwd": Permission denied'),
    ],
)
def test_command_that_is_not_there(containers, argv, reason):
    job = containers.submit("", argv=argv, restart={"attempts": 3, "delay": "10ms"})
    task = containers.ended(job)
    assert (task["state"], task["reason"]) == ("TASK_ERROR", "REASON_COMMAND_NOT_STARTED")
    assert task["message"].startswith(reason)
    assert containers.out(job, "--stderr").startswith(reason)


def test_crun_fails(containers):
    """Its last line is the reason."""
    (containers.volumes / "file").write_text("")
    volume = {"source": str(containers.volumes / "file"), "target": "/proc/here"}
    task = containers.ended(containers.submit("true", volumes=[volume]))
    assert (task["state"], task["reason"]) == ("TASK_ERROR", "REASON_COMMAND_NOT_STARTED")
    assert "/proc/here" in task["message"] or "proc/here" in task["message"], task["message"]


def test_signal_that_ends_it(containers):
    job = containers.submit("touch ready; exec sleep 1000")
    at_work(containers)
    os.kill(process_1(containers), 9)  # from outside
    task = containers.ended(job)
    assert (task["state"], task["reason"]) == ("TASK_FAILED", "REASON_COMMAND_SIGNALED")
    assert task["exit_code"] == 128 + 9


def test_program_in_the_place_of_its_begin(containers):
    """What is mounted over /proc runs instead of ours: not for ever, beyond all its limits."""
    program = containers.volumes / "self/fd/3"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ntouch /sandbox/mine\nexec sleep 1000\n")
    program.chmod(0o755)
    volume = {"source": str(containers.volumes), "target": "/proc"}
    task = containers.ended(containers.submit("true", volumes=[volume]))
    assert (containers.sandboxes()[0] / "mine").exists()
    assert task["state"] == "TASK_ERROR"
    assert task["message"] == "its process 1 did not become the command for 30 s"


def test_volumes(containers):
    shared = containers.volumes / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "in").write_text("in\n")
    volume = {"source": str(shared), "target": "/data"}
    script = "cat /data/in; echo out >/data/out || echo refused"
    assert containers.check(script, volumes=[volume]) == "in\n"
    assert (shared / "out").read_text() == "out\n"
    said = containers.check(script, volumes=[{**volume, "read_only": True}])
    assert said == "in\nrefused\n"
    (containers.volumes / "link").symlink_to("/etc")
    Path(f"{containers.volumes}more").mkdir()
    for source in ("/etc", containers.volumes / "link", f"{containers.volumes}more"):
        job = containers.submit("true", volumes=[{**volume, "source": str(source)}])
        task = containers.ended(job)
        assert task["reason"] == "REASON_IMAGE_FAILED"
        assert "--volumes" in task["message"], task["message"]


def test_what_is_mounted_below_a_read_only_mount(containers):
    """Neither the host's cgroups below /sys, nor a file system in a read-only volume."""
    shared = containers.volumes / "shared"
    (shared / "below").mkdir(parents=True)
    script = """
    for p in $(cut -d' ' -f5 /proc/self/mountinfo | grep -e '^/sys' -e '^/data'); do
        [ -d $p ] || continue
        mkdir $p/triarch-probe && echo made $p/triarch-probe
        f=$p/cgroup.procs; [ ! -e $f ] || { echo 0 >$f && echo moved by $f; }
    done 2>/dev/null
    cut -d' ' -f5 /proc/self/mountinfo | grep -c -e '^/sys' -e '^/data'"""
    volume = {"source": str(shared), "target": "/data", "read_only": True}
    mounted = os.geteuid() == 0
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "none", shared / "below"], check=True)
    try:
        said = containers.check(script, volumes=[volume]).split("\n")
    finally:
        if mounted:
            subprocess.run(["umount", shared / "below"], check=True)
    assert said[1:] == [""], said
    assert int(said[0]) >= (3 if mounted else 2)


@pytest.mark.parametrize(
    "image, reason",
    [
        ("oci:/nowhere/at/all", "No such file"),
        ("oci:{layout}:other", "other"),
    ],
)
def test_bad_image(containers, image, reason):
    source = image.format(layout=containers.layout.folder)
    job = containers.submit("true")
    containers.ended(job)
    bad = json.loads((containers.cluster.folder / "job.json").read_text())
    bad["image"] = source
    path = containers.cluster.folder / "bad.json"
    path.write_text(json.dumps(bad))
    task = containers.ended(int(containers.cluster.client("submit", path)))
    assert (task["state"], task["reason"]) == ("TASK_FAILED", "REASON_IMAGE_FAILED")
    assert reason in task["message"], task["message"]


def test_memory(root):
    lines = (root.agent.work / "cgroups").read_text().splitlines()[1:]
    if not any(int(line.split(":")[1], 16) & 4 for line in lines):
        pytest.skip("no cgroup limits memory here")
    task = root.ended(root.submit("tail /dev/zero", mem=32))
    assert (task["state"], task["reason"]) == ("TASK_FAILED", "REASON_MEMORY_LIMIT")


GROW = "while :; do busybox head -c 1000000 /dev/zero"


@pytest.mark.parametrize(
    "hog",
    [
        f"{GROW} >>/etc/hog; done",
        f"exec 3>/etc/hog; rm /etc/hog; {GROW} >&3; done",
        f"cd /sandbox; exec 3>hog; rm hog; {GROW} >&3; done",
    ],
    ids=["beside its sandbox", "removed beside it", "removed in it"],
)
def test_disk(containers, hog):
    resources = {"cpus": 0.1, "disk": 20}
    task = containers.ended(containers.submit(f"touch ready; {hog}", resources=resources))
    assert (task["state"], task["reason"]) == ("TASK_FAILED", "REASON_DISK_LIMIT")


@pytest.mark.parametrize("target", ["/data", "/sandbox/data"])
def test_disk_of_a_volume(containers, target):
    """A log of another that was rotated, and is still read, is none of the reader's files."""
    log = containers.volumes / "log"
    log.write_bytes(bytes(60_000_000))
    containers.volumes.chmod(0o777)
    reader = f"exec 3<{target}/log; rm {target}/log; busybox sleep 12; echo here"
    job = containers.submit(  # for longer than two looks at what is open
        reader,
        volumes=[{"source": str(containers.volumes), "target": target}],
        resources={"cpus": 0.1, "disk": 20},
    )
    assert containers.ended(job)["state"] == "TASK_FINISHED"
    assert not log.exists()


def test_users(root):
    assert root.check("id -u; id -g; touch mine", user="user") == "1234\n1235\n"
    assert (root.sandboxes()[0] / "mine").stat().st_uid == 1234
    root.layout.add(busybox_layer(), tag="user", config={"User": "77:88"})
    assert root.check("id -u; id -g", tag="user") == "77\n88\n"
    task = root.ended(root.submit("true", user="stranger"))
    assert 'no user "stranger"' in task["message"]


def test_users_of_an_agent_that_restricts_them(restricted):
    """What its tasks may not be without an image they may not be with one."""
    assert restricted.check("id -u; id -g", user="65534:65534") == "65534\n65534\n"
    assert restricted.check("id -u; id -g", user="user") == "1234\n1235\n"
    restricted.layout.add(busybox_layer(), tag="system", config={"User": "77:88"})
    for more in ({}, {"user": "0"}, {"user": "1234:0"}, {"tag": "system"}):
        task = restricted.ended(restricted.submit("id -u", **more))
        assert task["reason"] == "REASON_IMAGE_FAILED"
        assert "--image-root" in task["message"], task["message"]
    restricted.agent.kill9()
    restricted.agent.argv += ["--image-root"]
    restricted.agent.start()
    assert restricted.check("id -u") == "0\n"


def test_restart(containers):
    """The sandbox stays, the layer is a new one."""
    script = "ls /etc/mark; touch /etc/mark; echo x >>count; [ $(cat count | busybox wc -l) = 2 ]"
    job = containers.submit(script, restart={"attempts": 3, "delay": "10ms"})
    assert containers.ended(job)["state"] == "TASK_FINISHED"
    assert containers.out(job) == ""
