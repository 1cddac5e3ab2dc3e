"""One definition of plain text, for what is stored, shown and judged."""

import re
import unicodedata

import pytest

from fmon.causes import analyze_logs
from fmon.log_text import ANSI, CONTROL, INVISIBLE, SEPARATOR, SPACE, decoded, plain
from fmon.sky.clean_log import cleaned
from fmon.sky.head_and_tail import Ends

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
LINES = f"epoch 1\n{OOM}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b\x00c", "abc"),
        ("out\u200b of\u2060 mem\u00adory\ufeff", "out of memory"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("out\u00a0of\u3000memory", "out of memory"),
        ("one\u2028two\u2029three\x85four\x0cfive", "one\ntwo\nthree\nfour\nfive"),
        ("10%\x08\x08\x0820%", "10%\r20%"),
        ("\x1b[1;31mred\x1b[0m \x9b32mgreen\x9b0m \x1b]0;title\x07end", "red green end"),
        ("[31mlost its escape[0m", "lost its escape"),
        ("\ufffd\ufffdepoch 1", "epoch 1"),
        ("tab\tand\r\nfeed", "tab\tand\r\nfeed"),
        ("ümlaut ✓ 漢字", "ümlaut ✓ 漢字"),
    ],
)
def test_a_text_reads_as_a_person_sees_it(text, expected):
    assert plain(text) == expected


def test_every_invisible_character_and_every_space_is_known():
    known = re.compile(f"[{CONTROL}{SEPARATOR}{SPACE}{INVISIBLE}\t\n\r\x1b ]")
    hidden = ("Cc", "Cf", "Zl", "Zp", "Zs")
    characters = map(chr, range(0xE0200))
    assert [
        each for each in characters if unicodedata.category(each) in hidden and not known.match(each)
    ] == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-8"])
def test_an_encoding_is_found_with_and_without_its_mark(encoding):
    text = "epoch 1 größer\nValueError: x\n"
    assert plain(decoded(text.encode(encoding))) == text


HOSTILE = {
    "UTF-16 with its mark": LINES.encode("utf-16"),
    "UTF-16 without": LINES.encode("utf-16-le"),
    "UTF-16, big-endian, with carriage returns": LINES.replace("\n", "\r\n").encode("utf-16-be"),
    "UTF-16 inside UTF-8": b"(train, pid=7) epoch 1\n(train, pid=7) " + OOM.encode("utf-16-le") + b"\n",
    "zeros in between": LINES.replace("m", "m\x00").encode(),
    "a line separator": LINES.replace("\n", "\u2028").encode(),
    "zero-width spaces within words": LINES.replace("mem", "m\u200bem").replace("Err", "E\u200drr").encode(),
    "no-break spaces": LINES.replace(" ", "\u00a0").encode(),
    "a direction override": LINES.replace("CUDA", "\u202dCUDA\u202c").encode(),
    "colours within words": LINES.replace("mem", "m\x1b[31mem").encode(),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_stored_and_what_is_judged_is_the_same_text(raw):
    stored = cleaned(raw)
    assert OOM in stored
    for text in (raw, stored):
        info = analyze_logs(text, "FAILED")
        assert (info.category, info.evidence) == ("cuda_oom", OOM)


def test_of_a_long_utf_16_log_both_ends_are_read():
    ends = Ends(head=4_000, tail=4_000)
    ends.add(("first\n" + "step 1\n" * 5000 + LINES).encode("utf-16-le"))
    text = cleaned(ends.value())
    assert text.startswith("first\nstep 1\n")
    assert text.endswith(LINES)
    assert "left out here" in text


def test_a_secret_is_found_despite_invisible_characters():
    for hidden in (
        "hf_a1B2a1B2\u200ba1B2a1B2a1B2a1B2a1B2a1B2a1B2",
        "hf_a1B2a1B2\x00a1B2a1B2a1B2a1B2a1B2a1B2a1B2",
    ):
        assert "a1B2a1B2" not in cleaned(hidden.encode())


def test_an_escape_code_without_an_end_costs_only_itself():
    assert plain("a\x1b]0;title and text\nb") == "a0;title and text\nb"
    assert ANSI.sub("", "\x1b[") == ""
