"""Phase 4, fix: run the config's own commands for tests, build and push; record what was done (floor 6).

Reads the views and the config; writes events. The commands do what the user wrote into the config.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fmon.chain import run_command
from fmon.commits import project_folder
from fmon.config import load_experiment
from fmon.config.shape import nearest
from fmon.errors import ConfigError
from fmon.redact import redact
from fmon.rules import f1_wait_for_terminal, f2_aggregate_before_fix
from fmon.store.events import append_event
from fmon.store.folder import find
from fmon.store.manifest import read_manifest
from fmon.warehouse import connect, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import duckdb

    from fmon.chain import Ran

VIEWS = ("condition", "failure")
"""The views it needs; ``connect`` makes no others."""

UNFINISHED = """
select
    condition.condition_id,
    condition.job_id,
    condition.state,
    condition.status
from condition
where not condition.is_terminal
order by condition.entry_number
"""

FAILURES = """
select
    failure.condition_id,
    failure.job_id,
    failure.root_cause_id
from failure
where failure.is_newest
order by failure.condition_id
"""


def run_commands(
    data: Path,
    experiment: str | None = None,
    *,
    clock: Callable[[], datetime],
    run: Callable[..., Ran] = run_command,
) -> Iterator[Ran]:
    """Run the config's tests, build and push in this order, up to the first that fails.

    Each begin and end is an event. One that was killed has no end, and the next call starts over: nothing
    is taken for done that was not seen to end well.

    Parameters
    ----------
    data : folder of the stores
    experiment : its id or a unique start of it; None = the newest
    clock : the clock [UTC]
    run : how a command is run

    Yields
    ------
    Ran
        Each command that has ended; the last one may have failed.

    Raises
    ------
    RuleError
        F1 or F2 refuses; nothing was run.
    ConfigError
        The config has no commands, or is in no git repository.
    """
    store = find(data, experiment)
    guard(connect(data, store.experiment_id, views=VIEWS))
    config = Path(read_manifest(store).config_file)
    verify = load_experiment(config).verify
    steps = [("tests", verify.tests), ("build", verify.build), ("push", verify.push)]
    if not any(command for _, command in steps):
        message = f"{config} has no commands to run; write verify: {{tests: ..., build: ..., push: ...}}"
        raise ConfigError(message)
    project = project_folder(config)
    for step, command in steps:
        if command is None:
            continue
        append_event(store, "fix_command_begin", at=clock(), step=step, command=redact(command))
        ran = run(step, command, folder=project)
        append_event(
            store,
            "fix_command_end",
            at=clock(),
            step=step,
            exit_status=ran.exit_status,
            duration_s=ran.duration_s,
        )
        yield ran
        if ran.exit_status != 0:
            return


def record(
    data: Path, experiment: str | None, root_cause_id: str, *, what: str, by: str, now: datetime
) -> None:
    """Record what was done about a root cause; an unrecoverable one can be relaunched only then.

    Parameters
    ----------
    data : folder of the stores
    experiment : its id or a unique start of it; None = the newest
    root_cause_id : one that a failure of the newest attempts has
    what : what was done; secrets in it are not stored
    by : who did it
    now : the clock [UTC]

    Raises
    ------
    RuleError
        F1 or F2 refuses.
    ConfigError
        No failure has this root cause (names near ones), or nothing is said.
    """
    store = find(data, experiment)
    con = connect(data, store.experiment_id, views=VIEWS)
    guard(con)
    cycle = read_manifest(store).current_cycle
    known = sorted({row["root_cause_id"] for row in rows(con, FAILURES)})
    if root_cause_id not in known:
        hint = nearest(root_cause_id, known) if known else "there is no failure"
        message = f"{store.experiment_id} has no root cause {root_cause_id!r}; {hint}"
        raise ConfigError(message)
    if not what.strip():
        raise ConfigError("--what is empty; say in a few words what was done")
    what = redact(what.strip())
    append_event(store, "fix", at=now, cycle=cycle, root_cause_id=root_cause_id, what=what, by=by)


def guard(con: duckdb.DuckDBPyConnection) -> None:
    """Call F1 and F2, which every step of a fix stands behind."""
    f1_wait_for_terminal(rows(con, UNFINISHED))
    f2_aggregate_before_fix(rows(con, FAILURES))
