"""Real processes, and all that they leave behind.

Everything that a test starts is a descendant of the test process, which is a subreaper:
what loses its parent, as the tasks of a killed agent do, becomes its child.  So ending
everything means ending descendants, one by one and by pid.
"""

import ctypes
import os
import re
import signal
import subprocess
import time

from lib.waiting import SLOW, wait_until

PR_SET_CHILD_SUBREAPER = 36

# In the log of a program: an assertion of ours, of a sanitizer, or of the C library.
MISTAKES = re.compile(r".*(?:[Aa]ssertion|Sanitizer|runtime error:|\*\*\* ).*")


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return None, None
    return int(fields[1]), fields[0]


def descendants(pid):
    """Pids below this one that still run."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            parent, state = _parent_of(int(name))
            children.setdefault(parent, []).append((int(name), state))
    found = []
    below = [pid]
    while below:
        for child, state in children.get(below.pop(), []):
            below.append(child)
            if state not in "ZX":
                found.append(child)
    return found


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _reap(pid):
    """True once it is no child of ours, or not running any more."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return pid not in descendants(os.getpid())


def end_all(pids):
    """kill -9, and wait until they are gone."""
    for pid in pids:
        kill(pid)
    for pid in pids:
        wait_until(f"process {pid} has ended", lambda pid=pid: _reap(pid))


def end_descendants():
    """A task that forks while we look is found in the next round."""
    while True:
        pids = descendants(os.getpid())
        if not pids:
            return
        end_all(pids)


def users_of(folder):
    """Descendants that work in a folder, or were told of it: an agent and its tasks."""
    folder = os.fsencode(folder)
    found = []
    for pid in descendants(os.getpid()):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                words = environ.read()
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                words += cmdline.read()
            words += os.fsencode(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            continue
        if folder in words:
            found.append(pid)
    return found


def clean_environment():
    """Ours without settings of Triarch."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TRIARCH_")}


class Process:
    """One program of the cluster; it may be started again and again."""

    def __init__(self, name, argv, log):
        self.name = name
        self.argv = [os.fspath(word) for word in argv]
        self.log = log
        self.popen = None
        self.is_to_run = False

    def start(self, argv=None):
        assert not self.is_running(), f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                argv or self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(),
                start_new_session=True,
            )
        self.is_to_run = True
        return self

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def check(self):
        """It runs if it is to run, and found no mistake in itself."""
        assert self.is_running() or not self.is_to_run, f"{self.name} ended by itself"
        if self.log.exists():
            mistakes = MISTAKES.findall(self.log_text())
            assert not mistakes, f"{self.name}: {mistakes}"

    def signal(self, number):
        self.check()
        os.kill(self.pid, number)

    def kill9(self):
        self.signal(signal.SIGKILL)
        self.wait_exit()

    def stop(self):
        """SIGSTOP; back when the kernel has stopped it."""
        self.signal(signal.SIGSTOP)
        wait_until(f"{self.name} is stopped", lambda: _parent_of(self.pid)[1] == "T")

    def go_on(self):
        self.signal(signal.SIGCONT)

    def terminate(self, timeout=20):
        """SIGTERM; its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def wait_exit(self, timeout=20):
        """Its exit status, when it is to end."""
        self.is_to_run = False
        return self.popen.wait(timeout * SLOW)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def tail(self, lines=60):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def wait_log(self, text, timeout=20):
        wait_until(
            f"{self.name} says '{text}'", lambda: text in self.log_text(), timeout
        )


def now():
    return time.monotonic()
