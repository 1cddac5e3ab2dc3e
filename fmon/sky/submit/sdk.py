"""Launch and cancel jobs with SkyPilot's SDK, in one worker process."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

from fmon.errors import QueueError
from fmon.sky.protocol import one_line
from fmon.sky.sdk import ENVIRONMENT
from fmon.sky.submit.in_flight import launches
from fmon.sky.submit.submitter import InFlight, Outcome, Submission

if TYPE_CHECKING:
    from collections.abc import Sequence

ASK_S = 120.0
"""Longest wait for anything but a launch [s]; the worker's first answer includes its import."""


class SdkSubmitter:
    """SkyPilot's SDK, in ``fmon.sky.submit.worker``.

    Parameters
    ----------
    hold
        File descriptor of a lock that the worker holds until it ends, even if fmon is killed: no other
        process may launch before that.
    """

    def __init__(self, hold: int | None = None) -> None:
        self._hold = hold
        self._keys = count()
        self._worker: _Worker | None = None
        self._outcomes: queue.Queue[Outcome] = queue.Queue()

    def parse(self, task_yaml: str) -> int:
        """Let SkyPilot read a task YAML; see ``Submitter.parse``."""
        return int(self._ask("parse", task_yaml=task_yaml))

    def submit(self, submission: Submission) -> None:
        """Start one launch; see ``Submitter.submit``."""
        attempt_key = submission.attempt_key

        def done(answer: dict[str, Any]) -> None:
            self._outcomes.put(_outcome(attempt_key, answer))

        self._send("submit", done, task_yaml=submission.task_yaml, job_name=submission.job_name)

    def outcome(self, *, timeout_s: float) -> Outcome | None:
        """Wait for the next outcome; see ``Submitter.outcome``."""
        try:
            return self._outcomes.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def in_flight(self) -> list[InFlight]:
        """List the launches that the server still works on; see ``Submitter.in_flight``."""
        return launches(self._ask("requests"))

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Ask SkyPilot to cancel managed jobs; see ``Submitter.cancel``."""
        if job_ids:
            self._ask("cancel", job_ids=list(job_ids))

    def close(self) -> None:
        """End the worker; see ``Submitter.close``."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _ask(self, what: str, **details: Any) -> Any:
        """Send a question and wait for the answer."""
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._send(what, answers.put, **details)
        try:
            answer = answers.get(timeout=ASK_S)
        except queue.Empty:
            message = f"SkyPilot's SDK did not answer within {ASK_S:g} s"
            raise QueueError(message, error_type="Timeout") from None
        if "error" in answer:
            error = answer["error"]
            is_sentence = error["message"].startswith("SkyPilot's API server")
            message = error["message"] if is_sentence else f"{error['type']}: {error['message']}"
            raise QueueError(message, error_type=error["type"])
        return answer["answer"]

    def _send(self, what: str, done: Any, **details: Any) -> None:
        """Send a question to the worker; start a new worker if it has ended."""
        if self._worker is None or not self._worker.is_alive:
            self._worker = _Worker(self._hold)
        self._worker.send(next(self._keys), {"do": what, **details}, done)


class _Worker:
    """The worker process, and the callbacks that wait for its answers."""

    def __init__(self, hold: int | None) -> None:
        # -P: a sky.py in the current folder must not be imported.
        command = [sys.executable, "-P", "-m", "fmon.sky.submit.worker", str(os.getpid())]
        environment = {**os.environ, **ENVIRONMENT}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without byte code its import takes 5 s more
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker lives
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
            pass_fds=() if hold is None else (hold,),
            start_new_session=True,  # Ctrl-C must only reach fmon, which decides about running launches
        )
        self.is_alive = True
        self._waiting: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._last_output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, key: int, question: dict[str, Any], done: Any) -> None:
        """Send a question; ``done`` is called with its answer, or with the reason there is none."""
        with self._lock:
            self._waiting[key] = done
            is_alive = self.is_alive
        line = json.dumps({"key": key, **question}).encode() + b"\n"
        try:
            if is_alive and self._process.stdin is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()
                return
        except (OSError, ValueError):
            pass  # it has just ended
        self._give_up(key)

    def end(self) -> None:
        """Kill the process and wait until all callbacks have been called."""
        self._process.kill()
        self._reader.join()

    def _read(self) -> None:
        """Pass answers on until the worker ends, then call the remaining callbacks."""
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                with self._lock:
                    done = self._waiting.pop(answer["key"], None)
                if done is not None:
                    done(answer)
        code = self._process.wait()
        with self._stderr:
            self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - 1000))
            output = one_line(self._stderr.read().decode("utf-8", "replace"))
        with self._lock:
            self.is_alive, self._last_output = False, output or f"exit code {code}"
            left = list(self._waiting)
        for key in left:
            self._give_up(key)
        self._process.stdout.close()
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _give_up(self, key: int) -> None:
        with self._lock:
            done = self._waiting.pop(key, None)
        if done is not None:
            message = f"SkyPilot's SDK ended without an answer: {self._last_output or 'it was killed'}"
            done({"key": key, "error": {"type": "WorkerFailed", "message": message, "is_uncertain": True}})


def _outcome(attempt_key: str, answer: dict[str, Any]) -> Outcome:
    if "error" not in answer:
        return Outcome(attempt_key=attempt_key, job_id=answer["answer"])
    error = answer["error"]
    return Outcome(
        attempt_key=attempt_key,
        error_type=error["type"],
        error=error["message"],
        is_uncertain=error["is_uncertain"],
    )
