"""The registry client against Debian's docker-registry and skopeo: a moved tag has another digest."""

import pytest

from fmon.clients.registry import digest_of
from fmon.errors import RegistryError
from tests.e2e.images import image, push

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def no_login(tmp_path, monkeypatch):
    """No credentials of the developer's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def test_a_moved_tag_has_another_digest_and_the_old_one_is_still_there(registry, tmp_path):
    reference = f"{registry}/study/train:v1"
    first = push(image(tmp_path / "first", "stale"), reference)
    assert digest_of(reference) == first
    second = push(image(tmp_path / "second", "fixed"), reference)
    assert digest_of(reference) == second != first
    assert digest_of(f"docker:{registry}/study/train@{first}") == first


def test_the_digest_of_an_index_is_its_own(registry, tmp_path):
    digest = push(image(tmp_path / "several", "all", is_index=True), f"{registry}/several:1")
    assert digest_of(f"{registry}/several:1") == digest


@pytest.mark.parametrize("reference", ["study/train:never", "nothing:1", "study/train@sha256:" + "0" * 64])
def test_what_was_never_pushed_is_not_there(registry, reference):
    with pytest.raises(RegistryError, match="has no image"):
        digest_of(f"{registry}/{reference}")
