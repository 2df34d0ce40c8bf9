"""Logs and files of earlier attempts: which agents still have them, and what is said if none has."""

import pytest
from lib.cluster import Failed
from lib.waiting import wait_until

# Fails in its first attempts, and then runs; its files tell the attempts apart.
SCRIPT = """echo "attempt $TRIARCH_ATTEMPT"; echo "wrong $TRIARCH_ATTEMPT" >&2
    echo "file $TRIARCH_ATTEMPT" >result; test "$TRIARCH_ATTEMPT" -gt {fails} || exit 3
    exec sleep 1000"""


def submit(cluster, fails, instances=1):
    return cluster.client.submit_spec(
        name="again",
        instances=instances,
        argv=["sh", "-c", SCRIPT.format(fails=fails)],
        resources={"cpus": 0.1, "mem": 16},
        reschedule={"attempts": 9, "interval": 0, "delay": 0},
    )


def wait_attempt(cluster, job, number):
    def runs():
        tasks = cluster.client.job(job)["tasks"]
        return all(t["attempt"] == number and t["state"] == "TASK_RUNNING" for t in tasks)

    wait_until(f"attempt {number} of job {job} runs", runs)


def refused(cluster, *words):
    """The error, of one line and with status 1."""
    with pytest.raises(Failed) as failed:
        cluster.client(*words)
    assert failed.value.status == 1 and failed.value.stdout == ""
    assert failed.value.stderr.count("\n") == 1
    return failed.value.stderr


def moved(cluster):
    """A job whose first attempt was on one agent, and the second is on another; both agents."""
    job = submit(cluster, fails=0)
    wait_attempt(cluster, job, 1)
    first = cluster.agent_with(job)
    cluster.client("agents", "drain", first.ident, "--deadline", "0s")
    wait_attempt(cluster, job, 2)
    second = cluster.agent_with(job)
    assert second is not first
    return job, first, second


def test_attempts_on_the_same_agent(start_cluster):
    cluster = start_cluster(masters=1, agents=1)
    job = submit(cluster, fails=2)
    task = f"{job}.0"
    wait_attempt(cluster, job, 3)
    logs = [cluster.client("logs", task, "--attempt", n) for n in (1, 2, 3)]
    assert logs == ["attempt 1\n", "attempt 2\n", "attempt 3\n"]
    assert cluster.client("logs", task, "--previous") == "attempt 2\n"
    assert cluster.client("logs", "-p", "--stderr", job) == "wrong 2\n"
    both = cluster.client("logs", task, "--both", "--attempt", 1)
    assert sorted(both.splitlines()) == [
        f"{task} stderr | wrong 1",
        f"{task} stdout | attempt 1",
    ]
    assert cluster.client("files", "cat", task, "result", "-p") == "file 2\n"
    assert "result" in cluster.client("files", "ls", task, "--attempt", 1)
    wanted = f"task {task} has had 3 attempts: there is no attempt 4"
    assert wanted in refused(cluster, "logs", task, "--attempt", 4)
    assert wanted in refused(cluster, "files", "ls", task, "--attempt", 4)


def test_the_previous_attempts_of_a_job(start_cluster):
    """Each with the agent that had it; tasks without one are left out."""
    cluster = start_cluster(masters=1, agents=2)
    job = submit(cluster, fails=1, instances=4)
    wait_attempt(cluster, job, 2)
    lines = cluster.client("logs", job, "--previous").splitlines()
    assert sorted(lines) == [f"{job}.{i} | attempt 1" for i in range(4)]
    steady = submit(cluster, fails=0, instances=2)
    wait_attempt(cluster, steady, 1)
    why = f"no task of job {steady} has had that attempt"
    assert why in refused(cluster, "logs", steady, "--previous")
    one = f"task {steady}.1 is in its first attempt: none is before it"
    assert one in refused(cluster, "logs", f"{steady}.1", "--previous")


def test_attempts_on_other_agents(start_cluster):
    """Also when the agent that has it was started anew; while it is down the error names it."""
    cluster = start_cluster(masters=1, agents=3)
    job, first, second = moved(cluster)
    task = f"{job}.0"
    assert cluster.client("logs", task) == "attempt 2\n"
    assert cluster.client("logs", task, "--previous") == "attempt 1\n"
    first.kill9()
    error = refused(cluster, "logs", task, "--attempt", 1)
    assert f"no agent that answers has attempt 1 of task {task}; there is 2" in error
    assert f"agent {first.ident} does not answer: " in error
    assert error == refused(cluster, "files", "cat", task, "result", "--attempt", "1")
    first.start()
    wait_until(
        "it is found again",
        lambda: cluster.client.run("logs", task, "-p").stdout == "attempt 1\n",
    )
    assert cluster.client("files", "cat", task, "result", "-p") == "file 1\n"
    assert second.is_running()


def test_an_agent_that_is_frozen_holds_up_nobody_else(start_cluster):
    cluster = start_cluster(masters=1, agents=3)
    job, first, second = moved(cluster)
    other = next(a for a in cluster.agents if a not in (first, second))
    other.stop()
    assert cluster.client("logs", job, "--previous", timeout=20) == "attempt 1\n"
    first.stop()
    error = refused(cluster, "logs", job, "--previous")
    assert "2 agents do not answer, as agent " in error and "it says nothing" in error
    other.go_on()
    first.go_on()


def test_what_was_removed_or_is_gone_is_said(start_cluster):
    cluster = start_cluster(masters=1, agents=2)
    job, first, second = moved(cluster)
    cluster.client("agents", "uncordon", first.ident)
    first.kill9_host()
    cluster.client("agents", "gone", first.ident, "--force")
    error = refused(cluster, "logs", job, "--attempt", 1)
    assert f"no agent has attempt 1 of task {job}.0" in error
    assert "there is 2; 1 agent is gone, with what it had" in error
    assert second.is_running()
    cluster.agents.remove(first)


def test_wrong_usage(start_cluster):
    cluster = start_cluster(masters=1)
    for words, why in [
        (["logs", "1", "--attempt", "0"], "--attempt"),
        (["logs", "1", "--attempt", "1", "--previous"], "give one of them"),
        (["files", "ls", "1", "--attempt", "1", "-p"], "give one of them"),
        (["logs", "-f", "1", "--previous"], "-f follows the newest attempt"),
    ]:
        with pytest.raises(Failed) as failed:
            cluster.client(*words)
        assert failed.value.status == 2 and why in failed.value.stderr
