"""Phase diagnose: when it refuses, what it examines, what it says and what it records."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fmon.diagnose.diagnose import as_json, diagnose
from fmon.diagnose.gate import require_full_diagnosis
from fmon.errors import ConfigError, QueueError, RuleError
from fmon.manifest.file import read_manifest, write_manifest
from fmon.monitor.replay import replay
from fmon.sky.reader import LogRequest
from fmon.store.events import append_event, read_events
from fmon.store.folder import find
from fmon.store.unexamined import mark_pending
from fmon.study import Study, open_study
from fmon.terminal.diagnosis import diagnosis_lines
from fmon.terminal.lines import plain
from fmon.warehouse import connect
from tests import golden
from tests.support import ROOT
from tests.support.events import FIRING, written_events
from tests.support.queues import FakeLogs
from tests.support.studies import job, poll, relaunched, study

FMON = Path(sys.executable).with_name("fmon")
NOW = datetime(2026, 3, 22, 12, 0, tzinfo=UTC)
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB.\n"
ODD = "Zorgblat 17 came unglued\n"
FACTORS = {"model": ["dynunet", "sam3"], "fold": list(range(8))}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo, replayed once."""
    data = tmp_path_factory.mktemp("demo")
    replay(ROOT / "data/demo", data)
    return data


@pytest.fixture
def store(tmp_path):
    """Jobs 1 to 8 are dynunet, 9 to 16 sam3."""
    return study(tmp_path / "data", FACTORS)


def seen(store, minute=20, /, **statuses):
    """Poll: everything has succeeded but what is told otherwise, as j9="FAILED"."""
    poll(store, minute, [job(n, statuses.get(f"j{n}", "SUCCEEDED")) for n in range(1, 17)])
    mark_pending(store)


def look(store, logs=None, **options):
    return diagnose(Study(store), logs=logs or FakeLogs(), now=NOW, **options)


def oom_of(*jobs, **others):
    return FakeLogs(
        {LogRequest(n): OOM for n in jobs} | {LogRequest(int(k[1:])): v for k, v in others.items()}
    )


def failed(*jobs):
    return {f"j{n}": "FAILED" for n in jobs}


def text(diagnosis, width=100):
    return "\n".join(map(plain, diagnosis_lines(diagnosis, width=width)))


def recorded(store):
    return written_events(store, "diagnosis")


def code(refusal):
    return refusal.value.exit_code


class TestSelection:
    @pytest.fixture
    def mixed(self, store):
        """Job 1 failed of something odd, 9 to 11 ran out of memory."""
        seen(store, **failed(1, 9, 10, 11))
        return store

    @pytest.mark.slow
    def test_it_shows_the_causes_that_affect_a_selected_condition_with_all_their_jobs(self, mixed):
        diagnosis = look(mixed, oom_of(9, 10, 11, j1=ODD), selections=("c10",))
        (cause,) = diagnosis.causes
        assert (cause.category, cause.job_ids, diagnosis.hidden_count) == ("cuda_oom", [9, 10, 11], 1)
        told = text(diagnosis)
        assert "1 of 2 root causes shown" in told
        assert "not recorded, allows no fix: only the causes of c10" in told
        assert diagnosis.next_step == "fmon diagnose"
        given = as_json(diagnosis)
        assert (given["is_preliminary"], given["preliminary_reason"]) == (True, "selection")
        assert (given["selection"], given["hidden_cause_count"]) == (["c10"], 1)

    @pytest.mark.slow
    def test_it_is_not_recorded_so_that_no_fix_rests_on_it(self, mixed):
        look(mixed, oom_of(9, 10, 11, j1=ODD), selections=("model=dynunet",))
        assert recorded(mixed) == []
        con = connect(mixed.path.parent, mixed.experiment_id, now=NOW)
        with pytest.raises(RuleError, match="cycle 0 has no diagnosis") as refusal:
            require_full_diagnosis(con, read_events(mixed))
        assert code(refusal) == 22
        look(mixed)
        require_full_diagnosis(con, read_events(mixed))

    @pytest.mark.slow
    def test_a_full_one_before_it_stays_in_force(self, mixed):
        look(mixed, oom_of(9, 10, 11, j1=ODD))
        look(mixed, selections=("c1",))
        require_full_diagnosis(connect(mixed.path.parent, mixed.experiment_id, now=NOW), read_events(mixed))

    @pytest.mark.slow
    def test_f1_is_about_the_entire_experiment(self, store):
        seen(store, j3="RUNNING", **failed(9))
        with pytest.raises(RuleError) as refusal:
            look(store, oom_of(9), selections=("c9",))
        assert code(refusal) == 21
        told = text(look(store, oom_of(9), selections=("c9",), is_partial=True))
        assert "only the causes of c9; 1 job still open: c3 (job 3)" in told

    @pytest.mark.slow
    def test_a_cause_and_a_state_are_selections(self, mixed):
        logs = oom_of(9, 10, 11, j1=ODD)
        (cause,) = look(mixed, logs, selections=("model=sam3", "state=failed")).causes
        (same,) = look(mixed, selections=(f"cause={cause.root_cause_id}",)).causes
        assert same.root_cause_id == cause.root_cause_id
        with pytest.raises(ConfigError, match="has no root cause 'cuda'"):
            look(mixed, selections=("cause=cuda",))

    @pytest.mark.slow
    def test_what_no_failure_affects_is_said(self, mixed):
        diagnosis = look(mixed, oom_of(9, 10, 11, j1=ODD), selections=("c16",))
        assert diagnosis.headline == "no failure affects the selection: c16"


class TestRules:
    def test_refuses_while_jobs_are_open_and_names_them(self, store):
        seen(store, j3="RUNNING", **failed(9))
        before = sorted(store.path.rglob("*"))
        with pytest.raises(RuleError, match=r"1 job is still open: c3 \(job 3, RUNNING\)") as refusal:
            look(store)
        assert code(refusal) == 21
        assert sorted(store.path.rglob("*")) == before

    def test_a_lost_job_is_open(self, store):
        seen(store)
        poll(store, 21, [job(n, "SUCCEEDED") for n in range(1, 16)])
        poll(store, 30, [job(n, "RUNNING" if n == 1 else "SUCCEEDED") for n in range(1, 3)])
        with pytest.raises(RuleError) as refusal:
            look(store)
        assert code(refusal) == 21

    @pytest.mark.slow
    def test_partial_looks_all_the_same_and_says_that_it_opens_no_fix(self, store):
        seen(store, j3="RUNNING", **failed(9))
        diagnosis = look(store, oom_of(9), is_partial=True)
        assert (diagnosis.preliminary_reason, diagnosis.next_step) == ("partial", "fmon watch")
        assert "preliminary, allows no fix: 1 job still open: c3 (job 3)" in text(diagnosis)
        assert [event["is_preliminary"] for event in recorded(store)] == [True]

    @pytest.mark.slow
    def test_partial_with_no_job_open_is_a_full_one(self, store):
        seen(store, **failed(9))
        assert look(store, oom_of(9), is_partial=True).preliminary_reason is None
        assert [event["is_preliminary"] for event in recorded(store)] == [False]

    @pytest.mark.slow
    def test_a_firing_of_this_cycle_lifts_the_wait(self, store):
        seen(store, j3="RUNNING", **failed(9))
        append_event(store, FIRING)
        assert look(store, oom_of(9)).preliminary_reason == "kill_switch"

    def test_a_firing_of_an_earlier_cycle_does_not(self, store):
        manifest = read_manifest(store)
        relaunched(manifest.jobs[2], 17)
        manifest.current_cycle = 1
        write_manifest(store, manifest)
        seen(store, **failed(3))
        append_event(store, FIRING)
        with pytest.raises(RuleError, match="c3") as refusal:
            look(store)
        assert code(refusal) == 21

    @pytest.mark.slow
    def test_what_was_left_unexamined_is_refused_and_only_partial_shows_it(self, store):
        seen(store, **failed(9, 10))
        with pytest.raises(RuleError, match="2 failed attempts have no root cause") as refusal:
            look(store, oom_of(9, 10), examine_s=0)
        assert code(refusal) == 22
        assert recorded(store) == []
        diagnosis = look(store, oom_of(9, 10), is_partial=True, examine_s=0)
        assert [cause.root_cause_id for cause in diagnosis.causes] == ["unknown/unexamined"]
        assert diagnosis.preliminary_reason == "partial"


class TestCauses:
    @pytest.mark.slow
    def test_examines_first_what_nobody_has_examined(self, store):
        seen(store, **failed(9, 10))
        logs = oom_of(9, 10)
        diagnosis = look(store, logs)
        assert {ask.job_id for ask in logs.asked} == {9, 10}
        assert [(c.root_cause_id, c.job_ids) for c in diagnosis.causes] == [("cuda_oom/torch", [9, 10])]
        assert diagnosis.examined.sentence() == "2 failures examined: 2 cuda_oom"

    @pytest.mark.slow
    def test_the_first_line_names_the_levels_and_the_counter_evidence(self, store):
        seen(store, **failed(*range(9, 17)))
        diagnosis = look(store, oom_of(*range(9, 17)))
        assert diagnosis.headline == "all 8 cuda_oom failures have model=sam3, 0 of 8 elsewhere"
        assert text(diagnosis).split("\n")[0] == diagnosis.headline
        assert (
            "specific to model: all 8 failures are model=sam3 (8 of 8 there, 0 of 8 elsewhere)"
            in " ".join(text(diagnosis).split())
        )

    @pytest.mark.slow
    def test_failures_elsewhere_are_counted(self, store):
        seen(store, **failed(1, *range(9, 17)))
        diagnosis = look(store, oom_of(1, *range(9, 17)))
        assert diagnosis.headline == "8 of 9 cuda_oom failures have model=sam3, 1 of 8 elsewhere"

    @pytest.mark.slow
    def test_what_struck_everything_is_universal(self, store):
        seen(store, **failed(*range(1, 17)))
        diagnosis = look(store, oom_of(*range(1, 17)))
        assert diagnosis.headline == "all 16 conditions that have ended failed with cuda_oom"
        assert "universal: all 16 conditions" in text(diagnosis)

    @pytest.mark.slow
    def test_without_a_suspect_it_says_so(self, store):
        seen(store, **failed(1, 10))
        diagnosis = look(store, oom_of(1, 10))
        assert diagnosis.headline == (
            "2 failures of 1 root cause (cuda_oom); no level or pair of levels explains it"
        )

    @pytest.mark.slow
    def test_unknowns_stay_apart_by_their_error_and_none_is_dropped(self, store):
        seen(store, **failed(1, 2, 10))
        logs = FakeLogs({LogRequest(1): ODD, LogRequest(2): ODD, LogRequest(10): "Grumpf lost its hat\n"})
        causes = look(store, logs).causes
        assert sum(cause.failed_count for cause in causes) == 3
        assert {cause.category for cause in causes} == {"unknown"}
        assert len({cause.root_cause_id for cause in causes}) == len(causes)

    @pytest.mark.slow
    def test_a_log_that_cannot_be_had_is_told(self, store):
        seen(store, **failed(9))
        down = QueueError("no server", error_type="HTTP503")
        diagnosis = look(store, FakeLogs({LogRequest(9): down, LogRequest(9, is_controller=True): down}))
        assert "no log of 1 job: judged by the queue record alone" in text(diagnosis)

    @pytest.mark.slow
    def test_never_launched_conditions_are_named(self, store):
        manifest = read_manifest(store)
        manifest.jobs[4].job_id = None
        write_manifest(store, manifest)
        seen(store, **failed(9))
        diagnosis = look(store, oom_of(9))
        assert diagnosis.missing == ["c5"]
        assert "never launched: c5" in text(diagnosis)

    @pytest.mark.slow
    def test_without_a_failure_it_names_the_report_as_the_next_step(self, store):
        seen(store, j3="CANCELLED")
        diagnosis = look(store)
        assert diagnosis.headline == "nothing has failed: 15 of 16 succeeded"
        assert text(diagnosis).endswith("next: fmon report")
        assert "1 cancelled" in text(diagnosis)

    @pytest.mark.slow
    def test_hostile_text_of_a_log_does_not_steer_the_terminal(self, store):
        seen(store, **failed(9))
        diagnosis = look(
            store, FakeLogs({LogRequest(9): "ValueError: \u202eevil\x9b2J \x1b]0;owned\x07 [bold]\n"})
        )
        assert "ValueError: evil" in text(diagnosis)
        assert all(character.isprintable() or character == "\n" for character in text(diagnosis))


class TestTransient:
    LOST = "slurmstepd: error: *** JOB 17 ON n1 CANCELLED AT 2026-03-22T05:10:00 DUE TO PREEMPTION ***\n"
    DNS = "socket.gaierror: [Errno -2] Name or service not known\n"

    @pytest.mark.slow
    def test_an_auto_remedy_without_evidence_says_that_it_is_missing(self, store):
        seen(store, **failed(9))
        diagnosis = look(store, FakeLogs({LogRequest(9): self.DNS}))
        assert diagnosis.causes[0].remedy == "auto"
        assert not diagnosis.causes[0].is_transient
        assert "not shown to be transient: SkyPilot recorded no preemption" in text(diagnosis)

    @pytest.mark.slow
    def test_a_preemption_that_skypilot_recorded_is_evidence(self, store):
        others = [job(n, "SUCCEEDED") for n in range(1, 17) if n != 9]
        told = "Recovering: Cluster preempted or failed, recovering"
        poll(store, 10, [*others, job(9, "RECOVERING", recovery_count=0, details=told)])
        poll(store, 20, [*others, job(9, "FAILED", recovery_count=1)])
        mark_pending(store)
        diagnosis = look(store, FakeLogs({LogRequest(9): self.LOST}))
        assert diagnosis.causes[0].category == "node_lost"
        assert diagnosis.causes[0].is_transient
        assert "transient: SkyPilot recorded a preemption for 1 of the 1" in text(diagnosis)

    @pytest.mark.slow
    def test_recoveries_are_no_evidence_for_an_error_of_the_program(self, store):
        poll(store, 20, [job(n, "SUCCEEDED") for n in range(1, 9)] + [job(9, "FAILED", recovery_count=3)])
        poll(store, 21, [job(n, "SUCCEEDED") for n in range(1, 17) if n != 9] + [job(9, "FAILED")])
        mark_pending(store)
        diagnosis = look(store, oom_of(9))
        assert not diagnosis.causes[0].is_transient
        assert "transient" not in text(diagnosis)


class TestEvent:
    @pytest.mark.slow
    def test_names_every_failure_and_says_the_cycle(self, store):
        seen(store, **failed(9, 10, 1))
        look(store, oom_of(9, 10, j1=ODD))
        (event,) = recorded(store)
        assert (event["cycle"], event["is_preliminary"], event["failed_count"]) == (0, False, 3)
        assert sorted(n for cause in event["causes"] for n in cause["job_ids"]) == [1, 9, 10]
        assert event["causes"][0] == {
            "root_cause_id": "cuda_oom/torch",
            "category": "cuda_oom",
            "remedy": "config",
            "confidence": event["causes"][0]["confidence"],
            "job_ids": [9, 10],
            "condition_ids": ["c9", "c10"],
        }

    @pytest.mark.slow
    def test_looking_again_adds_nothing(self, store):
        seen(store, **failed(9))
        first = as_json(look(store, oom_of(9)))
        assert as_json(look(store)) == first
        assert len(recorded(store)) == 1

    @pytest.mark.slow
    def test_a_full_one_behind_a_preliminary_one_is_recorded(self, store):
        seen(store, j3="RUNNING", **failed(9))
        look(store, oom_of(9), is_partial=True)
        seen(store, 30, **failed(9))
        look(store)
        assert [event["is_preliminary"] for event in recorded(store)] == [True, False]

    @pytest.mark.slow
    def test_of_a_replay_it_is_a_dry_run(self, tmp_path):
        store = study(tmp_path / "data", FACTORS, is_replay=True)
        seen(store, **failed(9))
        look(store, oom_of(9))
        assert recorded(store)[0]["dry_run"] is True


class TestDemo:
    @pytest.fixture
    def data(self, demo, tmp_path):
        return shutil.copytree(demo, tmp_path / "demo")

    @pytest.mark.slow
    def test_the_diagnosis_of_the_demo_is_golden(self, data):
        diagnosis = diagnose(open_study(data), logs=None, now=NOW)
        golden.check("demo.diagnosis.txt", text(diagnosis, 110) + "\n")

    @pytest.mark.slow
    def test_the_command_prints_one_object_with_the_keys_of_the_contract(self, data):
        done = subprocess.run(
            [FMON, "diagnose", "-o", "json", "--data", data], capture_output=True, text=True, check=True
        )
        told = json.loads(done.stdout)
        assert told["experiment_id"] == find(data).experiment_id
        assert [cause["root_cause_id"].split("/")[0] for cause in told["causes"]] == [
            "cuda_oom",
            "import_error",
            "data_missing",
        ]
        assert {
            "root_cause_id",
            "description",
            "affected_jobs",
            "fix_strategy",
            "affected_files",
            "confidence",
        } <= told["causes"][0].keys()
        assert told["causes"][0]["affected_jobs"] == [6, 13, 19]

    @pytest.mark.slow
    def test_the_command_refuses_with_21_and_one_sentence(self, tmp_path):
        recording = tmp_path / "half"
        shutil.copytree(ROOT / "data/demo", recording)
        polls = (recording / "queue.jsonl").read_text().splitlines(keepends=True)
        (recording / "queue.jsonl").write_text("".join(polls[:40]))
        replay(recording, tmp_path / "data")
        done = subprocess.run(
            [FMON, "diagnose", "--data", tmp_path / "data"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (21, "")
        assert done.stderr.startswith("fmon: F1: ")
        assert done.stderr.count("\n") == 1
