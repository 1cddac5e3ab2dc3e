"""Every view against its given/expect cases, and what holds for all views alike."""

import re

import pytest

from fmon.schema import SOURCES, Column
from fmon.sky.status import STATUSES
from fmon.warehouse import VIEWS, rows
from fmon.warehouse.dictionary import relations
from fmon.warehouse.reads import READS
from fmon.warehouse.views import COMPUTED, closure, make_views, open_empty, text
from tests.support import ROOT
from tests.support.cases import FOLDER, Case, bag, cases, database, load, sources_of, value
from tests.tools.reads import parsed_reads

UNITS = {"id", "name", "bool", "count", "ratio", "s", "h", "USD", "USD/h", "UTC", "text", "own"}
CASES = [case for path in sorted(FOLDER.glob("*.md")) for case in cases(path)]
RELATIONS = {relation.name: relation for relation in relations()}
CALLS = {
    "coverage_matrix": "coverage_matrix('e', 'a', 'b')",
    "cause_matrix": "cause_matrix('e', 'a', 'b')",
    "fisher": "fisher(1, 1, 1, 1)",
    "raised_alarm": "raised_alarm(false)",
    "timeline_density": "timeline_density('e', 4)",
    **{name: f"{name}('a', 'b')" for name in VIEWS if "(before, after)" in text(name)},
}
STANDING = ("status", "fisher")
"""What needs no experiment to have rows."""
PLAIN = [name for name in VIEWS if name not in (*CALLS, *STANDING)]


@pytest.fixture(scope="module")
def without_rows():
    """All views of empty sources; to open such a database takes longer than a case."""
    con = open_empty()
    make_views(con, computed=COMPUTED, commented=False)
    return con


@pytest.fixture
def empty(without_rows):
    """The same database for each case, which fills it and leaves it empty."""
    without_rows.begin()
    yield without_rows
    without_rows.rollback()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, empty):
    assert case.expect, "the case expects nothing"
    con = empty
    load(con, sources_of(case))
    for view in closure(re.match(r"\w+", table.relation)[0] for table in case.expect).views:
        if view in COMPUTED:
            make_views(con, [view], computed=COMPUTED, commented=False)
    for table in case.expect:
        query = f"select {', '.join(table.columns)} from {table.relation}"
        types = [str(kind) for kind in con.sql(query).types]
        expected = [
            [value(cell, kind) for cell, kind in zip(cells, types, strict=True)] for cells in table.rows
        ]
        expected = [
            [
                dict(cell) if kind.startswith("MAP") and not kind.endswith("[]") else cell
                for cell, kind in zip(row, types, strict=True)
            ]
            for row in expected
        ]
        assert bag(row.values() for row in rows(con, query)) == bag(expected)


@pytest.fixture(scope="module")
def all_cases():
    """All cases as experiments of one database; the clocks that some set are left out."""
    together = {}
    for number, case in enumerate(CASES):
        for name, given in sources_of(case).items():
            renamed = [row | {"experiment_id": f"{number}-{row.get('experiment_id')}"} for row in given]
            together.setdefault(name, []).extend(renamed)
    together["clock"] = [{"now": "12:00"}]
    con = database(together)
    make_views(con, computed=COMPUTED)
    return con


@pytest.mark.parametrize("view", PLAIN)
def test_the_stated_grain_is_unique_in_all_cases(all_cases, view):
    grain = RELATIONS[view].grain
    assert grain.split(", ")[0] == "experiment_id"
    assert rows(all_cases, f"select {grain}, count(*) from {view} group by all having count(*) > 1") == []


@pytest.mark.parametrize("view", PLAIN)
def test_no_id_is_ever_null_in_the_grain(all_cases, view):
    some_null = " or ".join(f"{column} is null" for column in RELATIONS[view].grain.split(", "))
    assert rows(all_cases, f"select * from {view} where {some_null}") == []


@pytest.mark.parametrize("view", PLAIN)
def test_booleans_are_never_null(all_cases, view):
    flags = [column.name for column in RELATIONS[view].columns if column.unit == "bool"]
    some_null = " or ".join(["false", *(f"{column} is null" for column in flags)])
    assert rows(all_cases, f"select * from {view} where {some_null}") == []


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_says_its_purpose_and_grain(view):
    assert RELATIONS[view].purpose
    assert RELATIONS[view].grain


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_says_its_meaning_and_unit(view):
    unsaid = [
        column.name for column in RELATIONS[view].columns if not column.meaning or column.unit not in UNITS
    ]
    assert unsaid == []


ENDINGS = {"s": "_s", "h": "_h", "USD": "_usd", "USD/h": "_usd_per_h", "UTC": "_at"}
"""Unit -> how each column in it ends; and whatever ends so is in that unit."""
OTHER_ENDINGS = {"id": "_id", "count": "_count", "ratio": "_ratio"}
"""Here only what ends so is in that unit: a cycle is a count, a signature an id."""


def unit_said_by(name: str) -> str | None:
    """What the longest ending of a name says of its unit."""
    units = {ending: unit for unit, ending in (ENDINGS | OTHER_ENDINGS).items()}
    return next((units[each] for each in sorted(units, key=len, reverse=True) if name.endswith(each)), None)


def misnamed(columns) -> list[str]:
    """Columns whose name and unit contradict each other; a column ``unit`` speaks for those that say none."""
    says_unit = any(column.name == "unit" for column in columns)
    return [
        column.name
        for column in columns
        if unit_said_by(column.name) not in (None, column.unit)
        or (column.unit in ENDINGS and not column.name.endswith(ENDINGS[column.unit]) and not says_unit)
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_names_types_and_units_agree(view):
    types = {"UTC": "TIMESTAMP WITH TIME ZONE", "bool": "BOOLEAN", "count": "BIGINT"}
    assert misnamed(RELATIONS[view].columns) == []
    for column in RELATIONS[view].columns:
        if re.match("(is|has|was)_", column.name):
            assert column.unit == "bool", column
        assert column.type == types.get(column.unit, column.type), column
        if column.unit == "USD":
            assert column.type.startswith("DECIMAL"), column


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "clock"])
def test_names_and_units_of_the_sources_agree(source):
    assert misnamed(SOURCES[source]) == []


@pytest.mark.parametrize(
    ("name", "unit", "is_misnamed"),
    [
        ("cost_usd", "USD", False),
        ("cost", "USD", True),
        ("cost_usd", "count", True),
        ("price_usd_per_h", "USD/h", False),
        ("price_usd_per_h", "USD", True),
        ("run_h", "USD/h", True),
        ("threshold", "s", True),
        ("started", "UTC", True),
        ("cycle", "count", False),
    ],
)
def test_a_name_says_its_unit_and_a_unit_shows_in_the_name(name, unit, is_misnamed):
    assert bool(misnamed([Column(name, "", unit, "")])) is is_misnamed


def test_a_column_unit_speaks_for_columns_that_say_none():
    said = Column("unit", "varchar", "name", "")
    assert misnamed([said, Column("threshold", "double", "s", "")]) == []
    assert misnamed([said, Column("cost_usd", "double", "s", "")]) == ["cost_usd"]


@pytest.mark.parametrize("view", [name for name in VIEWS if name not in STANDING])
def test_every_view_begins_with_experiment_id(view):
    assert RELATIONS[view].columns[0].name == "experiment_id"


def test_views_lists_the_files():
    assert sorted(VIEWS) == sorted(path.stem for path in (ROOT / "sql").glob("*.sql"))


def test_every_view_has_cases():
    assert {path.stem for path in FOLDER.glob("*.md")} == {*VIEWS}


def test_the_files_may_run_twice():
    con = open_empty()
    for _ in range(2):
        make_views(con, computed=COMPUTED)
    assert rows(con, "select * from experiment_summary") == []


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_can_be_made_alone_with_what_it_reads(view):
    con = open_empty()
    make_views(con, closure([view]).views)
    assert (rows(con, f"select * from {CALLS.get(view, view)}") == []) == (view not in STANDING)


def test_what_the_views_read_is_what_duckdbs_parser_finds():
    assert parsed_reads() == READS, "make docs rewrites fmon/warehouse/reads.py"


def test_a_view_brings_nothing_that_it_does_not_read():
    assert closure(["condition_level"]) == (("condition_level",), {"entry"})
    assert closure(["poll"]) == (("poll",), {"heartbeat"})


def test_the_table_of_statuses_is_said_once():
    """No other file may judge a status by its name, but for the wording of a comment."""
    for view in VIEWS:
        code = re.sub(r"--.*|comment on [^;]*;", "", text(view))
        assert not [known for known in STATUSES if f"'{known.status}'" in code], view


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")  # SkyPilot's own
def test_the_statuses_are_those_of_the_installed_skypilot():
    from sky.jobs.state import ManagedJobStatus

    con = open_empty()
    make_views(con, ["status"])
    found = rows(con, "select status, is_terminal, is_failed from status")
    assert {row["status"] for row in found} == {status.value for status in ManagedJobStatus}
    for row in found:
        status = ManagedJobStatus(row["status"])
        assert (row["is_terminal"], row["is_failed"]) == (status.is_terminal(), status.is_failed())
