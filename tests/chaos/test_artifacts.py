"""Artifacts of tasks: fetched before the command starts, by the task's user, within its limits."""

import hashlib
import json
import os
import pwd
import re
import threading

import pytest
from lib.cluster import closed_to_others
from lib.waiting import wait_until
from lib.web import web  # noqa: F401
from test_fetch import tar_of


@pytest.fixture
def cluster(make_cluster):
    return make_cluster(masters=1, agents=1).start()


def artifact(source, data, **more):
    return {"source": source, "sha256": hashlib.sha256(data).hexdigest(), **more}


def submit(cluster, script, artifacts, mem=64, **more):
    job = {
        "name": "test",
        "argv": ["sh", "-c", script],
        "resources": {"cpus": 0.1, "mem": mem},
        "artifacts": artifacts,
        **more,
    }
    path = cluster.folder / "job.json"
    path.write_text(json.dumps(job))
    return int(cluster.client("submit", path))


def ended(cluster, job):
    return cluster.wait_job(job)["tasks"][0]


def logs(cluster, job, *options):
    return cluster.client("logs", f"{job}.0", *options)


def sandboxes(cluster):
    return list((cluster.agents[0].work / "runs").iterdir())


def test_fetched(cluster, web):
    tool = b"#!/bin/sh\necho tool $1\n"
    local = cluster.folder / "local"
    local.write_bytes(b"words\n")
    archive = tar_of(("deep/data", b"unpacked\n"))
    web.files["/tool"], web.files["/a.tar"] = tool, archive
    job = submit(
        cluster,
        "./bin/tool 1; cat local out/deep/data",
        [
            artifact(web.url + "/tool", tool, path="bin/tool", executable=True),
            artifact(f"file://{local}", b"words\n"),
            artifact(web.url + "/a.tar", archive, path="out", unpack=True),
        ],
    )
    assert ended(cluster, job)["state"] == "TASK_FINISHED"
    assert logs(cluster, job) == "tool 1\nwords\nunpacked\n"


@pytest.mark.parametrize(
    "answer, size, reason",
    [
        (b"other", 1, "sha256"),
        (bytes(3 << 20), 1, "max_size"),
        (None, 1, "404"),
    ],
    ids=["sum", "size", "absent"],
)
def test_not_as_it_should_be(cluster, web, answer, size, reason):
    if answer is not None:
        web.files["/x"] = answer
    asked = artifact(web.url + "/x", b"data", max_size=size)
    job = submit(cluster, "touch ran", [asked], restart={"attempts": 5})
    task = ended(cluster, job)
    assert (task["state"], task["reason"]) == ("TASK_FAILED", "REASON_FETCH_FAILED")
    assert "artifact x" in task["message"] and reason in task["message"], task["message"]
    assert task["message"] in logs(cluster, job, "--stderr")
    assert not (sandboxes(cluster)[0] / "ran").exists()
    assert len(web.gets) == 1, "what cannot be fetched is not started again"


def test_killed_while_it_is_fetched(cluster, web):
    """At once, although the server never answers and the grace is long."""
    asked, over = threading.Event(), threading.Event()

    def never(handler):
        asked.set()
        over.wait(60)

    web.files["/x"] = never
    try:
        job = submit(
            cluster, "touch ran", [artifact(web.url + "/x", b"data")], kill_grace="1h"
        )
        wait_until("it is asked for", asked.is_set)
        cluster.wait_states(job, "TASK_STARTING")
        shown = cluster.client("status", job)
        assert re.search(r"fetching artifact x; placed \S+ ago", shown)
        cluster.client("kill", job)
        assert ended(cluster, job)["state"] == "TASK_KILLED"
        assert not over.is_set()
    finally:
        over.set()
    assert not (sandboxes(cluster)[0] / "ran").exists()
    places = (cluster.agents[0].work / "cgroups").read_text().splitlines()[1:]
    for place in places:
        assert not [n for n in os.listdir(place.split(":", 2)[2]) if n.isdigit()]


def test_what_is_fetched_counts_as_disk(cluster, web):
    """It is ended for the first artifact while the second one is still on its way."""
    over = threading.Event()
    large = bytes(8 << 20)
    web.files["/large"] = large
    web.files["/slow"] = lambda handler: over.wait(60)
    try:
        job = submit(
            cluster,
            "touch ran",
            [artifact(web.url + "/large", large), artifact(web.url + "/slow", b"data")],
            resources={"cpus": 0.1, "mem": 64, "disk": 4},
        )
        task = ended(cluster, job)
        assert not over.is_set()
    finally:
        over.set()
    assert (task["state"], task["reason"]) == ("TASK_FAILED", "REASON_DISK_LIMIT")
    assert not (sandboxes(cluster)[0] / "ran").exists()


def test_agent_restarts_while_it_is_fetched(cluster, web):
    asked, over = threading.Event(), threading.Event()

    def late(handler):
        asked.set()
        over.wait(60)
        handler.send_response(200)
        handler.send_header("Content-Length", "4")
        handler.end_headers()
        handler.wfile.write(b"data")

    web.files["/x"] = late
    try:
        job = submit(cluster, "cat x", [artifact(web.url + "/x", b"data")])
        wait_until("it is asked for", asked.is_set)
        cluster.agents[0].kill9()
        cluster.agents[0].start()
        cluster.wait_states(job, "TASK_RUNNING")
    finally:
        over.set()
    assert ended(cluster, job)["state"] == "TASK_FINISHED"
    assert logs(cluster, job) == "data"


def test_as_another_user(cluster, web):
    if os.geteuid() != 0:
        pytest.skip("only root can start tasks as others")
    if closed_to_others():
        pytest.skip(closed_to_others())
    web.files["/x"] = b"data"
    secret = cluster.folder / "secret"
    secret.write_bytes(b"data")
    secret.chmod(0o600)
    cluster.folder.chmod(0o755)
    agent = cluster.agents[0]
    agent.terminate()
    agent.argv += ["--users", "nobody"]
    agent.start()
    good = submit(
        cluster, "id -un; cat x", [artifact(web.url + "/x", b"data")], user="nobody"
    )
    assert ended(cluster, good)["state"] == "TASK_FINISHED"
    assert logs(cluster, good) == "nobody\ndata"
    owner = (sandboxes(cluster)[0] / "x").stat().st_uid
    assert owner == pwd.getpwnam("nobody").pw_uid
    bad = submit(
        cluster, "cat secret", [artifact(f"file://{secret}", b"data")], user="nobody"
    )
    task = ended(cluster, bad)
    assert task["reason"] == "REASON_FETCH_FAILED"
    assert "Permission denied" in task["message"], task["message"]
