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
        "envs: {MODEL: x}\nsecrets: {OTHER: x}\nrun: echo $FOLD\n",
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


@pytest.mark.parametrize("value", ["x", "", "'${FOLD}'"])
def test_a_factor_that_is_a_secret_fails_because_the_secret_would_win(checked, value):
    found = checked(task=f"envs: {{MODEL: x}}\nsecrets: {{FOLD: {value}}}\nrun: x\n", passed={"FOLD": "1"})
    assert found["secrets"] == (
        "fail",
        "FOLD is a secret in train.yaml, which takes precedence over the config, so every job would run "
        "with the same one; declare it under envs",
    )


@pytest.mark.parametrize("name", ["EPOCHS", "BATCH", "FMON_CYCLE", "MLFLOW_RUN_CONTEXT"])
def test_so_does_every_other_variable_that_fmon_sets(checked, name):
    task = f"envs: {{MODEL: x, FOLD: x}}\nsecrets: {{KEY: x, {name}: x}}\nrun: x\n"
    config = "fixed: {EPOCHS: 2}\noverrides: {model: {b: {envs: {BATCH: 1}}}}\nmlflow: {experiment: e}\n"
    assert checked(config, task)["secrets"][1].startswith(f"{name} is a secret")
    assert "secrets" not in checked(config, task.replace(f"{name}: x", "OTHER: x"))


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


# What the env file sets too


def test_what_the_env_file_also_sets_is_a_warning(checked):
    baseline = "baselines: [{model: c, fold: 0, envs: {ZERO_SHOT: true}}]\n"
    task = TASK.replace("MODEL: x", "MODEL: x, ZERO_SHOT: 'false', SEED: '1', HF_TOKEN: null")
    given = {"HF_TOKEN": "t", "OTHER": "o"}
    assert "env_file" not in checked(baseline, task, passed=given)
    assert checked(baseline, task, passed={**given, "FOLD": "9", "FMON_CYCLE": "1"})["env_file"] == (
        "warn",
        "the env file also sets FOLD, FMON_CYCLE, which the config sets: the config takes precedence",
    )
    assert checked(baseline, task, passed={**given, "ZERO_SHOT": "true", "SEED": "2"})["env_file"] == (
        "warn",
        "the env file also sets ZERO_SHOT, SEED, for every job",
    )


# Values


@pytest.mark.parametrize(
    ("declared", "without"),
    [
        ("envs: {MODEL: , FOLD: , HF_TOKEN: }", ["HF_TOKEN"]),
        ("envs: {MODEL: x, FOLD: x, HF_TOKEN: '${HF_TOKEN}'}", ["HF_TOKEN"]),
        ("envs: {MODEL: x, FOLD: x, TOKEN: $HF_TOKEN}", ["HF_TOKEN"]),
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


@pytest.mark.parametrize("declared", ["", "'${HF_TOKEN}'", "$HF_TOKEN"])
@pytest.mark.parametrize("kind", ["envs", "secrets"])
def test_an_empty_value_of_the_env_file_is_none_where_the_task_asks_for_one(checked, kind, declared):
    task = f"{kind}: {{HF_TOKEN: {declared}}}\nrun: echo $MODEL $FOLD\n"
    result, sentence = checked(task=task, passed={"HF_TOKEN": ""})["variables"]
    assert (result, "declares HF_TOKEN without a value" in sentence) == ("fail", True)
    assert checked(task=task, passed={"HF_TOKEN": ""}, environ={"HF_TOKEN": "x"})["variables"][0] == "ok"


def test_an_empty_text_is_a_value(checked):
    assert checked(task="envs: {MODEL: x, FOLD: x, NOTE: ''}\nrun: x\n")["variables"][0] == "ok"


def test_an_incomplete_value_of_the_env_file_is_named_unless_the_config_sets_it(checked):
    given = {"passed": {"URL": "", "FOLD": ""}, "incomplete": ("URL", "FOLD")}
    result, sentence = checked(**given)["variables"]
    assert (result, sentence.split(" refers")[0]) == ("fail", "the env file's URL")
    assert checked("fixed: {URL: x}\n", **given)["variables"][0] == "ok"


@pytest.mark.parametrize(
    ("declared", "form"),
    [
        ("envs: {OUT: '${OUT:-/out}'}", "${OUT:-/out}"),
        ("envs: {OUT: 'a/$(date)'}", "$(date)"),
        ("secrets: {OUT: '${OUT%/}'}", "${OUT%/}"),
    ],
)
def test_what_only_a_shell_expands_fails_unless_something_else_sets_it(checked, declared, form):
    task = f"{declared}\nrun: echo $MODEL $FOLD\n"
    result, sentence = checked(task=task)["shell"]
    assert (result, f"SkyPilot does not expand {form} in OUT of train.yaml" in sentence) == ("fail", True)
    assert "shell" not in checked(task=task, passed={"OUT": "x"})
    assert ("shell" in checked("fixed: {OUT: x}\n", task)) == declared.startswith("secrets")
