"""The store that most tests of the warehouse read."""

import pytest

from fmon.store.folder import Store
from tests.support.stores import START, failed_poll, new_store, poll, record

US = 1_000_000


@pytest.fixture
def store(tmp_path) -> Store:
    """An experiment of two polls, one of them failed: job 1 succeeded, job 2 runs, 3 and 4 are unseen."""
    made = new_store(tmp_path)
    start = int(START.timestamp()) * US
    done = record(1, "SUCCEEDED", start_at=start, end_at=start + 3600 * US, price_usd_per_h=1.3, job_name="a")
    poll(made, 1, done, record(2, "RUNNING", start_at=start, job_name="b"))
    failed_poll(made, 2)
    return made
