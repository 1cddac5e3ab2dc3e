"""Commands that report work on a store that can't be written, and say the same."""

import pytest

from fmon.manifest.file import read_manifest
from tests.support.read_only import read_only
from tests.support.world import CONDITIONS, World

FAILED = CONDITIONS[2:]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two of four failed; the config is not where it was."""
    world = World(tmp_path_factory.mktemp("archive"))
    world.launch()
    world.end(FAILED)
    world.config.unlink()
    world.task.unlink()
    return world


def run(world, *words):
    done = world.type(*words, "--data", world.data)
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.slow
@pytest.mark.parametrize("is_examined", [True, False])
def test_a_diagnosis_is_the_same_and_recorded_only_where_it_can_be(archive, is_examined):
    if not is_examined:  # then from the stored logs, without asking for others
        archive.store.findings.unlink()
        archive.store.unexamined.write_text("x\n")
    asked = list(archive.logs.asked)
    with read_only(archive.data):
        shown = run(archive, "diagnose")
    assert archive.events("diagnosis") == []
    assert archive.logs.asked == asked
    assert "nothing was recorded: " in shown.stderr
    assert "copy its data folder and use --data COPY" in shown.stderr
    events = archive.store.events.read_bytes()
    assert run(archive, "diagnose").stdout == shown.stdout
    assert len(archive.events("diagnosis")) == 1
    archive.store.events.write_bytes(events)


@pytest.mark.slow
def test_a_report_is_written_elsewhere_and_is_the_same(archive, tmp_path):
    manifest = read_manifest(archive.store)
    with read_only(archive.data):
        done = run(archive, "report", "--out-dir", tmp_path / "a")
    assert "nothing was recorded: " in done.stderr
    assert read_manifest(archive.store) == manifest
    run(archive, "report", "--out-dir", tmp_path / "b")
    for page in (tmp_path / "b").glob("*.jsonl"):
        lines, expected = (tmp_path / "a" / page.name).read_text(), page.read_text()
        assert lines.splitlines()[:-1] == expected.splitlines()[:-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("logs", "state=failed"),
        ("sql", "select condition_id, state from condition"),
        ("issues", "--out-dir"),
    ],
)
def test_what_only_reads_needs_no_copy(archive, tmp_path, words):
    with read_only(archive.data):
        done = run(archive, *words, *([tmp_path] if words[-1] == "--out-dir" else []))
    assert "nothing was recorded" not in done.stderr


@pytest.mark.slow
def test_a_folder_for_outputs_that_cant_be_written_is_named_with_the_option(archive, tmp_path):
    (tmp_path / "file").touch()
    for command in ("report", "issues"):
        done = archive.type(command, "--data", archive.data, "--out-dir", tmp_path / "file" / "x")
        assert done.exception.exit_code == 14
        assert "--out-dir DIR" in str(done.exception)
