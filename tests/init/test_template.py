"""How jobs are named is found from their names and levels."""

import pytest

from fmon.init.template import find_template


def names(*rows):
    return [(name, dict(zip("abc", levels, strict=False))) for name, *levels in rows]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([("x-0", "x", "0"), ("y-1", "y", "1")], [("", "a"), ("-", "b"), ("", "")]),
        # A level that is part of another one, or of the text between them.
        ([("05x-f0", "05x", "0"), ("1y-f1", "1y", "1")], [("", "a"), ("-f", "b"), ("", "")]),
        (
            [("f0-f0", "0", "0"), ("f0-f1", "0", "1"), ("f1-f0", "1", "0")],
            [("f", "a"), ("-f", "b"), ("", "")],
        ),
        # One odd name among three.
        ([("x", "x"), ("y", "y"), ("retry", "z")], [("", "a"), ("", "")]),
    ],
)
def test_the_template_gives_the_names(rows, parts):
    assert find_template(names(*rows)).parts == tuple(parts)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("train", "x"), ("train", "y")],
        [("x", "x"), ("other", "y")],
        [("x-1", "x", "2"), ("y-1", "y", "2")],
    ],
)
def test_no_template_is_better_than_one_that_gives_few_names(rows):
    assert find_template(names(*rows)) is None


def test_long_names_with_many_places_take_little_work():
    rows = [("0" * 60, *["0"] * 3) for _ in range(5)]
    assert find_template(names(*rows)) is not None
    levels = {f"factor_{number}": "0" for number in range(13)}
    assert find_template([("0" * 12, levels)] * 3) is None


def test_a_template_names_only_cells_that_have_its_factors():
    template = find_template(names(("x-0", "x", "0"), ("y-1", "y", "1")))
    assert template.name({"a": "z", "b": "7"}) == "z-7"
    assert template.name({"a": "z"}) is None
