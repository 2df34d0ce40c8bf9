"""What commands say and how they exit, as users meet them."""

import json
import re

import pytest

from lib.cluster import BUILD, Failed
from lib.terminal import Terminal
from lib.waiting import wait_until


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(masters=1, agents=1)


def refuse(cluster, *words, status):
    """Its one line on standard error."""
    done = cluster.client.run(*words)
    assert done.returncode == status, (words, done)
    assert done.stdout == "" and done.stderr.count("\n") == 1, done
    return done.stderr


def on_terminal(cluster, *words):
    """The lines on a terminal of 100 columns, without colours."""
    argv = [BUILD / "triarch", "--masters", cluster.client.addresses, *words]
    with Terminal(argv, columns=100) as terminal:
        assert terminal.wait_exit() == 0
    lines = re.sub(rb"\033\[\d*m", b"", terminal.shown).decode().splitlines()
    assert max(map(len, lines)) <= 100, lines
    return lines


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


# ---- roles ----


def test_what_a_role_uses_stands_beside_its_bounds(cluster):
    bounds = ("--min", "cpus:1;mem:256", "--max", "cpus:1.5;mem:16384;licence:3")
    shown = cluster.client("roles", "set", "web", *bounds, "--reserve", "0s")
    assert re.search(r"^mem +0 B +256.0 MiB +16.0 GiB$", shown, re.M), shown
    assert re.search(r"^licence +0 +- +3$", shown, re.M), shown
    assert re.search(r"^reserve +0s$", shown, re.M), shown
    assert re.search(r"^aging +1h$", shown, re.M), shown
    assert cluster.client("roles", "list", "web") == shown
    lines = on_terminal(cluster, "roles")
    assert lines == cluster.client("roles").splitlines()
    assert lines[3].split() == "web 0 0 cpus 0 1 1.5 priority 0 1".split(), lines
    role = cluster.client.json("roles", "list", "web")
    assert role == cluster.client.json("roles", "set", "web", "--reserve", "0s")
    assert role in cluster.client.json("roles") and role["max"]["licence"] == 3


# ---- submit ----


def test_what_was_submitted_as_json(cluster):
    """In the order of the file, which is not that of the ids."""
    spec = {"command": "true"}
    jobs = [{"name": "load", "after": ["extract"], **spec}, {"name": "extract", **spec}]
    path = cluster.folder / "set.json"
    path.write_text(json.dumps({"jobs": jobs}), encoding="utf-8")
    made = cluster.client.json("submit", path, "--key", "a", "--wait")
    assert made["index"] > 0
    assert [job["name"] for job in made["jobs"]] == ["load", "extract"]
    load, extract = (job["id"] for job in made["jobs"])
    assert load == extract + 1
    assert cluster.client("submit", path, "--key", "a") == f"{load}\n{extract}\n"
    assert cluster.client.json("submit", path, "--key", "a") == made
    one = json.loads(cluster.client("run", "--json", "--name", "one", "--", "true"))
    assert [job["name"] for job in one["jobs"]] == ["one"] and one["index"] > made["index"]
    why = refuse(cluster, "submit", path, "--check", "--json", status=2)
    assert "not together with --check" in why


def test_what_was_dispatched_as_json(cluster):
    encode = {"name": "encode", "command": "true", "parameters": {"required": ["INPUT"]}}
    job = cluster.client.submit_spec(**encode)
    words = ["dispatch", job, "INPUT=a", "--key", "a"]
    made = cluster.client.json(*words)
    assert set(made) == {"index", "jobs"} and made["index"] > 0
    assert made["jobs"] == [{"id": job + 1, "name": "encode"}]
    cluster.client("kill", job)
    cluster.client("purge", job)
    again = {"index": made["index"], "jobs": [{"id": job + 1, "name": None}]}
    assert cluster.client.json(*words) == again


def test_what_a_submission_names_and_is_not_there(cluster):
    run = ("run", "--role", "defualt", "--after", 99, "--", "true")
    why = refuse(cluster, *run, status=1)
    assert why == 'triarch: role: there is no role "defualt": did you mean default?\n'
    after = ("run", "--after", 98, "--after", 99, "--", "true")
    assert "after: there is no job 98" in refuse(cluster, *after, status=1)
    jobs = [{"name": "a", "command": "true"}, {"name": "b", "command": "true", "role": "x"}]
    path = cluster.folder / "set.json"
    path.write_text(json.dumps({"jobs": jobs}), encoding="utf-8")
    for command in ("submit", "plan"):
        assert refuse(cluster, command, path, status=1) == (
            "triarch: job 'b': role: there is no role \"x\"; `triarch roles` lists them\n"
        )


# ---- status ----


def test_a_remark_stands_below_its_job_where_lines_do_not_fit(cluster):
    schedule = {"cron": "30 2 * * *", "timezone": "Asia/Tokyo"}
    first = cluster.client.submit_spec(name="nightly", command="true", schedule=schedule)
    argv = ["run", "--name", "a-name-of-a-job-that-is-rather-long", "--cpus", 999]
    second = int(cluster.client(*argv, "--", "true"))
    why = r"next at 20..-..-..T17:30:00Z \([A-Z]..\ 02:30 in Asia/Tokyo\); 0 started"
    wait_until("the slot is known", lambda: re.search(why, cluster.client("status", first)))
    assert re.search(why, cluster.client("status"))
    lines = on_terminal(cluster, "status", "-r")
    assert lines[1].split()[:3] == [str(first), "nightly", "PENDING"], lines
    assert re.match(f" +{why}", lines[2]), lines
    assert lines[3].split()[0] == str(second), lines
    assert lines[4].startswith("    no agent has 999 cpus"), lines
    assert len(lines) == 5, lines


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
