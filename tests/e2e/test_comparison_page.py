"""The page of `fmon compare` in a real browser; docs/testing.md lists what each test asserts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fmon.monitor.replay import replay
from fmon.report.compare import compare
from fmon.report.page.comparison import render
from tests.support.hostile import attack_of
from tests.support.pages import (
    SCHEMES,
    WIDTHS,
    check_axe,
    check_details,
    check_inert,
    check_print,
    check_width,
    open_details,
)
from tests.support.recordings import both_passes

pytestmark = pytest.mark.real
pytest_plugins = ["tests.support.browsing"]
PAGES = ("passes", "hostile")


@pytest.fixture(scope="module")
def files(tmp_path_factory, canary) -> dict[str, Path]:
    """Two passes over different grids; and the same pair twice on a page, full of attacks."""
    folder = tmp_path_factory.mktemp("comparison")
    for recording in both_passes(folder):
        replay(recording, folder / "data")
    compared = compare(folder / "data", ["first", "second"], out=folder)
    (change,) = compared.changes
    attack = attack_of(canary[0])
    cause = {"root_cause": attack, "category": attack, "signature": attack}
    cell = {"cell": {attack: attack}}
    worst = replace(
        change,
        causes=[{**row, **cause} for row in change.causes],
        state_changes=[{**row, **cell, "after_categories": [attack]} for row in change.state_changes],
        suspects=[{**row, "after_statement": attack, "category": attack} for row in change.suspects],
        coverage=[{**row, "factor": attack, "level": attack} for row in change.coverage],
        outside=[{**row, **cell, "condition_ids": [attack]} for row in change.outside],
    )  # fmt: skip
    hostile = folder / "hostile.html"
    hostile.write_text(render([worst, worst]))
    return {"passes": compared.html, "hostile": hostile}


@pytest.fixture
def opened(open_file, files) -> Callable[..., Page]:
    return lambda name, **how: open_file(files[name], **how)


def test_no_attack_runs_and_every_attack_is_shown(opened, canary):
    page = opened("hostile")
    open_details(page)
    page.wait_for_timeout(300)
    assert page.title() == "Comparison of 3 experiments"
    assert canary[1] == []
    check_inert(page, scripts=0)
    for where in ("Causes", "State changes", "Coverage", "Cells in only one experiment"):
        table = page.get_by_role("region", name=where).first
        assert "document.title='owned'" in table.inner_text(), where


def test_the_first_screen_answers_what_changed(opened):
    page = opened("passes")
    said = "Of the common conditions 5 of 9 succeeded before, 12 of 17 after; 2 recovered, 1 regressed."
    for text in (said, "$0.28 → $0.26", "2 new, 1 recurring, 1 unproven", "45 s → 48 s"):
        expect(page.get_by_text(text, exact=True)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("region", name="Causes")).to_be_in_viewport()


def test_the_first_tab_skips_to_the_comparison(opened):
    page = opened("passes")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('main').contains(document.activeElement)")


def test_each_of_several_pairs_has_a_link(opened):
    page = opened("hostile")
    links = page.get_by_role("navigation").get_by_role("link")
    assert links.count() == 2
    links.nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#pair2").get_by_role("heading", level=2)).to_be_in_viewport()
    assert page.evaluate("location.hash") == "#pair2"


@pytest.mark.parametrize("name", PAGES)
def test_every_details_opens_and_closes_by_keyboard(opened, name):
    assert check_details(opened(name)) >= 6


def test_the_keyboard_reaches_and_scrolls_every_table(opened):
    page = opened("passes", width=390)
    for table in page.get_by_role("region").and_(page.locator(".wide:visible")).all():
        assert table.get_attribute("tabindex") == "0"
        table.focus()
        page.keyboard.press("ArrowRight")
    causes = page.get_by_role("region", name="Causes")
    expect(causes).not_to_have_js_property("scrollLeft", 0)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_has_no_serious_finding(opened, name, scheme):
    page = opened(name, scheme=scheme)
    open_details(page)
    check_axe(page)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_no_width_makes_the_page_scroll_sideways(opened, name, width, scheme, tmp_path):
    check_width(opened(name, width=width, scheme=scheme), width, scheme, tmp_path / "page.png")


def test_paper_is_white_and_without_controls(opened):
    check_print(opened("passes", scheme="dark"))
