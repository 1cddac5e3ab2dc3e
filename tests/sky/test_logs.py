"""Whatever the API server does with a log, reading ends in time and size with text or one sentence."""

import time

import pytest

from fmon.errors import QueueError
from fmon.sky.arrivals import StoppedError
from fmon.sky.head_and_tail import MARK, Ends
from fmon.sky.http_logs import HttpLogs
from fmon.sky.logs import NoLogs, RecordedLogs, SkyLogs, open_logs, read_log
from fmon.sky.reader import LogMissingError, LogRequest, LogsDownError
from tests.support.fake_server import failed
from tests.support.queues import FakeLogs

MB = 1 << 20


def read(server, *, each_s=5.0, timeout_s=5.0, stream_bytes=32 * MB):
    """Read the log of job 7."""
    return read_log(HttpLogs(each_s=each_s, stream_bytes=stream_bytes), LogRequest(7), timeout_s=timeout_s)


def test_a_log_comes_as_it_is(server):
    assert read(server) == b"first line\nlast line\n"


def test_bytes_that_are_no_text_come_as_they_are(server):
    server.on_logs = lambda it: it.stream(bytes(range(256)) * 10)
    assert read(server) == bytes(range(256)) * 10


def test_of_a_long_log_both_ends_are_kept_and_the_cut_says_how_much(server):
    line = b"x" * 99 + b"\n"
    server.on_logs = lambda it: it.stream(b"the first\n", *[line * 10_000] * 5, b"the last\n")
    log = read(server)
    assert log.startswith(b"the first\n")
    assert log.endswith(b"the last\n")
    (mark,) = MARK.findall(log.decode())
    cut = int(mark.split()[1])
    assert cut > 3 * MB
    assert len(log) - len(mark) - 1 + cut == 5_000_000 + 19


def test_a_log_too_long_to_be_streamed_is_asked_for_its_last_lines(server):
    def script(it):
        if b'"tail":null' in server.requests[-1][3]:
            it.stream(b"the first\n", ends=False)
            while True:
                it.chunk(b"y" * 99 + b"\n")
        it.stream(b"half a line\n", b"the last\n")

    server.on_logs = script
    log = read(server, stream_bytes=2 * MB)
    assert log.startswith(b"the first\n")
    assert log.endswith(b"[fmon: a part of unknown length is left out here]\nthe last\n")
    assert len(log) < 2 * MB


def test_a_log_that_never_ends_is_a_timeout_in_time(server):
    def script(it):
        it.stream(b"a line\n", ends=False)
        while not it.server.is_over.wait(0.01):
            it.chunk(b"a line\n")

    server.on_logs = script
    began = time.monotonic()
    with pytest.raises(QueueError, match=r"did not send the entire log within 0.6 s"):
        read(server, each_s=0.6)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("way", "error_type"),
    [
        (lambda it: it.hang(), "Timeout"),
        (lambda it: it.drip(b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 1000), "Timeout"),
        (lambda it: it.cut(), "ApiServerConnectionError"),
        (lambda it: (it.stream(b"half", ends=False), it.cut()), "ApiServerConnectionError"),
        (lambda it: (it.head(200, 1000, kind="text/plain"), it.wfile.write(b"half"), it.cut()),
         "ApiServerConnectionError"),
        (lambda it: it.send(404, {"detail": "Not Found"}), "VersionMismatch"),
        (lambda it: it.send(500, "oops"), "HTTP500"),
        (lambda it: it.send(500, "o" * 9_000_000), "HTTP500"),
        (lambda it: it.send(503, {"detail": "exhausted"}), "HTTP503"),
        (lambda it: it.send(401, "who?"), "AuthRequired"),
        (lambda it: it.send(302, "", location="/login"), "AuthRequired"),
        (lambda it: it.send(200, "<html>Log in</html>", kind="text/html"), "AuthRequired"),
        (lambda it: it.send(200, "x", kind="text/plain", content_encoding="gzip"), "BadAnswer"),
        (lambda it: it.send(200, "x", kind="text/plain", **{"x-skypilot-request-id": ""}), "BadAnswer"),
        (lambda it: it.wfile.write(b"\x00\xff garbage\r\n\r\n"), "BadAnswer"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_one_sentence(server, way, error_type):
    server.on_logs = way
    with pytest.raises(QueueError) as caught:
        read(server, each_s=0.8 if error_type == "Timeout" else 5)
    assert caught.value.error_type == error_type
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_what_the_request_failed_with_is_asked_for_behind_an_empty_stream(server):
    server.on_logs = lambda it: it.stream()
    server.on_get = lambda it: it.send(500, failed("ClusterNotUpError", "controller is stopped"))
    with pytest.raises(QueueError, match="controller is stopped") as caught:
        read(server)
    assert caught.value.error_type == "ClusterNotUpError"


def test_a_request_that_a_restarted_server_has_forgotten_does_not_cost_the_log(server):
    server.on_get = lambda it: it.send(404, {"detail": "no such request"})
    assert read(server) == b"first line\nlast line\n"


def test_behind_a_server_that_is_down_nothing_more_is_asked(server):
    server.on_logs = lambda it: it.cut()
    ((ask, answer),) = HttpLogs().read([LogRequest(1), LogRequest(2)], timeout_s=30)
    assert ask == LogRequest(1)
    assert isinstance(answer, LogsDownError)
    assert answer.error_type == "ApiServerConnectionError"


@pytest.mark.slow
def test_a_server_that_hangs_three_times_in_a_row_is_taken_as_down(server):
    def script(it):
        if b'"job_id":3,' in server.requests[-1][3]:
            it.stream(b"third\n")
        else:
            it.hang()

    server.on_logs = script
    answers = list(HttpLogs(each_s=0.3).read([LogRequest(number) for number in range(1, 9)], timeout_s=30))
    assert [ask.job_id for ask, _ in answers] == [1, 2, 3, 4, 5, 6]
    assert [isinstance(answer, LogsDownError) for _, answer in answers] == [False] * 5 + [True]
    assert answers[-1][1].error_type == "Timeout"


def test_one_slow_log_does_not_keep_the_next_from_being_read(server):
    def script(it):
        if b'"job_id":1,' in server.requests[-1][3]:
            it.hang()
        else:
            it.stream(b"second\n")

    server.on_logs = script
    (_, first), (_, second) = HttpLogs(each_s=0.4).read([LogRequest(1), LogRequest(2)], timeout_s=5)
    assert first.error_type == "Timeout"
    assert second == b"second\n"


def test_what_there_is_no_time_for_is_not_asked(server):
    server.on_logs = lambda it: it.hang()
    answers = list(HttpLogs(each_s=0.6).read([LogRequest(1), LogRequest(2), LogRequest(3)], timeout_s=0.7))
    assert [ask for ask, _ in answers] == [LogRequest(1), LogRequest(2)]


def test_what_plain_http_can_not_do_the_sdk_does_for_all_the_rest_at_once():
    login = QueueError("requires login", error_type="AuthRequired")
    http = FakeLogs({LogRequest(1): "one", LogRequest(2): login, LogRequest(3): login})
    sdk = FakeLogs({LogRequest(2): "two", LogRequest(3): "three"})
    answers = dict(
        SkyLogs(http, lambda: sdk).read([LogRequest(1), LogRequest(2), LogRequest(3)], timeout_s=5)
    )
    assert [*answers.values()] == [b"one", b"two", b"three"]
    assert http.asked == [LogRequest(1), LogRequest(2)]
    assert sdk.asked == [LogRequest(2), LogRequest(3)]


def test_a_server_that_fails_is_not_asked_again_through_the_sdk():
    down = QueueError("down", error_type="HTTP500")
    ((_, answer),) = SkyLogs(FakeLogs({LogRequest(1): down}), pytest.fail).read([LogRequest(1)], timeout_s=5)
    assert answer is down


def test_a_recording_gives_its_files_and_says_which_one_it_lacks(tmp_path):
    (tmp_path / "7.log").write_text("own\n")
    answers = dict(
        RecordedLogs(tmp_path).read([LogRequest(7), LogRequest(7, is_controller=True)], timeout_s=1)
    )
    assert answers[LogRequest(7)] == b"own\n"
    missing = answers[LogRequest(7, is_controller=True)]
    assert isinstance(missing, LogMissingError)
    assert "7.controller.log" in str(missing)


def test_a_queue_from_a_file_has_no_logs():
    with pytest.raises(LogMissingError, match=r"read from file:q.json, which has no logs"):
        read_log(open_logs("file:q.json"), LogRequest(7))
    assert isinstance(open_logs("file:-"), NoLogs)


@pytest.mark.parametrize("size", [1, 7, 4096, 5 * MB])
def test_ends_are_the_same_in_whatever_chunks_they_come(size):
    data = b"".join(b"%07d\n" % number for number in range(400_000))
    whole, parts = Ends(), Ends()
    whole.add(data)
    for start in range(0, len(data) if size > 7 else 3000, size):
        parts.add(data[start : start + size])
    if size <= 7:
        parts.add(data[parts.total :])
    assert whole.value() == parts.value()


def test_a_giant_line_is_cut_far_from_the_cut():
    """No end of a line is near, so what may be half a secret goes with a wide margin."""
    ends = Ends(head=100_000, tail=100_000)
    ends.add(b"a" * 100_000 + b"SECRET" + b"b" * 200_000)
    value = ends.value()
    assert value.startswith(b"aaaa")
    assert value.endswith(b"bbbb")
    assert b"SECRET" not in value
    assert len(value) < 190_000


def stream(server_logs, **asked):
    """Read the log of job 7 as it arrives."""
    options = {"follow": False, "tail": None, "timeout_s": 5.0, **asked}
    return server_logs.stream(LogRequest(7), **options)


def test_a_stream_yields_what_has_arrived_while_the_server_continues(server):
    def script(it):
        it.stream(b"a line\n", ends=False)
        it.hang()

    server.on_logs = script
    pieces = stream(HttpLogs(), follow=True, tail=3)
    assert next(pieces) == b"a line\n"
    pieces.close()
    assert b'"follow":true,"refresh":false,"tail":3' in server.requests[0][3]


def test_a_stream_stops_when_the_time_is_up(server):
    def script(it):
        it.stream(b"a line\n", ends=False)
        it.hang()

    server.on_logs = script
    pieces = stream(HttpLogs(), timeout_s=0.3)
    assert next(pieces) == b"a line\n"
    with pytest.raises(StoppedError):
        list(pieces)


@pytest.mark.parametrize("way", [lambda it: it.cut(), lambda it: (it.stream(b"x", ends=False), it.cut())])
def test_an_interrupted_stream_is_reported_in_one_sentence(server, way):
    server.on_logs = way
    with pytest.raises(QueueError, match="closed the connection in the middle"):
        list(stream(HttpLogs()))


def test_a_stream_whose_request_failed_is_its_error(server):
    server.on_logs = lambda it: it.stream()
    server.on_get = lambda it: it.send(500, failed("ClusterNotUpError", "controller is stopped"))
    with pytest.raises(QueueError, match="controller is stopped"):
        list(stream(HttpLogs()))


def test_the_sdk_streams_where_plain_http_is_not_enough(server):
    server.on_logs = lambda it: it.send(401, "who?")
    logs = SkyLogs(HttpLogs(), lambda: FakeLogs({LogRequest(7): "of the SDK\n"}))
    assert list(stream(logs)) == [b"of the SDK\n"]


def test_a_stream_from_a_file_queue_fails_as_there_is_no_log():
    with pytest.raises(LogMissingError, match=r"read from file:q\.json, which has no logs"):
        list(stream(NoLogs("file:q.json")))
