"""docs/structure.md is what the docstrings say; the package has no import cycle."""

import re
from pathlib import Path

import grimp
import pytest

from tests.support import ROOT
from tests.tools import graph, structure


def graph_of(*imports: tuple[str, str]) -> grimp.ImportGraph:
    made = grimp.ImportGraph()
    for importer, imported in imports:
        made.add_import(importer=importer, imported=imported)
    return made


def test_docs_structure_is_what_the_docstrings_say():
    assert (ROOT / "docs/structure.md").read_text(encoding="utf-8") == structure.markdown()


def test_every_module_is_listed_once():
    listed = structure.markdown()
    modules = {path for path in (ROOT / "fmon").rglob("*.py") if path.name != "__init__.py"}
    assert {path for path in modules if listed.count(f"](../{path.relative_to(ROOT)})") != 1} == set()


def test_a_module_without_a_docstring_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(structure, "ROOT", tmp_path)
    (tmp_path / "bare.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"bare\.py has no docstring"):
        structure.first_line(tmp_path / "bare.py")


def test_no_modules_import_each_other():
    modules = graph.imports()
    assert graph.cycles(modules) == []
    assert graph.cycles(graph.rooms_of(modules)) == []


def test_a_cycle_of_imports_is_found_and_has_no_levels():
    made = graph_of(("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    assert graph.cycles(made) == [["a", "b", "c"]]
    with pytest.raises(ValueError, match=r"'a', 'b', 'c'.* import each other"):
        graph.levels(made)


def test_the_level_is_the_longest_chain_below():
    made = graph_of(("cli", "phase"), ("phase", "ground"), ("cli", "ground"), ("other", "ground"))
    assert graph.levels(made) == [["ground"], ["other", "phase"], ["cli"]]


def test_no_test_module_is_imported():
    """What tests share is in tests/support; the search sees code in strings too."""
    of_tests = re.compile(r"^\s*(?:from|import) (?:tests\S*\.test_|tests\S* import test_)", re.MULTILINE)
    assert of_tests.search("    from tests.store.test_log import blocks\nfrom tests import test_words")
    assert [path for path in (ROOT / "tests").rglob("*.py") if of_tests.search(path.read_text())] == []


def test_nothing_is_patched_by_a_dotted_path():
    """A move would break it: a test hands in what it needs, or patches the attribute of an object."""
    dotted = re.compile(r"\bsetattr\(\s*[\"']")
    assert dotted.search('monkeypatch.setattr(\n    "time.sleep", print)')
    files = (path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    assert [path for path in files if dotted.search(path.read_text())] == []


def test_every_path_that_agents_md_names_is_there():
    spans = re.findall(r"`([\w./*-]+)`", (ROOT / "AGENTS.md").read_text(encoding="utf-8"))
    paths = [
        span for span in spans if re.match(r"(fmon|sql|tests|docs|data|notebooks|reports|benchmarks)/", span)
    ]
    paths = [re.sub(r"VIEW|SECTION|PHASE|\*", "*", path) for path in paths]
    assert len(paths) > 30
    assert [path for path in paths if not list(ROOT.glob(path))] == []
