"""Read the fenced blocks of the README, run them, and write their output back into it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"```(?P<kind>\w+)\n(?P<text>.*?)```\n", re.DOTALL)


def blocks(kind: str) -> list[str]:
    """Give the texts of the README's blocks of one kind."""
    return [match["text"] for match in BLOCK.finditer(README.read_text()) if match["kind"] == kind]


def commands(block: str) -> list[str]:
    """Give the commands of a console block, without what they print."""
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def run(command: str, folder: Path) -> str:
    """Run one command of the README in a folder; give what it prints on stdout."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=True
    )
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def session(block: str, folder: Path) -> str:
    """Run a console block; give it with the output it has now."""
    return "".join(f"$ {command}\n{run(command, folder)}" for command in commands(block))


def rewrite(folder: Path) -> None:
    """Put into the README what its commands print now."""

    def again(match: re.Match[str]) -> str:
        text = session(match["text"], folder) if match["kind"] == "console" else match["text"]
        return f"```{match['kind']}\n{text}```\n"

    README.write_text(BLOCK.sub(again, README.read_text()))
