"""The fake ``gh`` of tests/support against the real one: what fmon uses of it stands in its help."""

import re
import subprocess

import pytest

from tests.support.apt import NotInstalledError, program

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
    try:
        return program("gh")
    except NotInstalledError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("command", USED)
def test_the_real_gh_has_the_commands_and_flags_that_fmon_uses(gh, command):
    done = subprocess.run(
        [gh, *command.split(), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    known = set(re.findall(r"--[a-z-]+", done.stdout))
    assert known.issuperset(USED[command])
