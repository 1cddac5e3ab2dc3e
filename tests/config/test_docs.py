"""docs/config.md: its examples load, and it documents every key."""

import re
from pathlib import Path

import pytest
import yaml

from fmon.config import load_experiment
from fmon.config.shape import ConfigKeys, ExpectKeys, LaunchKeys, LimitsKeys, MlflowKeys
from fmon.config.study_form import ENVS

TEXT = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES = [block for block in BLOCKS if block.startswith("experiment_name:")]


@pytest.mark.parametrize(("number", "count"), [(0, 4), (1, 19), (2, 34)])
def test_an_example_is_a_config(tmp_path, number, count):
    (tmp_path / "train.yaml").touch()
    config = tmp_path / "experiment.yaml"
    config.write_text(EXAMPLES[number])
    assert len(load_experiment(config).conditions) == count


def test_the_example_of_a_base_adds_to_the_study(tmp_path):
    (example,) = (block for block in BLOCKS if block.startswith("base:"))
    base = tmp_path / yaml.safe_load(example)["base"]
    base.parent.mkdir(parents=True)
    base.write_text(EXAMPLES[2])
    (tmp_path / "train.yaml").touch()
    config = tmp_path / "experiment.yaml"
    config.write_text(example)
    experiment = load_experiment(config)
    assert (len(experiment.conditions), experiment.limits.budget_usd) == (34, 25)


def test_the_example_of_envs_passes_a_factor_an_inner_factor_and_keys(tmp_path):
    (example,) = (block for block in BLOCKS if block.startswith("envs:\n") and "fixed.EPOCHS" in block)
    (tmp_path / "train.yaml").touch()
    config = tmp_path / "experiment.yaml"
    config.write_text(
        "experiment_name: e\nskypilot_yaml: train.yaml\nfactors: {model_family: [a]}\n"
        f"inner_factors: {{method: [none, swag]}}\n{example}"
    )
    experiment = load_experiment(config)
    assert experiment.env_names == {"model_family": "MODEL_FAMILY"}
    assert experiment.fixed == {
        "POST_TRAINING_METHODS": "none,swag",
        "EXPERIMENT_NAME": "e",
        "MAX_EPOCHS": "50",
    }


def test_the_variables_of_the_studys_launcher_are_the_ones_in_the_docs():
    (block,) = (block for block in BLOCKS if block.startswith("envs:\n") and "FOLD_ID" in block)
    assert yaml.safe_load(block)["envs"] == ENVS


def test_every_key_is_in_a_table():
    keys = {*ConfigKeys.model_fields, "base"} - {"expect", "launch", "limits", "mlflow"}
    keys |= {f"expect.{name}" for name in ExpectKeys.model_fields}
    keys |= {f"launch.{name}" for name in LaunchKeys.model_fields}
    keys |= {f"limits.{name}" for name in LimitsKeys.model_fields}
    keys |= {f"mlflow.{name}" for name in MlflowKeys.model_fields}
    rows = "\n".join(line for line in TEXT.splitlines() if line.startswith("|"))
    assert {key for key in keys if f"`{key}`" not in rows} == set()


def test_the_defaults_in_the_table_are_the_defaults():
    limits = LimitsKeys()
    for name in ("pending_minutes", "starting_minutes", "overrun_factor", "flapping"):
        assert re.search(rf"\| `limits.{name}` \|.*\| {getattr(limits, name):g} \|", TEXT)
    for name, value in LaunchKeys().model_dump().items():
        assert re.search(rf"\| `launch.{name}` \|.*\| `?{value}`? \|", TEXT)


def test_the_examples_are_plain_yaml_to_others_too():
    assert [yaml.safe_load(example)["experiment_name"] for example in EXAMPLES] == [
        "first_study",
        "debug_factorial",
        "debug_study",
    ]
