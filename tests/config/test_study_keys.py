"""The other keys of a config in the study's form, and its mistakes."""

import pytest

from fmon.config import load_experiment
from fmon.errors import ConfigError
from fmon.manifest.build import new_manifest
from tests.support.queues import START
from tests.support.study_form import STUDY, edited, jobs

# Other keys


def test_the_mlflow_experiment_is_the_one_of_the_training(study):
    assert load_experiment(study).mlflow.experiment == "minivess_debug_factorial"


def test_without_a_training_experiment_mlflow_is_not_queried(study):
    config = edited(study, "{training_experiment: minivess_debug_factorial}", "{evaluation_experiment: e}")
    experiment = load_experiment(config)
    assert experiment.mlflow is None
    assert experiment.study_keys["mlflow.evaluation_experiment"] == "e"


def test_keys_of_fmons_form_work_beside_the_studys(study):
    study.write_text(
        STUDY + "expect: {by: {model_family: {sam3_hybrid: 40}}}\nexclude: [{loss_name: dice_ce}]\n"
        "baselines: [{model_family: nnunet, loss_name: dice_ce, aux_calibration: true, fold: 0}]\n"
        "overrides: {loss_name: {dice_ce_cldice: {envs: {SMOOTH: 1}}}}\nlimits: {budget_usd: 5}\n"
    )
    experiment = load_experiment(study)
    assert len(experiment.conditions) == 24 + 2 + 1
    assert max(each.expected_minutes or 0 for each in experiment.conditions) == 40
    envs = jobs(experiment)
    assert envs["dynunet-dice_ce_cldice-calibtrue-f0"]["SMOOTH"] == "1"
    assert "ZERO_SHOT" not in envs["nnunet-dice_ce-calibtrue-f0"]
    assert experiment.limits.budget_usd == 5


def test_unused_keys_are_listed_once_and_kept_in_the_manifest(study):
    experiment = load_experiment(study)
    assert list(experiment.study_keys) == [
        *("description", "debug", "zero_shot_baselines.strategy", "fixed.compute", "fixed.learning_rate"),
        *("splits_file", "biostatistics", "infrastructure.cloud_config", "flows"),
    ]
    assert experiment.study_keys["zero_shot_baselines.strategy"] == ["frozen_encoder_eval", "zero_shot_only"]
    assert experiment.study_keys["biostatistics"]["alpha"] == 0.05
    manifest = new_manifest(
        experiment, "e-1", created_at=START, is_replay=False, prices=experiment.prices, since=START
    )
    assert manifest.study_keys == experiment.study_keys


# Mistakes


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[dynunet,", "[dynunet, dynunet,", ["line 6", "factors.training.model_family", "twice"]),
        (
            "[none, swag]\n    recal",
            "[none, none]\n    recal",
            ["line 10", "factors.post_training.method", "twice"],
        ),
        ("folds: 1, dataset: deepvess", "folds: 0", ["line 17", "zero_shot_baselines.1.folds is 0"]),
        ("dataset: deepvess", "dataset: []", ["line 17", "a name or a list of names"]),
        ("num_folds: 1", "num_folds: 0", ["line 22", "fixed.num_folds is 0"]),
        ("num_folds: 1", "num_folds: true", ["fixed.num_folds is true"]),
        ("num_folds: 1", "num_folds: 1000000000000", ["fixed.num_folds is 1000000000000"]),
        ("train_factorial.yaml", "absent.yaml", ["line 29", "'deployment/skypilot/absent.yaml'", "--task"]),
        ("    ensemble_strategy:", "    method:", ["line 13", "method", "post_training and analysis"]),
        ("    model_family:", "    architecture:", ["line 5", "need a training factor model_family"]),
        ("  analysis:\n", "  analysis: [x]\n  other:\n", ["line 12", "factors.analysis is a list"]),
        ("max_epochs: 2", "max_epochs: {a: 1}", ["fixed.max_epochs is a mapping"]),
        ("debug: true", "envs: {fold: null}", ["line 3", "factor fold has no variable"]),
        (
            "region_config: europe_us",
            "region_config: [x]",
            ["line 30", "infrastructure.region_config is a list"],
        ),
        ("deployment/skypilot/train_factorial.yaml", "3", ["line 29", "infrastructure.skypilot_yaml is 3"]),
        ("[dynunet, mambavesselnet, sam3_topolora, sam3_hybrid]", "7", ["line 6", "model_family is 7"]),
        ("aux_calibration: [true, false]", "fold: 7", ["line 8", "factors.training.fold is 7", "list"]),
        ("debug: true", "overrides: {model_family: {dynunet: {}}}", ["line 3", "put them into one"]),
        ("    method:", "    loss_name:", ["line 10", "loss_name is already a factor"]),
        ("debug: true", "overrides: [x]", ["line 3", "overrides is a list"]),
        ("debug: true", "launch: [x]", ["line 3", "launch is a list"]),
        ("cloud_config: gcp_spot", "max_wait_hours: soon", ["line 28", "infrastructure.max_wait_hours"]),
        ("debug: true", "limits: {budget: 1}", ["line 3", "limits.budget", "budget_usd"]),
        ("{model: vesselfm,", "{modell: vesselfm,", ["line 17", "zero_shot_baselines.1.model", "missing"]),
    ],
)
def test_a_fault_names_the_place_in_the_studys_file(study, old, new, said):
    with pytest.raises(ConfigError) as caught:
        load_experiment(edited(study, old, new))
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
