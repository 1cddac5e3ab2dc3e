"""The agent skill and docs/integrations.md name only what fmon has, and their commands run on the demo."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml
from typer.main import get_command

from fmon.cli.app import app
from tests.support import ROOT
from tests.support.readme import BLOCK, commands, run

SKILL = ROOT / "skills/factorial-monitor/SKILL.md"
DOCUMENT = ROOT / "docs/integrations.md"
TEXTS = [SKILL, ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CALL = re.compile(r"\bfmon ([a-z]+(?: (?:plan|record|run|verify)\b)?)([^`\n]*)")


def known():
    """List every command with its flags, as Typer has them."""
    found = {}
    for name, command in get_command(app).commands.items():
        for inner, each in {"": command, **getattr(command, "commands", {})}.items():
            flags = {flag for param in each.params for flag in param.opts}
            found[f"{name} {inner}".strip()] = flags
    return found


def calls(path):
    """List the commands and flags that a text names in code."""
    text = path.read_text()
    code = [*re.findall(r"`(fmon [^`\n]+)`", text), *(match["text"] for match in BLOCK.finditer(text))]
    for block in code:
        for name, rest in CALL.findall(block):
            yield name, re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest.partition("&&")[0].partition(' "')[0])


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_command_and_flag_it_names_exists(path):
    found, named = known(), list(calls(path))
    assert len(named) > 8 or path not in (SKILL, DOCUMENT)
    assert [name for name, _ in named if name not in found] == []
    assert [(name, flag) for name, flags in named for flag in flags if flag not in found[name]] == []


def test_the_skill_drives_all_six_phases():
    named = {name for name, _ in calls(SKILL)}
    phases = {
        "launch",
        "watch",
        "diagnose",
        "fix plan",
        "fix verify",
        "relaunch",
        "report",
        "issues",
        "audit",
    }
    assert phases <= named


def test_the_skills_front_matter_is_read_as_yaml():
    front = yaml.safe_load(SKILL.read_text().split("---\n")[1])
    assert front["name"] == SKILL.parent.name
    assert front["relations"]["compose_with"] == [
        "ralph-loop",
        "self-learning-iterative-coder",
        "issue-creator",
    ]
    assert {"version", "description", "activation", "invocation"} <= front.keys()


@pytest.mark.slow
def test_what_needs_no_server_runs_on_the_demo(tmp_path):
    shutil.copytree(ROOT / "data/demo", tmp_path / "data/demo")
    (tmp_path / "wandb.csv").write_text("condition_id,val_dice\ndynunet-dice_ce-0,0.8\n")
    run("fmon replay data/demo", tmp_path)
    blocks = [(match["kind"], match["text"]) for match in BLOCK.finditer(DOCUMENT.read_text())]
    typed = [command for kind, text in blocks if kind == "console" for command in commands(text)]
    assert len(typed) == 3
    for command in typed:
        run(command, tmp_path)
    assert list((tmp_path / "reports/issues").rglob("*.md"))
    told = [
        subprocess.run(
            [sys.executable, "-c", text],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for kind, text in blocks
        if kind == "python"
    ]
    assert told[0].startswith("cuda_oom config ")
    assert "0.8" in told[1]
