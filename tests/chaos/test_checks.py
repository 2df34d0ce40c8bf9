"""Health and readiness of tasks: commands, HTTP and TCP, asked by the agent of the task."""

import os
import sys

import pytest
from lib.waiting import wait_until

SERVER = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(open("status").read()) if self.path == "/ready" else 404)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["TRIARCH_PORT_0"])), Answer).serve_forever()
"""
QUICK = {"interval": "200ms", "timeout": "2s", "failures": 2}


@pytest.fixture
def cluster(make_cluster):
    return make_cluster(
        masters=1, agents=1, resources="cpus:4;mem:1024;disk:1024;ports:[32500-32519]"
    ).start()


def submit(cluster, script, **more):
    return cluster.client.submit_spec(
        name="checked",
        argv=["sh", "-c", script],
        **{"resources": {"cpus": 0.1, "mem": 128}, **more},
    )


def task(cluster, job):
    return cluster.client.job(job)["tasks"][0]


def wait_health(cluster, job, health):
    wait_until(f"it is {health}", lambda: task(cluster, job)["health"] == health)


def test_http_readiness(cluster):
    (cluster.folder / "server.py").write_text(SERVER)
    job = submit(
        cluster,
        f"echo 503 >status; exec {sys.executable} {cluster.folder}/server.py",
        resources={"cpus": 0.1, "mem": 128, "ports": 1},
        readiness={"http": "/ready", "port_index": 0, **QUICK},
    )
    # At first nobody listens yet, which is not ready either.
    wait_until("it says 503", lambda: "status 503" in task(cluster, job)["message"])
    assert task(cluster, job)["health"] == "not ready"
    status = next((cluster.agents[0].work / "runs").iterdir()) / "status"
    status.write_text("204")
    wait_health(cluster, job, "passing")
    assert not task(cluster, job)["message"]
    status.write_text("404")
    wait_health(cluster, job, "not ready")
    assert task(cluster, job)["restarts"] == 0
    assert task(cluster, job)["state"] == "TASK_RUNNING"


def test_tcp(cluster):
    job = submit(
        cluster,
        "sleep 1000",
        resources={"cpus": 0.1, "mem": 32, "ports": 1},
        readiness={"tcp": True, "port_index": 0, **QUICK},
    )
    wait_health(cluster, job, "not ready")


def test_command_is_of_the_task(cluster):
    job = submit(
        cluster,
        "echo mine >mark; sleep 1000",
        env={"MARK": "mine"},
        health={"command": 'test "$(cat mark)" = "$MARK" && test $TRIARCH_INSTANCE = 0', **QUICK},
    )
    wait_health(cluster, job, "passing")


def test_failed_health_starts_it_again(cluster):
    job = submit(
        cluster,
        "touch alive; sleep 1000",
        health={"command": "test -f alive", **QUICK},
        restart={"attempts": 1, "delay": "100ms"},
    )
    alive_file = wait_until(
        "it lives", lambda: list(cluster.agents[0].work.glob("runs/*/alive"))
    )[0]
    wait_health(cluster, job, "passing")
    alive_file.unlink()
    wait_until("it was started again", lambda: task(cluster, job)["restarts"] == 1)
    wait_until("it lives again", alive_file.exists)
    wait_health(cluster, job, "passing")
    alive_file.unlink()
    ended = cluster.wait_job(job)["tasks"][0]
    assert ended["state"] == "TASK_FAILED"
    assert ended["reason"] == "REASON_HEALTH_CHECK"
    assert "exited with status 1" in ended["message"]


def test_command_that_hangs_leaves_nothing(cluster):
    job = submit(
        cluster,
        "sleep 1000",
        health={
            "command": "(setsid sleep 987654 &); exec sleep 987654",
            "interval": "200ms",
            "timeout": "300ms",
            "failures": 2,
        },
    )
    ended = cluster.wait_job(job)["tasks"][0]
    assert ended["reason"] == "REASON_HEALTH_CHECK"
    assert "timed out" in ended["message"]

    def hanging():
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if b"987654" in file.read():
                        found.append(pid)
            except OSError:
                pass  # it ended meanwhile
        return found

    wait_until("nothing of it is left", lambda: not hanging())


def test_goes_on_after_the_agent_is_killed(cluster):
    job = submit(cluster, "touch alive; sleep 1000", health={"command": "test -f alive", **QUICK})
    wait_health(cluster, job, "passing")
    cluster.agents[0].kill9()
    cluster.agents[0].start()
    next(cluster.agents[0].work.glob("runs/*/alive")).unlink()
    ended = cluster.wait_job(job)["tasks"][0]
    assert ended["reason"] == "REASON_HEALTH_CHECK"
