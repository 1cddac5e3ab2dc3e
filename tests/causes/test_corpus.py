"""The classifier on the corpus: real failures, bare and inside long logs."""

import pytest

from fmon.causes import analyze_logs
from tests.corpus.embed import embed
from tests.corpus.noise import exit_code
from tests.corpus.score import Score, is_tuned, items, score

HALVES = {"tuned": True, "held": False}
WRAPPED = ("sky", "plain", "ranks", "stamped", "glued")


def scored(corpus, texts) -> Score:
    def answer(text, item):
        info = analyze_logs(text, item["status"], failure_reason=item.get("failure_reason"))
        return info.category, info.subcategory

    return score((item, answer(text, item)) for item in corpus for text in texts(item))


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, str], Score]:
    """Score by half and by how the items come: bare, and each in two of the long logs."""
    found = {}
    for half, is_first in HALVES.items():
        corpus = [item for item in items("failures") if is_tuned(item) is is_first]
        place = {item["id"]: number for number, item in enumerate(corpus)}
        found[half, "bare"] = scored(corpus, lambda item: [item["text"]])
        found[half, "wrapped"] = scored(
            corpus,
            lambda item, place=place: [
                embed(item, WRAPPED[(place[item["id"]] + turn) % len(WRAPPED)]).text for turn in (0, 2)
            ],
        )
    return found


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("form", ["bare", "wrapped"])
class TestCorpus:
    def test_nine_in_ten_failures_get_their_category(self, results, half, form):
        result = results[half, form]
        assert result.accuracy >= 0.90, result.confusions

    def test_rare_categories_are_found_as_well_as_common_ones(self, results, half, form):
        result = results[half, form]
        assert result.macro_f1 >= 0.90, result.confusions

    def test_a_job_that_ended_well_gets_no_category(self, results, half, form):
        result = results[half, form]
        assert result.ok_count > 0
        assert result.ok_classified_count == 0


@pytest.mark.parametrize("form", ["bare", "wrapped"])
def test_distracting_lines_distract_little(results, form):
    both = [results[half, form] for half in HALVES]
    assert sum(each.hard_right_count for each in both) >= 0.85 * sum(each.hard_count for each in both)


@pytest.mark.slow
def test_logs_of_many_programs_get_category_and_kind():
    result = scored(items("written"), lambda item: [item["text"], embed(item, "sky").text])
    assert result.accuracy >= 0.95, result.confusions
    assert result.kind_right_count >= 0.9 * result.failed_count
    assert result.ok_classified_count == 0


def test_programs_that_were_made_to_fail_get_category_and_kind():
    result = scored(items("produced"), lambda item: [item["text"]])
    assert result.accuracy >= 0.97, result.confusions
    assert result.macro_f1 >= 0.97, result.confusions
    assert result.hard_accuracy >= 0.95, result.confusions
    assert result.kind_right_count >= 0.8 * result.failed_count
    assert result.ok_classified_count == 0


def test_the_cause_is_found_before_a_megabyte_of_other_output():
    item = next(item for item in items("failures") if item["id"] == "v001")
    wrapped = embed(item, "long")
    info = analyze_logs(wrapped.text, item["status"])
    assert info.category == item["category"]
    assert wrapped.first_line <= info.evidence_line <= wrapped.last_line


@pytest.mark.slow
def test_the_evidence_stands_in_the_item_and_not_in_what_surrounds_it():
    # Of a job that died by a signal, torchrun and SkyPilot say the truth as well.
    corpus = [item for item in items("failures") if item["status"] == "FAILED" and exit_code(item) == 1]
    outside = []
    for number, item in enumerate(corpus):
        wrapped = embed(item, WRAPPED[number % len(WRAPPED)])
        info = analyze_logs(wrapped.text, item["status"])
        if info.category == item["category"] and info.source == "log":
            is_inside = wrapped.first_line <= info.evidence_line <= wrapped.last_line
            outside += [] if is_inside else [(item["id"], info.evidence)]
    assert outside == []
