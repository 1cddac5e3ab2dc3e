"""The report's page in a real browser: hostile text runs nothing, every control works, anyone can read it.

docs/testing.md lists what each test asserts.
"""

import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fmon.errors import TrackingError
from fmon.model import Tracking
from fmon.monitor.replay import replay
from fmon.report.report import report
from fmon.study import open_study
from tests.support import ROOT
from tests.support.factorial import END, make
from tests.support.hostile import hostile_runs, hostile_study
from tests.support.pages import (
    SCHEMES,
    WIDTHS,
    check_axe,
    check_details,
    check_inert,
    check_width,
    open_details,
)
from tests.support.studies import NAME, at, job, poll, study

pytestmark = pytest.mark.real
pytest_plugins = ["tests.support.browsing"]
expect.set_options(timeout=30_000)  # [ms]; five seconds are short where jobs start beside
MLFLOW = "http://mlflow.example:5000"
PAGES = ("demo", "factorial", "hostile", "tracked", "empty")


@pytest.fixture(scope="module")
def files(tmp_path_factory, canary) -> dict[str, Path]:
    """The pages: the demo, a large grid in its second cycle, an attack, runs of an MLflow, nothing at all."""
    folder = tmp_path_factory.mktemp("pages")
    replayed = replay(ROOT / "data/demo", folder / "demo")
    make(folder / "made", folder / "config")
    hostile_study(folder / "hostile", canary[0])
    runs = hostile_runs(canary[0])
    tracked = _tracked(folder / "tracked")
    study(folder / "empty", {"fold": [0, 1]})
    return {
        "demo": report(open_study(folder / "demo", replayed.experiment_id), folder).html,
        "factorial": report(open_study(folder / "made"), folder, now=END).html,
        "hostile": report(
            open_study(folder / "hostile", NAME), folder / "attack", track=lambda *_: runs, now=at(30)
        ).html,
        "tracked": tracked,
        "empty": report(open_study(folder / "empty", NAME), folder / "nothing", now=at(5)).html,
    }


def _tracked(folder: Path) -> Path:
    """Make the page of an experiment whose MLflow has answered before and is down now."""
    store = study(folder / "data", mlflow=Tracking(tracking_uri=MLFLOW, experiment="study"))
    poll(store, 20, [job(number, "SUCCEEDED") for number in range(1, 7)])
    run = {
        "run_name": None, "parent_run_id": None, "status": "FINISHED", "experiment_tag": NAME,
        "job_tag": None, "cycle_tag": 0, "started_at": at(1), "ended_at": at(9), "read_at": at(21),
    }  # fmt: skip
    runs = [
        {**run, "run_id": f"run{number}", "condition_tag": f"c{number}",
         "url": f"{MLFLOW}/#/runs/run{number}", "metrics": {"dice": number / 7, "epochs": 40.0}}
        for number in (1, 2, 99)
    ]  # fmt: skip

    def down(*_):
        raise TrackingError(f"MLflow at {MLFLOW} did not answer")

    report(open_study(folder / "data", NAME), folder, track=lambda *_: runs, now=at(25))
    return report(open_study(folder / "data", NAME), folder, track=down, now=at(30)).html


@pytest.fixture
def opened(open_file, files) -> Callable[..., Page]:
    return lambda name, **how: open_file(files[name], **how)


def cells(page: Page) -> list[list[str]]:
    """Read the heat map: per row its level and the text of its cells."""
    return page.locator("#matrix tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ')))"
    )


class TestHostile:
    """A log line, an error text, a level's and a factor's name, a person's words are attacks."""

    def test_no_attack_runs_and_nothing_is_fetched(self, opened, canary):
        page = opened("hostile")
        page.wait_for_timeout(300)
        assert page.title() == NAME
        assert canary[1] == []
        check_inert(page, scripts=2)

    def test_every_attack_is_shown_as_text(self, opened):
        page = opened("hostile")
        for where in (".log mark", "#causes .detail", "#matrix", "#history .events", "#polls", "#runs"):
            assert "document.title='owned'" in page.locator(where).first.inner_text(), where
        assert "\\x1b[31m" in page.locator(".log").first.inner_text()

    def test_hostile_levels_are_drawn_as_text(self, opened):
        page = opened("hostile")
        for row, column in permutations(range(page.locator("#rows option").count()), 2):
            page.locator("#rows").select_option(str(row))
            page.locator("#columns").select_option(str(column))
            assert page.locator("#matrix :not(caption, thead, tbody, tr, th, td, b, span)").count() == 0
        assert page.title() == NAME

    def test_the_policy_stops_an_injected_script(self, chromium, files, canary):
        html = files["demo"].read_text()
        attack = f"<script>fetch('{canary[0]}/x');document.title='owned'</script><img src={canary[0]}/y>"
        broken = files["demo"].with_name("broken.html")
        broken.write_text(html.replace("</main>", f"{attack}</main>"))
        page = chromium.new_page()
        page.goto(broken.as_uri())
        page.wait_for_timeout(300)
        assert page.title() != "owned"
        assert canary[1] == []
        page.close()


class TestHeatMap:
    def test_every_pair_of_factors_can_be_chosen_and_adds_up(self, opened):
        page = opened("factorial")
        names = page.locator("#rows option").all_inner_texts()
        assert sorted(names) == ["calibrated", "fold", "loss_name", "model_family"]
        for row, column in permutations(names, 2):
            page.get_by_label("Rows").select_option(label=row)
            page.get_by_label("Columns").select_option(label=column)
            assert page.locator("#caption").inner_text() == f"{row} by {column}: outcome"
            counts = [re.match(r"(\d+)/(\d+)", cell) for line in cells(page) for cell in line[1:]]
            assert [sum(int(found[n]) for found in counts) for n in (1, 2)] == [72, 96]

    def test_swapping_the_factors_transposes_the_table(self, opened):
        page = opened("factorial")
        page.get_by_label("Rows").select_option(label="fold")
        page.get_by_label("Columns").select_option(label="calibrated")
        straight = [line[1:] for line in cells(page)]
        page.get_by_label("Rows").select_option(label="calibrated")
        page.get_by_label("Columns").select_option(label="fold")
        assert [line[1:] for line in cells(page)] == [list(line) for line in zip(*straight, strict=True)]

    @pytest.mark.parametrize(
        ("measure", "cell", "reading"),
        [
            ("outcome", "0/6 3 failed, 3 running", "Succeeded of expected"),
            ("cost", "$7.64", "Known cost"),
            ("duration", "36 min 04 s", "Median run time"),
            ("cause", "B 6", "failed with each cause"),
        ],
    )
    def test_every_measure_shows_its_numbers_and_explains_them(self, opened, measure, cell, reading):
        page = opened("factorial")
        page.get_by_label("Rows").select_option(label="model_family")
        page.get_by_label("Columns").select_option(label="loss_name")
        page.get_by_role("radio", name=measure).check()
        assert cells(page)[3][3] == cell
        assert reading in page.locator("#reading").inner_text()
        assert page.locator("#caption").inner_text() == f"model_family by loss_name: {measure}"
        assert measure in page.get_by_role("status").first.inner_text()

    def test_it_works_with_the_keyboard_alone(self, opened):
        page = opened("factorial")
        page.locator("#rows").focus()
        before = page.locator("#caption").inner_text()
        page.keyboard.press("ArrowDown")
        assert page.locator("#caption").inner_text() != before
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "columns"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.value") == "0"
        for measure in ("cost", "duration", "cause", "outcome"):
            page.keyboard.press("ArrowRight")
            assert page.locator("#caption").inner_text().endswith(measure)

    def test_a_factor_is_never_crossed_with_itself(self, opened):
        page = opened("factorial")
        for name in page.locator("#rows option").all_inner_texts():
            page.get_by_label("Rows").select_option(label=name)
            assert name not in page.locator("#columns option").all_inner_texts()

    def test_without_javascript_it_is_a_table(self, chromium, files):
        context = chromium.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(files["factorial"].as_uri())
        assert not page.locator("#choice").is_visible()
        assert not page.locator("#filter").is_visible()
        assert page.locator("#matrix tbody th").all_inner_texts() == ["false", "true"]
        context.close()

    def test_one_factor_is_a_table_with_one_column(self, opened):
        page = opened("empty")
        assert [line[0] for line in cells(page)] == ["0", "1"]
        assert page.locator("#matrix thead th").all_inner_texts() == ["conditions"]


class TestRuns:
    def test_a_run_is_shown_with_its_condition_metrics_and_link(self, opened):
        page = opened("tracked")
        page.get_by_role("link", name="Runs").click()
        expect(page.get_by_role("heading", name="MLflow runs")).to_be_in_viewport()
        table = page.get_by_role("region", name="Runs by condition")
        assert [head.inner_text() for head in table.locator("thead th").all()] == [
            "condition", "run", "status", "dice", "epochs",
        ]  # fmt: skip
        assert [row.inner_text().split() for row in table.locator("tbody tr").all()] == [
            ["c1", "run1", "FINISHED", "0.1429", "40"],
            ["c2", "run2", "FINISHED", "0.2857", "40"],
        ]
        assert page.get_by_role("link", name="run2").get_attribute("href") == f"{MLFLOW}/#/runs/run2"
        assert "1 run names a condition" in page.locator("#runs").inner_text()

    def test_the_keyboard_reaches_table_and_links(self, opened):
        page = opened("tracked")
        page.get_by_role("region", name="Runs by condition").focus()
        for name in ("run1", "run2"):
            page.keyboard.press("Tab")
            expect(page.get_by_role("link", name=name)).to_be_focused()

    def test_the_page_says_that_the_server_is_down(self, opened):
        said = f"The report has the runs that MLflow returned before: MLflow at {MLFLOW} did not answer."
        expect(opened("tracked").locator("#runs").get_by_text(said)).to_be_visible()

    def test_only_http_addresses_become_links(self, opened, canary):
        links = opened("hostile").locator("#runs a")
        assert [link.get_attribute("href") for link in links.all()] == [
            f'{canary[0]}/#/runs/r2"onmouseover="x'
        ]
        assert links.first.get_attribute("onmouseover") is None


class TestConditions:
    @pytest.fixture
    def page(self, opened):
        page = opened("factorial")
        page.locator("#list > summary").click()
        return page

    @staticmethod
    def shown(page: Page, column: int = 0) -> list[str]:
        return page.locator(
            f"#rows-of-conditions tbody tr:visible > :nth-child({column + 1})"
        ).all_inner_texts()

    def test_search_and_state_filter_the_list_and_show_the_number_of_matches(self, page):
        assert len(self.shown(page)) == 96
        page.get_by_label("Search").fill("sam3 CBDICE")
        assert len(self.shown(page)) == 6
        assert page.locator("#matching").inner_text() == "6 match"
        page.get_by_role("combobox", name="State").select_option("failed")
        assert set(self.shown(page, 2)) == {"cuda_oom"}
        page.get_by_label("Search").fill("no such words")
        assert self.shown(page) == []
        page.get_by_label("Search").fill("")
        page.get_by_role("combobox", name="State").select_option("")
        assert len(self.shown(page)) == 96

    @pytest.mark.parametrize("column", range(8))
    def test_every_column_sorts_both_ways_and_sets_aria_sort(self, page, column):
        head = page.locator("#rows-of-conditions thead th").nth(column)
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        rising = self.shown(page, column)
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        falling = self.shown(page, column)
        assert sorted(rising) == sorted(falling)
        filled = [text for text in rising if text]
        assert filled == [text for text in falling if text][::-1] or len(set(filled)) < len(filled)
        if column == 7:
            assert [float(text[1:]) for text in rising] == sorted(float(text[1:]) for text in rising)

    def test_sorting_works_by_keyboard(self, page):
        page.get_by_role("button", name="cost").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        head = page.locator("#rows-of-conditions thead th", has_text="cost")
        assert head.get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("name", ["demo", "factorial", "hostile", "tracked"])
def test_every_details_opens_and_closes_by_keyboard(opened, name):
    assert check_details(opened(name)) >= 10


@pytest.mark.parametrize("name", ["demo", "factorial", "empty", "tracked"])
def test_every_link_leads_to_something_on_the_page(opened, name):
    page = opened(name)
    targets = page.locator("a:not([rel])").evaluate_all(
        "links => links.map(link => link.getAttribute('href'))"
    )
    assert len(targets) >= 9
    for target in targets:
        assert page.locator(target).count() == 1, target


def test_the_first_tab_skips_to_the_report_and_focus_is_visible(opened):
    page = opened("demo")
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    assert skip.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('main').contains(document.activeElement)")


def test_a_card_leads_to_its_cause_with_the_log_line_marked(opened):
    page = opened("demo")
    page.locator("a.cause").first.click()
    assert page.evaluate("location.hash") == "#cause-A"
    detail = page.locator("#cause-A")
    expect(detail.get_by_role("heading", level=3)).to_be_in_viewport()
    assert detail.locator("mark").inner_text().split(maxsplit=1)[0] == "16torch.OutOfMemoryError:"
    assert "3 of 3 failed with it" in detail.inner_text()


def test_the_first_screen_answers_the_first_questions(opened):
    page = opened("demo", width=1440)
    for text in ("11 of 19 conditions succeeded", "cuda_oom affects all of sam3_lora", "$1.49 spent in all"):
        expect(page.get_by_text(text)).to_be_in_viewport(ratio=1)
    for part in ("svg.states", ".figures", "a.cause >> nth=2"):
        expect(page.locator(part)).to_be_in_viewport(ratio=1)
    expect(page.locator("#matrix")).to_be_in_viewport(ratio=0.9)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_has_no_serious_finding(opened, name, scheme):
    page = opened(name, scheme=scheme)
    open_details(page)
    for measure in page.get_by_role("radio").all():
        measure.check()
        check_axe(page)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_no_width_makes_the_page_scroll_sideways(opened, name, width, scheme, tmp_path):
    check_width(opened(name, width=width, scheme=scheme), width, scheme, tmp_path / "page.png")


def test_on_paper_everything_is_open_light_and_without_controls(opened, tmp_path):
    page = opened("factorial", scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open]):not(.source)").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in ("nav", "#choice", "#filter", ".skip", ".source >> nth=0"):
        assert not page.locator(hidden).is_visible(), hidden
    assert page.locator("#rows-of-conditions tbody tr").last.is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("#list:not([open])").count() == 1
    pdf = page.pdf(path=tmp_path / "page.pdf")
    assert pdf.startswith(b"%PDF")


def test_the_open_page_can_be_read_while_the_next_report_is_written(opened, files):
    """One file: nothing of it is fetched later."""
    page = opened("demo")
    files["demo"].rename(files["demo"].with_suffix(".moved"))
    try:
        page.get_by_role("radio", name="cost").check()
        assert "$" in cells(page)[0][1]
    finally:
        files["demo"].with_suffix(".moved").rename(files["demo"])
