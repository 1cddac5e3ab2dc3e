"""Rows as a table and as JSON."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

from fmon.terminal.rows import print_rows


def test_json_is_one_array_of_objects(capsys):
    values = {
        "exact": Decimal("1234567890123.4500"),
        "whole": Decimal("300"),
        "at": datetime(2026, 3, 22, 5, 8, tzinfo=UTC),
        "fraction": datetime(2026, 3, 22, 5, 8, 0, 250_000, tzinfo=UTC),
        "map": {"a": None},
        "list": [1, 0.1],
        "large": 2**70 + 1,
        "nan": float("nan"),
        "infinite": float("inf"),
        "yes": True,
    }
    print_rows(list(values), [values, {**values, "whole": None}], "json")
    out = capsys.readouterr().out
    first, second = json.loads(out, parse_float=Decimal)
    assert first == {
        "exact": Decimal("1234567890123.45"),
        "whole": 300,
        "at": "2026-03-22T05:08:00Z",
        "fraction": "2026-03-22T05:08:00.250000Z",
        "map": {"a": None},
        "list": [1, Decimal("0.1")],
        "large": 2**70 + 1,
        "nan": None,
        "infinite": None,
        "yes": True,
    }
    assert second["whole"] is None


def test_no_rows_are_an_empty_array_or_a_bare_header(capsys):
    print_rows(["a", "b"], [], "json")
    print_rows(["a", "b"], [], "table")
    assert capsys.readouterr().out == "[]\na  b\n"


def test_a_table_aligns_numbers_right_and_leaves_null_empty(capsys):
    print_rows(["name", "n"], [{"name": "a", "n": 1}, {"name": None, "n": 100}], "table")
    assert capsys.readouterr().out == "name    n\na       1\n      100\n"


def test_a_pipe_that_knows_only_ascii_gets_escapes():
    code = (
        "from fmon.terminal.rows import print_rows; from fmon.terminal.streams import guard; guard();"
        "print_rows(['a'], [{'a': '数'}], 'table')"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout == "a\n\\u6570\n", done.stderr
