"""Adopting jobs that already run: once, again, and where it must be refused."""

import json
import subprocess
import sys

import pytest

from fmon.errors import ConfigError, ManifestError, QueueError
from fmon.launch.adopt import adopt
from fmon.manifest.file import read_manifest
from fmon.model import Price
from fmon.monitor.ingest import ingest
from fmon.store.folder import find, stores
from tests.support.events import written_events
from tests.support.queries import select
from tests.support.queues import NAMES, START, FakeQueue, ended, job
from tests.support.world import CONFIG, write_config

RUNNING = [job(number, name) for number, name in enumerate(NAMES, start=1)]
ME, OTHER = "aaaa1111", "bbbb2222"


@pytest.fixture(autouse=True)
def me(monkeypatch):
    """Who runs fmon."""
    monkeypatch.setenv("SKYPILOT_USER_ID", ME)


def entries(data):
    """(condition, job) of the newest experiment."""
    return {entry.condition: entry.job_id for entry in read_manifest(find(data)).jobs}


def events(data):
    return [event["event"] for event in written_events(find(data))]


def test_adopt_creates_the_experiment_with_its_first_poll(config, data):
    adopted = adopt(config, FakeQueue(RUNNING), data, now=START)
    assert adopted.experiment_id == "small-20260322T050000Z"
    assert adopted.is_new
    assert entries(data) == dict(zip(NAMES, (1, 2, 3, 4), strict=True))
    assert select(data, "select state, count(*)::bigint as n from condition group by all") == [
        {"state": "running", "n": 4}
    ]
    assert select(data, "select job_id, price_usd_per_h from job order by 1")[0] == {
        "job_id": 1,
        "price_usd_per_h": 0.70,
    }
    assert events(data) == ["adopt"]
    assert "4 of 4 conditions have a job" in adopted.sentences()[0]


def test_adopting_again_adds_nothing_but_a_heartbeat(config, data):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    before = find(data).manifest.read_bytes()
    again = adopt(config, FakeQueue(RUNNING), data, now=START.replace(hour=9))
    assert not again.is_new
    assert again.attached == {}
    assert len(stores(data)) == 1
    assert find(data).manifest.read_bytes() == before
    assert [
        row["changed_count"] for row in select(data, "select changed_count from poll order by poll_id")
    ] == [4, 0]
    assert events(data) == ["adopt"]


def test_the_accepted_limit_on_conditions_is_stored(config, data):
    queue = FakeQueue(RUNNING, RUNNING)
    adopt(config, queue, data, now=START, max_conditions=200_000)
    assert read_manifest(find(data)).max_conditions == 200_000
    adopt(config, queue, data, now=START)
    assert read_manifest(find(data)).max_conditions == 200_000


@pytest.mark.slow
def test_adopting_again_attaches_the_jobs_that_were_missing(config, data):
    first = adopt(config, FakeQueue(RUNNING[:2]), data, now=START)
    assert first.missing == NAMES[2:]
    assert "2 conditions without a job: sam3-dice_ce, sam3-dice_ce_cldice" in first.sentences()
    again = adopt(config, FakeQueue(RUNNING), data, now=START)
    assert (again.is_new, again.missing) == (False, [])
    assert again.attached == {"sam3-dice_ce": 3, "sam3-dice_ce_cldice": 4}


@pytest.mark.slow
def test_a_relaunch_by_hand_is_a_duplicate_to_a_poll_and_the_newest_attempt_to_adopt(config, data):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    again = [ended(RUNNING[0], "FAILED"), *RUNNING[1:], job(9, NAMES[0], minutes=40)]
    seen = ingest(find(data), FakeQueue(again).read(), source="sky", now=START)
    assert seen.duplicates == {NAMES[0]: [9]}
    assert "dynunet-dice_ce also has job 9" in seen.sentence()
    adopted = adopt(config, FakeQueue(again), data, now=START)
    assert (adopted.attached, adopted.superseded, adopted.duplicates) == ({NAMES[0]: 9}, [1], {})
    assert entries(data)[NAMES[0]] == 9
    assert select(data, f"select state, job_id from condition where condition_id = '{NAMES[0]}'") == [
        {"state": "running", "job_id": 9}
    ]


def test_a_new_job_reopens_a_closed_experiment(config, data):
    done = [ended(record, "SUCCEEDED") for record in RUNNING]
    adopt(config, FakeQueue(done), data, now=START)
    assert find(data).is_closed
    adopt(config, FakeQueue([*done, job(9, NAMES[0], minutes=40)]), data, now=START)
    assert not find(data).is_closed
    assert entries(data)[NAMES[0]] == 9


def test_duplicates_unknown_jobs_and_prefixes_are_reported(config, data):
    jobs = [*RUNNING, job(5, NAMES[1], minutes=3), job(6, "dynunet-dice"), job(7, "dynunet-dice_ce_cldice_2")]
    adopted = adopt(config, FakeQueue(jobs), data, now=START)
    assert adopted.duplicates == {NAMES[1]: [5]}
    assert adopted.strangers == ["dynunet-dice", "dynunet-dice_ce_cldice_2"]
    said = " ".join(adopted.sentences())
    assert "dynunet-dice_ce_cldice also has job 5" in said
    assert "2 other jobs in the queue: dynunet-dice, dynunet-dice_ce_cldice_2" in said


def test_more_jobs_than_skypilot_shows_by_default_are_adopted(tmp_path, data):
    config = write_config(
        tmp_path / "config", CONFIG.replace("[dynunet, sam3]", str([f"m{n}" for n in range(60)]))
    )
    jobs = [job(n, f"m{n // 2}-dice_ce{'_cldice' * (n % 2)}") for n in range(120)]
    adopted = adopt(config, FakeQueue(jobs), data, now=START)
    assert len(adopted.attached) == 120
    assert select(data, "select count(*)::bigint as n from job") == [{"n": 120}]


def test_a_pipeline_is_adopted_once_with_all_its_tasks(config, data):
    tasks = [{**RUNNING[0], "task_id": number, "task_name": NAMES[number]} for number in (0, 1, 2)]
    adopted = adopt(config, FakeQueue(tasks), data, now=START)
    assert adopted.attached == {NAMES[0]: 1}
    assert select(data, "select count(*)::bigint as n from job") == [{"n": 3}]


def test_jobs_of_other_users_are_ignored(config, data):
    jobs = [*({**record, "user_hash": ME} for record in RUNNING[:3]), {**RUNNING[3], "user_hash": OTHER}]
    adopted = adopt(config, FakeQueue(jobs), data, now=START)
    assert adopted.missing == [NAMES[3]]
    assert read_manifest(find(data)).user_hash == ME


def test_jobs_of_two_other_users_are_refused_with_their_names(config, data):
    jobs = [{**RUNNING[0], "user_hash": OTHER}, {**RUNNING[1], "user_hash": "cccc3333"}]
    with pytest.raises(ConfigError, match=r"bbbb2222, cccc3333.*SKYPILOT_USER_ID"):
        adopt(config, FakeQueue(jobs), data, now=START)
    assert stores(data) == []


def test_jobs_of_another_experiment_are_not_taken_twice(config, data, tmp_path):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    other = write_config(tmp_path / "other", CONFIG.replace("small", "other"))
    with pytest.raises(ConfigError, match="belong to another user or experiment"):
        adopt(other, FakeQueue(RUNNING), data, now=START)
    adopted = adopt(other, FakeQueue([*RUNNING, job(8, NAMES[0], minutes=5)]), data, now=START)
    assert adopted.attached == {NAMES[0]: 8}


def test_a_second_run_of_the_same_config_is_a_separate_experiment(config, data):
    done = [ended(record, "FAILED") for record in RUNNING]
    adopt(config, FakeQueue(done), data, now=START)
    rerun = [job(10 + number, name, minutes=600) for number, name in enumerate(NAMES)]
    adopted = adopt(config, FakeQueue(rerun), data, now=START.replace(hour=15))
    assert adopted.is_new
    assert len(stores(data)) == 2
    assert entries(data) == dict(zip(NAMES, (10, 11, 12, 13), strict=True))


def test_no_matching_job_is_refused_with_names_expected_and_seen(config, data):
    with pytest.raises(ConfigError) as caught:
        adopt(config, FakeQueue([job(1, "a"), job(2, "b"), job(3, "c"), job(4, "d")]), data, now=START)
    assert "expected dynunet-dice_ce, dynunet-dice_ce_cldice, sam3-dice_ce and 1 more" in str(caught.value)
    assert "the queue has a, b, c and 1 more" in str(caught.value)
    assert stores(data) == []


def test_an_empty_queue_is_refused(config, data):
    with pytest.raises(ConfigError, match="the queue has none"):
        adopt(config, FakeQueue([]), data, now=START)


def test_a_queue_that_does_not_answer_leaves_nothing_behind(config, data):
    with pytest.raises(QueueError):
        adopt(config, FakeQueue(QueueError("down")), data, now=START)
    assert stores(data) == []


def test_jobs_submitted_before_since_are_left_out(config, data):
    old = [ended(job(number, name, minutes=-600), "FAILED") for number, name in enumerate(NAMES, start=1)]
    adopted = adopt(config, FakeQueue([*old, job(9, NAMES[0])]), data, since=START, now=START)
    assert adopted.attached == {NAMES[0]: 9}
    seen = ingest(find(data), FakeQueue([*old, job(9, NAMES[0])]).read(), source="sky", now=START)
    assert seen.attached == {}
    with pytest.raises(ConfigError, match="--since"):
        adopt(config, FakeQueue(old), data / "none", since=START, now=START)


def tagged(job_id, name, experiment_id="small-20260101T000000Z", **fields):
    tags = {"experiment": experiment_id, "condition": name, "cycle": fields.pop("cycle", 0)}
    return job(job_id, name, metadata={"fmon": tags}, **fields)


def test_jobs_that_fmon_launched_restore_their_experiment(config, data):
    jobs = [tagged(1, NAMES[0]), tagged(2, NAMES[0], cycle=1), tagged(3, NAMES[1])]
    adopted = adopt(config, FakeQueue(jobs), data, now=START)
    assert adopted.experiment_id == "small-20260101T000000Z"
    assert adopted.attached == {NAMES[0]: 2, NAMES[1]: 3}
    assert read_manifest(find(data)).current_cycle == 1


@pytest.mark.parametrize(
    "experiment_id", ["small-../../x", "small-20269999T000000Z", "small-", "other-20260101T000000Z"]
)
def test_metadata_with_an_id_of_another_config_creates_no_folder(config, data, experiment_id):
    with pytest.raises(ConfigError):
        adopt(config, FakeQueue([tagged(1, NAMES[0], experiment_id)]), data, now=START)
    assert stores(data) == []


def test_prices_missing_from_the_config_come_from_the_catalog(config, data):
    asked = []

    def catalog(accelerators):
        asked.extend(accelerators)
        return {"H100": Price(spot=1.0, on_demand=3.0, source="catalog")}

    jobs = [RUNNING[0], job(2, NAMES[1], resources="1x[H100:2][Spot]")]
    jobs[1]["resources"] = "1x[H100:2][Spot]"
    adopt(config, FakeQueue(jobs), data, now=START, catalog=catalog)
    assert asked == ["H100"]
    found = select(data, "select job_id, price_usd_per_h, price_source from job order by job_id")
    assert [(row["price_usd_per_h"], row["price_source"]) for row in found] == [
        (0.7, "config"),
        (2.0, "catalog"),
    ]


def test_an_unavailable_price_stays_unknown(tmp_path, data):
    config = write_config(
        tmp_path / "config", CONFIG.replace("prices: {L4: {spot: 0.22, on_demand: 0.70}}\n", "")
    )
    adopt(config, FakeQueue(RUNNING), data, now=START, catalog=lambda names: {})
    assert select(data, "select distinct price_usd_per_h from job") == [{"price_usd_per_h": None}]


def test_an_error_for_launch_is_a_warning_for_adopt(tmp_path, data):
    task = "resources: {accelerators: L4}\nrun: true\n"
    config = write_config(tmp_path / "config", CONFIG + "limits: {accelerators: [H100]}\n", task)
    adopted = adopt(config, FakeQueue(RUNNING), data, now=START)
    assert len(adopted.warnings) == 2
    said = " ".join(adopted.sentences())
    assert "there is no image_id in train.yaml: jobs run on a bare VM" in said
    assert "L4 is not in limits.accelerators (H100)" in said


def test_the_image_of_the_task_yaml_is_stored(config, data):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    assert read_manifest(find(data)).docker_image == "x:1"


def test_adopting_again_applies_changed_limits_and_prices(config, data):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    write_config(
        config.parent, CONFIG.replace("0.70", "0.80") + "limits: {budget_usd: 9}\nexpect: {minutes: 5}\n"
    )
    adopt(config, FakeQueue(RUNNING), data, now=START)
    manifest = read_manifest(find(data))
    assert (manifest.limits.budget_usd, manifest.prices["L4"].on_demand) == (9, 0.80)
    assert {entry.expected_minutes for entry in manifest.jobs} == {5}


def test_a_level_added_later_is_accepted_and_a_removed_one_is_refused(config, data):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    write_config(config.parent, CONFIG.replace("sam3]", "sam3, unet]"))
    adopted = adopt(config, FakeQueue(RUNNING), data, now=START)
    assert adopted.missing == ["unet-dice_ce", "unet-dice_ce_cldice"]
    write_config(config.parent, CONFIG.replace("sam3]", "unet]"))
    with pytest.raises(ConfigError, match=r"sam3-dice_ce, sam3-dice_ce_cldice are missing.*experiment_name"):
        adopt(config, FakeQueue(RUNNING), data, now=START)


def test_a_broken_manifest_of_another_experiment_stops_adopting_but_not_polling(config, data, tmp_path):
    adopt(config, FakeQueue(RUNNING[:3]), data, now=START)
    broken = data / "other-20260101T000000Z"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    store = find(data, "small")
    seen = ingest(store, FakeQueue(RUNNING).read(), source="sky", now=START)
    assert (seen.own_count, seen.attached) == (3, {})
    with pytest.raises(ManifestError, match="other-20260101T000000Z"):
        adopt(config, FakeQueue(RUNNING), data, now=START)


def test_a_duplicate_that_ends_is_still_followed(config, data):
    adopt(config, FakeQueue([*RUNNING, job(9, NAMES[0], minutes=5)]), data, now=START)
    store = find(data)
    later = FakeQueue([*RUNNING, ended(job(9, NAMES[0], minutes=5), "FAILED")])
    assert ingest(store, later.read(), source="sky", now=START).changed_count == 1
    store.state.unlink()
    assert ingest(store, later.read(), source="sky", now=START).changed_count == 0
    assert select(data, "select status from job where job_id = 9") == [{"status": "FAILED"}]


def test_invalid_records_are_named_and_the_rest_is_adopted(config, data):
    adopted = adopt(config, FakeQueue([*RUNNING, {"job_name": NAMES[0]}]), data, now=START)
    assert len(adopted.bad) == 1
    assert len(adopted.attached) == 4


def test_the_manifest_has_one_entry_per_condition_with_its_factors_as_keys(config, data):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    written = json.loads(find(data).manifest.read_text())
    assert written["expected_job_count"] == 4
    assert [(entry["model"], entry["loss"], entry["job_id"]) for entry in written["jobs"]][:2] == [
        ("dynunet", "dice_ce", 1),
        ("dynunet", "dice_ce_cldice", 2),
    ]


QUIET = """
import sys
from pathlib import Path
from datetime import datetime, UTC
from fmon.store.lean import import_pyarrow_alone
import_pyarrow_alone()
from fmon.monitor.ingest import ingest
from fmon.store.folder import find
from tests.support.queues import FakeQueue, job
jobs = [job(int(number), name, sys.argv[2]) for number, name in enumerate(sys.argv[3:], start=1)]
seen = ingest(find(Path(sys.argv[1])), FakeQueue(jobs).read(), source="sky", now=datetime.now(UTC))
heavy = {"duckdb", "polars", "pandas", "pydantic", "rich", "yaml", "sky"} & set(sys.modules)
print(seen.changed_count, seen.is_closed, sorted(heavy))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "status", "said"),
    [
        (NAMES, "RUNNING", "0 False []"),
        (NAMES[:3], "SUCCEEDED", "0 False []"),
        (NAMES, "SUCCEEDED", "0 True ['duckdb']"),
    ],
)
def test_a_poll_without_changes_loads_no_heavy_library(config, data, names, status, said):
    jobs = [job(number, name, status) for number, name in enumerate(names, start=1)]
    adopt(config, FakeQueue(jobs), data, now=START)
    find(data).reopen()
    command = [sys.executable, "-c", QUIET, str(data), status, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == said, done.stderr
