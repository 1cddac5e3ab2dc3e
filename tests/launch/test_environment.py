"""``--env-file``: what it has reaches every job, and its values nothing else."""

import json
import os
from collections import UserDict
from pathlib import Path

import pytest

from fmon.errors import ConfigError
from fmon.launch.environment import Environment, read_environment
from fmon.manifest.file import read_manifest
from tests.support.launching import TASK, launching_world
from tests.support.relaunching import Repository

SECRET = "hf_very_secret"


@pytest.fixture
def written(tmp_path):
    """Write an env file and read it."""

    def read(text, environ=None):
        path = tmp_path / "study.env"
        path.write_text(text)
        return read_environment(environ or {}, path)

    return read


# The file


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("A=1\nB=two words\n", {"A": "1", "B": "two words"}),
        ("# comment\n\nexport A=1  # why\n", {"A": "1"}),
        ("A='x # y'\nB=\"line\\nbreak\"\n", {"A": "x # y", "B": "line\nbreak"}),
        ("A=https://x?a=b&c=d\n", {"A": "https://x?a=b&c=d"}),
        ("A=\n", {"A": ""}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("", {}),
    ],
)
def test_it_has_the_syntax_of_dotenv(written, text, passed):
    assert dict(written(text).passed) == passed


def test_a_name_alone_takes_its_value_from_the_environment(written):
    assert dict(written("A\nB\n", {"A": "outer"}).passed) == {"A": "outer"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"A=1\n\n={SECRET}\n", 3),
        (f"A=1\nmy-name={SECRET}\n", 2),
        (f'A="{SECRET}\n', 1),
        (f"1A={SECRET}\n", 1),
    ],
)
def test_a_line_that_is_not_a_variable_is_reported_without_its_text(written, text, line):
    with pytest.raises(ConfigError, match=rf"study\.env, line {line}: this is not NAME=value") as refusal:
        written(text)
    assert SECRET not in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.env does not exist, .*--env-file"):
        read_environment({}, tmp_path / "gone.env")
    with pytest.raises(ConfigError, match="is a directory; pass a file of NAME=value lines with --env-file"):
        read_environment({}, tmp_path)


def test_a_pipe_is_refused_since_it_can_not_be_read_again(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe does not exist, or is not a regular file; pass its path"):
        read_environment({}, tmp_path / "pipe")
    with pytest.raises(ConfigError, match="does not exist"):
        read_environment({}, tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "is not UTF-8 text .*; give the path of the env file"),
        (b"A=a\x00b\n", "has a NUL byte, .* is it the env file"),
        (b"A=1\n" * 10_001, "has more than 10,000 lines; is it the env file"),
        (b"A=" + b"x" * 1_000_000, "is larger than 1 MB; is it the env file"),
    ],
    ids=["binary", "nul", "lines", "bytes"],
)
def test_what_is_no_env_file_is_refused(tmp_path, content, said):
    (tmp_path / "x.env").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_environment({}, tmp_path / "x.env")


class Counted(UserDict):
    """An environment that counts how often it is copied."""

    copies = 0

    def __iter__(self):
        self.copies += 1
        return super().__iter__()


def test_the_environment_is_copied_once_however_many_variables_there_are(written):
    outer = Counted(OUTER="o")
    found = written("".join(f"A{number}=${{OUTER}}\n" for number in range(100)), outer)
    assert set(found.passed.values()) == {"o"}
    assert outer.copies == 1


@pytest.mark.parametrize(
    ("text", "passed", "incomplete"),
    [
        ("A=${OUTER}-x\nB=${A}-y\n", {"A": "o-x", "B": "o-x-y"}, ()),
        ("OUTER=inner\nA=$OUTER\n", {"OUTER": "inner", "A": "inner"}, ()),
        ("A=${UNSET:-default}\nB=pa$word\n", {"A": "default", "B": "pa$word"}, ()),
        ("A=https://${UNSET}@host\nB=$UNSET\nC=${A}\n", {"A": "", "B": "", "C": ""}, ("A", "B", "C")),
        ("EMPTY=\nA=${EMPTY}\n", {"EMPTY": "", "A": ""}, ("A",)),
    ],
)
def test_placeholders_are_replaced_by_what_is_above_or_in_the_environment(written, text, passed, incomplete):
    found = written(text, {"OUTER": "o"})
    assert (dict(found.passed), found.incomplete) == (passed, incomplete)


def test_its_path_is_absolute_whatever_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "x.env").write_text("A=1\n")
    monkeypatch.chdir(tmp_path)
    assert read_environment({}, Path("x.env")).env_file == tmp_path / "x.env"


def test_values_are_not_in_the_representation(written):
    assert SECRET not in repr(written(f"HF_TOKEN={SECRET}\n", {"OTHER": SECRET}))


def test_the_file_takes_precedence_over_the_environment_and_fills_placeholders():
    given = Environment(environ={"A": "outer", "B": "b"}, passed={"A": "inner", "EMPTY": ""})
    assert (given.get("A"), given.get("B"), given.get("C"), given.get("EMPTY")) == ("inner", "b", None, None)
    assert given.filled("${A}-${B}-${C}-$A") == "inner-b-${C}-$A"
    assert given.unresolved("${A}-${C}-${D}") == ["C", "D"]
    assert (given.filled("$B"), given.unresolved("$D"), given.unresolved("x$D")) == ("b", ["D"], [])


# Launches


@pytest.fixture
def sky(tmp_path):
    made = launching_world(tmp_path)
    made.write(task=TASK + "envs: {HF_TOKEN: '${HF_TOKEN}'}\nsecrets: {KEY: }\n")
    made.env_file = made.project / "study.env"
    made.env_file.write_text(f"HF_TOKEN={SECRET}\nKEY=k_{SECRET}\nEXTRA=1\n")
    return made


def submitted(world):
    """The task YAMLs that were submitted, in order."""
    return [each.task_yaml for submitter in world.submitters for each in submitter.submitted]


def stored(world):
    return "".join(path.read_text(errors="replace") for path in world.data.rglob("*") if path.is_file())


def test_without_the_file_nothing_is_launched(sky):
    with sky.refused(ConfigError, "declares HF_TOKEN, KEY without a value; pass a file with --env-file"):
        sky.launch()


def test_the_manifest_has_its_path_and_its_names_and_nothing_has_its_values(sky):
    sky.launch(env_file=sky.env_file)
    manifest = read_manifest(sky.store)
    assert manifest.env_file == str(sky.env_file)
    assert manifest.env_file_names == ["EXTRA", "HF_TOKEN", "KEY"]
    assert SECRET not in stored(sky)
    assert SECRET not in repr(manifest)


@pytest.mark.slow
def test_a_resumed_launch_reads_the_file_again(sky):
    sky.launch(env_file=sky.env_file)
    sky.env_file.write_text("HF_TOKEN=rotated\nKEY=k\nEXTRA=1\n")
    sky.write(sky.config.read_text().replace("sam3]", "sam3, unet]"), sky.task.read_text())
    sky.launch()
    assert read_manifest(sky.store).env_file == str(sky.env_file)
    assert "rotated" in submitted(sky)[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda path: path.unlink(),
            r"the env file .*study\.env, which the jobs of .* no longer exists; .*--env-file",
        ),
        (lambda path: path.write_text(f"HF_TOKEN={SECRET}\n"), r"study\.env no longer has EXTRA, KEY, which"),
    ],
)
def test_a_resumed_launch_refuses_before_the_first_job_if_it_is_gone_or_lacks_a_name(sky, change, said):
    sky.launch(env_file=sky.env_file)
    change(sky.env_file)
    sky.write(sky.config.read_text().replace("sam3]", "sam3, unet]"), sky.task.read_text())
    before = len(sky.server.jobs)
    with pytest.raises(ConfigError, match=said) as refusal:
        sky.launch()
    assert SECRET not in str(refusal.value)
    assert len(sky.server.jobs) == before
    other = sky.project / "other.env"
    other.write_text("HF_TOKEN=t\nKEY=k\n")
    sky.launch(env_file=other)
    assert len(sky.server.jobs) == before + 2
    assert read_manifest(sky.store).env_file == str(other)


@pytest.fixture
def failed(tmp_path):
    """Launched with an env file; one condition failed, was diagnosed and fixed."""
    made = Repository(tmp_path)
    env_file = tmp_path / "study.env"
    env_file.write_text(f"HF_TOKEN={SECRET}\n")
    made.launch(env_file=env_file)
    made.end(["sam3-dice_ce"])
    made.diagnose()
    made.fix()
    return made, env_file


@pytest.mark.slow
def test_a_relaunch_reads_the_file_of_the_launch_again(failed):
    world, env_file = failed
    env_file.write_text("HF_TOKEN=rotated\n")
    world.relaunch()
    assert "rotated" in submitted(world)[-1]
    assert "rotated" not in stored(world)


@pytest.mark.slow
def test_a_relaunch_refuses_if_the_file_is_gone_and_takes_another_one(failed):
    world, env_file = failed
    other = env_file.rename(env_file.with_name("moved.env"))
    before = len(world.server.jobs)
    with pytest.raises(ConfigError, match=r"study\.env, which the jobs of .* no longer exists"):
        world.relaunch()
    assert len(world.server.jobs) == before
    world.relaunch(env_file=other)
    assert SECRET in submitted(world)[-1]
    assert json.loads((world.store.path / "manifest.json").read_text())["env_file"] == str(other)
