"""Tiny images for a real registry: made as OCI layouts, pushed with skopeo.

As a program, ``images.py FOLDER CONTENT`` makes one: a project's build command in tests.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


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


if __name__ == "__main__":
    image(Path(sys.argv[1]), sys.argv[2])
