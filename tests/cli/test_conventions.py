"""What all commands have in common: names of flags, help, who is recorded, what is asked."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import fmon
from fmon.cli.app import app
from fmon.cli.options import one_experiment, several_experiments
from fmon.errors import ConfigError
from fmon.monitor.replay import replay
from tests.support import ROOT

FMON = Path(sys.executable).with_name("fmon")
WITHOUT_EXPERIMENT = {"init", "plan", "launch", "run", "adopt", "record", "replay", "views"}
"""They take a config or a recording, or print what is the same for all experiments."""
POSITIONAL_EXPERIMENT = {"poll", "report", "compare", "audit", "issues"}
SELECTING = {"status", "watch", "logs", "diagnose", "fix verify", "relaunch", "cancel"}
RECORDS_A_PERSON = {"launch", "adopt", "run", "relaunch", "cancel", "fix record"}
ASKING = {"launch", "relaunch", "cancel"}
LAUNCHING = {"launch", "run", "relaunch"}
WRITES_FILES = {"report", "compare", "issues", "run", "record"}


def commands():
    """Every command by its name, as Typer has it."""
    found = {}
    for name, command in get_command(app).commands.items():
        for inner, each in (getattr(command, "commands", None) or {"": command}).items():
            found[f"{name} {inner}".strip()] = each
    return found


COMMANDS = commands()


def flags(name):
    return {flag for param in COMMANDS[name].params if is_option(param) for flag in param.opts}


def is_option(param):
    return param.param_type_name == "option"


def words(name):
    """The positional words of a command, as its usage names them."""
    return {param.metavar for param in COMMANDS[name].params if not is_option(param)}


def having(flag):
    return {name for name in COMMANDS if flag in flags(name)}


def test_the_commands_are_those_that_the_conventions_cover():
    known = WITHOUT_EXPERIMENT | POSITIONAL_EXPERIMENT | SELECTING | {"sql"}
    assert COMMANDS.keys() == known | {"fix plan", "fix record", "fix run"}


def test_every_command_about_an_experiment_accepts_e():
    assert having("-e") == having("--experiment") == COMMANDS.keys() - WITHOUT_EXPERIMENT


def test_only_five_commands_take_an_experiment_as_an_argument():
    assert {name for name in COMMANDS if "EXPERIMENT" in words(name)} == POSITIONAL_EXPERIMENT
    selections = {"SELECTION", "CONDITION_OR_JOB"}
    assert {name for name in COMMANDS if words(name) & selections} == SELECTING


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        ("--by", RECORDS_A_PERSON),
        ("--yes", ASKING),
        ("--dry-run", ASKING),
        ("--over-budget", LAUNCHING | {"plan"}),
        ("--out-dir", WRITES_FILES),
        ("--out", set()),
        ("-o", having("--output")),
        ("--data", COMMANDS.keys() - {"init", "plan", "record", "views"}),
    ],
)
def test_the_same_flag_has_the_same_name_everywhere(flag, wanted):
    assert having(flag) == wanted


def test_a_flag_means_the_same_everywhere():
    meant = {}
    for name, command in COMMANDS.items():
        for param in filter(is_option, command.params):
            meant.setdefault(param.opts[-1], {}).setdefault(param.help, []).append(name)
    several = {"--out-dir", "--experiment", "--output"}
    assert {flag: texts for flag, texts in meant.items() if len(texts) > 1 and flag not in several} == {}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_has_a_help_sentence(name):
    for text in (COMMANDS[name].help, *(param.help for param in COMMANDS[name].params)):
        assert text
        assert re.match(r"[A-Z][^\n]*[.:]|sky", text.strip().splitlines()[0]), text
        assert "kill-switch" not in re.sub("--kill-switch", "", text)


@pytest.mark.slow
def test_an_empty_experiment_or_selection_is_refused(tmp_path, monkeypatch):
    replay(ROOT / "data/demo", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for words, sentence in (
        (("status", ""), "a selection is an empty text"),
        (("status", "-e", ""), "the experiment is an empty text"),
        (("report", ""), "the experiment is an empty text"),
        (("sql", "select 1", "-e", ""), "the experiment is an empty text"),
    ):
        refused = CliRunner().invoke(app, words).exception
        assert isinstance(refused, ConfigError)
        assert sentence in str(refused)


@pytest.mark.slow
def test_sql_is_about_all_experiments_or_about_one(tmp_path):
    replay(ROOT / "data/demo", tmp_path)
    ids = ("debug_factorial-20261123T225139Z", "other-20261123T225139Z")
    shutil.copytree(tmp_path / ids[0], tmp_path / ids[1])
    manifest = tmp_path / ids[1] / "manifest.json"
    manifest.write_text(manifest.read_text().replace(*ids))
    query = ["sql", "select experiment_id from experiment order by 1", "-o", "json", "--data", str(tmp_path)]
    found = [CliRunner().invoke(app, [*query, *more]).stdout for more in ((), ("-e", "other"))]
    assert [[row["experiment_id"] for row in json.loads(text)] for text in found] == [list(ids), [ids[1]]]


def test_arguments_are_written_in_capitals():
    named = {word for name in COMMANDS for word in words(name)}
    assert {word for word in named if not re.fullmatch(r"[A-Z_]+", str(word))} == set()


def test_both_forms_of_an_experiment_work_and_must_agree():
    assert one_experiment("a", None) == one_experiment(None, "a") == one_experiment("a", "a") == "a"
    assert several_experiments(["a", "b"], None) == several_experiments(None, ["a", "b"]) == ["a", "b"]
    with pytest.raises(ConfigError, match="two experiments are given: a and -e b"):
        one_experiment("a", "b")
    with pytest.raises(ConfigError, match="use only one of them"):
        several_experiments(["a"], ["b"])


@pytest.mark.parametrize("name", sorted(POSITIONAL_EXPERIMENT))
def test_a_command_with_two_different_experiments_is_refused(tmp_path, name):
    done = subprocess.run(
        [FMON, name, "a", "-e", "b", "--data", tmp_path], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "are given" in done.stderr


def test_version_is_printed():
    assert CliRunner().invoke(app, ["--version"]).stdout == f"fmon {fmon.__version__}\n"
