"""Plans: what would happen, and that a submission can insist on it."""

import json


def placed(job):
    return {row["agent_id"]: row["tasks"] for row in job["placed"]}


def test_a_plan_is_what_happens(start_cluster):
    """Where tasks go, with the index that a submission insists on; and over a change of leader."""
    cluster = start_cluster(masters=3, agents=2)
    path = cluster.folder / "job.json"
    spec = {
        "name": "planned",
        "argv": ["sleep", "1000"],
        "instances": 3,
        "resources": {"cpus": 0.1, "mem": 16},
    }
    path.write_text(json.dumps(spec), encoding="utf-8")
    before = cluster.client.json("plan", path)
    (told,) = before["jobs"]
    assert sum(placed(told).values()) == 3 and told["waiting"] == 0
    insist = ("submit", path, "--check-index", before["check_index"])
    job = int(cluster.client(*insist, "--key", "planned"))
    cluster.wait_states(job, "TASK_RUNNING")
    tasks = cluster.client.job(job)["tasks"]
    for agent, count in placed(told).items():
        assert sum(task["agent_id"] == agent for task in tasks) == count

    # That job changed what the plan rests on; its own key still gives its own answer.
    assert int(cluster.client(*insist, "--key", "planned")) == job
    refused = cluster.client.run(*insist, "--key", "another")
    assert refused.returncode == 1 and "plan again" in refused.stderr

    early = cluster.client.run("submit", path, "--check-index", "999999999", "--key", "early")
    assert early.returncode == 1 and "999999999" in early.stderr

    # The next leader plans as well; the last one's copy, if any, ended with it.
    leader = cluster.leader()
    leader.kill9()
    busy = tasks[0]["agent_id"]
    moved = cluster.client.json("plan", "--drain", f"agent={busy}")
    assert moved["removed"][0]["agent_id"] == busy
    assert sum(row["tasks"] for row in moved["moved"]) == moved["removed"][0]["tasks"]
    assert {row["job_id"] for row in moved["moved"]} == {job}
    spec["instances"] = 4
    path.write_text(json.dumps(spec), encoding="utf-8")
    (told,) = cluster.client.json("plan", path)["jobs"]
    assert told["same_name"] == {"job_id": job, "differences": "instances 3 -> 4"}
    assert cluster.client.job(job)["state"] == "RUNNING"
