"""The layered form of the study that fmon comes from."""

import pytest

from fmon.config import load_experiment
from fmon.errors import ConfigError
from fmon.model import envs_of

STUDY = """\
experiment_name: debug_factorial
description: "reduced epochs, data and folds"
debug: true
factors:
  training:
    model_family: [dynunet, mambavesselnet, sam3_topolora, sam3_hybrid]
    loss_name: [cbdice_cldice, dice_ce, dice_ce_cldice, bce_dice_05cldice]
    aux_calibration: [true, false]
  post_training:
    method: [none, swag]
    recalibration: [none, temperature_scaling]
  analysis:
    ensemble_strategy:
      [none, per_loss_single_best, all_loss_single_best, per_loss_all_best, all_loss_all_best]
zero_shot_baselines:
  - {model: sam3_vanilla, strategy: frozen_encoder_eval, folds: 1, dataset: minivess}
  - {model: vesselfm, strategy: zero_shot_only, folds: 1, dataset: deepvess}
model_overrides:
  sam3_topolora: {batch_size: 1, gradient_accumulation_steps: 4, use_spot: false}
  sam3_hybrid: {batch_size: 1, gradient_accumulation_steps: 4}
  sam3_vanilla: {batch_size: 1}
fixed: {max_epochs: 2, num_folds: 1, compute: auto, learning_rate: 1.0e-3, batch_size: 2}
splits_file: configs/splits/debug_half_1fold.json
mlflow: {training_experiment: minivess_debug_factorial}
biostatistics: {anova_strategy: layered, alpha: 0.05, co_primary_metrics: [cldice, masd]}
post_training: {methods: [none, swag]}
infrastructure:
  cloud_config: gcp_spot
  skypilot_yaml: deployment/skypilot/train_factorial.yaml
  region_config: europe_us
flows: [train, post_training, analyze]
"""


@pytest.fixture
def study(tmp_path):
    """The study's repository: the config in a folder of its own, the task YAML beside it."""
    config = tmp_path / "configs" / "factorial" / "debug.yaml"
    task = tmp_path / "deployment" / "skypilot" / "train_factorial.yaml"
    for path in (config, task):
        path.parent.mkdir(parents=True)
    task.write_text("run: echo\n")
    config.write_text(STUDY)
    return config


def edited(config, old, new):
    assert old in STUDY
    config.write_text(STUDY.replace(old, new))
    return config


def test_the_debug_study_is_thirty_two_jobs_and_two_baselines(study):
    experiment = load_experiment(study)
    names = [condition.job_name for condition in experiment.conditions]
    assert len(names) == 34
    assert names[0] == "dynunet-cbdice_cldice-calibtrue-f0"
    assert names[-2:] == ["sam3_vanilla-zeroshot-minivess-f0", "vesselfm-zeroshot-deepvess-f0"]
    assert experiment.conditions[0].condition_id == "dynunet-cbdice_cldice-true-0"
    assert experiment.conditions[-1].kind == "baseline"
    assert experiment.conditions[-1].factors == {"model_family": "vesselfm", "fold": 0}


def test_the_production_study_has_three_folds(study):
    config = edited(study, "num_folds: 1", "num_folds: 3")
    config.write_text(config.read_text().replace("folds: 1, dataset", "folds: 3, dataset"))
    experiment = load_experiment(config)
    kinds = [condition.kind for condition in experiment.conditions]
    assert (kinds.count("grid"), kinds.count("baseline")) == (96, 6)
    assert experiment.factors["fold"] == [0, 1, 2]
    assert len({condition.job_name for condition in experiment.conditions}) == 102


def test_other_layers_are_counted_and_make_no_jobs(study):
    inner = load_experiment(study).inner_factors
    assert list(inner) == ["method", "recalibration", "ensemble_strategy"]
    assert [len(levels) for levels in inner.values()] == [2, 2, 5]
    assert inner["method"] == ["none", "swag"]


def test_the_task_yaml_is_found_in_a_folder_above_and_named_relative_to_the_config(study):
    experiment = load_experiment(study)
    assert experiment.skypilot_yaml == "../../deployment/skypilot/train_factorial.yaml"
    assert (study.parent / experiment.skypilot_yaml).is_file()


def test_model_overrides_reach_the_conditions(study):
    conditions = load_experiment(study).conditions
    spot = {condition.factors["model_family"]: condition.resources for condition in conditions}
    assert spot["sam3_topolora"] == {"use_spot": False}
    assert spot["dynunet"] == {}


def test_what_the_study_fixes_and_overrides_are_environment_variables_in_upper_case(study):
    experiment = load_experiment(study)
    by_model = {each.factors["model_family"]: envs_of(experiment, each) for each in experiment.conditions}
    assert by_model["dynunet"]["BATCH_SIZE"] == "2"
    assert by_model["sam3_topolora"]["BATCH_SIZE"] == "1"
    assert by_model["dynunet"]["MAX_EPOCHS"] == "2"
    assert by_model["dynunet"]["AUX_CALIBRATION"] in ("true", "false")


def test_the_mlflow_experiment_is_the_one_of_the_training(study):
    assert load_experiment(study).mlflow.experiment == "minivess_debug_factorial"


def test_keys_of_the_flat_form_work_beside_the_layers(study):
    study.write_text(
        STUDY + "expect: {by: {model_family: {sam3_hybrid: 40}}}\nexclude: [{loss_name: dice_ce}]\n"
    )
    experiment = load_experiment(study)
    assert len(experiment.conditions) == 24 + 2
    assert max(each.expected_minutes or 0 for each in experiment.conditions) == 40


def test_without_num_folds_there_is_no_fold_and_the_id_names_the_job(study):
    experiment = load_experiment(edited(study, "num_folds: 1, ", ""))
    assert experiment.conditions[0].job_name == "dynunet-cbdice_cldice-true"
    assert "fold" not in experiment.factors


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[dynunet,", "[dynunet, dynunet,", ["line 6", "factors.training.model_family", "twice"]),
        (
            "[none, swag]\n    recal",
            "[none, none]\n    recal",
            ["line 10", "factors.post_training.method", "twice"],
        ),
        ("zero_shot_baselines:", "zero_shot_baseline:", ["'zero_shot_baseline'", "'zero_shot_baselines'"]),
        (
            "strategy: zero_shot_only",
            "stratgy: x",
            ["line 17", "zero_shot_baselines.1.stratgy", "'strategy'"],
        ),
        ("folds: 1, dataset: deepvess", "folds: 0", ["zero_shot_baselines.1.folds is 0"]),
        ("num_folds: 1", "num_folds: 0", ["fixed.num_folds is 0"]),
        ("num_folds: 1", "num_folds: 1000000000000", ["fixed.num_folds is 1000000000000"]),
        ("folds: 1, dataset: deepvess", "folds: 1000000000000", ["--max-conditions"]),
        ("  sam3_hybrid: {", "  sam4: {", ["line 20", "no level 'sam4'"]),
        ("  skypilot_yaml: dep", "  skypilot_yml: dep", ["infrastructure.skypilot_yml", "'skypilot_yaml'"]),
        ("train_factorial.yaml", "absent.yaml", ["line 29", "'deployment/skypilot/absent.yaml'"]),
        ("    ensemble_strategy:", "    method:", ["line 13", "method", "post_training and analysis"]),
        ("    model_family:", "    architecture:", ["model_family in factors.training"]),
        ("  analysis:\n", "  analysis: [x]\n  other:\n", ["factors.analysis is a list"]),
    ],
)
def test_a_fault_names_the_place_in_the_layered_file(study, old, new, said):
    with pytest.raises(ConfigError) as caught:
        load_experiment(edited(study, old, new))
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
