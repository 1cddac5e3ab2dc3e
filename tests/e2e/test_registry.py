"""The registry client against Debian's docker-registry and skopeo: a moved tag has another digest."""

import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from fmon.errors import RegistryError
from fmon.registry import digest_of

pytestmark = pytest.mark.real
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(autouse=True)
def no_login(tmp_path, monkeypatch):
    """No credentials of the developer's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry of this test alone on loopback, gone after it."""
    for program in ("docker-registry", "skopeo"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install docker-registry skopeo")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
                "http": {"addr": host},
            }
        )
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        try:
            _wait_for(host, server, folder / "log")
            yield host
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(host, server, log):
    address, _, port = host.partition(":")
    for _ in range(100):
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection((address, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())


def image(folder: Path, content: str, *, is_index: bool = False) -> Path:
    """Make a tiny image as an OCI layout: one layer with one file."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        file = tarfile.TarInfo("content")
        file.size = len(content)
        tar.addfile(file, io.BytesIO(content.encode()))
    tar_digest = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [tar_digest]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(layer.getvalue(), "application/vnd.oci.image.layer.v1.tar")],
    }
    found = blob(json.dumps(manifest).encode(), MANIFEST)
    if is_index:
        platform = {"architecture": "amd64", "os": "linux"}
        kind = "application/vnd.oci.image.index.v1+json"
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": [{**found, "platform": platform}]}
        found = blob(json.dumps(index).encode(), kind)
    annotations = {"org.opencontainers.image.ref.name": "x"}
    (folder / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [{**found, "annotations": annotations}]})
    )
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def push(folder: Path, reference: str) -> str:
    """Push a layout as it is; return the digest it has by skopeo's word."""
    digest_file = folder.with_suffix(".digest")
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false",
         "--digestfile", str(digest_file), f"oci:{folder}:x", f"docker://{reference}"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return digest_file.read_text().strip()


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
