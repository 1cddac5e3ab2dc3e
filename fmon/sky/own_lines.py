"""The sentences that SkyPilot adds to a log or prints instead of one, as data.

``tests/sky/test_own_lines.py`` finds each of them in the source of the installed SkyPilot, so an upgrade that
changes one fails a test.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal, NamedTuple

Kind = Literal["start", "frame", "end", "exit", "hint", "task", "task_end", "controller", "no_log"]


class Sentence(NamedTuple):
    """One sentence of SkyPilot.

    Attributes
    ----------
    file
        The file that prints it, below ``sky/``; "" = Slurm, or another release of SkyPilot.
    text
        The sentence as in the source; ``{}`` stands for a value, colors are left out.
    kind
        start: the log of a program begins; end: it is complete; exit: how the program ended; frame: any
        other addition; hint, task, task_end: marks in the log of a job of several tasks; controller: marks
        in the log of its controller; no_log: printed instead of a log.
    reason
        Why there is no log, if it is printed instead of one.
    """

    file: str
    text: str
    kind: Kind
    reason: str = ""


JOBS, CONTROLLER = "jobs/utils.py", "jobs/controller.py"
LOG_LIB, CODE, STREAM = "skylet/log_lib.py", "backends/task_codegen.py", "server/stream_utils.py"

DELETED = "SkyPilot has deleted it"
NONE = "SkyPilot has no log of it"
UNKNOWN_JOB = "SkyPilot does not know the job"
EXTERNAL = "it was sent to an external log store"
EARLY = "it is not written yet"

SENTENCES = (
    Sentence(CODE, "Waiting for task resources on ", "start"),
    Sentence(CODE, "Job started. Streaming logs... ", "start"),
    Sentence(CODE, "Job {} failed with return code list:", "exit"),
    Sentence(CODE, "Job {}'s setup failed with return code {} (pid={}).", "exit"),
    Sentence(CODE, "Job {}'s setup failed. ", "exit"),
    Sentence("", "srun: error: {}: task {}: Exited with exit code {}", "exit"),
    Sentence("", "srun: error: {}: tasks {}: Exited with exit code {}", "exit"),
    Sentence(JOBS, "Hint: This job has {} tasks.", "hint"),
    Sentence(JOBS, "=== {} ===", "task"),
    Sentence(JOBS, "{} finished (status: {}).", "task_end"),
    Sentence(JOBS, "Job finished (status: {}).", "end"),
    Sentence(LOG_LIB, "Job finished (status: {}).", "end"),
    Sentence(JOBS, "Managed job finished: {} (status: {}).", "frame"),
    Sentence(JOBS, "The job cluster is preempted or failed.", "frame"),
    # After each job, when its cluster is gone.
    Sentence("backends/backend_utils.py", "Cluster(s) not found: ", "frame"),
    Sentence(JOBS, "Task {}({}) log has been cleaned at {}.", "no_log", DELETED),
    Sentence("jobs/log_gc.py", "Controller log has been cleaned at {}.", "no_log", DELETED),
    Sentence(JOBS, "Job {} not found.", "no_log", UNKNOWN_JOB),
    Sentence(JOBS, "No managed job found", "no_log", UNKNOWN_JOB),
    Sentence(JOBS, "No running managed job found with name {}.", "no_log", UNKNOWN_JOB),
    Sentence(JOBS, "No task found matching {} in job {}. Valid task IDs are {}.", "no_log", UNKNOWN_JOB),
    Sentence(
        JOBS, "Failed to read logs for job {} task {} from the external log store: {}", "no_log", EXTERNAL
    ),
    Sentence(JOBS, "No logs found for job {} in the external log store.", "no_log", EXTERNAL),
    Sentence(JOBS, "Job {} is already in terminal state {}. For more details, run: ", "no_log", NONE),
    Sentence(LOG_LIB, "{} not found (see `sky queue`).", "no_log", NONE),
    Sentence(LOG_LIB, "ERROR: Logs for job {} (status: {}) does not exist.", "no_log", NONE),
    Sentence(
        LOG_LIB, "ERROR: Logs for {} (status: {}) does not exist after retrying {} times.", "no_log", EARLY
    ),
    Sentence(LOG_LIB, "INFO: Waiting {}s for the logs to be written...", "no_log", EARLY),
    Sentence(LOG_LIB, "Skip streaming logs as no job has been submitted.", "no_log", EARLY),
    Sentence(JOBS, "Waiting for task to start", "no_log", EARLY),
    Sentence(JOBS, "View controller logs: sky jobs logs --controller {}", "no_log", EARLY),
    Sentence(JOBS, "Waiting for task status to be updated.", "no_log", EARLY),
    Sentence(JOBS, "Waiting for the next task: {}", "no_log", EARLY),
    Sentence(JOBS, "Waiting for next restart for the failed task", "no_log", EARLY),
    Sentence(STREAM, "Waiting for {} request to be scheduled: {}", "no_log", EARLY),
    Sentence(STREAM, "{} request {} cancelled", "no_log", "the request for it was cancelled"),
    Sentence("", "Logs were forwarded to {}", "no_log", EXTERNAL),
    Sentence("", "Logs {} were forwarded to {}", "no_log", EXTERNAL),
    Sentence("", "{} log was forwarded to {}", "no_log", EXTERNAL),
    Sentence("", "{} log was deleted", "no_log", DELETED),
    Sentence("", "{} log has been deleted", "no_log", DELETED),
    Sentence("", "Log was deleted", "no_log", DELETED),
    Sentence("", "Logs were deleted", "no_log", DELETED),
    Sentence("", "Logs {} were deleted", "no_log", DELETED),
    Sentence("", "Logs {} have been deleted", "no_log", DELETED),
    Sentence(CONTROLLER, "Processing task {}/{}: {}", "controller"),
    Sentence(CONTROLLER, "Starting task {} ({}) for job {}", "controller"),
    Sentence(CONTROLLER, "Running as Job Group with {} parallel jobs", "controller"),
    Sentence(CONTROLLER, "Task {} failed with status: {}", "controller"),
    Sentence(CONTROLLER, "Task {} succeeded! Getting end time and cleaning up", "controller"),
    Sentence(CONTROLLER, "== End of logs (ID: {}) ==", "controller"),
)
"""The first one that a line begins with gives its kind."""

LEAD = (
    r"(?:(?:\[/?[a-z ]{0,20}\]|[\u251c\u2514]\u2500\u2500|[\u2713\u2a2f\u2699]\ufe0e?|ERROR:|INFO:)"
    r"|[DIWE] \d\d-\d\d [\d:.]{8,15} (?:PID=\d{1,10} )?[\w.]{1,40}:\d{1,6}\]|\s)*+"
)
"""What may stand before a sentence: symbols, levels, the prefix of SkyPilot's logger."""

LONGEST = 700
"""A longer line is none of these."""

TASK = r"Task (?:.{0,300}\(\d{1,9}\)|\d{1,9})"
"""How a mark names its task: by name and number, or by number."""

WORD = re.compile(r"[Tt]ask|[Jj]ob|[Ll]og|request|queue|Cluster")
"""Each sentence has one of these words: most lines of a program have none, and are passed over quickly."""


def sentence_of(line: str) -> Sentence | None:
    """Return the sentence of SkyPilot that a line is; None if it is the line of a program.

    Examples
    --------
    >>> sentence_of("✓ Task train(1) finished (status: FAILED).").kind
    'task_end'
    >>> sentence_of("step 3")
    """
    if len(line) > LONGEST or WORD.search(line) is None:
        return None
    found = _pattern().match(line)
    return None if found is None or found.lastindex is None else SENTENCES[found.lastindex - 1]


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(LEAD + "(?:" + "|".join(f"({_regex(each)})" for each in SENTENCES) + ")")


SHORT = ("Job {} not found.", "{} request {} cancelled")


def _regex(sentence: Sentence) -> str:
    """Return the expression of a sentence; those with few words must be the entire line."""
    text = sentence.text.removeprefix("ERROR: ").removeprefix("INFO: ")
    pieces = list(map(re.escape, text.split("{}")))
    if sentence.kind in ("task", "task_end"):
        pieces[:2] = [f"{pieces[0]}{TASK}{pieces[1]}"]
    regex = r".{0,300}?".join(pieces)
    return rf"{regex}\s*$" if sentence.kind.startswith("task") or text in SHORT else regex
