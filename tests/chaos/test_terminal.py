"""Commands on a terminal, typed at by a person."""

import signal

import pytest
from lib.cluster import BUILD
from lib.terminal import Terminal


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(masters=1, agents=1)


def on_terminal(cluster, *words):
    argv = [BUILD / "triarch", "--masters", cluster.client.addresses, *words]
    return Terminal(argv, columns=100)


# ---- top ----


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_top_is_left_while_masters_are_away(cluster, key):
    """A request may be repeated for half a minute; who wants to leave does not wait for it."""
    with on_terminal(cluster, "top") as terminal:
        terminal.wait_shown("by cpu")
        terminal.wait_raw()
        cluster.masters[0].stop()
        terminal.wait_shown("no answer for ")
        terminal.type(key)
        terminal.wait_shown("\033[?1049l")
        assert terminal.wait_exit(timeout=5) == 0
    cluster.masters[0].go_on()


def test_top_goes_on_when_masters_are_back(cluster):
    with on_terminal(cluster, "top") as terminal:
        terminal.wait_shown("by cpu")
        cluster.masters[0].stop()
        terminal.wait_shown("no answer for ")
        cluster.masters[0].go_on()
        terminal.wait_shown("by cpu")
        terminal.signal(signal.SIGTERM)
        assert terminal.wait_exit() == 0


# ---- logs ----


def test_both_logs_of_a_task(cluster):
    """Each line whole, with the stream that it came from; also followed while both grow."""
    gate = cluster.folder / "gate"
    text = f"""echo out 1; echo err 1 >&2; until test -e {gate}; do sleep 0.05; done
        echo out 2; echo err 2 >&2; printf 'no end'"""
    job = cluster.client.submit("sh", "-c", text, mem=16)
    task = f"{job}.0"
    lines = {
        f"{task} {stream} | {word} {n}"
        for stream, word in (("stdout", "out"), ("stderr", "err"))
        for n in (1, 2)
    }
    with on_terminal(cluster, "logs", "--both", "-f", task) as terminal:
        for _ in range(2):
            terminal.wait_shown(" 1\r\n")
        gate.touch()
        for _ in range(2):
            terminal.wait_shown(" 2\r\n")
        assert terminal.wait_exit() == 0
    shown = cluster.client("logs", "--both", job).splitlines()
    assert set(shown) == lines | {f"{task} stdout | no end"} and len(shown) == 5
    assert cluster.client("logs", job) == "out 1\nout 2\nno end"
    assert cluster.client("logs", "--stderr", job) == "err 1\nerr 2\n"


# ---- submit ----


def test_one_end_of_input_ends_a_job_file(cluster):
    """Ctrl-D at the beginning of a line, once: nobody types it twice."""
    with on_terminal(cluster, "submit", "-") as terminal:
        terminal.type("name: typed\n")
        terminal.type("command: echo hello\n")
        terminal.wait_shown("echo hello\r\n")
        terminal.type("\x04")
        assert terminal.wait_exit(timeout=10) == 0
        job = int(terminal.shown.split()[-1])
    assert cluster.wait_job(job)["state"] == "COMPLETE"
    assert cluster.client("logs", job) == "hello\n"
