"""``fmon poll`` as a process against a live SkyPilot server, compared with curl and ``sky jobs queue``.

Starts no server: it uses the one that the environment points to, or the one in ``--realsky FOLDER``
(started by ``tests/e2e/realsky/up.sh``). The goal: what fmon adds on top of the bare requests is
at most 1/6 of what SkyPilot's own command adds, with at most 1/2 of its memory.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MAX_ADDED = 1 / 6
MAX_MEMORY = 1 / 2
HEAVY = {"sky", "polars", "duckdb", "pandas"}
FMON = str(Path(sys.executable).with_name("fmon"))


class Run(NamedTuple):
    """Time and memory of one process."""

    seconds: float
    peak_mb: float


def run(command: list[str], environ: dict[str, str]) -> Run:
    """Run a command; if it fails, the benchmark ends."""
    with tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            out.seek(0)
            words = out.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{shlex.join(command)[:200]} ended with {process.returncode}:\n{words}")
    return Run(seconds, usage.ru_maxrss / 1024)


def environment(realsky: Path | None) -> dict[str, str]:
    """Return the environment in which fmon and sky find the server, with byte code as in production."""
    environ = dict(os.environ)
    if realsky:
        script = f'. "{realsky}/env.sh" && env -0'
        told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=20)
        environ = dict(item.split("=", 1) for item in told.stdout.split("\0") if "=" in item)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return environ


def curl_script(folder: Path) -> str:
    """Write the same two requests as a shell script."""
    from fmon.sky.endpoint import find_endpoint
    from fmon.sky.protocol import GET_PATH, QUEUE_PATH, queue_body, request_headers

    endpoint = find_endpoint()
    (folder / "body.json").write_bytes(queue_body(endpoint))
    headers = {**request_headers(endpoint), "Content-Type": "application/json"}
    given = " ".join("-H " + shlex.quote(f"{name}: {value}") for name, value in headers.items())
    curl = f"curl -sSf -m 120 {given}"
    return (
        f"id=$({curl} -D - -o /dev/null --data-binary @{shlex.quote(str(folder / 'body.json'))} "
        f"{shlex.quote(endpoint.url + QUEUE_PATH)} | tr -d '\\r' | sed -n 's/^x-skypilot-request-id: //ip')\n"
        f'{curl} -o /dev/null "{endpoint.url}{GET_PATH}$id"\n'
    )


def adopt_something(folder: Path, environ: dict[str, str]) -> int:
    """Create an experiment from jobs in the queue; a missing condition keeps it open."""
    from fmon.sky.http_queue import HttpQueue

    records = HttpQueue().read().records
    names = sorted({record.job_name for record in records if record.job_name and "'" not in record.job_name})
    levels = ", ".join(f"'{name}'" for name in [*names[:20], "fmon-benchmark-no-such-job"])
    (folder / "train.yaml").write_text("run: 'true'\n")
    (folder / "experiment.yaml").write_text(
        "experiment_name: benchmark_poll\nskypilot_yaml: train.yaml\n"
        f"factors: {{job: [{levels}]}}\njob_name: '{{job}}'\nprices: {{H100: {{on_demand: 1}}}}\n"
    )
    run([FMON, "adopt", str(folder / "experiment.yaml"), "--data", str(folder / "data")], environ)
    return len(records)


def measure(commands: dict[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run all commands in turn, so that server load affects all of them; the first round is a warm-up."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            one = command()
            if number:
                runs[name].append(one)
    return runs


def heavy_modules(*arguments: str) -> set[str]:
    """Return the heavy packages that a clean interpreter loads."""
    command = [sys.executable, "-X", "importtime", *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return HEAVY & {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}


def report(runs: dict[str, list[Run]], record_count: int) -> bool:
    """Print the table; return whether the goals are met."""
    middle = {
        name: Run(*(statistics.median(column) for column in zip(*each, strict=True)))
        for name, each in runs.items()
    }
    bare, poll, sky = middle.values()
    print(f"queue of {record_count} records, median of n={len(runs['fmon poll'])}, taken in turn")
    print(f"{'':28}{'time [s]':>10}{'adds [s]':>10}{'peak [MB]':>11}")
    for name, one in middle.items():
        print(f"{name:28}{one.seconds:10.2f}{one.seconds - bare.seconds:10.2f}{one.peak_mb:11.0f}")
    added, memory = (poll.seconds - bare.seconds) / (sky.seconds - bare.seconds), poll.peak_mb / sky.peak_mb
    print(f"fmon adds {added:.3f} of what the CLI adds (goal <= {MAX_ADDED:.3f})")
    print(f"fmon needs {memory:.2f} of the CLI's memory (goal <= {MAX_MEMORY:.2f})")
    return added <= MAX_ADDED and memory <= MAX_MEMORY


def main() -> int:
    """Measure; return exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--realsky", type=Path, help="folder of a real SkyPilot started by tests/e2e/realsky")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command (default 5)")
    args = parser.parse_args()
    environ = environment(args.realsky)
    os.environ.clear()
    os.environ.update(environ)
    sys.dont_write_bytecode = False
    from fmon.errors import FmonError

    sky = shutil.which("sky", path=environ.get("PATH"))
    if not sky or not shutil.which("curl"):
        print("poll: not measured; it needs `sky` and `curl` on the PATH")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            record_count = adopt_something(folder, environ)
        except FmonError as reason:
            print(f"poll: not measured; it needs a running SkyPilot server (--realsky FOLDER): {reason}")
            return 0
        data = str(folder / "data")
        commands = {
            "curl, the same two requests": lambda: run(
                ["bash", "-c", "set -e\n" + curl_script(folder)], environ
            ),
            "fmon poll": lambda: run([FMON, "poll", "--data", data], environ),
            "sky jobs queue -a -o json": lambda: run([sky, "jobs", "queue", "-a", "-o", "json"], environ),
        }
        runs = measure(commands, args.rounds)
    by_import, by_help = heavy_modules("-c", "import fmon"), heavy_modules(FMON, "--help")
    print(f"of {sorted(HEAVY)}, import fmon loads {by_import or 'none'}, fmon --help {by_help or 'none'}")
    return 0 if report(runs, record_count) and not by_import | by_help else 1


if __name__ == "__main__":
    sys.exit(main())
