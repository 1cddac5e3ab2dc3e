"""Conditions without a job: how they are counted, and whether they are waited for."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fmon.manifest.file import read_manifest, write_manifest
from fmon.manifest.stored import StoredExperiment
from fmon.monitor.queued import Queued, queued
from fmon.store.compaction import close
from fmon.terminal.status import print_status
from tests.support.dispatching import make_store
from tests.support.screens import MIXED, alarm, row, seen
from tests.support.studies import at

TWO = Queued(count=2, config_file="my configs/e.yaml", until=at(30))


def test_status_ends_with_the_count_and_the_command(capsys):
    print_status(seen(MIXED, queued=TWO), "table")
    assert (
        capsys.readouterr().out.splitlines()[-1] == "2 not submitted; next: fmon launch 'my configs/e.yaml'"
    )


@pytest.mark.parametrize(
    ("rows", "alarms", "waiting", "is_over"),
    [
        ([row(1, "succeeded")], [], None, True),
        ([row(1)], [], None, False),
        ([row(1, "succeeded")], [], TWO, False),
        ([row(1, "succeeded")], [], replace(TWO, until=None), True),
        ([row(1, "succeeded")], [], replace(TWO, until=at(10)), True),
        ([row(1, "succeeded")], ["kill_switch"], TWO, True),
    ],
)
def test_an_experiment_is_over_once_no_job_is_open_and_none_is_to_come(rows, alarms, waiting, is_over):
    fired = [alarm(3, kind=kind) for kind in alarms]
    assert seen(rows, fired, queued=waiting).is_over(at(10)) == is_over


def test_only_an_open_live_experiment_has_queued_conditions(tmp_path):
    store = make_store(tmp_path)
    manifest = read_manifest(store)
    manifest.submit_until = at(30)
    write_manifest(store, manifest)
    assert queued(StoredExperiment(store), 0) is None
    assert queued(StoredExperiment(store), 3) == Queued(
        count=3, config_file=manifest.config_file, until=at(30)
    )
    close(store, now=datetime.now(UTC))
    assert queued(StoredExperiment(store), 3) is None
    assert queued(StoredExperiment(make_store(tmp_path / "replay", is_replay=True)), 4) is None
