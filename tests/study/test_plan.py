"""The study's seven configs, unchanged: what fmon plans is what the study's launcher submits."""

import json
from functools import partial

import pytest

from fmon.cli.services import Services
from fmon.config import load_experiment
from fmon.errors import ConfigError
from fmon.launch import plan as planning
from fmon.terminal.plan import plan_object
from tests.study import launcher_rules
from tests.support.typed import typed

NAMES = sorted(launcher_rules.CONFIGS)
NAMING_THE_TASK = {"debug", "smoke_test"}
"""paper_full names another task, which is not among the files; the others name none."""
offline = partial(planning.plan, ask=lambda *_: 1, catalog=lambda names: {})
OUTSIDE = ("HF_TOKEN", "MLFLOW_TRACKING_URI")
"""The variables of the task that only the user's .env has."""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def env_file(tmp_path):
    path = tmp_path / "study.env"
    path.write_text("HF_TOKEN=hf_secret\nMLFLOW_TRACKING_URI=https://mlflow.example\n")
    return path


def planned(name, env_file=None):
    """Plan a config with its own task, or with ``--task``."""
    task = None if name in NAMING_THE_TASK else launcher_rules.TASK
    return offline(launcher_rules.CONFIGS[name], task_file=task, env_file=env_file)


@pytest.mark.parametrize("name", NAMES)
def test_the_conditions_are_those_of_the_launcher(name, env_file):
    golden = json.loads((launcher_rules.GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = plan_object(planned(name, env_file))
    shown = [{key: each[key] for key in ("job_name", "envs", "resources")} for each in found["conditions"]]
    assert shown == golden
    assert found["counts"]["condition"] == len(golden)


@pytest.mark.parametrize("name", NAMES)
def test_with_the_env_file_no_check_fails(name, env_file):
    found = planned(name, env_file)
    assert [check for check in found.checks if check.result == "fail"] == []
    assert found.next_command.startswith("fmon launch ")
    assert "hf_secret" not in json.dumps(plan_object(found))


@pytest.mark.parametrize("name", NAMES)
def test_without_it_the_missing_variables_are_named_and_the_conditions_printed(name):
    found = planned(name)
    (failed,) = (check for check in found.checks if check.result == "fail")
    assert failed.name == "variables"
    assert all(variable in failed.sentence for variable in OUTSIDE)
    assert found.conditions
    assert found.next_command.startswith("fmon plan ")


@pytest.mark.parametrize("name", NAMES)
def test_what_the_task_does_not_declare_is_a_warning(name, env_file):
    (warning,) = (check for check in planned(name, env_file).checks if check.name == "undeclared")
    assert warning.result == "warn"
    assert "write undeclared: [BATCH_SIZE, GRAD_ACCUM_STEPS]" in warning.sentence


def test_the_command_line_exits_with_2_and_still_prints_one_object(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "plan", offline)
    monkeypatch.chdir(tmp_path)
    result = typed(Services(), "plan", launcher_rules.CONFIGS["debug"], "-o", "json")
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
    printed = json.loads(result.stdout)
    assert len(printed["conditions"]) == printed["counts"]["condition"] == 34
    assert list(tmp_path.iterdir()) == []


def test_the_cells_of_the_two_debug_configs_differ_although_their_names_do_not():
    layered = load_experiment(launcher_rules.CONFIGS["debug"])
    flat = load_experiment(launcher_rules.CONFIGS["debug_factorial"], task=launcher_rules.TASK)
    assert [each.job_name for each in layered.conditions] == [each.job_name for each in flat.conditions]
    assert [each.envs for each in layered.conditions] != [each.envs for each in flat.conditions]


def test_the_keys_that_fmon_does_not_use_are_listed_once():
    assert planned("debug").unused_keys == [
        *("description", "debug", "zero_shot_baselines.strategy", "fixed.compute", "fixed.learning_rate"),
        *("splits_file", "mlflow.evaluation_experiment", "mlflow.biostatistics_experiment", "biostatistics"),
        *("infrastructure.cloud_config", "flows"),
    ]
    assert planned("debug_factorial").unused_keys == [
        *("defaults", "debug", "zero_shot_baselines.strategy", "fixed.compute", "fixed.learning_rate"),
        *("splits_file", "with_aux_calib", "aux_calib_weight", "flows"),
    ]


def test_the_defaults_of_the_launcher_are_listed():
    assert planned("paper_factorial").defaults == {
        "fixed.max_train_volumes": "0",
        "fixed.max_val_volumes": "0",
        "fixed.gradient_accumulation_steps": "1",
        "fixed.gradient_checkpointing": "false",
        "post_training.methods": "none,swag",
    }
