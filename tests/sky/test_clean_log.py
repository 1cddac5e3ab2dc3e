"""What is stored of a log: its own lines, without SkyPilot's marks, ANSI codes and secrets."""

import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.sky.clean_log import cleaned
from fmon.sky.head_and_tail import Ends

BODY = "".join(random.Random(1).choices(string.ascii_letters + string.digits + "+/", k=64 * 25))
LINES = [BODY[start : start + 64] for start in range(0, len(BODY), 64)]
KEY = "\n".join(["-----BEGIN PRIVATE KEY-----", *LINES, "-----END PRIVATE KEY-----"])
RANDOM = "a1B2c3D4e5F6g7H8i9J0"
SECRETS = [
    "hf_" + "a1B2" * 9,
    "ghp_" + "a1B2" * 9,
    "AKIA" + "A1B2" * 4,
    "AIza" + "a1B2c" * 7,
    "xoxb-1234567890-abcdef",
    "wandb_v1_" + RANDOM,
    "sk-proj-" + RANDOM,
    f"Authorization: Bearer {RANDOM}",
    f"https://me:{RANDOM}@host/path",
    f"MY_SERVICE_TOKEN={RANDOM}",
    "SERVICE_PASSWORD=" + "correct horse".replace(" ", ""),
]


def is_gone(text: str, secret: str) -> bool:
    """Tell whether no telling part of a secret is left."""
    bare = secret.rpartition("=")[2].rpartition(" ")[2].removeprefix("https://me:").partition("@")[0]
    return not any(bare[at : at + 12] in text for at in range(len(bare) - 12))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("(train, pid=7) step 1\n(train, pid=7) step 2\n", "step 1\nstep 2\n"),
        ("\x1b[36m(setup pid=5000)\x1b[0m pip install\n", "pip install\n"),
        ("\x1b[36m(a-b_c.d, pid=51)\x1b[0m   indented\n", "  indented\n"),
        ("(train, pid=7)\n", "\n"),
        ("(head, rank=0, pid=12) one\n(worker1, rank=1, pid=3, ip=10.0.0.2) two\n", None),
        ("called f(a, pid=3) twice\n", None),
        ("a\x1b[1;31mred\x1b[0m \x1b]0;title\x07b\x1b(Bc\x1b[2K\n", "ared bc\n"),
        ("10%\r20%\r\n", "10%\r20%\n"),
        ('<sky-payload type="rich">{"x": 1}</sky-payload>\nline\n', "line\n"),
        ("Umlaut \xe4 and \u2713\n", None),
    ],
)
def test_only_what_skypilot_adds_is_taken_off(raw, expected):
    assert cleaned(raw.encode()) == (raw if expected is None else expected)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("prefix", ["", "(train, pid=7) ", "\x1b[36m(setup pid=7)\x1b[0m \x1b[31m"])
def test_no_kind_of_secret_is_left(secret, prefix):
    assert is_gone(cleaned(f"{prefix}using {secret} now\n".encode()), secret)


def test_colours_within_a_secret_do_not_hide_it():
    assert "B2a1B2a1" not in cleaned(b"hf_a1B2a1B2\x1b[0ma1B2a1B2a1B2a1B2a1B2a1B2a1B2\n")


@pytest.mark.parametrize("prefix", ["", "(train, pid=7) ", "2026-01-01 12:00:00 | INFO | "])
def test_a_private_key_goes_whatever_stands_before_its_lines(prefix):
    text = cleaned("".join(f"{prefix}{line}\n" for line in ["before", *KEY.split("\n"), "after"]).encode())
    assert "before" in text
    assert "after" in text
    assert not any(line[:20] in text for line in LINES)


@pytest.mark.parametrize("kept", range(1, 26, 4))
def test_a_key_that_lost_its_beginning_or_its_end_goes_too(kept):
    lines = KEY.split("\n")
    for part in (lines[:kept], lines[-kept:]):
        text = cleaned("\n".join(["Traceback (most recent call last):", *part, "ValueError: bad"]).encode())
        assert text.startswith("Traceback (most recent call last):")
        assert text.endswith("ValueError: bad")
        assert not any(line[:20] in text for line in LINES)


def test_naming_the_mark_of_a_key_costs_no_line_behind_it():
    text = "expected -----BEGIN PRIVATE KEY-----, got ''\nValueError: no key\n"
    assert cleaned(text.encode()).endswith("\nValueError: no key\n")


@pytest.mark.slow
@given(st.integers(0, 4000), st.sampled_from([*SECRETS, KEY]), st.sampled_from([b"\n", b"\r", b" "]))
def test_a_secret_that_a_cut_goes_through_is_gone(shift, secret, end):
    """The cut's two sides are 4 kB apart: the secret slides over both."""
    filler = b"loss 0.5" + end
    ends = Ends(head=12_000, tail=12_000)
    ends.add((filler * 3000)[: 11_000 - len(secret) + shift])
    ends.add(b"\n" + secret.encode() + end)
    ends.add(filler * 6000)
    text = cleaned(ends.value())
    other = Ends(head=12_000, tail=12_000)
    other.add(filler * 6000)
    other.add(b"\n" + secret.encode() + end)
    other.add((filler * 3000)[: 11_000 - len(secret) + shift])
    text += cleaned(other.value())
    if secret is KEY:
        assert not any(line[:20] in text for line in LINES)
    else:
        assert is_gone(text, secret)


@given(st.binary(max_size=400))
def test_any_bytes_are_cleaned_and_cleaned_once(raw):
    once = cleaned(raw)
    assert "\x1b[0m" not in once
    once.encode()


@pytest.mark.slow
def test_cleaning_takes_linear_time():
    for evil in (b"\x1b[", b"\x1b]0;", b"(", b"(a, pid=", b"<sky-payload", b"-----BEGIN PRIVATE KEY-----\n"):
        once, twice = (
            min(_seconds(evil * (count // len(evil))) for _ in range(3)) for count in (100_000, 200_000)
        )
        assert twice < 4 * once, evil


def _seconds(raw):
    began = time.process_time()
    cleaned(raw)
    return time.process_time() - began


@pytest.mark.parametrize(
    "line",
    ["=== Task train(1) ===", "Job 7 not found.", "Starting task 1 (train) for job 3", "Logs were deleted."],
)
def test_a_program_line_that_looks_like_skypilots_keeps_its_prefix(line):
    for end in ("\n", ""):
        assert cleaned(f"(prep, pid=7) {line}{end}".encode()) == f"(prep, pid=7) {line}{end}"
        assert cleaned(f"{line}{end}".encode()) == f"{line}{end}"
