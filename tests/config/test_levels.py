"""Levels are values: a number is a number however it is written, and jobs get it as it is written."""

import msgspec
import pytest

from fmon.manifest.build import extend, new_manifest
from fmon.manifest.file import read_manifest, write_manifest
from fmon.model import envs_of
from fmon.store.folder import Store
from tests.support.queues import START


def manifest_of(experiment, experiment_id="study-20260322T050000Z"):
    return new_manifest(experiment, experiment_id, created_at=START, is_replay=False, prices={})


def texts(experiment):
    return [each.job_name for each in experiment.conditions]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 0.0001),
        ("1E-4", 0.0001),
        ("1.0e-3", 0.001),
        ("1.5e3", 1500.0),
        (".5e1", 5.0),
        ("-2e0", -2.0),
        ("0.10", 0.1),
        ("5.", 5.0),
        ("0x10", 16),
    ],
)
def test_a_number_is_a_number_and_its_job_gets_it_as_it_is_written(folder, written, value):
    experiment = folder.load(f"factors: {{m: [a], lr: [{written}]}}")
    assert experiment.factors["lr"] == [value]
    assert [type(level) for level in experiment.factors["lr"]] == [type(value)]
    (condition,) = experiment.conditions
    assert condition.condition_id == condition.job_name == f"a-{written}"
    assert envs_of(experiment, condition)["LR"] == written


@pytest.mark.parametrize("written", ['"1e-4"', "'1e-4'", "!!str 1e-4", "&lr '1e-4'"])
def test_text_stays_text(folder, written):
    experiment = folder.load(f"# ünïcode\nfactors: {{m: [ä], lr: [{written}]}}")
    assert experiment.factors["lr"] == ["1e-4"]
    assert envs_of(experiment, experiment.conditions[0])["LR"] == "1e-4"


@pytest.mark.parametrize("value", ["123e456", "1e-4", "0x10", "0.10"])
def test_a_variable_has_the_text_of_the_config(folder, value):
    own = f"overrides: {{m: {{a: {{envs: {{OWN: {value}}}}}}}}}"
    experiment = folder.load(f"factors: {{m: [a]}}\nfixed: {{SHA: {value}}}\n{own}")
    envs = envs_of(experiment, experiment.conditions[0])
    assert (envs["SHA"], envs["OWN"]) == (value, value)


@pytest.mark.parametrize(
    ("levels", "both"),
    [
        ("1e-4, 0.0001", "1e-4 and 0.0001"),
        ("1, 1.0", "1 and 1.0"),
        ("1e2, 100", "1e2 and 100"),
        ("16, 0x10", "16 and 0x10"),
        (".5, 0.50", ".5 and 0.50"),
    ],
)
def test_two_spellings_of_one_number_are_refused(folder, levels, both):
    refusal = folder.refusal(f"factors: {{lr: [{levels}]}}")
    assert f"factors.lr has the levels {both}, which are the same number" in refusal
    assert "line 3" in refusal


def test_the_keys_of_a_mapping_are_values_too(folder):
    refusal = folder.refusal("factors: {lr: [0.1]}\nexpect: {by: {lr: {0.1: 5, 1e-1: 6}}}")
    assert "keys 0.1 (line 4) and 1e-1 are the same number" in refusal


@pytest.mark.parametrize("levels", ['0.1, "0.1"', 'true, "true"', '1.0, "1"', '1e-4, "1e-4"'])
def test_levels_that_jobs_or_views_could_not_distinguish_are_refused(folder, levels):
    assert "the same text" in folder.refusal(f"factors: {{m: [a], lr: [{levels}]}}")
    first, second = levels.split(", ")
    baseline = f"factors: {{m: [a], lr: [{first}]}}\nbaselines: [{{lr: {second}}}]"
    assert "the same text" in folder.refusal(baseline)


def test_a_boolean_is_never_a_number(folder):
    experiment = folder.load(
        """\
        factors: {m: [a], flag: [true, 1, false, 0]}
        exclude: [{flag: 0}]
        overrides: {flag: {true: {envs: {X: t}}, 1: {envs: {X: one}}}}
        expect: {by: {flag: {1: 7, true: 8}}}
        """
    )
    found = [(each.job_name, each.envs, each.expected_minutes) for each in experiment.conditions]
    assert found == [("a-true", {"X": "t"}, 8), ("a-1", {"X": "one"}, 7), ("a-false", {}, None)]


@pytest.mark.parametrize("use", ["overrides: {f: {%s: {envs: {X: 1}}}}", "expect: {by: {f: {%s: 5}}}"])
@pytest.mark.parametrize(
    ("level", "named"), [("true", "1"), ("1", "true"), ("0.1", "'0.1'"), ("'0.1'", "0.1"), ("0", "false")]
)
def test_a_level_of_another_type_does_not_match(folder, use, level, named):
    assert f"has no level {named}" in folder.refusal(f"factors: {{f: [{level}]}}\n{use % named}")


def test_everything_that_refers_to_a_level_matches_it_by_value(folder):
    experiment = folder.load(
        """\
        factors: {m: [a, b], lr: [1e-4, 0.10, 2]}
        exclude: [{m: b, lr: 0.0001}]
        overrides: {lr: {0.00010: {envs: {SLOW: 1}}}}
        expect: {minutes: 5, by: {lr: {1.0e-4: 40, .1: 20, 2.0: 10}}}
        baselines: [{lr: 0.1, job_name: plain}]
        """
    )
    assert texts(experiment) == ["a-1e-4", "a-0.10", "a-2", "b-0.10", "b-2", "plain"]
    assert [each.expected_minutes for each in experiment.conditions] == [40, 20, 10, 20, 10, 20]
    assert experiment.conditions[0].envs == {"SLOW": "1"}
    assert envs_of(experiment, experiment.conditions[-1])["LR"] == "0.10"


def test_numbers_of_resources_and_of_unused_keys_are_plain(folder):
    experiment = folder.load(
        """\
        infrastructure: {zone: 1e2}
        factors: {training: {model_family: [a], lr: [1e-4]}}
        model_overrides: {a: {use_spot: false, batch_size: 1e1}}
        """
    )
    assert experiment.study_keys["infrastructure.zone"] == 100.0
    assert experiment.conditions[0].envs["BATCH_SIZE"] == "1e1"
    assert msgspec.json.encode(experiment)


def test_the_manifest_keeps_the_type_and_the_text(folder, tmp_path):
    experiment = folder.load("factors: {m: [a], lr: [1e-4, 0.5], flag: [true]}")
    manifest = manifest_of(experiment)
    store = Store(tmp_path / manifest.experiment_id)
    write_manifest(store, manifest)
    read = read_manifest(store)
    assert read.factors == {"m": ["a"], "lr": [0.0001, 0.5], "flag": [True]}
    assert read.written_levels == {"lr": {"0.0001": "1e-4"}}
    assert [envs_of(read, entry)["LR"] for entry in read.jobs] == ["1e-4", "0.5"]


def test_an_experiment_of_an_older_fmon_which_read_1e_4_as_text_continues(folder, tmp_path):
    experiment = folder.load("factors: {m: [a], lr: [1e-4]}")
    old = manifest_of(experiment)
    old.factors, old.written_levels = {"m": ["a"], "lr": ["1e-4"]}, {}
    old.jobs[0].factors = {"m": "a", "lr": "1e-4"}
    extend(old, manifest_of(experiment))
    write_manifest(Store(tmp_path / old.experiment_id), old)
    assert old.jobs[0].factors == {"m": "a", "lr": 0.0001}
    assert envs_of(old, old.jobs[0])["LR"] == "1e-4"
