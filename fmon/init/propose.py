"""Propose a config for jobs that are in the queue: one that ``fmon adopt`` accepts as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from statistics import median
from typing import TYPE_CHECKING

from fmon.config.levels import is_level
from fmon.errors import ConfigError, QueueError
from fmon.init.design import design_of, named_by_template, odd_rows, template_of
from fmon.init.document import document, prices
from fmon.init.factors import Grid, Row, find_grid, without
from fmon.init.grouping import choose_group, groups_of, of_current_user
from fmon.init.jobs import RESOURCE, QueuedJob, queued_jobs
from fmon.init.parts import rows_of_names
from fmon.sky.reader import spec_batches
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from fmon.init.design import Design
    from fmon.init.grouping import Group
    from fmon.model import Record
    from fmon.sky.reader import JobSpec, QueueReader

MAX_JOBS = 2_000
"""Only the newest jobs are read: a server keeps jobs for years."""
NEAR = timedelta(hours=1)
"""A job outside the grid is a baseline only if submitted between its jobs, or this much before or after."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A proposed config, and what was found, for stderr."""

    text: str
    sentences: list[str]


def propose_config(
    queue: QueueReader,
    *,
    job_id: int | None = None,
    pattern: str | None = None,
    since: datetime | None = None,
    ask: Callable[[str], bool] | None = None,
) -> Proposal:
    """Propose a config for the jobs of one experiment.

    Parameters
    ----------
    queue
        The queue to read.
    job_id
        A job of the experiment; None = of the newest experiment that is not small.
    pattern
        Only jobs whose name matches this shell pattern.
    since
        Only jobs submitted at this time or later.
    ask
        Asks a person what is ambiguous; None = do not ask, comments explain the choice.

    Raises
    ------
    ConfigError
        There is no job to propose a config for.
    QueueError
        The queue did not answer.
    """
    records = queue.read().records
    specs, doubt = _specs(queue, records)
    jobs = of_current_user([job for job in queued_jobs(records, specs) if job.launched_by is None])
    chosen = [job for job in jobs if _is_chosen(job, pattern, since)]
    if not chosen:
        raise ConfigError(_nothing(queue.name, records, jobs))
    groups = groups_of(chosen)
    group = choose_group(groups, job_id, ask)
    jobs, earlier = _newest_of_names(group)
    jobs, unnameable = _with_levels(group, jobs)
    grid, left_out, doubles = _near(_grid(group, jobs), ask)
    design = design_of(grid)
    if not design.factors:
        raise _no_factor(grid.rows[-1].job.envs)
    left_out += [row.job for row in design.unfit]
    doubles += _runs_again(jobs, grid)
    others = [each for each in groups if each is not group]
    count = counted(len(grid.rows) + len(design.baselines), "condition")
    head = f"Proposed by fmon init: the queue ({queue.name}) has jobs for {count}."
    return Proposal(
        text=document(
            {
                "experiment_name": _experiment_name(group, design),
                "skypilot_yaml": next(
                    (job.task_file for job in group.jobs[::-1] if job.task_file), "train.yaml"
                ),
                "factors": design.factors,
                "baselines": design.baselines,
                "envs": design.envs,
                "overrides": design.overrides,
                "fixed": design.fixed if group.has_variables else {},
                "job_name": design.job_name(),
            },
            notes=_notes(group, grid, design),
            head=[head, *doubt],
            tail=[
                *_to_add(jobs),
                *_values_comments(group, unnameable),
                *_tail(group, grid, left_out, doubles, earlier, others),
            ],
        ),
        sentences=[f"{head} Next: fmon adopt CONFIG{_since_option(since)}"],
    )


def _specs(queue: QueueReader, records: Sequence[Record]) -> tuple[dict[int, JobSpec], list[str]]:
    """Ask what SkyPilot recorded for the newest jobs; without an answer, names are used."""
    ids = sorted({record.job_id for record in records}, reverse=True)[:MAX_JOBS]
    specs: dict[int, JobSpec] = {}
    try:
        for batch in spec_batches(ids):
            specs |= queue.read_specs(batch)
    except QueueError as fault:
        return specs, [f"The variables of the jobs could not be read ({fault})."]
    return specs, []


def _is_chosen(job: QueuedJob, pattern: str | None, since: datetime | None) -> bool:
    if since is not None and (job.submitted_at is None or job.submitted_at < since):
        return False
    return pattern is None or fnmatchcase(job.name, pattern)


def _since_option(since: datetime | None) -> str:
    """Return the option that makes ``fmon adopt`` ignore the same jobs."""
    return f" --since {since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" if since else ""


def _nothing(source: str, records: Sequence[Record], jobs: Sequence[QueuedJob]) -> str:
    """Return why there is no job to propose a config for."""
    if jobs:
        names = listed(dict.fromkeys(job.name for job in jobs))
        return f"no job in the queue ({source}) matches --name and --since; it has {names}"
    launched = sorted({record.fmon_experiment for record in records if record.fmon_experiment})
    if launched:
        return (
            f"fmon launched all jobs in the queue ({source}), as {listed(launched)}: adopt them with the "
            "config that they were launched with"
        )
    return f"the queue ({source}) has no jobs; to start from a task instead: fmon init TASK.yaml"


def _newest_of_names(group: Group) -> tuple[list[QueuedJob], int]:
    """Leave out earlier jobs with the same names but different variables, if most names are unique.

    Otherwise the names do not distinguish the conditions. Returns the jobs, and how many were left out.
    """
    newest = {job.name: job for job in group.jobs}
    cells = {(job.name, frozenset(job.envs.items())) for job in group.jobs}
    if 2 * len(newest) <= len(cells):
        return group.jobs, 0
    kept = [job for job in group.jobs if job.envs == newest[job.name].envs]
    return kept, len(group.jobs) - len(kept)


def _with_levels(group: Group, jobs: list[QueuedJob]) -> tuple[list[QueuedJob], dict[str, list[str]]]:
    """Leave out jobs of which a variable that should be a factor has a value that can't be a level.

    Returns the other jobs, and the names of those that were left out by variable.

    Raises
    ------
    ConfigError
        No factor is left.
    """
    if not group.has_variables:
        return jobs, {}
    left_out: dict[str, list[str]] = {}
    while True:
        grid = find_grid(_rows(jobs), is_level=is_level)
        values = {name: [(job, job.envs[name]) for job in jobs if name in job.envs] for name in grid.loose}
        unfit = {name: [job for job, value in each if not is_level(value)] for name, each in values.items()}
        variable = next((name for name, each in unfit.items() if each), None)
        if variable is None or (grid.factors and len(unfit[variable]) == len(values[variable])):
            return jobs, left_out
        gone = {job.job_id for job in unfit[variable]}
        jobs = [job for job in jobs if job.job_id not in gone]
        left_out[variable] = [job.name for job in unfit[variable]]
        if not jobs:
            raise _no_factor([variable])


def _no_factor(variables: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"no factor is left: the values of {listed(variables)} can't be levels, since they are empty, or "
        "have control characters or spaces at their ends; write the config by hand (docs/config.md)"
    )


def _rows(jobs: Sequence[QueuedJob]) -> list[Row]:
    return [Row(job=job, values={**job.envs, **job.resources}) for job in jobs]


def _grid(group: Group, jobs: list[QueuedJob]) -> Grid:
    """Find the grid of a group; jobs that are not named like the others are outside."""
    if not group.has_variables:
        return _with_a_factor(find_grid(rows_of_names(jobs), is_level=is_level))
    rows = _rows(jobs)
    grid = named_by_template(_named(_with_a_factor(find_grid(rows, is_level=is_level))), rows)
    odd = odd_rows(grid)
    if odd:
        smaller = without(grid, odd, is_level=is_level)
        # A retry with another name fills a cell of the grid; a baseline has its own level.
        if smaller.factors and smaller.cell_count < grid.cell_count:
            return smaller
    return grid


def _named(grid: Grid) -> Grid:
    """Make variables that a factor determines factors as well, if the job names need them."""
    if template_of(grid) is not None:
        return grid
    for variable in grid.derived:
        levels = list(dict.fromkeys(row.values[variable] for row in grid.rows if row.values.get(variable)))
        if not levels or not all(row.values.get(variable) for row in grid.rows):
            continue
        wider = replace(
            grid,
            factors={**grid.factors, variable: levels},
            derived={name: by for name, by in grid.derived.items() if name != variable},
        )
        if all(map(is_level, levels)) and template_of(wider) is not None:
            return wider
    return grid


def _with_a_factor(grid: Grid) -> Grid:
    """Make a variable a factor of one level if nothing varies: a config needs one."""
    if grid.factors or not grid.rows:
        return grid
    row = grid.rows[-1]
    able = [name for name, value in row.values.items() if is_level(value) and not name.startswith(RESOURCE)]
    named = [name for name in able if row.values[name] in row.job.name]
    if not able:
        return grid
    name = min(named, key=lambda each: row.job.name.index(row.values[each])) if named else able[0]
    return Grid(factors={name: [row.values[name]]}, rows=[row], beside=grid.beside)


def _near(grid: Grid, ask: Callable[[str], bool] | None) -> tuple[Grid, list[QueuedJob], list[QueuedJob]]:
    """Leave out jobs outside the grid that were submitted at another time, or that a person rejects.

    Returns the grid, the jobs that were left out, and those of them that have the levels of a cell: without
    a level of its own, a job is rather a trial of the cell than a baseline.
    """
    times = [row.job.submitted_at for row in grid.rows if row.job.submitted_at is not None]
    beside: list[Row] = []
    left_out: list[QueuedJob] = []
    doubles: list[QueuedJob] = []
    for row in grid.beside:
        at = row.job.submitted_at
        is_near = not times or at is None or min(times) - NEAR <= at <= max(times) + NEAR
        is_double = grid.has_cell_of(row)
        question = f"{row.job.name} is not in the grid. Is it a baseline of the experiment?"
        if is_near and not is_double and (ask is None or ask(question)):
            beside.append(row)
        else:
            (doubles if is_double else left_out).append(row.job)
    return replace(grid, beside=beside), left_out, doubles


def _runs_again(jobs: Sequence[QueuedJob], grid: Grid) -> list[QueuedJob]:
    """Return the jobs with the variables of a condition that has a job of another name."""
    chosen = [row.job for row in (*grid.rows, *grid.beside)]
    names = {job.name for job in chosen}
    ran = {(frozenset(job.envs.items()), frozenset(job.resources.items())) for job in chosen}
    return [
        job
        for job in jobs
        if job.name not in names and (frozenset(job.envs.items()), frozenset(job.resources.items())) in ran
    ]


def _experiment_name(group: Group, design: Design) -> str:
    """Name the experiment after its variable, or the beginning of the job names, or the task."""
    begin = design.template.parts[0][0] if design.template else ""
    task = next((job.task_file for job in group.jobs if job.task_file), "")
    for text in (group.name or "", begin, PurePosixPath(task).stem):
        name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:100]
        if re.search("[a-z]", name):
            return name
    return "experiment"


def _notes(group: Group, grid: Grid, design: Design) -> dict[str, str]:
    """Return the comments after the keys."""
    notes = {"skypilot_yaml": "a guess: not needed for adopt; needed for plan, launch and relaunch"}
    missing = grid.cell_count - len(grid.rows)
    if not group.has_variables:
        notes["factors"] = "parts of the job names: no variables are recorded; see envs in docs/config.md"
    elif missing:
        notes["factors"] = (
            f"{missing} of {counted(grid.cell_count, 'cell')} have no job; see exclude in docs/config.md"
        )
    if design.baselines:
        notes["baselines"] = "not in the grid; delete those that are not part of the experiment"
    return notes


def _to_add(jobs: Sequence[QueuedJob]) -> Iterator[str]:
    """Yield keys that a person may want to add."""
    minutes = [job.minutes for job in jobs if job.minutes is not None]
    if minutes:
        source = f"the median of {counted(len(minutes), 'finished job')}"
        yield f"expect: {{minutes: {max(1, round(median(minutes)))}}} # {source}"
    else:
        yield "expect: {minutes: 30} # run time of a job, for the estimate and the overrun alarm"
    yield "limits: {budget_usd: 20}"
    yield prices(jobs[-1].resources.get(f"{RESOURCE}accelerators"))


def _values_comments(group: Group, unnameable: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield which variables and values a config can't have."""
    for variable, names in unnameable.items():
        yield f"Left out, since their {variable} can't be a level (spaces, or no text): {listed(names)}"
    misnamed = sorted({name for job in group.jobs for name in job.misnamed})
    if misnamed:
        yield f"Ignored, since no variable can have such a name: {listed(misnamed, 10)}"


def _tail(
    group: Group,
    grid: Grid,
    left_out: Sequence[QueuedJob],
    doubles: Sequence[QueuedJob],
    earlier: int,
    others: Sequence[Group],
) -> Iterator[str]:
    """Yield what is not in the config, and why."""
    if template_of(grid) is None:
        yield "The job names do not follow from the levels, so fmon adopt matches the variables."
    if grid.loose:
        yield f"Not in the config, because no factor determines them: {listed(grid.loose, 10)}"
    withheld = sorted({name for job in group.jobs for name in job.withheld})
    if withheld:
        yield f"Secret, or set by the environment or --env-file: {listed(withheld, 10)}"
    if earlier:
        yield f"Left out: {counted(earlier, 'earlier job')} with the same names but different variables"
    if left_out:
        yield f"Left out: {listed(job.name for job in left_out)}"
    if doubles:
        yield f"Left out, since they have the levels of another job: {listed(job.name for job in doubles)}"
    for other in [each for each in others if len(each.jobs) > 1][:5]:
        yield f"Also in the queue: {other.description()}; fmon init --job {other.jobs[-1].job_id}"
    strangers = [each.jobs[0].name for each in others if len(each.jobs) == 1]
    if strangers:
        yield f"Other jobs in the queue: {listed(strangers)}"
