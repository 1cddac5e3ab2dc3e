"""CONTRIBUTING.md: its steps work as written, on a copy of the repository."""

import doctest
import re
import shutil
import subprocess
import sys

import pytest

from tests.support import ROOT
from tests.support.readme import BLOCK

pytestmark = pytest.mark.slow

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
_, *PARTS = re.split(r"^## (Add .+)\n", PAGE, flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[::2], PARTS[1::2], strict=True))


def blocks(section: str, kind: str) -> list[str]:
    return [match["text"] for match in BLOCK.finditer(SECTIONS[section]) if match["kind"] == kind]


@pytest.fixture
def repository(tmp_path):
    """Copy the package, its views and the tests."""
    unused = shutil.ignore_patterns("__pycache__", "e2e", "golden", "test_contributing.py")
    for name in ("fmon", "sql", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=unused)
    (tmp_path / "fmon/sql").symlink_to(tmp_path / "sql")  # the package fmon.sql
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def python(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    # With -m the current folder comes first on the path: the copy is imported.
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )


def check_session(folder, session: str) -> None:
    """Run a Python session in a folder and compare what it prints."""
    assert doctest.DocTestParser().get_examples(session)
    (folder / "session.txt").write_text(session)
    done = python(folder, "doctest", "session.txt")
    assert done.returncode == 0, done.stdout + done.stderr


def run_tests(folder, section: str) -> subprocess.CompletedProcess[str]:
    """Run the commands of a section, tests last, as its ``make`` and its pytest would."""
    (commands,) = blocks(section, "console")
    *before, last = commands.strip().splitlines()
    assert before in ([], ["$ make docs"])
    if before:
        done = python(folder, "tests.tools.generate", "reads", "views")  # what a view changes
        assert done.returncode == 0, done.stderr
    program, *arguments = last.removeprefix("$ ").split()
    assert program == ".venv/bin/pytest"
    return python(folder, "pytest", "-q", "-p", "no:cacheprovider", *arguments)


def replace(path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


class TestFailurePattern:
    SECTION = "Add a failure pattern"

    def add(self, folder) -> None:
        """Add the line of the text to the rule that the text names."""
        (line,) = blocks(self.SECTION, "toml")
        (rule,) = re.findall(r'`(id = "\w+")`', SECTIONS[self.SECTION])
        path = folder / "fmon/causes/patterns.toml"
        text = path.read_text(encoding="utf-8")
        place = text.index("any = [\n", text.index(f"{rule}\n")) + len("any = [\n")
        path.write_text(text[:place] + line + text[place:], encoding="utf-8")

    def test_the_line_is_classified_afterwards_and_not_before(self, repository):
        before, after = blocks(self.SECTION, "pycon")
        check_session(repository, before)
        self.add(repository)
        check_session(repository, after)
        done = run_tests(repository, self.SECTION)
        assert done.returncode == 0, done.stdout
        assert " passed" in done.stdout

    def test_an_example_that_its_expression_does_not_match_fails(self, repository):
        self.add(repository)
        path = repository / "fmon/causes/patterns.toml"
        replace(path, "['license seats are in use'", "['license seats were taken'")
        done = run_tests(repository, self.SECTION)
        assert done.returncode == 1, done.stdout
        assert "license seats were taken" in done.stdout


class TestView:
    SECTION = "Add a view"

    def write(self, folder, path: str, kind: str) -> None:
        assert f"`{path}`" in SECTIONS[self.SECTION]
        (text,) = blocks(self.SECTION, kind)
        (folder / path).write_text(text, encoding="utf-8")

    def test_the_view_passes_its_tests(self, repository):
        name, listing = re.findall(r'Add `("\w+")` to `VIEWS` in `([\w/.]+)`', SECTIONS[self.SECTION])[0]
        view = name.strip('"')
        self.write(repository, f"sql/{view}.sql", "sql")
        self.write(repository, f"tests/views/{view}.md", "markdown")
        path = repository / listing
        text = path.read_text(encoding="utf-8")
        end = text.index("\n)\n", text.index("VIEWS = ("))
        path.write_text(f"{text[:end]}\n    {name},{text[end:]}", encoding="utf-8")
        done = run_tests(repository, self.SECTION)
        assert done.returncode == 0, done.stdout
        assert " passed" in done.stdout
        check_session(repository, f">>> from fmon.warehouse import VIEWS\n>>> VIEWS[-1]\n'{view}'\n")

    def test_the_sql_is_in_the_style_of_the_others(self, repository):
        (sql,) = blocks(self.SECTION, "sql")
        (repository / "sql/category_total.sql").write_text(sql, encoding="utf-8")
        done = python(repository, "sqlfluff", "lint", "-q", "sql/category_total.sql")
        assert done.returncode == 0, done.stdout
