"""Queue records of every form become typed records; what can't is named."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.model import Record
from fmon.sky.record import MAX_REASON, parse_records, queue_record, specs_of


def one(**fields) -> Record:
    """Parse one record that fits."""
    records, bad = parse_records([{"job_id": 1, "status": "RUNNING", **fields}])
    assert bad == []
    return records[0]


def refused(item) -> str:
    """Parse one record that does not fit."""
    records, bad = parse_records([item])
    assert records == []
    (sentence,) = bad
    return sentence


def test_a_record_with_two_fields_is_enough():
    assert one() == Record(job_id=1, status="RUNNING")


def test_the_record_of_a_real_server_is_read_whole():
    seen = one(
        task_id=2,
        job_name="a",
        task_name="b",
        submitted_at=1795468886.245596,
        start_at=1795468943.5823112,
        end_at=1795468974,
        last_recovered_at=1795468943.5,
        job_duration=31.03,
        recovery_count=1,
        details="d",
        failure_reason="f",
        resources="1x[H100:1]",
        cluster_resources="1x[H100:1]",
        cloud="Slurm",
        region="demo",
        zone="z",
        infra="Slurm (demo)",
        user_name="root",
        user_hash="fcd1e5cf",
        workspace="default",
        metadata={"fmon": {"experiment": "e", "condition": "c", "cycle": 2}},
        node_names=None,
        labels={"a": "b"},
    )
    assert (seen.submitted_at, seen.end_at) == (1795468886245596, 1795468974000000)
    assert (seen.task_id, seen.job_duration_s, seen.recovery_count) == (2, 31.03, 1)
    assert (seen.fmon_experiment, seen.fmon_condition, seen.fmon_cycle) == ("e", "c", 2)


@pytest.mark.parametrize("status", ["RUNNING", "ManagedJobStatus.RUNNING"])
def test_a_status_is_read_in_both_spellings(status):
    assert one(status=status).status == "RUNNING"


def test_a_status_that_nobody_knows_is_kept():
    assert one(status="HIBERNATING").status == "HIBERNATING"


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (1795468886, 1795468886000000),
        (1795468886.245596, 1795468886245596),
        ("2026-11-23T21:21:26Z", 1795468886000000),
        ("2026-11-23T22:21:26.5+01:00", 1795468886500000),
        ("2026-11-23 21:21:26", 1795468886000000),
    ],
)
def test_a_time_is_read_in_every_form(value, micros):
    assert one(start_at=value).start_at == micros


@pytest.mark.parametrize(
    "value",
    [
        None,
        -1.0,
        -1,
        0,
        math.nan,
        math.inf,
        -math.inf,
        1e300,
        10**400,
        1795468886000,
        "yesterday",
        "",
        True,
        [],
        {},
    ],
)
def test_a_time_that_makes_no_sense_is_unknown(value):
    seen = one(start_at=value, submitted_at=value, end_at=value, last_recovered_at=value)
    seen.invalid_fields = None
    assert seen == one()


@pytest.mark.parametrize("value", [None, -1.0, math.nan, math.inf, 10**400, "5", True])
def test_a_duration_or_count_that_makes_no_sense_is_unknown(value):
    seen = one(job_duration=value, recovery_count=value)
    seen.invalid_fields = None
    assert seen == one()


@pytest.mark.parametrize("value", [None, -1, -1.0, 0, "", "-"])
def test_what_skypilot_writes_for_unknown_is_not_invalid(value):
    assert one(start_at=value, job_duration=value).invalid_fields is None


@pytest.mark.parametrize("value", [-5, -3600.5, math.nan, 1795468886000, "yesterday", True, []])
def test_an_impossible_value_is_named(value):
    seen = one(submitted_at=1795468886, end_at=value, job_duration=value if value != 1795468886000 else -2)
    assert seen.invalid_fields == "end_at, job_duration"


@pytest.mark.parametrize("value", [None, "-", "", 5, ["x"]])
def test_a_text_that_is_none_is_unknown(value):
    names = [
        "job_name",
        "task_name",
        "details",
        "failure_reason",
        "resources",
        "cloud",
        "region",
        "zone",
        "infra",
    ]
    assert one(**dict.fromkeys(names, value)) == one()


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ({"status": "RUNNING"}, "queue record 0: job_id is missing"),
        ({"job_id": "7", "status": "RUNNING"}, "queue record 0: job_id is not a valid id (str)"),
        ({"job_id": True, "status": "RUNNING"}, "queue record 0: job_id is not a valid id (bool)"),
        ({"job_id": 1.5, "status": "RUNNING"}, "queue record 0: job_id is not a valid id (float)"),
        ({"job_id": math.nan, "status": "RUNNING"}, "queue record 0: job_id is not a valid id (float)"),
        ({"job_id": -1, "status": "RUNNING"}, "queue record 0: job_id is not a valid id (int)"),
        ({"job_id": 2**63, "status": "RUNNING"}, "queue record 0: job_id is not a valid id (int)"),
        (
            {"job_id": 7, "task_id": "a", "status": "RUNNING"},
            "queue record 0: task_id of job 7 is not a valid id (str)",
        ),
        ({"job_id": 7}, "queue record 0: job 7 has no status"),
        ({"job_id": 7, "status": 3}, "queue record 0: job 7 has a status of type int"),
        ({"job_id": 7, "status": ""}, "queue record 0: job 7 has a status of type str"),
        ([1], "queue record 0: it is list, not an object"),
        (None, "queue record 0: it is NoneType, not an object"),
    ],
)
def test_a_record_that_can_not_be_used_is_named_in_one_sentence(item, sentence):
    assert refused(item) == sentence


def test_the_rest_is_read_beside_a_record_that_can_not_be_used():
    records, bad = parse_records(
        [{"job_id": 1, "status": "A"}, {"secret": "hf_x"}, {"job_id": 2.0, "status": "B"}]
    )
    assert [seen.job_id for seen in records] == [1, 2]
    assert bad == ["queue record 1: job_id is missing"]


def test_tasks_of_one_job_are_records_of_their_own_and_a_repeated_one_is_named():
    raw = [{"job_id": 1, "task_id": task, "status": "A"} for task in (0, 1, None)]
    records, bad = parse_records(raw)
    assert [seen.task_id for seen in records] == [0, 1]
    assert bad == ["queue record 2: job 1 task 0 appears twice; only the first one is used"]


def test_secrets_in_reasons_are_redacted():
    seen = one(details="x hf_" + "a1B2" * 9, failure_reason="WANDB_API_KEY=abc123")
    assert seen.details == "x [redacted:huggingface]"
    assert seen.failure_reason == "WANDB_API_KEY=[redacted:key]"


def test_a_long_reason_keeps_both_ends():
    seen = one(failure_reason="first " + "x" * 5_000_000 + " last")
    assert len(seen.failure_reason) <= MAX_REASON
    assert seen.failure_reason.startswith("first ")
    assert seen.failure_reason.endswith(" last")
    assert "characters cut" in seen.failure_reason


def test_names_are_bounded_and_can_be_written_as_utf8():
    seen = one(job_name="\ud83d" + "n" * 100_000, failure_reason="\udcff")
    assert len(seen.job_name) == 1_000
    seen.job_name.encode()
    seen.failure_reason.encode()


GOT = "1x[spot](gpus=L4:1, g2-standard-4, ...)"


@pytest.mark.parametrize(
    ("fields", "machine", "has_machine"),
    [
        ({}, None, None),
        ({"cluster_resources": None}, None, None),
        ({"cluster_resources": 5}, None, None),
        ({"cluster_resources": "-"}, None, False),
        ({"cluster_resources": "1x[L4:1]"}, None, False),  # the request: the machine is gone
        ({"cluster_resources": "<initializing>"}, None, True),
        ({"cluster_resources": GOT}, GOT, True),
        ({"cluster_resources_full": GOT}, GOT, True),
    ],
)
def test_the_machine_of_a_job_is_distinguished_from_its_request(fields, machine, has_machine):
    seen = one(resources="1x[L4:1]", **fields)
    assert (seen.resources, seen.machine, seen.has_machine) == ("1x[L4:1]", machine, has_machine)


YAML = """\
name: a
---
envs: {FMON_EXPERIMENT: e, FMON_CONDITION: c, FMON_CYCLE: "1"}
"""


def test_envs_of_the_task_stand_in_for_missing_metadata():
    seen = one(user_yaml=YAML)
    assert (seen.fmon_experiment, seen.fmon_condition, seen.fmon_cycle) == ("e", "c", 1)


def test_metadata_beats_the_envs():
    assert one(user_yaml=YAML, metadata={}).fmon_experiment is None
    assert one(user_yaml=YAML, metadata={"fmon": {"experiment": "m"}}).fmon_experiment == "m"


@pytest.mark.parametrize(
    "text",
    [
        "FMON_EXPERIMENT: [",
        "- FMON_EXPERIMENT",
        "envs: FMON_EXPERIMENT",
        "envs: {FMON_EXPERIMENT: }",
        "FMON_EXPERIMENT " + "[" * 5000,
        "!!python/object/apply:os.system ['FMON_EXPERIMENT']",
        "envs: {FMON_EXPERIMENT: [a], FMON_CYCLE: " + "9" * 5000 + "}",
    ],
)
def test_a_task_yaml_of_another_shape_says_nothing(text):
    assert one(user_yaml=text) == one()


@pytest.mark.parametrize(
    "tags", [None, [], "x", {"fmon": 5}, {"fmon": {"experiment": 5, "condition": [], "cycle": "x"}}]
)
def test_metadata_of_another_shape_says_nothing(tags):
    assert one(metadata=tags) == one()


texts = st.none() | st.text(min_size=1, max_size=30).filter(lambda text: text != "-")
times = st.none() | st.integers(min_value=1, max_value=4 * 10**15)


@given(
    st.builds(
        Record,
        job_id=st.integers(0, 2**40 - 1),
        task_id=st.integers(0, 99),
        status=st.sampled_from(["RUNNING", "X"]),
        job_name=texts,
        task_name=texts,
        submitted_at=times,
        start_at=times,
        end_at=times,
        last_recovered_at=times,
        job_duration_s=st.none() | st.floats(0, 1e9),
        recovery_count=st.none() | st.integers(0, 99),
        resources=texts,
        cloud=texts,
        region=texts,
        zone=texts,
        infra=texts,
        user_name=texts,
        user_hash=texts,
        workspace=texts,
        fmon_experiment=texts,
        fmon_condition=texts,
        fmon_cycle=st.none() | st.integers(0, 9),
    )
)
def test_a_record_is_the_same_after_writing_and_reading_it(record):
    written = json.loads(json.dumps(queue_record(record)))
    assert parse_records([written]) == ([record], [])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
NAMES = [
    "job_id",
    "task_id",
    "status",
    "start_at",
    "job_duration",
    "details",
    "metadata",
    "user_yaml",
    "resources",
]


@given(st.lists(anything | st.dictionaries(st.sampled_from(NAMES), anything), max_size=5))
def test_each_record_is_either_read_or_named_whatever_it_holds(raw):
    records, bad = parse_records(raw)
    assert len(records) + len(bad) == len(raw)
    assert all("\n" not in sentence and len(sentence) < 200 for sentence in bad)


@pytest.mark.slow
def test_ten_thousand_records_take_a_fraction_of_a_second():
    base = {
        "job_name": "sam3-dice_ce",
        "task_name": "sam3-dice_ce",
        "job_duration": 31.0,
        "workspace": "default",
        "status": "FAILED",
        "resources": "1x[H100:1]",
        "cluster_resources": "1x[H100:1]",
        "cloud": "Slurm",
        "region": "demo",
        "zone": "demo",
        "infra": "Slurm (demo)",
        "recovery_count": 0,
        "details": "Failure: Job exited with exit code 1 (user program failure).",
        "failure_reason": "Job exited with exit code 1 (user program failure).",
        "user_name": "root",
        "user_hash": "fcd1e5cf",
        "submitted_at": 1795468886.2,
        "start_at": 1795468943.5,
        "end_at": 1795468974.6,
        "metadata": {"fmon": {"experiment": "e", "condition": "c"}},
        "last_recovered_at": -1.0,
    }
    raw = [{**base, "job_id": number} for number in range(10_000)]
    times = []
    for _ in range(3):
        began = time.process_time()
        records, _ = parse_records(raw)
        times.append(time.process_time() - began)
    assert len(records) == 10_000
    assert min(times) < 1.5  # 0.09 s here; the rest is for slower machines


@given(st.lists(anything | st.dictionaries(st.sampled_from([*NAMES, "entrypoint"]), anything), max_size=5))
def test_specs_are_text_or_nothing_whatever_a_record_holds(raw):
    for job_id, spec in specs_of(raw).items():
        assert type(job_id) is int
        assert {type(spec.user_yaml), type(spec.entrypoint)} <= {str, type(None)}
