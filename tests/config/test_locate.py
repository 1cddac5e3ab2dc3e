"""Where the task YAML and the region file are looked for."""

from pathlib import Path

import pytest

from fmon.config import load_experiment
from fmon.errors import ConfigError

STUDY = """\
experiment_name: study
factors: {training: {model_family: [a], loss_name: [x]}}
infrastructure: {skypilot_yaml: tasks/train.yaml, region_config: europe}
"""
OWN = "experiment_name: own\nskypilot_yaml: tasks/train.yaml\nregion_config: europe\nfactors: {m: [a]}\n"
REGIONS = "configs/cloud/regions/europe.yaml"


class Repository:
    """A git repository inside a folder, with a config two folders deep."""

    def __init__(self, outside):
        self.outside, self.root = outside, outside / "repo"
        (self.root / ".git").mkdir(parents=True)
        self.config = self.root / "a" / "b" / "config.yaml"

    def write(self, *paths):
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("run: echo\n")

    def load(self, text=STUDY, **options):
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)
        return load_experiment(self.config, **options)


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_the_studys_task_is_searched_in_every_folder_up_to_the_root_the_nearest_wins(repository):
    repository.write(repository.root / "tasks/train.yaml")
    assert repository.load().skypilot_yaml == "../../tasks/train.yaml"
    repository.write(repository.root / "a/tasks/train.yaml")
    assert repository.load().skypilot_yaml == "../tasks/train.yaml"
    repository.write(repository.root / "a/b/tasks/train.yaml")
    assert repository.load().skypilot_yaml == "tasks/train.yaml"


def test_above_the_root_of_the_repository_nothing_is_searched(repository):
    repository.write(repository.outside / "tasks/train.yaml", repository.outside / REGIONS)
    with pytest.raises(ConfigError, match=r"line 3: .*'tasks/train\.yaml' is not in .*a/b or a folder above"):
        repository.load()
    assert repository.load(needs_task=False).region_file is None


def test_in_a_worktree_whose_git_is_a_file_the_search_ends_too(repository):
    (repository.root / ".git").rmdir()
    (repository.root / ".git").write_text("gitdir: /elsewhere\n")
    repository.write(repository.outside / "tasks/train.yaml")
    with pytest.raises(ConfigError, match="is not in"):
        repository.load()


def test_fmons_own_form_names_its_task_relative_to_its_folder_alone(repository):
    repository.write(repository.root / "tasks/train.yaml")
    with pytest.raises(ConfigError, match=r"line 2: the task YAML 'tasks/train\.yaml' is not in [^ ]*a/b;"):
        repository.load(OWN)


@pytest.mark.parametrize("text", [STUDY, OWN])
def test_a_task_given_on_the_command_line_takes_precedence(repository, monkeypatch, text):
    given = repository.outside / "given.yaml"
    repository.write(given, repository.root / "a/b/tasks/train.yaml")
    monkeypatch.chdir(repository.outside)
    experiment = repository.load(text, task=given.relative_to(repository.outside))
    assert experiment.skypilot_yaml == "../../../given.yaml"
    assert experiment.task == str(given)
    assert repository.load(text).task is None


def test_a_task_given_on_the_command_line_must_exist(repository):
    repository.write(repository.root / "a/b/tasks/train.yaml")
    with pytest.raises(ConfigError, match=r"^the task YAML gone\.yaml does not exist; .*--task$"):
        repository.load(task=Path("gone.yaml"))


def test_a_config_without_a_task_asks_for_one(repository):
    with pytest.raises(ConfigError, match=r"the config has no task YAML; add skypilot_yaml, .* --task"):
        repository.load("experiment_name: own\nfactors: {m: [a]}\n")
    given = repository.outside / "given.yaml"
    repository.write(given)
    assert repository.load("experiment_name: own\nfactors: {m: [a]}\n", task=given).task == str(given)


@pytest.mark.parametrize("text", [STUDY, OWN])
def test_regions_are_beside_the_config_or_in_the_studys_folder_above(repository, text):
    found = lambda: repository.load(text, needs_task=False).region_file  # noqa: E731
    assert found() is None
    repository.write(repository.root / REGIONS)
    assert found() == str(repository.root / REGIONS)
    repository.write(repository.root / "a" / REGIONS)
    assert found() == str(repository.root / "a" / REGIONS)
    beside = repository.root / "a/b/regions/europe.yaml"
    repository.write(beside)
    assert found() == str(beside)


def test_regions_of_a_base_in_the_studys_form_are_beside_the_base(repository):
    beside = repository.root / "a/b/regions/europe.yaml"
    repository.write(beside, repository.root / "a/b/tasks/train.yaml")
    repository.load()
    own = repository.outside / "own.yaml"
    own.write_text("base: repo/a/b/config.yaml\n")
    assert load_experiment(own).region_file == str(beside)
