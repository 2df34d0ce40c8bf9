"""What people see of tasks: their files, their logs, what they use."""

import pytest

from lib.cluster import Failed
from lib.waiting import wait_until


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(masters=1, agents=1)


def script(cluster, text, instances=1):
    """A job of tasks that run a shell script, all of which have started."""
    job = cluster.client.submit("sh", "-c", text, instances=instances)
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
    assert names == ["a b/", "fifo", "inside", "outside", "stderr", "stdout"]
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
