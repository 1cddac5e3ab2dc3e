"""The ``sky jobs launch`` command for a job."""

import shlex

import pytest
import yaml

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.launch.command import typed_launch
from fmon.launch.environment import Environment
from fmon.launch.job_yaml import job_envs
from tests.support.world import write_config

TASK = {
    "resources": {"accelerators": "L4"},
    "envs": {"HF_HOME": None, "MODEL": "x"},
    "run": "python train.py",
}


def typed(tmp_path, config="", task=None):
    text = f"experiment_name: e\nskypilot_yaml: train.yaml\nfactors: {{model: [a]}}\n{config}"
    experiment = load_experiment(write_config(tmp_path, text, yaml.safe_dump(task or TASK)))
    (condition,) = experiment.conditions
    envs = job_envs(experiment, condition, experiment_id="e-1", cycle=1)
    return typed_launch(read_task(experiment), condition, envs, Environment(environ={}))


def test_names_the_job_its_variables_and_the_task(tmp_path):
    words = shlex.split(typed(tmp_path))
    assert words[:5] == ["sky", "jobs", "launch", "-n", "a"]
    assert words[5:-1] == [
        *("--env", "MODEL=a", "--env", "FMON_EXPERIMENT=e-1", "--env", "FMON_CONDITION=a"),
        *("--env", "FMON_CYCLE=1", "--env", "HF_HOME"),
    ]
    assert words[-1] == str(tmp_path / "train.yaml")


def test_no_secret_stands_in_it(tmp_path):
    words = shlex.split(typed(tmp_path, task={**TASK, "secrets": {"WANDB_API_KEY": None}}))
    assert words[words.index("--secret") + 1] == "WANDB_API_KEY"


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ("{use_spot: false}", ["--no-use-spot"]),
        ("{use_spot: true, memory: 32+}", ["--use-spot", "--memory", "32+"]),
        ("{accelerators: {L4: 2}}", ["--gpus", "L4:2"]),
        ("{accelerators: 'A100:1', cpus: 8}", ["--gpus", "A100:1", "--cpus", "8"]),
    ],
)
def test_resources_that_differ_are_options(tmp_path, resources, words):
    told = shlex.split(typed(tmp_path, f"overrides: {{model: {{a: {{resources: {resources}}}}}}}\n"))
    assert told[5 : 5 + len(words)] == words


def test_what_has_no_option_is_said_behind_it(tmp_path):
    told = typed(tmp_path, "overrides: {model: {a: {resources: {any_of: [{infra: aws}]}}}}\n")
    assert told.endswith("  # resources {'any_of': [{'infra': 'aws'}]} are set in a copy of the YAML")


def test_hostile_levels_stay_words_of_the_shell(tmp_path):
    told = shlex.split(typed(tmp_path, "fixed: {NOTE: \"x; rm -rf '$HOME'\"}\n"))
    assert "NOTE=x; rm -rf '$HOME'" in told


def test_the_env_file_is_named_and_its_variables_are_not_repeated(tmp_path):
    experiment = load_experiment(
        write_config(
            tmp_path,
            "experiment_name: e\nskypilot_yaml: train.yaml\nfactors: {model: [a]}\n",
            yaml.safe_dump(TASK),
        )
    )
    environment = Environment(environ={}, env_file=tmp_path / ".env", passed={"HF_HOME": "secret"})
    line = typed_launch(read_task(experiment), experiment.conditions[0], {"MODEL": "a"}, environment)
    words = shlex.split(line)
    assert words[words.index("--env-file") + 1] == str(tmp_path / ".env")
    assert "HF_HOME" not in words
    assert "secret" not in line
