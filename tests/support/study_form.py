"""Configs in the study's form."""

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
BARE = """\
# @package _global_
experiment_name: bare
skypilot_yaml: train.yaml
factors: {model_family: [dynunet, sam3], loss_name: [dice_ce]}
"""


def edited(config, old, new):
    assert old in STUDY
    config.write_text(STUDY.replace(old, new))
    return config


def jobs(experiment):
    """The variables of each job, by its name."""
    return {each.job_name: envs_of(experiment, each) for each in experiment.conditions}
