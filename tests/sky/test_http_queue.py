"""Whatever the API server does, a look ends in time with records or with one sentence."""

import json
import socket
import time

import pytest

from fmon.errors import QueueError
from fmon.sky import http_wire as wire
from fmon.sky.http_queue import HttpQueue
from fmon.sky.protocol import FIELDS, SPEC_FIELDS
from fmon.sky.reader import JobSpec
from tests.support.fake_server import REQUEST_ID, failed, payload, table


def fault(queue, **read) -> QueueError:
    """Look at the queue, which must fail in one sentence that says no secret and shows no page."""
    with pytest.raises(QueueError) as caught:
        queue.read(**read)
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    assert len(text) < 1000
    return caught.value


def test_a_right_answer_gives_typed_records(server):
    answer = HttpQueue().read()
    assert [(seen.job_id, seen.status) for seen in answer.records] == [(2, "FAILED_SETUP"), (1, "RUNNING")]
    assert answer.records[0].fmon_condition == "sam3-dice_ce"
    assert answer.bad == []
    assert answer.polled_at.tzinfo is not None
    assert 0 < answer.latency_s < 30
    assert (answer.server, answer.server_id) == (server.url, "fcd1e5cf")


@pytest.mark.parametrize("name", [None, "", "sky-serve-controller-fcd1e5cf", "sky-jobs-controller-", 7])
def test_an_answer_without_the_name_of_a_controller_has_no_server_id(server, name):
    server.on_get = lambda it: it.send(200, payload(table([]), cluster_name=name))
    assert HttpQueue().read().server_id is None


def test_all_jobs_of_all_users_are_asked_for_and_no_controller_is_started(server):
    HttpQueue().read()
    body = json.loads(server.requests[0][3])
    assert body == {"refresh": False, "all_users": True, "fields": list(FIELDS)}


def test_what_was_recorded_at_the_submission_is_asked_for_by_job(server):
    recorded = {"user_yaml": "envs: {A: 1}", "entrypoint": "sky jobs launch t.yaml"}
    server.jobs = [{"job_id": 2, "status": "RUNNING", **recorded}, {"job_id": 3, "status": "RUNNING"}]
    specs = HttpQueue().read_specs({3, 2, 1})
    assert json.loads(server.requests[0][3]) == {
        "refresh": False, "all_users": True, "fields": list(SPEC_FIELDS), "job_ids": [1, 2, 3]
    }  # fmt: skip
    assert specs == {2: JobSpec(**recorded), 3: JobSpec(None, None)}


def test_what_was_recorded_is_never_printed():
    assert "hunter2" not in repr(JobSpec("envs: {PASSWORD: hunter2}", "sky jobs launch --env P=hunter2"))


def test_a_request_about_specs_that_hangs_is_not_repeated_and_delays_no_poll(server, tmp_path):
    queue = HttpQueue(memo=tmp_path / "memo", deadline_s=0.3)
    right, server.on_get = server.on_get, lambda it: it.hang()
    for _ in range(2):
        with pytest.raises(QueueError):
            queue.read_specs([1])
    assert server.asked.count("POST /jobs/queue/v2") == 1
    server.on_get = right
    queue.read()
    assert server.asked[-2:] == ["POST /jobs/queue/v2", "GET /api/get"]
    assert json.loads(server.requests[-2][3])["fields"] == list(FIELDS)


def test_a_look_is_two_requests_and_no_more(server):
    HttpQueue().read()
    assert server.asked == ["POST /jobs/queue/v2", "GET /api/get"]


def test_both_requests_carry_the_api_version(server):
    HttpQueue().read()
    for _, _, headers, _ in server.requests:
        assert (headers["X-SkyPilot-API-Version"], headers["X-SkyPilot-Version"]) == ("62", "0.14.1")


def test_a_zipped_answer_is_unpacked(server):
    server.on_get = lambda it: it.send(200, payload(table(server.jobs)), content_encoding="gzip")
    assert len(HttpQueue().read().records) == 2


def test_a_zip_bomb_is_refused(server, monkeypatch):
    monkeypatch.setattr(wire, "MAX_BODY_BYTES", 1 << 20)
    server.on_get = lambda it: it.send(200, b" " * (2 << 20), content_encoding="gzip")
    assert fault(HttpQueue()).error_type == "BadAnswer"


def test_a_flood_is_refused(server, monkeypatch):
    monkeypatch.setattr(wire, "MAX_BODY_BYTES", 1 << 20)
    server.on_get = lambda it: it.send(200, b" " * (3 << 20))
    assert fault(HttpQueue()).error_type == "BadAnswer"


def test_imports_run_while_the_server_works(server):
    began = []
    server.on_get = lambda it: (
        began.append(time.monotonic()),
        time.sleep(0.3),
        it.send(200, payload(table([]))),
    )
    answer = HttpQueue().read(while_waiting=lambda: (time.sleep(0.25), began.append(time.monotonic())))
    assert len(began) == 2
    assert answer.latency_s < 0.5


def test_a_server_that_is_down_is_named_and_not_started(home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", f"http://127.0.0.1:{port}")
    error = fault(HttpQueue())
    assert error.error_type == "ApiServerConnectionError"
    assert f"127.0.0.1:{port}" in str(error)


def test_a_host_that_does_not_exist_is_one_sentence(home, monkeypatch):
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "http://no-such-host.invalid:1")
    assert fault(HttpQueue(deadline_s=10)).error_type in ("ApiServerConnectionError", "Timeout")


@pytest.mark.parametrize("stage", ["on_queue", "on_get"])
@pytest.mark.parametrize(
    "way",
    [
        lambda it: it.hang(),
        lambda it: it.drip(b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 1000),
        lambda it: (it.head(200, 1000), it.drip(b" " * 1000)),
    ],
    ids=["silent", "drips its head", "drips its body"],
)
def test_the_deadline_holds_over_both_requests(server, stage, way):
    setattr(server, stage, way)
    began = time.monotonic()
    error = fault(HttpQueue(deadline_s=0.5))
    assert error.error_type == "Timeout"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("stage", ["on_queue", "on_get"])
@pytest.mark.parametrize(
    "way",
    [
        lambda it: it.cut(),
        lambda it: (it.head(200, 5000), it.wfile.write(b'{"return_value": "{'), it.cut()),
        lambda it: (it.wfile.write(b"HTTP/1.1 20"), it.cut()),
        lambda it: it.send(503, {"detail": "Server is shutting down, please try again later."}),
    ],
    ids=["no answer", "half a body", "half a head", "shutting down"],
)
def test_a_restarting_server_is_a_failed_look(server, stage, way):
    setattr(server, stage, way)
    assert fault(HttpQueue()).error_type in ("ApiServerConnectionError", "BadAnswer", "HTTP503")


def test_half_a_zipped_body_is_a_failed_look(server):
    server.on_get = lambda it: (
        it.head(200, 10, content_encoding="gzip"),
        it.wfile.write(b"\x1f\x8b\x08" + b"\0" * 7),
    )
    assert fault(HttpQueue()).error_type == "ApiServerConnectionError"


def test_a_request_lost_in_a_restart_is_a_failed_look(server):
    server.on_get = lambda it: it.send(404, {"detail": "Request 'x' not found"})
    assert fault(HttpQueue()).error_type == "ApiServerConnectionError"


def test_no_managed_jobs_in_progress_is_a_failed_look_and_no_empty_queue(server):
    server.on_get = lambda it: it.send(500, failed("ClusterNotUpError", "No in-progress managed jobs."))
    error = fault(HttpQueue())
    assert error.error_type == "ClusterNotUpError"
    assert "No in-progress managed jobs." in str(error)


def test_an_error_of_the_server_is_redacted_and_bounded(server):
    text = "boom hf_" + "a1B2" * 9 + "\nline 2\n" + "x" * 100_000
    server.on_get = lambda it: it.send(500, failed("RuntimeError", text))
    error = fault(HttpQueue())
    assert "[redacted:huggingface]" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind", "error_type"),
    [
        (500, "Internal Server Error", "text/plain", "HTTP500"),
        (502, "<html><title>Bad Gateway</title></html>", "text/html", "HTTP502"),
        (401, {"detail": "Authentication required"}, "application/json", "AuthRequired"),
        (403, {"detail": "not yours"}, "application/json", "AuthRequired"),
        (302, "", "text/html", "AuthRequired"),
        (200, "<!doctype html><title>Log in</title>", "text/html", "AuthRequired"),
        (200, "<html>no kind</html>", "", "AuthRequired"),
        (
            400,
            {"error": "version_mismatch", "message": "Your client is too old"},
            "application/json",
            "VersionMismatch",
        ),
        (404, {"detail": "Not Found"}, "application/json", "VersionMismatch"),
        (422, {"detail": [{"loc": ["body"], "msg": "?"}]}, "application/json", "VersionMismatch"),
    ],
)
def test_what_the_server_answers_to_the_question_has_a_type(server, status, body, kind, error_type):
    server.on_queue = lambda it: it.send(status, body, kind=kind, **{"x-skypilot-request-id": ""})
    assert fault(HttpQueue()).error_type == error_type


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage \xff\xfe",
        b"null",
        b"[]",
        b"{}",
        json.dumps(payload(None)).encode(),
        json.dumps(payload({"rows": []})).encode(),
        json.dumps(payload({"jobs": "many"})).encode(),
        json.dumps({**payload(None), "return_value": {"jobs": []}}).encode(),
        json.dumps({**payload(None), "return_value": '{"jobs": ['}).encode(),
    ],
)
def test_another_shape_is_a_bad_answer(server, body):
    server.on_get = lambda it: it.send(200, body)
    assert fault(HttpQueue()).error_type == "BadAnswer"


def test_a_server_that_keeps_jobs_back_is_not_believed(server):
    server.on_get = lambda it: it.send(200, payload(table(server.jobs, total=120)))
    assert "2 of 120 jobs" in str(fault(HttpQueue()))


def test_something_that_speaks_no_http_is_a_bad_answer(server):
    server.on_queue = lambda it: (it.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n"), it.cut())
    assert fault(HttpQueue()).error_type == "BadAnswer"


def test_half_a_surrogate_pair_in_one_job_does_not_cost_the_others(server):
    jobs = [
        {"job_id": 1, "status": "FAILED", "failure_reason": "\ud83d cut"},
        {"job_id": 2, "status": "RUNNING"},
    ]
    server.on_get = lambda it: it.send(200, payload(table(jobs)))
    records = HttpQueue().read().records
    assert len(records) == 2
    records[0].failure_reason.encode("utf-8")


def test_a_newer_server_that_still_answers_the_same_is_read(server):
    server.on_get = lambda it: it.send(
        200, {**payload(table(server.jobs)), "new": 1}, **{"x-skypilot-api-version": "99"}
    )
    assert len(HttpQueue().read().records) == 2


def test_pickles_are_never_opened(server, monkeypatch):
    import pickle

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "loads", refuse)
    server.on_get = lambda it: it.send(500, failed("ValueError", "x"))
    fault(HttpQueue())


def test_after_a_timeout_the_next_look_waits_for_the_same_request(server):
    queue = HttpQueue(deadline_s=0.3)
    server.on_get = lambda it: it.hang()
    fault(queue)
    fault(queue)
    assert server.asked == ["POST /jobs/queue/v2", "GET /api/get", "GET /api/get"]
    server.on_get = lambda it: it.send(200, payload(table(server.jobs)))
    assert len(queue.read().records) == 2
    assert server.asked[3:] == ["GET /api/get", "POST /jobs/queue/v2", "GET /api/get"]


def test_another_process_knows_of_the_request_from_the_memo(server, tmp_path):
    memo = tmp_path / "memo.json"
    server.on_get = lambda it: it.hang()
    fault(HttpQueue(memo=memo, deadline_s=0.3))
    fault(HttpQueue(memo=memo, deadline_s=0.3))
    assert server.asked.count("POST /jobs/queue/v2") == 1
    server.on_get = lambda it: it.send(200, payload(table(server.jobs)))
    HttpQueue(memo=memo).read()
    assert not memo.exists()


@pytest.mark.parametrize("note", [b"", b"garbage", b'{"url": 1}'])
def test_a_damaged_memo_is_as_good_as_none(server, tmp_path, note):
    memo = tmp_path / "memo.json"
    memo.write_bytes(note)
    assert len(HttpQueue(memo=memo).read().records) == 2


def test_a_request_that_never_ends_is_forgotten(server, tmp_path):
    memo = tmp_path / "memo.json"
    old = time.time() - 3600
    memo.write_text(json.dumps({"url": server.url, "request_id": REQUEST_ID, "asked_at": old}))
    HttpQueue(memo=memo).read()
    assert server.asked == ["POST /jobs/queue/v2", "GET /api/get"]


def test_a_request_of_another_server_is_not_waited_for(server, tmp_path):
    memo = tmp_path / "memo.json"
    memo.write_text(json.dumps({"url": "http://other", "request_id": "x", "asked_at": time.time()}))
    HttpQueue(memo=memo).read()
    assert server.asked == ["POST /jobs/queue/v2", "GET /api/get"]


def test_a_proxy_is_left_to_the_sdk(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert fault(HttpQueue()).error_type == "ProxyRequired"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert len(HttpQueue().read().records) == 2
