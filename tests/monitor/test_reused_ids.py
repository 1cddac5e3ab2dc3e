"""SkyPilot gives ids out again after its jobs controller is torn down: everything stays with its own job."""

from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from fmon.cancel.close_lost import close_lost
from fmon.errors import ConfigError, QueueError
from fmon.job_key import job_key
from fmon.launch.adopt import adopt
from fmon.manifest.file import read_manifest
from fmon.monitor.poll import poll
from fmon.monitor.show_log import logs
from fmon.report.report import report
from fmon.sky.reader import LogRequest
from fmon.store.folder import stores
from fmon.study import open_study
from tests.support.bursts import burst
from tests.support.cancelling import Adopted, CancelRequest
from tests.support.queries import select
from tests.support.queues import NAMES, RUNNING, START, FakeLogs, FakeQueue, ended, job
from tests.support.world import write_config

pytestmark = pytest.mark.slow

DAY = 24 * 60
FAILED = [ended(RUNNING[0], "FAILED"), RUNNING[1], ended(RUNNING[2]), RUNNING[3]]
NEXT_DAY = [job(number, name, minutes=DAY) for number, name in enumerate(NAMES[:2], start=1)]
OOM = "torch.OutOfMemoryError: CUDA out of memory\n"


@pytest.fixture
def data(config, tmp_path):
    """Job 1 failed and its log is stored; then the ids 1 and 2 were given out again."""
    texts = FakeLogs({LogRequest(1): OOM, LogRequest(1, is_controller=True): "up\n"})
    follow(config, tmp_path / "data", RUNNING, FAILED, [], NEXT_DAY, logs=texts)
    return tmp_path / "data"


def follow(config, data, first, *rest, logs=None):
    """Adopt the jobs of the first poll, and let the others follow."""
    queue = FakeQueue(first, *rest, minutes=30)
    adopt(config, queue, data, now=START)
    for _ in rest:
        poll(data, queue, now=START + queue.step * queue.read_count, logs=logs)
    return queue


def jobs(data):
    rows = select(data, "select job_key, role, status from job order by job_key")
    return [(row["job_key"], row["role"], row["status"]) for row in rows]


def test_logs_of_an_id_that_two_jobs_had_need_the_time_of_submission(data):
    with pytest.raises(ConfigError) as refused:
        logs(data, None, "1", FakeLogs())
    assert str(refused.value) == (
        f"1 is not one job of {stores(data)[0].experiment_id}: SkyPilot reused the id; name one of "
        f"1@2026-03-22T05:00:00Z ({NAMES[0]}), 1@2026-03-23T05:00:00Z ({NAMES[0]})"
    )
    assert logs(data, None, "1@2026-03-22", FakeLogs()).text == OOM
    newer = FakeLogs({LogRequest.of(job_key(1, 1)): "epoch 1\n"})
    assert "".join(logs(data, None, "1@2026-03-23T05", newer).pieces()) == "epoch 1\n"


def test_the_log_of_a_job_whose_id_another_one_has_is_not_asked_for(data):
    live = FakeLogs()
    with pytest.raises(QueueError, match="SkyPilot has reused its id"):
        logs(data, None, NAMES[1], live)
    assert live.asked == []


def test_the_cost_of_an_id_that_was_given_out_twice_is_not_asked_for(data, tmp_path):
    end = [ended(record, minutes=DAY + 30) for record in NEXT_DAY]
    poll(data, FakeQueue(end, start=START + timedelta(days=1, hours=1)), now=START + timedelta(days=1))
    asked = []

    def ask(jobs, days):
        asked.extend(jobs)
        return {}

    report(open_study(data, None), tmp_path / "reports", ask=ask, now=START + timedelta(days=2))
    assert asked == [3]


def test_closing_a_lost_job_leaves_the_job_that_has_its_id_now_open(data):
    study = open_study(data, None)
    close_lost(study, NAMES[1:2], by="anna", reason="looked", now=START + timedelta(days=1))
    assert [row["job_key"] for row in select(data, "select job_key from lost_job_closure")] == [2]
    found = select(data, "select job_key, is_terminal from job where job_id = 2 order by job_key")
    assert [row["is_terminal"] for row in found][1] is False
    (condition,) = select(data, f"select is_terminal from condition where condition_id = '{NAMES[1]}'")
    assert condition["is_terminal"]


def test_a_cancel_leaves_the_job_that_has_the_id_now_alone(tmp_path):
    world = Adopted(tmp_path, burst())
    taken = world.record("sam3-3")
    taken |= {"job_name": "someone-else", "submitted_at": world.server.clock().timestamp(), "start_at": None}
    done = world.cancel(CancelRequest(selections=("model=sam3",), by="anna"))
    assert taken["job_id"] not in world.submitter.cancelled
    assert [target.job_id for target in done.targets] == world.submitter.cancelled != []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(
            [job(1, "a", "FAILED", start_at=START.timestamp() + 1, end_at=START.timestamp() + 20)],
            [job(1, "a", minutes=0.5)],
            [(1, "attempt", "FAILED"), (job_key(1, 1), "duplicate", "RUNNING")],
            id="same-name-within-seconds",
        ),
        pytest.param(
            [job(1, "a"), job(2, "b")],
            [job(1, "b", minutes=DAY), job(2, "a", minutes=DAY)],
            [
                (1, "attempt", "RUNNING"),
                (2, "attempt", "RUNNING"),
                (job_key(1, 1), "duplicate", "RUNNING"),
                (job_key(2, 1), "duplicate", "RUNNING"),
            ],
            id="names-exchanged",
        ),
        pytest.param(
            [job(1, "a")],
            [job(1, "a", "PENDING") | {"submitted_at": None}],
            [(1, "attempt", "RUNNING"), (job_key(1, 1), "duplicate", "PENDING")],
            id="pending-without-a-time",
        ),
        pytest.param(
            [job(1, "a"), job(2, "b")],
            [job(1, "someone-else", minutes=DAY), job(2, "b")],
            [(1, "attempt", "RUNNING"), (2, "attempt", "RUNNING")],
            id="by-someone-else",
        ),
        pytest.param(
            [job(1, "a")],
            [job(1, "b", minutes=DAY)],
            [(1, "attempt", "RUNNING"), (job_key(1, 1), "attempt", "RUNNING")],
            id="by-a-condition-without-a-job",
        ),
    ],
)
@pytest.mark.parametrize("between", [[], [[]]], ids=["at-once", "after-an-empty-queue"])
def test_an_id_that_is_given_out_again(tmp_path, first, second, expected, between):
    config = write_config(tmp_path, CONFIG_OF_TWO)
    follow(config, tmp_path / "data", first, *between, second, second)
    assert jobs(tmp_path / "data") == expected


CONFIG_OF_TWO = """\
experiment_name: two
skypilot_yaml: train.yaml
factors: {m: [a, b]}
job_name: "{m}"
"""


def test_an_id_that_is_given_out_twice(tmp_path):
    config = write_config(tmp_path, CONFIG_OF_TWO)
    texts = FakeLogs()
    polls = []
    for number in range(3):
        runs = job(1, "a", minutes=number * DAY)
        polls += [[runs], [ended(runs, "FAILED", minutes=number * DAY + 20)], []]
        texts.texts[LogRequest.of(job_key(1, number))] = f"ValueError: {'xyz'[number]}\n"
    follow(config, tmp_path / "data", *polls, logs=texts)
    found = select(tmp_path / "data", "select job_key, evidence from finding order by job_key")
    assert [(row["job_key"], row["evidence"]) for row in found] == [
        (job_key(1, number), f"ValueError: {'xyz'[number]}") for number in range(3)
    ]


def test_an_id_of_an_experiment_that_another_one_of_the_data_folder_gets(tmp_path, data, config):
    newer = write_config(tmp_path / "newer", CONFIG_OF_TWO)
    polled = [job(1, "a", minutes=2 * DAY)]
    at = START + timedelta(days=2)
    adopt(newer, FakeQueue(polled, start=at), data, now=at)
    poll(data, FakeQueue(polled, start=at + timedelta(minutes=5)), now=at)
    found = select(data, "select experiment_id, job_id from job where is_seen")
    assert [(row["experiment_id"][:3], row["job_id"]) for row in found] == [("two", 1)]


def test_an_id_of_an_experiment_that_has_ended_does_not_reopen_it(config, tmp_path):
    queue = follow(config, tmp_path / "data", RUNNING, [ended(record) for record in RUNNING])
    (store,) = stores(tmp_path / "data")
    assert store.is_closed
    queue.polls.append(NEXT_DAY)
    (seen,) = poll(tmp_path / "data", queue, [store.experiment_id], now=START + timedelta(days=1)).observed
    assert (seen.reopened, store.is_closed) == ([], True)
    assert {key for key, _, _ in jobs(tmp_path / "data")} == {1, 2, 3, 4}


def test_a_store_from_before_job_keys_is_continued(config, tmp_path):
    data = tmp_path / "data"
    texts = FakeLogs({LogRequest(1): OOM, LogRequest(1, is_controller=True): "up\n"})
    queue = follow(config, data, RUNNING, FAILED, logs=texts)
    (store,) = stores(data)
    for path in store.path.rglob("*.parquet"):
        without_keys(path)
    before = {"job_id": 1, "job_key": 1, "category": "cuda_oom"}
    assert select(data, "select job_id, job_key, category from finding") == [before]
    queue.polls += [[], NEXT_DAY]
    for _ in range(2):
        poll(data, queue, now=START + queue.step * queue.read_count, logs=texts)
    assert [key for key, _, _ in jobs(data)] == [1, 2, 3, 4, job_key(1, 1), job_key(2, 1)]
    assert select(data, "select job_id, job_key, category from finding") == [before]
    checked = select(data, "select job_id from variable_check where job_key = job_id order by 1")
    assert [row["job_id"] for row in checked] == [1, 2, 3, 4]
    assert logs(data, None, "1@2026-03-22", FakeLogs()).text == OOM
    assert read_manifest(store).jobs[0].job_key == 1


def without_keys(path):
    """Rewrite a file as an fmon with store schema 1 did."""
    file = pq.ParquetFile(path)
    table = file.read()
    notes = {name: value for name, value in (file.metadata.metadata or {}).items() if name != b"ARROW:schema"}
    if b"fmon_store_schema" in notes:
        notes[b"fmon_store_schema"] = b"1"
    if "job_key" in table.column_names:
        table = table.drop_columns(["job_key"])
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(notes)
