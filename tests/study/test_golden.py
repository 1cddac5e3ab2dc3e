"""The golden files are what the launcher's rules give; cells of each config are written here by hand too.

The checks by hand read the golden files alone, so a mistake in the rules can't excuse itself.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.study import launcher_rules

GOLDEN = Path(__file__).parent / "golden"
COUNTS = {
    "debug": (32, 2),
    "debug_factorial": (32, 2),
    "paper_factorial": (96, 6),
    "paper_full": (96, 6),
    "smoke_local": (2, 0),
    "smoke_mini": (6, 0),
    "smoke_test": (1, 0),
}
"""Cells of the grid times folds, baselines times folds."""

IN_US = "L4:1@us-central1 A100:1@us-central1 A100-80GB:1@us-central1"
IN_EUROPE_THEN_US = (
    "L4:1@europe-west4 L4:1@europe-west1 L4:1@europe-west3 L4:1@us-central1 L4:1@us-east1 L4:1@us-west1"
)
IN_REGIONS = {"debug": IN_US, "paper_full": IN_EUROPE_THEN_US, "smoke_test": IN_EUROPE_THEN_US}
"""The configs with a region_config; the others leave the task's resources alone."""

CELLS = {
    ("debug", "dynunet-cbdice_cldice-calibtrue-f0"): """
        MODEL_FAMILY=dynunet LOSS_NAME=cbdice_cldice FOLD_ID=0 WITH_AUX_CALIB=true MAX_EPOCHS=2
        MAX_TRAIN_VOLUMES=23 MAX_VAL_VOLUMES=12 EXPERIMENT_NAME=debug_factorial
        POST_TRAINING_METHODS=none,swag BATCH_SIZE=2 GRAD_ACCUM_STEPS=1 GRADIENT_CHECKPOINTING=false""",
    ("debug", "sam3_hybrid-bce_dice_05cldice-calibfalse-f0"): """
        MODEL_FAMILY=sam3_hybrid LOSS_NAME=bce_dice_05cldice FOLD_ID=0 WITH_AUX_CALIB=false MAX_EPOCHS=2
        MAX_TRAIN_VOLUMES=23 MAX_VAL_VOLUMES=12 EXPERIMENT_NAME=debug_factorial
        POST_TRAINING_METHODS=none,swag BATCH_SIZE=1 GRAD_ACCUM_STEPS=4 GRADIENT_CHECKPOINTING=true""",
    ("debug", "sam3_vanilla-zeroshot-minivess-f0"): """
        MODEL_FAMILY=sam3_vanilla LOSS_NAME=none FOLD_ID=0 WITH_AUX_CALIB=false MAX_EPOCHS=0
        MAX_TRAIN_VOLUMES=23 MAX_VAL_VOLUMES=12 EXPERIMENT_NAME=debug_factorial POST_TRAINING_METHODS=none
        ZERO_SHOT=true EVAL_DATASET=minivess BATCH_SIZE=1 GRAD_ACCUM_STEPS=1""",
    ("debug", "vesselfm-zeroshot-deepvess-f0"): """
        MODEL_FAMILY=vesselfm LOSS_NAME=none FOLD_ID=0 WITH_AUX_CALIB=false MAX_EPOCHS=0
        MAX_TRAIN_VOLUMES=23 MAX_VAL_VOLUMES=12 EXPERIMENT_NAME=debug_factorial POST_TRAINING_METHODS=none
        ZERO_SHOT=true EVAL_DATASET=deepvess BATCH_SIZE=2 GRAD_ACCUM_STEPS=1""",
    ("debug_factorial", "sam3_topolora-dice_ce_cldice-calibtrue-f0"): """
        MODEL_FAMILY=sam3_topolora LOSS_NAME=dice_ce_cldice FOLD_ID=0 WITH_AUX_CALIB=true MAX_EPOCHS=2
        MAX_TRAIN_VOLUMES=23 MAX_VAL_VOLUMES=12 EXPERIMENT_NAME=debug_factorial
        POST_TRAINING_METHODS=none,swag BATCH_SIZE=2 GRAD_ACCUM_STEPS=1 GRADIENT_CHECKPOINTING=false""",
    ("debug_factorial", "sam3_vanilla-zeroshot-minivess-f0"): """
        MODEL_FAMILY=sam3_vanilla LOSS_NAME=none FOLD_ID=0 WITH_AUX_CALIB=false MAX_EPOCHS=0
        MAX_TRAIN_VOLUMES=23 MAX_VAL_VOLUMES=12 EXPERIMENT_NAME=debug_factorial POST_TRAINING_METHODS=none
        ZERO_SHOT=true EVAL_DATASET=minivess BATCH_SIZE=2 GRAD_ACCUM_STEPS=1""",
    ("paper_full", "mambavesselnet-dice_ce-calibfalse-f1"): """
        MODEL_FAMILY=mambavesselnet LOSS_NAME=dice_ce FOLD_ID=1 WITH_AUX_CALIB=false MAX_EPOCHS=50
        MAX_TRAIN_VOLUMES=0 MAX_VAL_VOLUMES=0 EXPERIMENT_NAME=paper_factorial POST_TRAINING_METHODS=none,swag
        BATCH_SIZE=2 GRAD_ACCUM_STEPS=1 GRADIENT_CHECKPOINTING=false""",
    ("paper_full", "sam3_topolora-cbdice_cldice-calibtrue-f2"): """
        MODEL_FAMILY=sam3_topolora LOSS_NAME=cbdice_cldice FOLD_ID=2 WITH_AUX_CALIB=true MAX_EPOCHS=50
        MAX_TRAIN_VOLUMES=0 MAX_VAL_VOLUMES=0 EXPERIMENT_NAME=paper_factorial POST_TRAINING_METHODS=none,swag
        BATCH_SIZE=1 GRAD_ACCUM_STEPS=4 GRADIENT_CHECKPOINTING=true""",
    ("paper_full", "vesselfm-zeroshot-deepvess-f2"): """
        MODEL_FAMILY=vesselfm LOSS_NAME=none FOLD_ID=2 WITH_AUX_CALIB=false MAX_EPOCHS=0
        MAX_TRAIN_VOLUMES=0 MAX_VAL_VOLUMES=0 EXPERIMENT_NAME=paper_factorial POST_TRAINING_METHODS=none
        ZERO_SHOT=true EVAL_DATASET=deepvess BATCH_SIZE=2 GRAD_ACCUM_STEPS=1""",
    ("paper_factorial", "sam3_hybrid-dice_ce-calibtrue-f0"): """
        MODEL_FAMILY=sam3_hybrid LOSS_NAME=dice_ce FOLD_ID=0 WITH_AUX_CALIB=true MAX_EPOCHS=50
        MAX_TRAIN_VOLUMES=0 MAX_VAL_VOLUMES=0 EXPERIMENT_NAME=paper_factorial POST_TRAINING_METHODS=none,swag
        BATCH_SIZE=2 GRAD_ACCUM_STEPS=1 GRADIENT_CHECKPOINTING=false""",
    ("paper_factorial", "sam3_vanilla-zeroshot-minivess-f1"): """
        MODEL_FAMILY=sam3_vanilla LOSS_NAME=none FOLD_ID=1 WITH_AUX_CALIB=false MAX_EPOCHS=0
        MAX_TRAIN_VOLUMES=0 MAX_VAL_VOLUMES=0 EXPERIMENT_NAME=paper_factorial POST_TRAINING_METHODS=none
        ZERO_SHOT=true EVAL_DATASET=minivess BATCH_SIZE=2 GRAD_ACCUM_STEPS=1""",
    ("smoke_local", "dynunet-dice_ce-calibfalse-f0"): """
        MODEL_FAMILY=dynunet LOSS_NAME=dice_ce FOLD_ID=0 WITH_AUX_CALIB=false MAX_EPOCHS=100
        MAX_TRAIN_VOLUMES=0 MAX_VAL_VOLUMES=0 EXPERIMENT_NAME=smoke_local POST_TRAINING_METHODS=none,swag
        BATCH_SIZE=2 GRAD_ACCUM_STEPS=1 GRADIENT_CHECKPOINTING=false""",
    ("smoke_mini", "dynunet-cbdice_cldice-calibfalse-f2"): """
        MODEL_FAMILY=dynunet LOSS_NAME=cbdice_cldice FOLD_ID=2 WITH_AUX_CALIB=false MAX_EPOCHS=20
        MAX_TRAIN_VOLUMES=0 MAX_VAL_VOLUMES=0 EXPERIMENT_NAME=smoke_mini
        POST_TRAINING_METHODS=none,checkpoint_averaging
        BATCH_SIZE=2 GRAD_ACCUM_STEPS=1 GRADIENT_CHECKPOINTING=false""",
    ("smoke_test", "dynunet-cbdice_cldice-calibfalse-f0"): """
        MODEL_FAMILY=dynunet LOSS_NAME=cbdice_cldice FOLD_ID=0 WITH_AUX_CALIB=false MAX_EPOCHS=2
        MAX_TRAIN_VOLUMES=10 MAX_VAL_VOLUMES=5 EXPERIMENT_NAME=smoke_test_factorial POST_TRAINING_METHODS=none
        BATCH_SIZE=2 GRAD_ACCUM_STEPS=1 GRADIENT_CHECKPOINTING=false""",
}


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def condition(name, job_name):
    [found] = [each for each in golden(name) if each["job_name"] == job_name]
    return found


def job_names(name):
    return [each["job_name"] for each in golden(name)]


def written(config):
    """Conditions of a config that is written in the test."""
    return launcher_rules.conditions(yaml.safe_load(config), launcher_rules.REGIONS, "gcp")


@pytest.mark.parametrize("name", COUNTS)
def test_the_golden_file_is_what_the_rules_give(name):
    expected = launcher_rules.rendered(launcher_rules.CONFIGS[name])
    assert (GOLDEN / f"{name}.json").read_text(encoding="utf-8") == expected


def test_each_config_has_a_golden_file():
    assert set(launcher_rules.CONFIGS) == {path.stem for path in GOLDEN.glob("*.json")} == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    zero_shot = Counter("ZERO_SHOT" in each["envs"] for each in golden(name))
    assert (zero_shot[False], zero_shot[True]) == COUNTS[name]
    assert len(set(job_names(name))) == len(job_names(name))


@pytest.mark.parametrize(("name", "job_name"), CELLS)
def test_every_variable_of_a_cell(name, job_name):
    said = dict(pair.split("=") for pair in CELLS[name, job_name].split())
    assert condition(name, job_name)["envs"] == said


@pytest.mark.parametrize("name", COUNTS)
def test_regions(name):
    for each in golden(name):
        ordered = [
            f"{entry['accelerators']}@{entry['region']}" for entry in each["resources"].get("ordered", [])
        ]
        assert " ".join(ordered) == IN_REGIONS.get(name, "")


@pytest.mark.parametrize("name", COUNTS)
def test_only_the_models_that_ask_for_it_leave_spot(name):
    """Only the layered configs have model_overrides; no baseline of theirs asks for it."""
    asking = {"sam3_topolora", "sam3_hybrid"} if name in {"debug", "paper_full"} else set()
    for each in golden(name):
        expected = False if each["envs"]["MODEL_FAMILY"] in asking else None
        assert each["resources"].get("use_spot") is expected
        assert set(each["resources"]) <= {"ordered", "use_spot"}


def test_the_order_is_the_grid_with_folds_innermost_then_the_baselines():
    names = job_names("paper_full")
    assert names[:7] == [
        "dynunet-cbdice_cldice-calibtrue-f0",
        "dynunet-cbdice_cldice-calibtrue-f1",
        "dynunet-cbdice_cldice-calibtrue-f2",
        "dynunet-cbdice_cldice-calibfalse-f0",
        "dynunet-cbdice_cldice-calibfalse-f1",
        "dynunet-cbdice_cldice-calibfalse-f2",
        "dynunet-dice_ce-calibtrue-f0",
    ]
    assert names[95:] == [
        "sam3_hybrid-bce_dice_05cldice-calibfalse-f2",
        "sam3_vanilla-zeroshot-minivess-f0",
        "sam3_vanilla-zeroshot-minivess-f1",
        "sam3_vanilla-zeroshot-minivess-f2",
        "vesselfm-zeroshot-deepvess-f0",
        "vesselfm-zeroshot-deepvess-f1",
        "vesselfm-zeroshot-deepvess-f2",
    ]
    assert job_names("smoke_mini")[2:4] == [
        "dynunet-dice_ce-calibfalse-f2",
        "dynunet-cbdice_cldice-calibfalse-f0",
    ]


def test_the_two_debug_configs_give_the_same_names_with_different_variables():
    assert job_names("debug") == job_names("debug_factorial")
    differing = [
        layered["envs"]["MODEL_FAMILY"]
        for layered, flat in zip(golden("debug"), golden("debug_factorial"), strict=True)
        if layered["envs"] != flat["envs"]
    ]
    assert Counter(differing) == {"sam3_topolora": 8, "sam3_hybrid": 8, "sam3_vanilla": 1}


def test_what_a_config_leaves_out_has_the_launchers_default():
    found = written("""
        experiment_name: bare
        factors: {model_family: [m], loss_name: [l], aux_calibration: [true]}
        zero_shot_baselines: [{model: z}]
    """)
    assert [each["job_name"] for each in found] == [
        *("m-l-calibtrue-f0", "m-l-calibtrue-f1", "m-l-calibtrue-f2"),
        *("z-zeroshot-minivess-f0", "z-zeroshot-minivess-f1", "z-zeroshot-minivess-f2"),
    ]
    cell, zero_shot = found[0]["envs"], found[3]["envs"]
    assert (cell["MAX_EPOCHS"], cell["POST_TRAINING_METHODS"], cell["BATCH_SIZE"]) == ("50", "none,swag", "2")
    assert (zero_shot["EVAL_DATASET"], zero_shot["MAX_TRAIN_VOLUMES"], zero_shot["BATCH_SIZE"]) == (
        "minivess",
        "0",
        "2",
    )


def test_a_baseline_has_the_grids_folds_and_joins_its_datasets():
    found = written("""
        experiment_name: several
        factors: {training: {model_family: [m], loss_name: [l], aux_calibration: [false]}}
        fixed: {num_folds: 1, gradient_accumulation_steps: 3, gradient_checkpointing: true}
        model_overrides: {z: {use_spot: false, gradient_accumulation_steps: 5}}
        zero_shot_baselines: [{model: z, folds: 2, dataset: [minivess, deepvess]}]
    """)
    cell, zero_shot = found
    assert (cell["envs"]["GRAD_ACCUM_STEPS"], cell["envs"]["GRADIENT_CHECKPOINTING"]) == ("3", "true")
    assert zero_shot["job_name"] == "z-zeroshot-minivess-deepvess-f0"
    assert zero_shot["envs"]["EVAL_DATASET"] == "minivess,deepvess"
    assert zero_shot["envs"]["GRAD_ACCUM_STEPS"] == "5"
    assert "GRADIENT_CHECKPOINTING" not in zero_shot["envs"]
    assert zero_shot["resources"] == {}


INNER = {"post_training": {"method": ["swag"]}}
FLAT = {"post_training": {"methods": ["none"]}}


@pytest.mark.parametrize(
    ("inner", "flat", "methods"),
    [({}, FLAT, "none"), (INNER, {}, "swag"), (INNER, FLAT, "swag"), ({}, {}, "none,swag")],
)
def test_methods_are_those_of_the_inner_factor_else_of_the_flat_list(inner, flat, methods):
    training = {"model_family": ["m"], "loss_name": ["l"], "aux_calibration": [False]}
    config = {"experiment_name": "e", "factors": {"training": training, **inner}, **flat}
    found = launcher_rules.conditions(config, launcher_rules.REGIONS, "gcp")
    assert {each["envs"]["POST_TRAINING_METHODS"] for each in found} == {methods}
