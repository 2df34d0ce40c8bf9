"""The witness itself: what the other tests rest on sees doubled and lost runs."""

import os
import subprocess

import pytest

from lib.cluster import BUILD, Gate
from lib.waiting import wait_until
from lib.witness import Witness

TASK = {"TRIARCH_JOB_ID": "7", "TRIARCH_INSTANCE": "0", "TRIARCH_AGENT_ID": "1"}


def start(witness, attempt, gate=None):
    own = {"TRIARCH_ATTEMPT": str(attempt), "TRIARCH_FENCE": str(attempt)}
    return subprocess.Popen(
        list(map(str, witness.argv(gate))), env=os.environ | TASK | own
    )


def test_two_at_once(tmp_path):
    witness, gate = Witness(BUILD, tmp_path), Gate(tmp_path / "gate")
    first = start(witness, 1, gate)
    wait_until("it has begun", lambda: witness.begun(7, 1))
    assert start(witness, 2).wait(20) == 99
    gate.open()
    assert first.wait(20) == 0
    assert [line.what for line in witness.lines(7)] == ["begin", "double", "end"]
    for check in (witness.check_ran_once, witness.check_finished_once):
        with pytest.raises(AssertionError):
            check(7)


def test_two_after_each_other(tmp_path):
    witness = Witness(BUILD, tmp_path)
    for attempt in (1, 2):
        assert start(witness, attempt).wait(20) == 0
    with pytest.raises(AssertionError):
        witness.check_ran_once(7)


def test_cut_off_and_never_begun(tmp_path):
    witness, gate = Witness(BUILD, tmp_path), Gate(tmp_path / "gate")
    with pytest.raises(AssertionError):
        witness.check_ran_once(7)
    first = start(witness, 1, gate)
    wait_until("it has begun", lambda: witness.begun(7, 1))
    first.kill()
    first.wait(20)
    gate.open()
    with pytest.raises(AssertionError):
        witness.check_ran_once(7)
    assert start(witness, 2).wait(20) == 0
    witness.check_finished_once(7)
