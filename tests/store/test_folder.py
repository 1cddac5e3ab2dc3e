"""Which experiments there are, and which one is meant."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from fmon.errors import ConfigError
from fmon.store.compaction import close
from fmon.store.folder import Store, find, stores
from tests.support.stores import manifest, new_store


def ids(data):
    return [store.experiment_id for store in stores(data)]


def make(data, *names):
    for name in names:
        new_store(data, name)


def test_a_folder_without_manifest_is_no_store(tmp_path):
    make(tmp_path, "a-20260101T000000Z")
    (tmp_path / "demo").mkdir()
    (tmp_path / "file").touch()
    assert ids(tmp_path) == ["a-20260101T000000Z"]


def test_a_data_folder_that_does_not_exist_has_no_experiments(tmp_path):
    assert stores(tmp_path / "none") == []
    with pytest.raises(ConfigError, match=r"no experiment in .*fmon adopt"):
        find(tmp_path / "none")


def test_a_data_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"can't be read .*; give the folder"):
        stores(tmp_path / "file")


def test_the_newest_is_found_by_creation_then_id(tmp_path):
    make(tmp_path, "z-20260101T000000Z", "a-20260301T000000Z", "b-20260301T000000Z")
    assert find(tmp_path).experiment_id == "b-20260301T000000Z"


def test_an_id_without_a_time_is_dated_by_its_manifest_and_a_broken_one_is_oldest(tmp_path):
    make(tmp_path, "a-20260101T000000Z", "b", "c-99999999T999999Z")
    (tmp_path / "c-99999999T999999Z" / "manifest.json").write_text("{")
    assert find(tmp_path).experiment_id == "b"


def test_a_unique_start_is_enough_and_a_whole_id_beats_longer_ones(tmp_path):
    make(tmp_path, "grid-20260101T000000Z", "grid", "gr")
    assert find(tmp_path, "grid-").experiment_id == "grid-20260101T000000Z"
    assert find(tmp_path, "grid").experiment_id == "grid"


def test_an_ambiguous_or_unknown_start_names_the_candidates(tmp_path):
    make(tmp_path, *(f"grid-2026010{day}T000000Z" for day in range(1, 8)))
    with pytest.raises(ConfigError, match=r"matches 7 experiments: grid-20260101T000000Z, .* and 2 more"):
        find(tmp_path, "grid")
    with pytest.raises(ConfigError, match="starts with 'x'; available: grid-20260101T000000Z"):
        find(tmp_path, "x")


def test_a_start_is_no_pattern_and_no_substring(tmp_path):
    make(tmp_path, "dice_ce-20260101T000000Z")
    for prefix in ("ce", "*", "dice_ce-2026.*", "../"):
        with pytest.raises(ConfigError):
            find(tmp_path, prefix)


def test_closing_and_reopening(store):
    assert not store.is_closed
    close(store, now=datetime.now(UTC))
    close(store, now=datetime.now(UTC))
    assert store.is_closed
    store.reopen()
    store.reopen()
    assert not store.is_closed


def test_whether_anything_is_open_is_known_without_a_library(tmp_path):
    make(tmp_path, "a-20260101T000000Z")
    close(Store(tmp_path / "a-20260101T000000Z"), now=datetime.now(UTC))
    code = (
        "import sys; from fmon.store.folder import find, stores\n"
        "assert [s.is_closed for s in stores(sys.argv[1])] == [True]\n"
        "find(sys.argv[1])\n"
        "print([name for name in ('msgspec', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_id_is_the_folders_name_wherever_one_stands(store, monkeypatch):
    monkeypatch.chdir(store.path)
    from pathlib import Path

    assert Store(Path()).experiment_id == store.experiment_id
    assert json.loads(store.manifest.read_text())["experiment_id"] == manifest().experiment_id
