"""One query over the stores of a folder, with only the views that it needs: all take a second to make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.warehouse import connect, rows

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def select(
    data: Path, sql: str, experiment: str | None = None, *, now: datetime | None = None
) -> list[dict[str, Any]]:
    """Run the query."""
    return rows(connect(data, experiment, now=now, queries=(sql,)), sql)
