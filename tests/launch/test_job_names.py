"""Job names that SkyPilot does not read as names are refused before anything is launched."""

import re

import pytest

from fmon.config import load_experiment
from fmon.errors import ConfigError
from fmon.launch.adopt import adopt
from fmon.launch.job_names import misread, name_checks, name_fault, readable_template
from fmon.launch.plan import plan
from fmon.manifest.file import read_manifest
from fmon.monitor.replay import replay
from fmon.store.folder import stores
from tests.support.launching import CONFIG, TASK, launching_world
from tests.support.queues import START, FakeQueue, job
from tests.support.world import write_config

ONE_FACTOR = """\
experiment_name: small
skypilot_yaml: train.yaml
factors: {fold: [0, 1]}
prices: {L4: {spot: 0.22, on_demand: 0.70}}
"""
FOLD_TASK = TASK.replace("$LOSS", "$FOLD")

# What sky.Task.from_yaml of SkyPilot 0.14.1 makes of `name: <name>`, the line that its controller reads.
REFUSED = {
    "0": "the number 0",
    "-7": "the number -7",
    "0x1f": "the number 31",
    "1_000": "the number 1000",
    "12:30": "the number 750",
    "1.5": "the number 1.5",
    ".inf": "the number inf",
    "true": "true",
    "on": "true",
    "No": "false",
    "null": "nothing",
    "~": "nothing",
    "2026-03-01": "the date 2026-03-01",
    "2026-13-41": "no value at all",
    "a #b": "the text 'a'",
    "'a'": "the text 'a'",
    "[a]": "a list or a mapping",
    "a: b": "no value at all",
    "*a": "no value at all",
    "@a": "no value at all",
    "=": "no value at all",
    "!!bool x": "no value at all",
    '!!int ""': "no value at all",
    "!!timestamp x": "no value at all",
    "a\n---\nb": "several documents",
}
TAKEN = (
    "1e3",
    "1e+3",
    "0o7",
    "089",
    "1,2",
    "1-0",
    "true-0",
    "y",
    "n",
    "fold1",
    "2026-03-01x",
    "a b",
    "-x",
    "a#b",
)


@pytest.mark.parametrize(("name", "read"), REFUSED.items())
def test_a_name_that_skypilot_would_misread_is_reported(name, read):
    assert misread(name) == read


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_only_looks_like_a_number_is_accepted(name):
    assert misread(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/b", "'/' is not a letter"),
        ("a b", "a space is not a letter"),
        ("é", "'é' is not a letter"),
        ("lr-1e+20", "'+' is not a letter"),
        ("-a", "start and end with a letter or a digit"),
        ("a_", "start and end with a letter or a digit"),
        ("a_--1", "three of . _ - in a row"),
        ("3d-unet", "it must start with a letter"),
        ("0-1.5", "it must start with a letter"),
        ("a" * 230, "has 230 characters"),
    ],
)
def test_a_name_that_skypilot_or_its_cluster_refuses_is_reported_with_the_reason(name, reason):
    assert reason in (name_fault(name) or "")


def load(tmp_path, factors, more=""):
    config = f"experiment_name: small\nskypilot_yaml: train.yaml\nfactors: {factors}\n{more}"
    return load_experiment(write_config(tmp_path, config))


def test_the_proposed_name_is_valid_for_every_level(tmp_path):
    levels = "[0, 1.5, true, '2026', '03', 'null', 1e-4, '1_000']"
    template = f'job_name: "{readable_template(["a", "b"])}"\n'
    (check,) = name_checks(load(tmp_path, f"{{a: {levels}, b: {levels}}}", template))
    assert check.result == "ok"


def test_the_first_wrong_name_is_named_the_others_are_counted(tmp_path):
    (check,) = name_checks(load(tmp_path, "{model: [llama, meta/a, meta/b], fold: [0, 1]}"))
    assert check.result == "fail"
    assert "condition meta/a-0 would be named 'meta/a-0' (and those of 3 more conditions)" in check.sentence


@pytest.mark.parametrize(
    ("factors", "remedy"),
    [
        ("{fold: [0, 1]}", 'set job_name: "fold{fold}"'),
        ("{decay: [-1, 1]}", 'set job_name: "decay{decay}"'),
        ("{lr: [1e+20, 1]}", "pass the text itself in a variable"),
        ("{model: [a/b]}", "pass the text itself in a variable"),
    ],
)
def test_the_remedy_makes_names_that_are_valid(tmp_path, factors, remedy):
    (check,) = name_checks(load(tmp_path, factors))
    assert remedy in check.sentence


@pytest.fixture
def sky(tmp_path):
    tried = launching_world(tmp_path)
    tried.write(ONE_FACTOR, FOLD_TASK)
    return tried


def test_launch_refuses_it_with_2_and_proposes_another_name(sky):
    with sky.refused(ConfigError, r"condition 0 .*'0' \(and those of 1 more condition\).*the number 0"):
        sky.launch()
    with pytest.raises(ConfigError, match=r'set job_name: "fold\{fold\}"') as refusal:
        sky.dry_run()
    assert refusal.value.exit_code == 2
    assert sky.stores == []


@pytest.mark.slow
def test_the_proposed_name_can_be_launched(sky):
    sky.write(ONE_FACTOR + 'job_name: "fold{fold}"\n', FOLD_TASK)
    sky.launch()
    assert [job["job_name"] for job in sky.server.jobs] == ["fold0", "fold1"]


def test_plan_reports_what_launch_refuses(sky):
    planned = plan(sky.config, ask=lambda *arguments: 1, catalog=lambda names: {})
    (check,) = (check for check in planned.checks if check.name == "job_names")
    with sky.refused(ConfigError, re.escape(check.sentence)):
        sky.launch()


def test_a_baseline_gets_its_own_name(sky):
    sky.write(CONFIG + "baselines: [{model: 7}]\n")
    with sky.refused(ConfigError, 'condition 7 .*set job_name: "baseline-7" in that baseline'):
        sky.launch()


def test_running_jobs_with_such_names_are_adopted(tmp_path):
    running = [job(number, str(number - 1)) for number in (1, 2)]
    adopt(write_config(tmp_path / "config", ONE_FACTOR), FakeQueue(running), tmp_path / "data", now=START)
    (store,) = stores(tmp_path / "data")
    assert [(entry.job_name, entry.job_id) for entry in read_manifest(store).jobs] == [("0", 1), ("1", 2)]


def test_a_recording_with_such_names_is_replayed(tmp_path):
    write_config(tmp_path / "recording", ONE_FACTOR)
    polls = tmp_path / "recording" / "queue.jsonl"
    polls.write_text(
        '{"polled_at": "2026-03-22T05:00:00Z", "jobs": [{"job_id": 1, "job_name": "0", '
        '"status": "RUNNING"}]}\n'
    )
    replay(tmp_path / "recording", tmp_path / "data")
    (store,) = stores(tmp_path / "data")
    assert read_manifest(store).jobs[0].job_id == 1
