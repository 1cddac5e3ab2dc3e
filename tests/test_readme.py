"""The README's blocks run and print what it says."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.launch.environment import Environment
from fmon.launch.variables import variable_checks
from tests.support import ROOT
from tests.support.readme import README, blocks, run, session


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder like the README's reader has: the recording, no store yet."""
    made = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "data/demo", made / "data/demo")
    return made


@pytest.mark.slow
def test_console_blocks_print_what_the_readme_says(folder):
    for block in blocks("console"):
        assert session(block, folder) == block


@pytest.mark.slow
def test_the_python_block_prints_what_its_query_answers(folder):
    run("fmon replay data/demo", folder)
    (block,) = blocks("python")
    (folder / "block.py").write_text(block)
    head, _, _, row = re.findall(r"^│ *(.*?) *│$", run("python block.py", folder), re.MULTILINE)
    query = re.search(r'con\.sql\("(.*)"\)', block)[1]
    (answer,) = json.loads(run(f"fmon sql '{query}' -o json", folder))
    assert re.split(r" +┆ +", head) == list(answer)
    assert [json.loads(value) for value in re.split(r" +┆ +", row)] == list(answer.values())
    assert answer["job_count"] == 19


def test_the_config_of_the_readme_fits_its_task(folder):
    (block,) = blocks("yaml")
    (folder / "experiment.yaml").write_text(block)
    declared = re.search(r"`train\.yaml` declares `(.*?)`", README.read_text())[1]
    (folder / "train.yaml").write_text(f"{declared}\nrun: python train.py\n")
    experiment = load_experiment(folder / "experiment.yaml")
    assert len(experiment.conditions) == 12
    checks = variable_checks(experiment, read_task(experiment), Environment(environ={}))
    assert {check.result for check in checks} == {"ok"}


def test_every_linked_file_is_there():
    named = re.findall(r"`((?:docs|sql|fmon|data|tests)/[\w./]*)`", README.read_text())
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_target_of_the_readme_is_there():
    wanted = {word for block in blocks("sh") for word in re.findall(r"make (\w+)", block)}
    assert wanted == {"demo", "test"}
    makefile = Path(ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in wanted)
