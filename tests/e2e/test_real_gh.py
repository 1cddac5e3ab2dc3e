"""The fake ``gh`` of tests/github against the real one: what fmon uses of it stands in its help."""

import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.real

USED = {
    "issue list": ["--repo", "--label", "--search", "--state", "--limit", "--json"],
    "issue create": ["--repo", "--title", "--body-file", "--label"],
    "issue comment": ["--repo", "--body-file"],
    "issue view": ["--repo", "--json"],
    "label list": ["--repo", "--limit", "--json"],
    "label create": ["--repo", "--description", "--color"],
    "repo view": ["--json", "--jq"],
}


@pytest.fixture(scope="module")
def gh() -> str:
    found = shutil.which("gh")
    if found is None:
        command = ["apt-get", "install", "-y", "-q", "gh"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as fault:
            pytest.skip(f"no gh here, and apt-get does not bring it: {fault}")
        found = shutil.which("gh")
    assert found, "apt-get installed gh, and it is not on the PATH"
    return found


@pytest.mark.parametrize("command", USED)
def test_the_real_gh_has_the_commands_and_flags_that_fmon_uses(gh, command):
    done = subprocess.run(
        [gh, *command.split(), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    known = set(re.findall(r"--[a-z-]+", done.stdout))
    assert known.issuperset(USED[command])
