# ruff: noqa: E501 -- a pattern is easier to read in one line
"""Find the positions of many words in a log, as fast as it is read.

Hyperscan matches many bytes at once, re2 one after the other: Hyperscan is 6 x as fast. On platforms without a
Hyperscan wheel (Linux on ARM), re2 finds the same (docs/decisions/0018).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from fmon.log_text import INVISIBLE, SEPARATOR, SPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    Hit = Callable[[int, int], int]
    """Takes the start and end of a word; returns the offset before which further words are ignored."""

LITERALS = (
    "error:", "error ", "error]", "error(", "error)", "error'", 'error"', "error,", "error.", "error-", "error;",
    "error\n", "error\r", "error>", "error|", "error\x1b", "error/", "error{", "validation error", "errno", "exception", "traceback (", "fatal", "killed", "sigkill", "sigterm", "sigsegv", "sigint", "signal",
    "oom", "out of memory", "no such", "not found", "does not exist", "missing", "denied", "unauthorized",
    "forbidden", "cancelled", "canceled", "preempt", "abort", "dumped", "terminat", "nccl", "xid", "quota",
    "no space", "fail", "unable to", "cannot", "can't", "could not", "couldn't", "invalid", "nan", "interrupt",
    "timed out", "timeout", "time limit", "refused", "unreachable", "exit code", "exit status", "exitcode",
    "segmentation", "illegal", "bus error", "evicted", "insufficient", "capacity", "unavailable",
    "not available", "unbound", "syntax", "substitution", "expected", "unrecognized", "unknown", "exceeded",
    "toomany", "rate limit", "credential", "api_key", "node_fail", "node fail", "its node", "exhausted",
    "corrupt", "truncated", "mismatch", "not installed", "required", "singular", "invoked", "walltime",
    "deadline", "infeasible", "catalog", "imagepull", "not inside", "is not a", "not set", 'file "', "\nfile ",
    "exited", "no module", "must be", "reclaim", "lost", "resolv", "expired", "login", "is full", "too old",
    "no match", "same file", "too many", "diverge", "inf ", "not in", "replace", "stdexcept", "panicked", "dead", "died",
)  # fmt: skip
"""Words of which every line that a rule can match has at least one; case is ignored.

``error`` must be followed by punctuation: ``errors 0`` and ``error_rate=0.1`` are in every line of many logs.
"""

PROGRESS = ("%|", "epoch", "step", "iter", "batch")
"""Words of which every line of progress has at least one."""


def find(part: memoryview, words: tuple[str, ...], hit: Hit) -> None:
    """Call ``hit`` for each word in a text, ignoring case, mostly in order.

    Parameters
    ----------
    part
        The text.
    words
        The words to find.
    hit
        Called with offsets in the text; words that begin before the offset it last returned are skipped.
    """
    if _hyperscan() is None:
        _find_by_re2(part, words, hit)
    else:
        _find_by_hyperscan(part, words, hit)


def _find_by_hyperscan(part: memoryview, words: tuple[str, ...], hit: Hit) -> None:
    database, lengths = _database(words)
    last, following = 0, 0

    def on_match(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
        nonlocal last, following
        start = end - lengths[number]
        if not last <= start < following:
            last, following = start, hit(start, end)

    # Two threads must not share scratch memory, and it is cheap.
    database.scan(part, match_event_handler=on_match, scratch=_hyperscan().Scratch(database))


def _find_by_re2(part: memoryview, words: tuple[str, ...], hit: Hit) -> None:
    pattern, following = any_of(words), 0
    while (found := pattern.search(part, following)) is not None:
        start, end = found.span()
        following = max(hit(start, end), start + 1)


@cache
def any_of(words: tuple[str, ...]) -> Any:
    """Compile an expression that matches any of the words, ignoring case."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.never_capture = True
    options.max_mem = 32 << 20
    return re2.compile("|".join(re2.escape(each) for each in words).encode("latin-1"), options)


@cache
def invisible() -> Any:
    """Compile an expression that matches an invisible character, space or line end beyond ASCII in UTF-8."""
    import re2

    return re2.compile(f"[{INVISIBLE}{SEPARATOR[2:]}{SPACE}]".encode())


@cache
def _hyperscan() -> Any:
    """Import Hyperscan; None if it is not installed."""
    try:
        import hyperscan
    except ImportError:
        return None
    return hyperscan


@cache
def _database(words: tuple[str, ...]) -> tuple[Any, list[int]]:
    """Compile the words; return the database and the length of each word."""
    hyperscan = _hyperscan()
    database = hyperscan.Database()
    database.compile(
        expressions=[b"".join(b"\\x%02x" % byte for byte in each.encode("latin-1")) for each in words],
        ids=list(range(len(words))),
        elements=len(words),
        flags=[hyperscan.HS_FLAG_CASELESS] * len(words),
    )
    return database, [len(each) for each in words]
