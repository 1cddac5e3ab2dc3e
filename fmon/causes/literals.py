# ruff: noqa: E501 -- a pattern is read better in one line
"""Where a log holds one of many words, at the speed of its reading.

Hyperscan looks at many bytes at once, re2's automaton at one after the other: 6 x as fast. Where there is no
wheel of it (Linux on ARM), re2 finds the same (docs/decisions/0018).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Hit = Callable[[int, int], int]
    """Takes where a word begins and ends, and says up to where no other counts."""

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
"""What every rule's lines contain, in lower case; upper and lower case count alike.

``error`` needs a mark behind it: ``errors 0`` and ``error_rate=0.1`` stand in every line of many logs.
"""

PROGRESS = ("%|", "epoch", "step", "iter", "batch")
"""What lines of progress contain."""


def find(part: memoryview, words: tuple[str, ...], hit: Hit) -> None:
    """Call for the words in a text, upper and lower case alike, mostly in their order.

    Parameters
    ----------
    part : the text
    words : what is looked for
    hit : is called with offsets in the text; words that begin before what it returned last are left out
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

    # The working memory must not be shared by two threads, and is cheap.
    database.scan(part, match_event_handler=on_match, scratch=_hyperscan().Scratch(database))


def _find_by_re2(part: memoryview, words: tuple[str, ...], hit: Hit) -> None:
    pattern, following = any_of(words), 0
    while (found := pattern.search(part, following)) is not None:
        start, end = found.span()
        following = max(hit(start, end), start + 1)


@cache
def any_of(words: tuple[str, ...]) -> Any:
    """Compile the alternation of some words, upper and lower case alike."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.never_capture = True
    options.max_mem = 32 << 20
    return re2.compile("|".join(re2.escape(each) for each in words).encode("latin-1"), options)


@cache
def _hyperscan() -> Any:
    """Load Hyperscan where it is installed."""
    try:
        import hyperscan
    except ImportError:
        return None
    return hyperscan


@cache
def _database(words: tuple[str, ...]) -> tuple[Any, list[int]]:
    """Compile the words; give the length of each too."""
    hyperscan = _hyperscan()
    database = hyperscan.Database()
    database.compile(
        expressions=[b"".join(b"\\x%02x" % byte for byte in each.encode("latin-1")) for each in words],
        ids=list(range(len(words))),
        elements=len(words),
        flags=[hyperscan.HS_FLAG_CASELESS] * len(words),
    )
    return database, [len(each) for each in words]
