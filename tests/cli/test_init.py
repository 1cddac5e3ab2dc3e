"""``fmon init`` as typed."""

import yaml

from fmon.config import load_experiment
from fmon.errors import ConfigError
from tests.support.world import World

TASK = """\
name: My Study
envs: {MODEL_FAMILY: dynunet, FOLD_ID: "0", lr: 0.1, DATA: null, HF_TOKEN: "${HF_TOKEN}", WANDB_API_KEY: null}
secrets: {PASSWORD: null}
run: python train.py
"""


def test_the_config_is_data_and_the_rest_is_a_message(tmp_path):
    world = World(tmp_path)
    for name in ("a-0", "a-1", "b-0", "b-1"):
        world.server.add(name)
    printed = world.type("init")
    assert yaml.safe_load(printed.stdout)["factors"] == {"a": ["a", "b"], "b": [0, 1]}
    assert printed.stderr == (
        "Proposed by fmon init: the queue (sky) has jobs for 4 conditions. Next: fmon adopt CONFIG\n"
    )


def test_a_person_at_the_terminal_is_asked(tmp_path):
    world = World(tmp_path)
    for name in ("a-0", "a-1", "other_1", "other_2"):
        world.server.add(name)
        world.server.pass_time(60)
    asked = world.seat(False, True)
    assert yaml.safe_load(world.type("init").stdout)["job_name"] == "a-{a}"
    assert asked == [
        "Propose a config for 2 jobs such as other_1?",
        "Propose a config for 2 jobs such as a-0?",
    ]


def test_from_a_task_a_config_to_fill_in_that_can_be_read(tmp_path):
    world = World(tmp_path, task=TASK)
    printed = world.type("init", world.task)
    assert (
        printed.stdout
        == f"""\
# Fill in the levels of the factors, then check the result with fmon plan.
experiment_name: my_study
skypilot_yaml: {world.task}
factors:  # what varies between the jobs, such as fold: [0, 1, 2]; the task sets the rest
  model_family: [dynunet]
  # fold_id: [0]
  # lr: [0.1]  # needs envs: {{lr: lr}}
  data: [level_1, level_2]
# fixed: {{MAX_EPOCHS: 2}}        # variables of every job
# job_name: "{{model}}-f{{fold}}"    # default: all levels, joined by -
# expect: {{minutes: 30}}         # run time of a job, for the estimate and the overrun alarm
# limits: {{budget_usd: 20}}
# Set in the environment or with --env-file: HF_TOKEN, WANDB_API_KEY, PASSWORD
"""
    )
    world.config.write_text(printed.stdout)
    assert [each.condition_id for each in load_experiment(world.config).conditions] == [
        "dynunet-level_1",
        "dynunet-level_2",
    ]


def test_a_task_without_variables_gives_a_config_too(tmp_path):
    world = World(tmp_path, task="run: python train.py\n")
    world.config.write_text(world.type("init", world.task).stdout)
    assert len(load_experiment(world.config).conditions) == 2


def test_a_task_that_does_not_exist_is_refused(tmp_path):
    assert isinstance(World(tmp_path).type("init", tmp_path / "none.yaml").exception, ConfigError)
