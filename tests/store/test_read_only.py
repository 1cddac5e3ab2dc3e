"""A store that can't be written is copied; outputs go elsewhere."""

import pytest

from fmon.errors import StoreError
from fmon.events import AttachEvent
from fmon.manifest.file import read_manifest
from fmon.store.events import append_event, read_events
from fmon.store.job_logs import load_log, save_log
from fmon.store.log import polls_of
from fmon.store.read_only import require_writable, workplace
from fmon.store.reading import listing
from tests.support.read_only import read_only
from tests.support.stores import START, new_store, poll, record


@pytest.fixture
def store(tmp_path):
    store = new_store(tmp_path / "data")
    poll(store, 0, record(1))
    append_event(store, AttachEvent(at=START, jobs={}, source="first"))
    save_log(store, "1.log", "KeyError")
    return store


def test_a_store_that_can_be_written_is_used_itself(store):
    with workplace(store) as place:
        assert place == (store, None)


@pytest.mark.parametrize("part", ["path", "events", "log_dir", "job_logs", "lock_file"])
def test_a_store_of_which_a_part_cant_be_written_is_copied(store, part):
    before = listing(store.path), listing(store.path.parent)
    with read_only(getattr(store, part)), workplace(store) as (copy, unrecorded):
        assert unrecorded.startswith(f"nothing was recorded: {getattr(store, part)} can't be written; ")
        assert copy.experiment_id == store.experiment_id
        poll(copy, 1, record(1, "FAILED"))
        append_event(copy, AttachEvent(at=START, jobs={}, source="second"))
        save_log(copy, "1.log", "OSError")
        assert [event.source for event in read_events(copy)] == ["first", "second"]
        assert (len(polls_of(copy)), load_log(copy, "1.log")) == (2, "OSError")
    assert not copy.path.exists()
    assert (listing(store.path), listing(store.path.parent)) == before
    assert [event.source for event in read_events(store)] == ["first"]
    assert (len(polls_of(store)), load_log(store, "1.log")) == (1, "KeyError")


def test_so_is_one_in_a_read_only_data_folder_without_logs(tmp_path):
    store = new_store(tmp_path / "data")
    with read_only(tmp_path / "data"), workplace(store) as (copy, unrecorded):
        assert unrecorded is not None
        assert read_manifest(copy) == read_manifest(store)


def test_a_folder_for_outputs_can_be_created_or_the_option_is_named(tmp_path):
    require_writable(tmp_path / "new" / "reports")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"Not a directory.*--out-dir DIR"):
        require_writable(tmp_path / "file" / "reports")
    with read_only(tmp_path), pytest.raises(StoreError, match=r"Permission denied.*--out-dir DIR") as refusal:
        require_writable(tmp_path / "reports")
    assert refusal.value.exit_code == 14
