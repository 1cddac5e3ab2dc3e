"""A report to look at: written, read as strict JSON, read as a browser reads it."""

import json
from html.parser import HTMLParser
from pathlib import Path

from fmon.manifest.file import read_manifest, write_manifest
from fmon.report.report import Reported, report
from fmon.store.folder import Store
from fmon.study import open_study
from tests.support.studies import NAME, at, job, poll, relaunched, study


def mixed_study(data: Path) -> Store:
    """Six conditions: succeeded, failed, running, relaunched, never seen, never launched."""
    store = study(data)
    manifest = read_manifest(store)
    relaunched(manifest.jobs[3], 14)
    manifest.jobs[5].job_id = None
    manifest.current_cycle = 1
    write_manifest(store, manifest)
    first = [job(1, "SUCCEEDED"), job(2, "FAILED_SETUP", failure_reason="no disk"), job(3), job(4, "FAILED")]
    poll(store, 11, first)
    poll(store, 12, None, error="ClusterNotUpError: gone")
    poll(store, 25, [*first[:3], first[3], job(14, "SUCCEEDED", minutes=20, price_usd_per_h=None)])
    return store


def written(tmp_path: Path, minute: float = 30) -> Reported:
    return report(open_study(tmp_path / "data", NAME), tmp_path / "reports", now=at(minute))


def objects(reported: Reported) -> tuple[list[dict], dict]:
    """Read the JSONL as strict JSON: conditions, and the summary."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not valid JSON")

    text = reported.jsonl.read_text(encoding="utf-8")
    assert text.endswith("\n")
    *conditions, summary = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    return conditions, summary


class Page(HTMLParser):
    """Collects what a browser would run or fetch, and the text it would show."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.shown: list[str] = []
        self.policy = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        given = dict(attrs)
        if tag == "script" and given.get("type") != "application/json":
            self.scripts.append("")
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        self.fetched += [
            value for name, value in attrs if name in ("src", "href", "data", "action", "srcset")
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data):
        if self._inside == "script" and self.scripts and not self.scripts[-1]:
            self.scripts[-1] = data
        elif self._inside not in ("script", "style"):
            self.shown.append(data)

    def handle_endtag(self, tag):
        self._inside = ""

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).split())
