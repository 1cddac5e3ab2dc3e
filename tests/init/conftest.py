import pytest

from tests.support.proposing import Proposed


@pytest.fixture(autouse=True)
def me(monkeypatch):
    """Who runs fmon."""
    monkeypatch.setenv("SKYPILOT_USER_ID", "aaaa1111")


@pytest.fixture
def propose(tmp_path):
    return lambda jobs, **options: Proposed(tmp_path, jobs, **options)
