"""Every query whose rows are structs: its columns are the fields, and its values have their types."""

import ast
import importlib
import re
from functools import reduce
from pathlib import Path

import msgspec
import pytest

import fmon
from fmon.warehouse import connect, grouped_rows, typed_rows
from tests.support.factorial import END, make

FETCHING = {"typed_rows": typed_rows, "grouped_rows": grouped_rows}


def calls():
    """Find every call: the module, the names of query and struct, the column that rows are grouped by."""
    root = Path(fmon.__file__).parent
    for path in sorted(root.rglob("*.py")):
        module = ".".join(["fmon", *path.relative_to(root).with_suffix("").parts])
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FETCHING:
                if module == "fmon.warehouse.result":
                    continue
                _, query, row_type = (ast.unparse(argument) for argument in node.args[:3])
                by = [keyword.value.value for keyword in node.keywords if keyword.arg == "by"]
                yield module, query, row_type, *(by or [None])


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    """A study with failures, fixes, a second cycle and jobs that run."""
    folder = tmp_path_factory.mktemp("study")
    store = make(folder / "data", folder, every=26)
    return connect(folder / "data", store.experiment_id, now=END)


@pytest.mark.parametrize(("module", "query", "row_type", "by"), sorted(calls(), key=str))
def test_the_columns_are_the_fields_and_the_values_of_their_types(con, module, query, row_type, by):
    importing = importlib.import_module(module)
    sql, struct = reduce(getattr, query.split("."), importing), getattr(importing, row_type)
    parameters = dict.fromkeys(re.findall(r"\$([a-z]\w*)", sql), 9) or None
    if by is None:
        found = typed_rows(con, sql, struct, parameters)
    else:
        grouped = grouped_rows(con, sql, struct, by=by, parameters=parameters)
        found = [row for rows in grouped.values() for row in rows]
    for row in found:
        msgspec.convert(msgspec.structs.asdict(row), struct)


def test_there_are_such_queries():
    assert len(list(calls())) > 10
