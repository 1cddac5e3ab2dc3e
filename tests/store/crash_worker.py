"""A poller or a reader that someone else kills: ``python -m tests.store.crash_worker ROLE STORE ACKS``.

A poller invents what it sees from the time it looked at, so that whoever reads the log knows the truth;
it writes "poll_id polled_at" into ACKS once ``append`` has returned.
"""

import os
import random
import sys
from datetime import timedelta
from pathlib import Path

from fmon.store.lean import import_pyarrow_alone

import_pyarrow_alone()

from fmon.model import Record  # noqa: E402
from fmon.store import compaction  # noqa: E402
from fmon.store.folder import Store  # noqa: E402
from fmon.store.log import EPOCH, Poll, append  # noqa: E402
from tests.support.stores import beats  # noqa: E402

STOP = "stop"


def seen_at(polled_at: int) -> list[Record] | None:
    """What a look at this time sees; None = the look failed."""
    dice = random.Random(polled_at)
    if dice.random() < 0.15:
        return None
    jobs = [job_id for job_id in range(1, 6) if dice.random() < 0.85]
    return [Record(job_id=job_id, status=dice.choice(["PENDING", "RUNNING", "FAILED"])) for job_id in jobs]


def acknowledged(folder: Path) -> list[tuple[int, int]]:
    """Read what pollers have acknowledged; a torn last line was not."""
    lines = [line for path in folder.glob("*.acks") for line in path.read_text().split("\n")[:-1]]
    return [(int(poll_id), int(polled_at)) for poll_id, polled_at in map(str.split, lines)]


def run_poller(store: Store, acks: Path) -> None:
    handle = os.open(acks / f"{os.getpid()}.acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    dice = random.Random()
    polled_at, records = 0, None
    while True:
        if not polled_at or dice.random() < 0.7:  # else a quiet poll: the same answer at another time
            polled_at = dice.getrandbits(50)
            records = seen_at(polled_at)
        appended = append(store, Poll(EPOCH + timedelta(microseconds=polled_at), "sky"), records)
        os.write(handle, f"{appended.poll_id} {polled_at}\n".encode())


def run_reader(store: Store, acks: Path) -> None:
    while not (acks / STOP).exists():
        newest = max((poll_id for poll_id, _ in acknowledged(acks)), default=0)
        found = [beat["poll_id"] for beat in beats(store)]
        assert found == list(range(1, len(found) + 1)), found
        assert len(found) >= newest, (len(found), newest)


def truth_of(store: Store) -> dict[int, list[Record] | None]:
    return {beat["polled_at"]: seen_at(beat["polled_at"]) for beat in beats(store)}


if __name__ == "__main__":
    compaction.TIERS = (3, 9, 27)
    compaction.GRACE_S = 0.5
    compaction.GRACE_POLLS = 1_000_000
    role, path, acks = sys.argv[1:]
    {"poller": run_poller, "reader": run_reader}[role](Store(Path(path)), Path(acks))
