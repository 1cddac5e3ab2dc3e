"""The variables of new jobs are compared once with those of their conditions, and no value is stored."""

import json

import pytest
import yaml

from fmon.errors import QueueError
from fmon.launch.adopt import adopt
from fmon.monitor import check_variables
from fmon.monitor.poll import poll
from fmon.monitor.replay import replay
from fmon.store import variable_checks
from fmon.store.durable import lock
from fmon.store.folder import stores, variables_lock
from tests.support.queries import select
from tests.support.queues import NAMES, RUNNING, START, FakeQueue, ended, job
from tests.support.world import CONFIG, World, files_of, write_config

ALARMS = "select job_id, message, cleared_at from alarm where kind = 'wrong_variables' order by job_id"
DOWN = QueueError("too busy", error_type="Timeout")
SECRET = "hunter2"
CLI = "sky jobs launch -y train.yaml "


def submitted(record, changes=None, entrypoint=CLI, **fields):
    """Give a record with what SkyPilot recorded at its submission: the right variables except for changes."""
    model, _, loss = record["job_name"].partition("-")
    envs = {"MODEL": model, "LOSS": loss, "TOKEN": SECRET, **(changes or {})}
    return {**record, "user_yaml": yaml.safe_dump({"envs": envs}), "entrypoint": entrypoint, **fields}


WRONG = [submitted(RUNNING[0], {"LOSS": SECRET}), *map(submitted, RUNNING[1:])]


def adopted(config, data, *polls):
    """Adopt on the first poll, before SkyPilot has recorded anything; give the queue after it."""
    adopt(config, FakeQueue([unrecorded(record) for record in polls[0]]), data, now=START)
    queue = FakeQueue(*polls)
    queue.read_count = 1
    return queue


def unrecorded(record):
    """Give a record without what SkyPilot recorded at its submission."""
    return {key: value for key, value in record.items() if key not in ("user_yaml", "entrypoint")}


def wrong_names(data):
    found = select(data, "select job_id, wrong_names from variable_check order by job_id")
    return {row["job_id"]: row["wrong_names"] for row in found}


def test_a_job_with_another_value_raises_the_alarm_and_the_others_do_not(config, data):
    queue = adopted(config, data, WRONG)
    polled = poll(data, queue, now=START)
    assert [found.wrong for found in polled.checked] == [{1: ["LOSS"]}]
    assert wrong_names(data) == {1: ["LOSS"], 2: [], 3: [], 4: []}
    (alarm,) = select(data, ALARMS)
    assert alarm["message"].startswith(
        "dynunet-dice_ce: job 1 runs with different values of LOSS than its condition; cancel it"
    )
    assert polled.checked[0].sentence() == "variables differ from those of the condition: job 1 (LOSS)"


def test_values_are_neither_stored_nor_said(config, data):
    queue = adopted(config, data, WRONG)
    polled = poll(data, queue, now=START)
    assert SECRET not in repr(polled) + str(select(data, ALARMS))
    assert all(SECRET.encode() not in content for content in files_of(data).values())


def test_a_quiet_poll_asks_nothing_more_and_keeps_no_marker(config, data):
    queue = adopted(config, data, WRONG)
    for _ in range(3):
        poll(data, queue, now=START)
    assert queue.asked == [[1, 2, 3, 4]]
    assert not stores(data)[0].has_unchecked


def test_a_job_that_appears_later_is_compared_alone(config, data):
    queue = adopted(config, data, WRONG[:3], WRONG[:3], WRONG)
    for _ in range(2):
        poll(data, queue, now=START)
    assert queue.asked == [[1, 2, 3], [4]]
    assert set(wrong_names(data)) == {1, 2, 3, 4}


def test_one_poll_asks_for_a_limited_number_of_jobs(config, data, monkeypatch):
    monkeypatch.setattr(check_variables, "SPEC_BATCH", 3)
    queue = adopted(config, data, WRONG)
    other = CONFIG.replace("small", "other").replace("dynunet", "unet")
    with_other = [*WRONG, submitted(job(9, "unet-dice_ce"))]
    adopt(write_config(data.parent / "other", other), FakeQueue(with_other), data, now=START)
    queue.polls = [with_other]
    for _ in range(3):
        poll(data, queue, now=START)
    assert [len(job_ids) for job_ids in queue.asked] == [3, 2]
    assert set(wrong_names(data)) == {1, 2, 3, 4, 9}


def test_a_request_that_fails_does_no_harm_and_is_repeated(config, data):
    queue = adopted(config, data, WRONG)
    queue.specs_error = DOWN
    polled = poll(data, queue, now=START)
    assert polled.left_over == "the variables of new jobs could not be compared yet: too busy"
    assert polled.error is None
    assert polled.observed[0].own_count == 4
    assert wrong_names(data) == {}
    queue.specs_error = None
    assert poll(data, queue, now=START).left_over is None
    assert wrong_names(data)[1] == ["LOSS"]


@pytest.mark.parametrize("step", ["differing", "write_checks", "clear_unchecked"])
def test_after_a_kill_the_next_poll_compares_again(config, data, monkeypatch, step):
    queue = adopted(config, data, WRONG)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(check_variables, step, killed)
        with pytest.raises(KeyboardInterrupt):
            poll(data, queue, now=START)
    poll(data, queue, now=START)
    assert wrong_names(data) == {1: ["LOSS"], 2: [], 3: [], 4: []}
    assert not stores(data)[0].has_unchecked


def test_a_marker_that_another_process_sets_meanwhile_is_kept(config, data, monkeypatch):
    queue = adopted(config, data, WRONG)
    (store,) = stores(data)
    inner = queue.read_specs

    def slow(job_ids):
        variable_checks.mark_unchecked(store)
        return inner(job_ids)

    monkeypatch.setattr(queue, "read_specs", slow)
    poll(data, queue, now=START)
    assert store.has_unchecked


def test_of_two_processes_only_one_compares(config, data):
    queue = adopted(config, data, WRONG)
    with lock(variables_lock(data), wait_s=0):
        assert poll(data, queue, now=START).checked == []
    assert queue.asked == []


def test_a_waiting_job_whose_yaml_is_not_recorded_yet_is_asked_for_again(config, data):
    waiting = [job(1, NAMES[0], "PENDING"), *WRONG[1:]]
    queue = adopted(config, data, waiting, waiting, WRONG)
    poll(data, queue, now=START)
    assert set(wrong_names(data)) == {2, 3, 4}
    poll(data, queue, now=START)
    assert queue.asked == [[1, 2, 3, 4], [1]]
    assert wrong_names(data)[1] == ["LOSS"]


def test_a_queue_without_yamls_is_asked_once_and_says_nothing(config, data):
    queue = adopted(config, data, RUNNING)
    for _ in range(2):
        polled = poll(data, queue, now=START)
        assert [found.sentence() for found in polled.checked if found.sentence()] == []
    assert queue.asked == [[1, 2, 3, 4]]
    assert wrong_names(data) == dict.fromkeys([1, 2, 3, 4])
    assert select(data, ALARMS) == []


@pytest.mark.slow
def test_jobs_of_an_experiment_that_closed_at_once_are_compared(config, data):
    queue = adopted(config, data, [ended(record) for record in WRONG])
    assert stores(data)[0].is_closed
    queue.polls[0] = queue.polls[0][:3]  # job 4 is not in the queue any more, and never will be
    poll(data, queue, now=START)
    assert wrong_names(data) == {1: ["LOSS"], 2: [], 3: []}
    assert not stores(data)[0].has_unchecked
    assert "so its result is not valid for the condition" in select(data, ALARMS)[0]["message"]


def test_a_later_job_with_the_same_id_is_not_taken_for_the_one_that_was_compared(config, data):
    again = [submitted({**RUNNING[0], "submitted_at": START.timestamp() + 99}), *WRONG[1:]]
    queue = adopted(config, data, WRONG, WRONG, again)
    poll(data, queue, now=START)
    assert wrong_names(data)[1] == ["LOSS"]
    poll(data, queue, now=START)
    assert queue.asked == [[1, 2, 3, 4]]
    assert wrong_names(data)[1] == ["LOSS"]


def test_a_time_of_submission_that_is_known_later_is_no_reason(config, data):
    early = [{**record, "submitted_at": None} for record in WRONG]
    queue = adopted(config, data, early, early, WRONG)
    for _ in range(2):
        poll(data, queue, now=START)
    assert queue.asked == [[1, 2, 3, 4]]


@pytest.mark.slow
def test_adopting_again_compares_with_the_config_as_it_is_now(config, data):
    queue = adopted(config, data, WRONG)
    poll(data, queue, now=START)
    adopt(config, queue, data, now=START)
    assert select(data, ALARMS) == []
    poll(data, queue, now=START)
    assert len(select(data, ALARMS)) == 1


def test_a_broken_manifest_does_not_keep_other_experiments_from_being_compared(config, data):
    queue = adopted(config, data, WRONG)
    other = CONFIG.replace("small", "other").replace("dynunet", "unet")
    both = [*WRONG, submitted(job(9, "unet-dice_ce"))]
    adopt(write_config(data.parent / "other", other), FakeQueue(both), data, now=START)
    broken = next(store for store in stores(data) if store.experiment_id.startswith("other"))
    broken.manifest.write_text("{")
    polled = poll(data, queue, now=START)
    assert list(polled.faults) == [broken.experiment_id]
    assert [found.wrong for found in polled.checked] == [{1: ["LOSS"]}]


@pytest.mark.slow
def test_what_fmon_launches_has_the_variables_of_its_conditions(tmp_path):
    world = World(tmp_path, CONFIG + "fixed: {EPOCHS: 2}\noverrides: {model: {sam3: {envs: {BATCH: 1}}}}\n")
    world.launch()
    world.poll()
    assert wrong_names(world.data) == {1: [], 2: [], 3: [], 4: []}
    world.server.user_yamls[2] = world.server.user_yamls[2].replace("EPOCHS: '2'", "EPOCHS: '3'")
    variable_checks.check_again(world.store)
    world.poll()
    assert {job_id: names for job_id, names in wrong_names(world.data).items() if names} == {2: ["EPOCHS"]}
    shown = world.type("status", "--data", world.data)
    assert "CRITICAL  wrong_variables  " in shown.stdout
    assert "runs with different values of EPOCHS than its condition; cancel it" in shown.stdout


@pytest.mark.slow
def test_a_damaged_file_is_named_and_recreated_by_adopting(config, data):
    queue = adopted(config, data, WRONG)
    poll(data, queue, now=START)
    stores(data)[0].variables.write_bytes(b"x")
    with pytest.warns(UserWarning, match="is damaged .* fmon adopt"):
        assert select(data, ALARMS) == []
    adopt(config, queue, data, now=START)
    poll(data, queue, now=START)
    assert len(select(data, ALARMS)) == 1


def test_a_recording_is_compared_if_it_has_the_yamls_and_the_live_queue_is_not_asked(tmp_path, data):
    recording = write_config(tmp_path / "recording").parent
    line = {"polled_at": START.isoformat(), "jobs": WRONG}
    (recording / "queue.jsonl").write_text(json.dumps(line) + "\n")
    replay(recording, data)
    assert wrong_names(data) == {1: ["LOSS"], 2: [], 3: [], 4: []}
    assert select(data, ALARMS)[0]["cleared_at"] is None
    (store,) = stores(data)
    variable_checks.mark_unchecked(store)
    queue = FakeQueue([])
    assert poll(data, queue, now=START).checked == []
    assert queue.asked == []
