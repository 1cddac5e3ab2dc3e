"""Suspects against an independent implementation, and what chance alone may do."""

from collections import Counter, defaultdict
from fractions import Fraction
from itertools import combinations
from math import comb, isclose
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom

from fmon.schema import SOURCES
from fmon.warehouse import rows
from fmon.warehouse.load import bind
from fmon.warehouse.views import closure, make_views, open_empty

ALPHA = Fraction(1, 20)
VIEWS = ("cause_level_association", "failure_cluster", "suspect")

Condition = dict[str, str]
Items = frozenset[tuple[str, str]]


class Design(NamedTuple):
    """Conditions as factor -> level, and the cause that each failed with, or None."""

    conditions: list[Condition]
    causes: list[str | None]


def loaded(designs: list[Design]) -> Any:
    """Open a database that has each design as an experiment of its own: e0, e1, ..."""
    con = open_empty()
    given: dict[str, list[dict]] = defaultdict(list)
    given["clock"] = [{"now": None}]
    for number, (conditions, causes) in enumerate(designs):
        key = {"experiment_id": f"e{number}"}
        given["manifest"].append(key | {"current_cycle": 0, "is_replayed": False})
        order = list(dict.fromkeys(factor for condition in conditions for factor in condition))
        pairs = dict.fromkeys(pair for condition in conditions for pair in condition.items())
        given["factor_level"] += [
            key | {"factor": factor, "level": level, "factor_number": order.index(factor)}
            for factor, level in pairs
        ]
        for job_id, (condition, cause) in enumerate(zip(conditions, causes, strict=True)):
            own = key | {"condition_id": f"c{job_id}", "job_id": job_id, "job_key": job_id}
            own["job_name"] = f"job{job_id}"
            given["entry"].append(own | {"kind": "grid", "factors": list(condition.items())})
            given["attempt"].append(own | {"cycle": 0, "role": "attempt"})
            status = "FAILED" if cause else "SUCCEEDED"
            given["snapshot"].append(own | {"poll_id": 1, "task_id": 0, "status": status, "is_seen": True})
            if cause:
                given["finding"].append(own | {"task_id": 0, "root_cause_id": cause, "category": cause})
    for source, listed in given.items():
        bind(con, source, [tuple(row.get(column.name) for column in SOURCES[source]) for row in listed])
    make_views(con, closure(VIEWS).views)
    return con


def grid(**levels: int | str) -> list[Condition]:
    """Cross factors; levels are numbered, or the words of a text."""
    crossed: list[Condition] = [{}]
    for factor, names in levels.items():
        names = names.split() if isinstance(names, str) else [str(number) for number in range(names)]
        crossed = [{**condition, factor: name} for condition in crossed for name in names]
    return crossed


def chance(hit: int, group: int, failed: int, total: int) -> Fraction:
    """Fisher's one-sided p, exact."""
    ways = sum(comb(failed, i) * comb(total - failed, group - i) for i in range(hit, min(group, failed) + 1))
    return Fraction(ways, comb(total, group))


def reference(design: Design, cause: str) -> list[dict]:
    """Search as design section 9 says, over sets of conditions and with exact fractions."""
    left, found = set(range(len(design.causes))), []
    while len(found) < 5:
        held = held_by(design.conditions, left)
        failed = {number for number in left if design.causes[number] == cause}
        p = {
            items: chance(len(held[items] & failed), len(held[items]), len(failed), len(left))
            for items in held
        }
        holm = stepped_down(p)
        kept = [items for items in held if holm[items] <= ALPHA and is_needed(items, held, failed)]
        if not kept:
            break
        best = min(kept, key=lambda items: (p[items], len(items), places(design, items)))
        alike = [items for items in held if held[items] == held[best] and items != best]
        minimal = [
            items
            for items in alike
            if not any(held[frozenset({item})] == held[best] for item in items) or len(items) == 1
        ]
        found.append(
            {
                "round": len(found) + 1,
                "combination": dict(best),
                "equivalents": {tuple(sorted(items)) for items in minimal},
                "failed_count": len(held[best] & failed),
                "total_count": len(held[best]),
                "remaining_failed_count": len(failed),
                "remaining_total_count": len(left),
                "outside_other_count": sum(
                    design.causes[number] not in (None, cause) for number in left - held[best]
                ),
                "p_value": float(p[best]),
                "p_holm": float(holm[best]),
            }
        )
        left -= held[best]
    return found


def held_by(conditions: list[Condition], left: set[int]) -> dict[Items, set[int]]:
    """List the observed combinations of one or two levels, of factors with two or more."""
    seen = defaultdict(set)
    for number in left:
        for factor, level in conditions[number].items():
            seen[factor].add(level)
    held = defaultdict(set)
    for number in left:
        items = [item for item in conditions[number].items() if len(seen[item[0]]) > 1]
        for size in (1, 2):
            for combination in combinations(items, size):
                held[frozenset(combination)].add(number)
    return dict(held)


def stepped_down(p: dict[Items, Fraction]) -> dict[Items, Fraction]:
    """Correct by Holm."""
    corrected, highest = {}, Fraction(0)
    for rank, items in enumerate(sorted(p, key=lambda items: p[items])):
        highest = max(highest, (len(p) - rank) * p[items])
        corrected[items] = min(Fraction(1), highest)
    return corrected


def is_needed(items: Items, held: dict[Items, set[int]], failed: set[int]) -> bool:
    """Tell whether a pair is significant inside each of its levels as well."""
    inside = [held[frozenset({item})] for item in items] if len(items) == 2 else []
    own = held[items]
    return all(chance(len(own & failed), len(own), len(rows & failed), len(rows)) <= ALPHA for rows in inside)


def places(design: Design, items: Items) -> list[tuple[int, str]]:
    """Order combinations as the config orders their factors."""
    order = list(dict.fromkeys(factor for condition in design.conditions for factor in condition))
    return sorted((order.index(factor), level) for factor, level in items)


def random_design(random: Random) -> Design:
    """Cross some factors, drop some cells, plant some combinations and add noise."""
    counts = random.choice([[1, 2], [3, 4], [2, 3, 4], [4, 4, 3, 1], [3, 3, 2, 3], [4, 3, 5, 2]])
    factors = {f"f{number}": count for number, count in enumerate(counts)}
    conditions = [condition for condition in grid(**factors) if random.random() < 0.9] or grid(f0=2)
    for condition in conditions:
        if random.random() < 0.05:
            condition.pop("f1", None)
    if random.random() < 0.4:  # a factor that says the same as another, but for one level
        conditions = [{**condition, "site": condition["f0"].replace("3", "2")} for condition in conditions]
    planted = []
    for cause in random.choices("aab", k=random.choice([0, 1, 1, 2, 3])):
        cell = random.choice(conditions)
        size = min(len(cell), random.randint(1, 2))
        planted.append((cause, set(random.sample(sorted(cell.items()), size))))
    noise = random.choice([0, 0, 0.03, 0.2])

    def cause_of(condition: Condition) -> str | None:
        hits = [cause for cause, items in planted if items <= condition.items()]
        return hits[0] if hits else random.choice("ab") if random.random() < noise else None

    return Design(conditions, [cause_of(condition) for condition in conditions])


def agree(found: dict, expected: dict) -> None:
    found = {**found, "equivalents": {tuple(sorted(items.items())) for items in found["equivalents"]}}
    for name, value in expected.items():
        assert isclose(found[name], value, rel_tol=1e-9) if name.startswith("p_") else found[name] == value, (
            name
        )


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 2**32), min_size=8, max_size=8))
def test_random_designs_agree_with_an_independent_search(seeds):
    designs = [random_design(Random(seed)) for seed in seeds]
    found = defaultdict(list)
    for row in rows(loaded(designs), "select * from cause_level_association order by round"):
        found[row["experiment_id"], row["root_cause_id"]].append(row)
    for number, design in enumerate(designs):
        for cause in "ab":
            expected = reference(design, cause) if cause in design.causes else []
            assert len(found[f"e{number}", cause]) == len(expected)
            for one, other in zip(found[f"e{number}", cause], expected, strict=True):
                agree(one, other)


def test_the_reference_finds_suspects_in_many_of_the_random_designs():
    """Else the test above compares empty lists."""
    searched = [reference(random_design(Random(seed)), "a") for seed in range(60)]
    sizes = Counter(len(suspect["combination"]) for found in searched for suspect in found)
    assert sizes[1] > 5
    assert sizes[2] > 5
    assert any(len(found) > 1 for found in searched)
    assert any(suspect["equivalents"] for found in searched for suspect in found)


def worked_case() -> Design:
    conditions = grid(model="dynunet segresnet sam3", loss="dice cldice cbdice", calib="off on", fold=3)
    others = [("sam3", "dice", "on", "2"), ("dynunet", "cldice", "off", "1")]
    causes = [
        "cuda_oom"
        if (condition["model"], condition["loss"]) == ("sam3", "cldice")
        or tuple(condition.values()) in others
        else None
        for condition in conditions
    ]
    return Design(conditions, causes)


@pytest.mark.slow
def test_the_worked_case_of_the_design():
    con = loaded([worked_case()])
    [suspect] = rows(con, "select * from suspect")
    assert suspect["combination"] == {"model": "sam3", "loss": "cldice"}
    assert suspect["scope"] == "specific to model x loss"
    assert (suspect["failed_count"], suspect["total_count"], suspect["lift"]) == (6, 6, 6.75)
    assert isclose(suspect["p_value"], 28 / 25827165, rel_tol=1e-9)
    assert isclose(suspect["p_holm"], 56 * 28 / 25827165, rel_tol=1e-9)
    assert suspect["statement"].startswith(
        "6 of 8 failures are model=sam3 and loss=cldice (6 of 6 there, 2 of 48 elsewhere); association"
    )
    clusters = rows(con, "select * from failure_cluster where level in ('sam3', 'cldice')")
    for cluster in clusters:
        table = [[7, 11], [1, 35]]
        assert (cluster["failed_count"], cluster["total_count"]) == (7, 18)
        assert isclose(cluster["p_value"], fisher_exact(table, alternative="greater").pvalue, rel_tol=1e-9)
    # Alone each of the two is not enough, and inside each of them the other still tells something.
    assert 0.05 < 55 * clusters[0]["p_value"] < 0.063
    assert isclose(p_of([(6, 6, 7, 18)])[0], 7 / 18564, rel_tol=1e-9)


def p_of(fours: list[tuple[int, int, int, int]]) -> list[float]:
    """Let the macro compute p for many at once."""
    con = open_empty()
    make_views(con, ["fisher"])
    con.execute("create table four (number int, hit bigint, grouped bigint, failed bigint, total bigint)")
    con.executemany("insert into four values (?, ?, ?, ?, ?)", [(n, *four) for n, four in enumerate(fours)])
    query = """
        select (select p_value from fisher(four.hit, four.grouped, four.failed, four.total)) as p
        from four order by four.number
    """
    return [row["p"] for row in rows(con, query)]


@st.composite
def four_of(draw, largest: int) -> tuple[int, int, int, int]:
    total = draw(st.integers(1, largest))
    failed, group = draw(st.integers(0, total)), draw(st.integers(0, total))
    return draw(st.integers(max(0, group + failed - total), min(group, failed))), group, failed, total


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(four_of(1_000), min_size=1, max_size=40))
@example([(6, 6, 8, 54), (7, 18, 8, 54), (0, 0, 0, 1), (1, 1, 1, 1), (500, 500, 500, 1000)])
def test_p_agrees_with_scipy_to_1e_9_up_to_1000_conditions(fours):
    for (hit, group, failed, total), p in zip(fours, p_of(fours), strict=True):
        assert isclose(p, float(chance(hit, group, failed, total)), rel_tol=1e-9)
        assert isclose(p, hypergeom.sf(hit - 1, total, failed, group), rel_tol=1e-9, abs_tol=1e-290)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(four_of(1_000_000), min_size=1, max_size=20))
@example([(40, 10_000, 50, 100_000), (5_200, 10_000, 50_000, 100_000), (12, 1_000, 4_000, 1_000_000)])
def test_p_agrees_with_scipy_to_1e_6_above(fours):
    for (hit, group, failed, total), p in zip(fours, p_of(fours), strict=True):
        assert isclose(p, hypergeom.sf(hit - 1, total, failed, group), rel_tol=1e-6, abs_tol=1e-290)


@pytest.mark.slow
def test_a_planted_pair_is_found_among_1500_cells_with_5_percent_noise():
    random = Random(3)
    conditions = grid(model=10, loss=10, rank=5, fold=3)
    causes = [
        "cuda_oom" if (c["model"], c["loss"]) == ("4", "7") or random.random() < 0.05 else None
        for c in conditions
    ]
    first, *later = rows(loaded([Design(conditions, causes)]), "select * from suspect order by round")
    assert first["combination"] == {"model": "4", "loss": "7"}
    assert (first["failed_count"], first["total_count"]) == (15, 15)
    assert later == []


@pytest.mark.slow
def test_noise_alone_has_a_suspect_in_at_most_5_percent_of_designs():
    random = Random(1)
    conditions = grid(model=4, loss=3, calib=2, fold=3)
    designs = [
        Design(conditions, ["noise" if random.random() < 0.2 else None for _ in conditions])
        for _ in range(200)
    ]
    found = rows(loaded(designs), "select distinct experiment_id from suspect where round = 1")
    assert len(found) <= 10


@pytest.mark.slow
def test_what_a_suspect_leaves_over_is_searched_again():
    conditions = grid(model="a b c d e", loss="u v w x y", fold=4)
    causes = ["boom" if c["model"] == "a" or c["loss"] == "u" else None for c in conditions]
    first, second = rows(loaded([Design(conditions, causes)]), "select * from suspect order by round")
    assert first["statement"].startswith("20 of 36 failures are model=a (20 of 20 there, 16 of 80 elsewhere)")
    assert second["statement"].startswith(
        "all 16 other failures are loss=u (16 of 16 there, 0 of 64 elsewhere)"
    )


@pytest.mark.slow
def test_after_five_rounds_the_search_ends():
    conditions = [{"site": f"{site:02}", "fold": str(fold)} for site in range(12) for fold in range(30)]
    causes = ["boom" if int(condition["site"]) < 7 else None for condition in conditions]
    found = rows(loaded([Design(conditions, causes)]), "select * from suspect order by round")
    assert [suspect["combination"] for suspect in found] == [{"site": f"{site:02}"} for site in range(5)]


@pytest.mark.slow
def test_the_smaller_p_wins_where_both_are_too_small_for_a_double():
    conditions = grid(model="a b", loss="u v", run=1_500)
    for condition in conditions:
        del condition["run"]
    causes = ["boom" if tuple(condition.values()) == ("a", "u") else None for condition in conditions]
    [found] = rows(loaded([Design(conditions, causes)]), "select * from suspect")
    assert found["combination"] == {"model": "a", "loss": "u"}
    assert found["p_value"] == 0


@pytest.mark.parametrize("view", ["status", "condition", "experiment_summary", "alarm", "failure"])
def test_what_needs_no_suspects_does_not_pay_for_them(view):
    assert not {"cause_level_association", "suspect", "attempt_result_level"} & {*closure([view]).views}
