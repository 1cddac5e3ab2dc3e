"""Pictures of the pages for the docs, made in Chromium: `make pictures` (apt: chromium, fonts-inter)."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from fmon.monitor.replay import replay
from fmon.report.compare import compare
from fmon.report.report import report
from fmon.study import open_study
from tests.support import ROOT
from tests.support.chromium import browser
from tests.support.factorial import END, make
from tests.support.recordings import both_passes

FOLDER = ROOT / "docs/img"
MOST_BYTES = 300_000


def main() -> None:
    """Write docs/img/*.png."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, browser() as chromium:
        folder = Path(scratch)
        replayed = replay(ROOT / "data/demo", folder / "demo")
        demo = report(open_study(folder / "demo", replayed.experiment_id), folder).html
        make(folder / "made", folder / "config")
        made = report(open_study(folder / "made"), folder, now=END).html
        for recording in both_passes(folder):
            replay(recording, folder / "passes")
        compared = compare(folder / "passes", ["first", "second"], out=folder).html
        assert compared
        for name, html, width, height, scheme, chosen in (
            ("report-demo", demo, 1280, 800, "light", None),
            ("report-factorial", made, 1280, 980, "light", "cause"),
            ("report-factorial-dark", made, 1280, 980, "dark", "outcome"),
            ("report-factorial-phone", made, 390, 844, "light", None),
            ("compare", compared, 1280, 980, "light", None),
        ):
            page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(html.as_uri())
            if chosen:
                page.get_by_role("radio", name=chosen).check()
            save(page, name)
            page.close()
        page = chromium.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1)
        page.goto(made.as_uri())
        for name, selector in (
            ("report-cause", "#cause-A"),
            ("report-levels", "#causes .levels"),
        ):
            page.locator(selector).screenshot(path=FOLDER / f"{name}.png")
            check(FOLDER / f"{name}.png")


def save(page: Page, name: str) -> None:
    """Take a picture of the first screen."""
    page.screenshot(path=FOLDER / f"{name}.png")
    check(FOLDER / f"{name}.png")


def check(path: Path) -> None:
    """Refuse a picture that makes every clone heavy."""
    size = path.stat().st_size
    sys.stdout.write(f"{path.relative_to(ROOT)} {size:,} bytes\n")
    if size > MOST_BYTES:
        raise SystemExit(f"{path.name} has more than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
