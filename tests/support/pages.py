"""What the tests of every page in a browser ask of it."""

import json
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDTHS = (390, 900, 1440)
SCHEMES = ("light", "dark")


def open_details(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")


def check_axe(page: Page) -> None:
    """Fail on every serious or critical finding of axe-core."""
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(
        [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in serious], indent=1
    )


def check_width(page: Page, width: int, scheme: str, picture: Path) -> None:
    """Fail where something makes the page wider than the window, or it has the other scheme's paper."""
    open_details(page)
    assert len(page.screenshot(path=picture, full_page=True)) > 10_000
    assert page.evaluate("document.documentElement.scrollWidth") == width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"
    assert dark is (scheme == "dark")


def check_details(page: Page) -> int:
    """Open and close each by keyboard; gives how many there are."""
    every = page.locator("details").all()
    for each in every:
        was_open = each.evaluate("each => each.open")
        each.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert each.evaluate("each => each.open") is not was_open
        page.keyboard.press("Space")
        assert each.evaluate("each => each.open") is was_open
    return len(every)


def check_inert(page: Page, scripts: int) -> None:
    """Fail on anything that could fetch, run or frame something, apart from the page's own scripts."""
    assert page.locator("iframe, img, link, object, embed, form, base").count() == 0
    assert page.locator("script").count() == scripts
    names = "[...document.querySelectorAll('*')].flatMap(each => [...each.attributes].map(a => a.name))"
    assert not [name for name in page.evaluate(names) if name.startswith("on") or name == "style"]


def check_print(page: Page) -> None:
    """Fail unless paper is white, without links to other parts, and has what was folded away open."""
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in page.locator("nav, .choice, .skip, .source").all():
        assert not hidden.is_visible()
    assert page.pdf().startswith(b"%PDF")
