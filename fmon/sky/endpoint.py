"""Find the endpoint of SkyPilot's API server and the identity to use.

The order is that of SkyPilot's SDK: environment, project config over user config, defaults. A contract
test compares the results with the SDK's.
"""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from fmon.errors import QueueError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = "46580"
MAX_CONFIG_BYTES = 1 << 20
WORTH_PARSING = ("api_server", "active_workspace")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
VALID_USER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]*")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An API server and how to authenticate.

    Attributes
    ----------
    url
        Without password and trailing slash: safe to print.
    headers
        Authorization headers, if configured.
    identity
        The ``env_vars`` of a request's body: the user, for a server without a login; empty = the server
        decides.
    workspace
        The active workspace, if one is configured.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    identity: dict[str, str] = field(default_factory=dict)
    workspace: str | None = None

    @property
    def server(self) -> str:
        """The address of the server, on loopback with the user.

        Each machine may have a server of its own on loopback, and each has users of its own.
        """
        user = self.identity.get("SKYPILOT_USER_ID")
        is_shared = urlsplit(self.url).hostname not in LOOPBACK
        return self.url if is_shared or user is None else f"{self.url} (user {user})"


def find_endpoint(environ: Mapping[str, str] | None = None) -> Endpoint:
    """Read environment, SkyPilot's config files and cookie jar; opens no connection.

    Raises
    ------
    QueueError
        A config file can't be read, or the endpoint is not a URL.
    """
    environ = os.environ if environ is None else environ
    config = _config(environ)
    server = config.get("api_server")
    server = server if isinstance(server, dict) else {}
    port = environ.get("SKYPILOT_API_SERVER_LOCAL_PORT", DEFAULT_PORT)
    configured = environ.get(
        "SKYPILOT_API_SERVER_ENDPOINT", server.get("endpoint", f"http://127.0.0.1:{port}")
    )
    url, user, password = _split(str(configured))
    headers = _authorization(environ, server, user, password) or _cookies(environ, url)
    workspace = config.get("active_workspace")
    return Endpoint(
        url=url,
        headers=headers,
        identity=_identity(environ),
        workspace=workspace if isinstance(workspace, str) else None,
    )


def _split(url: str) -> tuple[str, str | None, str | None]:
    """Split an endpoint into URL, user and password."""
    try:
        parts = urlsplit(url.rstrip("/"))
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018  (reading it is what checks it)
    except ValueError:
        is_url = False
    if not is_url:
        message = (
            "the endpoint of SkyPilot's API server is not an http(s) URL;"
            " check SKYPILOT_API_SERVER_ENDPOINT and api_server.endpoint in ~/.sky/config.yaml"
        )
        raise QueueError(message, error_type="BadConfig")
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path, "", "")), parts.username, parts.password


def _authorization(
    environ: Mapping[str, str], server: dict[Any, Any], user: str | None, password: str | None
) -> dict[str, str]:
    """Return the Authorization header: the service account's token, else the endpoint's password."""
    token = environ.get("SKYPILOT_SERVICE_ACCOUNT_TOKEN") or server.get("service_account_token")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user is not None:
        from base64 import b64encode

        pair = f"{unquote(user)}:{unquote(password or '')}"
        return {"Authorization": "Basic " + b64encode(pair.encode()).decode("ascii")}
    return {}


def _cookies(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the cookies for the server from SkyPilot's cookie jar."""
    jar_path = Path(environ.get("SKYPILOT_API_COOKIE_FILE", "~/.sky/cookies.txt")).expanduser()
    if not jar_path.exists():
        return {}
    # Takes 30 ms to import, and few have a cookie jar.
    from http.cookiejar import LoadError, MozillaCookieJar
    from urllib.request import Request

    jar = MozillaCookieJar(jar_path)
    try:
        jar.load()
    except (LoadError, OSError, ValueError):
        return {}  # the server will then require a login, and the SDK reports how
    request = Request(url + "/jobs/queue/v2")
    jar.add_cookie_header(request)
    cookie = request.get_header("Cookie")
    return {"Cookie": cookie} if cookie else {}


def _identity(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the user as the SDK does: the server writes id and name into its table of users."""
    user_hash = current_user(environ)
    if user_hash is None:
        return {}
    try:
        name = environ.get("SKYPILOT_USER") or getpass.getuser()
    except (KeyError, OSError):
        return {}  # a uid without a name, as in some containers
    return {"SKYPILOT_USER_ID": user_hash, "SKYPILOT_USER": name}


def _config(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the two keys of SkyPilot's config that are needed here, project over user."""
    internal = environ.get("SKYPILOT_CONFIG")
    if internal:
        return _load(internal, is_named=True)
    user = _load(
        environ.get("SKYPILOT_GLOBAL_CONFIG", "~/.sky/config.yaml"),
        is_named="SKYPILOT_GLOBAL_CONFIG" in environ,
    )
    project = _load(
        environ.get("SKYPILOT_PROJECT_CONFIG", ".sky.yaml"), is_named="SKYPILOT_PROJECT_CONFIG" in environ
    )
    server = {**_mapping(user.get("api_server")), **_mapping(project.get("api_server"))}
    return {**user, **project, "api_server": server}


def _mapping(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _load(name: str, *, is_named: bool) -> dict[str, Any]:
    """Read one config file; the YAML is only parsed if it may contain a relevant key."""
    path = Path(name).expanduser()
    if not is_named and not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        message = f"SkyPilot's config {path} can't be read ({fault}); check the file and its permissions"
        raise QueueError(message, error_type="BadConfig") from fault
    if not any(word in text for word in WORTH_PARSING):
        return {}
    import yaml  # 15 ms

    try:
        return _mapping(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError) as fault:
        message = f"SkyPilot's config {path} is not valid YAML; correct it, since `sky` can't read it either"
        raise QueueError(message, error_type="BadConfig") from fault


def current_user(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return SkyPilot's id of the user who runs fmon, as the SDK reads it; None if there is none.

    Parameters
    ----------
    environ
        The environment variables.
    """
    user = environ.get("SKYPILOT_USER_ID", "")
    if not VALID_USER.fullmatch(user):
        try:
            user = Path("~/.sky/user_hash").expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError, RuntimeError):
            return None
    return user if VALID_USER.fullmatch(user) else None
