"""What commands say and how they exit, as users meet them."""

import pytest

from lib.cluster import Failed


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(masters=1, agents=1)


def refuse(cluster, *words, status):
    """Its one line on standard error."""
    done = cluster.client.run(*words)
    assert done.returncode == status, (words, done)
    assert done.stdout == "" and done.stderr.count("\n") == 1, done
    return done.stderr


# ---- exit status ----


@pytest.mark.parametrize(
    "option, value",
    [("--weight", "0"), ("--length", "0"), ("--weight", "abc"), ("--alpha", "2000")],
)
def test_a_wrong_value_of_a_role_is_wrong_usage(cluster, option, value):
    assert option[2:] in refuse(cluster, "roles", "set", "a", option, value, status=2)


def test_failures_of_what_there_is_not(cluster):
    for more in ([], ["--sum"], ["--json"]):
        why = refuse(cluster, "failures", "--job", 77, *more, status=1)
        assert "there is no job 77" in why
    assert "there is no agent 77" in refuse(cluster, "failures", "--agent", 77, status=1)


def test_failures_of_a_job_are_known_after_its_purge(cluster):
    well, bad = cluster.client.submit("true"), cluster.client.submit("false")
    cluster.wait_job(well)
    cluster.wait_job(bad)
    done = cluster.client.run("failures", "--job", well)
    assert (done.returncode, done.stderr) == (0, "no such failures\n")
    assert cluster.client.json("failures", "--job", well) == []
    cluster.client("purge", well)
    cluster.client("purge", bad)
    done = cluster.client.run("failures", "--job", bad)
    assert done.returncode == 0 and f"{bad}.0" in done.stdout
    assert done.stderr == f"job {bad} was purged; its failures are still remembered\n"
    with pytest.raises(Failed, match=f"there is no job {well}"):
        cluster.client("failures", "--job", well)


# ---- dispatch ----


def test_a_job_to_dispatch_is_found_by_its_name(cluster):
    """What was made of it has the same name, and does not count."""
    spec = {"name": "encode", "command": "true", "parameters": {"required": ["INPUT"]}}
    why = refuse(cluster, "dispatch", "encode", "INPUT=a", status=1)
    assert 'no job has the id or name "encode"' in why
    first = cluster.client.submit_spec(**spec)
    for _ in range(2):
        made = int(cluster.client("dispatch", "encode", "INPUT=a"))
        assert cluster.wait_job(made)["state"] == "COMPLETE"
        assert cluster.client.job(made)["name"] == "encode"
    why = refuse(cluster, "dispatch", "encoed", "INPUT=a", status=1)
    assert "did you mean encode?" in why
    second = cluster.client.submit_spec(**spec)
    why = refuse(cluster, "dispatch", "encode", "INPUT=a", status=1)
    assert "2 jobs to dispatch have the name" in why and f"{first}, {second}" in why
    cluster.client("kill", first)
    cluster.client("dispatch", "encode", "INPUT=a")
    cluster.client("kill", second)
    why = refuse(cluster, "dispatch", "encode", "INPUT=a", status=1)
    assert "has ended, or has no parameters" in why
