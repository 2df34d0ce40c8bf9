"""deploy/quickstart, with the programs that are built already."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from lib import processes
from lib.cluster import BUILD
from lib.waiting import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMMAND = ["--no-deps", "--build", str(BUILD), "--tasks", "30"]


def start(tmp_path, deploy=DEPLOY):
    """Its folders are below tmp_path; what it says goes to a file."""
    environment = processes.clean_environment() | {"TMPDIR": str(tmp_path)}
    with open(tmp_path / "said", "wb") as said:
        return subprocess.Popen(
            [deploy / "quickstart", *COMMAND],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )


def said(tmp_path):
    return (tmp_path / "said").read_text(encoding="utf-8")


def check_nothing_left(tmp_path):
    wait_until(
        "all that it started has ended", lambda: not processes.users_of(tmp_path)
    )


def test_it_goes_well(tmp_path):
    """The leader is killed and nothing is lost; nothing is left behind."""
    assert start(tmp_path).wait(90) == 0, said(tmp_path)
    assert re.search(r"kill -9 of master \d.* leads after \d+ ms", said(tmp_path))
    assert "each of 30 tasks ran exactly once" in said(tmp_path)
    assert len(set(re.findall(r"digest ([0-9a-f]{32}) at \d+", said(tmp_path)))) == 1
    assert not list(tmp_path.glob("triarch-quickstart.*"))
    check_nothing_left(tmp_path)


def test_it_sees_what_is_wrong(tmp_path):
    """A task that loses its part, and another one that runs twice."""
    deploy = tmp_path / "deploy"
    shutil.copytree(DEPLOY, deploy, ignore=shutil.ignore_patterns(".build"))
    task = deploy / "hash-headers"
    broken = (
        '[ "$TRIARCH_INSTANCE" != 3 ] || exit 0\n'
        '[ "$TRIARCH_INSTANCE" != 5 ] || echo "begin: again" >&9\nawk -v'
    )
    text = task.read_text(encoding="utf-8")
    assert text.count("awk -v") == 1
    task.write_text(text.replace("awk -v", broken), encoding="utf-8")
    assert start(tmp_path, deploy).wait(90) == 1
    assert "results differ" in said(tmp_path)
    assert "1.3 (begin )" in said(tmp_path) and "1.5 (begin begin" in said(tmp_path)
    logs = re.search(r"Logs and results: (\S+)", said(tmp_path)).group(1)
    assert Path(logs, "master-1.log").exists()
    check_nothing_left(tmp_path)


def test_it_is_interrupted(tmp_path):
    """In the middle of the job: tasks end, too, and the folder goes."""
    quickstart = start(tmp_path)
    wait_until("tasks run", lambda: list(tmp_path.glob("*/out/witness.*")))
    os.kill(quickstart.pid, signal.SIGTERM)
    assert quickstart.wait(20) == 143
    assert not list(tmp_path.glob("triarch-quickstart.*"))
    check_nothing_left(tmp_path)
