"""Import pyarrow without numpy and therefore without pandas.

Both are optional for pyarrow, but it imports them if they are installed (SkyPilot depends on them): 0.35 s
instead of 0.05 s for numpy, and as much again for pandas with the first ``pyarrow.array``.
"""

import sys


def import_pyarrow_alone() -> None:
    """Import pyarrow in a process that belongs to fmon; do nothing if numpy is loaded already.

    Notes
    -----
    Only the command line may call this. Afterwards pyarrow has no ``to_numpy`` and ``to_pandas`` in this
    process, which a notebook that imports fmon may need.
    """
    if "numpy" in sys.modules or "pyarrow" in sys.modules:
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        import pyarrow.parquet  # noqa: F401
    finally:
        del sys.modules["numpy"]
