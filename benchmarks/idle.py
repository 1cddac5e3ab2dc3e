"""The time of a poll when nothing is open, and the cost of 365 ended experiments next to an open one.

Goals: nothing open <= 1.5 x ``python -c "import typer"``;
``poll`` and ``status`` with 365 ended experiments <= 1.5 x those of the open one alone.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FMON = str(Path(sys.executable).with_name("fmon"))
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
CONFIG = """\
experiment_name: {name}
skypilot_yaml: train.yaml
factors: {{model: [a, b, c, d], fold: [0, 1, 2, 3, 4, 5]}}
job_name: "{name}-{{model}}-{{fold}}"
"""


def median_s(command: list[str], *, runs: int = 15) -> float:
    """Return the wall time of a process [s], the median of several runs after a warm-up."""
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run(command, env=ENV, capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def make(folder: Path, name: str, status: str) -> Path:
    """Adopt one experiment of 24 jobs from a queue file; return that file."""
    folder.mkdir(exist_ok=True)
    (folder / "train.yaml").write_text("run: 'true'\n")
    (folder / f"{name}.yaml").write_text(CONFIG.format(name=name))
    jobs = [
        {"job_id": number, "job_name": f"{name}-{model}-{fold}", "status": status, "submitted_at": 1.7e9}
        for number, (model, fold) in enumerate(((m, f) for m in "abcd" for f in range(6)), start=1)
    ]
    queue = folder / f"{name}.json"
    queue.write_text(json.dumps(jobs))
    command = [
        FMON,
        "adopt",
        str(folder / f"{name}.yaml"),
        "--queue",
        f"file:{queue}",
        "--data",
        str(folder / "data"),
    ]
    subprocess.run(command, env=ENV, capture_output=True, check=True)
    return queue


def copies(data: Path, count: int) -> None:
    """Copy the ended experiment under other ids; the copies are closed like the original."""
    ended = next(data.glob("past-*"))
    for number in range(count - 1):
        stamp = f"{2000 + number // 28 // 12}{number // 28 % 12 + 1:02}{number % 28 + 1:02}T000000Z"
        copy = data / f"past-{stamp}"
        shutil.copytree(ended, copy)
        manifest = copy / "manifest.json"
        manifest.write_text(manifest.read_text().replace(ended.name, copy.name))


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        typer = median_s([sys.executable, "-c", "import typer"])
        idle = median_s([FMON, "poll", "--data", str(folder / "none")])
        print(f"import typer                     {typer * 1e3:7.1f} ms")
        print(f"poll, nothing open               {idle * 1e3:7.1f} ms  {idle / typer:5.2f} x  (goal 1.5)")
        queue = make(folder, "open", "RUNNING")
        poll = [FMON, "poll", "--queue", f"file:{queue}", "--data", str(folder / "data")]
        status = [FMON, "status", "open", "--data", str(folder / "data")]
        alone = [median_s(poll), median_s(status)]
        make(folder, "past", "SUCCEEDED")
        copies(folder / "data", 365)
        for what, before, command in zip(("poll", "status"), alone, (poll, status), strict=True):
            after = median_s(command)
            print(f"{what + ', one open alone':32} {before * 1e3:7.1f} ms")
            print(
                f"{what + ', with 365 ended':32} {after * 1e3:7.1f} ms  {after / before:5.2f} x  (goal 1.5)"
            )


if __name__ == "__main__":
    main()
