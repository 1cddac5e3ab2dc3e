"""Where jobs may run: the clouds and regions of the task against the allowed ones."""

import pytest

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.launch.placement import placement_checks
from tests.support.world import write_config

CONFIG = """\
experiment_name: placed
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3]}
"""


def checked(folder, resources, limits, config=CONFIG):
    path = write_config(folder, f"{config}limits: {limits}\n", f"resources: {resources}\nrun: echo $MODEL\n")
    experiment = load_experiment(path)
    return placement_checks(read_task(experiment), experiment.conditions, experiment.limits)


@pytest.mark.parametrize(
    ("resources", "limits", "results"),
    [
        ("{cloud: gcp, region: us-central1}", "{}", []),
        ("{cloud: gcp}", "{clouds: [gcp, aws]}", ["ok"]),
        ("{cloud: azure}", "{clouds: [gcp, aws]}", ["fail"]),
        ("{infra: GCP/us-central1}", "{clouds: [gcp], regions: [us-central1]}", ["ok", "ok"]),
        ("{infra: gcp/europe-west4/a}", "{regions: [us-central1]}", ["fail"]),
        ("{infra: gcp/*/a}", "{regions: [us-central1]}", ["fail"]),
        ("{cloud: gcp}", "{regions: [us-central1]}", ["fail"]),
        ("{cpus: 2}", "{clouds: [gcp]}", ["fail"]),
        (
            "{cloud: gcp, ordered: [{region: us-central1}, {region: us-east1}]}",
            "{regions: [us-central1]}",
            ["fail"],
        ),
    ],
)
def test_every_place_that_a_job_may_get_is_compared_with_the_allowed_ones(
    tmp_path, resources, limits, results
):
    assert [check.result for check in checked(tmp_path, resources, limits)] == results


def test_the_message_names_the_place_and_the_limit(tmp_path):
    (check,) = checked(tmp_path, "{infra: gcp/us-east1}", "{regions: [us-central1]}")
    assert check.sentence == (
        "us-east1 is not in limits.regions (us-central1); change the task YAML or the limits"
    )


def test_a_task_without_a_region_may_run_anywhere(tmp_path):
    (check,) = checked(tmp_path, "{cloud: gcp}", "{regions: [us-central1]}")
    assert check.sentence == (
        "train.yaml does not set a region, so jobs could run outside of limits.regions (us-central1); set one"
    )


def test_the_resources_of_a_level_count_too(tmp_path):
    config = CONFIG + "overrides: {model: {sam3: {resources: {region: us-east1}}}}\n"
    (check,) = checked(tmp_path, "{cloud: gcp, region: us-central1}", "{regions: [us-central1]}", config)
    assert check.result == "fail"
