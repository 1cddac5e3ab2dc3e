"""A region file replaces the accelerators of the task, in the order of the file."""

import pytest

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.errors import ConfigError

REGIONS = """\
description: "Europe first"
regions:
  gcp:
    L4:
      - {region: europe-west4, zones: 3}
      - {region: us-central1, zones: 3}
    A100-80GB:
      - {region: us-central1}
  aws:
    L4: [{region: eu-west-1}]
"""
TASK = "resources: {cloud: gcp, use_spot: true, accelerators: 'L4:1', disk_size: 100}\nrun: x\n"
GCP = [
    {"accelerators": "L4:1", "region": "europe-west4"},
    {"accelerators": "L4:1", "region": "us-central1"},
    {"accelerators": "A100-80GB:1", "region": "us-central1"},
]
AWS = [{"accelerators": "L4:1", "region": "eu-west-1"}]


@pytest.fixture
def resources(tmp_path):
    """The resources of a task with a region file."""

    def read(task=TASK, regions=REGIONS):
        (tmp_path / "regions").mkdir(exist_ok=True)
        (tmp_path / "regions/europe.yaml").write_text(regions)
        (tmp_path / "train.yaml").write_text(task)
        config = tmp_path / "experiment.yaml"
        config.write_text(
            "experiment_name: e\nskypilot_yaml: train.yaml\nfactors: {m: [a]}\nregion_config: europe\n"
        )
        return read_task(load_experiment(config)).resources

    return read


def test_the_file_replaces_the_accelerators_in_its_own_order_and_all_else_is_kept(resources):
    assert resources() == [{"cloud": "gcp", "use_spot": True, "disk_size": 100, "ordered": GCP}]


@pytest.mark.parametrize("key", ["any_of", "ordered"])
def test_choices_of_the_task_are_replaced_too(resources, key):
    (found,) = resources(f"resources: {{cloud: gcp, {key}: [{{accelerators: T4}}, {{accelerators: L4}}]}}\n")
    assert found == {"cloud": "gcp", "ordered": GCP}


@pytest.mark.parametrize(
    ("named", "ordered"),
    [
        ("cloud: gcp", GCP),
        ("cloud: GCP", GCP),
        ("infra: gcp", GCP),
        ("infra: gcp/us-east1", GCP),
        ("cloud: aws", AWS),
        ("infra: aws/*/eu-west-1a", AWS),
        ("infra: '*'", GCP),
        ("cpus: 2", GCP),
    ],
)
def test_the_cloud_of_the_task_chooses_the_part_of_the_file(resources, named, ordered):
    (found,) = resources(f"resources: {{{named}}}\nrun: x\n")
    assert found["ordered"] == ordered


def test_every_task_of_a_pipeline_gets_the_regions_of_its_cloud(resources):
    found = resources(f"name: p\n---\n{TASK}---\nresources: {{cloud: aws}}\nrun: y\n---\nrun: z\n")
    assert [each["ordered"] for each in found] == [GCP, AWS]


def test_an_accelerator_with_a_count_stays_as_written(resources):
    (found,) = resources(regions='regions: {gcp: {"L4:8": [{region: a}], T4: [{region: b}]}}\n')
    assert [each["accelerators"] for each in found["ordered"]] == ["L4:8", "T4:1"]


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ("regions: {aws: {L4: [{region: x}]}}", ["line 1", "no regions for gcp", "regions for aws"]),
        ("a: 1", ["regions is empty", "{CLOUD: {ACCELERATOR: [{region: NAME}]}}"]),
        ("a: 1\nregions: [gcp]", ["line 2", "regions is a list"]),
        ("regions:\n  gcp: {}", ["line 2", "regions.gcp is empty"]),
        ("regions:\n  gcp: L4", ["line 2", "regions.gcp is 'L4'"]),
        (
            "regions:\n  gcp:\n    L4:\n      - us-east1",
            ["line 4", "a region is 'us-east1'", "{region: NAME}"],
        ),
        ("regions:\n  gcp:\n    L4: {region: 3}", ["line 3", "a region is a mapping"]),
        ("regions:\n  gcp:\n    L4: [{zone: 3}]", ["line 3", "a region is a mapping"]),
        ("regions:\n  gcp:\n    L4: []", ["line 3", "L4 has no region"]),
        ("regions:\n  gcp:\n    L4:", ["line 3", "L4 has no region"]),
        ("regions:\n  gcp:\n    L4: [{region: a},\n     {region: ''}]", ["line 4", "a region is empty"]),
        ("regions:\n  gcp:\n    L4: [{region: ' '}]", ["line 3", "a region is empty"]),
        ("regions:\n  gcp:", ["line 2", "regions.gcp is empty"]),
        ("regions:\n  gcp:\n    '': [{region: a}]", ["line 3", "an accelerator is ''", "such as L4"]),
        ("regions:\n  gcp:\n    ':8': [{region: a}]", ["line 3", "an accelerator is ':8'"]),
        ("regions:\n  gcp:\n    'L4:': [{region: a}]", ["line 3", "an accelerator is 'L4:'"]),
        ("regions:\n  gcp:\n    4: [{region: a}]", ["line 3", "an accelerator is 4"]),
        ("[1]", ["line 1", "not a mapping"]),
        ("", ["europe.yaml is empty"]),
    ],
)
def test_a_file_of_another_shape_is_refused_with_its_line(resources, regions, said):
    with pytest.raises(ConfigError) as caught:
        resources(regions=regions)
    sentence = str(caught.value)
    assert "regions/europe.yaml" in sentence
    assert "\n" not in sentence
    for words in said:
        assert words in sentence
