"""The sentences of the first screen are right for every experiment, also for one that has hardly begun."""

from decimal import Decimal

import pytest

from fmon.report.page.verdict import UNEXAMINED, labels_of, place, readable, verdict_of

STATES = ("succeeded", "failed", "cancelled", "running", "pending", "lost", "missing")


def outcome(usd="1.40", wasted="0.38", unpriced=0, **counts):
    """Make the row of SUMMARY of an experiment with so many conditions in each state."""
    row = {f"{state}_count": counts.get(state, 0) for state in STATES}
    row["condition_count"] = sum(row.values())
    row["open_count"] = sum(row[f"{state}_count"] for state in ("running", "pending", "lost"))
    row["job_count"] = counts.get("jobs", row["condition_count"] - row["missing_count"])
    money = {"cost_usd": usd, "wasted_usd": wasted}
    row |= {name: None if value is None else Decimal(value) for name, value in money.items()}
    return row | {"unpriced_count": unpriced, "reported_count": counts.get("reported", 0)}


def cause(root_cause_id, count):
    return {"root_cause_id": root_cause_id, "failed_count": count}


def struck(*causes):
    """Make the row of FAILURE_SUMMARY that goes with some causes."""
    unexamined = sum(row["failed_count"] for row in causes if row["root_cause_id"] == UNEXAMINED)
    return {
        "failed_count": sum(row["failed_count"] for row in causes),
        "unexamined_count": unexamined,
        "cause_count": sum(row["root_cause_id"] != UNEXAMINED for row in causes),
    }


def suspect(root_cause_id, combination, there=(3, 3), elsewhere=(0, 15)):
    counts = dict(zip(("failed_count", "total_count"), there, strict=True))
    counts |= dict(zip(("outside_failed_count", "outside_total_count"), elsewhere, strict=True))
    return {"root_cause_id": root_cause_id, "combination": combination, "round": 1, **counts}


def said(row, *causes, suspects=(), budget_usd=None):
    verdict = verdict_of(row, struck(*causes), causes, suspects, budget_usd=budget_usd)
    return verdict.how, verdict.why, verdict.cost


OOM, DATA, SHAPE = (
    cause("cuda_oom/torch", 3),
    cause("data_missing/file/FileNotFoundError/a7", 3),
    cause("code_bug/shape/RuntimeError/f8", 1),
)


@pytest.mark.parametrize(
    ("row", "causes", "how"),
    [
        (outcome(), [], "The experiment has no conditions."),
        (outcome(missing=1), [], "Nothing has been launched yet: 1 condition planned."),
        (outcome(missing=54), [], "Nothing has been launched yet: 54 conditions planned."),
        (outcome(pending=6, jobs=0), [], "No poll has shown a job yet: 6 conditions in the manifest."),
        (outcome(succeeded=1), [], "The only condition succeeded."),
        (outcome(succeeded=19), [], "All 19 conditions succeeded."),
        (
            outcome(failed=1),
            [OOM | {"failed_count": 1}],
            "0 of 1 condition succeeded; 1 failed with cuda_oom.",
        ),
        (
            outcome(succeeded=11, failed=7, cancelled=1),
            [OOM, DATA, SHAPE],
            "11 of 19 conditions succeeded; 7 failed with 3 causes; 1 was cancelled.",
        ),
        (
            outcome(succeeded=1, running=2, pending=1, lost=1, missing=2),
            [],
            "1 of 7 conditions succeeded so far; 2 are running; 1 is pending; 1 is lost; "
            "2 were never launched.",
        ),
        (
            outcome(failed=2),
            [cause(UNEXAMINED, 2)],
            "0 of 2 conditions succeeded; 2 failed and none of them examined yet.",
        ),
        (
            outcome(succeeded=1, failed=1),
            [cause(UNEXAMINED, 1)],
            "1 of 2 conditions succeeded; 1 failed and not examined yet.",
        ),
        (
            outcome(failed=5),
            [OOM, cause(UNEXAMINED, 2)],
            "0 of 5 conditions succeeded; 5 failed with cuda_oom (2 not examined yet).",
        ),
        (
            outcome(failed=1, running=2),
            [OOM],
            "0 of 3 conditions succeeded so far; 1 failed with cuda_oom (2 more failed before); "
            "2 are running.",
        ),
        (
            outcome(running=3),
            [OOM],
            "0 of 3 conditions succeeded so far; 3 failed before and have not succeeded since; "
            "3 are running.",
        ),
        (
            outcome(succeeded=99_990, failed=10),
            [cause("network/dns", 10)],
            "99,990 of 100,000 conditions succeeded; 10 failed with network.",
        ),
    ],
)
def test_how_it_went(row, causes, how):
    assert said(row, *causes)[0] == how


class TestWhy:
    row = outcome(succeeded=12, failed=7)

    def test_names_the_place_and_the_counter_evidence_of_the_two_largest_causes_that_have_one(self):
        suspects = [
            suspect("code_bug/shape/RuntimeError/f8", {"model": "a"}, (1, 2)),
            suspect("cuda_oom/torch", {"model": "sam3_lora", "loss": "dice_ce"}),
            suspect("data_missing/file/FileNotFoundError/a7", {"fold": "2"}, (3, 6), (0, 13)),
        ]
        why = said(self.row, OOM, DATA, SHAPE, suspects=suspects)[1]
        where = place({"model": "sam3_lora", "loss": "dice_ce"})
        assert why == (
            f"cuda_oom affects all of {where} (3 of 3 there, 0 of 15 elsewhere); "
            "data_missing affects fold=2 (3 of 6 there, 0 of 13 elsewhere)."
        )

    def test_takes_the_first_round_of_several(self):
        first, second = (suspect("cuda_oom/torch", {"model": name}) for name in ("one", "two"))
        assert "all of one (" in said(self.row, OOM, suspects=[first, second | {"round": 2}])[1]

    def test_a_universal_cause_struck_every_condition(self):
        why = said(outcome(failed=3), OOM, suspects=[suspect("cuda_oom/torch", {}, (3, 3), (0, 0))])[1]
        assert why == "cuda_oom affected every condition that has ended (3 of 3)."

    def test_says_so_where_nothing_explains(self):
        assert said(self.row, OOM)[1] == "No level or pair of levels explains cuda_oom."
        assert said(self.row, OOM, DATA)[1] == "No level or pair of levels explains any of the causes."

    def test_says_nothing_of_failures_that_were_not_examined_and_of_none(self):
        assert said(outcome(failed=2), cause(UNEXAMINED, 2))[1] == ""
        assert said(outcome(succeeded=2))[1] == ""


@pytest.mark.parametrize(
    ("row", "budget", "cost"),
    [
        (outcome(missing=3), None, "Nothing has been spent yet."),
        (
            outcome(succeeded=1, running=1),
            None,
            "$1.40 spent so far, including $0.38 wasted on failed attempts.",
        ),
        (outcome(succeeded=1, wasted="0"), None, "$1.40 spent in all."),
        (outcome(succeeded=1, wasted="0"), Decimal(2), "$1.40 spent in all (budget $2.00)."),
        (outcome(succeeded=1, wasted="0"), Decimal(1), "$1.40 spent in all (over the budget of $1.00)."),
        (outcome(succeeded=1, wasted="0", reported=1), None, "$1.40 spent in all (SkyPilot's own)."),
        (
            outcome(succeeded=2, wasted="0", reported=1),
            Decimal(2),
            "$1.40 spent in all (SkyPilot's own for 1 of 2 jobs; budget $2.00).",
        ),
        (
            outcome(succeeded=2, wasted=None, unpriced=1),
            None,
            "At least $1.40 spent in all; 1 job has no price.",
        ),
        (
            outcome(succeeded=2, usd=None, wasted=None, unpriced=2),
            None,
            "The cost is unknown: 2 jobs have no price.",
        ),
    ],
)
def test_what_it_cost(row, budget, cost):
    assert said(row, budget_usd=budget)[2] == cost


def test_causes_are_named_as_short_as_keeps_them_apart():
    ids = [
        "cuda_oom/torch",
        "code_bug/-/KeyError/a1",
        "code_bug/-/TypeError/b2",
        "auth/x/E/c1",
        "auth/x/E/c2",
    ]
    assert list(labels_of([cause(each, 1) for each in [*ids, UNEXAMINED]]).values()) == [
        "cuda_oom",
        "code_bug / KeyError",
        "code_bug / TypeError",
        "auth / x / E / c1",
        "auth / x / E / c2",
        "not examined",
    ]


def test_only_the_hash_is_left_out_of_a_readable_name():
    assert readable("import_error/dependency_conflict/-/a080bd0a") == "import_error / dependency_conflict"
    assert readable("cuda_oom/torch") == "cuda_oom / torch"
    assert readable("network") == "network"


def test_levels_that_say_nothing_alone_come_with_their_factor():
    shown = place({"model": "sam3", "fold": "2", "on": "true", "rate": "1e-3", "x": "0.1"})
    assert shown.split(" \N{MULTIPLICATION SIGN} ") == ["sam3", "fold=2", "on=true", "rate=1e-3", "x=0.1"]
