"""Change something in SkyPilot with its SDK, in a separate process.

``python -m fmon.sky.submit.worker PARENT_PID``: one JSON question per line on stdin, one JSON answer per line
on stdout, in any order. It imports the SDK once and works on several launches in parallel. It ends with
its parent: at the end of stdin, or by a signal if the parent is killed. Nothing is ever sent twice, and
``sky.get``, which unpickles the response of the server, is never called.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TextIO

from fmon.errors import QueueError
from fmon.model import MAX_PARALLEL
from fmon.sky.endpoint import find_endpoint
from fmon.sky.http_wire import explain
from fmon.sky.protocol import one_line, refusal, return_value_of
from fmon.sky.task_yaml import count_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = MAX_PARALLEL
LAUNCH_S, CALL_S, READ_S, RECONNECT_S = 600.0, 60.0, 30.0, 30.0
"""Longest waits [s]: for a launch (the first one may start a controller), for a cancellation, for the list of
requests, and for a server that became unreachable while it worked."""

REQUESTS_PATH = "/api/status"
LAUNCH_PATH = "/jobs/launch"
TOO_MANY_REQUESTS = 429
INTERRUPTED = {"RequestInterruptedError", "RequestCancelled"}
"""Errors after which the server may have launched the job."""

DOWN = "ApiServerConnectionError"

_sent = threading.local()
_parsing = threading.Lock()


def main(parent: int) -> None:
    """Answer the questions of a parent process until there are no more."""
    _end_with_parent(parent)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # SkyPilot prints hints and warnings anywhere
    writing = threading.Lock()
    pool = ThreadPoolExecutor(THREADS)
    try:
        _never_send_twice()
    except Exception as error:
        _answer(answers, writing, {"key": None, "error": _error_of(error)})
        return
    for line in sys.stdin:
        question = json.loads(line)
        pool.submit(lambda asked: _answer(answers, writing, _result(asked)), question)
    os._exit(0)  # threads may wait for the server for minutes


def _end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when fmon dies, so that nothing is launched after that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _never_send_twice() -> None:
    """Disable the retries of SkyPilot's client, and record whether a launch was sent.

    The client repeats any request that a proxy answered with 503. For a launch that is a second job.
    """
    from sky.server import rest

    once = rest.request_without_retry

    def request(method: str, url: str, **arguments: Any) -> Any:
        is_launch = method == "POST" and url.endswith(LAUNCH_PATH)
        if is_launch:
            _sent.status = 0  # sent, no response yet
        response = once(method, url, **arguments)
        if is_launch:
            _sent.status = response.status_code
        return response

    rest.request = request


def _answer(answers: TextIO, writing: threading.Lock, value: dict[str, Any]) -> None:
    with writing:
        answers.write(json.dumps(value) + "\n")
        answers.flush()


def _result(question: dict[str, Any]) -> dict[str, Any]:
    """Answer one question."""
    _sent.status = None
    try:
        return {"key": question["key"], "answer": COMMANDS[question["do"]](question)}
    except Exception as error:
        return {"key": question["key"], "error": _error_of(error)}


def _error_of(error: Exception) -> dict[str, Any]:
    """Describe an error, and whether a launch may have reached the server nevertheless."""
    error_type = error.error_type if isinstance(error, QueueError) else type(error).__name__
    if getattr(_sent, "status", None) == TOO_MANY_REQUESTS:  # a proxy's: SkyPilot's client has no name for it
        error_type = f"HTTP{TOO_MANY_REQUESTS}"
    is_uncertain = _may_be_launched(error, error_type)
    if _has_not_connected(error):
        return {"type": DOWN, "message": _unreachable(error), "is_uncertain": is_uncertain}
    return {"type": error_type, "message": one_line(str(error)), "is_uncertain": is_uncertain}


def _unreachable(error: Exception) -> str:
    """Say that the server is down, as the readers of the queue do."""
    found = re.search(r"\[Errno \d+\] ([\w ]+)", str(error))
    reason = OSError(found[1] if found else "no connection")
    reason.strerror = str(reason)
    return str(explain(reason, find_endpoint().url))


def _may_be_launched(error: Exception, error_type: str) -> bool:
    status = getattr(_sent, "status", None)
    if status is None or _has_not_connected(error):
        return False
    if status == 200:  # accepted: only the result of the launch itself is certain
        return error_type in INTERRUPTED or not isinstance(error, _RequestFailedError)
    return not 400 <= status < 500


def _has_not_connected(error: Exception) -> bool:
    """Return whether no connection was made, so that nothing was sent."""
    import requests
    import urllib3

    if not isinstance(error, requests.exceptions.ConnectionError):
        return False
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    connecting = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(reason, connecting)


class _RequestFailedError(QueueError):
    """SkyPilot processed the request and reports why it failed."""


def _submit(question: dict[str, Any]) -> int:
    """Launch one managed job and return its id."""
    import sky.jobs

    dag = _parsed(question["task_yaml"])
    request = sky.jobs.launch(dag, name=question["job_name"], job_group=None)
    job_ids = _outcome(request, time.monotonic() + LAUNCH_S)["job_id"]
    if not isinstance(job_ids, list) or len(job_ids) != 1:
        message = f"SkyPilot's response to a launch names the jobs {one_line(str(job_ids))} instead of one"
        raise QueueError(message, error_type="BadAnswer")
    return int(job_ids[0])


def _parsed(task_yaml: str) -> Any:
    """Read a task YAML as ``sky jobs launch`` does."""
    from sky.utils import dag_utils

    with _parsing:  # all threads share one stack of open DAGs
        return dag_utils.load_chain_dag_from_yaml_str(task_yaml)


def _parse(question: dict[str, Any]) -> int:
    """Check a task YAML, and return its number of tasks."""
    with _parsing:  # all threads share one stack of open DAGs
        return count_tasks(question["task_yaml"])


def _requests(question: dict[str, Any]) -> list[Any]:
    """Return the requests that the server works on, from all processes.

    The SDK's ``api_status`` is not used: it returns an empty list if it sees no server process.
    """
    from sky.server import common

    del question
    response = common.make_authenticated_request(
        "GET", REQUESTS_PATH, params={"all_status": False}, retry=False, timeout=(5, READ_S)
    )
    if response.status_code != 200:
        raise refusal(response.status_code, response.headers, response.content)
    requests = response.json()
    if not isinstance(requests, list):
        message = f"SkyPilot's list of requests is {type(requests).__name__}, not a list"
        raise QueueError(message, error_type="BadAnswer")
    return requests


def _cancel(question: dict[str, Any]) -> None:
    """Request the cancellation of managed jobs, and wait until it is accepted."""
    import sky.jobs

    request = sky.jobs.cancel(job_ids=question["job_ids"])
    _outcome(request, time.monotonic() + CALL_S)


def _outcome(request: Any, until: float) -> Any:
    """Wait for a request to end; if a response is lost, ask again, which is harmless."""
    import requests
    from sky.exceptions import ServerTemporarilyUnavailableError
    from sky.server import common

    path = f"/api/get?request_id={request}"
    lost_at = None
    while (left := until - time.monotonic()) > 0:
        try:
            response = common.make_authenticated_request("GET", path, retry=False, timeout=(5, left))
        except (requests.exceptions.RequestException, ServerTemporarilyUnavailableError):
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > RECONNECT_S:
                raise
            time.sleep(1)
            continue
        if response.status_code == 200:
            return return_value_of(response.content)
        failed = refusal(response.status_code, response.headers, response.content)
        if response.status_code == 500:
            raise _RequestFailedError(str(failed), error_type=failed.error_type)
        raise failed
    message = "SkyPilot's API server accepted the request but did not finish it in time"
    raise QueueError(message, error_type="Timeout")


COMMANDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "parse": _parse,
    "submit": _submit,
    "requests": _requests,
    "cancel": _cancel,
}

if __name__ == "__main__":
    main(int(sys.argv[1]))
