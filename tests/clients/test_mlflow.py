"""MLflow's runs: read by a client that a test stands in for, kept, joined, shown. The real one: tests/e2e."""

import json
import os
import sys
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace

import pytest

from fmon.clients.mlflow import tracked_runs
from fmon.errors import TrackingError
from fmon.launch.job_yaml import job_envs
from fmon.manifest.file import read_manifest
from fmon.model import Condition, Experiment, Limits, Tracking
from fmon.report.report import report
from fmon.store.runs import read_runs, write_runs
from fmon.study import open_study
from tests.support.queries import select
from tests.support.studies import FACTORS, NAME, START, at, job, poll, study

URI = "http://mlflow.example:5000"
SETTINGS = Tracking(tracking_uri=URI, experiment="study", metrics=["dice", "loss"])


def run(number, *, tags=None, metrics=None, minute=1.0):
    """A run as MLflow's client gives it."""
    started = int(at(minute).timestamp() * 1000)
    info = SimpleNamespace(run_id=f"r{number}", status="FINISHED", start_time=started, end_time=started + 1)
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags or {}, metrics=metrics or {}))


def of(condition, cycle=0):
    return {"fmon.experiment": NAME, "fmon.condition": condition, "fmon.cycle": str(cycle)}


class Fault(Exception):  # noqa: N818
    """MLflow's own exception."""


@pytest.fixture
def mlflow(monkeypatch):
    """An mlflow module whose client answers with ``.runs``, two a page, or raises ``.fault``."""
    module, exceptions = ModuleType("mlflow"), ModuleType("mlflow.exceptions")
    module.runs, module.fault, module.asked = [], None, []

    class Page(list):
        token = None

    class MlflowClient:
        def __init__(self, tracking_uri):
            module.asked.append({"uri": tracking_uri, **{name: os.environ.get(name) for name in PATIENCE}})

        def get_experiment_by_name(self, name):
            if module.fault:
                raise module.fault
            return SimpleNamespace(experiment_id="7") if name == "study" else None

        def search_runs(self, experiment_ids, *, filter_string, max_results, order_by, page_token):
            assert experiment_ids == ["7"]
            module.asked.append(filter_string)
            first = int(page_token or 0)
            page = Page(module.runs[first : first + 2])
            page.token = str(first + 2) if module.runs[first + 2 :] else None
            return page

    module.MlflowClient, exceptions.MlflowException = MlflowClient, Fault
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)
    return module


PATIENCE = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")


class TestReading:
    def test_gives_all_pages_of_runs_that_say_whose_they_are(self, mlflow):
        mlflow.runs = [
            run(1, tags=of("c1")),
            run(2),
            run(3, tags={"fmon.job": "3"}),
            run(4, tags=of("c2", 1)),
        ]
        found = tracked_runs(SETTINGS, START)
        assert [row["run_id"] for row in found] == ["r1", "r3", "r4"]
        assert [row["cycle_tag"] for row in found] == [0, None, 1]
        assert mlflow.asked[1:] == [f"attributes.start_time >= {int(START.timestamp() * 1000)}"] * 2

    def test_keeps_the_chosen_metrics_in_their_order_else_all(self, mlflow):
        mlflow.runs = [run(1, tags=of("c1"), metrics={"loss": 2.0, "dice": 0.5, "z": 1.0})]
        assert list(tracked_runs(SETTINGS, START)[0]["metrics"]) == ["dice", "loss"]
        every = Tracking(tracking_uri=URI, experiment="study")
        assert list(tracked_runs(every, START)[0]["metrics"]) == ["dice", "loss", "z"]

    def test_reads_the_tags_that_the_config_names(self, mlflow):
        mlflow.runs = [run(1, tags={"cell": "c1", "task": "sky-managed-x_c1_4-0"})]
        own = Tracking(tracking_uri=URI, experiment="study", condition_tag="cell", job_tag="task")
        (row,) = tracked_runs(own, START)
        assert (row["condition_tag"], row["job_tag"]) == ("c1", "sky-managed-x_c1_4-0")

    def test_links_to_the_run_without_the_login_of_the_environment(self, mlflow, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@mlflow.example/base/")
        mlflow.runs = [run(1, tags=of("c1"))]
        (row,) = tracked_runs(Tracking(experiment="study"), START)
        assert row["url"] == "https://mlflow.example/base/#/experiments/7/runs/r1"
        assert mlflow.asked[0]["uri"] == "https://ada:secret@mlflow.example/base/"

    def test_a_store_without_pages_has_no_links(self, mlflow):
        mlflow.runs = [run(1, tags=of("c1"))]
        assert (
            tracked_runs(Tracking(tracking_uri="sqlite:///x.db", experiment="study"), START)[0]["url"] is None
        )

    @pytest.mark.parametrize("cycle", ["", "-1", "one", "²", "9" * 30])
    def test_a_cycle_that_is_none_is_unknown(self, mlflow, cycle):
        mlflow.runs = [run(1, tags={**of("c1"), "fmon.cycle": cycle})]
        assert tracked_runs(SETTINGS, START)[0]["cycle_tag"] is None

    def test_gives_up_soon_and_leaves_the_environment_as_it_was(self, mlflow, monkeypatch):
        monkeypatch.setenv(PATIENCE[1], "9")
        monkeypatch.delenv(PATIENCE[0], raising=False)
        tracked_runs(SETTINGS, START)
        assert [mlflow.asked[0][name] for name in PATIENCE] == ["20", "9"]
        assert [os.environ.get(name) for name in PATIENCE] == [None, "9"]

    def test_an_experiment_that_is_not_there_is_named(self, mlflow):
        with pytest.raises(TrackingError, match="has no experiment 'other'"):
            tracked_runs(Tracking(tracking_uri=URI, experiment="other"), START)

    def test_a_server_that_is_down_is_one_sentence_without_secrets(self, mlflow):
        mlflow.fault = Fault("connection refused\n token ghp_" + "a1B2" * 9)
        with pytest.raises(
            TrackingError, match=r"did not answer: connection refused token \[redacted"
        ) as said:
            tracked_runs(SETTINGS, START)
        assert "\n" not in str(said.value)

    def test_no_uri_anywhere_is_said(self, mlflow, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with pytest.raises(TrackingError, match="in the config, or MLFLOW_TRACKING_URI"):
            tracked_runs(Tracking(experiment="study"), START)

    def test_without_the_extra_one_sentence_says_how_to_get_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "mlflow", None)
        with pytest.raises(TrackingError, match=r"pip install 'fmon\[mlflow\]'"):
            tracked_runs(SETTINGS, START)


ROW = {
    "run_id": "r1", "run_name": "<b>", "parent_run_id": None, "status": "FINISHED", "experiment_tag": NAME,
    "condition_tag": "c1", "job_tag": None, "url": f"{URI}/#/experiments/7/runs/r1",
    "metrics": {"dice": 0.5, "<script>": float("nan")}, "cycle_tag": 0, "started_at": at(1), "ended_at": None,
    "read_at": at(30),
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    made = study(tmp_path / "data", mlflow=SETTINGS)
    poll(made, 20, [job(number, "SUCCEEDED") for number in range(1, 7)])
    return made


def reported(store, track=None):
    return report(
        open_study(store.path.parent, NAME), store.path.parent.parent / "reports", track=track, now=at(30)
    )


def down(settings, since):
    raise TrackingError("it is down")


class TestReport:
    @pytest.mark.slow
    def test_asks_for_runs_since_the_first_job_and_shows_them(self, store):
        asked = []

        def track(settings, since):
            asked.append((settings, since))
            return [ROW, {**ROW, "run_id": "r2", "condition_tag": "gone"}]

        done = reported(store, track)
        assert done.untracked is None
        assert asked == [(SETTINGS, at(-5))]
        first, second = [json.loads(line) for line in done.jsonl.read_text().splitlines()[:2]]
        assert (first["mlflow_run_id"], first["mlflow_url"]) == ("r1", ROW["url"])
        assert first["metrics"] == {"dice": 0.5, "<script>": None}
        assert (second["mlflow_run_id"], second["metrics"]) == (None, {})
        page = done.html.read_text()
        assert f'<a href="{ROW["url"]}" rel="noreferrer">r1</a>' in page
        assert "&lt;script&gt;" in page
        assert "1 run names a condition or job that the experiment does not have" in page

    @pytest.mark.slow
    def test_fills_in_the_manifest(self, store):
        reported(store, lambda settings, since: [ROW])
        assert [entry.mlflow_run_id for entry in read_manifest(store).jobs] == ["r1", *[None] * 5]

    @pytest.mark.slow
    def test_later_reports_and_views_need_no_server(self, store):
        reported(store, lambda settings, since: [ROW])
        done = reported(store, down)
        assert done.untracked == "the report has the runs that MLflow returned before: it is down"
        page = done.html.read_text()
        assert "r1</a>" in page
        assert "The report has the runs that MLflow returned before: it is down." in page
        dice = "select condition_id, metric_value from run_metric where metric = 'dice' and is_newest"
        assert select(store.path.parent, dice) == [{"condition_id": "c1", "metric_value": 0.5}]

    @pytest.mark.slow
    def test_a_server_that_was_never_up_is_said_and_the_report_is_made(self, store):
        done = reported(store, down)
        assert done.untracked == "the report has no runs: it is down"
        assert done.jsonl.exists()
        assert "The report has no runs: it is down." in done.html.read_text()

    @pytest.mark.slow
    def test_without_mlflow_in_the_config_nobody_is_asked(self, tmp_path):
        made = study(tmp_path / "data", FACTORS)
        poll(made, 20, [job(1, "SUCCEEDED")])
        assert reported(made, down).untracked is None

    @pytest.mark.slow
    def test_a_recording_asks_nobody(self, tmp_path):
        made = study(tmp_path / "data", mlflow=SETTINGS, is_replay=True)
        poll(made, 20, [job(1, "SUCCEEDED")])
        assert reported(made, down).untracked is None

    @pytest.mark.slow
    def test_before_any_job_was_seen_nobody_is_asked(self, tmp_path):
        made = study(tmp_path / "data", mlflow=SETTINGS)
        assert reported(made, down).untracked is None


class TestStore:
    def test_runs_are_as_they_were_written(self, store):
        write_runs(store, [ROW])
        (row,) = read_runs(store).to_pylist()
        assert {**row, "metrics": str(dict(row["metrics"]))} == {
            **ROW, "experiment_id": NAME, "metrics": str(ROW["metrics"]),
        }  # fmt: skip

    @pytest.mark.parametrize("content", [b"", b"PAR1 torn", b"{}"])
    def test_a_damaged_file_is_as_if_there_was_none(self, store, content):
        store.runs.write_bytes(content)
        assert read_runs(store) is None
        assert select(store.path.parent, "select * from run") == []


def test_jobs_are_given_the_tags_that_mlflow_puts_on_every_run():
    cell = Condition(condition_id="c1", kind="grid", factors={"model": "sam3"}, job_name="c1")
    fields = {"experiment_name": "s", "config_file": "s.yaml", "skypilot_yaml": "t.yaml", "prices": {}}
    empty = {"factors": {}, "conditions": [], "inner_factors": {}, "limits": Limits()}
    tracked = Experiment(**fields, **empty, mlflow=SETTINGS)
    envs = job_envs(tracked, cell, experiment_id=NAME, cycle=1)
    assert json.loads(envs["MLFLOW_RUN_CONTEXT"]) == of("c1", 1)
    assert "MLFLOW_RUN_CONTEXT" not in job_envs(
        Experiment(**fields, **empty), cell, experiment_id=NAME, cycle=0
    )


def test_times_of_runs_are_utc(mlflow):
    mlflow.runs = [run(1, tags=of("c1"), minute=7)]
    (row,) = tracked_runs(SETTINGS, START)
    assert row["started_at"] == datetime(2026, 3, 22, 5, 7, tzinfo=UTC)
