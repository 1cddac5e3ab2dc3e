"""A config in the study's form: read as it is, with the variables of the study's launcher."""

import pytest

from fmon.config import load_experiment
from fmon.config.study_form import is_study_form
from fmon.model import envs_of
from tests.support.study_form import BARE, edited, jobs

# Which files are of this form


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"factors": {"training": {"m": ["a"]}}}, ""),
        ({"infrastructure": {}}, ""),
        ({"zero_shot_baselines": []}, ""),
        ({"model_overrides": {}}, ""),
        ({"defaults": ["_self_"]}, ""),
        ({}, "# @package _global_\nfactors: {m: [a]}\n"),
        ({}, "#comment\n#@package experiment\n"),
    ],
)
def test_each_mark_of_the_form_is_enough(value, text):
    assert is_study_form(value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"factors": {"training": [1, 2]}}, ""),  # a factor of this name
        ({"defaults": "x"}, ""),
        ({"fixed": {"EPOCHS": 2}, "mlflow": {"experiment": "e"}}, "job_name: 'x # @package'\n"),
    ],
)
def test_what_only_looks_like_it_is_fmons_own_form(value, text):
    assert not is_study_form(value, text)


@pytest.mark.parametrize("mark", ["# @package _global_\n", "defaults: [override /checkpoint: light]\n"])
def test_a_hydra_config_may_have_any_keys_and_fmons_own_form_may_not(folder, mark):
    config = "factors: {model_family: [a], loss_name: [b]}\nwith_aux_calib: false\n"
    experiment = folder.load(mark + config)
    assert "with_aux_calib" in experiment.study_keys
    assert "unknown key 'with_aux_calib'" in folder.refusal(config)


# Conditions


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


def test_a_baseline_has_the_folds_of_the_grid_and_other_folds_are_listed_as_not_used(study):
    config = edited(study, "num_folds: 1", "num_folds: 2")
    config.write_text(config.read_text().replace("folds: 1, dataset: deepvess", "dataset: deepvess"))
    experiment = load_experiment(config)
    assert list(jobs(experiment))[-4:] == [
        *("sam3_vanilla-zeroshot-minivess-f0", "sam3_vanilla-zeroshot-minivess-f1"),
        *("vesselfm-zeroshot-deepvess-f0", "vesselfm-zeroshot-deepvess-f1"),
    ]
    assert experiment.study_keys["zero_shot_baselines.0.folds"] == 1
    assert "zero_shot_baselines.1.folds" not in experiment.study_keys


def test_two_baselines_of_one_model_are_two_conditions(study):
    experiment = load_experiment(edited(study, "{model: vesselfm,", "{model: sam3_vanilla,"))
    *_, first, second = experiment.conditions
    assert first.condition_id != second.condition_id
    assert (first.job_name, second.job_name) == (
        "sam3_vanilla-zeroshot-minivess-f0",
        "sam3_vanilla-zeroshot-deepvess-f0",
    )
    assert envs_of(experiment, second)["EVAL_DATASET"] == "deepvess"


def test_several_datasets_are_joined_by_a_hyphen_in_the_name_and_by_commas_in_the_variable(study):
    envs = jobs(load_experiment(edited(study, "dataset: deepvess", "dataset: [deepvess, tubenet]")))
    assert envs["vesselfm-zeroshot-deepvess-tubenet-f0"]["EVAL_DATASET"] == "deepvess,tubenet"


def test_own_factors_beside_the_four_give_jobs_their_conditions_ids_as_names(bare):
    experiment = bare(
        "fixed: {num_folds: 1}\n",
        BARE.replace("loss_name: [dice_ce]", "loss_name: [dice_ce], width: [8]"),
    )
    assert [each.job_name for each in experiment.conditions] == [
        "dynunet-dice_ce-8-false-0",
        "sam3-dice_ce-8-false-0",
    ]


def test_a_job_name_of_the_file_takes_precedence(bare):
    experiment = bare('job_name: "{model_family}.{fold}"\nfixed: {num_folds: 1}\n')
    assert list(jobs(experiment)) == ["dynunet.0", "sam3.0"]


# Variables


def test_a_job_gets_exactly_the_variables_of_the_launcher(study):
    envs = jobs(load_experiment(study))
    assert envs["sam3_topolora-dice_ce-calibfalse-f0"] == {
        "MODEL_FAMILY": "sam3_topolora",
        "LOSS_NAME": "dice_ce",
        "FOLD_ID": "0",
        "WITH_AUX_CALIB": "false",
        "MAX_EPOCHS": "2",
        "MAX_TRAIN_VOLUMES": "0",
        "MAX_VAL_VOLUMES": "0",
        "EXPERIMENT_NAME": "debug_factorial",
        "POST_TRAINING_METHODS": "none,swag",
        "BATCH_SIZE": "1",
        "GRAD_ACCUM_STEPS": "4",
        "GRADIENT_CHECKPOINTING": "false",
    }
    assert envs["sam3_vanilla-zeroshot-minivess-f0"] == {
        "MODEL_FAMILY": "sam3_vanilla",
        "LOSS_NAME": "none",
        "FOLD_ID": "0",
        "WITH_AUX_CALIB": "false",
        "MAX_EPOCHS": "0",
        "MAX_TRAIN_VOLUMES": "0",
        "MAX_VAL_VOLUMES": "0",
        "EXPERIMENT_NAME": "debug_factorial",
        "POST_TRAINING_METHODS": "none",
        "ZERO_SHOT": "true",
        "EVAL_DATASET": "minivess",
        "BATCH_SIZE": "1",
        "GRAD_ACCUM_STEPS": "1",
    }


def test_what_the_file_leaves_out_has_the_launchers_default_and_is_reported(bare):
    experiment = bare("zero_shot_baselines: [{model: vanilla}]\n")
    assert experiment.factors["fold"] == [0, 1, 2]
    envs = jobs(experiment)
    assert len(envs) == 2 * 3 + 3
    assert envs["sam3-dice_ce-calibfalse-f2"] == {
        "MODEL_FAMILY": "sam3",
        "LOSS_NAME": "dice_ce",
        "FOLD_ID": "2",
        "WITH_AUX_CALIB": "false",
        "MAX_EPOCHS": "50",
        "MAX_TRAIN_VOLUMES": "0",
        "MAX_VAL_VOLUMES": "0",
        "EXPERIMENT_NAME": "bare",
        "POST_TRAINING_METHODS": "none,swag",
        "BATCH_SIZE": "2",
        "GRAD_ACCUM_STEPS": "1",
        "GRADIENT_CHECKPOINTING": "false",
    }
    assert envs["vanilla-zeroshot-minivess-f2"]["EVAL_DATASET"] == "minivess"
    assert experiment.defaults == {
        "factors.training.aux_calibration": "false",
        "fixed.num_folds": "3",
        "zero_shot_baselines.0.dataset": "minivess",
        "fixed.max_epochs": "50",
        "fixed.max_train_volumes": "0",
        "fixed.max_val_volumes": "0",
        "fixed.batch_size": "2",
        "fixed.gradient_accumulation_steps": "1",
        "fixed.gradient_checkpointing": "false",
        "post_training.methods": "none,swag",
    }


def test_what_the_file_says_is_no_default(bare):
    parameters = {
        "max_epochs": 7,
        "num_folds": 1,
        "max_train_volumes": 3,
        "max_val_volumes": 4,
        "batch_size": 5,
        "gradient_accumulation_steps": 6,
        "gradient_checkpointing": "true",
    }
    text = ", ".join(f"{key}: {value}" for key, value in parameters.items())
    experiment = bare(f"fixed: {{{text}}}\npost_training: {{methods: [swag]}}\n")
    assert experiment.defaults == {"factors.training.aux_calibration": "false"}
    envs = jobs(experiment)["sam3-dice_ce-calibfalse-f0"]
    assert [envs[name] for name in ("MAX_EPOCHS", "MAX_TRAIN_VOLUMES", "MAX_VAL_VOLUMES")] == ["7", "3", "4"]
    assert [envs[name] for name in ("BATCH_SIZE", "GRAD_ACCUM_STEPS", "GRADIENT_CHECKPOINTING")] == [
        *("5", "6", "true"),
    ]
    assert envs["POST_TRAINING_METHODS"] == "swag"


def test_the_methods_of_the_layer_take_precedence_over_post_training(study):
    envs = jobs(load_experiment(edited(study, "method: [none, swag]", "method: [swag]")))
    assert envs["dynunet-dice_ce-calibtrue-f0"]["POST_TRAINING_METHODS"] == "swag"


def test_own_envs_take_precedence_over_the_launchers_and_null_unsets_one(bare):
    experiment = bare(
        "fixed: {num_folds: 1, learning_rate: 0.5}\n"
        "envs: {model_family: ARCHITECTURE, fixed.batch_size: null, fixed.learning_rate: LR}\n"
    )
    envs = jobs(experiment)["sam3-dice_ce-calibfalse-f0"]
    assert (envs["ARCHITECTURE"], envs["LR"]) == ("sam3", "0.5")
    assert not {"MODEL_FAMILY", "BATCH_SIZE"} & envs.keys()
    assert "fixed.learning_rate" not in experiment.study_keys


# model_overrides


def test_use_spot_is_a_resource_and_the_others_replace_those_of_fixed(study):
    experiment = load_experiment(study)
    resources = {each.factors["model_family"]: each.resources for each in experiment.conditions}
    assert resources["sam3_topolora"] == {"use_spot": False}
    assert resources["sam3_hybrid"] == resources["dynunet"] == {}
    envs = jobs(experiment)
    assert envs["dynunet-dice_ce-calibtrue-f0"]["BATCH_SIZE"] == "2"
    assert envs["sam3_hybrid-dice_ce-calibtrue-f0"]["BATCH_SIZE"] == "1"


def test_overrides_of_a_model_that_is_not_in_the_grid_are_unused(study):
    experiment = load_experiment(edited(study, "  sam3_hybrid: {", "  sam4: {"))
    assert experiment.study_keys["model_overrides.sam4"] == {
        "batch_size": 1,
        "gradient_accumulation_steps": 4,
    }
    assert jobs(experiment)["sam3_hybrid-dice_ce-calibtrue-f0"]["BATCH_SIZE"] == "2"


def test_an_override_that_no_variable_passes_on_is_unused(study):
    experiment = load_experiment(edited(study, "sam3_vanilla: {batch", "sam3_vanilla: {dropout: 0.1, batch"))
    assert experiment.study_keys["model_overrides.sam3_vanilla.dropout"] == 0.1


def test_a_baseline_of_a_model_that_leaves_spot_runs_as_the_task_says(study):
    experiment = load_experiment(edited(study, "{model: vesselfm,", "{model: sam3_topolora,"))
    resources = {each.job_name: each.resources for each in experiment.conditions}
    assert resources["sam3_topolora-zeroshot-deepvess-f0"] == {}
    assert resources["sam3_topolora-dice_ce-calibtrue-f0"] == {"use_spot": False}
    envs = jobs(experiment)["sam3_topolora-zeroshot-deepvess-f0"]
    assert (envs["BATCH_SIZE"], envs["GRAD_ACCUM_STEPS"]) == ("1", "4")
