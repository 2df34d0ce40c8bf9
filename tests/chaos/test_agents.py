"""Agents that die, with their tasks or without them."""

import json
import os
import re

from lib import processes
from lib.cluster import Gate
from lib.load import Load
from lib.waiting import wait_until

PATIENT = [
    "--agent-silence",
    "60s",
]  # no agent is given up, however slow this machine is


def agents_of(cluster, job):
    return {task["agent_id"] for task in cluster.client.job(job)["tasks"]}


def test_agent_killed_and_restarted(start_cluster):
    """Its tasks run on, are found again, and keep their exit codes."""
    cluster = start_cluster(agents=2, master_options=PATIENT)
    gates = [Gate(cluster.folder / name) for name in ("first", "second", "third")]
    jobs = [
        cluster.client.submit(*cluster.witness.argv(gate, status), instances=4, cpus=1)
        for status, gate in enumerate(gates)
    ]
    for job in jobs:
        cluster.wait_states(job, "TASK_RUNNING")
    for agent in cluster.agents:
        agent.kill9()
    gates[0].open()
    wait_until("tasks end without an agent", lambda: all_ended(cluster, jobs[0], 4))
    for agent in cluster.agents:
        agent.start()
    gates[1].open()
    check_codes(cluster, jobs[0], "COMPLETE", [0] * 4)
    check_codes(cluster, jobs[1], "FAILED", [1] * 4)
    assert cluster.client.states(jobs[2]) == ["TASK_RUNNING"] * 4
    gates[2].open()
    check_codes(cluster, jobs[2], "FAILED", [2] * 4)
    for job in jobs:
        cluster.witness.check_ran_once(job, 4)
        assert [task["attempt"] for task in cluster.client.job(job)["tasks"]] == [1] * 4


def all_ended(cluster, job, instances):
    return all(len(cluster.witness.lines(job, n)) == 2 for n in range(instances))


def check_codes(cluster, job, state, codes):
    ended = cluster.wait_job(job)
    assert ended["state"] == state
    assert [task["exit_code"] for task in ended["tasks"]] == codes


def test_agents_killed_under_load(start_cluster):
    cluster = start_cluster(agents=2, master_options=PATIENT)
    with Load(cluster) as load:
        for _ in range(4):
            load.wait_more(cluster.random.randrange(5, 30))
            agent = cluster.random.choice(cluster.agents)
            agent.kill9()
            agent.start()
    load.check()


STARTED = "work-dir="  # the line that it says then


def test_agents_upgraded_under_load(start_cluster):
    """SIGTERM loses nothing: what was accepted has started, and is found again."""
    cluster = start_cluster(agents=2, master_options=PATIENT)
    with Load(cluster) as load:
        for _ in range(4):
            load.wait_more(cluster.random.randrange(5, 30))
            agent = cluster.random.choice(cluster.agents)
            starts = agent.log_text().count(STARTED)
            assert agent.terminate() == 0
            agent.start()
            wait_until(  # before that it ends by the signal
                "the agent has started",
                lambda: agent.log_text().count(STARTED) > starts,
            )
    load.check()
    for job in load.acknowledged:
        assert [task["attempt"] for task in cluster.client.job(job.job)["tasks"]] == [1]


def test_host_gone_for_good(start_cluster):
    """Successors run elsewhere, once."""
    cluster = start_cluster(agents=3)
    gate = Gate(cluster.folder / "gate")
    job = cluster.client.submit(*cluster.witness.argv(gate), instances=12, cpus=1)
    cluster.wait_states(job, "TASK_RUNNING")
    lost = cluster.agent_with(job)
    there = [
        t["instance"]
        for t in cluster.client.job(job)["tasks"]
        if t["agent_id"] == lost.ident
    ]
    lost.kill9_host()
    cluster.wait_agents(1, "UNREACHABLE")
    wait_until(
        "the successors have begun",
        lambda: all(len(cluster.witness.lines(job, n)) == 2 for n in there),
    )
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert lost.ident not in agents_of(cluster, job)
    check_failures(cluster, job, lost.ident, there)
    for task in cluster.client.job(job)["tasks"]:
        again = task["instance"] in there
        seen = [line.what for line in cluster.witness.lines(job, task["instance"])]
        assert seen == (["begin", "begin", "end"] if again else ["begin", "end"])
        assert task["attempt"] == (2 if again else 1)


def check_failures(cluster, job, agent, there):
    """What was lost with it is written down, with the time until it ran again."""
    listed = cluster.client.json("failures")
    assert [f["type"] for f in listed] == ["unreachable"] + ["agent-unreachable"] * len(
        there
    )
    assert listed[0]["moved"] == len(there) and listed[0]["state"] == "open"
    assert sorted(f["task"] for f in listed[1:]) == sorted(f"{job}.{n}" for n in there)
    for failure in listed[1:]:
        assert failure["state"] == "recovered" and failure["done"] == "restarted"
        assert failure["agent_id"] == agent != failure["next_agent_id"]
        assert 0 < failure["recovery"] < 60
    assert len(cluster.client.json("failures", "--job", job)) == len(there)
    tasks, agents = cluster.client.json("failures", "--sum")
    longest = max(failure["recovery"] for failure in listed[1:])
    assert tasks["count"] == tasks["recovered"] == len(there)
    assert tasks["longest"] == longest and 0 < tasks["mean"] <= longest
    assert agents == {
        "type": "unreachable",
        "of": "agent",
        "count": 1,
        "open": 1,
        "recovered": 0,
        "mean": None,
        "longest": None,
    }


def test_agent_back_after_its_tasks_moved(start_cluster):
    """It was only frozen: what was superseded is ended, and its results do not count."""
    cluster = start_cluster(agents=2)
    gate = Gate(cluster.folder / "gate")
    job = cluster.client.submit(
        "flock", "--shared", gate.path, "true", instances=10, cpus=0.5
    )
    cluster.wait_states(job, "TASK_RUNNING")
    frozen = cluster.agent_with(job)
    frozen.stop()
    cluster.wait_agents(1, "UNREACHABLE")
    cluster.wait_states(job, "TASK_RUNNING")
    assert frozen.ident not in agents_of(cluster, job)
    assert processes.users_of(
        frozen.work / "runs"
    ), "nothing runs twice: the test shows nothing"
    frozen.go_on()
    wait_until(
        "its old tasks have ended", lambda: not processes.users_of(frozen.work / "runs")
    )
    assert f"ending task {job}.0 (attempt" in frozen.log_text()
    cluster.wait_agents(2)
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert frozen.ident not in agents_of(cluster, job)


def test_agent_back_keeps_what_nobody_replaced(start_cluster):
    """No other agent has room: what ran goes on, what ended meanwhile has ended."""
    cluster = start_cluster(agents=1)
    gates = [Gate(cluster.folder / name) for name in ("first", "second")]
    jobs = [
        cluster.client.submit(*cluster.witness.argv(gate, 0), instances=2, cpus=1)
        for gate in gates
    ]
    for job in jobs:
        cluster.wait_states(job, "TASK_RUNNING")
    agent = cluster.agents[0]
    agent.kill9()
    cluster.wait_agents(1, "UNREACHABLE")
    cluster.wait_states(jobs[1], "TASK_PENDING")
    gates[0].open()
    wait_until("tasks end without an agent", lambda: all_ended(cluster, jobs[0], 2))
    agent.start()
    check_codes(cluster, jobs[0], "COMPLETE", [0] * 2)
    cluster.wait_states(jobs[1], "TASK_RUNNING")
    gates[1].open()
    check_codes(cluster, jobs[1], "COMPLETE", [0] * 2)
    for job in jobs:
        cluster.witness.check_ran_once(job, 2)
        assert [task["attempt"] for task in cluster.client.job(job)["tasks"]] == [1] * 2


def test_agent_back_takes_no_work_before_its_old_tasks_ended(start_cluster):
    """An old one that ignores TERM takes a while to end; the next task there sees none of it."""
    cluster = start_cluster(agents=2)
    lock = cluster.folder / "lock"
    first = f"exec 9>{lock}; flock 9; trap '' TERM; echo $$ >{cluster.folder}/old"
    script = f'[ "$TRIARCH_ATTEMPT" != 1 ] || {{ {first}; }}; exec sleep 1000'
    old = cluster.client.submit_spec(
        name="old",
        argv=["sh", "-c", script],
        resources={"cpus": 5, "mem": 16},
        kill_grace="2s",
    )
    wait_until("it holds the lock", (cluster.folder / "old").exists)
    frozen = cluster.agent_with(old)
    frozen.stop()
    cluster.wait_agents(1, "UNREACHABLE")
    wait_until("it runs elsewhere", lambda: frozen.ident not in agents_of(cluster, old))
    cluster.wait_states(old, "TASK_RUNNING")
    new = cluster.client.submit("flock", "-n", lock, "true", cpus=6)
    assert cluster.client.states(new) == ["TASK_PENDING"]
    frozen.go_on()
    assert cluster.wait_job(new)["state"] == "COMPLETE"
    assert agents_of(cluster, new) == {frozen.ident}
    assert frozen.ident not in agents_of(cluster, old)


def test_everything_killed_at_once(start_cluster):
    """Power failure of the whole machine room, as far as processes can show it."""
    cluster = start_cluster(agents=2, master_options=PATIENT)
    with Load(cluster) as load:
        load.wait_more(30)
        for process in cluster.processes():
            process.kill9()
        for process in reversed(cluster.processes()):
            process.start()
        load.wait_more(10)
    load.check()


def follows(agent, leader):
    wait_until(
        "the agent follows the leader",
        lambda: f"follows master {leader.address}" in agent.log_text(),
    )


def test_agent_that_knows_one_follower(start_cluster):
    """It is told who leads, also after that one is gone; its tasks go on."""
    cluster = start_cluster(agents=0, master_options=PATIENT)
    leader = cluster.wait_leader()
    agent = cluster.add_agent(cluster.followers()[0].address)
    cluster.wait_agents(1)
    assert f"{leader.address}, which is not in --masters" in agent.log_text()
    job = cluster.client.submit("sleep", 1000)
    cluster.wait_states(job, "TASK_RUNNING")
    leader.kill9()
    follows(agent, cluster.wait_leader())
    second = cluster.client.submit("true")
    assert cluster.wait_job(second)["state"] == "COMPLETE"
    assert cluster.client.job(job)["tasks"][0]["attempt"] == 1
    assert cluster.client.states(job) == ["TASK_RUNNING"]


def test_agent_that_knows_a_leader_of_the_past(start_cluster):
    """The frozen one did not see the next election, and nobody else knows the agent."""
    cluster = start_cluster(agents=0, master_options=PATIENT)
    past = cluster.wait_leader()
    agent = cluster.add_agent(past.address)
    cluster.wait_agents(1)
    past.stop()
    leader = cluster.wait_leader(among=[m for m in cluster.masters if m is not past])
    past.go_on()
    follows(agent, leader)
    job = cluster.client.submit("true")
    assert cluster.wait_job(job)["state"] == "COMPLETE"


def test_agent_says_that_nobody_leads(start_cluster):
    cluster = start_cluster(agents=1)
    lost = cluster.masters[1:]
    for master in lost:
        master.kill9()
    wait_until(
        "it says so",
        lambda: "connected to 1 of 3 masters, and none of them leads"
        in cluster.agents[0].log_text(),
    )
    done = cluster.client.run("masters", "--json")
    assert done.returncode == 1 and "no master leads" in done.stderr
    why = [master["why"] for master in json.loads(done.stdout)]
    assert why == [None, "connection refused", "connection refused"]
    for master in lost:
        master.start()
    cluster.wait_agents(1)


def test_what_agents_can_do(make_cluster):
    """A job that names a user or has volumes goes only where that is possible."""
    cluster = make_cluster(masters=1, agents=2)
    cluster.agents[1].argv += ["--volumes", str(cluster.folder)]
    cluster.start()
    other = {"images", "limits"}
    able = [set(a["features"]) - other for a in cluster.client.json("agents")]
    base = {"jobs-2", "users"} if os.geteuid() == 0 else {"jobs-2"}
    assert sorted(able, key=len) == [base, base | {"volumes"}]
    if os.geteuid() != 0:
        job = cluster.client.submit_spec(name="user", argv=["true"], user="nobody")
        why = "no agent can start tasks as other users"
        wait_until("it says why", lambda: cluster.client.job(job)["why"] == why)


def test_agents_say_what_they_found(make_cluster):
    """One line of what is there, warnings of what is not; who enforces no limits is marked."""
    cluster = make_cluster(masters=1, agents=1)
    odd = ["--volumes", "/no/such,/dev/null", "--users", "root,no-such-user"]
    cluster.agents[0].argv += odd
    cluster.start()
    cluster.agents[0].wait_log('has no user "no-such-user"')
    log = cluster.agents[0].log_text()
    found = [line for line in log.splitlines() if " found " in line]
    assert len(found) == 1
    assert re.search(
        r"(no cgroups|cgroup v[12] \([a-z, ]+\)).*, (no crun|crun [0-9.]+)"
        r", (no skopeo|skopeo [0-9.]+).*; tasks run as ",
        found[0],
    )
    assert "--volumes: /no/such: No such file or directory" in log
    assert "--volumes: /dev/null is not a directory" in log
    assert 'this host has no user "no-such-user"' in log
    [agent] = cluster.client.json("agents")
    missing = "limits of tasks are not enforced" in log
    assert ("limits" in agent["features"]) != missing
    assert ("no limits" in cluster.client("agents")) == missing
