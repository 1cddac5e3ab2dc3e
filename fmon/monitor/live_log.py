"""Stream a log from SkyPilot; writes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmon.errors import QueueError
from fmon.sky.arrivals import StoppedError
from fmon.sky.live_text import LiveText
from fmon.sky.log_parts import printed_instead
from fmon.sky.reader import LogMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmon.sky.reader import LogRequest, LogStreamer

TIMEOUT_S = 60.0
"""Default timeout without --follow [s]: SkyPilot may need 25 s for the log of a running job."""

CONTEXT_LINES = 300
"""Additional lines to request before those to show, which may be the end of a private key."""

MAX_PLACEHOLDER_CHARS = 4096
MAX_HELD_CHARS = 4 << 20
ENDED = re.compile(r"(?:Managed job|Job) finished(?:: \d+)? \(status: (\w{1,40})\)\.?\s*$")
"""The last line that SkyPilot prints when it has followed a log to its end."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much of a log to show.

    Attributes
    ----------
    follow
        Whether to continue until the job has ended.
    tail
        Number of lines to begin with, from the end; None = all.
    timeout_s
        Time limit [s]; None = 60 s, or no limit if the log is followed.
    """

    follow: bool = False
    tail: int | None = None
    timeout_s: float | None = None

    @property
    def limit_s(self) -> float | None:
        """The time limit [s]; None = no limit."""
        return TIMEOUT_S if self.timeout_s is None and not self.follow else self.timeout_s


class LiveLog:
    """A streamed log; after iteration, ``ending`` is a sentence about its end.

    Parameters
    ----------
    reader, request
        Reads the log; which log.
    extent
        How much of it to show.
    """

    def __init__(self, reader: LogStreamer, request: LogRequest, extent: Extent) -> None:
        self.ending = ""
        self._reader, self._request, self._extent = reader, request, extent
        self._text = LiveText()
        self._window = _Window(extent)
        self._start = ""  # held until it is known to be a log, not a message instead of one
        self._is_log = False
        self._end = ""

    def __iter__(self) -> Iterator[str]:
        """Yield the text piece by piece, cleaned; an empty piece after each quiet second.

        Raises
        ------
        QueueError
            There is no log, or it was interrupted.
        """
        try:
            for piece in self._pieces():
                text = self._text.add(piece) if piece else self._text.pause()
                yield from self._window.add(self._checked(text), is_quiet=not piece)
                if not piece:
                    yield ""
        except StoppedError:
            yield from self._rest(self._text.stop())
            self._explain_stop()
        except QueueError as error:
            yield from self._rest(self._text.stop())
            what = "the log of job {} was interrupted" if self._is_log else "no log of job {}"
            message = f"{what.format(self._request.job_id)}: {error}"
            raise QueueError(message, error_type=error.error_type) from error
        else:
            yield from self._rest(self._text.end())
            self._explain_end()

    def _pieces(self) -> Iterator[bytes]:
        extent = self._extent
        tail = None if extent.tail is None else extent.tail + CONTEXT_LINES
        return self._reader.stream(self._request, follow=extent.follow, tail=tail, timeout_s=extent.limit_s)

    def _checked(self, text: str) -> str:
        """Hold back a text that may be a message instead of a log."""
        if self._is_log:
            self._end = (self._end + text)[-200:]
            return text
        self._start += text
        if len(self._start) < MAX_PLACEHOLDER_CHARS and (
            not self._start.strip() or printed_instead(self._start) is not None
        ):
            return ""
        self._is_log, self._start, start = True, "", self._start
        self._end = start[-200:]
        return start

    def _rest(self, text: str) -> Iterator[str]:
        yield from self._window.add(self._checked(text), is_quiet=False)
        yield from self._window.close()

    def _explain_stop(self) -> None:
        """Note that the log continues, or raise an error if nothing arrived."""
        job_id, limit_s = self._request.job_id, self._extent.limit_s
        if not self._is_log:
            other = (
                "" if self._request.is_controller else f", `fmon logs {job_id} --controller` shows the start"
            )
            message = (
                f"no log of job {job_id} arrived within {limit_s:g} s: the job may not have started, or the "
                f"server is busy{other}; --timeout S waits longer"
            )
            raise QueueError(message, error_type="Timeout")
        self.ending = (
            f"stopped after {limit_s:g} s; the log of job {job_id} may continue: "
            "--timeout S waits longer, --tail N shows its end, --follow keeps printing"
        )

    def _explain_end(self) -> None:
        """Note that the job has ended, or that it has printed nothing yet."""
        job_id = self._request.job_id
        if not self._is_log and (reason := printed_instead(self._start)):
            raise LogMissingError(f"no log of job {job_id}: {reason}")
        if self._extent.follow:
            status = ENDED.search(self._end or self._start)
            self.ending = f"job {job_id} has ended" + (
                f": {status[1]}" if status else "; its log is complete"
            )
        elif not self._is_log:
            self.ending = f"job {job_id} has printed nothing yet"


class _Window:
    """Holds text back until its last lines are known; without a tail it holds nothing."""

    def __init__(self, extent: Extent) -> None:
        self._count, self._follow = extent.tail, extent.follow
        self._held = ""

    def add(self, text: str, *, is_quiet: bool) -> Iterator[str]:
        """Add text; yield what can be shown. After the first quiet second, text is passed through."""
        if self._count is None:
            if text:
                yield text
            return
        self._held += text
        if len(self._held) > MAX_HELD_CHARS:
            self._held = last_lines(self._held, self._count)
        is_complete = is_quiet or self._held.count("\n") >= self._count + CONTEXT_LINES
        if self._follow and self._held and is_complete:
            yield from self.close()

    def close(self) -> Iterator[str]:
        """Yield the last lines of the held text, and hold nothing from now on."""
        if self._count is not None and self._held:
            yield last_lines(self._held, self._count)
        self._count, self._held = None, ""


def last_lines(text: str, count: int | None) -> str:
    r"""Return the last lines of a text; None = all.

    One empty line at the end does not count: SkyPilot adds it to what a running job has printed.

    Examples
    --------
    >>> last_lines("a\nb\nc\n", 2), last_lines("a\nb\nc", 1), last_lines("a\n", 5), last_lines("a\nb\n\n", 1)
    ('b\nc\n', 'c', 'a\n', 'b\n\n')
    """
    if count is None:
        return text
    body = text.removesuffix("\n").removesuffix("\n")
    return "\n".join(body.split("\n")[-count:]) + text[len(body) :]
