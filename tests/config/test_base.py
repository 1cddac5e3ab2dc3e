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


def test_the_paths_of_a_base_have_no_dots(project):
    below = project.own.parent / "a" / "b"
    below.mkdir(parents=True)
    (below / "own.yaml").write_text("base: ../../configs/base.yaml\n")
    project.base.write_text(STUDY)
    (project.base.parent / "regions").mkdir()
    (project.base.parent / "regions/x.yaml").write_text("a: 1")
    experiment = load_experiment(below / "own.yaml")
    assert (experiment.base_file, experiment.study_file) == (str(project.base), str(project.base))
    project.base.write_text(f"{STUDY}region_config: ../regions/x\n")
    assert load_experiment(below / "own.yaml").region_file == str(project.base.parent / "regions/x.yaml")
    project.base.write_text("[1]")
    with pytest.raises(ConfigError, match=f"^{project.base}, line 1"):
        load_experiment(below / "own.yaml")


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


@pytest.mark.parametrize(
    "own",
    [
        "limits:\nenvs:\nfixed:\nundeclared:\nfactors:\nverify:\nskypilot_yaml:\noverrides:\n",
        "limits: {budget_usd: , pending_minutes: }\nfixed: {SEED: }\nfactors: {fold: }\n",
        "overrides: {model: }\n",
        "overrides: {model: {a: }}\n",
        "overrides: {model: {a: {envs: , resources: }}}\n",
        "overrides: {model: {a: {envs: {B: }}}}\n",
    ],
)
def test_an_empty_value_means_the_same_as_no_key(project, own):
    base = f"{BASE}overrides: {{model: {{a: {{envs: {{B: 1}}, resources: {{use_spot: true}}}}}}}}\n"
    base += "envs: {fold: FOLD_ID, verify.tests: TESTS}\n"
    assert project.load(own, base) == project.load("", base)


def test_an_empty_value_unsets_what_has_no_other_way_to_be_unset(project):
    base = (
        f"{BASE}overrides: {{model: {{a: {{resources: {{use_spot: true}}}}}}}}\nenvs: {{verify.tests: T}}\n"
    )
    experiment = project.load(
        "envs: {verify.tests: }\noverrides: {model: {a: {resources: {use_spot: }}}}\n", base
    )
    assert "T" not in experiment.fixed
    assert experiment.conditions[0].resources == {"use_spot": None}


def test_an_empty_value_that_the_base_lacks_is_checked_as_in_any_config(project):
    assert project.load("limits: {budget_usd: }\n", STUDY).limits.budget_usd is None
    assert "unknown key 'limits.budgt'" in project.refusal("limits: {budgt: }\n")


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
        *("z-zeroshot-minivess-f0", "z-zeroshot-minivess-f1"),
    ]
    epochs = [envs_of(experiment, each)["MAX_EPOCHS"] for each in experiment.conditions]
    assert epochs == ["5"] * 4 + ["0"] * 2


def test_fixed_of_the_config_wins_over_the_parameters_of_the_study(project):
    study = f"{STUDY}zero_shot_baselines: [{{model: z}}]\nmodel_overrides: {{b: {{batch_size: 8}}}}\n"
    experiment = project.load(
        "fixed: {max_epochs: 5, num_folds: 2, batch_size: 4, learning_rate: 0.5, MAX_X: 1, seed: 3}\n", study
    )
    assert experiment.factors["fold"] == [0, 1]
    names = ("FOLD_ID", "MAX_EPOCHS", "BATCH_SIZE", "MAX_X", "seed")
    found = [tuple(envs_of(experiment, each)[name] for name in names) for each in experiment.conditions]
    assert found == [
        *(("0", "5", "4", "1", "3"), ("1", "5", "4", "1", "3")),
        *(("0", "5", "8", "1", "3"), ("1", "5", "8", "1", "3")),
        *(("0", "0", "4", "1", "3"), ("1", "0", "4", "1", "3")),
    ]
    assert not {"max_epochs", "num_folds", "batch_size", "learning_rate"} & experiment.fixed.keys()
    assert not {"fixed.max_epochs", "fixed.num_folds", "fixed.batch_size"} & experiment.defaults.keys()
    assert experiment.study_keys["fixed.learning_rate"] == 0.5


def test_an_empty_parameter_keeps_that_of_the_study(project):
    assert project.load("fixed: {max_epochs: , num_folds: }\nfactors: {fold: }\n", STUDY) == project.load(
        "", STUDY
    )


def test_the_number_of_folds_on_top_wins_over_the_folds_of_the_study(project):
    study = STUDY.replace("loss_name: [x]", "loss_name: [x], fold: [7]")
    assert project.load("fixed: {num_folds: 2}\n", study).factors["fold"] == [0, 1]
    assert project.load("", study).factors["fold"] == [7]


def test_factors_on_top_keep_the_order_and_take_their_overrides_with_them(project):
    study = f"{STUDY}model_overrides: {{b: {{batch_size: 8}}, c: {{batch_size: 1}}}}\n"
    experiment = project.load("factors: {fold: [5], model_family: [a, c], width: [8]}\n", study)
    assert list(experiment.factors) == ["model_family", "loss_name", "aux_calibration", "fold", "width"]
    assert [each.job_name for each in experiment.conditions] == ["a-x-false-5-8", "c-x-false-5-8"]
    assert envs_of(experiment, experiment.conditions[1])["BATCH_SIZE"] == "1"
    assert experiment.study_keys["model_overrides.b"] == {"batch_size": 8}


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
        ("fixed: {num_folds: 0}\n", STUDY, ["experiment.yaml, line 2", "fixed.num_folds"]),
        ("envs: {1: FOO}\n", STUDY, ["experiment.yaml, line 2", "envs has 1"]),
        ("envs: {1: FOO}\n", BASE, ["experiment.yaml, line 2", "envs has 1"]),
        ("fixed: {1: FOO}\n", STUDY, ["experiment.yaml, line 2", "fixed.1"]),
        (
            "factors: {fold: 3}\n",
            f"{STUDY}zero_shot_baselines: [{{model: z}}]\n",
            ["experiment.yaml, line 2"],
        ),
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


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("gone.yaml", "'gone.yaml' is not in"),
        ("[a]", "is a list"),
        ('"a\\0b"', "is not in"),
        ("configs", "the base 'configs' is a directory"),
        ("x" * 5000, "the base 'x{79} is not in"),
    ],
)
def test_a_base_that_is_not_a_file_is_refused(project, written, said):
    project.own.write_text(f"# mine\nbase: {written}\n")
    with pytest.raises(ConfigError, match=r"experiment\.yaml, line 2: .*" + said):
        load_experiment(project.own)


def test_the_limit_of_conditions_applies_to_both_together(project):
    assert len(project.load(max_conditions=4).conditions) == 4
    with pytest.raises(ConfigError, match="--max-conditions 6"):
        project.load("factors: {fold: [0, 1, 2]}\n", max_conditions=4)
