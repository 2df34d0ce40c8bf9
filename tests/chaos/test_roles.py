"""Roles: what they bound, over a change of the leader, and what users see of them."""

from lib.cluster import Gate
from lib.waiting import wait_until


def roles(cluster):
    return {role["name"]: role for role in cluster.client.json("roles")}


def running(cluster, job):
    tasks = cluster.client.job(job)["tasks"]
    return sum(task["state"] == "TASK_RUNNING" for task in tasks)


def first_agent(cluster, job):
    return cluster.client.job(job)["tasks"][0]["agent_id"]


def submit(cluster, gate, **spec):
    argv = [str(word) for word in cluster.witness.argv(gate, 0)]
    resources = {"cpus": 0.1, "mem": 16}
    return cluster.client.submit_spec(argv=argv, resources=resources, **spec)


def test_a_maximum_holds_over_a_change_of_leader(start_cluster):
    """Two of four tasks run, and say why the others wait; the next leader keeps to it.  What
    needs all of an agent has that reserved."""
    cluster = start_cluster(masters=3, agents=2)
    gate = Gate(cluster.folder / "gate")
    cluster.client("roles", "set", "batch", "--max", "cpus:0.2")
    job = submit(cluster, gate, name="four", instances=4, role="batch")
    wait_until("two of them run", lambda: running(cluster, job) == 2)
    leader = cluster.leader()
    leader.kill9()
    cluster.wait_leader(among=[m for m in cluster.masters if m is not leader])
    why = "role batch has 0.2 cpus of at most 0.2"
    wait_until("it says why", lambda: why in cluster.client.job(job)["why"])
    assert running(cluster, job) == 2
    batch = roles(cluster)["batch"]
    assert batch["used"]["cpus"] == 0.2 and batch["jobs"] == 1
    cluster.client("roles", "set", "batch", "--max", "none")
    wait_until("all of them run", lambda: running(cluster, job) == 4)
    agent = cluster.client.json("agents")[0]
    cluster.client("roles", "set", "default", "--reserve", "0s")
    large = cluster.client.submit_spec(
        name="large",
        argv=["true"],
        resources={"cpus": agent["resources"]["cpus"], "mem": 16},
        constraints=[f"agent = {first_agent(cluster, job)}"],
    )
    reserved = {"agent": first_agent(cluster, job), "at": None}
    wait_until(
        "room is kept for who waits",
        lambda: cluster.client.job(large)["reservation"] == reserved,
    )
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert cluster.wait_job(large)["state"] == "COMPLETE"
    cluster.client("roles", "remove", "batch")
    assert set(roles(cluster)) == {"default"}


def test_what_is_refused(start_cluster):
    """Each in one line that says what is wrong and what to do."""
    cluster = start_cluster(masters=1, agents=1)
    refused = {
        ("roles", "set", "Batch"): "'Batch' is no name",
        ("roles", "set", "a", "--order", "lifo"): "'lifo' is no order",
        ("roles", "set", "a", "--min", "mem:5"): "name cpus as well",
        ("roles", "set", "a", "--min", "cpus:90000"): "role a: ",
        ("roles", "set", "a", "--weight", "0"): "role a: ",
        ("roles", "set", "a", "--reserve", "soon"): "is not a duration",
        ("roles", "set", "a", "--max", ""): "give amounts",
        ("roles", "set", "a", "--min", ";"): "give amounts",
        ("roles", "remove", "a", "--json"): "not together with remove",
        ("roles", "list", "--max", "cpus:1"): "not together with list",
        ("roles", "set", "a", "--max", "ports:[1-2]"): "ports have no bounds",
        ("roles", "set"): "name a role",
        ("roles", "sett", "a"): "did you mean set",
        ("roles", "list", "defualt"): "did you mean default?",
        ("roles", "list", "prod"): "`triarch roles` lists them",
        ("roles", "remove", "a"): "there is no such role",
        ("roles", "remove", "default"): "the role is `default`, or has jobs",
        ("run", "--role", "a", "--", "true"): 'role: there is no role "a"',
    }
    for words, part in refused.items():
        done = cluster.client.run(*words)
        assert done.returncode in (1, 2), words
        assert part in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert set(roles(cluster)) == {"default"}


def test_a_task_makes_room_and_runs_again(start_cluster):
    """One of a role that may preempt stops the one that has all of the agent, with its grace."""
    cluster = start_cluster(masters=1, agents=1)
    gates = {name: Gate(cluster.folder / name) for name in ("low", "high")}
    cpus = cluster.client.json("agents")[0]["resources"]["cpus"]
    cluster.client("roles", "set", "prod", "--priority", "5", "--preempt", "10")
    jobs = {}
    for name, role in (("low", "default"), ("high", "prod")):
        jobs[name] = cluster.client.submit_spec(
            name=name,
            role=role,
            argv=[str(word) for word in cluster.witness.argv(gates[name], 0)],
            resources={"cpus": cpus, "mem": 16},
        )
        wait_until(f"{name} runs", lambda: running(cluster, jobs[name]) == 1)
    task = cluster.client.job(jobs["low"])["tasks"][0]
    assert task["state"] == "TASK_PENDING"
    assert task["message"] == f"preempted for job {jobs['high']}"
    gates["high"].open()
    assert cluster.wait_job(jobs["high"])["state"] == "COMPLETE"
    wait_until("low runs again", lambda: running(cluster, jobs["low"]) == 1)
    gates["low"].open()
    assert cluster.wait_job(jobs["low"])["state"] == "COMPLETE"
    failures = cluster.client.json("failures")
    assert [failure["type"] for failure in failures] == ["preempted"]
