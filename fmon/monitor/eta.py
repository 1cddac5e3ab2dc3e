"""When the open jobs may have ended: the query over the views, and its answer in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

# How long a condition takes: the median of those that succeeded with the same level of the factor that best
# explains the run times (adjusted R squared: a factor with a level for each job explains nothing); of all
# where no factor explains anything; where no such condition has succeeded yet, the config's expectation.
# The rest is done with as many jobs at a time as run now, and not before the longest of them has ended.
ETA = """
with finished as (
    select condition.condition_id, condition.run_s
    from condition
    where condition.state = 'succeeded' and condition.run_s is not null
),

by_level as (
    select
        condition_level.factor,
        condition_level.level,
        count(*) as level_count,
        median(finished.run_s) as median_s,
        var_pop(finished.run_s) * count(*) as within
    from finished
    inner join condition_level on finished.condition_id = condition_level.condition_id
    group by condition_level.factor, condition_level.level
),

whole as (
    select count(*) as finished_count, median(finished.run_s) as median_s, var_samp(finished.run_s) as spread
    from finished
),

best as (
    select by_level.factor
    from by_level
    cross join whole
    group by by_level.factor, whole.finished_count, whole.spread
    having
        sum(by_level.level_count) = whole.finished_count
        and whole.finished_count > count(*)
        and sum(by_level.within) / (whole.finished_count - count(*)) < whole.spread
    order by sum(by_level.within) / (whole.finished_count - count(*)), by_level.factor
    limit 1
),

guess as (
    select
        condition.state,
        condition.run_s,
        best.factor,
        coalesce(
            case when best.factor is null then whole.median_s else by_level.median_s end, condition.expected_s
        ) as estimate_s,
        case
            when by_level.median_s is not null then 'level'
            when best.factor is null and whole.median_s is not null then 'all'
            else 'config'
        end as rule
    from condition
    cross join whole
    left join best on true
    left join condition_level
        on condition.condition_id = condition_level.condition_id and best.factor = condition_level.factor
    left join by_level
        on condition_level.factor = by_level.factor and condition_level.level = by_level.level
    where condition.state in ('running', 'pending')
),

remaining as (
    select
        guess.*,
        case
            when guess.estimate_s is not null then greatest(0, guess.estimate_s - coalesce(guess.run_s, 0))
        end as rest_s
    from guess
)

select
    greatest(
        max(remaining.rest_s),
        sum(remaining.rest_s) / nullif(count(*) filter (where remaining.state = 'running'), 0)
    ) as rest_s,
    count(*) filter (where remaining.state = 'running') as running_count,
    count(*) filter (where remaining.rest_s is null) as unknown_count,
    any_value(remaining.factor) filter (where remaining.rule = 'level') as factor,
    coalesce(bool_or(remaining.rule = 'all'), false) as is_of_all,
    coalesce(bool_or(remaining.rule = 'config' and remaining.rest_s is not null), false) as is_expected
from remaining
having count(*) > 0
"""


LONGEST_S = 10 * 365 * 86400
"""Beyond this nobody means a date."""


class Guess(msgspec.Struct, frozen=True):
    """How long the open conditions may still take: the columns of ``ETA``.

    Attributes
    ----------
    rest_s
        Time from now [s]; None = unknown.
    unknown_count
        Open conditions without any estimate.
    factor
        Whose levels the estimates go by; None = by none.
    is_of_all, is_expected
        Some go by all succeeded conditions, or by the config's expected times.
    """

    rest_s: float | None
    running_count: int
    unknown_count: int
    factor: str | None
    is_of_all: bool
    is_expected: bool


@dataclass(frozen=True, kw_only=True)
class Eta:
    """When the open jobs may have ended.

    Attributes
    ----------
    at : the time [UTC]; None = nobody can say
    rest_s : the same as time from now [s]
    rule : how it was worked out, or why it can't be
    """

    at: datetime | None
    rest_s: float | None
    rule: str


def eta_of(guess: Guess | None, now: datetime) -> Eta | None:
    """Turn the row of ``ETA`` into words; None where no condition is pending or running."""
    if guess is None:
        return None
    if not guess.running_count:
        return Eta(at=None, rest_s=None, rule="nothing is running")
    if guess.rest_s is None:
        rule = "nothing comparable has succeeded, and the config expects no time"
        return Eta(at=None, rest_s=None, rule=rule)
    if guess.rest_s > LONGEST_S:
        return Eta(at=None, rest_s=None, rule="more than ten years")
    rules = [
        f"median of succeeded conditions of the same {guess.factor}" if guess.factor else "",
        "median of all succeeded conditions" if guess.is_of_all else "",
        "the config's expected times" if guess.is_expected else "",
    ]
    rule = ", ".join(filter(None, rules))
    if guess.unknown_count:
        rule += f"; {guess.unknown_count:,} open without any estimate are not in it"
    at = now + timedelta(seconds=guess.rest_s)
    return Eta(at=at, rest_s=guess.rest_s, rule=f"{rule}; {guess.running_count:,} at a time")
