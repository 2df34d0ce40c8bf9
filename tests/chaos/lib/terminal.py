"""A program on a terminal of its own, as a person would run it."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from lib.processes import clean_environment, descendants, kill
from lib.waiting import SLOW, wait_until


class Terminal:
    """`with Terminal(argv) as terminal:`; the program is killed at the end of the block."""

    def __init__(self, argv, rows=24, columns=80, under_shell=False):
        """under_shell: in the foreground, below one that could go on with it when it stops"""
        self.shown = b""
        self.status = None
        self.argv = [os.fspath(word) for word in map(str, argv)]
        self.fd, self.side = pty.openpty()
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self.side)
        self.under_shell = under_shell
        self.pid = os.fork()
        if self.pid == 0:
            self._become()

    def _become(self):
        try:
            self._login()
            if self.under_shell and os.fork() > 0:
                os._exit(self._wait_job())
            if self.under_shell:
                self._take_foreground()
            os.execve(self.argv[0], self.argv, {**clean_environment(), "TERM": "vt100"})
        finally:
            os._exit(125)

    def _login(self):
        """As a login does it, even where a script ignores ^C for these tests (`tests/run &`)."""
        os.setsid()
        for number in signal.SIGINT, signal.SIGQUIT:
            signal.signal(number, signal.SIG_DFL)
        fcntl.ioctl(self.side, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(self.side, fd)
        os.closerange(3, 1024)

    @staticmethod
    def _take_foreground():
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        os.tcsetpgrp(0, os.getpid())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTTOU])

    @staticmethod
    def _wait_job():
        return os.waitstatus_to_exitcode(os.wait()[1]) & 0xFF

    @property
    def job(self):
        """Its pid, below the shell."""
        pids = wait_until("it has begun", lambda: descendants(self.pid))
        return pids[0]

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        if self.status is None:
            kill(self.pid)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        os.close(self.side)

    def resize(self, rows, columns):
        """As a window does: the program gets SIGWINCH."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait_shown(self, text, timeout=20):
        """Until the screen shows a text; what was shown up to its end is forgotten."""
        deadline = time.monotonic() + timeout * SLOW
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, f"no '{text}' in {self.shown!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self.shown += os.read(self.fd, 65536)
        self.shown = self.shown.partition(text.encode())[2]

    def is_raw(self):
        return not termios.tcgetattr(self.side)[3] & termios.ICANON

    def wait_raw(self):
        wait_until("the terminal is raw", self.is_raw)

    def signal(self, number):
        os.kill(self.pid, number)

    def _read(self):
        """False: there was nothing."""
        if not select.select([self.fd], [], [], 0)[0]:
            return False
        self.shown += os.read(self.fd, 65536)
        return True

    def _poll(self):
        if self.status is None:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                while self._read():  # what it wrote at last
                    pass
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait_exit(self, timeout=20):
        """Its exit status, or minus the signal; the terminal must be as it was."""
        wait_until("the program on the terminal has ended", self._poll, timeout)
        assert termios.tcgetattr(self.side) == self.modes, "the terminal was not restored"
        return self.status

    def check_shell(self, box=""):
        """A person's talk with `sh` on 33 x 99, whose tools are `box` TOOL; it ends with 42."""
        self.wait_raw()
        self.type(f"PS1=''; {box}stty -echo; echo ready:$TERM\n")
        self.wait_shown("ready:vt100")
        self.type(f"{box}stty size\n")
        self.wait_shown("33 99")
        self.resize(50, 132)
        self.type(f"until {box}stty size | grep 132; do sleep 0.05; done\n")
        self.wait_shown("50 132")
        self.type("trap 'end=1' INT; echo set; ")
        self.type("until [ $end ]; do sleep 0.05; done; echo caught\n")
        self.wait_shown("set")
        self.type("\x03")
        self.wait_shown("caught")
        self.type("(exit 42)\n")
        self.type("\x04")
        assert self.wait_exit() == 42
