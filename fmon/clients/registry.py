"""Read the current digest of an image from its registry.

python-dxf implements the protocol (docs/decisions/0012). This module adds what Docker's command line does: it
parses image references and finds the user's credentials.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.errors import RegistryError

if TYPE_CHECKING:
    import requests
    from dxf import DXFBase

TIMEOUT_S = 20.0
"""Longest wait for one response of the registry, and for a credential helper [s]."""

DOCKER_HUB = "registry-1.docker.io"
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""Key under which ``docker login`` stores the credentials of Docker Hub."""

IDENTITY_TOKEN_USER = "<token>"
"""User name that Docker stores with an identity token, which python-dxf can't use."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<path>(?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?"
)
"""The grammar of github.com/distribution/reference, which Docker, containerd and the registries share."""
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
MAX_PATH_CHARS = 255
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3})(:[0-9]+)?")


class Reference(NamedTuple):
    """The parts of an image reference; ``digest`` takes precedence over ``tag``."""

    host: str
    repository: str
    tag: str
    digest: str | None


def parse_reference(text: str) -> Reference:
    """Parse an image reference as Docker does: Docker Hub and ``latest`` are the defaults.

    Raises
    ------
    RegistryError
        It is not an image reference.

    Examples
    --------
    >>> parse_reference("python:3.12")
    Reference(host='registry-1.docker.io', repository='library/python', tag='3.12', digest=None)
    """
    found = _REFERENCE.fullmatch(text.removeprefix("docker:"))
    if found is None or _IMAGE_ID.fullmatch(found["path"]) or len(found["path"]) > MAX_PATH_CHARS:
        message = (
            f"{text!r} is not an image reference; write registry/name:tag or registry/name@sha256:..., "
            "the name in lower case"
        )
        raise RegistryError(message)
    host, slash, repository = found["path"].partition("/")
    # As in Docker, upper case makes a host of the first part, since no name has any.
    if not slash or not ("." in host or ":" in host or host == "localhost" or host != host.lower()):
        host, repository = DOCKER_HUB, found["path"]
    if host in ("docker.io", "index.docker.io", DOCKER_HUB):
        host = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return Reference(host, repository, found["tag"] or "latest", found["digest"])


def pinned_digest(reference: str) -> str | None:
    """Return the digest in an image reference; None if it has none, or is not an image reference.

    Examples
    --------
    >>> pinned_digest("registry.example/x:1") is None
    True
    """
    try:
        return parse_reference(reference).digest
    except RegistryError:
        return None


def digest_of(reference: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """Read the digest of an image from its registry; for several platforms, the digest of the index.

    Parameters
    ----------
    reference
        ``registry/name:tag`` or ``registry/name@sha256:...``, with or without ``docker:`` before it; a
        reference with a digest is requested too, to check that the registry still has the image.
    timeout_s
        Longest wait for one response [s].

    Returns
    -------
    str
        ``sha256:`` and 64 hexadecimal digits.

    Raises
    ------
    RegistryError
        The registry can't be reached, has no such image, or denies access.
    """
    # Takes 0.2 s to import.
    import requests
    from dxf import DXF
    from dxf.exceptions import DXFError

    image = parse_reference(reference)
    is_local = _LOOPBACK.fullmatch(image.host) is not None

    def log_in(registry: DXFBase, response: requests.Response) -> None:
        user, secret = credentials_of(image.host, timeout_s=timeout_s) or (None, None)
        registry.authenticate(user, secret, actions=["pull"], response=response)

    registry = DXF(image.host, image.repository, log_in, insecure=is_local, timeout=timeout_s)
    try:
        with registry:
            _, response = registry.head_manifest_and_response(image.digest or image.tag)
    except (requests.RequestException, DXFError, KeyError, ValueError) as fault:
        raise RegistryError(_sentence(reference, image, fault)) from fault
    found = response.headers.get("Docker-Content-Digest", "")
    if _DIGEST.fullmatch(found) is None:
        message = f"{image.host} sent no valid digest of {reference} ({found[:80]!r}); try again later"
        raise RegistryError(message)
    return str(found)


def credentials_of(host: str, *, timeout_s: float = TIMEOUT_S) -> tuple[str, str] | None:
    """Return (user, secret) for a registry, as stored by ``docker login``; None if there are none.

    Raises
    ------
    RegistryError
        Docker's config can't be read, or its credential helper fails.
    """
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    config = _docker_config(folder / "config.json")
    keys = (DOCKER_HUB_KEY,) if host == DOCKER_HUB else (host, f"https://{host}", f"https://{host}/v1/")
    helpers, store = config.get("credHelpers") or {}, config.get("credsStore")
    for key in keys:
        helper = helpers.get(key) or store
        found = _ask_helper(str(helper), key, timeout_s=timeout_s) if helper else None
        found = found or _in_file((config.get("auths") or {}).get(key))
        if found and found[0] == IDENTITY_TOKEN_USER:
            message = (
                f"the credentials for {host} are an identity token, which fmon can't use; log in with a user "
                f"name and an access token: docker login {host}"
            )
            raise RegistryError(message)
        if found:
            return found
    return None


def _docker_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as fault:
        raise RegistryError(
            f"Docker's config {path} can't be read ({fault}); correct it or log in again"
        ) from fault
    return config if isinstance(config, dict) else {}


def _in_file(entry: Any) -> tuple[str, str] | None:
    """Decode an entry of ``auths``: base64 of user:secret."""
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return IDENTITY_TOKEN_USER, str(entry["identitytoken"])
    try:
        user, colon, secret = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, secret) if colon else None


def _ask_helper(name: str, key: str, *, timeout_s: float) -> tuple[str, str] | None:
    """Run a credential helper; None if it has no credentials for the registry."""
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"], input=key, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise RegistryError(
            f"Docker's credential helper {program} can't be run ({fault}); install it or log in again"
        ) from fault
    if done.returncode != 0:
        return None  # "credentials not found": Docker then tries without a login too
    try:
        answer = json.loads(done.stdout)
        return str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as fault:
        raise RegistryError(
            f"Docker's credential helper {program} printed no credentials; log in again with docker login"
        ) from fault


def _sentence(reference: str, image: Reference, fault: Exception) -> str:
    """Return one sentence, without secrets, that says why the registry did not send the digest."""
    from dxf.exceptions import DXFAuthInsecureError, DXFUnauthorizedError

    status = getattr(getattr(fault, "response", None), "status_code", None)
    if isinstance(fault, DXFAuthInsecureError):
        return f"{image.host} requires login over plain http, where others could read it; serve it over https"
    if isinstance(fault, DXFUnauthorizedError) or status in (401, 403):
        return f"{image.host} denies {reference}; log in with docker login {image.host}, or correct the name"
    if status == 404:
        return f"{image.host} has no image {reference}; push it, or correct the tag"
    if status is not None:
        return f"{image.host} answers HTTP {status} for {reference}; try again later"
    return f"{image.host} can't be reached for {reference} ({type(fault).__name__}); is the registry up?"
