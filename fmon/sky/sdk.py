"""SkyPilot's SDK in a separate process: its import takes seconds and much memory.

The worker has no terminal and no telemetry and may not start a server. It is killed with all its children
when its time is up.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fmon.errors import QueueError
from fmon.sky.arrivals import Arrivals
from fmon.sky.endpoint import find_endpoint
from fmon.sky.protocol import one_line
from fmon.sky.reader import Answer, LogsDownError
from fmon.sky.record import parse_records, specs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from fmon.sky.reader import JobSpec, LogRequest

TIMEOUT_S = 60.0
LEAST_S = 20.0
"""Its import alone may take 8 s."""

MARK = "fmon-worker-answer:"
"""The rest of this line of stdout is the answer; SkyPilot prints hints and warnings anywhere."""

PIECE = "fmon-worker-piece:"
"""The rest of this line of stdout is a piece of a log."""

MAX_OUTPUT_BYTES = 64 << 10

LONGEST_S = 30 * 86400.0
"""Time limit of a worker that follows a log [s], in case fmon was killed and the log is silent."""

ENVIRONMENT = {
    "SKYPILOT_DISABLE_LOCAL_API_SERVER": "1",  # the SDK starts a server if none answers on loopback
    "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
    "PYTHONIOENCODING": "utf-8:replace",
}


class SdkQueue:
    """The queue as SkyPilot's SDK reads it."""

    name = "sky"

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Read the queue once; see ``QueueReader.read``."""
        started = time.monotonic()
        if while_waiting is not None:
            while_waiting()
        records, bad = parse_records(_jobs("queue"))
        latency_s = time.monotonic() - started
        return Answer(
            polled_at=datetime.now(UTC),
            records=records,
            bad=bad,
            latency_s=latency_s,
            server=find_endpoint().server,
        )

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Read the specs of some jobs; see ``SpecReader.read_specs``."""
        return specs_of(_jobs("specs", *map(str, sorted(job_ids))))


class SdkLogs:
    """Logs as SkyPilot's SDK reads them; one process reads all logs of a call."""

    name = "sky"

    def read(
        self, requests: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Read logs; see ``LogReader.read``."""
        arguments = [
            f"{request.job_id}:controller" if request.is_controller else str(request.job_id)
            for request in requests
        ]
        try:
            answers = ask_worker("logs", *arguments, timeout_s=max(timeout_s, LEAST_S))
        except QueueError as error:
            yield requests[0], LogsDownError(str(error), error_type=error.error_type)
            return
        for request, answer in zip(requests, answers, strict=False):
            if "text" in answer:
                yield request, answer["text"].encode()
            else:
                yield request, QueueError(answer["error"], error_type=answer["type"])

    def stream(
        self, request: LogRequest, *, follow: bool, tail: int | None, timeout_s: float | None
    ) -> Iterator[bytes]:
        """Yield a log as it arrives; see ``LogStreamer.stream``."""
        arguments = (request.job_id, int(request.is_controller), int(follow), tail or 0)
        arrivals = Arrivals()
        command = ("stream", *map(str, arguments))
        with _worker(LONGEST_S, *command, stderr=subprocess.STDOUT) as process:
            threading.Thread(target=_take, args=(process, arrivals), daemon=True).start()
            try:
                yield from arrivals.pieces(timeout_s)
            finally:
                arrivals.close()
                _end(process)


def _take(process: subprocess.Popen[bytes], arrivals: Arrivals) -> None:
    """Pass on the pieces that a worker prints, until it ends."""
    assert process.stdout is not None
    output = b""
    try:
        for line in process.stdout:
            if line.startswith(PIECE.encode()):
                arrivals.put(json.loads(line.removeprefix(PIECE.encode())).encode("utf-8", "replace"))
            else:
                output = (output + line)[-MAX_OUTPUT_BYTES:]
        _answer(b"\n" + output, output, process.wait())
    except (QueueError, OSError, ValueError) as error:
        arrivals.end(error)
    else:
        arrivals.end(None)


def _jobs(*arguments: str) -> list[Any]:
    """Return the raw queue records that a command of the worker answers."""
    jobs = ask_worker(*arguments)
    if not isinstance(jobs, list):
        message = f"SkyPilot's SDK returned {type(jobs).__name__} instead of the list of jobs"
        raise QueueError(message, error_type="BadAnswer")
    return jobs


def ask_worker(*arguments: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Run one command of ``fmon.sky.worker`` and return its answer.

    Parameters
    ----------
    arguments
        The command and its arguments.
    timeout_s
        Time after which the worker and its children are killed [s].

    Raises
    ------
    QueueError
        The worker reported an error, ended without an answer, or took too long.
    """
    with _worker(timeout_s, *arguments) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as late:
            message = f"SkyPilot's SDK did not answer within {timeout_s:g} s"
            raise QueueError(message, error_type="Timeout") from late
        finally:
            _end(process)
    return _answer(out, err, process.returncode)


def _worker(timeout_s: float, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start the worker."""
    # -P: a sky.py in the current folder must not be imported.
    command = [sys.executable, "-P", "-m", "fmon.sky.worker", f"{timeout_s:g}", *arguments]
    environment = {**os.environ, **ENVIRONMENT}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without byte code each import takes 5 s more
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker's process group: the worker may have started other processes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _answer(out: bytes, err: bytes, code: int) -> Any:
    """Find the answer in the output of the worker."""
    _, mark, answer = out.rpartition(b"\n" + MARK.encode())
    try:
        value = json.loads(answer.split(b"\n", 1)[0]) if mark else {}
        if "answer" in value:
            return value["answer"]
        if "error" in value:
            error_type, text = str(value["error"]["type"]), one_line(str(value["error"]["message"]))
            raise QueueError(f"{error_type}: {text}", error_type=error_type)
    except (ValueError, KeyError, TypeError):
        pass
    output = one_line(err.decode("utf-8", "replace")[-1000:]) or "it printed nothing"
    message = f"SkyPilot's SDK ended without an answer (exit code {code}): {output}"
    raise QueueError(message, error_type="WorkerFailed")
