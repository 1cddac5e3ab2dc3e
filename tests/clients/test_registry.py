"""The registry client against a registry of a few lines: references, logins, refusals in one sentence."""

import base64
import json
import ssl
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

from fmon.clients.registry import credentials_of, digest_of, parse_reference
from fmon.errors import RegistryError

INDEX = "sha256:" + "a" * 64
USER = "Basic " + base64.b64encode(b"ada:s3cret").decode()


class Registry(BaseHTTPRequestHandler):
    """Has study:1 for everybody, private:1 for a bearer of the token that ada gets, and nothing else."""

    def do_HEAD(self):
        repository, _, reference = self.path.removeprefix("/v2/").partition("/manifests/")
        if repository == "private" and self.headers.get("Authorization") != "Bearer of-ada":
            realm = f"https://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="fake",scope="repository:private:pull"'
            return self._answer(401, {"WWW-Authenticate": challenge})
        if repository == "broken":
            return self._answer(503)
        if reference not in ("1", INDEX):
            return self._answer(404)
        is_index = "application/vnd.oci.image.index.v1+json" in self.headers["Accept"]
        return self._answer(200, {"Docker-Content-Digest": INDEX if is_index else "sha256:" + "b" * 64})

    def do_GET(self):
        query = parse_qs(urlparse(self.path).query)
        assert query["scope"] == ["repository:private:pull"]
        is_ada = self.headers.get("Authorization") == USER
        self._answer(200 if is_ada else 401, {}, json.dumps({"token": "of-ada"}).encode())

    def log_message(self, *_):
        pass

    def _answer(self, code, headers=None, body=b""):
        self.send_response(code)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def serve(context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(autouse=True)
def docker_config(tmp_path, monkeypatch):
    """An empty folder instead of the developer's own ~/.docker."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


@pytest.fixture
def plain():
    server = serve()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def secure(tmp_path, monkeypatch):
    """The same over TLS, under a name that does not look like this machine."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=registry", "-addext", "subjectAltName=DNS:registry.localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = serve(context)
    resolve_to_loopback(monkeypatch)
    yield f"registry.localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def resolve_to_loopback(monkeypatch):
    import socket

    resolve = socket.getaddrinfo

    def local(host, *rest, **named):
        return resolve("127.0.0.1" if host == "registry.localhost" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", local)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python", ("registry-1.docker.io", "library/python", "latest", None)),
        ("docker:ada/study:v1", ("registry-1.docker.io", "ada/study", "v1", None)),
        ("docker.io/library/python:3", ("registry-1.docker.io", "library/python", "3", None)),
        ("localhost:5000/x", ("localhost:5000", "x", "latest", None)),
        ("ghcr.io/a/b/c:t", ("ghcr.io", "a/b/c", "t", None)),
        ("Docker/docker", ("Docker", "docker", "latest", None)),
        ("lower:Upper", ("registry-1.docker.io", "library/lower", "Upper", None)),
        ("192.168.1.1:5000/repo:5050", ("192.168.1.1:5000", "repo", "5050", None)),
        ("[2001:db8::1]:5000/repo", ("[2001:db8::1]:5000", "repo", "latest", None)),
        ("docker---rules/dock__er", ("registry-1.docker.io", "docker---rules/dock__er", "latest", None)),
        ("foo_bar.com:8080", ("registry-1.docker.io", "library/foo_bar.com", "8080", None)),
        (f"ghcr.io/a/b:t@{INDEX}", ("ghcr.io", "a/b", "t", INDEX)),
    ],
)
def test_references_are_read_as_docker_reads_them(text, expected):
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "docker:", "a b", "x:y z", "x@sha256:12", "https://ghcr.io/x", "-x", ":tag", "x:", "x:-tag"),
        *("Upper:tag", "docker/Docker", "test:5000/Upper/x", "x//y", "docker///docker", "docker/", "x/"),
        *("dock..er/x", "dock_.er/x", "docker-/x", "_docker/x", "____/____", "a/b:c:d", "x:" + "t" * 129),
        *(
            "[2001:db8::1]",
            "[fe80::1%eth0]:5000/x",
            "fc00::1:5000/x",
            "a/" * 128 + "a",
            "1a3f" * 16,
            "${REG}/x",
        ),
    ],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(RegistryError, match="is not an image reference"):
        digest_of(text)


def test_an_image_for_several_platforms_has_the_digest_of_its_index(plain):
    assert digest_of(f"{plain}/study:1") == INDEX
    assert digest_of(f"docker:{plain}/study@{INDEX}") == INDEX


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("study:2", "has no image .*study:2; push it"),
        ("broken:1", "answers HTTP 503"),
        ("private:1", "requires login over plain http"),
    ],
)
def test_a_refusal_is_one_sentence(plain, image, said):
    with pytest.raises(RegistryError, match=said) as refusal:
        digest_of(f"{plain}/{image}")
    assert refusal.value.exit_code == 11


def test_a_registry_that_is_not_there_is_one_sentence():
    with pytest.raises(RegistryError, match=r"can't be reached for 127\.0\.0\.1:1/x"):
        digest_of("127.0.0.1:1/x", timeout_s=2)


def test_a_token_is_got_with_the_credentials_of_docker_login(secure, docker_config):
    auth = USER.removeprefix("Basic ")
    docker_config.write_text(json.dumps({"auths": {secure: {"auth": auth}}}))
    assert digest_of(f"{secure}/private:1") == INDEX


def test_without_credentials_it_is_denied_and_docker_login_named(secure):
    with pytest.raises(RegistryError, match=f"denies .*docker login {secure}"):
        digest_of(f"{secure}/private:1")


def test_wrong_credentials_are_denied_and_not_shown(secure, docker_config):
    wrong = base64.b64encode(b"ada:hunter2").decode()
    docker_config.write_text(json.dumps({"auths": {secure: {"auth": wrong}}}))
    with pytest.raises(RegistryError, match="denies") as refusal:
        digest_of(f"{secure}/private:1")
    assert "hunter2" not in str(refusal.value)
    assert wrong not in str(refusal.value)


class TestCredentials:
    @pytest.mark.parametrize("config", [{"credsStore": "test"}, {"credHelpers": {"ghcr.io": "test"}}])
    def test_a_helper_is_asked(self, docker_config, tmp_path, monkeypatch, config):
        helper = tmp_path / "docker-credential-test"
        helper.write_text(
            '#!/bin/sh\nread host; echo "{\\"Username\\": \\"$1\\", \\"Secret\\": \\"$host\\"}"\n'
        )
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        docker_config.write_text(json.dumps(config))
        assert credentials_of("ghcr.io") == ("get", "ghcr.io")

    def test_a_helper_that_is_not_installed_is_named(self, docker_config):
        docker_config.write_text(json.dumps({"credsStore": "nowhere"}))
        with pytest.raises(RegistryError, match="docker-credential-nowhere can't be run"):
            credentials_of("ghcr.io")

    def test_docker_hub_is_kept_under_its_old_name(self, docker_config):
        auth = base64.b64encode(b"ada:x").decode()
        docker_config.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}}}))
        assert credentials_of("registry-1.docker.io") == ("ada", "x")

    def test_credentials_of_one_registry_are_not_given_to_another(self, docker_config):
        docker_config.write_text(json.dumps({"auths": {"ghcr.io": {"auth": "YTpi"}}}))
        assert credentials_of("ghcr.io.example.com") is None

    def test_an_identity_token_is_refused_with_the_way_out(self, docker_config):
        docker_config.write_text(json.dumps({"auths": {"x.azurecr.io": {"identitytoken": "t"}}}))
        with pytest.raises(RegistryError, match=r"docker login x\.azurecr\.io"):
            credentials_of("x.azurecr.io")

    def test_a_broken_config_is_named(self, docker_config):
        docker_config.write_text("{")
        with pytest.raises(RegistryError, match=str(docker_config)):
            credentials_of("ghcr.io")
