"""Import pyarrow without numpy, and so without pandas.

Both are optional for pyarrow, yet it loads them where they are installed (SkyPilot brings them):
0.35 s instead of 0.05 s for numpy, as much again for pandas with the first ``pyarrow.array``.
"""

import sys


def import_pyarrow_alone() -> None:
    """Import pyarrow for a process that is fmon's own; nothing happens where numpy is loaded already.

    Notes
    -----
    Only the command line may call this. pyarrow then never offers ``to_numpy`` and ``to_pandas`` in
    this process, which a notebook that says ``import fmon`` would miss.
    """
    if "numpy" in sys.modules or "pyarrow" in sys.modules:
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        import pyarrow.parquet  # noqa: F401
    finally:
        del sys.modules["numpy"]
