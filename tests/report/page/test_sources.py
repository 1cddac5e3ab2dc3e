"""The queries that the page shows give what the page shows, in `fmon sql` as everybody has it."""

import re

import pytest

from fmon.monitor.replay import replay
from fmon.report.page.sources import COMPARISON, SOURCES, comparison_sources_of, sources_of
from fmon.warehouse import connect, rows
from tests.support import ROOT

PAIR = ("model_family", "loss_name")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    return replay(ROOT / "data/demo", data).experiment_id, connect(data)


@pytest.mark.parametrize("section", SOURCES)
def test_every_query_runs_and_has_rows_of_this_experiment(demo, section):
    experiment_id, con = demo
    for query in sources_of(experiment_id, PAIR)[section]:
        assert query.isprintable()  # the page would show a line break as an escape
        found = rows(con, query)
        empty = "kill_switch" in query or section == "runs"  # the demo has neither
        assert bool(found) is not empty, query
        assert {row.get("experiment_id", experiment_id) for row in found} <= {experiment_id}


@pytest.mark.parametrize("section", COMPARISON)
def test_every_query_of_a_comparison_runs(demo, section):
    experiment_id, con = demo
    for query in comparison_sources_of(experiment_id, experiment_id)[section]:
        assert query.count(f"'{experiment_id}'") == 2
        rows(con, query)


def test_names_are_written_as_sql_strings_whatever_is_in_them():
    hostile = "it's $column; drop table job --"
    (matrix, causes) = sources_of(hostile, ("$experiment", "b'"))["grid"]
    expected = "('it''s $column; drop table job --', '$experiment', 'b''')"
    assert matrix == f"select * from coverage_matrix{expected}"
    assert causes == f"select * from cause_matrix{expected}"


def test_the_templates_have_a_place_for_each_section():
    from importlib.resources import files

    templates = [
        path for path in files("fmon.report.page").joinpath("assets").iterdir() if path.name.endswith(".j2")
    ]
    used = {name for path in templates for name in re.findall(r"sources\.(\w+)", path.read_text())}
    assert used == {*SOURCES, *COMPARISON}
