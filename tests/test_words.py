"""Old names are gone as identifiers, old phrases as text; docs/glossary.md has the terms to use."""

import ast
import json
import re
from pathlib import Path

import pytest

from fmon.schema import SOURCES
from fmon.store import events
from fmon.warehouse import VIEWS
from fmon.warehouse.dictionary import relations

ROOT = Path(__file__).resolve().parents[1]
TOKEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|(?P<name>[a-z_]\w*)", re.IGNORECASE)
"""Comments and strings of SQL are passed over, so that only identifiers and keywords are named."""
RENAMES = "### Breaking: renamed"
"""The part of CHANGELOG.md that may say the old names."""

OLD_VIEWS = {
    "absence",
    "association",
    "counterpart",
    "flip",
    "history",
    "matched_outcome",
    "outcome",
    "reach",
    "relaunch",
    "sighting",
    "spell",
    "verdict",
    "verdict_level",
}
OLD_SOURCES = {"authorized", "cancel_wish", "lost_closure", "relaunched"}
OLD_COLUMNS = {
    "burned_usd",
    "claim",
    "elsewhere_failed_count",
    "elsewhere_other_count",
    "elsewhere_total_count",
    "ended_cycle",
    "entry_number",
    "happened_at",
    "is_begun",
    "is_on_request",
    "made_good_count",
    "not_before",
    "pattern",
    "reach_s",
    "relaunched_at",
    "rest_failed_count",
    "rest_total_count",
    "since",
    "unlogged_count",
    "why",
    "why_none",
    "wished_at",
}
OLD_KEYS = {"flips", "to_come", "why_preliminary"}
OLD_EVENTS = {"authorize_cycle", "cancel_begin", "close_lost", "fix_verify"}
OLD_NAMES = OLD_VIEWS | OLD_SOURCES | OLD_COLUMNS | OLD_KEYS | OLD_EVENTS
IN_THE_MANIFEST = {"since"}
"""An experiment's first moment; the glossary renames only the column of alarms."""

OLD_PHRASES = {
    "flag help": (
        "Go on as fmon watch does",
        "Launch although it may cost more",
        "a unique start of it",
        "Folder of the stores",
        "Most conditions a config may have",
        "A person's word for exactly this cycle",
        "Do it; without, it is only shown",
        "Also what a person cancelled",
        "how you know that",
    ),
    "command": (
        "Hold experiments against",
        "Run again what failed or was stopped",
        "rules F1 to F5 allowing",
        "Gather all failures into",
        "whom each struck",
        "that a person has to see to",
        "file them where asked",
        "as far as it is written by now",
        "only if all were kept",
    ),
    "error": (
        "is no JSON",
        "is no YAML",
        "is no image reference",
        "is no repository",
        "failed of",
        "fails of",
        "stands twice",
        "stands in entry",
        "wants a login",
        "a proxy stands before",
        "nobody is there to ask",
        "as answered",
        "put it right",
        "put right",
        "carries on",
        "carried on",
        "carries it on",
        "cut short",
        "the dearest",
        "hold against",
        "held against",
        "stays gone",
        "Type the same again",
        "may do if",
        "makes it anew",
        "made anew",
        "of another fmon",
        "none of ours",
        "is named; add skypilot_yaml",
        "reaches no variable",
        "names no region",
        "goes by the variables",
    ),
    "docs": (
        "hang together",
        "A view hangs on",
        "again = carry on",
        "where a process starts",
        "turns a refusal into",
        "has no use for",
        "file of regions",
        "that it stands on",
        "that the config stands on",
        "SkyPilot recorded of",
        "as far as this machine knows",
        "go on submitting",
    ),
}


def identifiers(sql: str) -> set[str]:
    return {found["name"].lower() for found in TOKEN.finditer(sql) if found["name"]}


def keys(value, within=None) -> set[str]:
    """The keys of all objects; of a schema only its properties, told by ``within``."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item, within)}
    if not isinstance(value, dict):
        return set()
    named = {*value} if within is None else {*value.get(within, {})}
    return named.union(*(keys(item, within) for item in value.values()))


def prose(path: Path) -> str:
    """The text of a file on one line, parts of a Python string joined."""
    text = path.read_text(encoding="utf-8")
    if path.name == "CHANGELOG.md":
        before, renames, after = text.partition(RENAMES)
        assert renames
        text = before + after[after.index("\n### ") :]
    return " ".join(re.sub(r'"\n\s*f?"', "", text).split())


def texts() -> list[Path]:
    kinds = {".py", ".j2", ".js", ".md"}
    found = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "AGENTS.md"]
    for folder in ("fmon", "docs", "skills", "sql"):
        found += (path for path in (ROOT / folder).rglob("*") if path.suffix in kinds | {".sql"})
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_an_old_name_in_its_sql(view):
    sql = (ROOT / "sql" / f"{view}.sql").read_text(encoding="utf-8")
    assert identifiers(sql) & OLD_NAMES == set()


def test_identifiers_are_told_from_comments_and_strings():
    found = identifiers("select a.why -- since\nfrom flip as a where x = 'it''s outcome'")
    assert found & OLD_NAMES == {"why", "flip"}


def test_no_relation_and_no_column_has_an_old_name():
    """Those of macros too, whose columns stand in a comment."""
    named = {relation.name: {column.name for column in relation.columns} for relation in relations()}
    named |= {source: {column.name for column in columns} for source, columns in SOURCES.items()}
    assert {*named}.union(*named.values()) & OLD_NAMES == set()


@pytest.mark.parametrize("schema", ["manifest.schema.json", "report.schema.json"])
def test_no_schema_has_an_old_name(schema):
    found = keys(json.loads((ROOT / "fmon" / schema).read_text(encoding="utf-8")), within="properties")
    assert len(found) > 20
    assert found & OLD_NAMES <= (IN_THE_MANIFEST if schema == "manifest.schema.json" else set())


@pytest.mark.parametrize("golden", ["compare.json", "demo.jsonl"])
def test_no_json_output_has_an_old_name(golden):
    text = (ROOT / "tests" / "golden" / golden).read_text(encoding="utf-8")
    objects = [json.loads(text)] if golden.endswith(".json") else [json.loads(x) for x in text.splitlines()]
    found = set().union(*(keys(each) for each in objects))
    assert len(found) > 20
    assert found & OLD_NAMES == set()


def test_no_python_writes_an_old_key_column_or_event():
    """Where a name is also a plain word (outcome, why ...), only the keys of dicts count."""
    plain = {name for name in OLD_NAMES if name.isalpha()}
    commands = {"relaunch"}
    found = set()
    for path in (ROOT / "fmon").rglob("*.py"):
        if path.samefile(events.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in OLD_NAMES - plain:
                found.add((path.name, node.value))
            if isinstance(node, ast.Dict):
                named = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                found |= {(path.name, name) for name in named & (plain - commands)}
    assert found == KEYS_OF_THE_PAGE


KEYS_OF_THE_PAGE = {
    ("render.py", "outcome"),
    ("render.py", "verdict"),
    ("sources.py", "history"),
}
"""What templates of the report are given: not JSON, not SQL."""


def test_events_of_old_stores_are_read_by_new_names():
    assert events.RENAMED_KINDS.keys() == OLD_EVENTS
    assert not {*events.RENAMED_KINDS.values(), *events.RENAMED_FIELDS.values()} & OLD_NAMES


@pytest.mark.parametrize("row", OLD_PHRASES)
def test_no_text_has_an_old_phrase(row):
    old = re.compile("|".join(rf"\b{re.escape(phrase)}\b" for phrase in OLD_PHRASES[row]), re.IGNORECASE)
    found = {
        (str(path.relative_to(ROOT)), text[max(0, hit.start() - 30) : hit.end() + 30])
        for path in texts()
        for text in [prose(path)]
        for hit in old.finditer(text)
    }
    assert found == set()
