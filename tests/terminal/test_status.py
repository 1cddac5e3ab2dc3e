"""The status on a terminal and in a pipe: nothing cut, nothing hostile, alarms first."""

import json
import re
import unicodedata

import pytest

from fmon.monitor.eta import Eta
from fmon.terminal.status import print_status, status_lines
from fmon.text import HIDDEN
from tests.support.screens import HOSTILE, MIXED, alarm, on_terminal, row, seen, without_codes
from tests.support.studies import at


def test_alarms_come_before_progress_before_conditions(capsys):
    print_status(seen(MIXED, [alarm(3)]), "table")
    out = capsys.readouterr().out
    alarmed, progress, table = (
        out.index(text) for text in ("CRITICAL  overrun", "1/5 succeeded", "condition ")
    )
    assert alarmed < progress < table


def test_poll_number_clock_and_age_are_shown(capsys):
    print_status(seen(MIXED), "table")
    assert "poll 7 at 2026-03-22 05:09:00 UTC, 1 min 00 s ago" in capsys.readouterr().out


def test_a_failed_last_poll_says_why_and_when_the_queue_last_answered(capsys):
    print_status(seen(MIXED, poll_error="Timeout: no answer", ok_age_s=32400.0), "table")
    assert re.search(r"failed: Timeout: no answer; .* 05:09:00 UTC, 9 h 00 min", capsys.readouterr().out)


def test_a_pipe_gets_every_id_whole_and_no_codes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    long = "x" * 300
    print_status(seen([row(1, condition_id=long), row(2)]), "table")
    out = capsys.readouterr().out
    assert long in out
    assert "\x1b" not in out
    header = next(line for line in out.splitlines() if line.startswith("condition"))
    assert header.split() == ["condition", "job", "model_family", "fold", "status", "duration", "cost"]


def test_missing_and_lost_conditions_say_so_in_fmons_own_words(capsys):
    print_status(seen([row(1, "lost", status="RUNNING"), row(2, "missing", status=None)]), "table")
    out = capsys.readouterr().out
    assert "lost, was RUNNING" in out
    assert "missing" in out


def test_a_lost_condition_that_a_person_closed_names_the_person(capsys):
    closed = row(1, "lost", status="RUNNING", closed_by="anna", closed_at=at(20))
    print_status(seen([closed]), "table")
    assert "lost, was RUNNING, closed by anna" in capsys.readouterr().out


def test_five_thousand_conditions_are_summed_up_with_failures_and_alarms_first(capsys):
    rows = [row(number, "succeeded") for number in range(4_950)]
    rows += [row(number, "running") for number in range(4_950, 4_990)]
    rows += [row(number, "failed") for number in range(4_990, 5_000)]
    print_status(seen(rows, [alarm(number) for number in range(3_000)]), "table")
    out = capsys.readouterr().out.splitlines()
    assert len(out) < 150
    assert "... 2,980 more overrun" in out
    print_status(seen(rows, [alarm(17)]), "table")
    out = capsys.readouterr().out
    listed = re.findall(r"^dynunet-dice_ce_cldice-true-(\d+) ", out, re.MULTILINE)
    assert listed[:51] == ["17", *map(str, range(4_990, 5_000)), *map(str, range(4_950, 4_990))]
    assert "... 4,900 more succeeded" in out


def test_json_has_all_conditions_with_exact_numbers(capsys):
    print_status(seen([row(number) for number in range(300)]), "json")
    out = capsys.readouterr().out
    assert len(json.loads(out)) == 300
    assert '"cost_usd": 0.4200,' in out


def test_hostile_names_show_themselves_and_do_nothing(capsys):
    hostile = row(1, condition_id=HOSTILE, status=HOSTILE, factors={HOSTILE: HOSTILE})
    print_status(seen([hostile], [alarm(1, message=HOSTILE, kind=HOSTILE)], poll_error=HOSTILE), "table")
    out = capsys.readouterr().out
    assert not {unicodedata.category(character) for character in out.replace("\n", "")} & HIDDEN
    assert "[bold]x[/] \\x1b]0;owned" in out


def test_wide_characters_keep_the_columns_aligned(capsys):
    print_status(seen([row(1, condition_id="数据集-0"), row(2, condition_id="abcdefgh")]), "table")
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.index("  1  ") + 3 == second.index("  2  ")


@pytest.mark.slow
def test_forty_columns_keep_ids_whole_and_lines_short():
    out = without_codes(on_terminal("status", columns=40))
    table = out[out.index("poll 7") :].splitlines()[2:]
    assert "dynunet-dice_ce_cldice-true-2" in table
    assert max(map(len, table)) <= 40


def test_a_wide_terminal_shows_colours_and_factors():
    out = on_terminal("status", columns=120)
    assert "\x1b[1;31m" in out
    assert re.search(r"condition +job +model_family +fold +status +duration +cost", without_codes(out))


def test_no_color_is_obeyed():
    assert not re.search(r"\x1b\[[0-9;]*3\d", on_terminal("status", NO_COLOR="1"))


def test_a_dumb_terminal_gets_plain_text():
    assert "\x1b" not in on_terminal("status", TERM="dumb")


@pytest.mark.parametrize(
    ("reported", "said"),
    [
        (0, "est. $4.20 (2 unpriced)"),
        (3, "$4.20 (SkyPilot's own for 3 of 4 jobs, 2 unpriced)"),
        (4, "$4.20 (SkyPilot's own, 2 unpriced)"),
    ],
)
def test_the_source_of_the_cost_is_shown(capsys, reported, said):
    print_status(seen(MIXED, reported_count=reported), "table")
    assert f"running, 1 lost, 1 missing, {said}\n" in capsys.readouterr().out


def test_an_eta_whose_time_is_used_up_is_overdue(capsys):
    eta = Eta(at=None, rest_s=None, overdue_s=14400, rule="the config's expected times")
    print_status(seen(MIXED, eta=eta), "table")
    assert "ETA overdue by 4 h 00 min (the config's expected times)\n" in capsys.readouterr().out


def test_impossible_times_are_counted_with_a_query_that_lists_them(capsys):
    print_status(seen(MIXED, impossible_count=2), "table")
    out = capsys.readouterr().out
    assert "impossible times of 2 jobs count as unknown; list them: fmon sql 'from impossible_time'" in out


def test_after_a_relaunch_the_cost_is_marked_as_that_of_all_attempts(capsys):
    print_status(seen([row(1), row(2, cycle=1)]), "table")
    assert "duration  total cost" in capsys.readouterr().out
    narrow = status_lines(seen([row(1), row(2, cycle=1)]), width=40, max_rows=9, max_alarms=9)
    costs = [part.text for each in narrow for part in each if part.text.startswith("$")]
    assert costs == ["$0.42", "$0.42 in all"]
