"""Commands that tell others: issues."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fmon.cli.options import (
    Data,
    Experiment,
    Output,
    Rows,
    now,
    print_lines,
)
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.stderr import say


def report(
    experiment: Experiment = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports"),
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Write the experiment's JSONL and its HTML page; print their paths."""
    from fmon.clients.mlflow import tracked_runs
    from fmon.report.report import report as report_phase
    from fmon.sky.costs import reported_costs
    from fmon.study import open_study

    reported = report_phase(open_study(data, experiment), out, ask=reported_costs, track=tracked_runs)
    if reported.unreconciled:
        say(reported.unreconciled)
    if reported.untracked:
        say(reported.untracked)
    print_lines([str(reported.jsonl), str(reported.html)])


def issues(
    experiment: Experiment = None,
    *,
    create: Annotated[
        bool, typer.Option("--create", help="File them with gh, GitHub's command line; never twice.")
    ] = False,
    repo: Annotated[
        str | None,
        typer.Option(help="OWNER/NAME; default: what the current folder is a clone of.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports"),
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Write an issue for each root cause that needs a person; --create files it."""
    from fmon.clients.github import open_github
    from fmon.report.issues import COLUMNS
    from fmon.report.issues import issues as issues_phase
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    tracker = partial(open_github, repo) if create else None
    done: list[dict[str, Any]] = []
    try:
        done.extend(issues_phase(open_study(data, experiment), out, open_tracker=tracker, now=now()))
    finally:
        print_rows(COLUMNS, done, output)  # what was filed before a fault is said too


def compare(
    experiments: Annotated[
        list[str],
        typer.Argument(help="Two or more, each compared with the one named before it.", show_default=False),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page of the comparison.", show_default=False)
    ] = None,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Compare experiments: outcome, causes fixed, new or recurring, state changes, suspects, cost."""
    from fmon.report.compare import compare as compare_phase
    from fmon.terminal.comparison import print_comparison

    compared = compare_phase(data, experiments, out=out, now=now())
    print_comparison(compared, output)
    if compared.html:
        say(f"page: {compared.html}")


def audit(
    experiment: Experiment = None, *, output: Rows = Output.table, data: Data = Path(DEFAULT_DATA)
) -> None:
    """Check F1 to F5 and five quality criteria; exit 0 only if every rule was followed."""
    from fmon.report.audit import COLUMNS, exit_status
    from fmon.report.audit import audit as audit_phase
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    found = audit_phase(open_study(data, experiment))
    print_rows(COLUMNS, found, output)
    raise typer.Exit(exit_status(found))
