"""Exclusive tasks and on_disconnect: what runs where while agents are out of reach.

An agent that stops its run too late, or a master that starts the successor too early,
shows as a line `double` of the witness, which ignores TERM here: only a KILL ends it.
"""

import time

from lib import processes
from lib.cluster import AGENT_SILENCE, Gate
from lib.link import TO_AGENT
from lib.waiting import SLOW, wait_until

SILENCE, LEASE, GRACE = AGENT_SILENCE, 3, 2  # seconds
PATIENCE = 20 * SLOW  # for slow machines, above what must pass
LONGEST = SILENCE + LEASE * 1.02 + GRACE + PATIENCE


class Run:
    """One witness that runs as long as the test does, and the agent where it began."""

    def __init__(self, cluster, **policy):
        self.cluster = cluster
        self.gate = Gate(cluster.folder / "gate")
        self.job = cluster.client.submit_spec(
            name="one",
            argv=["sh", "-c", 'trap "" TERM; exec "$@"', "one"]
            + [str(word) for word in cluster.witness.argv(self.gate)],
            resources={"cpus": 1, "mem": 16},
            kill_grace="1s",
            **policy,
        )
        wait_until("it has begun", lambda: self.lines() == ["begin"])
        cluster.wait_states(self.job, "TASK_RUNNING")
        self.agent = cluster.agent_with(self.job)

    def lines(self):
        return [line.what for line in self.cluster.witness.lines(self.job)]

    def task(self):
        return self.cluster.client.job(self.job)["tasks"][0]

    def processes(self):
        return processes.users_of(self.agent.work / "runs")

    def wait_moved(self):
        """It ends where it ran, and only then begins elsewhere."""
        wait_until("it has ended", lambda: not self.processes(), LONGEST)
        ended = time.monotonic_ns()
        wait_until("it runs again", lambda: len(self.lines()) > 1, LONGEST)
        first, second = self.cluster.witness.lines(self.job)[:2]
        assert (first.what, second.what) == ("begin", "begin")
        assert second.at_ns > ended, "it began before we saw the end of the one before"
        assert second.agent != first.agent
        assert second.fence > first.fence, "who fences cannot tell them apart"
        self.cluster.wait_states(self.job, "TASK_RUNNING")

    def finish(self, begun):
        """It came to its end, once; begun: how often it began."""
        assert self.task()["attempt"] == begun
        self.gate.open()
        assert self.cluster.wait_job(self.job)["state"] == "COMPLETE"
        assert self.lines() == ["begin"] * begun + ["end"]
        self.cluster.check_digests()


def start(make_cluster, agents=2):
    return make_cluster(agents=agents, links=True).start()


def exclusive(cluster, lease=LEASE):
    return Run(cluster, exclusive={"lease": f"{lease}s", "grace": f"{GRACE}s"})


def test_cut_off(make_cluster):
    """Nothing passes, then what was held back arrives: late answers renew nothing."""
    cluster = start(make_cluster)
    run = exclusive(cluster)
    run.agent.link.stall()
    run.wait_moved()
    run.agent.link.heal()
    cluster.wait_agents(2)
    run.finish(begun=2)


def test_answers_cut_off(make_cluster):
    """Its heartbeats arrive, but no lease comes back: it tells that it ended the run."""
    cluster = start(make_cluster)
    run = exclusive(cluster)
    run.agent.link.stall(TO_AGENT)
    wait_until("it has ended", lambda: not run.processes(), LONGEST)
    run.agent.link.heal()
    cluster.wait_agents(2)
    wait_until("it runs again", lambda: run.lines() == ["begin", "begin"], LONGEST)
    cluster.wait_states(run.job, "TASK_RUNNING")
    run.finish(begun=2)


def test_refused(make_cluster):
    """Connections break at once, again and again."""
    cluster = start(make_cluster)
    run = exclusive(cluster)
    run.agent.link.cut()
    run.wait_moved()
    run.agent.link.heal()
    cluster.wait_agents(2)
    run.finish(begun=2)


def test_cut_off_and_killed(make_cluster):
    """Only the shim is left to end the run."""
    cluster = start(make_cluster)
    run = exclusive(cluster)
    run.agent.link.stall()
    run.agent.kill9()
    run.wait_moved()
    run.agent.link.heal()
    run.agent.start()
    cluster.wait_agents(2)
    run.finish(begun=2)


def test_agent_frozen(make_cluster):
    cluster = start(make_cluster)
    run = exclusive(cluster)
    run.agent.stop()
    run.wait_moved()
    run.agent.go_on()
    cluster.wait_agents(2)
    run.finish(begun=2)


def test_agent_killed_and_restarted_in_time(make_cluster):
    """The next agent adopts the run and goes on with its lease."""
    cluster = start(make_cluster)
    run = exclusive(cluster, lease=10)
    for _ in range(2):
        run.agent.kill9()
        run.agent.start()
        cluster.wait_agents(2)
    outlive(run, 12)
    run.finish(begun=1)


def outlive(run, seconds):
    """Longer than its lease would hold without renewals."""
    until = time.monotonic() + seconds
    wait_until(
        "time has passed, or it began again",
        lambda: time.monotonic() > until or run.lines() != ["begin"],
        seconds + PATIENCE,
    )
    check_goes_on(run)


def check_goes_on(run):
    assert run.lines() == ["begin"]
    assert run.processes(), "it has ended"


def test_healed_before_the_lease_ran_out(make_cluster):
    """Longer than masters wait for agents: it was unreachable, and nothing is restarted."""
    cluster = start(make_cluster)
    run = exclusive(cluster, lease=20)
    run.agent.link.stall()
    cluster.wait_agents(1, "UNREACHABLE")
    run.agent.link.heal()
    cluster.wait_agents(2)
    check_goes_on(run)
    run.finish(begun=1)


def test_leader_frozen(make_cluster):
    """The next leader renews in time; what the old one says when it wakes counts nothing."""
    cluster = start(make_cluster)
    run = exclusive(cluster, lease=10)
    old = cluster.leader()
    old.stop()
    cluster.wait_leader(among=[m for m in cluster.masters if m is not old])
    outlive(run, 12)
    old.go_on()
    cluster.wait_caught_up(old)
    check_goes_on(run)
    run.finish(begun=1)


def test_leader_frozen_while_cut_off(make_cluster):
    """The next leader waits from its own begin."""
    cluster = start(make_cluster)
    run = exclusive(cluster)
    run.agent.link.stall()
    old = cluster.leader()
    cluster.wait_agents(1, "UNREACHABLE")
    old.stop()
    run.wait_moved()
    old.go_on()
    run.agent.link.heal()
    cluster.wait_agents(2)
    run.finish(begun=2)


def test_stop_after(make_cluster):
    """The agent ends it by itself, long before the masters give up the agent."""
    options = {"master_options": ["--agent-silence", "12s"], "agents": 2, "links": True}
    cluster = make_cluster(**options).start()
    run = Run(cluster, on_disconnect={"stop_after": "2s"})
    run.agent.link.stall()
    run.wait_moved()
    run.agent.link.heal()
    cluster.wait_agents(2)
    run.finish(begun=2)


def test_keep(make_cluster):
    """It runs on, its successor beside it; back again it ends before anything new begins."""
    cluster = start(make_cluster)
    gate = Gate(cluster.folder / "gate")
    script = f"echo $$ >{cluster.folder}/pid.$TRIARCH_ATTEMPT; exec flock -s $0 true"
    job = cluster.client.submit("sh", "-c", script, gate.path, cpus=1)
    cluster.wait_states(job, "TASK_RUNNING")
    away = cluster.agent_with(job)
    (other,) = [agent for agent in cluster.agents if agent is not away]
    pid = int((cluster.folder / "pid.1").read_text(encoding="ascii"))
    away.link.stall()
    second = cluster.folder / "pid.2"
    wait_until("a successor runs", second.exists, LONGEST)
    cluster.wait_states(job, "TASK_RUNNING")
    assert pid in processes.users_of(away.work / "runs"), "it did not run on"
    cluster.client("agents", "cordon", other.ident)
    new = cluster.client.submit("sh", "-c", f"! kill -0 {pid}")
    assert cluster.client.states(new) == ["TASK_PENDING"]
    away.link.heal()
    assert cluster.wait_job(new)["state"] == "COMPLETE", "the stale run was still there"
    assert cluster.agent_with(new) is away
    gate.open()
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert cluster.agent_with(job) is other
    cluster.check_digests()
