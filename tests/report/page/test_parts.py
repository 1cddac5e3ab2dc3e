"""The parts of the page: heat maps, letters of causes, bars; rows of queries in, what templates show out."""

from decimal import Decimal
from string import ascii_uppercase

from fmon.report.page.budget import SIZES, Size
from fmon.report.page.cause_cards import cards_of, tag_of
from fmon.report.page.cost_bars import by_cause, by_cycle
from fmon.report.page.heat_map import matrix_of, pairs_of
from fmon.report.page.key_figures import SYMBOLS, WIDTH, states_of

COUNTS = ("cancelled", "running", "pending", "lost", "missing")


def levels(**factors):
    """Make rows of LEVELS."""
    return [
        {"factor": factor, "level": str(level), "total": count}
        for factor, count in factors.items()
        for level in range(min(count, SIZES[0].levels))
    ]


def cell(row, column, expected=2, succeeded=2, failed=0, usd="1", run_s=60.0, unpriced=0, **counts):
    """Make a row of MATRIX."""
    known = {f"{name}_count": counts.get(name, 0) for name in COUNTS}
    known |= {"expected_count": expected, "succeeded_count": succeeded, "failed_count": failed}
    money = {"cost_usd": None if usd is None else Decimal(usd), "unpriced_count": unpriced}
    return {"row_level": row, "column_level": column, "median_run_s": run_s, **known, **money}


def measures(cells, struck=(), cards=()):
    """Write a heat map of a x b and give the measures of its cells."""
    matrix = matrix_of(
        levels(a=2, b=2), {("a", "b"): list(cells)}, {("a", "b"): list(struck)}, list(cards), Size()
    )
    return [each[2:] for each in matrix["data"]["pairs"]["0,1"]]


def card(root_cause_id, number, combination=None):
    suspects = [{"combination": combination}] if combination is not None else []
    return {"root_cause_id": root_cause_id, "tag": tag_of(number), "hue": number + 1, "suspects": suspects}


class TestHeatMap:
    def test_a_cell_says_in_words_what_its_colour_says(self):
        outcome, cost, duration, cause = measures(
            [cell("0", "1", 6, 3, 2, "3.5", 90.0, unpriced=1, running=1)]
        )[0]
        assert outcome == ["3/6", "2 failed, 1 running", "bad2"]
        assert cost == ["$3.50", "1 unpriced", "heat5"]
        assert duration == ["1 min 30 s", "", "heat5"]
        assert cause == ["0", "", "none"]

    def test_what_is_unknown_or_has_not_started_is_said_and_not_coloured(self):
        _, cost, duration, _ = measures([cell("0", "0", usd=None, run_s=None, unpriced=2)])[0]
        assert cost == ["unknown", "2 unpriced", "heat0"]
        assert duration == ["not started", "", "none"]

    def test_shades_go_by_the_largest_cell(self):
        found = measures([cell("0", "0", usd="10"), cell("0", "1", usd="5"), cell("1", "0", usd="0")])
        assert [each[1][2] for each in found] == ["heat5", "heat3", "heat0"]

    def test_causes_come_by_letter_the_most_frequent_first_and_the_rest_is_counted(self):
        struck = [
            {"row_level": "0", "column_level": "0", "root_cause_id": name, "failed_count": count}
            for name, count in (("x", 9), ("y", 4), ("no room for it", 3), ("v", 2), ("w", 1))
        ]
        cause = measures([cell("0", "0")], struck, [card("y", 0), card("x", 1)])[0][3]
        assert cause == ["B 9", "A 4, other 3, 2 more", "hue2"]

    def test_begins_where_the_largest_cause_with_a_suspect_is(self):
        pairs = pairs_of(levels(a=2, b=2, c=2))
        cards = [card("x", 0, {}), card("y", 1, {"c": "1", "b": "0"}), card("z", 2, {"a": "1"})]
        matrix = matrix_of(
            levels(a=2, b=2, c=2), {pair: [cell("0", "0")] for pair in pairs}, {}, cards, Size()
        )
        assert matrix["pair"] == ("b", "c")
        assert (matrix["first"]["row"]["name"], matrix["first"]["column"]["name"]) == ("b", "c")

    def test_a_single_factor_is_shown_against_nothing(self):
        matrix = matrix_of(levels(a=2), {("a", "a"): [cell("0", "0"), cell("1", "1")]}, {}, [], Size())
        assert matrix["first"]["column"]["levels"] == ["conditions"]
        assert [row["cells"][0][0] for row in matrix["first"]["rows"]] == ["2/2", "2/2"]

    def test_without_factors_there_is_none(self):
        assert matrix_of([], {}, {}, [], Size()) is None

    def test_pairs_that_there_is_no_room_for_are_left_out_the_first_never(self):
        found = levels(a=2, b=2, c=2)
        matrices = {pair: [cell("0", "0"), cell("1", "1")] for pair in pairs_of(found)}
        assert list(matrix_of(found, matrices, {}, [], Size(cells=1))["data"]["pairs"]) == ["0,1"]
        assert list(matrix_of(found, matrices, {}, [], Size(cells=4))["data"]["pairs"]) == ["0,1", "0,2"]

    def test_levels_beyond_the_room_are_counted(self):
        matrix = matrix_of(levels(a=100, b=2), {("a", "b"): []}, {}, [], Size(levels=15))
        assert (len(matrix["first"]["row"]["levels"]), matrix["first"]["row"]["more"]) == (15, 85)


def test_the_letters_of_causes_are_those_of_a_spreadsheet():
    assert [tag_of(number) for number in range(26)] == list(ascii_uppercase)
    assert [tag_of(number) for number in (26, 27, 51, 52, 701, 702)] == ["AA", "AB", "AZ", "BA", "ZZ", "AAA"]


def test_a_card_keeps_the_caveat_of_a_suspect_apart_and_loses_none_of_it():
    cause = {"root_cause_id": "cuda_oom/torch", "category": "cuda_oom", "subcategory": "torch"}
    suspect = {
        "root_cause_id": "cuda_oom/torch",
        "combination": {"model": "sam3"},
        "statement": "all 3 failures are model=sam3 (3 of 4 there, 0 of 9 elsewhere); association, not proof",
        "failed_count": 3,
        "total_count": 4,
        "outside_failed_count": 0,
        "outside_total_count": 9,
    }
    (found,) = cards_of([cause], [suspect], {}, Size())
    (shown,) = found["suspects"]
    assert shown["text"] == "All 3 failures are model=sam3 (3 of 4 there, 0 of 9 elsewhere)."
    assert shown["caveat"] == "association, not proof"
    assert (shown["place"], shown["there"], shown["elsewhere"]) == ("sam3", 75, 0)
    assert found["strategy"].startswith("Lower the batch")
    assert found["excerpt"] is None


class TestStates:
    @staticmethod
    def bar(**counts):
        return states_of({f"{state}_count": counts.get(state, 0) for state in SYMBOLS})

    def test_the_bar_is_full_and_in_order(self):
        bar = self.bar(succeeded=11, failed=7, cancelled=1)
        assert [(each["state"], each["symbol"]) for each in bar] == [
            ("succeeded", "✓"), ("failed", "✕"), ("cancelled", "⊘"),
        ]  # fmt: skip
        ends = [float(each["x"]) + float(each["width"]) for each in bar]
        assert ends == sorted(ends)
        assert WIDTH - 4 < ends[-1] <= WIDTH

    def test_one_of_a_hundred_thousand_is_still_seen(self):
        bar = self.bar(succeeded=99_999, failed=1)
        assert float(bar[1]["width"]) >= 4

    def test_nothing_at_all_has_no_bar(self):
        assert self.bar() == []


class TestBars:
    def test_what_was_burned_is_part_of_what_was_spent(self):
        rows = [{"cost_usd": Decimal(8), "wasted_usd": Decimal(2)}, {"cost_usd": None, "wasted_usd": None}]
        assert [row["bar"] for row in by_cycle(rows)] == [
            {"used": "75.0", "wasted": "25.0"},
            {"used": "0.0", "wasted": "0.0"},
        ]

    def test_a_cause_that_was_made_good_has_a_name_and_no_card(self):
        row = {"root_cause_id": "network/dns", "wasted_usd": Decimal(1)}
        (found,) = by_cause([row], {})
        assert (found["name"], found["card"], found["bar"]["wasted"]) == ("network / dns", None, "100.0")
