import pytest

from fmon.store import compaction
from tests.support.stores import new_store


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path / "data")


@pytest.fixture
def small_tiers(monkeypatch):
    """Compaction after 3, 9 and 27 polls, and nobody to wait for."""
    monkeypatch.setattr(compaction, "TIERS", (3, 9, 27))
    monkeypatch.setattr(compaction, "GRACE_S", 0.0)
