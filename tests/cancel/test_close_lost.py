"""A person closes what the queue has lost, and from then on it counts as ended."""

from datetime import timedelta

import pytest

from fmon.cancel.close_lost import close_lost, lost
from fmon.clock import Clock
from fmon.diagnose.diagnose import diagnose
from fmon.errors import ConfigError, QueueError, RuleError
from fmon.fix.steps import verify
from fmon.launch.adopt import adopt
from fmon.launch.arguments import LaunchDependencies
from fmon.manifest.file import read_manifest, write_manifest
from fmon.monitor.poll import poll
from fmon.monitor.status import QUERIES, exit_status, status
from fmon.relaunch.relaunch import RelaunchOptions, relaunch
from fmon.store.folder import stores
from fmon.study import open_study
from fmon.terminal.status import status_lines
from fmon.text import clock
from fmon.warehouse import connect
from tests.support.events import written_events
from tests.support.queries import select
from tests.support.queues import NAMES, RUNNING, START, FakeQueue, ended, job
from tests.support.world import write_config

pytestmark = pytest.mark.slow

NOW = START + timedelta(minutes=5)
REST = [ended(record) for record in RUNNING[1:]]


@pytest.fixture
def data(tmp_path):
    """An experiment three of whose jobs have succeeded; the queue has lost the first one."""
    queue = FakeQueue(RUNNING, REST)
    adopt(write_config(tmp_path / "config"), queue, tmp_path / "data", now=START)
    poll(tmp_path / "data", queue, now=START)
    return tmp_path / "data"


def close(data, *names, reason="the node is gone"):
    return close_lost(open_study(data), names or NAMES[:1], by="anna", reason=reason, now=NOW)


def seen(data):
    return status(connect(data, queries=QUERIES, now=NOW))


def test_before_it_is_closed_a_lost_job_is_open_and_alarms(data):
    before = seen(data)
    assert (before.open_count, exit_status(before)) == (1, 3)
    assert [alarm.kind for alarm in before.alarms] == ["lost"]


def test_without_yes_it_is_only_shown(data):
    found = lost(open_study(data), NAMES[:1], now=NOW)
    assert [(row.condition_id, row.job_id, row.status) for row in found.rows] == [(NAMES[0], 1, "RUNNING")]
    assert "would be closed; nothing was changed" in found.sentences()[0]
    assert "lost_job_closed" not in [event["event"] for event in written_events(stores(data)[0])]


@pytest.mark.slow
def test_closed_it_is_recorded_terminal_relaunchable_and_alarms_no_more(data):
    assert close(data).sentences()[0].endswith("1 lost job closed and can be relaunched")
    (event,) = written_events(stores(data)[0], "lost_job_closed")
    assert (event["condition_id"], event["job_id"]) == (NAMES[0], 1)
    assert (event["by"], event["reason"]) == ("anna", "the node is gone")
    after = seen(data)
    assert (after.open_count, after.counts["lost"], exit_status(after)) == (0, 1, 4)
    assert after.alarms == []
    assert select(data, "select state, is_terminal from condition where job_id = 1") == [
        {"state": "lost", "is_terminal": True}
    ]
    assert select(data, "select condition_id, reason from relaunch_candidate") == [
        {"condition_id": NAMES[0], "reason": "lost"}
    ]


@pytest.fixture
def table(data):
    def lines():
        return "\n".join(
            "".join(each.text for each in line)
            for line in status_lines(seen(data), width=None, max_rows=9, max_alarms=9)
        )

    return lines


@pytest.mark.slow
def test_the_status_says_who_closed_it_and_when(data, table):
    assert "lost, was RUNNING" in table()
    assert "closed by" not in table()
    close(data)
    assert f"lost, was RUNNING, closed by anna {clock(NOW)}" in table()
    row = seen(data).rows[0]
    assert (row.closed_by, row.closed_reason, row.closed_at) == ("anna", "the node is gone", NOW)
    assert {other.closed_by for other in seen(data).rows[1:]} == {None}


@pytest.mark.slow
def test_f1_holds_diagnosis_fix_and_relaunch_until_it_is_closed_and_no_longer(data):
    queue, never = FakeQueue(REST), lambda *_: pytest.fail("nothing may be launched")
    steps = {
        "diagnose": lambda: diagnose(open_study(data), logs=None, now=NOW),
        "fix verify": lambda: verify(open_study(data), now=NOW, run=never, ask=lambda _: "sha256:1"),
        "relaunch": lambda: relaunch(
            open_study(data),
            LaunchDependencies(
                catalog=lambda names: {},
                open_submitter=never,
                queue=queue,
                digest_of=lambda _: "sha256:1",
                environ={},
                folder=data,
                clock=Clock(now=lambda: NOW),
            ),
            agree=lambda plan: False,
            options=RelaunchOptions(by="anna"),
            run=never,
        ),
    }
    for step in steps.values():
        with pytest.raises(RuleError) as refusal:
            step()
        assert refusal.value.exit_code == 21
    close(data)
    manifest = read_manifest(stores(data)[0])
    manifest.docker_digest = "sha256:1"
    write_manifest(stores(data)[0], manifest)
    steps["diagnose"]()
    assert steps["fix verify"]().broken == []
    assert steps["relaunch"]().plan.condition_ids == [NAMES[0]]


def test_the_next_poll_closes_the_experiment(data):
    poll(data, FakeQueue(REST), now=NOW)
    assert not stores(data)[0].is_closed
    close(data)
    poll(data, FakeQueue(REST), now=NOW)
    assert stores(data)[0].is_closed


def test_one_that_comes_back_is_open_again(data):
    close(data)
    poll(data, FakeQueue([RUNNING[0], *REST]), now=NOW)
    assert seen(data).open_count == 1
    assert not stores(data)[0].is_closed


def test_only_lost_conditions_can_be_closed_and_then_none_is(data):
    with pytest.raises(ConfigError) as fault:
        close(data, NAMES[0], NAMES[1])
    assert f"these are not: {NAMES[1]} (SUCCEEDED)" in str(fault.value)
    assert "lost_job_closed" not in [event["event"] for event in written_events(stores(data)[0])]


def test_closing_again_is_refused_and_says_that_it_is_closed(data):
    close(data)
    with pytest.raises(ConfigError, match="lost, already closed"):
        close(data)


def test_one_that_comes_back_and_is_lost_again_must_be_closed_again(data):
    close(data)
    poll(data, FakeQueue([RUNNING[0], *REST]), now=NOW)
    back = FakeQueue([RUNNING[0], *REST], REST, minutes=6)
    poll(data, back, now=NOW)
    assert [alarm.kind for alarm in seen(data).alarms] == ["reopened"]
    poll(data, back, now=NOW)
    again = seen(data)
    assert (again.open_count, [alarm.kind for alarm in again.alarms]) == (1, ["lost"])
    assert again.rows[0].closed_by is None
    assert select(data, "select condition_id from relaunch_candidate") == []
    assert not stores(data)[0].is_closed
    close(data, reason="this time too")  # by a clock that is behind that of the queue
    assert (seen(data).open_count, seen(data).rows[0].closed_reason) == (0, "this time too")
    assert len(seen(data).rows) == len(NAMES)


@pytest.fixture
def emptied(tmp_path):
    """All jobs left the queue in one poll, which shows no job at all."""
    adopt(write_config(tmp_path / "config"), FakeQueue(RUNNING), tmp_path / "data", now=START)
    poll(tmp_path / "data", FakeQueue([]), now=START)
    return tmp_path / "data"


def closed(data, *selections):
    done = close_lost(open_study(data), selections, by="anna", reason="checked", now=NOW)
    return [row.condition_id for row in done.rows]


def test_without_a_selection_all_are_closed_and_then_there_is_nothing_to_close(emptied):
    poll(emptied, FakeQueue([job(77, "somebody-elses")]), now=NOW)
    assert closed(emptied, NAMES[0]) == NAMES[:1]
    assert closed(emptied, "model=dynunet") == NAMES[1:2]
    assert closed(emptied) == NAMES[2:]
    nothing = lost(open_study(emptied), (), now=NOW)
    assert nothing.sentences()[0].endswith("nothing to close: no lost job is selected")


@pytest.mark.parametrize("selections", [(), ("state=lost",), ("model=sam3",), (NAMES[0], "model=sam3")])
def test_while_the_queue_is_empty_only_conditions_named_one_by_one_are_closed(emptied, selections):
    down = FakeQueue(QueueError("down", error_type="X"))
    for polls in ([], [FakeQueue([])], [down]):
        for queue in polls:
            poll(emptied, queue, now=NOW)
        with pytest.raises(ConfigError, match="the queue lists no jobs at all"):
            closed(emptied, *selections)
    assert written_events(stores(emptied)[0], "lost_job_closed") == []
    assert closed(emptied, NAMES[0], NAMES[3]) == [NAMES[0], NAMES[3]]
    poll(emptied, FakeQueue([RUNNING[1]]), now=NOW)
    assert closed(emptied) == NAMES[2:3]


def test_with_only_lost_jobs_left_the_sentence_says_what_to_do(emptied):
    assert seen(emptied).has_only_lost
    assert "which is empty: SkyPilot's jobs controller may be stopped" in seen(emptied).lost_sentence
    poll(emptied, FakeQueue([job(77, "somebody-elses")]), now=NOW)
    assert "Check whether they still run, then close them: fmon cancel --lost" in seen(emptied).lost_sentence
    poll(emptied, FakeQueue(QueueError("down", error_type="X")), now=NOW)
    assert not seen(emptied).has_only_lost


def test_a_secret_in_the_reason_is_not_stored(data):
    close(data, reason="ssh with AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY1 said so")
    assert "wJalrXUtnFEMI" not in stores(data)[0].events.read_text()


def test_a_job_of_two_tasks_is_lost_where_one_is(tmp_path):
    both = [job(1, NAMES[0], start_at=START.timestamp()), {**job(1, NAMES[0], "PENDING"), "task_id": 1}]
    first = {**both[0], "status": "FAILED", "end_at": START.timestamp() + 60}
    queue = FakeQueue([*both, *RUNNING[1:]], [first, *REST])
    adopt(write_config(tmp_path / "config"), queue, tmp_path / "data", now=START)
    poll(tmp_path / "data", queue, now=START)
    close(tmp_path / "data")
    assert select(tmp_path / "data", "select state, is_terminal from condition where job_id = 1") == [
        {"state": "failed", "is_terminal": True}
    ]
