"""What reaches a terminal or a pipe: nothing cut, nothing hostile, alarms first."""

import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.launch.plan import Plan
from fmon.launch.preflight import Check
from fmon.model import STATES
from fmon.monitor.eta import Eta
from fmon.monitor.status import Alarm, ConditionRow, Status
from fmon.terminal.lines import Grid, cells, plain, segment
from fmon.terminal.plan import plan_lines, print_plan
from fmon.terminal.rows import print_rows
from fmon.terminal.status import print_status
from fmon.terminal.watch import WatchScreen
from fmon.text import HIDDEN, duration, json_text, visible
from tests.support.studies import at

HOSTILE = "[bold]x[/] \x1b]0;owned\x07 \x1b[31m \u202eevil\u202c \x9b2J \r\n\u2028"


def row(number: int, state: str = "running", **changed) -> ConditionRow:
    fields = {
        "condition_id": f"dynunet-dice_ce_cldice-true-{number}",
        "kind": "grid",
        "factors": {"model_family": "dynunet", "fold": str(number)},
        "job_id": number,
        "job_name": f"job-{number}",
        "cycle": 0,
        "state": state,
        "status": state.upper(),
        "category": None,
        "failure_reason": None,
        "recovery_count": 0,
        "run_s": 61.0,
        "cost_usd": Decimal("0.4200"),
        "submitted_at": None,
        "start_at": None,
        "end_at": None,
        "since_at": None,
        "closed_by": None,
        "closed_reason": None,
        "closed_at": None,
    }
    return ConditionRow(**{**fields, **changed})


def alarm(number: int, **changed) -> Alarm:
    fields = {
        "kind": "overrun",
        "severity": "critical",
        "condition_id": f"dynunet-dice_ce_cldice-true-{number}",
        "job_id": number,
        "message": f"job {number} runs longer than expected",
        "value": None,
        "threshold": None,
        "unit": None,
        "started_at": None,
        "raised_at": at(number),
    }
    return Alarm(**{**fields, **changed})


def seen(rows: list[ConditionRow], alarms: list[Alarm] | None = None, **changed) -> Status:
    counts = {state: sum(each.state == state for each in rows) for state in STATES}
    fields = {
        "experiment_id": "study-20260322T050000Z",
        "experiment_name": "study",
        "is_replayed": False,
        "now_at": at(10),
        "poll_id": 7,
        "polled_at": at(9),
        "poll_age_s": 60.0,
        "poll_error": None,
        "last_ok_at": at(9),
        "ok_age_s": 60.0,
        "alarms": alarms or [],
        "rows": rows,
        "counts": counts,
        "condition_count": len(rows),
        "open_count": counts["running"],
        "cost_usd": Decimal("4.2"),
        "unpriced_count": 2,
        "eta": Eta(at=at(30), rest_s=1200, rule="median of all succeeded conditions; 1 at a time"),
    }
    return Status(**{**fields, **changed})


MIXED = [row(1, "succeeded"), row(2, "failed"), row(3), row(4, "lost"), row(5, "missing", job_id=None)]

EXAMPLE = """\
import sys
from fmon.terminal.watch import WatchScreen
from fmon.terminal.status import print_status
from tests.terminal.test_terminal import MIXED, alarm, seen
status = seen(MIXED, [alarm(3)])
if sys.argv[1] == "watch":
    with WatchScreen() as screen:
        for count in (1, 2, 3):
            screen.show(seen(MIXED[:count]), note="a note" if count == 3 else None)
else:
    print_status(status, "table")
"""


def on_terminal(what: str, *, columns: int = 80, **env: str) -> str:
    """Run the example on a pseudo terminal and give all that came out of it."""
    parent, child = pty.openpty()
    variables = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "24", **env}
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", EXAMPLE, what], stdout=child, stdin=child, stderr=child, env=kept | variables
    )
    os.close(child)
    out = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # the child has closed its end
            break
        if not piece:
            break
        out += piece
    os.close(parent)
    assert process.wait(timeout=60) == 0, out.decode()
    return out.decode().replace("\r\n", "\n")


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class TestStatus:
    def test_alarms_come_before_progress_before_conditions(self, capsys):
        print_status(seen(MIXED, [alarm(3)]), "table")
        out = capsys.readouterr().out
        alarmed, progress, table = (
            out.index(text) for text in ("CRITICAL  overrun", "1/5 succeeded", "condition ")
        )
        assert alarmed < progress < table

    def test_poll_number_clock_and_age_are_shown(self, capsys):
        print_status(seen(MIXED), "table")
        assert "poll 7 at 2026-03-22 05:09:00 UTC, 1 min 00 s ago" in capsys.readouterr().out

    def test_a_failed_last_poll_says_why_and_when_the_queue_last_answered(self, capsys):
        print_status(seen(MIXED, poll_error="Timeout: no answer", ok_age_s=32400.0), "table")
        assert re.search(r"failed: Timeout: no answer; .* 05:09:00 UTC, 9 h 00 min", capsys.readouterr().out)

    def test_a_pipe_gets_every_id_whole_and_no_codes(self, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setenv("FORCE_COLOR", "1")
        long = "x" * 300
        print_status(seen([row(1, condition_id=long), row(2)]), "table")
        out = capsys.readouterr().out
        assert long in out
        assert "\x1b" not in out
        header = next(line for line in out.splitlines() if line.startswith("condition"))
        assert header.split() == ["condition", "job", "model_family", "fold", "status", "duration", "cost"]

    def test_missing_and_lost_conditions_say_so_in_fmons_own_words(self, capsys):
        print_status(seen([row(1, "lost", status="RUNNING"), row(2, "missing", status=None)]), "table")
        out = capsys.readouterr().out
        assert "lost, was RUNNING" in out
        assert "missing" in out

    def test_a_lost_condition_that_a_person_closed_names_the_person(self, capsys):
        closed = row(1, "lost", status="RUNNING", closed_by="anna", closed_at=at(20))
        print_status(seen([closed]), "table")
        assert "lost, was RUNNING, closed by anna" in capsys.readouterr().out

    def test_five_thousand_conditions_are_summed_up_with_failures_and_alarms_first(self, capsys):
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

    def test_json_has_all_conditions_with_exact_numbers(self, capsys):
        print_status(seen([row(number) for number in range(300)]), "json")
        out = capsys.readouterr().out
        assert len(json.loads(out)) == 300
        assert '"cost_usd": 0.4200,' in out

    def test_hostile_names_show_themselves_and_do_nothing(self, capsys):
        hostile = row(1, condition_id=HOSTILE, status=HOSTILE, factors={HOSTILE: HOSTILE})
        print_status(seen([hostile], [alarm(1, message=HOSTILE, kind=HOSTILE)], poll_error=HOSTILE), "table")
        out = capsys.readouterr().out
        assert not {unicodedata.category(character) for character in out.replace("\n", "")} & HIDDEN
        assert "[bold]x[/] \\x1b]0;owned" in out

    def test_wide_characters_keep_the_columns_aligned(self, capsys):
        print_status(seen([row(1, condition_id="数据集-0"), row(2, condition_id="abcdefgh")]), "table")
        first, second = capsys.readouterr().out.splitlines()[-2:]
        assert first.index("  1  ") + 3 == second.index("  2  ")

    def test_forty_columns_keep_ids_whole_and_lines_short(self):
        out = without_codes(on_terminal("status", columns=40))
        table = out[out.index("poll 7") :].splitlines()[2:]
        assert "dynunet-dice_ce_cldice-true-2" in table
        assert max(map(len, table)) <= 40

    def test_a_wide_terminal_shows_colours_and_factors(self):
        out = on_terminal("status", columns=120)
        assert "\x1b[1;31m" in out
        assert re.search(r"condition +job +model_family +fold +status +duration +cost", without_codes(out))

    def test_no_color_is_obeyed(self):
        assert not re.search(r"\x1b\[[0-9;]*3\d", on_terminal("status", NO_COLOR="1"))

    def test_a_dumb_terminal_gets_plain_text(self):
        assert "\x1b" not in on_terminal("status", TERM="dumb")


class TestWatch:
    def test_a_pipe_gets_one_line_per_change(self, capsys):
        with WatchScreen() as screen:
            for rows in ([row(1)], [row(1)], [row(1, "succeeded")]):
                screen.show(seen(rows))
            screen.show(seen(rows), note="the queue did not answer")
        lines = capsys.readouterr().out.splitlines()
        assert [re.sub(r".* UTC  (\d/\d).*?(;.*)?$", r"\1\2", line) for line in lines] == [
            "0/1",
            "1/1",
            "1/1; the queue did not answer",
        ]

    def test_a_pipe_gets_each_new_alarm_once(self, capsys):
        with WatchScreen() as screen:
            for alarms in ([], [alarm(3)], [alarm(3)], [alarm(3), alarm(4)]):
                screen.show(seen(MIXED, alarms))
        out = capsys.readouterr().out
        assert [out.count(f"job {number} runs longer") for number in (3, 4)] == [1, 1]

    def test_a_terminal_gets_a_table_that_redraws_itself(self):
        out = on_terminal("watch", columns=100)
        assert "\x1b[1A" in out
        assert "a note" in out.split("\x1b[2K")[-1]
        assert out.endswith("\x1b[?25h"), "the cursor is shown again"

    def test_a_dumb_terminal_gets_lines(self):
        out = on_terminal("watch", TERM="dumb")
        assert "\x1b" not in out
        assert len(out.splitlines()) == 3

    def test_a_small_terminal_is_never_overfull(self, monkeypatch):
        """Lines that have scrolled away can't be redrawn."""
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "50")
        monkeypatch.setenv("LINES", "20")
        lines = WatchScreen()._screen(seen([row(number) for number in range(500)], [alarm(1)]), None)
        assert len(lines) < 20
        assert any("... 49" in part.text for line in lines for part in line)


class TestRows:
    def test_json_is_one_array_of_objects(self, capsys):
        values = {
            "exact": Decimal("1234567890123.4500"),
            "whole": Decimal("300"),
            "at": datetime(2026, 3, 22, 5, 8, tzinfo=UTC),
            "fraction": datetime(2026, 3, 22, 5, 8, 0, 250_000, tzinfo=UTC),
            "map": {"a": None},
            "list": [1, 0.1],
            "large": 2**70 + 1,
            "nan": float("nan"),
            "infinite": float("inf"),
            "yes": True,
        }
        print_rows(list(values), [values, {**values, "whole": None}], "json")
        out = capsys.readouterr().out
        first, second = json.loads(out, parse_float=Decimal)
        assert first == {
            "exact": Decimal("1234567890123.45"),
            "whole": 300,
            "at": "2026-03-22T05:08:00Z",
            "fraction": "2026-03-22T05:08:00.250000Z",
            "map": {"a": None},
            "list": [1, Decimal("0.1")],
            "large": 2**70 + 1,
            "nan": None,
            "infinite": None,
            "yes": True,
        }
        assert second["whole"] is None

    def test_no_rows_are_an_empty_array_or_a_bare_header(self, capsys):
        print_rows(["a", "b"], [], "json")
        print_rows(["a", "b"], [], "table")
        assert capsys.readouterr().out == "[]\na  b\n"

    def test_a_table_aligns_numbers_right_and_leaves_null_empty(self, capsys):
        print_rows(["name", "n"], [{"name": "a", "n": 1}, {"name": None, "n": 100}], "table")
        assert capsys.readouterr().out == "name    n\na       1\n      100\n"

    def test_a_pipe_that_knows_only_ascii_gets_escapes(self):
        code = "from fmon.terminal.rows import print_rows; print_rows(['a'], [{'a': '数'}], 'table')"
        env = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        assert done.stdout == "a\n\\u6570\n", done.stderr


class TestGrid:
    GRID = Grid(
        ("condition", "n", "why"),
        [
            [segment("a"), segment("7"), segment("word " * 20 + HOSTILE + "数" * 40, "red")],
            [segment("b"), segment("1000"), segment("")],
        ],
        frozenset({1}),
    )

    def test_a_table_wider_than_the_terminal_folds_its_long_cells_and_cuts_nothing(self):
        lines = list(self.GRID.lines(60))
        assert all(sum(cells(part.text) for part in line) <= 60 for line in lines)
        shown = re.sub(r"\s", "", "".join(map(plain, lines)))
        assert re.sub(r"\s", "", "word" * 20 + visible(HOSTILE) + "数" * 40) in shown
        assert plain(lines[0]) == "condition     n  why"
        assert plain(lines[-1]) == "b          1000"

    def test_a_folded_table_keeps_the_styles(self):
        styles = {part.style for line in self.GRID.lines(60) for part in line}
        assert {"bold", "red"} <= styles

    def test_a_table_that_fits_and_one_for_a_pipe_are_not_folded(self):
        assert len(list(self.GRID.lines())) == len(list(self.GRID.lines(self.GRID.width()))) == 3


class TestPlan:
    PLAN = Plan(
        experiment_name="study",
        config_file="experiment.yaml",
        skypilot_yaml="train.yaml",
        factors={"model": ["dynunet", "sam3"], "calib": [True, False]},
        inner_factors={"post": ["none", "crf"]},
        grid_count=4,
        excluded_count=1,
        baseline_count=2,
        condition_count=5,
        inner_count=6,
        expected_h=2.5,
        cost_usd=3.25,
        price_sources=["config"],
        unpriced_count=2,
        checks=[Check("task", "ok", "fine"), Check("budget", "fail", f"too dear {HOSTILE}")],
    )

    def test_says_what_fails_first_then_counts_cost_and_levels(self, capsys):
        print_plan(self.PLAN, "table")
        out = capsys.readouterr().out
        assert out.startswith("fail  too dear [bold]")
        assert "5 conditions = 4 cells of the grid - 1 excluded + 2 baselines; 6 evaluations" in out
        assert "est. $3.25 (2 conditions without price or expected time), 2.5 h" in out
        assert re.search(r"calib +2 +true, false", out)
        assert "\x1b" not in out

    def test_a_narrow_terminal_folds_the_levels(self):
        plan = replace(self.PLAN, factors={"model": [f"level-{n}" for n in range(15)]}, checks=[])
        lines = [plain(each) for each in plan_lines(plan, width=60)]
        header = next(number for number, each in enumerate(lines) if each.startswith("factor"))
        assert max(map(len, lines[header:])) <= 60
        assert all(f"level-{n}" in " ".join(lines) for n in range(15))

    def test_json_is_one_object_with_the_checks(self, capsys):
        print_plan(self.PLAN, "json")
        (plan,) = json.loads(capsys.readouterr().out)
        assert plan["checks"][0] == {"name": "task", "result": "ok", "sentence": "fine"}
        assert plan["factors"]["calib"] == [True, False]


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
