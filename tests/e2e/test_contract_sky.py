"""Each fact about SkyPilot that fmon relies on, asked of the real one of the pinned version.

Where one of these fails after an upgrade, the code that relies on it is in ``fmon/sky``, and
``tests/support/fake_server.py`` has to learn it too.
"""

import gzip
import json
import os
import re
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from fmon.model import Price
from fmon.sky.clean_log import cleaned
from fmon.sky.endpoint import find_endpoint
from fmon.sky.file_queue import FileQueue
from fmon.sky.http_logs import HttpLogs
from fmon.sky.http_queue import HttpQueue
from fmon.sky.prices import catalog_prices, parse_resources
from fmon.sky.protocol import API_VERSION, FIELDS, queue_body, request_headers
from fmon.sky.reader import LogRequest
from fmon.sky.sdk import SdkLogs, SdkQueue
from tests.e2e.early import SECRET, TAGS
from tests.e2e.real_sky import RealSky
from tests.support.fake_server import REQUEST_ID, FakeServer, failed, payload, table

pytestmark = pytest.mark.real

MANY = 120
FAR = 900_000
"""Above every id that a test session gives out."""


@pytest.fixture(scope="module")
def sky(realsky):
    """The real server, and the environment of this process pointed to it."""
    patch = pytest.MonkeyPatch()
    for name in os.environ:
        if name.startswith(("SKYPILOT", "FMON")) or name.lower().endswith("_proxy"):
            patch.delenv(name)
    for name, value in realsky.env.items():
        patch.setenv(name, value)
    yield realsky
    patch.undo()


@pytest.fixture(scope="module")
def ended(sky: RealSky, early: dict[str, int]):
    """Two jobs that have ended: one well, one in its setup."""
    ids = {"ok": early["contract-ok"], "bad": early["contract-bad"]}
    sky.wait([*ids.values()], timeout=600)
    return ids


def ask(method, path, body=None, **headers):
    """Do one plain request as fmon does; give status, headers and body."""
    endpoint = find_endpoint()
    given = {**request_headers(endpoint), "Content-Type": "application/json", **headers}
    request = urllib.request.Request(endpoint.url + path, body, given, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, head, data = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            status, head, data = refused.code, refused.headers, refused.read()
    return status, head, gzip.decompress(data) if head.get("Content-Encoding") == "gzip" else data


def queue_request(**changed):
    """Ask for the queue with some things asked differently; give the answer of ``/api/get``."""
    body = {**json.loads(queue_body(find_endpoint())), **changed}
    status, headers, data = ask("POST", "/jobs/queue/v2", json.dumps(body).encode())
    assert (status, data) == (200, b"null")
    return ask("GET", "/api/get?request_id=" + headers["X-SkyPilot-Request-ID"])


def raw_jobs(**changed):
    """Give the raw records of a queue request, by job id."""
    status, _, data = queue_request(**changed)
    assert status == 200, data
    return {job["job_id"]: job for job in json.loads(json.loads(data)["return_value"])["jobs"]}


# The wire


def test_the_fakes_right_answers_have_the_shape_of_the_real_ones(ended):
    status, headers, data = queue_request()
    real, fake = json.loads(data), payload(table([]))
    assert status == 200
    assert set(real) == set(fake)
    assert {
        name: type(value) for name, value in real.items() if value is not None and fake[name] is not None
    } == {name: type(value) for name, value in fake.items() if value is not None and real[name] is not None}
    assert set(json.loads(real["return_value"])) == set(table([]))
    assert real["error"] == fake["error"] == "null"
    assert headers["X-SkyPilot-API-Version"] == str(API_VERSION)


def test_the_fakes_errors_have_the_shape_of_the_real_ones(sky):
    # A page without a limit is an error that changes nothing.
    status, _, data = queue_request(page=1)
    real, fake = json.loads(data), failed("ValueError", "")
    assert status == 500
    assert set(real) == set(fake) == {"detail"}
    assert set(real["detail"]) == set(fake["detail"])
    error = json.loads(real["detail"]["error"])
    assert set(error) == set(json.loads(fake["detail"]["error"]))
    assert (error["type"], error["message"]) == (
        "ValueError",
        "Limit must be specified when page is specified",
    )


def test_the_fakes_heads_are_in_the_real_ones(ended, monkeypatch):
    fake = FakeServer([])
    try:
        _, real, _ = ask("POST", "/jobs/queue/v2", queue_body(find_endpoint()))
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", fake.url)
        _, ours, data = ask("POST", "/jobs/queue/v2", b"{}")
        assert data == b"null"
        assert {name.lower() for name in ours} <= {name.lower() for name in real}
        assert re.fullmatch(r"[0-9a-f-]{36}", real["X-SkyPilot-Request-ID"])
        assert re.fullmatch(r"[0-9a-f-]{36}", REQUEST_ID)
    finally:
        fake.shutdown()
        thread.join()
        fake.server_close()


def test_a_request_can_be_fetched_again_after_a_timeout(ended):
    _, headers, _ = ask("POST", "/jobs/queue/v2", queue_body(find_endpoint()))
    path = "/api/get?request_id=" + headers["X-SkyPilot-Request-ID"]
    first, second = ask("GET", path), ask("GET", path)
    assert first[0] == second[0] == 200
    assert first[2] == second[2]


def test_a_request_that_the_server_does_not_know_is_a_404(sky):
    assert ask("GET", "/api/get?request_id=00000000-0000-4000-8000-000000000000")[0] == 404


def test_an_api_version_that_is_too_old_is_refused_in_words(sky):
    status, _, data = ask("POST", "/jobs/queue/v2", b"{}", **{"X-SkyPilot-API-Version": "1"})
    assert status == 400
    assert json.loads(data)["error"] == "version_mismatch"
    assert json.loads(data)["message"]


def test_the_server_answers_who_does_not_say_who_asks(ended):
    body = {key: value for key, value in json.loads(queue_body(find_endpoint())).items() if key != "env_vars"}
    status, headers, _ = ask("POST", "/jobs/queue/v2", json.dumps(body).encode())
    assert status == 200
    assert ask("GET", "/api/get?request_id=" + headers["X-SkyPilot-Request-ID"])[0] == 200


# The records


def test_every_field_is_given_and_no_other(ended):
    for job in raw_jobs().values():
        assert set(job) == set(FIELDS)


def test_what_was_recorded_at_the_submission_is_given_for_the_jobs_that_are_asked_for(ended):
    specs = HttpQueue().read_specs([ended["ok"]])
    assert set(specs) == {ended["ok"]}
    assert "contract-ok" in specs[ended["ok"]].user_yaml
    assert "in_sky.py" in specs[ended["ok"]].entrypoint
    assert SdkQueue().read_specs([ended["ok"]]) == specs


def test_values_have_the_types_that_are_read(ended):
    job = raw_jobs()[ended["ok"]]
    assert job["status"] == "SUCCEEDED"
    for name in ("submitted_at", "start_at", "end_at", "job_duration"):
        assert isinstance(job[name], float), name
    assert time.time() - 3600 < job["submitted_at"] < job["start_at"] < job["end_at"] < time.time() + 60
    assert parse_resources(job["resources"]).choices == (("H100", 1.0),)
    assert job["cloud"] == "Slurm"
    assert job["details"] is None


def test_a_failed_setup_says_why(ended):
    job = raw_jobs()[ended["bad"]]
    assert job["status"] == "FAILED_SETUP"
    assert "FAILED_SETUP" in job["failure_reason"]
    assert job["failure_reason"] in job["details"]


def test_metadata_comes_back_from_a_job_that_has_ended(ended):
    seen = {record.job_id: record for record in HttpQueue().read().records}[ended["ok"]]
    assert (seen.fmon_experiment, seen.fmon_condition, seen.fmon_cycle) == tuple(TAGS.values())


def test_other_users_jobs_are_listed_too(ended, monkeypatch):
    monkeypatch.setenv("SKYPILOT_USER_ID", "0ther123")
    monkeypatch.setenv("SKYPILOT_USER", "other")
    assert set(ended.values()) <= {record.job_id for record in HttpQueue().read().records}
    assert not set(ended.values()) & set(raw_jobs(all_users=False))


def test_the_server_tells_its_id_whoever_asks(ended, monkeypatch):
    server_id = HttpQueue().read().server_id
    assert server_id
    monkeypatch.setenv("SKYPILOT_USER_ID", "0ther123")
    monkeypatch.setenv("SKYPILOT_USER", "other")
    assert HttpQueue().read().server_id == server_id


def test_the_total_tells_of_records_that_were_kept_back(ended):
    _, _, data = queue_request(limit=1)
    answer = json.loads(json.loads(data)["return_value"])
    assert len(answer["jobs"]) == 1
    assert answer["total"] >= 2


@pytest.fixture
def many_jobs(sky, ended):
    """More ended jobs than any default limit, copied within SkyPilot's database, and removed again."""
    database = Path(sky.env["HOME"]) / ".sky/spot_jobs.db"
    tables = {"job_info": "spot_job_id", "spot": "job_id"}
    with sqlite3.connect(database, timeout=30) as db:
        for name, key in tables.items():
            columns = [row[1] for row in db.execute(f"pragma table_info({name})")]
            values = [
                "? + spot_job_id" if column == "spot_job_id" else f"? + {key}" if column == key else column
                for column in columns
            ]
            for number in range(MANY):
                shift = [FAR + 10_000 * number] * sum("?" in value for value in values)
                db.execute(
                    f"insert into {name} select {', '.join(values)} from {name} where spot_job_id = ?",
                    [*shift, ended["ok"]],
                )
    db.close()
    yield
    with sqlite3.connect(database, timeout=30) as db:
        for name in tables:
            db.execute(f"delete from {name} where spot_job_id >= ?", [FAR])
    db.close()


def test_more_jobs_than_the_cli_shows_are_all_read(many_jobs, ended):
    records = HttpQueue().read().records
    assert sum(record.job_id >= FAR for record in records) == MANY
    assert {record.job_name for record in records if record.job_id >= FAR} == {"contract-ok"}


# The other ways to read


def test_the_sdk_gives_the_same_records(ended):
    def records(queue):  # of jobs that change no more between the two looks
        return [each for each in queue.read().records if each.job_id in ended.values()]

    assert len(records(HttpQueue())) == len(ended)
    assert records(SdkQueue()) == records(HttpQueue())


def test_the_clis_json_has_the_same_states_and_lacks_what_the_docs_say(sky, ended, tmp_path):
    path = tmp_path / "queue.json"
    path.write_text(sky.sky("jobs", "queue", "-a", "-o", "json"))
    printed = {seen.job_id: seen for seen in FileQueue(str(path)).read().records}
    asked = {seen.job_id: seen for seen in HttpQueue().read().records}
    for job_id in ended.values():
        for name in ("job_name", "status", "submitted_at", "end_at", "resources", "recovery_count"):
            assert getattr(printed[job_id], name) == getattr(asked[job_id], name)
        for name in ("start_at", "region", "failure_reason", "fmon_experiment"):
            assert getattr(printed[job_id], name) is None


@pytest.mark.parametrize("reader", [HttpLogs(), SdkLogs()], ids=["http", "sdk"])
def test_the_log_of_a_job_is_its_output_and_its_controllers_tells_of_provisioning(ended, reader):
    asks = [LogRequest(ended["ok"]), LogRequest(ended["bad"]), LogRequest(ended["ok"], is_controller=True)]
    output, failed, controllers = (cleaned(log) for _, log in reader.read(asks, timeout_s=90))
    assert "hello" in output
    assert "HF_TOKEN=[redacted:huggingface]" in output
    assert SECRET not in output
    assert "no such package" in failed
    assert "Launching" in controllers


def test_the_catalog_prices_are_those_of_skypilots_config(sky):
    config = yaml.safe_load((Path(sky.env["HOME"]) / ".sky/config.yaml").read_text())
    price = config["slurm"]["pricing"]["accelerators"]["H100"]
    assert catalog_prices(["H100"]) == {"H100": Price(spot=price, on_demand=price, source="catalog")}
