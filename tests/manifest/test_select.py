"""Selections: ids, levels by value, states and causes; a wrong word is refused with the nearest right one."""

import pytest

from fmon.errors import ConfigError
from fmon.manifest.file import read_manifest
from fmon.manifest.select import Current, needs_current, select
from tests.support.studies import study

FACTORS = {"model": ["dynunet", "sam3"], "lr": [1e-4, 1e-5], "calib": [True, False], "tag": ["1", "on"]}


@pytest.fixture
def manifest(tmp_path):
    """Sixteen conditions; the last factor varies fastest."""
    return read_manifest(study(tmp_path, FACTORS))


def current(state="succeeded", causes=(), earlier=()):
    return Current(state, frozenset(causes), frozenset(causes) | frozenset(earlier))


@pytest.fixture
def now(manifest):
    """c1 and c2 have failed of the same, c3 runs after a failure, all others have succeeded."""
    found = {entry.condition: current() for entry in manifest.jobs}
    oom = "cuda_oom/torch"
    return found | {
        "c1": current("failed", [oom]),
        "c2": current("failed", [oom]),
        "c3": current("running", (), ["enospc/x"]),
    }


def names(*numbers):
    return [f"c{number}" for number in numbers]


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ([], []),
        (["c3"], names(3)),
        (["model=sam3"], names(*range(9, 17))),
        (["model=sam3", "lr=0.0001", "calib=true"], names(9, 10)),
        (["model=sam3", "lr=1e-4", "calib=True", "tag=1", "tag=on"], names(9, 10)),
        (["lr=1E-4", "lr=1.0e-4", "calib=true", "tag=1"], names(1, 9)),
        (["lr=0.00001", "calib=false", "tag=1", "model=sam3"], names(15)),
        (["c1", "model=sam3", "lr=1e-05", "calib=false"], names(1, 15, 16)),
        (["state=failed"], names(1, 2)),
        (["state=failed", "tag=on"], names(2)),
        (["state=failed", "state=running"], names(1, 2, 3)),
        (["cause=cuda_oom/torch", "state=failed", "c9"], names(1, 2, 9)),
        (["cause=enospc/x"], []),
        (["state=lost"], []),
    ],
)
def test_factors_narrow_levels_of_one_factor_widen_and_ids_are_added(manifest, now, words, chosen):
    assert list(select(manifest, words, now)) == chosen


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("c99", "has no condition 'c99'; did you mean"),
        ("modle=sam3", "unknown factor 'modle' in modle=sam3; did you mean 'model'"),
        ("model=sam", "model has no level 'sam'; did you mean 'sam3'"),
        ("lr=1e-3", "lr has no level '1e-3'"),
        ("lr=nan", "lr has no level 'nan'"),
        ("tag=1.0", "tag has no level '1.0'"),
        ("calib=1", "calib has no level '1'"),
        ("state=done", "unknown state 'done' in state=done"),
        ("cause=cuda_oom/torhc", "has no root cause 'cuda_oom/torhc'; did you mean 'cuda_oom/torch'"),
    ],
)
def test_a_word_that_means_nothing_is_refused(manifest, now, word, sentence):
    with pytest.raises(ConfigError) as fault:
        select(manifest, [word], now)
    assert sentence in str(fault.value)


def test_a_number_is_found_as_it_is_written_in_the_config(tmp_path):
    manifest = read_manifest(study(tmp_path, {"batch": [16, 32, 0]}))
    for word in ("batch=0x10", "batch=16", "batch=1.6e1", "batch=0X10"):
        assert list(select(manifest, [word])) == names(1)
    with pytest.raises(ConfigError, match="batch has no level '0x11'"):
        select(manifest, ["batch=0x11"])


def test_each_condition_knows_the_words_that_select_it(manifest):
    assert select(manifest, ["c1", "model=sam3", "tag=1"])["c1"] == "c1"
    assert select(manifest, ["c1", "model=sam3", "tag=1"])["c9"] == "model=sam3 tag=1"


def test_only_states_and_causes_need_to_know_what_is_at_the_moment():
    assert not needs_current(["c1", "model=sam3", "state"])
    assert needs_current(["c1", "state=failed"])
    assert needs_current(["cause=x"])
