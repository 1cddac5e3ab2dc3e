"""The variables of the jobs, checked against the task: a cell must run with its levels."""

import pytest

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.launch.environment import Environment
from fmon.launch.variables import variable_checks
from tests.support.world import write_config

CONFIG = "experiment_name: e\nskypilot_yaml: train.yaml\nfactors: {model: [a, b], fold: [0]}\n"
TASK = "envs: {MODEL: x, FOLD: '0'}\nrun: python train.py\n"


@pytest.fixture
def checked(tmp_path):
    """The checks of a config and its task, as (result, sentence) by name."""

    def check(config="", task=TASK, **environment):
        experiment = load_experiment(write_config(tmp_path, CONFIG + config, task))
        given = Environment(**{"environ": {}, **environment})
        found = variable_checks(experiment, read_task(experiment), given)
        return {each.name: (each.result, each.sentence) for each in found}

    return check


def test_declared_factors_with_values_pass(checked):
    assert checked() == {
        "variables": ("ok", "every variable that train.yaml declares has a value"),
        "factors": ("ok", "train.yaml has the variable of every factor"),
    }


# Factors


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (
            "envs: {MODEL: x, FOLD_ID: '0'}\nrun: x\n",
            "FOLD is not declared by train.yaml; FOLD_ID is: envs: {fold: FOLD_ID}",
        ),
        (
            "envs: {MODEL: x, THE_FOLDS: '0'}\nrun: x\n",
            "FOLD is not declared by train.yaml; THE_FOLDS is: envs: {fold: THE_FOLDS}",
        ),
        (
            "envs: {MODEL: x, FLOD: '0'}\nrun: x\n",
            "FOLD is not declared by train.yaml; FLOD is: envs: {fold: FLOD}",
        ),
        (
            "envs: {MODEL: x, HOME_DIR: /h}\nrun: x\n",
            "FOLD is not declared by train.yaml, so all levels of fold would run the same job; declare it in "
            "the task (envs: {FOLD: null}) or, if the program reads it itself, write undeclared: [FOLD]",
        ),
    ],
)
def test_a_factor_whose_variable_the_task_does_not_know_fails_with_the_nearest_name(checked, task, sentence):
    assert checked(task=task)["factors"] == ("fail", sentence)


def test_the_variable_of_another_factor_is_not_proposed(checked):
    _, sentence = checked(task="envs: {MODEL: x}\nrun: x\n", config="envs: {fold: MODELL}\n")["factors"]
    assert "MODEL is" not in sentence


def test_each_unknown_factor_is_a_check_of_its_own(tmp_path):
    experiment = load_experiment(write_config(tmp_path, CONFIG, "run: python train.py\n"))
    checks = variable_checks(experiment, read_task(experiment), Environment(environ={}))
    assert [each.sentence.split()[0] for each in checks if each.result == "fail"] == ["MODEL", "FOLD"]


@pytest.mark.parametrize(
    "task",
    [
        "run: python train.py $MODEL --fold=${FOLD}\n",
        "setup: echo $MODEL\nrun: python -c 'import os; os.environ[\"FOLD\"]'\n",
        "envs: {MODEL: x}\nfile_mounts: {/out: 's3://bucket/${FOLD}'}\nrun: x\n",
        "envs: {MODEL: x}\nsecrets: {FOLD: x}\nrun: x\n",
        "name: p\n---\nenvs: {MODEL: x}\nrun: x\n---\nenvs: {FOLD: '0'}\nrun: y\n",
    ],
)
def test_a_variable_that_the_task_only_uses_is_known(checked, task):
    assert checked(task=task)["factors"][0] == "ok"


@pytest.mark.parametrize("run", ["$FOLDS", "$MY_FOLD", "FOLD2", "fold"])
def test_a_part_of_another_name_is_not_the_name(checked, run):
    assert checked(task=f"envs: {{MODEL: x}}\nrun: echo {run}\n")["factors"][0] == "fail"


def test_undeclared_is_for_a_program_that_reads_the_variable_itself(checked):
    found = checked("undeclared: [FOLD]\n", "envs: {MODEL: x}\nrun: python train.py\n")
    assert found["factors"][0] == "ok"


# Other variables


def test_another_variable_that_the_task_does_not_know_is_a_warning(checked):
    found = checked(
        "fixed: {EPOCHS: 2}\noverrides: {model: {a: {envs: {BATCH: 1}}}}\n"
        "baselines: [{model: c, fold: 0, envs: {ZERO_SHOT: true, EPOCHS: null}}]\n"
    )
    assert found["undeclared"] == (
        "warn",
        "train.yaml does not declare EPOCHS, BATCH, ZERO_SHOT; if the program reads them itself, write "
        "undeclared: [EPOCHS, BATCH, ZERO_SHOT]",
    )


def test_undeclared_silences_the_warning_for_what_it_lists(checked):
    config = "fixed: {EPOCHS: 2, BATCH: 1}\nundeclared: [EPOCHS"
    assert "declare BATCH;" in checked(config + "]\n")["undeclared"][1]
    assert "undeclared" not in checked(config + ", BATCH]\n")


def test_a_variable_that_a_baseline_only_unsets_is_not_set(checked):
    assert "undeclared" not in checked("baselines: [{model: c, fold: 0, envs: {GONE: null}}]\n")


# Values


@pytest.mark.parametrize(
    ("declared", "without"),
    [
        ("envs: {MODEL: , FOLD: , HF_TOKEN: }", ["HF_TOKEN"]),
        ("envs: {MODEL: x, FOLD: x, HF_TOKEN: '${HF_TOKEN}'}", ["HF_TOKEN"]),
        ("envs: {MODEL: x, FOLD: x, URL: 'https://${USER_NAME}:${KEY}@host'}", ["USER_NAME", "KEY"]),
        ("envs: {MODEL: x, FOLD: x}\nsecrets: {KEY: , OTHER: '${TOKEN}'}", ["KEY", "TOKEN"]),
    ],
)
def test_what_has_no_value_is_named_once(checked, declared, without):
    result, sentence = checked(task=f"{declared}\nrun: x\n")["variables"]
    assert result == "fail"
    assert f"declares {', '.join(without)} without a value; pass a file with --env-file" in sentence


@pytest.mark.parametrize(
    "environment",
    [
        {"environ": {"HF_TOKEN": "hf_1", "KEY": "k_1"}},
        {"passed": {"HF_TOKEN": "hf_1", "KEY": "k_1"}},
        {"environ": {"HF_TOKEN": "hf_1"}, "passed": {"KEY": "k_1"}},
    ],
)
def test_the_environment_or_the_env_file_has_the_values(checked, environment):
    task = "envs: {MODEL: x, FOLD: x, HF_TOKEN: '${HF_TOKEN}'}\nsecrets: {KEY: }\nrun: x\n"
    found = checked(task=task, **environment)
    assert found["variables"][0] == "ok"
    assert "hf_1" not in str(found)


def test_an_empty_value_is_none(checked):
    task = "envs: {MODEL: x, FOLD: x, HF_TOKEN: }\nrun: x\n"
    assert checked(task=task, environ={"HF_TOKEN": ""})["variables"][0] == "fail"


def test_what_only_some_conditions_set_is_missing_for_the_others(checked):
    task = "envs: {MODEL: x, FOLD: x, BATCH: }\nrun: x\n"
    config = "overrides: {model: {a: {envs: {BATCH: 1}}%s}}\n"
    assert checked(config % "", task)["variables"][0] == "fail"
    assert checked(config % ", b: {envs: {BATCH: 2}}", task)["variables"][0] == "ok"


def test_what_the_config_sets_replaces_a_placeholder(checked):
    task = "envs: {MODEL: '${MODEL}', FOLD: x, URL: '${URL}'}\nrun: x\n"
    assert checked("fixed: {URL: x}\n", task)["variables"][0] == "ok"
