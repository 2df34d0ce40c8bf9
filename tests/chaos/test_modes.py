"""Agents that an operator keeps work away from, empties, or gives up."""

import subprocess

import pytest

from lib.cluster import BUILD, Failed, Gate
from lib.waiting import wait_until


def listed(cluster, agent):
    return next(a for a in cluster.client.json("agents") if a["id"] == agent)


def agents_of(cluster, job):
    return {task["agent_id"] for task in cluster.client.job(job)["tasks"]}


def other_than(cluster, agent):
    return next(a.ident for a in cluster.agents if a.ident != agent)


def test_cordon_and_uncordon(start_cluster):
    cluster = start_cluster(masters=1, agents=2)
    first, second = (a.ident for a in cluster.agents)
    cluster.client("agents", "cordon", first)
    assert listed(cluster, first)["mode"] == "CORDONED"
    assert listed(cluster, first)["deadline"] is None
    job = cluster.client.submit("true", instances=20)
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert agents_of(cluster, job) == {second}
    cluster.client("agents", "cordon", second)
    job = cluster.client.submit("true")
    waits = wait_until("it waits", lambda: cluster.client.job(job)["why"])
    assert "cordoned or draining" in waits
    cluster.client("agents", "uncordon", first)
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert agents_of(cluster, job) == {first}


def test_drain_moves_tasks_through_a_change_of_leader(start_cluster):
    """What runs at the deadline ends once and begins once elsewhere."""
    cluster = start_cluster(agents=2)
    gate = Gate(cluster.folder / "gate")
    job = cluster.client.submit(*cluster.witness.argv(gate), instances=8, cpus=0.5)
    cluster.wait_states(job, "TASK_RUNNING")
    drained = cluster.agent_with(job).ident
    moved = [
        t["instance"]
        for t in cluster.client.job(job)["tasks"]
        if t["agent_id"] == drained
    ]
    cluster.client("agents", "drain", drained, "--deadline", "2s", "--no-wait")
    assert listed(cluster, drained)["mode"] == "DRAINING"
    assert agents_of(cluster, job) & {drained}
    cluster.leader().kill9()
    wait_until("it is empty", lambda: listed(cluster, drained)["tasks"] == 0)
    cluster.wait_states(job, "TASK_RUNNING")
    assert agents_of(cluster, job) == {other_than(cluster, drained)}
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    for task in cluster.client.job(job)["tasks"]:
        again = task["instance"] in moved
        seen = [line.what for line in cluster.witness.lines(job, task["instance"])]
        assert seen == (["begin", "begin", "end"] if again else ["begin", "end"])
        assert task["attempt"] == (2 if again else 1)


def test_drain_waits_until_nothing_is_left(start_cluster):
    cluster = start_cluster(masters=1, agents=2)
    job = cluster.client.submit("sleep", "60", instances=4)
    cluster.wait_states(job, "TASK_RUNNING")
    drained = cluster.agent_with(job).ident
    done = cluster.client.run("agents", "drain", drained, "--now")
    assert done.returncode == 0, done.stderr
    assert "tasks left" in done.stderr
    assert "is drained: nothing is left on it" in done.stderr
    assert listed(cluster, drained)["tasks"] == 0
    cluster.wait_states(job, "TASK_RUNNING")
    cluster.client("kill", job)
    assert cluster.wait_job(job)["state"] == "KILLED"


@pytest.mark.parametrize(
    "change, said",
    [
        (("uncordon",), "it was made NORMAL; 1 task left"),
        (("gone", "--force"), "it was declared gone"),
    ],
    ids=["uncordoned", "gone"],
)
def test_who_waits_for_a_drain_hears_that_it_is_none(start_cluster, change, said):
    cluster = start_cluster(masters=1, agents=1)
    job = cluster.client.submit("sleep", "60")
    cluster.wait_states(job, "TASK_RUNNING")
    agent = cluster.agents[0]
    ident = agent.ident
    words = [BUILD / "triarch", "--masters", cluster.client.addresses]
    words += ["agents", "drain", str(ident), "--deadline", "1h"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as waiting:
        assert "1 task left" in waiting.stderr.readline()
        if change[0] == "gone":
            agent.kill9_host()  # it would end by itself
        cluster.client("agents", change[0], ident, *change[1:])
        told = waiting.stderr.read()
        assert waiting.wait() == 1
    assert f"agent {ident} drains no more: {said}" in told
    cluster.client("kill", job)


def test_a_mode_survives_the_agent(start_cluster):
    cluster = start_cluster(masters=1, agents=1)
    agent = cluster.agents[0]
    ident = agent.ident
    cluster.client("agents", "drain", ident, "--deadline", "1h")  # it is empty
    agent.kill9()
    agent.start()
    cluster.wait_agents(1)
    assert listed(cluster, ident)["mode"] == "DRAINING"
    cluster.client("agents", "uncordon", ident)
    assert listed(cluster, ident)["mode"] == "NORMAL"


def test_gone_wants_to_be_sure(start_cluster):
    cluster = start_cluster(masters=1, agents=2)
    job = cluster.client.submit("sleep", "60", instances=2)
    cluster.wait_states(job, "TASK_RUNNING")
    agent = cluster.agent_with(job)
    with pytest.raises(Failed) as refused:
        cluster.client("agents", "gone", agent.ident)
    assert refused.value.status == 1
    assert "drain it first, stop triarch-agent, or add --force" in refused.value.stderr
    assert listed(cluster, agent.ident)["state"] == "ACTIVE"
    ident = agent.ident
    agent.kill9_host()
    cluster.client("agents", "gone", ident, "--force")
    assert listed(cluster, ident)["state"] == "GONE"
    assert "is gone already" in cluster.client.run("agents", "gone", ident).stderr
    assert "1 more are gone for good" in cluster.client.run("agents").stderr
    assert "GONE" in cluster.client.run("agents", "--all").stdout
    cluster.wait_states(job, "TASK_RUNNING")
    assert agents_of(cluster, job) == {other_than(cluster, ident)}
    cluster.client("kill", job)


def test_agents_are_found_by_name_or_told_apart(start_cluster):
    cluster = start_cluster(masters=1, agents=2)
    host = cluster.client.json("agents")[0]["hostname"]
    for words, status, said in (
        (("cordon", host), 1, "2 agents have the host name"),
        (("cordon", "99"), 1, "there is no agent 99"),
        (("cordon", host + "x"), 1, f"did you mean {host}?"),
        (("cordon", "no-such-host-anywhere"), 1, "no agent has the id or host name"),
        (("cordn", "1"), 2, "did you mean cordon?"),
        (("drain",), 2, "name an agent"),
        (("drain", "1", "--wait", "--no-wait"), 2, "--no-wait"),
        (("drain", "1", "--now", "--deadline", "1s"), 2, "--deadline"),
    ):
        done = cluster.client.run("agents", *words)
        assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    first, second = (a.ident for a in cluster.agents)
    cluster.agents[0].kill9_host()  # it would end by itself
    cluster.client("agents", "gone", first, "--force")
    cluster.client("agents", "cordon", host)
    assert listed(cluster, second)["mode"] == "CORDONED"
