"""A config with a base, a file that it must not change."""

import pytest

from fmon.config import load_experiment
from fmon.errors import ConfigError
from fmon.model import envs_of

BASE = """\
experiment_name: grid
skypilot_yaml: train.yaml
factors: {model: [a, b], fold: [0, 1]}
fixed: {EPOCHS: 2, SEED: 1}
limits: {budget_usd: 5, pending_minutes: 3}
verify: {tests: make test}
undeclared: [SEED, EPOCHS]
"""
STUDY = """\
experiment_name: study
factors: {training: {model_family: [a, b], loss_name: [x]}}
fixed: {num_folds: 1, max_epochs: 2, learning_rate: 0.1}
infrastructure: {skypilot_yaml: tasks/train.yaml}
flows: [train]
"""


class Project:
    """A base in a folder of its own, and a config beside that folder."""

    def __init__(self, root):
        self.base = root / "configs" / "base.yaml"
        self.own = root / "experiment.yaml"
        (root / "configs").mkdir()
        (root / "tasks").mkdir()
        for path in ("configs/train.yaml", "tasks/train.yaml", "own.yaml"):
            (root / path).write_text("run: echo\n")

    def load(self, own="", base=BASE, **options):
        self.base.write_text(base)
        self.own.write_text(f"base: configs/base.yaml\n{own}")
        return load_experiment(self.own, **options)

    def refusal(self, own="", base=BASE):
        with pytest.raises(ConfigError) as caught:
            self.load(own, base)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_a_config_may_be_its_base_alone(project):
    experiment = project.load()
    assert experiment.experiment_name == "grid"
    assert experiment.config_file == str(project.own)
    assert len(experiment.conditions) == 4
    assert not project.base.with_suffix(".lock").exists()
    assert project.base.read_text() == BASE


def test_own_keys_take_precedence_mappings_are_merged_and_lists_replaced(project):
    experiment = project.load(
        "experiment_name: mine\nfactors: {fold: [7]}\nfixed: {SEED: 9, EXTRA: x}\n"
        "limits: {budget_usd: 6}\nundeclared: [EXTRA]\n"
    )
    assert experiment.experiment_name == "mine"
    assert experiment.factors == {"model": ["a", "b"], "fold": [7]}
    assert experiment.fixed == {"EPOCHS": "2", "SEED": "9", "EXTRA": "x"}
    assert (experiment.limits.budget_usd, experiment.limits.pending_minutes) == (6, 3)
    assert experiment.undeclared == ["EXTRA"]


def test_the_task_of_the_base_is_beside_the_base_and_that_of_the_config_beside_the_config(project):
    assert project.load().skypilot_yaml == "configs/train.yaml"
    assert project.load("skypilot_yaml: own.yaml\n").skypilot_yaml == "own.yaml"
    assert "line 2: the task YAML 'configs/own.yaml'" not in project.refusal("skypilot_yaml: gone.yaml\n")


def test_a_base_in_the_studys_form_keeps_its_variables_and_its_unused_keys(project):
    experiment = project.load(
        "limits: {budget_usd: 6}\nfixed: {SEED: 9}\n"
        "envs: {fixed.learning_rate: LR, fixed.batch_size: null, loss_name: LOSS}\n",
        STUDY,
    )
    assert experiment.skypilot_yaml == "tasks/train.yaml"
    envs = envs_of(experiment, experiment.conditions[0])
    assert (envs["LR"], envs["LOSS"], envs["SEED"], envs["MAX_EPOCHS"]) == ("0.1", "x", "9", "2")
    assert not {"BATCH_SIZE", "LOSS_NAME"} & envs.keys()
    assert experiment.study_keys == {"flows": ["train"]}
    assert experiment.limits.budget_usd == 6


def test_fixed_and_factors_of_the_config_change_the_variables_and_the_grid_of_a_study(project):
    study = f"{STUDY}zero_shot_baselines: [{{model: z}}]\n"
    experiment = project.load("fixed: {MAX_EPOCHS: 5}\nfactors: {fold: [0, 1]}\n", study)
    assert [each.job_name for each in experiment.conditions] == [
        *("a-x-calibfalse-f0", "a-x-calibfalse-f1", "b-x-calibfalse-f0", "b-x-calibfalse-f1"),
        "z-zeroshot-minivess-f0",
    ]
    epochs = [envs_of(experiment, each)["MAX_EPOCHS"] for each in experiment.conditions]
    assert epochs == ["5"] * 4 + ["0"]


def test_the_config_may_name_the_task_of_a_base_in_the_studys_form(project):
    assert project.load("skypilot_yaml: own.yaml\n", STUDY).skypilot_yaml == "own.yaml"


@pytest.mark.parametrize(
    ("own", "base", "said"),
    [
        ("limits: {budget: 3}\n", BASE, ["experiment.yaml, line 2", "limits.budget"]),
        ("", BASE.replace("budget_usd", "budget"), ["base.yaml, line 5", "limits.budget"]),
        ("limits: {budget_usd: 1}\n", BASE.replace("pending", "pnding"), ["base.yaml, line 5", "pnding"]),
        ("factors: {fold: [1, 1]}\n", BASE, ["experiment.yaml, line 2", "factors.fold"]),
        ("fixed: {SEED: 3}\n", BASE.replace("[a, b]", "[a, a]"), ["base.yaml, line 3", "factors.model"]),
        ("exclude: [{model: c}]\n", BASE, ["experiment.yaml, line 2", "no level 'c'"]),
        ("fixed: {MODEL: 3}\n", BASE, ["experiment.yaml, line 2", "MODEL passes the factor model"]),
        ("skypilot_yaml: gone.yaml\n", BASE, ["experiment.yaml, line 2", "'gone.yaml'"]),
        ("", BASE.replace("train.yaml", "gone.yaml"), ["base.yaml, line 2", "'gone.yaml'", "configs"]),
        ("", STUDY.replace("num_folds: 1", "num_folds: 0"), ["base.yaml, line 3", "fixed.num_folds"]),
        ("", STUDY.replace("[a, b]", "[a, a]"), ["base.yaml, line 2", "factors.training.model_family"]),
        (
            "envs: {fixed.learn_rate: LR}\n",
            STUDY,
            ["experiment.yaml, line 2", "did you mean 'fixed.learning_rate'"],
        ),
        ("", "base: other.yaml\n" + BASE, ["base.yaml, line 1", "can't have a base itself"]),
        ("", "[1]", ["base.yaml, line 1", "not a mapping"]),
        ("", "", ["base.yaml is empty"]),
        ("model_overrides: {}\n", BASE, ["experiment.yaml, line 1", "study's form can't have a base"]),
    ],
)
def test_a_fault_names_the_file_and_the_line_that_has_it(project, own, base, said):
    sentence = project.refusal(own, base)
    for words in said:
        assert words in sentence


@pytest.mark.parametrize(("written", "said"), [("gone.yaml", "'gone.yaml' is not in"), ("[a]", "is a list")])
def test_a_base_that_is_not_a_file_is_refused(project, written, said):
    project.own.write_text(f"# mine\nbase: {written}\n")
    with pytest.raises(ConfigError, match=r"experiment\.yaml, line 2: .*" + said):
        load_experiment(project.own)


def test_the_limit_of_conditions_applies_to_both_together(project):
    assert len(project.load(max_conditions=4).conditions) == 4
    with pytest.raises(ConfigError, match="--max-conditions 6"):
        project.load("factors: {fold: [0, 1, 2]}\n", max_conditions=4)
