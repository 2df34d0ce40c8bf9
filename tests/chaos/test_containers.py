"""Tasks with an image: containers of crun, one overlay for each, on images that are shared."""

import json
import os
import shutil
from pathlib import Path

import pytest
from lib.cluster import BUILD
from lib.oci import Layout, busybox_layer, layer
from lib.waiting import wait_until

NOBODY = 65534
PROGRAMS = ("triarch-agent", "triarch-shim", "triarch-fetch", "triarch-contain")

if shutil.which("crun") is None or not Path("/bin/busybox").exists():
    pytest.skip("needs crun and busybox-static", allow_module_level=True)


def become_ordinary(cluster):
    """The agent runs as nobody, with programs that nobody can reach."""
    if os.geteuid() != 0:
        return
    agent = cluster.agents[0]
    cluster.folder.chmod(0o755)
    programs = cluster.folder / "programs"
    programs.mkdir()
    for name in PROGRAMS:
        shutil.copy(BUILD / name, programs)
    agent.work.mkdir()
    os.chown(agent.work, NOBODY, NOBODY)
    agent.argv[0] = str(programs / "triarch-agent")
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    agent.argv = become + agent.argv


class Containers:
    def __init__(self, cluster):
        self.cluster = cluster
        self.agent = cluster.agents[0]
        self.layout = Layout(cluster.folder / "layout")
        self.layout.add(busybox_layer(), tag="plain")
        self.volumes = cluster.folder / "volumes"
        self.volumes.mkdir()
        self.volumes.chmod(0o777)
        self.agent.argv += ["--volumes", f"/nowhere,{self.volumes}"]
        cluster.folder.chmod(0o755)

    def submit(self, script, tag="plain", mem=64, **more):
        job = {
            "name": "test",
            "argv": ["sh", "-c", script],
            "image": f"oci:{self.layout.folder}:{tag}",
            "resources": {"cpus": 0.1, "mem": mem},
            **more,
        }
        path = self.cluster.folder / "job.json"
        path.write_text(json.dumps(job))
        return int(self.cluster.client("submit", path))

    def ended(self, job):
        return self.cluster.wait_job(job)["tasks"][0]

    def out(self, job, *options):
        return self.cluster.client("logs", f"{job}.0", *options)

    def check(self, script, **more):
        """Runs it, which must succeed; what it printed."""
        job = self.submit(script, **more)
        task = self.ended(job)
        said = self.out(job, "--stderr")
        assert task["state"] == "TASK_FINISHED", (task, said)
        return self.out(job)

    def sandboxes(self):
        found = (self.agent.work / "runs").iterdir()
        return sorted(found, key=lambda path: int(path.name))

    def killed(self, job):
        self.cluster.client("kill", job)

        def told():
            task = self.cluster.client.job(job)["tasks"][0]
            return task["message"] if task["ended"] else None

        return wait_until("the end is told", told)

    def check_nothing_left(self):
        bundles = self.agent.work / "bundles"
        wait_until("bundles are gone", lambda: not list(bundles.glob("*")))
        assert str(self.agent.work) not in Path("/proc/self/mounts").read_text()
        for line in (self.agent.work / "cgroups").read_text().splitlines()[1:]:
            place = Path(line.split(":", 2)[2])
            assert not [p for p in place.iterdir() if p.name.isdigit()]


def start(make_cluster, ordinary):
    cluster = make_cluster(masters=1, agents=1)
    if ordinary:
        become_ordinary(cluster)
    containers = Containers(cluster)
    cluster.start()
    log = containers.agent.log_text()
    if "no tasks with an image" in log:
        pytest.skip(log[log.index("no tasks with an image") :].splitlines()[0])
    return containers


@pytest.fixture(params=["root", "ordinary"])
def containers(request, make_cluster):
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("only root can start it as root")
    found = start(make_cluster, request.param == "ordinary")
    yield found
    found.check_nothing_left()


@pytest.fixture
def root(make_cluster):
    if os.geteuid() != 0:
        pytest.skip("only root's containers have other users than root")
    found = start(make_cluster, False)
    yield found
    found.check_nothing_left()


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


def shim_of(containers):
    """Of the only run."""
    for entry in Path("/proc").iterdir():
        try:
            if "crun" in (entry / "comm").read_text():
                if str(containers.agent.work) in (entry / "cmdline").read_text():
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                    return int(fields[1])
        except OSError:
            continue
    return None


def test_shim_is_killed(containers):
    job = containers.submit("touch ready; sleep 1000")
    wait_until("it is at work", lambda: any(containers.agent.work.glob("runs/*/ready")))
    os.kill(shim_of(containers), 9)
    wait_until(
        "another attempt",
        lambda: len(list(containers.agent.work.glob("runs/*/ready"))) == 2,
    )
    containers.killed(job)


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


def test_disk(containers):
    """Also what it writes beside its sandbox."""
    hog = "touch ready; while :; do busybox head -c 1000000 /dev/zero >>/etc/hog; done"
    task = containers.ended(containers.submit(hog, resources={"cpus": 0.1, "disk": 20}))
    assert (task["state"], task["reason"]) == ("TASK_FAILED", "REASON_DISK_LIMIT")


def test_users(root):
    assert root.check("id -u; id -g; touch mine", user="user") == "1234\n1235\n"
    assert (root.sandboxes()[0] / "mine").stat().st_uid == 1234
    root.layout.add(busybox_layer(), tag="user", config={"User": "77:88"})
    assert root.check("id -u; id -g", tag="user") == "77\n88\n"
    task = root.ended(root.submit("true", user="stranger"))
    assert 'no user "stranger"' in task["message"]


def test_restart(containers):
    """The sandbox stays, the layer is a new one."""
    script = "ls /etc/mark; touch /etc/mark; echo x >>count; [ $(cat count | busybox wc -l) = 2 ]"
    job = containers.submit(script, restart={"attempts": 3, "delay": "10ms"})
    assert containers.ended(job)["state"] == "TASK_FINISHED"
    assert containers.out(job) == ""
