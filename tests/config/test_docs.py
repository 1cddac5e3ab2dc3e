"""docs/config.md: its examples load, and every key stands in it."""

import re
from pathlib import Path

import pytest
import yaml

from fmon.config import load_experiment
from fmon.config.shape import ExpectKeys, FlatKeys, LaunchKeys, LayeredKeys, LimitsKeys, MlflowKeys

TEXT = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("number", "count"), [(0, 4), (1, 19), (2, 34)])
def test_an_example_is_a_config(tmp_path, number, count):
    (tmp_path / "train.yaml").touch()
    config = tmp_path / "experiment.yaml"
    config.write_text(EXAMPLES[number])
    assert len(load_experiment(config).conditions) == count


def test_every_key_stands_in_a_table():
    keys = {*FlatKeys.model_fields, *LayeredKeys.model_fields} - {
        "expect",
        "launch",
        "limits",
        "infrastructure",
        "mlflow",
    }
    keys |= {f"expect.{name}" for name in ExpectKeys.model_fields}
    keys |= {f"launch.{name}" for name in LaunchKeys.model_fields}
    keys |= {f"limits.{name}" for name in LimitsKeys.model_fields}
    keys |= {f"mlflow.{name}" for name in MlflowKeys.model_fields}
    rows = "\n".join(line for line in TEXT.splitlines() if line.startswith("|"))
    assert {key for key in keys if f"`{key}`" not in rows} == set()


def test_the_defaults_in_the_table_are_the_defaults():
    limits = LimitsKeys()
    for name in ("pending_minutes", "starting_minutes", "overrun_factor"):
        assert re.search(rf"\| `limits.{name}` \|.*\| {getattr(limits, name):g} \|", TEXT)
    for name, value in LaunchKeys().model_dump().items():
        assert re.search(rf"\| `launch.{name}` \|.*\| `?{value}`? \|", TEXT)


def test_the_examples_are_plain_yaml_to_others_too():
    assert [yaml.safe_load(example)["experiment_name"] for example in EXAMPLES] == [
        "first_study",
        "debug_factorial",
        "debug_study",
    ]
