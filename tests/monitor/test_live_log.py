"""fmon logs of a running job: what has arrived is shown, whatever happens next."""

import pytest

from fmon.cli.services import Services
from fmon.errors import ConfigError, QueueError
from fmon.launch.adopt import adopt
from fmon.monitor.live_log import CONTEXT_LINES, Extent, LiveLog
from fmon.sky.arrivals import StoppedError
from fmon.sky.reader import LogMissingError, LogRequest
from tests.support.queues import NAMES, START, FakeLogs, FakeQueue, job
from tests.support.typed import typed
from tests.support.world import write_config

LATE = StoppedError("stopped", error_type="Timeout")
DOWN = QueueError("the server went away", error_type="ApiServerConnectionError")
KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"%064d\n" % 7 * 20 + b"-----END PRIVATE KEY-----\nlast\n"


class Pieces(FakeLogs):
    """Gives a log in pieces: an empty one is a quiet second, an error ends it."""

    def __init__(self, *pieces):
        super().__init__()
        self.pieces = pieces

    def stream(self, request, *, follow, tail, timeout_s):
        self.asked.append((request, follow, tail, timeout_s))
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece


class Live(Services):
    """Only logs are to be had."""

    def __init__(self, logs):
        self.logs = logs

    def open_logs(self, source):
        return self.logs


def show(*pieces, **extent):
    """Show a log; return the text and the sentence about its end."""
    live = LiveLog(Pieces(*pieces), LogRequest(1), Extent(**extent))
    return "".join(live), live.ending


def test_what_has_arrived_is_shown_when_the_time_is_up():
    text, ending = show(b"step 1\nstep 2\nst", b"", LATE)
    assert text == "step 1\nstep 2\n"
    assert ending.startswith("stopped after 60 s; the log of job 1 may continue: --timeout S")


@pytest.mark.parametrize("pieces", [[], [b"", b""], [b"<sky-payload>x</sky-payload>\n"]])
def test_nothing_in_time_is_an_error_that_names_the_next_step(pieces):
    with pytest.raises(QueueError, match=r"no log of job 1 arrived within 5 s.*--controller.*--timeout S"):
        show(*pieces, LATE, timeout_s=5)


def test_what_has_arrived_is_shown_before_a_broken_stream_is_an_error():
    live = LiveLog(Pieces(b"step 1\n", DOWN), LogRequest(1), Extent())
    shown = []
    with pytest.raises(QueueError, match="the log of job 1 was interrupted: the server went away"):
        shown.extend(live)
    assert shown == ["step 1\n"]


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_message_instead_of_a_log_is_never_shown_as_a_log(size):
    text = b"Job 1 not found.\n"
    with pytest.raises(LogMissingError, match="no log of job 1: SkyPilot does not know the job"):
        show(*(text[at : at + size] for at in range(0, len(text), size)), b"")


def test_a_job_that_ends_while_it_is_followed_ends_with_a_sentence():
    end = "✓ Managed job finished: 1 (status: FAILED).\n".encode()
    assert show(b"step 1\n", b"", end, follow=True)[1] == "job 1 has ended: FAILED"
    assert show(b"step 1\n", follow=True)[1] == "job 1 has ended; its log is complete"


def test_a_running_job_without_output_is_not_an_error():
    assert show() == ("", "job 1 has printed nothing yet")


def test_of_the_tail_the_last_lines_are_shown():
    assert show(b"a\nb\nc\nd\n", tail=2)[0] == "c\nd\n"
    assert show(b"a\nb\nc\n", b"", b"d\ne\nf\n", tail=1, follow=True)[0] == "c\nd\ne\nf\n"


def test_the_empty_line_that_skypilot_adds_at_the_end_does_not_count_for_tail():
    assert show(b"a\nb\n\n", tail=1)[0] == "b\n\n"


def test_a_tail_that_begins_within_a_private_key_shows_none_of_it():
    lines = KEY.splitlines(keepends=True)
    for count in range(1, len(lines)):
        assert "0000" not in show(*lines, tail=count)[0]


@pytest.mark.parametrize(("follow", "limit_s"), [(False, 60.0), (True, None)])
def test_a_followed_log_has_no_limit(follow, limit_s):
    pieces = Pieces(b"x\n")
    list(LiveLog(pieces, LogRequest(1), Extent(follow=follow, tail=3)))
    assert pieces.asked == [(LogRequest(1), follow, 3 + CONTEXT_LINES, limit_s)]


@pytest.fixture
def data(tmp_path):
    """Two running jobs."""
    queue = FakeQueue([job(1, NAMES[0]), job(2, NAMES[1])])
    adopt(write_config(tmp_path / "config"), queue, tmp_path / "data", now=START)
    return tmp_path / "data"


def test_the_command_escapes_what_it_prints_ends_the_line_and_stores_nothing(data):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    done = typed(
        Live(Pieces(b"\x1b]0;x\x07bell \x07 MY_TO", b"KEN=abcdef 1 ", b"", LATE)), "logs", "1", "--data", data
    )
    assert (done.exit_code, done.stdout) == (0, "bell  MY_TOKEN=[redacted:token] 1 \n")
    assert "stopped after 60 s" in done.stderr
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_ctrl_c_ends_with_130_and_a_complete_line(data):
    logs = Pieces(b"step 1\nstep 2 of ", b"", KeyboardInterrupt())
    done = typed(Live(logs), "logs", "1", "--follow", "--data", data)
    assert (done.exit_code, done.stdout) == (130, "step 1\nstep 2 of \n")
    assert "Traceback" not in done.stderr


def test_only_one_job_can_be_followed(data):
    done = typed(Live(Pieces()), "logs", "1", "2", "--follow", "--data", data)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "--follow needs one job, but 1 2 selects 1, 2"
