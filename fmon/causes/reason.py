"""Read what SkyPilot says about a failure: ``failure_reason``, ``details`` and the exit code.

The sentences are those of SkyPilot 0.14 (sky/jobs/controller.py, utils.py); tests/corpus/reasons.jsonl lists
them with their source.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fmon.log_text import plain

PREVIOUSLY = ". Previously: "
"""Stands between a reason and the one that it replaced: that of the first ending."""

_STATES = re.compile(
    r"(?:Failure: |Job failed: |Recovering: "
    r"|(?:In backoff, waiting for resources|Waiting for (?:other|higher priority) jobs to launch)(?: - |$))"
)
_HINT = re.compile(
    r"\(user program failure\)\.? ?|(?:To see the (?:job error output|details)|For (?:more )?details),"
    r" run: sky jobs logs(?: --controller)? \d{1,19}\.? ?"
)
_CODES = r"[:=]? ?(\[[-\d, ]{1,200}\]|-?\d{1,10}(?!\d))"
_ENDED = re.compile(
    rf"(?:\w{{1,20}} ){{0,3}}(?:exited|failed|ended) with (?:exit |return )?(?:codes?|status){_CODES}\.?"
    r"|Job failed \(\w{1,40}\)\.?"
)
_STATED = re.compile(
    rf"(?i)\b(?:exit(?:ed)?(?: with)?[ _]?(?:exit |return )?(?:codes?|status)|return code){_CODES}"
)
_IN_LOG = re.compile(rf"(?:return code list:|failed with return code|Exited with exit code){_CODES}")
_NAMED = re.compile(
    r"\b([Cc]luster|[Cc]luster name|[Tt]ask|[Jj]ob|[Pp]od|[Nn]ode|[Hh]ost|[Ii]nstance|[Mm]achine|[Ww]orker) "
    r"(?:'[^']{1,200}'|\"[^\"]{1,200}\"|[\w.-]{0,100}\d[\w.-]{0,100}\w)"
)
_EXCEPTION = re.compile(r"(?:^|(?<=; ))\[([\w.]{1,200})\] ")
_BY_ANOTHER = frozenset({0, 137, 143, -9, -15})
"""Exit codes of processes that SkyPilot ended because another node had failed."""


class Reason(NamedTuple):
    """What SkyPilot says about a failure.

    Attributes
    ----------
    text
        The reason in one line, without SkyPilot's hints where to find the log; "" = none.
    exit_code
        The exit code that it states.
    is_general
        It says no more than that the job failed.
    """

    text: str
    exit_code: int | None
    is_general: bool

    @property
    def lines(self) -> list[str]:
        """Its exceptions as Python prints them, one per line; without any, the text."""
        return [_EXCEPTION.sub(r"\1: ", each) for each in re.split(r"; (?=\[[\w.]{1,200}\] )", self.text)]


NONE = Reason("", None, is_general=True)


def reason_of(failure_reason: str | None) -> Reason:
    """Read a failure reason, or the details of a job that has none.

    Parameters
    ----------
    failure_reason
        As in the queue record; None = there is none.

    Examples
    --------
    >>> reason_of("Job exited with exit code 3 (user program failure).")
    Reason(text='Job exited with exit code 3', exit_code=3, is_general=True)
    >>> reason_of("Failure: No such pool").text
    'No such pool'
    """
    if not failure_reason:
        return NONE
    text = plain(failure_reason).rpartition(PREVIOUSLY)[2]
    text = _STATES.sub("", " ".join(text.split()), count=1)
    text = " ".join(_HINT.sub("", text).split())
    ended = _ENDED.match(text)
    rest = text if ended is None else text[ended.end() :].strip()
    code = _first_code(_STATED, text) if ended is None else _first_code(_ENDED, text)
    if ended is not None and not rest:
        return Reason(text.rstrip("."), code, is_general=True)
    return Reason(text, code, is_general=not rest)


def without_names(text: str) -> str:
    """Return a reason without the names of the job and its machines: it is then the same for all jobs."""
    return _NAMED.sub(r"\1 #", text)


def stated_exit_code(tail: bytes) -> int | None:
    """Return the exit code that the last of SkyPilot's lines at the end of a log states; None = none does."""
    for line in reversed(tail.split(b"\n")):
        if b" code" in line:
            text = plain(line.decode("utf-8", "replace")).strip()
            code = _first_code(_IN_LOG, text) if is_closing(text) else None
            if code is not None:
                return code
    return None


def _first_code(pattern: re.Pattern[str], text: str) -> int | None:
    """Return the exit code of the process that failed first: others were ended because of it."""
    found = pattern.search(text)
    if found is None or found[1] is None:
        return None
    codes = [int(each) for each in re.findall(r"-?\d+", found[1])]
    own = [code for code in codes if code not in _BY_ANOTHER] or [code for code in codes if code]
    return own[0] if own else None


_CLOSING = re.compile(
    r"(?:\S )?Job finished \(status: \w{1,40}\)|\u2717 Job|Job \d+ is already in terminal state"
    r"|ERROR: Job \d+(?:'s setup)? failed with return code|Shared connection to"
    r"|(?:To see the details|For (?:more )?details), run: |Failure reason: "
    r"|srun: error: .{0,120}(?:Exited with exit code \d+|Killed|Terminated)$"
    r"|slurmstepd\S{0,80}: error: \*\*\* STEP .{0,200}CANCELLED"
    r"|(?:\S{3} )?(?:Waiting for task resources|Job started\. Streaming logs)"
)


def is_closing(text: str) -> bool:
    """Return whether a line is one that SkyPilot or Slurm adds to every log, which shows no cause."""
    return _CLOSING.match(text) is not None
