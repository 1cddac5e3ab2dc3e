"""The time of ``fmon status`` for an experiment that is open for a year, compared with its first day.

Goals: <= 1.5 x per shown row, <= 3 x in total; <= 200 live files, <= 10 MB.
525,600 polls, 8,760 conditions, 24 starting each day, 5 changes each.
"""

import subprocess
import tempfile
from pathlib import Path

from idle import ENV, FMON, median_s
from year import build_year

from fmon.store.reading import reading_set


def shown_rows(data: Path) -> int:
    """Count the lines that ``fmon status`` prints."""
    said = subprocess.run(
        [FMON, "status", "--data", data], env=ENV, capture_output=True, text=True, check=True
    )
    return len(said.stdout.splitlines())


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as name:
        seconds, rows = {}, {}
        for days in (1, 365):
            data = Path(name) / str(days)
            store = build_year(data, days=days)
            rows[days] = shown_rows(data)
            seconds[days] = median_s([FMON, "status", "--data", str(data)], runs=5)
            paths = reading_set(store)
            size = sum(path.stat().st_size for path in paths) / 1e6
            print(
                f"{days:3} days: {len(paths):3} live files, {size:5.2f} MB, status {seconds[days]:5.2f} s,"
                f" {rows[days]} rows shown"
            )
        whole = seconds[365] / seconds[1]
        print(f"a year compared with its first day: {whole:.2f} x in total (goal 3)")
        print(f"{whole * rows[1] / rows[365]:.2f} x per shown row (goal 1.5)")


if __name__ == "__main__":
    main()
