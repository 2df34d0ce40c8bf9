"""Tasks that witness how often they ran: see witness.c."""

from collections import Counter
from dataclasses import dataclass


@dataclass
class Line:
    what: str
    attempt: int
    agent: int
    fence: int
    at_ns: int


class Witness:
    def __init__(self, build, folder):
        self.program = build / "tests" / "chaos" / "witness"
        self.folder = folder / "witness"
        self.folder.mkdir()

    def argv(self, gate=None, status=0):
        """The command of a task."""
        return [self.program, self.folder, gate.path if gate else "-", str(status)]

    def lines(self, job, instance=0):
        try:
            text = (self.folder / f"{job}.{instance}").read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        split = [line.split() for line in text.splitlines()]
        return [Line(words[0], *map(int, words[1:])) for words in split]

    def begun(self, job, instances):
        """How many instances have begun."""
        return sum(any(self.lines(job, n)) for n in range(instances))

    def check_ran_once(self, job, instances=1):
        """Each instance began once, in one attempt, and came to its end."""
        for n in range(instances):
            seen = [line.what for line in self.lines(job, n)]
            assert seen == ["begin", "end"], f"task {job}.{n} ran as {seen}"

    def check_finished_once(self, job, instances=1):
        """Each instance came to its end once, whatever was cut off before; never two at once."""
        for n in range(instances):
            seen = Counter(line.what for line in self.lines(job, n))
            assert (
                seen["end"] == 1 and not seen["double"]
            ), f"task {job}.{n}: {dict(seen)}"
