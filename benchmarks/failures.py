"""The cost of failures without logs: 5,000 of them in 50 experiments.

Goals: after one poll of a queue file all have a cause; with a server that refuses each log it takes 250
polls of 20 jobs each, and none takes longer than 60 s.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the experiments come from the test helpers

from fmon.errors import QueueError
from fmon.sky.logs import NoLogs
from fmon.sky.reader import LogReader, LogRequest
from fmon.store.findings import read_findings
from fmon.store.folder import stores
from tests.support.backlogs import Backlog

EXPERIMENTS, FAILURES = 50, 100
MOST_POLLS = 300


class RefusingLogs:
    """A server that refuses each log."""

    name = "sky"

    def read(
        self, asks: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Refuse the request."""
        for ask in asks:
            yield ask, QueueError("no permission", error_type="HTTP403")


def examined_count(backlog: Backlog) -> int:
    """Count the failures that have a cause."""
    return sum(len(read_findings(store)) for store in stores(backlog.data))


def polls_s(logs: LogReader) -> list[float]:
    """Poll until all failures have a cause; return the time of each poll [s]."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        backlog = Backlog(Path(name), experiment_count=EXPERIMENTS, failure_count=FAILURES)
        while len(times) < MOST_POLLS and examined_count(backlog) < EXPERIMENTS * FAILURES:
            started = time.perf_counter()
            backlog.poll(logs, minute=len(times) + 1)
            times.append(time.perf_counter() - started)
    return times


def main() -> None:
    """Print counts and times."""
    times = polls_s(NoLogs("file:queue.json"))
    print(f"queue file: {len(times)} poll (goal 1), {times[0]:.1f} s")
    first, *others = polls_s(RefusingLogs())
    print(
        f"each log refused: {1 + len(others)} polls (goal 250), the first, which stores the queue's answer,"
    )
    print(
        f"{first:.1f} s, the others {sum(others) / len(others):.2f} s, at most {max(others):.2f} s (goal 60)"
    )


if __name__ == "__main__":
    main()
