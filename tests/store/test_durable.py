"""One file, written as a whole or not at all."""

import os
import subprocess
import sys
import threading
import time

import pytest

from fmon.errors import StoreError
from fmon.store.durable import LockTaken, lock, remove_temps, write_durably
from fmon.store.reading import listing


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    write_durably(path, b"old")
    write_durably(path, memoryview(b"new"))
    assert path.read_bytes() == b"new"
    assert listing(path.parent) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_fault_leaves_the_old_file_and_no_temp(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    write_durably(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(StoreError, match=r"can't write .*file \(No space left.*free some disk space"):
            write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["file"]


def test_data_is_on_disk_before_the_rename_and_the_rename_before_the_return(tmp_path, monkeypatch):
    calls = []
    for name in ("write", "fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, r=real: (calls.append(n), r(*args))[1])
    write_durably(tmp_path / "file", b"x")
    assert calls == ["write", "fsync", "replace", "fsync"]


def test_a_write_in_small_pieces_is_finished(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data)[:3]))
    write_durably(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_temps_are_removed_and_young_ones_spared_where_asked(tmp_path):
    for name in (".file.1-ab.tmp", "file.tmp", ".hidden"):
        (tmp_path / name).touch()
    names = listing(tmp_path)
    remove_temps(tmp_path, names, older_than_s=3600)
    assert len(listing(tmp_path)) == 3
    remove_temps(tmp_path, names)
    assert sorted(listing(tmp_path)) == [".hidden", "file.tmp"]


def test_a_lock_that_is_held_is_refused_and_free_again_when_its_holder_dies(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys, time, pathlib; from fmon.store.durable import lock\n"
        "with lock(pathlib.Path(sys.argv[1]), wait_s=0): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockTaken), lock(path, wait_s=0.05):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with lock(path, wait_s=1):
        pass


def test_who_waits_gets_the_lock_though_the_other_takes_it_again_at_once(tmp_path):
    path = tmp_path / "lock"
    turns, stop = [], threading.Event()

    def greedy():
        while not stop.is_set():
            with lock(path, wait_s=60):
                turns.append(None)
                time.sleep(0.01)

    other = threading.Thread(target=greedy)
    other.start()
    try:
        for _ in range(10):
            time.sleep(0.03)
            before = len(turns)
            with lock(path, wait_s=60):
                assert len(turns) - before <= 20  # its turns while we came to the turnstile, none after
    finally:
        stop.set()
        other.join()


def test_a_lock_in_a_folder_that_is_gone_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="can't lock"), lock(tmp_path / "gone" / "lock", wait_s=0):
        pass
