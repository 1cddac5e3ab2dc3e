from pathlib import Path
from textwrap import dedent

import pytest

from fmon.config import load_experiment
from fmon.errors import ConfigError
from tests.support.study_form import BARE, STUDY

HEAD = "experiment_name: study\nskypilot_yaml: train.yaml\n"


class Folder:
    """A folder with a task YAML, into which a test writes its config."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "train.yaml").write_text("run: echo hello\n")

    def write(self, text: str, *, head: str = HEAD) -> Path:
        config = self.path / "experiment.yaml"
        config.write_text(head + dedent(text))
        return config

    def load(self, text: str, *, head: str = HEAD, **options):
        return load_experiment(self.write(text, head=head), **options)

    def refusal(self, text: str, *, head: str = HEAD, **options) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(text, head=head, **options)
        sentence = str(caught.value)
        assert caught.value.exit_code == 2
        assert "\n" not in sentence
        assert "experiment.yaml" in sentence
        return sentence


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def study(tmp_path):
    """The study's repository: the config in a folder of its own, the task YAML in another one."""
    config = tmp_path / "configs" / "factorial" / "debug.yaml"
    task = tmp_path / "deployment" / "skypilot" / "train_factorial.yaml"
    for path in (config, task):
        path.parent.mkdir(parents=True)
    task.write_text("run: echo\n")
    config.write_text(STUDY)
    return config


@pytest.fixture
def bare(folder):
    """Load a config that leaves out nearly everything, and what a test adds."""
    return lambda text="", head=BARE: folder.load(text, head=head)
