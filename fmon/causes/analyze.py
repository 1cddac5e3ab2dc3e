"""From the texts of one ended job to its root cause (floor 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fmon.causes.info import FailureInfo
from fmon.causes.mask import mask
from fmon.causes.signature import root_cause_id_of, signature_of
from fmon.causes.taxonomy import cause_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    from fmon.model import Pattern

_FIRST = (
    (r"OutOfMemoryError|CUDA out of memory", "cuda_oom", "torch"),
    (r"\bKilled\b|oom-kill", "host_oom", "killed"),
    (r"No space left on device", "disk_full", "no_space"),
    (r"ModuleNotFoundError", "import_error", "module_missing"),
    (r"FileNotFoundError", "data_missing", "file"),
    (r"command not found", "shell_error", "command_not_found"),
)


def analyze_logs(
    text: str | bytes | mmap,
    status: str,
    *,
    failure_reason: str | None = None,
    controller_log: str | bytes | None = None,
    patterns: Sequence[Pattern] = (),
) -> FailureInfo:
    """Find the root cause of one ended job.

    Parameters
    ----------
    text : its log, as text, bytes or a memory map
    status : SkyPilot's status
    failure_reason : what SkyPilot says
    controller_log : the log of provisioning and recovery
    patterns : the user's own failure patterns
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text[:]
    if status == "SUCCEEDED":
        return _info("none", None, "", 0, "status")
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.decode("utf-8", "replace")
        for regex, category, subcategory in _FIRST:
            if re.search(regex, line):
                return _info(category, subcategory, line.strip()[:500], number, "skeleton")
    return _info("unknown", None, "", 0, "none")


def _info(category: str, subcategory: str | None, line: str, number: int, rule: str) -> FailureInfo:
    cause = cause_of(category, subcategory)
    return FailureInfo(
        category=category,
        subcategory=subcategory,
        root_cause_id=root_cause_id_of(category, subcategory, exception_class=None, message=line),
        signature=signature_of(category, subcategory, exception_class=None, message=line),
        root_cause=f"{cause.definition}: {line}" if line else cause.definition,
        evidence=line or None,
        evidence_line=number or None,
        source="log" if line else "status",
        message=mask(line) or None,
        rule=rule,
        confidence=0.5 if line else 0.1,
        remedy=cause.remedy,
        auto_fixable=cause.remedy == "auto",
    )
