"""Shell completion, as a shell asks for it: what is offered, and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.studies import NAME, study

FMON = Path(sys.executable).with_name("fmon")


@pytest.fixture
def data(tmp_path):
    study(tmp_path / "data", {"model": ["dynunet", "sam3"], "fold": [0, 1]})
    return tmp_path / "data"


def complete(data, line):
    """Ask for the completions of a line whose last word is being typed, split as bash splits it."""
    words = line.replace("=", " = ").split(" ")
    words = [word for word in words[:-1] if word] + words[-1:]
    done = subprocess.run(
        [FMON],
        env={
            **os.environ,
            "_FMON_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "FMON_DATA": str(data),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("command", ["status -e st", "report st", "poll st", "compare st", "fix plan -e st"])
def test_experiments_complete(data, command):
    assert complete(data, f"fmon {command}") == [NAME]


@pytest.mark.slow
def test_conditions_levels_and_states_complete(data):
    assert complete(data, "fmon status c") == ["c1", "c2", "c3", "c4"]
    assert complete(data, "fmon cancel mod") == ["model=dynunet", "model=sam3"]
    assert complete(data, "fmon relaunch state") == [
        f"state={state}"
        for state in ("succeeded", "failed", "running", "pending", "lost", "missing", "cancelled")
    ]


@pytest.mark.slow
def test_conditions_are_those_of_the_given_experiment(data):
    other = study(data, {"lr": [1]}, experiment_id="other-20260322T050000Z")
    assert complete(data, f"fmon status -e {other.experiment_id} l") == ["lr=1"]
    assert complete(data, f"fmon status -e {NAME} fold") == ["fold=0", "fold=1"]


@pytest.mark.slow
def test_bash_splits_a_level_at_its_equals_sign(data):
    assert complete(data, "fmon watch model=s") == ["sam3"]
    assert complete(data, "fmon watch model=") == ["dynunet", "sam3"]


@pytest.mark.slow
def test_views_and_columns_complete_in_a_query(data):
    assert "coverage_matrix" in complete(data, "fmon sql cover")
    assert complete(data, "fmon sql expected_c") == ["expected_count"]


@pytest.mark.slow
@pytest.mark.parametrize("manifest", [b"{", b"\xff\x00", b"[]"])
def test_with_a_broken_store_completion_offers_nothing(data, manifest):
    (data / NAME / "manifest.json").write_bytes(manifest)
    assert complete(data, "fmon status c") == []
    assert complete(data, "fmon status -e s") == [NAME]
    (data / NAME / "manifest.json").unlink()
    assert complete(data, "fmon status -e s") == complete(data / "nowhere", "fmon status c") == []
