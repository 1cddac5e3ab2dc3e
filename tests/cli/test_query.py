"""``fmon sql -o csv`` and ``-o parquet``: bytes to stdout, types kept, refusals in one sentence."""

import csv
import io
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.support.studies import job, poll, study

FMON = Path(sys.executable).with_name("fmon")
QUERY = """
select 'a,"b"' || chr(10) || 'c' as text, '' as empty, null::varchar as nothing, sum(job_id) as total,
    1.50::decimal(18, 4) as usd, max(end_at) as ended, max(factors) as factors, [1, 2] as listed, true as flag
from condition where state = 'succeeded'
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    poll(study(folder), 11, [job(1, "SUCCEEDED", minutes=10.25)])
    return folder


def run(query: str, output: str, data: Path) -> subprocess.CompletedProcess:
    command = [FMON, "sql", query, "-o", output, "--data", data]
    return subprocess.run(command, capture_output=True, timeout=120)


@pytest.mark.slow
def test_csv_is_rfc_4180_with_iso_times_and_json_maps(data):
    text = run(QUERY, "csv", data).stdout.decode()
    assert text.count("\r\n") == 2
    header, row = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert dict(zip(header, row, strict=True)) == {
        "text": 'a,"b"\nc',
        "empty": "",
        "nothing": "",
        "total": "1",
        "usd": "1.5000",
        "ended": "2026-03-22T05:10:15Z",
        "factors": '{"model":"dynunet","fold":"0"}',
        "listed": "[1,2]",
        "flag": "true",
    }
    assert ',"",,' in text


@pytest.mark.slow
def test_parquet_keeps_types(data):
    frame = pl.read_parquet(run(QUERY, "parquet", data).stdout)
    assert frame.schema["usd"] == pl.Decimal(18, 4)
    assert frame.schema["ended"] == pl.Datetime("us", "UTC")
    assert frame.schema["listed"] == pl.List(pl.Int32)
    assert frame.row(0, named=True)["ended"] == datetime(2026, 3, 22, 5, 10, 15, tzinfo=UTC)
    assert frame["total"].to_list() == [Decimal(1)]


@pytest.mark.slow
@pytest.mark.parametrize("output", ["csv", "parquet"])
@pytest.mark.parametrize(("query", "said"), [("select nope", "can't be run"), ("", "returns no rows")])
def test_a_result_that_cannot_be_written_is_refused_and_nothing_is_printed(data, output, query, said):
    done = run(query, output, data)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def on_a_terminal(query: str, output: str, data: Path) -> tuple[int, str, str]:
    """Run with a terminal as stdout: exit code, what it shows, stderr."""
    ours, theirs = pty.openpty()
    command = [FMON, "sql", query, "-o", output, "--data", data]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, timeout=120)
    os.close(theirs)
    try:
        shown = os.read(ours, 10_000).decode()
    except OSError:
        shown = ""
    os.close(ours)
    return done.returncode, shown, done.stderr.decode()


@pytest.mark.slow
def test_parquet_is_refused_to_a_terminal(data):
    code, shown, said = on_a_terminal("select 1", "parquet", data)
    assert (code, shown) == (2, "")
    assert "can't be shown on a terminal" in said


def test_csv_never_contains_terminal_control_codes(data):
    assert on_a_terminal("select chr(27) || '[31mred' as a", "csv", data)[:2] == (0, "a\r\n\\x1b[31mred\r\n")
