"""Phase 4, fix: one plan for all root causes of a full diagnosis, with a work order for each.

Reads the views, the audit, the config and names of files in the project. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from fmon.clients.git import project_folder
from fmon.diagnose.gate import QUERIES as GATHERED
from fmon.diagnose.gate import require_full_diagnosis
from fmon.diagnose.root_causes import QUERIES as CAUSES
from fmon.diagnose.root_causes import RootCause, root_causes, transience
from fmon.errors import ConfigError
from fmon.events import FixEvent, NoFixEvent
from fmon.fix.candidates import QUERIES as CANDIDATES
from fmon.fix.candidates import choose
from fmon.redact import redact
from fmon.rules.f3_rebuild_before_relaunch import NEEDS_NO_RECORD
from fmon.text import MAX_NAMED
from fmon.warehouse import column, grouped_rows

if TYPE_CHECKING:
    import duckdb

    from fmon.model import Verify
    from fmon.study import Study

MAX_CONDITION_IDS = 50
"""Succeeded conditions that an order lists; all are counted."""

# Conditions that succeeded with all or some of the levels that a cause is associated with.
BYSTANDERS = """
select
    bystander.root_cause_id,
    bystander.round,
    bystander.same_count,
    bystander.near_count,
    bystander.same_condition_ids[:$most] as same_conditions,
    bystander.near_condition_ids[:$most] as near_conditions
from bystander
"""

SUCCEEDED = "select experiment_summary.succeeded_count from experiment_summary"

QUERIES = (BYSTANDERS, SUCCEEDED, *CANDIDATES, *GATHERED, *CAUSES)
"""The queries of this module; ``connect`` creates the views that they need."""


class Bystanders(msgspec.Struct, frozen=True):
    """Conditions that succeeded with the levels of a suspect: columns of ``BYSTANDERS``.

    Attributes
    ----------
    round
        The round of the suspect.
    same_count, same_conditions
        Conditions with all of its levels; the first few are listed.
    near_count, near_conditions
        Conditions with some of its levels.
    """

    round: int
    same_count: int
    near_count: int
    same_conditions: list[str]
    near_conditions: list[str]


class Done(msgspec.Struct, frozen=True):
    """What a person has recorded for a cause: a fix, or why there is none (``is_without_fix``)."""

    at: datetime
    what: str
    by: str
    is_without_fix: bool


class WorkOrder(RootCause, frozen=True):
    """A root cause and what to do about it.

    Attributes
    ----------
    files
        Its affected files that are in the project.
    could_break
        Which succeeded conditions a fix may affect, in words.
    transience
        Whether the cause was shown to be transient; None = not expected.
    needs_record
        Its conditions are relaunched only after a person has recorded a fix, or why there is none.
    recorded
        What was recorded in this cycle, oldest first; the newest counts.
    steps
        The next commands.
    """

    needs_person: bool
    files: list[str]
    bystanders: list[Bystanders]
    could_break: str
    transience: str | None
    needs_record: bool
    recorded: list[Done]
    test_command: str | None
    steps: list[str]


@dataclass(frozen=True, kw_only=True)
class FixPlan:
    """What to do about all failures, as one batch.

    Attributes
    ----------
    diagnosed_at
        Time of the full diagnosis that it is based on [UTC]; commits after it are the fix.
    config_file, skypilot_yaml, image, digest
        What the failed jobs ran with.
    verify
        The config's commands: tests, build, push; secrets redacted.
    orders
        One per root cause.
    rerun
        Conditions that a relaunch would run now.
    steps
        The commands after all orders.
    """

    experiment_id: str
    cycle: int
    diagnosed_at: datetime
    config_file: str
    skypilot_yaml: str
    image: str | None
    digest: str | None
    verify: dict[str, str | None]
    orders: list[WorkOrder]
    rerun: list[str]
    steps: list[str]


def fix_plan(study: Study, *, is_named: bool = False) -> FixPlan:
    """Return the work orders for all root causes in the diagnosis of this cycle.

    Parameters
    ----------
    study
        The experiment.
    is_named
        The commands of the plan name the experiment; otherwise they apply to the newest.

    Raises
    ------
    RuleError
        F1: jobs are open. F2: a failure has no root cause, or is not in a full diagnosis.
    ConfigError
        The config can't be read.
    """
    con = study.connect(QUERIES)
    since = require_full_diagnosis(con, study.events)
    manifest = study.manifest
    verify = study.experiment.verify
    causes = root_causes(con)
    rerun = choose(con, include_cancelled=False, selected=None).condition_ids
    which = f" -e {study.experiment_id}" if is_named else ""
    orders = _orders(con, causes, study, which)
    return FixPlan(
        experiment_id=study.experiment_id,
        cycle=manifest.current_cycle,
        diagnosed_at=since,
        config_file=manifest.config_file,
        skypilot_yaml=manifest.skypilot_yaml,
        image=manifest.docker_image,
        digest=manifest.docker_digest,
        verify={step: _shown(getattr(verify, step)) for step in ("tests", "build", "push")},
        orders=orders,
        rerun=rerun,
        steps=_steps(orders, verify, which, is_any=bool(rerun)),
    )


def _orders(
    con: duckdb.DuckDBPyConnection, causes: list[RootCause], study: Study, which: str
) -> list[WorkOrder]:
    """Return the order of each cause."""
    recorded = _recorded(study)
    (succeeded_count,) = column(con, SUCCEEDED)
    bystanders = grouped_rows(
        con, BYSTANDERS, Bystanders, by="root_cause_id", parameters={"most": MAX_CONDITION_IDS}
    )
    folders = _folders(study.config)
    return [
        WorkOrder(
            **asdict(cause),
            needs_person=cause.remedy == "unrecoverable",
            files=[file for path in cause.affected_files if (file := _local(path, folders))],
            bystanders=bystanders.get(cause.root_cause_id, []),
            could_break=_could_break(
                cause, bystanders.get(cause.root_cause_id, []), succeeded_count=succeeded_count
            ),
            transience=transience(cause),
            needs_record=cause.remedy not in NEEDS_NO_RECORD,
            recorded=recorded.get(cause.root_cause_id, []),
            test_command=_shown(study.experiment.verify.tests),
            steps=_order_steps(cause, which),
        )
        for cause in causes
    ]


def _could_break(cause: RootCause, bystanders: list[Bystanders], *, succeeded_count: int) -> str:
    """Return which succeeded conditions a fix may affect: those with the same levels or the same files."""
    if not succeeded_count:
        return "nothing: no condition has succeeded"
    if cause.remedy == "auto":
        return f"nothing: a relaunch does not affect the {succeeded_count:,} that succeeded"
    parts = []
    for suspect in cause.suspects:
        if not suspect.combination:
            continue
        levels = " and ".join(f"{factor}={level}" for factor, level in suspect.combination.items())
        found = next((row for row in bystanders if row.round == suspect.round), None)
        if found is None:
            parts.append(f"none with {levels}, or with one of these levels, has succeeded")
            continue
        same, near = found.same_count, found.near_count
        parts.append(
            f"{same:,} with {levels} succeeded{_names(same, found.same_conditions)}"
            if same
            else f"none with {levels} has succeeded"
        )
        if near:
            parts.append(f"{near:,} with one of these levels did{_names(near, found.near_conditions)}")
    if not parts:
        parts.append(f"any of the {succeeded_count:,} that succeeded: no level sets the failed ones apart")
    if cause.remedy == "code" or cause.affected_files:
        parts.append(
            f"all {succeeded_count:,} that succeeded run the same code and are not relaunched: make sure "
            "that the tests cover them"
        )
    return "; ".join(parts)


def _order_steps(cause: RootCause, which: str) -> list[str]:
    """List the commands of one order; ``which`` is the option that names the experiment."""
    record = f"fmon fix record {quote(cause.root_cause_id)} --what '...'{which}"
    logs = [f"fmon logs {cause.evidence_job_id}{which}"] if cause.evidence_source else []
    if cause.remedy == "unrecoverable":
        return [*logs, f"fmon issues{which}", record]
    return logs if cause.remedy == "auto" else [*logs, record]


def _steps(orders: list[WorkOrder], verify: Verify, which: str, *, is_any: bool) -> list[str]:
    """List the commands after all orders; if a relaunch alone may fix all, nothing is built."""
    if not orders and not is_any:
        return [f"fmon report{which}"]
    changing = [
        order
        for order in orders
        if order.remedy != "auto" and not (order.recorded and order.recorded[-1].is_without_fix)
    ]
    commands = any((verify.tests, verify.build, verify.push))
    batch = "one commit" if verify.max_commits == 1 else f"at most {verify.max_commits:,} commits"
    return [
        *([f"git commit: the fixes of all causes in {batch}"] if changing else []),
        *([f"fmon fix run{which}"] if changing and commands else []),
        f"fmon fix verify{which}",
        f"fmon relaunch{which} --dry-run",
    ]


def _recorded(study: Study) -> dict[str, list[Done]]:
    """Return what was recorded for each cause in this cycle."""
    found: dict[str, list[Done]] = {}
    for event in study.events:
        if not isinstance(event, FixEvent | NoFixEvent) or event.cycle != study.manifest.current_cycle:
            continue
        is_without_fix = isinstance(event, NoFixEvent)
        what = event.reason if isinstance(event, NoFixEvent) else event.what
        done = Done(at=event.at, what=what, by=event.by, is_without_fix=is_without_fix)
        found.setdefault(event.root_cause_id, []).append(done)
    return found


def _folders(config: Path) -> list[Path]:
    """Return where files of the project may be: the config's folder and the repository's root."""
    try:
        return [config.absolute().parent, project_folder(config)]
    except ConfigError:
        return [config.absolute().parent]


def _local(path: str, folders: list[Path]) -> str | None:
    """Find a file that a log names in the project, by the longest suffix of its path that exists."""
    parts = [part for part in PurePosixPath(path).parts if part != "/"]
    if ".." in parts or "\0" in path:
        return None
    for start in range(len(parts)):
        for folder in folders:
            try:
                if folder.joinpath(*parts[start:]).is_file():
                    return "/".join(parts[start:])
            except OSError:  # a name that the file system rejects
                return None
    return None


def _names(count: int, names: list[str]) -> str:
    """List the first few conditions in brackets, with the number of the others."""
    more = f" and {count - MAX_NAMED:,} more" if count > MAX_NAMED else ""
    return f" ({', '.join(names[:MAX_NAMED])}{more})"


def _shown(command: str | None) -> str | None:
    return None if command is None else redact(command)
