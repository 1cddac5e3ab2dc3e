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


@pytest.mark.parametrize("needs_task", [True, False])
def test_a_directory_is_no_task(repository, needs_task):
    folder = repository.root / "a/b/tasks/train.yaml"
    folder.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"^the task YAML \S+ is a directory; .*--task$"):
        repository.load(OWN, task=folder, needs_task=needs_task)
    with pytest.raises(ConfigError, match=r"line 2: the task YAML 'tasks/train\.yaml' is a directory"):
        repository.load(OWN)


def test_a_path_that_is_too_long_is_refused_in_one_short_sentence(repository):
    long = "x" * 5000
    for text in (OWN, STUDY):
        with pytest.raises(ConfigError, match=r"the task YAML 'x{79} is not in"):
            repository.load(text.replace("tasks/train.yaml", long))
        with pytest.raises(ConfigError, match=r"^the task YAML x{200}… \(5,000 characters\) does not exist"):
            repository.load(text, task=Path(long))
        experiment = repository.load(text.replace("europe", long), needs_task=False)
        assert experiment.region_file is None
        assert max(map(len, experiment.region_searched)) < 500


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


def test_a_config_given_with_dots_has_its_own_parents(repository, monkeypatch):
    (repository.root / "other/below").mkdir(parents=True)
    repository.write(repository.root / "other" / REGIONS, repository.root / "a/b/tasks/train.yaml")
    repository.load()
    monkeypatch.chdir(repository.root / "other/below")
    experiment = load_experiment(Path("../../a/b/config.yaml"))
    assert experiment.region_file is None
    assert ".." not in "".join(experiment.region_searched)
    repository.config.write_text(STUDY.replace("tasks/train.yaml", "gone.yaml"))
    with pytest.raises(ConfigError, match=f"is not in {repository.config.parent} or a folder above it"):
        load_experiment(Path("../../a/b/config.yaml"))


def test_dots_behind_a_symbolic_link_go_where_the_system_goes(repository):
    real = repository.root / "real/deep"
    repository.write(repository.root / "real/base.yaml", repository.root / "real/tasks/train.yaml")
    (repository.root / "real/base.yaml").write_text(OWN)
    real.mkdir()
    (real / "own.yaml").write_text("base: ../base.yaml\n")
    link = repository.root / "link"
    link.symlink_to(real)
    assert load_experiment(link / "own.yaml").experiment_name == "own"


class Layered:
    """A config and its base in two folders of a repository, both of which name regions."""

    def __init__(self, repository):
        self.root = repository.root
        self.base, self.own = self.root / "study/base.yaml", self.root / "mine/own.yaml"
        repository.write(self.root / "study/tasks/train.yaml", self.own)

    def load(self, own, base=STUDY):
        self.base.write_text(base)
        self.own.write_text(f"base: ../study/base.yaml\n{own}")
        return load_experiment(self.own)


@pytest.fixture
def layered(repository):
    return Layered(repository)


@pytest.mark.parametrize("base", [STUDY, OWN])
def test_regions_of_a_config_are_beside_it_then_above_it_then_beside_its_base(layered, repository, base):
    own = "region_config: europe\n"
    beside_base = layered.root / "study/regions/europe.yaml"
    repository.write(beside_base)
    assert layered.load(own, base).region_file == str(beside_base)
    above = layered.root / REGIONS
    repository.write(above)
    assert layered.load(own, base).region_file == str(above)
    beside_own = layered.root / "mine/regions/europe.yaml"
    repository.write(beside_own)
    assert layered.load(own, base).region_file == str(beside_own)
    for empty in ("", "limits:\n"):
        assert layered.load(empty, base).region_file == str(beside_base)


@pytest.mark.parametrize("base", [STUDY, OWN])
def test_an_empty_region_config_turns_the_regions_of_the_base_off(layered, base):
    assert layered.load("", base).region_config == "europe"
    experiment = layered.load("region_config: null\n", base)
    assert (experiment.region_config, experiment.region_file) == (None, None)


def test_the_files_that_were_looked_for_are_named(layered):
    mine, study = layered.root / "mine", layered.root / "study"
    of_base = [
        f"{study}/regions/europe.yaml",
        f"{REGIONS} in the folders from {study} up to {layered.root}",
    ]
    assert layered.load("").region_searched == of_base
    assert layered.load("region_config: europe\n").region_searched == [
        f"{mine}/regions/europe.yaml",
        f"{REGIONS} in the folders from {mine} up to {layered.root}",
        *of_base,
    ]
