"""The state can be lost, damaged or ahead: the log is what counts."""

import pytest

from fmon.store import state
from tests.support.stores import failed_poll, poll, record, rows


@pytest.fixture
def polled(store):
    poll(store, 0, record(1, "PENDING"), record(2))
    poll(store, 1, record(1, "RUNNING"))
    poll(store, 2, record(1, "RUNNING"))
    return store


def newest(store):
    table = state.load(store, state.header(store, 10**6))
    return sorted(
        (key, row[state.ROW.index("status")], row[state.ROW.index("is_seen")])
        for key, row in state.rows_of(table).items()
    )


EXPECTED = [((1, 0), "RUNNING", True), ((2, 0), "RUNNING", False)]


def test_the_state_equals_what_the_log_says(polled):
    kept = state.load(polled, state.header(polled, 3))
    rebuilt = state.load(polled, None)
    assert newest(polled) == EXPECTED
    assert kept.equals(rebuilt)


def test_a_quiet_poll_does_not_write_the_state(polled):
    before = polled.state.stat().st_ino
    poll(polled, 3, record(1, "RUNNING"))
    failed_poll(polled, 4)
    assert polled.state.stat().st_ino == before
    poll(polled, 5, record(1, "SUCCEEDED"))
    assert polled.state.stat().st_ino != before


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)


def replace_by_another_table(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), path)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"garbage" * 100),
        cut,
        flip_a_bit,
        replace_by_another_table,
    ],
    ids=["missing", "empty", "garbage", "cut", "bit", "other"],
)
def test_a_harmed_state_is_rebuilt(polled, harm):
    harm(polled.state)
    count = len(rows(polled))
    assert poll(polled, 3, record(1, "SUCCEEDED")).changed_count == 1
    assert [(row["job_id"], row["status"]) for row in rows(polled)[count:]] == [(1, "SUCCEEDED")]
    assert newest(polled)[1] == EXPECTED[1]


@pytest.mark.parametrize("next_poll", ["quiet", "failed", "changed"])
def test_a_state_ahead_of_the_log_is_never_believed(polled, next_poll):
    """The writer died between state and log; the next poll gets the id that the dead one had."""
    log_before = {path: path.read_bytes() for path in polled.log_dir.iterdir()}
    poll(polled, 3, record(1, "FAILED"))
    for path in polled.log_dir.iterdir():
        if path not in log_before:
            path.unlink()
    assert state.Header(4, "").poll_id == 4
    if next_poll == "failed":
        assert failed_poll(polled, 4).poll_id == 4
    elif next_poll == "quiet":
        assert poll(polled, 4, record(1, "RUNNING")) == (4, 0)
    else:
        assert poll(polled, 4, record(1, "SUCCEEDED")) == (4, 1)
    assert poll(polled, 5, record(1, "FAILED")) == (5, 1)
    assert newest(polled)[0] == ((1, 0), "FAILED", True)
