"""Phase relaunch: what runs again, in which cycle, and what survives a crash."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

import fmon.manifest.file
from fmon.errors import ConfigError, LaunchError, QueueError, RuleError
from fmon.events import CancelRequestedEvent
from fmon.fix.steps import record, verify
from fmon.manifest.file import read_manifest
from fmon.report.audit import audit
from fmon.store.durable import LockTaken
from fmon.store.events import append_event
from fmon.terminal.relaunch import print_escalation
from tests.support.death import Killed
from tests.support.fake_skypilot import FINE, NO_QUOTA, FakeSubmitter, Fate
from tests.support.relaunching import CONFIG, NEW, OLD, OUTAGE, Repository, Stage, allowed
from tests.support.world import CONDITIONS

FAILED = CONDITIONS[2:]


@pytest.fixture
def world(tmp_path):
    return Repository(tmp_path)


@pytest.fixture(scope="module")
def when_failed(tmp_path_factory):
    world = Repository(tmp_path_factory.mktemp("failed"))
    world.launch()
    world.end(FAILED)
    world.diagnose()
    return Stage(world)


@pytest.fixture
def failed(when_failed):
    """Two of four failed with a bug, and were diagnosed."""
    return when_failed.again()


@pytest.fixture
def fixed(failed):
    failed.fix()
    return failed


def killing(world, after):
    """Make a submitter that dies with its process when it is to hand over one launch more."""
    left = [after]

    class Dying(FakeSubmitter):
        def submit(self, submission):
            if not left[0]:
                raise Killed
            left[0] -= 1
            super().submit(submission)

    return Dying(world.server)


@pytest.mark.slow
def test_only_what_failed_runs_again_in_the_next_cycle(fixed):
    done = fixed.relaunch()
    assert sorted(done.dispatched.launched) == sorted(FAILED)
    assert fixed.launched(1) == sorted(FAILED)
    manifest = read_manifest(fixed.store)
    assert {entry.condition: entry.relaunch_batch for entry in manifest.jobs} == {
        name: int(name in FAILED) for name in CONDITIONS
    }
    assert manifest.current_cycle == 1


@pytest.mark.slow
def test_the_cycle_its_image_and_what_was_measured_stand_in_the_audit_before_the_first_launch(fixed):
    fixed.relaunch()
    (check,), (begun,) = fixed.events("fix_verified"), fixed.events("relaunch")
    assert (check["cycle"], check["is_ok"], check["digest"]) == (0, True, NEW)
    assert {link["result"] for link in check["links"]} == {"ok"}
    assert (begun["cycle"], begun["digest"], begun["former_digest"]) == (1, NEW, OLD)
    assert begun["condition_ids"] == list(FAILED)
    assert read_manifest(fixed.store).docker_digest == NEW
    first_launch = next(event for event in fixed.events("launch_intent") if event["cycle"] == 1)
    assert begun["at"] <= first_launch["at"]


@pytest.mark.slow
def test_what_a_selection_leaves_out_runs_in_a_later_cycle(fixed):
    done = fixed.relaunch(selections=("loss=dice_ce",))
    assert (fixed.launched(1), done.plan.unselected) == (["sam3-dice_ce"], ["sam3-dice_ce_cldice"])
    fixed.end()
    fixed.cycle((), 2)
    assert fixed.launched(2) == ["sam3-dice_ce_cldice"]


@pytest.mark.slow
def test_the_closed_experiment_is_polled_again(fixed):
    assert fixed.store.is_closed
    fixed.relaunch()
    assert not fixed.store.is_closed
    fixed.end()
    assert fixed.store.is_closed


@pytest.mark.slow
def test_nothing_to_run_again_is_no_error(world):
    world.launch()
    world.end()
    done = world.relaunch()
    assert (done.plan.jobs, done.dispatched) == ([], None)
    assert world.events("relaunch") == []


@pytest.mark.slow
def test_a_dry_run_gives_the_commands_and_changes_nothing(fixed):
    jobs, events = fixed.jobs(), fixed.store.events.read_bytes()
    done = fixed.relaunch(agree=lambda plan: False)
    assert [row.command for row in done.plan.jobs] == [
        f"sky jobs launch -n {name} --env MODEL=sam3 --env LOSS={name.removeprefix('sam3-')} "
        f"--env FMON_EXPERIMENT={fixed.store.experiment_id} --env FMON_CONDITION={name} --env FMON_CYCLE=1 "
        f"{fixed.task}"
        for name in FAILED
    ]
    assert (fixed.jobs(), fixed.store.events.read_bytes()) == (jobs, events)


@pytest.mark.slow
def test_settings_that_were_changed_go_into_the_jobs_and_the_manifest(failed):
    failed.config.write_text(failed.config.read_text() + "overrides: {model: {sam3: {envs: {BATCH: '1'}}}}\n")
    failed.fix()
    submitter = FakeSubmitter(failed.server)
    failed.relaunch(submitter=submitter)
    assert all("BATCH: '1'" in submission.task_yaml for submission in submitter.submitted)
    assert [entry.envs for entry in read_manifest(failed.store).jobs] == [{}, {}, *[{"BATCH": "1"}] * 2]


@pytest.mark.slow
def test_what_nothing_is_changed_for_runs_again_with_the_same_image_and_the_audit_shows_the_reason(failed):
    (cause,) = failed.events("diagnosis")[-1]["causes"]
    with pytest.raises(RuleError, match="broken at record, commit, tests, digest;"):
        failed.relaunch()
    record(
        failed.study, cause["root_cause_id"], what="a bad node", is_without_fix=True, by="bob",
        now=failed.server.clock(),
    )  # fmt: skip
    failed.relaunch()
    assert failed.launched(1) == sorted(FAILED)
    assert read_manifest(failed.store).docker_digest == OLD
    failed.end()
    (chain,) = [row for row in audit(failed.study) if row.criterion == "F3 rebuild before relaunch"]
    assert (chain.result, chain.is_ok) == ("pass", True)
    assert chain.evidence.endswith(
        f"; {cause['root_cause_id']} was relaunched in cycle 1 without a fix: a bad node (bob)"
    )


@pytest.mark.slow
def test_what_passes_by_itself_runs_again_with_the_same_image(world):
    world.launch()
    world.end(FAILED, log=OUTAGE)
    world.diagnose()
    done = world.relaunch()
    assert {row.remedy for row in done.plan.jobs} == {"auto"}
    assert world.launched(1) == sorted(FAILED)


@pytest.mark.slow
def test_a_job_of_the_same_name_that_no_poll_has_seen_is_seen_before_the_first_launch(fixed):
    fixed.server.add(FAILED[0])
    with pytest.raises(RuleError, match=rf"names of conditions to relaunch: 5 \({FAILED[0]}\)") as refusal:
        fixed.relaunch()
    assert refusal.value.exit_code == 25
    assert fixed.launched(1) == fixed.events("relaunch") == []


def running_again(world):
    """Let the failed job of a condition run again: only the queue knows."""
    (record,) = [job for job in world.server.jobs if job["job_name"] == FAILED[0]]
    record["status"] = "RUNNING"
    del record["end_at"]


def test_a_job_that_runs_again_is_seen_before_anything_is_planned(fixed):
    running_again(fixed)
    with pytest.raises(RuleError, match=rf"still open: {FAILED[0]} \(job 3, RUNNING\)") as refusal:
        fixed.relaunch(agree=lambda plan: pytest.fail("nothing may be planned"))
    assert refusal.value.exit_code == 21
    assert fixed.launched(1) == fixed.events("relaunch") == []


def test_a_job_that_runs_again_after_the_plan_is_seen_before_the_first_launch(fixed):
    with pytest.raises(RuleError, match=rf"still open: {FAILED[0]} \(job 3, RUNNING\)") as refusal:
        fixed.relaunch(agree=lambda plan: running_again(fixed) or True)
    assert refusal.value.exit_code == 21
    assert fixed.launched(1) == fixed.events("relaunch") == []


@pytest.mark.parametrize("answers", [0, 1])
def test_without_an_answer_of_the_queue_nothing_is_launched(fixed, answers):
    left = [answers]

    def is_away():
        left[0] -= 1
        return left[0] < 0

    fixed.server.is_queue_away = is_away
    with pytest.raises(QueueError, match="the queue is away"):
        fixed.relaunch()
    assert fixed.launched(1) == fixed.events("relaunch") == []


@pytest.mark.parametrize("is_submitted_anew", [False, True])
def test_a_condition_whose_own_job_runs_again_is_not_launched_beside_it(fixed, is_submitted_anew):
    fixed.server.pass_time(300)
    job = next(job for job in fixed.server.jobs if job["job_name"] == FAILED[0])
    job.update(status="RUNNING", end_at=None)
    if is_submitted_anew:
        job["submitted_at"] = fixed.server.clock().timestamp()
    with pytest.raises(RuleError, match=rf"{FAILED[0]} \(job {job['job_id']}, ") as refusal:
        fixed.relaunch()
    assert refusal.value.exit_code == 21
    assert fixed.launched(1) == []
    assert not fixed.store.is_closed


@pytest.mark.slow
def test_a_gate_of_launch_that_refuses_leaves_nothing_begun(failed):
    failed.config.write_text(failed.config.read_text() + "limits: {max_hourly_usd: 0.1}\n")
    failed.fix()
    with pytest.raises(ConfigError, match=r"limits\.max_hourly_usd is 0\.1"):
        failed.relaunch()
    assert failed.launched(1) == failed.events("relaunch") == []


@pytest.mark.slow
class TestCancelled:
    @pytest.fixture
    def cancelled(self, world):
        """One was cancelled by the kill switch, one by a person, the others succeeded."""
        world.launch()
        world.poll()
        ids = {tags["condition"]: job_id for job_id, tags in world.server.tags.items()}
        for name, reason in zip(FAILED, ("kill_switch", "person"), strict=True):
            world.server.cancel([ids[name]])
            event = CancelRequestedEvent(
                at=world.server.clock(), job_ids=[ids[name]], reason=reason, firing_ids=[], by="ada"
            )
            append_event(world.store, event)
        world.server.pass_time(60)
        world.end()
        return world

    def test_what_the_kill_switch_cancelled_runs_again_what_a_person_did_does_not(self, cancelled):
        done = cancelled.relaunch()
        assert cancelled.launched(1) == [FAILED[0]]
        assert done.plan.left_out == [FAILED[1]]

    def test_on_request_what_a_person_cancelled_runs_again_too(self, cancelled):
        cancelled.relaunch(include_cancelled=True)
        assert cancelled.launched(1) == sorted(FAILED)

    @pytest.mark.slow
    def test_fix_verify_counts_what_the_same_relaunch_would_run(self, cancelled):
        cancelled.diagnose()
        for selections in ((), (FAILED[0],), ("model=sam3",), ("loss=dice_ce",), (CONDITIONS[0],)):
            for is_included in (False, True):
                words = {"selections": selections, "include_cancelled": is_included}
                verified = verify(
                    cancelled.study, now=cancelled.server.clock(), ask=cancelled.digest_of, **words
                )
                plan = cancelled.relaunch(agree=lambda _: False, **words).plan
                assert verified.rerun_count == len(plan.jobs)
                assert verified.left_out == [each for each in plan.sentences() if each in verified.left_out]
        assert cancelled.launched(1) == []


@pytest.mark.slow
class TestCrash:
    @pytest.mark.slow
    @pytest.mark.parametrize("after", [0, 1])
    def test_a_cycle_that_was_cut_short_is_resumed_and_counts_once(self, fixed, after):
        with pytest.raises(Killed):
            fixed.relaunch(submitter=killing(fixed, after))
        fixed.server.pass_time(60)
        done = fixed.relaunch()
        assert (done.plan.cycle, done.plan.is_resumed) == (1, True)
        assert fixed.launched(1) == sorted(FAILED)
        assert len(fixed.events("relaunch")) == 1
        assert read_manifest(fixed.store).current_cycle == 1

    def test_killed_before_the_manifest_was_written(self, fixed, monkeypatch):
        def die(*_):
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(fmon.manifest.file, "write_manifest", die)
            with pytest.raises(Killed):
                fixed.relaunch()
        assert read_manifest(fixed.store).docker_digest == OLD
        fixed.relaunch()
        assert fixed.launched(1) == sorted(FAILED)
        assert len(fixed.events("relaunch")) == 1
        assert read_manifest(fixed.store).docker_digest == NEW

    def test_the_jobs_that_are_up_already_do_not_block_the_rest(self, fixed):
        with pytest.raises(Killed):
            fixed.relaunch(submitter=killing(fixed, 1))
        fixed.poll()
        assert fixed.open_jobs()
        fixed.relaunch()
        assert fixed.launched(1) == sorted(FAILED)

    @pytest.mark.slow
    def test_nor_do_those_that_have_ended_by_then(self, fixed):
        with pytest.raises(Killed):
            fixed.relaunch(submitter=killing(fixed, 1))
        fixed.server.pass_time(60)
        fixed.end()
        assert fixed.relaunch().plan.condition_ids == [FAILED[1]]
        assert fixed.launched(1) == sorted(FAILED)

    def test_not_with_another_image_than_it_was_begun_with(self, fixed):
        with pytest.raises(Killed):
            fixed.relaunch(submitter=killing(fixed, 1))
        fixed.digest = OLD
        with pytest.raises(RuleError, match="broken at digest;") as refusal:
            fixed.relaunch()
        assert refusal.value.exit_code == 23
        assert re.search(f"started with {NEW}, .* is now {OLD}", refusal.value.details[0])

    def test_a_launch_that_skypilot_refused_is_tried_again_in_the_same_cycle(self, fixed):
        fates = [Fate(makes="refusal")]
        refusing = FakeSubmitter(fixed.server, lambda submission: fates.pop() if fates else FINE)
        done = fixed.relaunch(submitter=refusing)
        assert len(done.dispatched.failed) == 1
        assert fixed.relaunch().plan.is_resumed
        assert fixed.launched(1) == sorted(FAILED)

    def test_of_two_at_once_only_one_launches(self, fixed):
        def meanwhile(_):
            fixed.relaunch()
            return True

        with pytest.raises(LockTaken, match=r"another fmon has just relaunched jobs of small-"):
            fixed.relaunch(agree=meanwhile)
        assert fixed.launched(1) == sorted(FAILED)

    def test_what_quota_refuses_stays_queued_and_the_next_call_resumes_the_cycle(self, fixed):
        done = fixed.relaunch(submitter=FakeSubmitter(fixed.server, lambda submission: NO_QUOTA))
        assert sorted(done.dispatched.queued) == sorted(FAILED)
        with pytest.raises(LaunchError, match=r"2 conditions stay queued: .*; run fmon relaunch to resume"):
            done.dispatched.require_all("fmon relaunch")
        assert fixed.relaunch().plan.is_resumed
        assert fixed.launched(1) == sorted(FAILED)

    def test_jobs_are_submitted_as_the_config_says(self, failed):
        failed.write(CONFIG + "launch: {per_minute: 0.5}\n")
        failed.fix()
        failed.relaunch()
        first, second = (datetime.fromisoformat(each["at"]) for each in failed.events("launch_intent")[-2:])
        assert second - first >= timedelta(minutes=2)

    def test_where_skypilot_does_not_answer_the_cycle_is_resumed_by_the_next_call(self, fixed):
        fixed.server.is_queue_away = lambda: True
        with pytest.raises(QueueError):
            fixed.relaunch()
        fixed.server.is_queue_away = lambda: False
        fixed.relaunch()
        assert fixed.launched(1) == sorted(FAILED)
        assert len(fixed.events("relaunch")) == 1


@pytest.fixture(scope="module")
def when_worn(tmp_path_factory):
    world = Repository(tmp_path_factory.mktemp("worn"))
    world.launch()
    world.end(FAILED)
    world.cycle(FAILED, 1)
    world.cycle(FAILED, 2)
    world.diagnose()
    world.fix("sha256:" + "3" * 64)
    return Stage(world)


@pytest.mark.slow
class TestLastCycle:
    @pytest.fixture
    def worn(self, when_worn):
        """Fixed and run again twice, and failed with the same each time; fixed once more."""
        return when_worn.again()

    def test_a_third_relaunch_is_refused_with_the_report_for_the_person_who_decides(self, worn):
        with pytest.raises(RuleError) as refusal:
            worn.relaunch()
        assert refusal.value.exit_code == 24
        report = refusal.value.report
        assert [(row.cycle, row.condition_count) for row in report.causes] == [(0, 2), (1, 2), (2, 2)]
        assert [row.job_count for row in report.cycles] == [4, 2, 2]
        assert [round(row.cost_usd, 2) for row in report.cycles] == [
            Decimal("0.24"),
            Decimal("0.12"),
            Decimal("0.12"),
        ]
        assert (report.condition_count, round(report.estimate_usd, 2)) == (2, Decimal("0.12"))
        assert "came back despite its fix (mended; mended); find the reason" in report.recommendation

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            (b'"event":"fix"', b'"event":"other"', "came back, and no fix for it is recorded; find"),
            (
                b'"event":"fix"', b'"event":"no_fix","reason":"bad luck"',
                "came back after it was relaunched without a fix: bad luck; bad luck; find",
            ),
        ],
    )  # fmt: skip
    def test_the_report_claims_no_fix_for_a_cause_that_came_back_without_one(
        self, worn, capsys, old, new, said
    ):
        events = worn.store.events.read_bytes()
        assert old in events
        worn.store.events.write_bytes(events.replace(old, new))
        with pytest.raises(RuleError) as refusal:
            worn.relaunch()
        report = refusal.value.report
        assert said in report.recommendation
        assert "despite" not in report.recommendation
        print_escalation(report, "table")
        assert ("relaunched without a fix: bad luck" in capsys.readouterr().out) == ("no_fix" in str(new))

    def test_it_is_refused_before_a_fix_that_would_be_in_vain_is_asked_for(self, worn):
        worn.digest = "sha256:" + "2" * 64
        with pytest.raises(RuleError, match="F4"):
            worn.relaunch()

    def test_a_person_lets_exactly_that_cycle_pass_and_it_is_recorded(self, worn):
        worn.relaunch(authorization=allowed(3))
        assert worn.launched(3) == sorted(FAILED)
        (event,) = worn.events("cycle_authorized")
        assert (event["cycle"], event["budget_usd"], event["by"]) == (3, 5.0, "ada")

    @pytest.mark.parametrize("cycle", [2, 4])
    def test_a_word_for_another_cycle_is_refused(self, worn, cycle):
        with pytest.raises(ConfigError, match="use --authorize-cycle 3"):
            worn.relaunch(authorization=allowed(cycle))
        assert worn.events("cycle_authorized") == []

    def test_a_budget_below_the_estimate_is_refused(self, worn):
        with pytest.raises(RuleError, match=r"for \$0\.10 but will cost about \$0\.12"):
            worn.relaunch(authorization=allowed(3, "0.10"))

    def test_an_authorized_cycle_that_was_cut_short_needs_no_second_word(self, worn):
        with pytest.raises(Killed):
            worn.relaunch(authorization=allowed(3), submitter=killing(worn, 1))
        worn.relaunch()
        assert worn.launched(3) == sorted(FAILED)
