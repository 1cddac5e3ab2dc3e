"""The MLflow runs on the page (floor 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.report.page.budget import Size


def metrics_of(runs: Sequence[dict[str, Any]], size: Size) -> list[str]:
    """Name the metrics that there is room for, in the order in which the runs have them."""
    return list(dict.fromkeys(name for run in runs for name in run["metrics"]))[: size.metrics]


def number(value: float | None) -> str:
    """Write a metric; empty where the run has none.

    Examples
    --------
    >>> number(0.8571428), number(1234567.0), number(3e-05), number(float("nan")), number(None)
    ('0.8571', '1.235e+06', '3e-05', 'nan', '')
    """
    return "" if value is None else f"{value:.4g}"
