"""Of a long log both ends are kept, of a job of several tasks both ends of each part."""

from hypothesis import given
from hypothesis import strategies as st

from fmon.sky.clean_log import cleaned
from fmon.sky.head_and_tail import HEAD_BYTES, TAIL_BYTES, PartedEnds
from fmon.sky.log_parts import part_of
from tests.support.parts import parts

LONG = "step 1 of many\n" * 200_000


def kept(text, *, size=64 << 10):
    ends = PartedEnds()
    raw = text.encode()
    for start in range(0, len(raw), size):
        ends.add(raw[start : start + size])
    assert ends.total == len(raw)
    return ends.value()


def test_an_error_at_the_end_of_a_part_is_kept_however_long_the_parts_after_it_are():
    raw = kept(parts(LONG + "KeyError: 1\n", LONG + "KeyError: 2\n", LONG))
    text = cleaned(raw)
    assert "KeyError: 1" in part_of(text, 0).text
    assert "KeyError: 2" in part_of(text, 1).text
    assert "KeyError: 2" not in part_of(text, 0).text
    assert len(raw) < 2 * (HEAD_BYTES + TAIL_BYTES)


def test_more_headings_than_tasks_do_not_make_more_parts():
    forged = "".join(f"=== Task x({number}) ===\n{'y' * 10_000}\n" for number in range(500))
    assert len(kept(parts(forged, "KeyError\n"))) < 1.5 * (HEAD_BYTES + TAIL_BYTES)


@given(
    st.integers(1, 400), st.sampled_from([parts("a\n", "b"), parts("a"), "plain\n=== Task a(0) ===\n", ""])
)
def test_a_short_log_is_kept_as_it_is_however_it_arrives(size, text):
    assert kept(text, size=size) == text.encode()


def test_where_the_middle_was_never_read_the_last_lines_of_each_part_are_kept():
    head, tail = PartedEnds(), PartedEnds()
    head.add(parts(LONG).encode())
    tail.add(parts("first\n", "second\n").encode())
    assert head.joined(tail) == parts("first\n", "second\n").encode()
    head, tail = PartedEnds(), PartedEnds()
    head.add(b"begin\n" + LONG.encode())
    tail.add(b"cut line\nlast\n")
    assert head.joined(tail).startswith(b"begin\n")
    assert head.joined(tail).endswith(b"[fmon: a part of unknown length is left out here]\nlast\n")
