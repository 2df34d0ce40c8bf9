"""Masters that die, freeze and come back while jobs are submitted."""

import time

import pytest

from lib import processes, rpc
from lib.cluster import Gate
from lib.load import Load
from lib.processes import now
from lib.waiting import wait_until

FROZEN_S = 5
TRAILING_ENTRIES = 8192  # that a master keeps behind its snapshot for slow followers
GAP_MAX_S = 1.0  # without an acknowledged job, while a leader hands over


def test_leader_killed_under_load(start_cluster):
    cluster = start_cluster(agents=2)
    with Load(cluster) as load:
        for _ in range(3):
            load.wait_more(cluster.random.randrange(5, 40))
            leader = cluster.wait_leader()
            leader.kill9()
            load.wait_more(20)
            leader.start()
    load.check()


def test_all_masters_killed_at_once(start_cluster):
    cluster = start_cluster(agents=2)
    gate = Gate(cluster.folder / "gate")
    held = cluster.client.submit(*cluster.witness.argv(gate), instances=6)
    cluster.wait_states(held, "TASK_RUNNING")
    with Load(cluster, threads=4) as load:
        load.wait_more(cluster.random.randrange(20, 60))
        for master in cluster.masters:
            master.kill9()
        begun_at = now()
        order = cluster.random.sample(cluster.masters, len(cluster.masters))
        for master in order:
            master.start()
        load.wait_more(20)
    print(
        f"next acknowledged job after {min(j.at for j in load.acknowledged if j.at > begun_at) - begun_at:.3f} s"
    )
    load.check()
    assert cluster.client.states(held) == ["TASK_RUNNING"] * 6
    gate.open()
    assert cluster.wait_job(held)["state"] == "COMPLETE"
    cluster.witness.check_ran_once(held, 6)


def test_tasks_run_on_without_any_master(start_cluster):
    """What ends while there is no master is told to the next one."""
    cluster = start_cluster(agents=2)
    gate = Gate(cluster.folder / "gate")
    well = cluster.client.submit(*cluster.witness.argv(gate), instances=4)
    badly = cluster.client.submit(*cluster.witness.argv(gate, status=7), instances=2)
    cluster.wait_states(well, "TASK_RUNNING")
    cluster.wait_states(badly, "TASK_RUNNING")
    for master in cluster.masters:
        master.kill9()
    gate.open()
    wait_until(
        "all tasks have ended",
        lambda: ended(cluster, well, 4) and ended(cluster, badly, 2),
    )
    for master in reversed(cluster.masters):
        master.start()
    assert cluster.wait_job(well)["state"] == "COMPLETE"
    job = cluster.wait_job(badly)
    assert job["state"] == "FAILED"
    assert [task["exit_code"] for task in job["tasks"]] == [7, 7]
    cluster.witness.check_ran_once(well, 4)
    cluster.witness.check_ran_once(badly, 2)


def ended(cluster, job, instances):
    lines = [cluster.witness.lines(job, n) for n in range(instances)]
    return all(seen and seen[-1].what == "end" for seen in lines)


def test_leader_frozen(start_cluster):
    """Another leads meanwhile; the old one neither answers from its past nor launches."""
    cluster = start_cluster(agents=2)
    gate = Gate(cluster.folder / "gate")
    before = cluster.client.submit(*cluster.witness.argv(gate), instances=4)
    cluster.wait_states(before, "TASK_RUNNING")
    old = cluster.wait_leader()
    others = cluster.followers()
    with old.connect() as reads, old.connect() as writes:
        old.stop()
        frozen_at = now()
        read = reads.ask("jobs", 0, 0, 1000, False)
        spec = rpc.job_spec(
            "frozen",
            [str(cluster.witness.program), str(cluster.witness.folder)],
            1,
            10,
            1 << 20,
        )
        write = writes.ask("submit", b"frozen", spec)
        new = cluster.wait_leader(among=others)
        during = [cluster.client.submit(*cluster.witness.argv()) for _ in range(5)]
        for job in during:
            cluster.wait_job(job)
        wait_until("5 s have passed", lambda: now() - frozen_at >= FROZEN_S)
        old.go_on()
        check_read(reads, read, during[-1])
        submitted = check_write(writes, write, new, spec)
    gate.open()
    for job in [before, *during, submitted]:
        assert cluster.wait_job(job)["state"] == "COMPLETE"
    cluster.witness.check_ran_once(before, 4)
    for job in [*during, submitted]:
        cluster.witness.check_ran_once(job)
    roles = [m.info()["role"] for m in cluster.masters]
    assert sorted(roles) == ["follower", "follower", "leader"]


def check_read(connection, number, newest):
    """Either no answer, or one that knows what was acknowledged before it was given."""
    try:
        _, _, jobs = connection.answer(number)
    except rpc.RpcError as error:
        assert error.code in (rpc.NOT_LEADER, rpc.UNAVAILABLE)
        return
    assert newest in [
        job[0] for job in jobs
    ], "a read answered from before the other leader"


def check_write(connection, number, leader, spec):
    """Its outcome may be unknown; with its key it makes one job all the same."""
    try:
        first = connection.answer(number)[0]
    except rpc.RpcError as error:
        assert error.code in (rpc.NOT_LEADER, rpc.UNKNOWN, rpc.UNAVAILABLE)
        first = None
    with leader.connect() as other:
        job = other.request("submit", b"frozen", spec)[0]
        assert first in (None, job)
        assert other.request("submit", b"frozen", spec)[0] == job
    return job


def test_leader_terminated_under_load(start_cluster):
    cluster = start_cluster(agents=2)
    with Load(cluster) as load:
        load.wait_more(20)
        leader = cluster.wait_leader()
        assert leader.terminate() == 0
        load.wait_more(40)
        leader.start()
        load.wait_more(20)
    load.check()
    assert load.longest_gap() < GAP_MAX_S


def test_rolling_restart_under_load(start_cluster):
    cluster = start_cluster(agents=2)
    with Load(cluster) as load:
        for master in cluster.random.sample(cluster.masters, len(cluster.masters)):
            load.wait_more(10)
            assert master.terminate() == 0
            load.wait_more(10)
            master.start()
            cluster.wait_caught_up(master)
    load.check()
    assert load.longest_gap() < GAP_MAX_S


def test_snapshot_to_master_that_was_down(start_cluster):
    """What it missed is no longer in the log of the others."""
    cluster = start_cluster(agents=1, master_options=["--snapshot-bytes", "65536"])
    late = cluster.random.choice(cluster.followers())
    late.kill9()
    jobs = [
        cluster.client.submit(*cluster.witness.argv(), instances=20) for _ in range(5)
    ]
    for job in jobs:
        cluster.wait_job(job)
    cluster.write_entries(TRAILING_ENTRIES + 1000)
    leader = cluster.wait_leader()
    late.start()
    cluster.wait_caught_up(late)
    assert f"sending a snapshot to {late.name}" in leader.log_text()
    assert set(jobs) <= set(late.jobs())
    for master in (late, leader):
        master.kill9()
        master.start()
    for job in jobs:
        assert cluster.wait_job(job)["state"] == "COMPLETE"
        cluster.witness.check_ran_once(job, 20)


def test_key_repeated_across_failovers(start_cluster):
    cluster = start_cluster(agents=1)
    ids = []
    for _ in range(4):
        ids.append(
            cluster.client.submit(*cluster.witness.argv(), key="the key", name="one")
        )
        leader = cluster.wait_leader()
        leader.kill9()
        ids.append(
            cluster.client.submit(*cluster.witness.argv(), key="the key", name="one")
        )
        leader.start()
    assert len(set(ids)) == 1
    assert cluster.wait_job(ids[0])["state"] == "COMPLETE"
    cluster.witness.check_ran_once(ids[0])
    assert [job["name"] for job in cluster.client.json("status")] == ["one"]


def test_kill_across_failover(start_cluster):
    """A killed job stays killed: what runs is ended, what waits never begins."""
    cluster = start_cluster(agents=2)
    gate = Gate(cluster.folder / "gate")
    job = cluster.client.submit(*cluster.witness.argv(gate), instances=30, cpus=1)
    wait_until("16 tasks run", lambda: cluster.witness.begun(job, 30) == 16)
    leader = cluster.wait_leader()
    leader.kill9()
    cluster.client("kill", job)
    leader.start()
    ended = cluster.wait_job(job)
    gate.open()
    assert ended["state"] == "KILLED"
    assert {task["state"] for task in ended["tasks"]} == {"TASK_KILLED"}
    assert cluster.witness.begun(job, 30) == 16
    assert not any(processes.users_of(agent.work / "runs") for agent in cluster.agents)


@pytest.mark.parametrize("masters", [1, 5])
def test_other_numbers_of_masters(start_cluster, masters):
    """One master survives its own kill -9; five survive that of two."""
    cluster = start_cluster(masters=masters, agents=1)
    with Load(cluster) as load:
        load.wait_more(20)
        victims = cluster.random.sample(cluster.masters, max(1, masters // 2))
        for victim in victims:
            victim.kill9()
        for victim in victims:
            victim.start()
        load.wait_more(20)
    load.check()


def test_nothing_is_served_before_founding(make_cluster):
    """The first listing is one of a cluster that takes jobs, too."""
    cluster = make_cluster(masters=1)
    cluster.masters[0].start()
    wait_until("it listens", lambda: can_connect(cluster.masters[0]))
    with cluster.masters[0].connect() as connection:
        while True:
            try:
                connection.request("jobs", 0, 0, 10, False)
                break
            except rpc.RpcError as error:
                assert error.code in (rpc.NOT_LEADER, rpc.UNAVAILABLE)
        connection.request("submit", b"key", rpc.job_spec("first", ["true"]))


def can_connect(master):
    try:
        master.connect().socket.close()
    except OSError:
        return False
    return True
