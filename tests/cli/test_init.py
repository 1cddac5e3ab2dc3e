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
# job_name: "{{model_family}}-{{data}}"    # default: all levels, joined by -
# expect: {{minutes: 30}}         # run time of a job, for the estimate and the overrun alarm
# limits: {{budget_usd: 20}}
# prices: {{L4: {{spot: 0.22, on_demand: 0.70}}}} # USD/h; default: SkyPilot's catalog
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


def test_settings_of_tools_are_no_factors(tmp_path):
    task = """\
resources: {accelerators: "A100:2"}
envs: {MLFLOW_TIMEOUT: 300, GIT_PYTHON_REFRESH: quiet, LOGS_DIR: logs, SPLITS: /app/splits,
  STUDY_ALLOW_HOST: "1", DATA: "gs://data", CACHE_PATH: null, a.b: 1, FOLD_ID: "0", LOSS: null}
run: python train.py
"""
    world = World(tmp_path, task=task)
    printed = world.type("init", world.task).stdout
    world.config.write_text(printed)
    assert load_experiment(world.config).factors == {"fold_id": [0], "loss": ["level_1", "level_2"]}
    tools = "MLFLOW_TIMEOUT, GIT_PYTHON_REFRESH, LOGS_DIR, SPLITS, STUDY_ALLOW_HOST, DATA"
    assert f"# Not proposed, since they look like settings of tools: {tools}\n" in printed
    assert '# job_name: "{fold_id}-{loss}"' in printed
    assert "# prices: {A100: {spot: " in printed
    assert "# Ignored, since no variable can have such a name: a.b\n" in printed
    assert printed.endswith("--env-file: CACHE_PATH\n")


def test_a_task_that_does_not_exist_is_refused(tmp_path):
    assert isinstance(World(tmp_path).type("init", tmp_path / "none.yaml").exception, ConfigError)
