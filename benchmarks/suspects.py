"""Suspects of 10 factors x 10 levels x 10^5 jobs, compared with counting their combinations.

Goal: <= 1 s. Baseline: polars counts the same combinations of one and two levels,
all of them and those that failed, with a self-join of the levels in long form, without any test.
It prints wall time and CPU time; on a busy machine only CPU time is meaningful.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import polars as pl

from fmon.warehouse.views import closure, make_views, open_empty

JOBS = 100_000
FILL = """
insert into clock values (now());
insert into manifest by name
select 'e' as experiment_id, 0 as current_cycle, false as is_replayed;
insert into factor_level by name
select 'e' as experiment_id, 'factor' || f as factor, 'level' || l as level, f as factor_number
from range(10) as factors (f), range(10) as levels (l);
create table cell as
select i, f, cast(hash(i * 10 + f) % 10 as int) as l
from range({jobs}) as jobs (i), range(10) as factors (f);
insert into entry by name
select 'e' as experiment_id, 'condition-' || i as condition_id, 'job-' || i as job_name,
    map_from_entries(list(('factor' || f, 'level' || l) order by f)) as factors
from cell group by i;
insert into attempt by name
select 'e' as experiment_id, 'condition-' || i as condition_id, 0 as cycle, i as job_id, 'attempt' as role
from range({jobs}) as jobs (i);
create table truth as
select
    i,
    case
        when bool_or(f = 2 and l = 3) and bool_or(f = 5 and l = 7) then 'cuda_oom'
        when hash(i + 7) % 20 = 0 then 'noise_' || hash(i + 3) % 10
    end as cause
from cell group by i;
insert into snapshot by name
select 'e' as experiment_id, 1 as poll_id, i as job_id, 0 as task_id, 'job-' || i as job_name,
    true as is_seen, case when cause is null then 'SUCCEEDED' else 'FAILED' end as status
from truth;
insert into finding by name
select 'e' as experiment_id, i as job_id, 0 as task_id, cause as root_cause_id, cause as category
from truth where cause is not null;
"""


def timed(name: str, call: Callable[[], Any]) -> float:
    """Run three times and print the fastest; return its wall time [s]."""
    taken = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), os.times()
        call()
        now = os.times()
        taken.append((time.perf_counter() - wall, now.user + now.system - cpu.user - cpu.system))
    wall_s, cpu_s = min(taken)
    print(f"{name}: {wall_s:.2f} s, CPU {cpu_s:.2f} s")
    return wall_s


def counted(cell: pl.DataFrame) -> int:
    """Count all combinations of one and two levels, and the failures among them."""
    pairs = cell.lazy().join(cell.lazy(), on="i").filter(pl.col("item") <= pl.col("item_right"))
    grouped = pairs.group_by("item", "item_right").agg(pl.len(), pl.col("cause").count())
    return grouped.collect().height


def main() -> None:
    """Print the results."""
    con = open_empty()
    con.execute(FILL.format(jobs=JOBS))
    make_views(con, closure(["suspect"]).views)
    query = "select combination from suspect"
    assert con.sql(query).fetchall() == [({"factor2": "level3", "factor5": "level7"},)]
    whole = timed("view suspect, from the snapshots", lambda: con.sql(query).fetchall())
    con.execute("create table levels as from attempt_result_level")
    con.execute("create or replace view attempt_result_level as from levels")
    timed("  of it the search, levels of the results given", lambda: con.sql(query).fetchall())
    cell = con.sql("select i, f * 10 + l as item, cause from cell inner join truth using (i)").pl()
    baseline = timed("polars counts the same combinations, levels given", lambda: counted(cell))
    print(f"{whole:.2f} s (goal 1 s), {whole / baseline:.1f} x the baseline")


if __name__ == "__main__":
    main()
