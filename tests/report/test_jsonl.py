"""The report's JSONL: what its schema promises, and what DuckDB and polars make of it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from jsonschema import Draft202012Validator

from fmon.manifest.file import read_manifest, write_manifest
from fmon.monitor.replay import replay
from fmon.report.report import report
from fmon.study import open_study
from tests.support import ROOT
from tests.support.studies import NAME, at, job, poll, relaunched, study

SCHEMA = json.loads((ROOT / "fmon/report.schema.json").read_text())
CAUSE = (
    "category",
    "subcategory",
    "root_cause_id",
    "signature",
    "root_cause",
    "evidence",
    "exit_code",
    "remedy",
    "confidence",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The JSONL of the demo."""
    folder = tmp_path_factory.mktemp("jsonl")
    return report(
        open_study(folder, replay(ROOT / "data/demo", folder).experiment_id), folder / "reports"
    ).jsonl


def faults(path: Path) -> list[str]:
    """Hold every line against the schema."""
    validator = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [
        f"line {number}: {fault.json_path}: {[part.message for part in fault.context]}"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for fault in validator.iter_errors(json.loads(line))
    ]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.slow
def test_every_line_of_the_demo_is_what_the_schema_says(demo):
    assert faults(demo) == []


@pytest.mark.slow
def test_conditions_in_every_state_with_relaunches_and_own_costs_are_what_the_schema_says(tmp_path):
    """Also without any price, with a job that no poll has shown, and with SkyPilot's own costs beside."""
    store = study(tmp_path / "data")
    manifest = read_manifest(store)
    relaunched(manifest.jobs[3], 14)
    manifest.jobs[5].job_id = None
    manifest.current_cycle = 1
    write_manifest(store, manifest)
    first = [job(1, "SUCCEEDED"), job(2, "FAILED_SETUP"), job(3, price_usd_per_h=None), job(4, "FAILED")]
    poll(store, 11, first)
    poll(store, 12, None, error="ClusterNotUpError: gone")
    poll(store, 25, [*first, job(14, "CANCELLED", minutes=20), job(99, "RUNNING")])
    out = tmp_path / "reports"
    written = report(
        open_study(tmp_path / "data", NAME), out, ask=lambda jobs, _: dict.fromkeys(jobs, 0.5), now=at(30)
    )
    assert faults(written.jsonl) == []
    assert '"reported": {' in written.jsonl.read_text()
    poll(store, 40, [])
    assert faults(report(open_study(tmp_path / "data", NAME), out, now=at(50)).jsonl) == []


@pytest.mark.slow
def test_an_experiment_that_nobody_has_polled_is_what_the_schema_says(tmp_path):
    study(tmp_path / "data")
    assert faults(report(open_study(tmp_path / "data", NAME), tmp_path, now=at(1)).jsonl) == []


def test_a_line_that_lacks_a_key_or_has_another_is_noticed(demo, tmp_path):
    condition = json.loads(demo.read_text().splitlines()[0])
    less = {key: value for key, value in condition.items() if key != "cost_usd"}
    (tmp_path / "lines").write_text(f"{json.dumps(less)}\n{json.dumps({**condition, 'more': 1})}\n")
    assert len(faults(tmp_path / "lines")) == 2


@pytest.mark.slow
def test_a_failed_attempt_says_why_and_the_others_say_nothing(demo):
    *conditions, _ = map(json.loads, demo.read_text().splitlines())
    attempts = {line["condition_id"]: line["attempts"][0] for line in conditions}
    failed = attempts["sam3_lora-dice_ce-0"]
    assert (failed["category"], failed["root_cause_id"], failed["remedy"]) == (
        "cuda_oom",
        "cuda_oom/torch",
        "config",
    )
    assert re.fullmatch("[0-9a-f]{16}", failed["signature"])
    assert failed["evidence"].startswith("torch.OutOfMemoryError: CUDA out of memory")
    assert 0.5 < failed["confidence"] <= 1
    for condition in ("dynunet-dice_ce-0", "segresnet-dice_ce_cldice-2"):
        assert {attempts[condition][key] for key in CAUSE} == {None}


def test_duckdb_reads_it_back_with_types(demo):
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    query = re.search(r"```sql\n(.*?)```", (ROOT / "docs/jsonl.md").read_text(), re.DOTALL)[1]
    found = con.sql(query.replace("reports/*.jsonl", str(demo)))
    types = dict(zip(found.columns, map(str, found.types), strict=True))
    assert {
        name: types[name] for name in ("job_id", "run_s", "cost_usd", "end_at", "signature", "confidence")
    } == {
        "job_id": "BIGINT",
        "run_s": "DOUBLE",
        "cost_usd": "DOUBLE",
        "end_at": "TIMESTAMP WITH TIME ZONE",
        "signature": "VARCHAR",
        "confidence": "DOUBLE",
    }
    [(count, cost, last)] = found.aggregate(
        "count(*), round(sum(cost_usd), 4), max(end_at)::varchar"
    ).fetchall()
    assert (count, cost) == (19, 1.4921)
    assert last.startswith("2026-11-23 23:0")
    [(oom,)] = found.filter("category = 'cuda_oom'").aggregate("count(*)").fetchall()
    assert oom == 3


def test_polars_reads_it_back_with_types(demo, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/jsonl.md").read_text(), re.DOTALL)
    monkeypatch.chdir(demo.parents[1])
    *statements, last = code.strip().splitlines()
    names: dict = {}
    exec("\n".join([*statements, f"attempts = {last}"]), names)
    conditions, attempts = names["conditions"], names["attempts"]
    assert conditions.height == 19
    assert conditions.schema["job_id"] == pl.Int64
    assert conditions.schema["cost_usd"] == pl.Float64
    assert attempts.schema["attempts_confidence"] == pl.Float64
    assert attempts["attempts_category"].drop_nulls().value_counts().sort("count")["count"].to_list() == [
        1,
        3,
        3,
    ]
    ended = conditions["end_at"].str.to_datetime(time_zone="UTC")
    assert ended.null_count() == 0
    assert ended.max() < datetime(2026, 11, 24, tzinfo=UTC)
