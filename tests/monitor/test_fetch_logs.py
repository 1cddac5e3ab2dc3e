"""Logs that can't be had: every failure gets a cause all the same, within the budget of each poll."""

import contextlib
import shutil
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest

from fmon.diagnose.diagnose import diagnose
from fmon.errors import QueueError
from fmon.launch.adopt import adopt
from fmon.manifest.file import read_manifest
from fmon.model import Pattern
from fmon.monitor.classify import examine
from fmon.monitor.fetch_logs import Budget, budget_of
from fmon.sky.logs import NoLogs, RecordedLogs
from fmon.sky.reader import LogMissingError, LogRequest, LogsDownError
from fmon.store import unexamined
from fmon.store.durable import lock
from fmon.store.findings import read_findings
from fmon.store.folder import Store, stores
from fmon.study import open_study
from tests.support.backlogs import Backlog
from tests.support.death import Death, Killed
from tests.support.queues import NAMES, START, FakeLogs, FakeQueue, job
from tests.support.world import write_config

REFUSED = QueueError("no permission", error_type="HTTP403")
GONE = LogMissingError("SkyPilot does not know the job")
DOWN = LogsDownError("no server", error_type="ApiServerConnectionError")
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB.\n"
FAILED = [
    job(number, name, "FAILED", end_at=START.timestamp() + 600) for number, name in enumerate(NAMES, start=1)
]


class Refusing(FakeLogs):
    """Answers each with the same refusal; after ``until`` answers the caller is dead, or time is up."""

    def __init__(self, fault=REFUSED, *, until=None, dies=False):
        super().__init__()
        self.fault, self.until, self.dies = fault, until, dies

    def read(self, asks, *, timeout_s):
        for ask in asks:
            if len(self.asked) == self.until:
                if self.dies:
                    raise Killed
                return
            self.asked.append(ask)
            yield ask, self.fault

    @property
    def jobs(self):
        """The jobs in the order in which they were first asked for."""
        return list(dict.fromkeys(ask.job_id for ask in self.asked))


@pytest.fixture
def store(tmp_path):
    """An experiment all four of whose jobs have failed, not examined yet."""
    adopt(write_config(tmp_path / "config"), FakeQueue(FAILED), tmp_path / "data", now=START)
    return stores(tmp_path / "data")[0]


def examined(store, logs, *, minute=0, **options):
    return examine(store, read_manifest(store), logs, now=START + timedelta(minutes=minute), **options)


def told(store, column="ask_count"):
    """Give a column of the findings by job."""
    return {job_id: row[column] for (job_id, _), row in read_findings(store).items()}


def examined_counts(backlog):
    return [len(read_findings(store)) for store in stores(backlog.data)]


class TestManyFailures:
    @pytest.mark.slow
    def test_one_poll_of_a_queue_without_logs_gives_all_of_them_a_cause(self, tmp_path):
        backlog = Backlog(tmp_path, experiment_count=3, failure_count=30)
        polled = backlog.poll(NoLogs("file:q.json"))
        assert examined_counts(backlog) == [30, 30, 30]
        assert [each.left_count for each in polled.examined] == [0, 0, 0]
        assert not any(store.unexamined.exists() for store in stores(backlog.data))

    @pytest.mark.slow
    def test_where_each_log_is_refused_twenty_more_have_a_cause_after_each_poll(self, tmp_path):
        backlog = Backlog(tmp_path, experiment_count=2, failure_count=40)
        logs = Refusing()
        for minute in range(1, 5):
            backlog.poll(logs, minute=minute)
            assert len(logs.jobs) == sum(examined_counts(backlog)) == 20 * minute
            assert set(Counter(logs.asked).values()) == {1}
        assert not any(unexamined.has_new(store) for store in stores(backlog.data))

    @pytest.mark.slow
    def test_new_failures_of_one_experiment_come_before_asking_again_in_another(self, tmp_path):
        backlog = Backlog(tmp_path, experiment_count=2, failure_count=20)
        first, second = stores(backlog.data)
        backlog.poll(Refusing())
        unexamined.mark_pending(second)
        logs = Refusing()
        polled = backlog.poll(logs, minute=60)
        assert [each.experiment_id for each in polled.examined] == [second.experiment_id]
        again = backlog.poll(logs, minute=61)
        assert [each.experiment_id for each in again.examined] == [first.experiment_id]

    @pytest.mark.slow
    def test_each_experiment_has_its_turn_and_those_without_budget_are_not_opened(self, tmp_path):
        backlog = Backlog(tmp_path, experiment_count=3, failure_count=50)
        polls = [backlog.poll(Refusing(), minute=minute) for minute in range(1, 4)]
        opened = [[each.experiment_id[:3] for each in polled.examined] for polled in polls]
        assert opened == [["e00"], ["e01"], ["e02"]]
        assert examined_counts(backlog) == [20, 20, 20]

    @pytest.mark.slow
    def test_what_one_experiment_leaves_of_the_budget_the_next_one_gets(self, tmp_path):
        backlog = Backlog(tmp_path, experiment_count=3, failure_count=8)
        backlog.poll(Refusing())
        assert examined_counts(backlog) == [8, 8, 4]

    @pytest.mark.slow
    def test_a_poll_that_was_killed_has_had_its_turn(self, tmp_path):
        backlog = Backlog(tmp_path, experiment_count=2, failure_count=30)
        with pytest.raises(Killed):
            backlog.poll(Refusing(until=0, dies=True))
        backlog.poll(Refusing(), minute=2)
        assert examined_counts(backlog) == [0, 20]

    @pytest.mark.slow
    @pytest.mark.parametrize("damage", [b"", b"\xff\x00", b"zz"])
    def test_a_damaged_note_of_the_turn_costs_nothing(self, tmp_path, damage):
        backlog = Backlog(tmp_path, experiment_count=2, failure_count=2)
        (backlog.data / ".examine-turn").write_bytes(damage)
        backlog.poll(Refusing())
        assert examined_counts(backlog) == [2, 2]

    @pytest.mark.slow
    def test_an_experiment_that_another_process_examines_takes_nothing_of_the_budget(self, tmp_path):
        backlog = Backlog(tmp_path, experiment_count=2, failure_count=30)
        with lock(stores(backlog.data)[0].path / ".examine.lock", wait_s=0):
            polled = backlog.poll(Refusing())
        assert [each.is_skipped for each in polled.examined] == [True, False]
        assert examined_counts(backlog) == [0, 20]

    @pytest.mark.slow
    @pytest.mark.parametrize("logs", [NoLogs("file:q.json"), Refusing(), Refusing(DOWN)])
    def test_one_diagnosis_settles_all_of_them(self, tmp_path, logs):
        backlog = Backlog(tmp_path, experiment_count=1, failure_count=70)
        backlog.poll(Refusing(DOWN))
        diagnosis = diagnose(open_study(backlog.data), logs=logs, now=START + timedelta(minutes=2))
        assert sum(len(cause.job_ids) for cause in diagnosis.causes) == 70
        assert "unknown/unexamined" not in {cause.root_cause_id for cause in diagnosis.causes}


class TestBudget:
    def test_a_job_and_its_controller_count_as_one(self, store):
        logs = Refusing()
        examined(store, logs, budget=Budget(jobs=1))
        assert logs.asked == [LogRequest(1), LogRequest(1, is_controller=True)]
        assert told(store) == {1: 1}

    @pytest.mark.slow
    def test_who_was_never_asked_for_comes_before_who_was(self, store):
        examined(store, Refusing(), budget=Budget(jobs=2))
        logs = Refusing()
        examined(store, logs, minute=60, budget=Budget(jobs=3))
        assert logs.jobs == [3, 4, 1]

    def test_no_server_has_to_be_asked_no_limit(self, tmp_path):
        for reader in (NoLogs("file:q.json"), RecordedLogs(tmp_path)):
            assert budget_of(reader).jobs > 10**9
        assert budget_of(FakeLogs()).jobs == 20

    def test_time_that_is_up_asks_for_nothing_and_says_nothing(self, store):
        logs = Refusing()
        assert examined(store, logs, budget=Budget(seconds=0)).left_count == 4
        assert (logs.asked, told(store)) == ([], {})


class TestRefusals:
    @pytest.mark.slow
    def test_a_refusal_is_stored_before_the_next_log_is_asked_for(self, store):
        with pytest.raises(Killed):
            examined(store, Refusing(until=1, dies=True))
        assert told(store) == {1: 1}
        assert unexamined.is_due(store, START)
        logs = Refusing()
        examined(store, logs)
        assert logs.jobs == [2, 3, 4]

    @pytest.mark.slow
    def test_that_time_ran_out_before_the_controllers_log_does_not_undo_it(self, store):
        examined(store, Refusing(GONE, until=1), budget=Budget(jobs=1))
        assert told(store) == {1: 1}
        assert told(store, "is_given_up") == {1: False}, "the controller was not asked"
        examined(store, Refusing(GONE), minute=1)
        assert told(store, "is_given_up") == dict.fromkeys(range(1, 5), True)

    def test_a_job_is_counted_once_though_both_logs_were_refused(self, store):
        examined(store, Refusing())
        assert told(store) == dict.fromkeys(range(1, 5), 1)
        assert told(store, "log_error") == dict.fromkeys(range(1, 5), "no permission")

    def test_a_log_that_is_silent_waits_for_the_controllers(self, store):
        class Silent(FakeLogs):
            def read(self, asks, *, timeout_s):
                yield from super().read([ask for ask in asks if not ask.is_controller], timeout_s=timeout_s)

        assert examined(store, Silent()).left_count == 4
        assert told(store) == {}

    @pytest.mark.slow
    def test_other_patterns_do_not_ask_again_for_what_is_not_to_be_had(self, store):
        examined(store, Refusing(GONE))
        manifest = read_manifest(store)
        manifest.patterns = [Pattern(name="own", regex="x", category="config_error", confidence=1.0)]
        logs = Refusing()
        assert sum(examine(store, manifest, logs, now=START, budget=None).categories.values()) == 4
        assert logs.asked == []
        assert told(store, "log_error") == dict.fromkeys(range(1, 5), "SkyPilot does not know the job")
        assert told(store, "is_given_up") == dict.fromkeys(range(1, 5), True)

    @pytest.mark.slow
    def test_death_at_any_system_call_forgets_no_refusal_that_was_stored(self, store, tmp_path):
        for at in count(1):
            copy = Store(tmp_path / f"copy{at}" / store.experiment_id)
            shutil.copytree(store.path, copy.path)
            with pytest.MonkeyPatch.context() as patched, contextlib.suppress(Killed):
                death = Death(patched, at, after=True)
                examined(copy, Refusing())
            stored = set(told(copy))
            assert unexamined.is_due(copy, START + timedelta(minutes=1))
            logs = Refusing()
            examined(copy, logs)
            assert set(logs.jobs) == {1, 2, 3, 4} - stored
            assert told(copy) == dict.fromkeys(range(1, 5), 1), at
            if death.left > 0:
                assert at > 10
                return


class TestServerThatIsDown:
    def test_it_answers_for_all_that_were_wanted_and_only_the_first_is_counted(self, store):
        logs = Refusing(DOWN)
        done = examined(store, logs)
        assert logs.asked == [LogRequest(1)]
        assert told(store) == {1: 1, 2: 0, 3: 0, 4: 0}
        assert done.missing == dict.fromkeys(range(1, 5), "no server")
        assert done.left_count == 0

    def test_no_more_than_the_budget_is_judged_without_logs(self, store):
        assert examined(store, Refusing(DOWN), budget=Budget(jobs=3)).left_count == 1
        assert len(told(store)) == 3

    @pytest.mark.slow
    def test_when_it_is_back_who_was_not_asked_for_comes_first_and_findings_get_better(self, store):
        examined(store, Refusing(DOWN))
        logs = FakeLogs({LogRequest(number): OOM for number in range(1, 5)})
        assert examined(store, logs).categories == {}, "a minute must pass"
        examined(store, logs, minute=1)
        assert logs.asked == [LogRequest(2), LogRequest(3), LogRequest(4), LogRequest(1)]
        assert told(store, "category") == dict.fromkeys(range(1, 5), "cuda_oom")
        assert not store.unexamined.exists()
