"""From the files of stores to rows: what is bound, what is refused, what is left out."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

import fmon
from fmon.errors import ConfigError, ManifestError, StoreError
from fmon.events import FixEvent, FixVerifiedEvent
from fmon.manifest.file import write_manifest
from fmon.model import Attempt, Limits
from fmon.store.compaction import close
from fmon.store.events import append_event
from fmon.store.reading import reading_set
from fmon.warehouse import VIEWS, connect, dictionary, query_rows, rows
from tests.support import ROOT
from tests.support.queries import select
from tests.support.stores import ID, START, manifest, new_store, poll, record
from tests.tools.views import markdown


def test_connect_binds_manifest_and_log(store, tmp_path):
    con = connect(tmp_path, ID, now=START + timedelta(hours=2))
    states = {row["condition_id"]: row["state"] for row in rows(con, "select * from condition")}
    assert states == {
        "dynunet-true": "succeeded",
        "dynunet-false": "running",
        "sam3-true": "pending",
        "sam3-false": "pending",
        "zeroshot": "missing",
    }
    assert rows(con, "select is_ok, seen_count, changed_count from poll order by poll_id") == [
        {"is_ok": True, "seen_count": 2, "changed_count": 2},
        {"is_ok": False, "seen_count": None, "changed_count": 0},
    ]


def test_events_of_the_same_instant_keep_the_order_in_which_they_were_written(store, tmp_path):
    fields = {"cycle": 0, "by": "ada"}
    verified = {"image": None, "digest": None, "is_ok": True, "links": [], "commits": []}
    append_event(store, FixEvent(at=START, root_cause_id="z", what="first", **fields))
    append_event(store, FixVerifiedEvent(at=START, cycle=0, **verified))
    append_event(store, FixEvent(at=START, root_cause_id="a", what="second", **fields))
    con = connect(tmp_path, ID, now=START)
    written = [(1, "z"), (3, "a")]
    found = rows(con, "select event_position, root_cause_id from fix_record order by event_position")
    assert [tuple(row.values()) for row in found] == written
    kinds = rows(con, "select kind from action_history where kind <> 'launch' order by event_number")
    assert [row["kind"] for row in kinds] == ["fix", "check", "fix"]


def test_rows_are_python_values(store, tmp_path):
    con = connect(tmp_path, ID, now=START + timedelta(hours=2))
    done, running = rows(con, "select run_s, cost_usd, end_at from job order by job_id")
    assert done == {"run_s": 3600.0, "cost_usd": Decimal("1.3000"), "end_at": START + timedelta(hours=1)}
    assert done["end_at"].utcoffset() == timedelta(0)
    assert running == {"run_s": 7200.0, "cost_usd": None, "end_at": None}
    [entry] = rows(con, "select factors from condition where condition_id = ?", ["dynunet-true"])
    assert entry == {"factors": {"model": "dynunet", "calib": "true"}}


def test_times_in_lists_and_maps_are_utc_too(store, tmp_path):
    con = connect(tmp_path)
    query = (
        "select [created_at] as times, map {'a': created_at} as map, [map {'a': 'b'}] as maps from experiment"
    )
    assert rows(con, query) == [{"times": [START], "map": {"a": START}, "maps": [{"a": "b"}]}]


def test_rows_keep_the_order_of_the_query(store, tmp_path):
    query = "select now_at + to_seconds(i) as at, i from experiment, range(3000) as r(i) order by i desc"
    assert [row["i"] for row in select(tmp_path, query)] == list(reversed(range(3000)))


def test_levels_keep_their_order_and_are_text(store, tmp_path):
    con = connect(tmp_path)
    found = rows(
        con,
        "select factor, level from coverage where level_number >= 0 order by factor_number, level_number",
    )
    assert [(row["factor"], row["level"]) for row in found] == [
        ("model", "dynunet"),
        ("model", "sam3"),
        ("calib", "true"),
        ("calib", "false"),
    ]


def test_attempts_of_all_cycles_and_thresholds_are_bound(store, tmp_path):
    changed = manifest(current_cycle=1, limits=Limits(budget_usd=25, pending_minutes=5, overrun_factor=2))
    entry = changed.jobs[0]
    entry.relaunch_batch, entry.job_id, entry.expected_minutes = 1, 11, 10
    entry.attempts = [Attempt(cycle=0, job_id=1), Attempt(cycle=0, job_id=10, role="superseded")]
    write_manifest(store, changed)
    con = connect(tmp_path)
    assert rows(
        con, "select cycle, job_id, role from attempt where condition_id = 'dynunet-true' order by job_id"
    ) == [
        {"cycle": 0, "job_id": 1, "role": "attempt"},
        {"cycle": 0, "job_id": 10, "role": "superseded"},
        {"cycle": 1, "job_id": 11, "role": "attempt"},
    ]
    [bound] = rows(
        con, "select budget_usd, pending_threshold_s, starting_threshold_s, overrun_factor from experiment"
    )
    assert bound == {
        "budget_usd": Decimal(25),
        "pending_threshold_s": 300.0,
        "starting_threshold_s": 600.0,
        "overrun_factor": 2.0,
    }
    assert rows(con, "select expected_s from condition where condition_id = 'dynunet-true'") == [
        {"expected_s": 600.0}
    ]


@pytest.mark.slow
def test_all_experiments_are_bound_and_a_prefix_picks_one(store, tmp_path):
    new_store(tmp_path, "other-20260101T000000Z")
    ids = "select experiment_id, poll_count from experiment order by 1"
    assert select(tmp_path, ids) == [
        {"experiment_id": "other-20260101T000000Z", "poll_count": 0},
        {"experiment_id": ID, "poll_count": 2},
    ]
    assert rows(connect(tmp_path, "oth"), ids) == [
        {"experiment_id": "other-20260101T000000Z", "poll_count": 0}
    ]


def test_an_experiment_without_polls_has_its_conditions(tmp_path):
    new_store(tmp_path)
    [outcome] = select(
        tmp_path,
        "select condition_count, missing_count, open_count, cost_usd from experiment_summary",
    )
    assert outcome == {"condition_count": 5, "missing_count": 1, "open_count": 4, "cost_usd": Decimal(0)}


@pytest.mark.parametrize("folder", ["a [1]", "a*b", "a=b", "q'uote"])
def test_no_name_of_the_data_folder_is_a_pattern(tmp_path, folder):
    poll(new_store(tmp_path / folder), 1, record(1))
    assert select(tmp_path / folder, "select job_id from job") == [{"job_id": 1}]


def test_a_connection_is_of_one_instant(store, tmp_path):
    """A notebook stays open while polls come in and compaction deletes what it was made from."""
    con = connect(tmp_path)
    poll(store, 3, record(1, "FAILED"))
    for path in reading_set(store):
        path.unlink()
    assert rows(con, "select count(*) as n from poll") == [{"n": 2}]


def test_a_file_that_compaction_takes_away_is_read_from_its_successor(store, tmp_path, monkeypatch):
    from fmon.warehouse import load

    def compacted_meanwhile(path, columns, **wanted):
        close(store, now=datetime.now(UTC))
        return real(path, columns, **wanted)

    real = load.read_log_file
    monkeypatch.setattr(load, "read_log_file", compacted_meanwhile)
    assert select(tmp_path, "select count(*) as n from poll") == [{"n": 2}]


def test_only_what_is_asked_for_is_made(store, tmp_path):
    con = connect(tmp_path, queries=["from poll"])
    assert rows(con, "select count(*) as n from poll") == [{"n": 2}]
    assert rows(con, "select view_name from duckdb_views() where not internal") == [{"view_name": "poll"}]
    assert rows(con, "select count(*) as n from snapshot") == [{"n": 0}]


@pytest.mark.parametrize("experiment", [None, "x"])
def test_without_an_experiment_it_says_how_to_make_one(tmp_path, experiment):
    with pytest.raises(ConfigError, match=r"no experiment in .*fmon adopt CONFIG"):
        connect(tmp_path / "nothing", experiment)


def test_a_broken_manifest_is_refused_where_it_was_asked_for(store, tmp_path):
    store.manifest.write_text("{")
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        connect(tmp_path, ID)
    with pytest.raises(ManifestError):
        connect(tmp_path)  # it is the only one


@pytest.mark.parametrize(("name", "content"), [("manifest.json", "{"), ("events.jsonl", '{"event":"fix"}\n')])
def test_a_broken_file_does_not_keep_anyone_from_the_others(store, tmp_path, name, content):
    other = new_store(tmp_path, "other-20260101T000000Z")
    (other.path / name).write_text(content)
    with pytest.warns(UserWarning, match="an experiment is left out: .*other-20260101T000000Z"):
        con = connect(tmp_path)
    assert rows(con, "select experiment_id from experiment") == [{"experiment_id": ID}]


def test_a_damaged_log_is_refused_with_what_to_do(store, tmp_path):
    path = reading_set(store)[0]
    content = bytearray(path.read_bytes())
    content[20:40] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        connect(tmp_path, ID)


def test_a_recording_stands_still_and_the_live_clock_runs(store, tmp_path):
    before = datetime.now(UTC)
    assert select(tmp_path, "select now_at from experiment")[0]["now_at"] >= before
    write_manifest(store, manifest(is_replay=True))
    assert select(tmp_path, "select now_at from experiment") == [{"now_at": START + timedelta(minutes=2)}]


def test_query_rows_name_the_columns_of_an_empty_answer(store, tmp_path):
    con = connect(tmp_path)
    assert query_rows(con, "select job_id, status from job where false") == (["job_id", "status"], [])
    assert query_rows(con, "") == ([], [])


@pytest.mark.slow
def test_columns_of_one_name_are_told_apart(store, tmp_path):
    names, [row] = query_rows(connect(tmp_path), "select 1 as a, 2 as a, 3 as a")
    assert len(set(names)) == 3
    assert [row[name] for name in names] == [1, 2, 3]


def test_every_view_stands_once_in_the_catalog_with_its_comment(store, tmp_path):
    con = connect(tmp_path)
    listed = [row["name"] for row in rows(con, "show tables")]
    assert len(listed) == len({*listed})
    query = """
        select table_name from (from duckdb_views() select view_name as table_name, comment
        union all from duckdb_tables() select table_name, comment) where comment is not null
    """
    assert {row["table_name"] for row in rows(con, query)} == {
        row["view"] for row in dictionary()[1] if "(" not in row["view"]
    } | {"status"}


@pytest.mark.parametrize("query", ["selct", "select nope from job", "select 1/'a' from job"])
def test_a_wrong_query_is_one_clear_refusal(store, tmp_path, query):
    with pytest.raises(ConfigError, match="the query can't be run"):
        query_rows(connect(tmp_path), query)


@pytest.mark.slow
def test_the_dictionary_lists_every_column_of_every_view():
    columns, listed = dictionary()
    assert columns == ["view", "column", "type", "unit", "meaning", "grain"]
    assert {row["view"].partition("(")[0] for row in listed} == {*VIEWS} - {"status"}
    assert all(row[name] for row in listed for name in columns)


def test_docs_views_is_what_the_comments_say():
    assert (ROOT / "docs/views.md").read_text(encoding="utf-8") == markdown()


@pytest.mark.slow
def test_the_picture_hangs_every_view_on_the_closest_keys_it_carries():
    drawn = markdown()
    for line in (
        "experiment ||--o{ condition : has",
        "experiment ||--o| experiment_summary : has",
        "condition ||--o{ job : has",
        "cause ||--o{ failure : has",
        "job ||--o{ transition : has",
        "job_observation --> transition",
    ):
        assert f"    {line}\n" in drawn
    assert "experiment ||--o{ failure :" not in drawn


def test_the_public_connect_opens_the_views(store, tmp_path):
    assert rows(fmon.connect(tmp_path, ID), "select count(*) as n from condition") == [{"n": 5}]


@pytest.mark.slow
def test_reading_rows_needs_neither_pytz_nor_polars(store, tmp_path):
    code = (
        "import sys\nfor name in ('pytz', 'polars'): sys.modules[name] = None\n"
        "from fmon.store.lean import import_pyarrow_alone\nimport_pyarrow_alone()\n"
        "from fmon.warehouse import connect, rows\n"
        "print(rows(connect(sys.argv[1]), 'select since_at, cost_usd, run_s from job order by job_id')[0])\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert "Decimal('1.3000')" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.slow
def test_20_000_entries_are_bound_fast(tmp_path):
    """A guard against rows bound one by one, which takes minutes; the machine may be busy."""
    import time

    store = new_store(tmp_path)
    grid = [
        msgspec.structs.replace(manifest().jobs[0], condition=f"c{n}", job_name=f"j{n}", job_id=n + 1)
        for n in range(20_000)
    ]
    write_manifest(store, manifest(jobs=grid, expected_job_count=len(grid)))
    before = time.process_time()
    con = connect(tmp_path, queries=["from condition_level"])
    assert time.process_time() - before < 4
    assert rows(con, "select count(*) as n from condition_level") == [{"n": 40_000}]
