"""Commit hooks and the workflow run what `make check` and `make test` run, and nothing else."""

import re

import nbformat
import yaml

from tests.support import ROOT
from tests.tools.strip_notebooks import strip

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def recipe(target: str) -> list[str]:
    """Return the commands of a target in the Makefile, with those of the targets that it makes."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = []
    for line in found[1].replace("\t", "").splitlines():
        made = re.fullmatch(r"@\$\(MAKE\) --no-print-directory -j\d (.+)", line)
        if made:
            commands += [command for inner in made[1].split() for command in recipe(inner)]
        else:
            commands.append(line.replace("$(BIN)", ".venv/bin"))
    return commands


def test_the_hooks_run_the_tools_of_make_check():
    (local,) = HOOKS
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    entries = [hook["entry"] for hook in local["hooks"] if hook["id"] != "strip-notebooks"]
    checks = [command.partition(" > ")[0] for command in recipe("check")]
    assert entries == checks


def test_the_workflow_calls_make_test():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test"]


def test_a_notebook_that_was_run_is_stripped(tmp_path):
    path = tmp_path / "run.ipynb"
    output = nbformat.v4.new_output("stream", text="5\n")
    cell = nbformat.v4.new_code_cell("2 + 3", outputs=[output], execution_count=7, metadata={"tags": ["x"]})
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"language_info": {"name": "python"}, "widgets": {}}
    )
    nbformat.write(notebook, path)
    assert strip(path)
    (kept,) = nbformat.read(path, as_version=4).cells
    assert (kept.source, kept.outputs, kept.execution_count, kept.metadata) == ("2 + 3", [], None, {})
    assert nbformat.read(path, as_version=4).metadata == {"language_info": {"name": "python"}}
    assert not strip(path)


def test_the_stored_notebooks_have_nothing_to_strip(tmp_path):
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        assert not strip(copy), path.name
