"""Jobs that are submitted all the time, each by a `triarch run` of its own."""

import threading
from dataclasses import dataclass

from lib.cluster import Failed
from lib.processes import now
from lib.waiting import SLOW


@dataclass
class Acknowledged:
    key: str
    job: int
    at: float  # monotonic seconds


class Load:
    """`with Load(cluster) as load:` submits from some threads until the end of the block."""

    def __init__(self, cluster, prefix="load", threads=2):
        self.cluster = cluster
        self.prefix = prefix
        self.lock = threading.Lock()
        self.grown = threading.Condition(self.lock)
        self.acknowledged = []
        self.failures = []
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._work, args=(n,)) for n in range(threads)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *reason):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _work(self, number):
        client, witness = self.cluster.client, self.cluster.witness
        count = 0
        while not self.over.is_set():
            count += 1
            key = f"{self.prefix}-{number}-{count}"
            try:
                job = client.submit(*witness.argv(), key=key, name=key)
            except Failed as failure:
                with self.lock:
                    self.failures.append(str(failure))
                continue
            with self.grown:
                self.acknowledged.append(Acknowledged(key, job, now()))
                self.grown.notify_all()

    def wait_more(self, count, timeout=40):
        """Until so many more jobs were acknowledged than now."""
        with self.grown:
            wanted = len(self.acknowledged) + count
            enough = self.grown.wait_for(
                lambda: len(self.acknowledged) >= wanted, timeout * SLOW
            )
            assert (
                enough
            ), f"no {count} jobs were acknowledged in {timeout} s: {self.failures}"

    def longest_gap(self):
        """The longest time between two jobs acknowledged, in seconds."""
        times = sorted(job.at for job in self.acknowledged)
        return max(after - before for before, after in zip(times, times[1:]))

    def check(self):
        """No submission failed; every job exists on every master, once, and ran once."""
        assert not self.failures, self.failures
        by_key = {job.key: job.job for job in self.acknowledged}
        for job in by_key.values():
            self.cluster.wait_job(job)
        for master in self.cluster.masters:
            self.cluster.wait_caught_up(master)
            self._check_master(master, by_key)
        for job in by_key.values():
            self.cluster.witness.check_ran_once(job)

    def _check_master(self, master, by_key):
        ids = {}
        for job in master.jobs().values():
            ids.setdefault(job["name"], []).append(job["id"])
        for key, job in by_key.items():
            assert ids.get(key) == [
                job
            ], f"{master.name}: {key} is {ids.get(key)}, not {job}"
