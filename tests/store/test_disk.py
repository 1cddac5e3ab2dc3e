"""A disk that is full or read-only: refused with exit code 14, nothing lost, resumed later."""

import os
import shutil
import subprocess
from functools import partial

import pytest

from fmon.errors import StoreError
from fmon.events import AttachEvent
from fmon.manifest.file import read_manifest, write_manifest
from fmon.store.compaction import close
from fmon.store.events import append_event, read_events
from fmon.store.log import polls_of
from fmon.store.reading import listing
from tests.support.stores import START, failed_poll, manifest, new_store, poll, record, rows


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def disk(tmp_path):
    """A file system of 512 kB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root and mount to make a small file system")
    made = run("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder))
    if made.returncode:
        pytest.skip(f"can't mount a tmpfs here: {made.stderr.strip()}")
    yield folder
    run("mount", "-o", "remount,rw", str(folder))
    assert run("umount", str(folder)).returncode == 0


def fill(folder, *, leave):
    """Write until only so many bytes are left."""
    ballast = folder / "ballast"
    free = shutil.disk_usage(folder).free
    ballast.write_bytes(b"x" * (free - leave))
    return ballast


def everything(store):
    return {path: path.read_bytes() for path in sorted(store.path.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 4])
def test_a_disk_that_fills_in_the_middle_of_a_poll(disk, pages):
    """With 0 pages nothing fits; with a few, the state does and the log's file does not."""
    store = new_store(disk)
    many = [record(number, details="x" * 30) for number in range(60)]
    poll(store, 0, *many)
    polls, before = polls_of(store), rows(store)
    ballast = fill(disk, leave=4096 * pages)
    changed = [record(number, "FAILED", failure_reason=os.urandom(40).hex()) for number in range(60)]
    with pytest.raises(StoreError, match=r"No space left on device.*free some disk space") as refusal:
        poll(store, 1, *changed)
    assert refusal.value.exit_code == 14
    assert polls_of(store) == polls
    assert rows(store) == before
    assert not [name for name in listing(store.path) + listing(store.log_dir) if name.endswith(".tmp")]
    ballast.unlink()
    assert poll(store, 2, *changed) == (2, 60)
    assert poll(store, 3, *changed) == (3, 0)


def test_a_full_disk_keeps_manifest_and_audit(disk):
    store = new_store(disk)
    append_event(store, AttachEvent(at=START, jobs={}, source="first"))
    before = everything(store)
    ballast = fill(disk, leave=0)
    with pytest.raises(StoreError, match="No space left"):
        write_manifest(store, manifest(docker_image="x" * 5000))
    with pytest.raises(StoreError, match="No space left"):
        append_event(store, AttachEvent(at=START, jobs={}, source="x" * 5000))
    ballast.unlink()
    assert everything(store) == before
    assert [event.source for event in read_events(store)] == ["first"]
    assert read_manifest(store) == manifest()


def test_a_read_only_store_refuses_polls_and_can_be_read(disk):
    store = new_store(disk)
    poll(store, 0, record(1))
    assert run("mount", "-o", "remount,ro", str(disk)).returncode == 0
    for attempt in (
        lambda: poll(store, 1, record(1, "FAILED")),
        lambda: failed_poll(store, 1),
        lambda: write_manifest(store, manifest()),
        lambda: append_event(store, AttachEvent(at=START, jobs={}, source="x")),
        partial(close, store, now=START),
    ):
        with pytest.raises(StoreError, match="make the file system writable"):
            attempt()
    assert len(polls_of(store)) == 1
    assert read_manifest(store) == manifest()
    assert run("mount", "-o", "remount,rw", str(disk)).returncode == 0
    assert poll(store, 2, record(1)) == (2, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_without_permission_refuses_polls(store):
    poll(store, 0, record(1))
    store.log_dir.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="check the permissions"):
            poll(store, 1, record(1))
    finally:
        store.log_dir.chmod(0o700)
    assert poll(store, 2, record(1)) == (2, 0)
