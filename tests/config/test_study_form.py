"""A config in the study's form: read as it is, with the variables of the study's launcher."""

import pytest

from fmon.config import load_experiment
from fmon.config.study_form import is_study_form
from fmon.errors import ConfigError
from fmon.manifest.build import new_manifest
from fmon.model import envs_of
from tests.support.queues import START

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
BARE = """\
# @package _global_
experiment_name: bare
skypilot_yaml: train.yaml
factors: {model_family: [dynunet, sam3], loss_name: [dice_ce]}
"""


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


def edited(config, old, new):
    assert old in STUDY
    config.write_text(STUDY.replace(old, new))
    return config


def jobs(experiment):
    """The variables of each job, by its name."""
    return {each.job_name: envs_of(experiment, each) for each in experiment.conditions}


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
