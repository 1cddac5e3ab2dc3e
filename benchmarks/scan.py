"""Speed and memory of finding the cause in a long log, compared with ripgrep with the same literals.

Goals: >= 1 x ripgrep on 500 MB, <= 64 MB resident, also for a log of 5 GB.
Memory is the peak of ``VmRSS`` in /proc, sampled every 2 ms: the process, its libraries, and the pages of the
mapped file that it has not released. On a busy machine, compare CPU time.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the corpus is in tests/

from fmon.causes.literals import LITERALS
from tests.corpus.noise import epochs, leftovers, recovered, setup, start, wandb_summary
from tests.corpus.score import items

MB = 1 << 20
CHILD = """
import json, mmap, os, sys, threading, time
from fmon.causes import analyze_logs

def resident_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

peak, done = [0], threading.Event()
def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], resident_kb())

before = resident_kb()
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
    threading.Thread(target=watch, daemon=True).start()
    wall, cpu = time.perf_counter(), time.process_time()
    info = analyze_logs(text, "FAILED")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
done.set()
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_kb": max(peak[0], resident_kb()), "idle_kb": before,
                  "category": info.category, "evidence_line": info.evidence_line}))
"""
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def write_log(path: Path, size_mb: int, *, cause: str, at_front: bool) -> None:
    """Write a log with typical training lines and one cause, after 1 MB or before the last 2 kB."""
    rng = random.Random(7)
    block = b""
    while len(block) < 8 * MB:
        lines = [*epochs(rng, 60), *recovered(rng)]
        block += ("\n".join(lines) + "\n").encode()
    head = ("\n".join([*setup(rng), *start(rng)]) + "\n").encode()
    tail = ("\n".join([*leftovers(rng), *wandb_summary(rng)]) + "\n").encode()
    with path.open("wb") as file:
        file.write(head + (block[:MB] + b"\n" + cause.encode() + b"\n" if at_front else b""))
        while file.tell() < size_mb * MB - len(tail):
            file.write(block)
        file.write((b"" if at_front else b"\n" + cause.encode() + b"\n") + tail)


def write_sparse(path: Path, size_mb: int, *, cause: str, at_front: bool) -> None:
    """Write a file with a hole in the middle: it reads as zeros, and as a single line."""
    text = f"epoch 1\n{cause}\n".encode()
    with path.open("wb") as file:
        file.write(text if at_front else b"epoch 1\n")
        file.truncate(size_mb * MB)
        file.seek(0, os.SEEK_END)
        file.write(b"\nepoch 2\n" if at_front else b"\n" + text)


def read_by_fmon(path: Path, *, runs: int) -> dict[str, float]:
    """Return the best of several runs, each in its own process, including compilation in the first call."""
    found = []
    for _ in range(runs):
        command = [sys.executable, "-c", CHILD, str(path)]
        out = subprocess.run(command, env=ENV, capture_output=True, text=True, check=True, timeout=900)
        found.append(json.loads(out.stdout))
    return min(found, key=lambda each: each["cpu_s"])


def read_by_ripgrep(path: Path, patterns: Path, *, runs: int) -> dict[str, float]:
    """Return the best of several runs of ``rg --count``, which uses one thread for one file."""
    command = ["rg", "--count", "--text", "--threads=1", "--ignore-case", "--fixed-strings", "--file"]
    found = []
    for _ in range(runs):
        wall, used = time.perf_counter(), os.times()
        subprocess.run([*command, str(patterns), str(path)], capture_output=True, check=False, timeout=900)
        now = os.times()
        cpu = now.children_user + now.children_system - used.children_user - used.children_system
        found.append({"wall_s": time.perf_counter() - wall, "cpu_s": cpu})
    return min(found, key=lambda each: each["cpu_s"])


def main() -> None:
    """Print the table, and delete the files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--sparse-mb", type=int, default=5 * 1024)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    cause = next(item["text"] for item in items("failures") if item["id"] == "v004")
    has_ripgrep = shutil.which("rg") is not None
    if not has_ripgrep:
        print("ripgrep is not installed (apt-get install ripgrep): no ratio")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        patterns = folder / "patterns"
        patterns.write_text("".join(f"{literal.strip()}\n" for literal in LITERALS))
        for what, write, size in (("log", write_log, asked.mb), ("sparse", write_sparse, asked.sparse_mb)):
            for at_front in (True, False):
                path = folder / "log"
                write(path, size, cause=cause, at_front=at_front)
                subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)  # into the page cache
                ours = read_by_fmon(path, runs=asked.runs)
                place = "in front" if at_front else "at the end"
                print(f"{what} of {size} MB, cause {place}: {ours['category']}")
                print(
                    f"    fmon    {ours['cpu_s']:6.2f} s CPU {ours['wall_s']:6.2f} s wall, "
                    f"{ours['peak_kb'] / 1024:5.1f} MB, of which {ours['idle_kb'] / 1024:.1f} before start"
                )
                if has_ripgrep:
                    rg = read_by_ripgrep(path, patterns, runs=asked.runs)
                    cpu, wall = (rg[each] / ours[each] for each in ("cpu_s", "wall_s"))
                    print(f"    ripgrep {rg['cpu_s']:6.2f} s CPU {rg['wall_s']:6.2f} s wall")
                    print(f"    fmon is {cpu:.2f} x as fast by CPU, {wall:.2f} x by the wall clock")
                path.unlink()


if __name__ == "__main__":
    main()
