"""The report's page in a real browser: hostile names run nothing and fetch nothing, the select boxes work."""

import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fmon.phases.report import report
from tests.studies import NAME, at, job, poll, study

pytestmark = pytest.mark.real

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
    "--dump-dom",
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Find Chromium, installed by apt where it is missing and can be."""
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("no Chromium here, and installing it needs root and apt")
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, timeout=300)
        done = subprocess.run(
            ["apt-get", "install", "-y", "-q", "chromium"], capture_output=True, text=True, timeout=600
        )
        if done.returncode:
            pytest.skip(f"apt-get install chromium failed: {done.stderr[-300:]}")
    return shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def canary():
    """A web server that remembers who asked it for what."""
    asked: list[str] = []

    class Remember(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Remember)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def shown_by(chromium, page, profile) -> str:
    """Open a file as a person does by a double click; give the document after its scripts ran."""
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture
def page(tmp_path, canary):
    """The report of a study whose every name and reason is an attack."""
    url, _ = canary
    attack = (
        f"</script></style></pre><script>document.title='owned';fetch('{url}/script')</script>"
        f"<img src={url}/image onerror=\"document.title='owned'\"><link rel=stylesheet href={url}/style>"
        f"<iframe src={url}/frame></iframe><svg onload=\"document.title='owned'\">\"' onclick='x"
    )
    factors = {f"model{attack}": [f"a{attack}", "b"], "fold": [0, 1, 2], "calib": [True, False]}
    store = study(tmp_path / "data", factors)
    poll(store, 11, [job(number, "FAILED", failure_reason=attack) for number in range(1, 9)])
    poll(store, 12, None, error=attack)
    return report(tmp_path / "data", NAME, tmp_path / "reports", now=at(20)).html


def test_hostile_names_and_reasons_run_no_script_and_fetch_nothing(chromium, canary, page, tmp_path):
    document = shown_by(chromium, page, tmp_path / "profile")
    assert re.search(r"<title>([^<]*)", document)[1] == NAME
    assert canary[1] == []
    assert document.count("<script") == 2
    assert "<iframe" not in document
    assert "&lt;iframe src=" in document


def test_the_pages_own_script_runs_under_its_policy(chromium, page, tmp_path):
    document = shown_by(chromium, page, tmp_path / "profile")
    assert '<p id="choice">' in document, "the select boxes are no longer hidden"
    columns = re.search(r'<select id="columns">(.*?)</select>', document, re.DOTALL)[1]
    assert re.findall(r">([a-z]+)</option>", columns) == ["fold", "calib"]


def test_choosing_other_factors_redraws_the_matrix(chromium, page, tmp_path):
    """A script that chooses can only be added where the policy is taken out."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    choose = """<script>
    for (const [id, value] of [["rows", "2"], ["columns", "1"]]) {
      const box = document.getElementById(id);
      box.value = value;
      box.dispatchEvent(new Event("change"));
    }
    </script></body>"""
    changed = tmp_path / "changed.html"
    changed.write_text(html.replace("</body>", choose))
    document = shown_by(chromium, changed, tmp_path / "profile")
    table = re.search(r'<table id="matrix".*?</table>', document, re.DOTALL)[0]
    assert re.findall(r'<th(?: scope="\w+")?>([^<]*)', table) == [
        "calib \\ fold",
        "0",
        "1",
        "2",
        "true",
        "false",
    ]
    assert re.findall(r'<td class="(\w+)">([^<]*)', table) == [
        ("bad5", "0/2, 2 failed"), ("bad3", "0/2, 1 failed"), ("bad3", "0/2, 1 failed"),
        ("bad5", "0/2, 2 failed"), ("bad3", "0/2, 1 failed"), ("bad3", "0/2, 1 failed"),
    ]  # fmt: skip
