import pytest

from tests.support.stores import new_store


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path / "data")
