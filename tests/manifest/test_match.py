"""Which job is which condition, and what one look at the queue does to an experiment's store."""

from datetime import UTC, datetime, timedelta

import pytest

from fmon.manifest import claims as claims_module
from fmon.manifest.match import attach, match
from fmon.model import Entry, Manifest
from fmon.sky.status import is_terminal
from tests.support import stores

NOW = datetime(2026, 3, 22, 5, 0, tzinfo=UTC)
NAMES = ["dynunet-dice_ce", "dynunet-dice_ce_cldice"]
ME, OTHER = "aaaa1111", "bbbb2222"


@pytest.fixture(autouse=True)
def me(monkeypatch):
    monkeypatch.setenv("SKYPILOT_USER_ID", ME)


def experiment(names=NAMES, **fields):
    """A manifest whose conditions are their job names."""
    return Manifest(
        experiment_id="study-20260322T050000Z",
        experiment_name="study",
        config_file="experiment.yaml",
        created_at=NOW,
        factors={"name": list(names)},
        skypilot_yaml="train.yaml",
        expected_job_count=len(names),
        jobs=[Entry(condition=name, kind="grid", factors={"name": name}, job_name=name) for name in names],
        **fields,
    )


def job(job_id, name=NAMES[0], status="RUNNING", *, minutes=0, user=ME, **fields):
    submitted_at = round((NOW + timedelta(minutes=minutes)).timestamp() * 1e6)
    return stores.record(job_id, status, job_name=name, submitted_at=submitted_at, user_hash=user, **fields)


def attached(found):
    return {each.condition_id: each.job_key for each in found.attach}


def earlier(found):
    return [
        (each.job_key, each.role, each.cycle) for attachment in found.attach for each in attachment.earlier
    ]


def after(manifest, *records, **options):
    """Let the manifest take what matches, as a first poll does."""
    attach(manifest, match(manifest, records, **options))
    return manifest


def test_a_job_is_matched_by_its_whole_name():
    manifest = experiment(["dice_ce", "dice_ce_cldice", "model-dice_ce"])
    found = match(manifest, [job(1, "dice_ce_cldice"), job(2, "dice_ce_cldice_x"), job(3, "dice_c")])
    assert attached(found) == {"dice_ce_cldice": 1}
    assert found.strangers == ["dice_ce_cldice_x", "dice_c"]
    assert found.missing == ["dice_ce", "model-dice_ce"]


def test_sixty_jobs_are_all_matched():
    names = [f"m{number}" for number in range(60)]
    found = match(experiment(names), [job(number, name) for number, name in enumerate(reversed(names))])
    assert attached(found) == {name: 59 - number for number, name in enumerate(names)}
    assert len(found.own) == 60


def test_a_known_job_stays_its_conditions_and_nothing_is_decided():
    manifest = after(experiment(), job(1))
    found = match(manifest, [job(1, status="FAILED")])
    assert (found.attach, found.duplicates, found.strangers) == ([], {}, [])
    assert [record.job_id for record in found.own] == [1]


def test_an_id_that_was_given_out_again_under_another_name_is_a_stranger():
    manifest = after(experiment(), job(1))
    found = match(manifest, [job(1, "something-else"), job(2, NAMES[1])])
    assert found.strangers == ["something-else"]
    assert attached(found) == {NAMES[1]: 2}
    found = match(manifest, [job(1, NAMES[1])])
    assert found.attach == []


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED_SETUP", "CANCELLED"])
def test_the_newest_job_wins_where_the_earlier_ones_ended(status):
    found = match(experiment(), [job(3, minutes=2), job(1, status=status), job(2, status=status, minutes=1)])
    assert attached(found) == {NAMES[0]: 3}
    assert earlier(found) == [(1, "superseded", 0), (2, "superseded", 0)]
    assert found.duplicates == {}
    assert len(found.own) == 3


def test_the_newest_of_ended_jobs_wins():
    found = match(experiment(), [job(1, status="FAILED"), job(2, status="SUCCEEDED", minutes=1)])
    assert attached(found) == {NAMES[0]: 2}


def test_the_oldest_open_job_keeps_the_condition_and_later_ones_are_duplicates():
    found = match(
        experiment(),
        [
            job(1, status="FAILED"),
            job(2, minutes=1),
            job(3, minutes=2),
            job(4, status="SUCCEEDED", minutes=3),
        ],
    )
    assert attached(found) == {NAMES[0]: 2}
    assert earlier(found) == [(1, "superseded", 0)]
    assert found.duplicates == {NAMES[0]: [3, 4]}
    assert {record.job_id for record in found.own} == {1, 2, 3, 4}


@pytest.mark.parametrize("status", ["PENDING", "RECOVERING", "CANCELLING", "A_STATUS_OF_TOMORROW"])
def test_a_status_that_is_not_terminal_is_open(status):
    found = match(experiment(), [job(1, status=status), job(2, minutes=1)])
    assert attached(found) == {NAMES[0]: 1}


def test_submission_decides_which_is_newer_and_not_the_id():
    found = match(experiment(), [job(7, status="FAILED", minutes=0), job(3, status="FAILED", minutes=5)])
    assert attached(found) == {NAMES[0]: 3}


def test_a_job_that_appears_later_is_attached_even_if_it_has_ended():
    manifest = after(experiment(), job(1))
    assert attached(match(manifest, [job(1), job(2, NAMES[1], "SUCCEEDED")])) == {NAMES[1]: 2}


def test_a_later_job_of_a_condition_that_has_one_is_a_duplicate_while_it_is_open():
    manifest = after(experiment(), job(1))
    found = match(manifest, [job(1, status="FAILED"), job(2, minutes=9)])
    assert (found.attach, found.duplicates) == ([], {NAMES[0]: [2]})
    assert [record.job_id for record in found.own] == [1, 2]


def test_a_later_job_that_had_ended_when_it_was_first_seen_is_left_out():
    manifest = after(experiment(), job(1))
    found = match(manifest, [job(1), job(2, status="FAILED")])
    assert (found.attach, found.duplicates) == ([], {})
    assert [record.job_id for record in found.own] == [1]


def test_a_duplicate_that_is_stored_stays_one_after_it_ended():
    manifest = after(experiment(), job(1))
    found = match(manifest, [job(1), job(2, status="FAILED")], stored={2: False})
    assert found.duplicates == {NAMES[0]: [2]}


def test_a_relaunch_by_hand_is_taken_where_asked_for_and_the_job_has_ended():
    manifest = after(experiment(), job(1))
    again = [
        job(1, status="FAILED"),
        job(2, status="FAILED", minutes=1),
        job(3, minutes=2),
        job(4, minutes=3),
    ]
    found = match(manifest, again, replaces_ended=True)
    assert attached(found) == {NAMES[0]: 3}
    assert earlier(found) == [(1, "superseded", 0), (2, "superseded", 0)]
    assert found.duplicates == {NAMES[0]: [4]}


def test_an_open_job_is_never_replaced():
    manifest = after(experiment(), job(1))
    found = match(manifest, [job(1), job(2, minutes=1)], replaces_ended=True)
    assert (found.attach, found.duplicates) == ([], {NAMES[0]: [2]})


def test_a_job_older_than_the_ended_one_does_not_replace_it():
    manifest = after(experiment(), job(5, status="FAILED", minutes=10))
    found = match(manifest, [job(5, status="FAILED", minutes=10), job(4, "x")], replaces_ended=True)
    assert found.attach == []
    found = match(manifest, [job(5, status="FAILED", minutes=10), job(4, minutes=1)], replaces_ended=True)
    assert (found.attach, found.duplicates) == ([], {NAMES[0]: [4]})


@pytest.mark.parametrize(("had_ended", "takes"), [(True, True), (False, False)])
def test_a_job_that_the_queue_has_lost_is_replaced_only_where_it_was_seen_to_end(had_ended, takes):
    manifest = after(experiment(), job(1))
    found = match(manifest, [job(2, minutes=1)], stored={1: had_ended}, replaces_ended=True)
    assert bool(found.attach) is takes
    assert bool(found.duplicates) is not takes


def test_a_pipeline_is_one_job_with_all_its_tasks_and_its_own_name():
    tasks = [
        job(1, NAMES[0], "SUCCEEDED", task_id=0, task_name="prepare"),
        job(1, NAMES[0], "RUNNING", task_id=1, task_name=NAMES[1]),
    ]
    found = match(experiment(), tasks)
    assert attached(found) == {NAMES[0]: 1}
    assert [(record.job_id, record.task_id) for record in found.own] == [(1, 0), (1, 1)]
    assert found.missing == [NAMES[1]]


def test_a_pipeline_with_one_open_task_is_open():
    tasks = [job(1, status="SUCCEEDED", task_id=0), job(1, status="PENDING", task_id=1)]
    assert attached(match(experiment(), [*tasks, job(2, minutes=1)])) == {NAMES[0]: 1}


def test_jobs_of_other_users_are_strangers():
    found = match(experiment(), [job(1, user=OTHER), job(2)])
    assert attached(found) == {NAMES[0]: 2}
    assert found.duplicates == {}
    assert found.user_hash == ME
    assert found.strangers == [NAMES[0]]


def test_jobs_without_a_user_count_as_ours():
    found = match(experiment(), [job(1, user=None), job(2, NAMES[1], user=OTHER)])
    assert attached(found) == {NAMES[0]: 1}


def test_jobs_that_all_belong_to_one_other_user_are_taken():
    found = match(experiment(), [job(1, user=OTHER), job(2, NAMES[1], user=OTHER)])
    assert attached(found) == {NAMES[0]: 1, NAMES[1]: 2}
    assert found.user_hash == OTHER


def test_jobs_of_two_other_users_are_ambiguous_and_none_is_attached():
    found = match(experiment(), [job(1, user=OTHER), job(2, NAMES[1], user="cccc3333")])
    assert found.attach == []
    assert found.ambiguous == [OTHER, "cccc3333"]


def test_the_user_of_the_first_jobs_stays_the_experiments_user():
    manifest = after(experiment(), job(1, user=OTHER))
    found = match(manifest, [job(1, user=OTHER), job(2, NAMES[1], user=ME)])
    assert manifest.user_hash == OTHER
    assert found.attach == []


def test_a_replay_does_not_ask_who_runs_it_and_takes_the_user_with_most_jobs():
    manifest = experiment(["a", "b"], is_replay=True)
    records = [job(1, "a", user=OTHER), job(2, "b", user=OTHER), job(3, "a", user=ME)]
    found = match(manifest, records)
    assert attached(found) == {"a": 1, "b": 2}
    assert match(manifest, records[1:]).ambiguous == [ME, OTHER]


def test_without_a_user_id_on_this_machine_the_only_user_is_taken(monkeypatch, tmp_path):
    monkeypatch.delenv("SKYPILOT_USER_ID")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert claims_module.current_user() is None
    assert match(experiment(), [job(1, user=OTHER)]).user_hash == OTHER
    (tmp_path / ".sky").mkdir()
    (tmp_path / ".sky" / "user_hash").write_text(f"{ME}\n")
    assert claims_module.current_user() == ME


def test_a_job_that_another_experiment_has_is_a_stranger():
    found = match(experiment(), [job(1), job(2, minutes=1)], owned_elsewhere={(1, NAMES[0])})
    assert attached(found) == {NAMES[0]: 2}
    assert earlier(found) == []


def test_a_job_submitted_before_since_is_a_stranger():
    manifest = experiment(since=NOW)
    assert match(manifest, [job(1, minutes=-1)]).strangers == [NAMES[0]]
    assert attached(match(manifest, [job(1, minutes=-1), job(2)])) == {NAMES[0]: 2}


def tagged(job_id, condition=NAMES[0], cycle=0, experiment_id="study-20260322T050000Z", **fields):
    return job(
        job_id,
        "any-name",
        fmon_experiment=experiment_id,
        fmon_condition=condition,
        fmon_cycle=cycle,
        **fields,
    )


def test_metadata_says_more_than_the_name():
    found = match(experiment(), [tagged(1, NAMES[1], user=OTHER, minutes=-99)])
    assert attached(found) == {NAMES[1]: 1}


def test_metadata_of_another_experiment_makes_a_stranger_whatever_the_name():
    other = job(1, fmon_experiment="study-20200101T000000Z", fmon_condition=NAMES[0])
    assert match(experiment(), [other]).strangers == [NAMES[0]]
    assert match(experiment(), [tagged(1, "no such condition")]).strangers == ["any-name"]


def test_a_replay_knows_the_jobs_of_the_experiment_that_was_recorded():
    manifest = experiment(is_replay=True)
    assert attached(match(manifest, [tagged(1, experiment_id="study-20200101T000000Z")])) == {NAMES[0]: 1}
    assert match(manifest, [tagged(1, experiment_id="study_two-20200101T000000Z")]).attach == []


def test_a_relaunch_by_fmon_is_the_next_attempt():
    manifest = after(experiment(), tagged(1))
    found = match(manifest, [tagged(1, status="FAILED"), tagged(2, cycle=1)])
    assert earlier(found) == [(1, "attempt", 0)]
    attach(manifest, found)
    assert (manifest.jobs[0].job_id, manifest.jobs[0].relaunch_batch, manifest.current_cycle) == (2, 1, 1)
    assert match(manifest, [tagged(1, status="FAILED"), tagged(2, cycle=1)]).attach == []


def test_attempts_of_several_cycles_are_told_apart_at_first_sight():
    found = match(
        experiment(), [tagged(1, status="FAILED"), tagged(2, cycle=1), tagged(3, cycle=1, minutes=1)]
    )
    assert attached(found) == {NAMES[0]: 2}
    assert earlier(found) == [(1, "attempt", 0)]
    assert found.duplicates == {NAMES[0]: [3]}


def test_the_terminal_statuses_are_the_seven_of_skypilot():
    assert [
        status for status in ("SUCCEEDED", "CANCELLED", "FAILED_CONTROLLER") if not is_terminal(status)
    ] == []
    assert [
        status for status in ("PENDING", "CANCELLING", "WINDING_DOWN", "", "NEW") if is_terminal(status)
    ] == []
