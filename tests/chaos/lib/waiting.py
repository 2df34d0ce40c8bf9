"""Waiting for something to become true, with a deadline.

On a slow machine, such as an emulated one, TRIARCH_TEST_SLOW=N makes deadlines N times longer.
"""

import os
import time

PAUSE_S = 0.01
SLOW = float(os.environ.get("TRIARCH_TEST_SLOW", "1"))


def wait_until(what, is_true, timeout=20.0):
    """The first true value of is_true(), asked again and again.

    what: "master 2 leads", for the error when the time is over
    """
    timeout *= SLOW
    deadline = time.monotonic() + timeout
    while True:
        value = is_true()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"still not after {timeout:g} s: {what} (last: {value!r})"
            )
        time.sleep(PAUSE_S)
