"""The stored log around the line that decided about a root cause (floor 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.diagnose.excerpt import excerpt_of
from fmon.sky.logs import LogAsk
from fmon.store.job_logs import load_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.diagnose.excerpt import Excerpt
    from fmon.store.folder import Store


def excerpt(store: Store, cause: Mapping[str, Any]) -> Excerpt | None:
    """Read the lines around the evidence of a cause.

    Parameters
    ----------
    store : the experiment
    cause : evidence, evidence_source, evidence_job_id, evidence_line (of views ``cause`` and ``issue``)

    Returns
    -------
    Excerpt or None
        None where it stood in no log, or the log is not stored.
    """
    if cause["evidence_source"] not in ("log", "controller_log") or cause["evidence_line"] is None:
        return None
    asked = LogAsk(cause["evidence_job_id"], is_controller=cause["evidence_source"] == "controller_log")
    text = load_log(store, asked.file_name)
    if text is None:
        return None
    return excerpt_of(
        text,
        job_id=asked.job_id,
        is_controller=asked.is_controller,
        number=cause["evidence_line"],
        evidence=cause["evidence"] or "",
    )
