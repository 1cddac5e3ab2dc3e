"""Text that is safe to show, and durations in words."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.text import HIDDEN, duration, json_text, visible


@given(st.text())
def test_visible_text_never_steers_a_terminal(text):
    assert not {unicodedata.category(character) for character in visible(text)} & HIDDEN


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_stays_as_it_is(text):
    assert visible(text) == text


@given(st.text())
def test_json_text_is_ascii_that_reads_back(text):
    written = json_text({text: text})
    assert written.isascii()
    assert json.loads(written) == {text: text}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.6, "1 min 00 s"),
        (3_599.9, "1 h 00 min"),
        (90_000, "1 d 01 h"),
        (-42, "-42 s"),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert duration(seconds) == text
