"""A log that is cleaned while it arrives is, in the end, the log that would have been stored."""

import re

import pytest

from fmon.sky.clean_log import cleaned
from fmon.sky.live_text import CONTEXT_BYTES, MAX_PENDING_BYTES, LiveText

KEY_LINES = "".join(f"{number:064d}\n" for number in range(20))
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}-----END RSA PRIVATE KEY-----\n"
LOG = (
    "(train, pid=7) step 1\r\n"
    '<sky-payload>"<rich_status>waiting for it"</sky-payload>\n'
    "(train, pid=7) WANDB_API_KEY=0123456789abcdef0123 epochs=3\n"
    "machine api.example.com\n  login anna\n  password hunter22\n"
    f"{KEY}"
    "(train, pid=7) \x1b[31mred\x1b[0m caf\u00e9 hf_abcdefghijklmnopqrstuvwxyz\n"
    "10%\r20%\r the end"
).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, len(LOG)])
def test_wherever_the_pieces_end_the_text_is_that_of_the_whole(size):
    text = LiveText()
    shown = [text.add(LOG[at : at + size]) for at in range(0, len(LOG), size)]
    assert "".join([*shown, text.end()]) == cleaned(LOG)


@pytest.mark.parametrize("at", range(LOG.index(b"WANDB"), LOG.index(b" epochs")))
def test_a_pause_within_a_secret_shows_no_part_of_it(at):
    text = LiveText()
    shown = text.add(LOG[:at]) + text.pause() + text.add(LOG[at:]) + text.end()
    assert "0123456789abcdef" not in shown
    assert not re.search(r"\d[0-9a-f]{3,}0123", shown)


def test_a_pause_within_a_key_shows_no_line_of_it():
    text = LiveText()
    lines = KEY.encode().splitlines(keepends=True)
    shown = "".join(text.add(line) + text.pause() for line in lines) + text.end()
    assert "0000" not in shown
    assert "[redacted:private_key]" in shown


def test_the_complete_words_of_an_unfinished_line_are_shown_after_a_pause():
    text = LiveText()
    assert text.add(b"waiting for lock") == ""
    assert text.pause() == "waiting for "
    assert text.add(b" 7\n") == "lock 7\n"


def test_a_progress_bar_is_shown_up_to_its_last_return():
    text = LiveText()
    text.add(b"10%\r20%\r3")
    assert text.pause() == "10%\r20%\r"


def test_a_cut_word_is_not_shown_when_reading_stops():
    text = LiveText()
    text.add(b"token hf_abcdefgh")
    assert text.stop() == "token "


def test_an_endless_word_takes_limited_memory_and_reveals_no_cut_secret():
    text = LiveText()
    shown = ""
    for _ in range(3 * MAX_PENDING_BYTES >> 16):
        shown += text.add(b"x" * (1 << 16))
        assert len(text._pending) <= MAX_PENDING_BYTES + (1 << 16)
    assert "bytes left out here]" in shown


def test_only_the_text_that_a_secret_may_reach_back_to_is_kept():
    text = LiveText()
    for number in range(30):
        text.add(b"%05999d\n" % number)
    assert 0 < len(text._context) <= CONTEXT_BYTES
