"""fmon: monitor, diagnosis and dispatcher for factorial experiments on SkyPilot.

The public API; importing it loads no heavy library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from fmon.causes import FailureInfo, analyze_logs

__all__ = ["FailureInfo", "__version__", "analyze_logs", "connect"]


def connect(data: Path | str = "data", experiment: str | None = None) -> DuckDBPyConnection:
    """Open an in-memory DuckDB with the views over the experiments of a data directory.

    Parameters
    ----------
    data
        Data directory; ``~`` is expanded. Only the commands read ``$FMON_DATA``.
    experiment
        Experiment id or unique prefix; None = all experiments.

    Returns
    -------
    duckdb.DuckDBPyConnection
        A connection with the views of docs/views.md as of now; connect again to see newer polls.

    Raises
    ------
    fmon.errors.FmonError
        The experiment does not exist or its files are damaged; the message says what to do.

    Examples
    --------
    >>> con = fmon.connect("data")  # doctest: +SKIP
    >>> con.sql("from coverage").df()  # doctest: +SKIP
    """
    from pathlib import Path

    from fmon.warehouse import connect as open_views

    return open_views(Path(data).expanduser(), experiment)


def __getattr__(name: str) -> object:
    """Load the other names on first use: reading package metadata alone takes 20 ms."""
    if name in ("FailureInfo", "analyze_logs"):
        from fmon import causes

        return getattr(causes, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("fmon")
    raise AttributeError(f"module 'fmon' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
