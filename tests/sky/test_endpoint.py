"""The server is found, and greeted, as SkyPilot's SDK does it."""

import base64
import json

import pytest

from fmon.errors import QueueError
from fmon.sky.endpoint import current_user, find_endpoint
from fmon.sky.http_queue import HttpQueue
from fmon.sky.protocol import queue_body


@pytest.fixture
def sky_home(home):
    (home / ".sky").mkdir()
    return home / ".sky"


def test_without_any_config_it_is_the_local_server(home):
    endpoint = find_endpoint()
    assert (endpoint.url, endpoint.headers, endpoint.identity) == ("http://127.0.0.1:46580", {}, {})


def test_the_environment_beats_the_config(sky_home, monkeypatch):
    (sky_home / "config.yaml").write_text("api_server: {endpoint: http://from-config:1}\n")
    assert find_endpoint().url == "http://from-config:1"
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "https://from-env/prefix/")
    assert find_endpoint().url == "https://from-env/prefix"


def test_the_project_config_beats_the_user_config(sky_home, home):
    (sky_home / "config.yaml").write_text(
        "api_server: {endpoint: http://user:1, service_account_token: sky_t}\n"
    )
    (home / ".sky.yaml").write_text("api_server: {endpoint: http://project:1}\nactive_workspace: team\n")
    endpoint = find_endpoint()
    assert endpoint.url == "http://project:1"
    assert endpoint.headers == {"Authorization": "Bearer sky_t"}
    assert json.loads(queue_body(endpoint))["override_skypilot_config"] == {"active_workspace": "team"}


def test_another_port_of_the_local_server_is_known(home, monkeypatch):
    monkeypatch.setenv("SKYPILOT_API_SERVER_LOCAL_PORT", "5")
    assert find_endpoint().url == "http://127.0.0.1:5"


def test_the_token_of_the_environment_is_sent_with_both_requests(server, monkeypatch):
    monkeypatch.setenv("SKYPILOT_SERVICE_ACCOUNT_TOKEN", "sky_abc")
    HttpQueue().read()
    assert [headers["Authorization"] for _, _, headers, _ in server.requests] == ["Bearer sky_abc"] * 2


def test_cookies_of_the_servers_host_are_sent_and_no_others(server, sky_home):
    later = "4102444800"
    (sky_home / "cookies.txt").write_text(
        "# Netscape HTTP Cookie File\n"
        f"127.0.0.1\tFALSE\t/\tFALSE\t{later}\tsession\tgood\n"
        f"elsewhere.example\tFALSE\t/\tFALSE\t{later}\tother\tbad\n"
    )
    HttpQueue().read()
    assert [headers["Cookie"] for _, _, headers, _ in server.requests] == ["session=good"] * 2


def test_a_damaged_cookie_jar_is_as_good_as_none(server, sky_home):
    (sky_home / "cookies.txt").write_text("not a jar\n")
    assert len(HttpQueue().read().records) == 2


def test_a_password_in_the_endpoint_becomes_a_header_and_is_in_no_message(home, monkeypatch):
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "http://me:p%40ss@127.0.0.1:1")
    headers = find_endpoint().headers
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"me:p@ss"
    with pytest.raises(QueueError) as caught:
        HttpQueue().read()
    assert "p%40ss" not in str(caught.value)
    assert "p%40ss" not in repr(find_endpoint())


def test_the_address_of_a_server_on_loopback_includes_the_user(sky_home, monkeypatch):
    (sky_home / "user_hash").write_text("fcd1e5cf\n")
    assert find_endpoint().server == "http://127.0.0.1:46580 (user fcd1e5cf)"
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "https://me:secret@sky.example/api/")
    assert find_endpoint().server == "https://sky.example/api"


def test_who_asks_is_said_as_the_sdk_says_it(server, sky_home, monkeypatch):
    (sky_home / "user_hash").write_text("fcd1e5cf\n")
    monkeypatch.setenv("SKYPILOT_USER", "ada")
    HttpQueue().read()
    body = json.loads(server.requests[0][3])
    assert body["env_vars"] == {"SKYPILOT_USER_ID": "fcd1e5cf", "SKYPILOT_USER": "ada"}


def test_an_id_that_skypilot_would_not_take_is_not_the_user(sky_home, monkeypatch):
    (sky_home / "user_hash").write_text("fcd1e5cf\n")
    monkeypatch.setenv("SKYPILOT_USER_ID", "a b")
    assert current_user() == "fcd1e5cf"
    (sky_home / "user_hash").write_text("../x\n")
    assert current_user() is None


def test_nobody_is_made_up_where_skypilot_was_never_used(server, home):
    HttpQueue().read()
    assert "env_vars" not in json.loads(server.requests[0][3])
    assert not (home / ".sky").exists()


@pytest.mark.parametrize(
    "endpoint", ["", "localhost:46580", "ftp://x", "http://", "http://[::1", "http://x:port"]
)
def test_an_endpoint_that_is_no_url_is_one_sentence(home, monkeypatch, endpoint):
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", endpoint)
    with pytest.raises(QueueError, match="is not an http"):
        find_endpoint()


@pytest.mark.parametrize("text", ["api_server: [", "api_server: {endpoint: 'http://x\n", "api_server: \0"])
def test_a_config_that_is_no_yaml_is_one_sentence(sky_home, text):
    (sky_home / "config.yaml").write_text(text)
    with pytest.raises(QueueError, match="is not valid YAML") as caught:
        find_endpoint()
    assert "\n" not in str(caught.value)


def test_a_config_of_another_shape_is_read_over(sky_home):
    (sky_home / "config.yaml").write_text("- api_server\n- active_workspace\n")
    assert find_endpoint().url == "http://127.0.0.1:46580"


def test_a_named_config_that_is_missing_is_said(home, monkeypatch):
    monkeypatch.setenv("SKYPILOT_GLOBAL_CONFIG", str(home / "none.yaml"))
    with pytest.raises(QueueError, match=r"none\.yaml can't be read"):
        find_endpoint()
