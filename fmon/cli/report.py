"""Phase 6 on the command line: ``fmon report``, ``audit``, ``compare`` and ``issues``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmon.clients.github import GitHub
    from fmon.warehouse.result import Row

from pathlib import Path
from typing import Annotated

import typer

from fmon.cli.complete import complete_experiment
from fmon.cli.options import (
    Data,
    ExperimentArgument,
    ExperimentOption,
    ExperimentOptions,
    OutDir,
    Output,
    Rows,
    now,
    one_experiment,
    print_lines,
    several_experiments,
)
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.services import services
from fmon.cli.stderr import say


def report(
    name: ExperimentArgument = None,
    *,
    experiment: ExperimentOption = None,
    out_dir: OutDir = Path("reports"),
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Write the report as JSONL and as an HTML page; print the outcome and the paths."""
    from fmon.clients.mlflow import tracked_runs
    from fmon.report.report import report as report_phase
    from fmon.store.read_only import require_writable
    from fmon.study import open_study

    require_writable(out_dir)
    study = open_study(data, one_experiment(name, experiment))
    reported = report_phase(study, out_dir, ask=services().reported_costs, track=tracked_runs)
    if reported.unreconciled:
        say(reported.unreconciled)
    if reported.untracked:
        say(reported.untracked)
    if reported.unrecorded:
        say(reported.unrecorded)
    say(reported.sentence)  # stdout has the two paths and nothing else, for scripts
    print_lines([str(reported.jsonl), str(reported.html)])


def issues(
    name: ExperimentArgument = None,
    *,
    experiment: ExperimentOption = None,
    create: Annotated[
        bool, typer.Option("--create", help="File the issues on GitHub with gh, each only once.")
    ] = False,
    repo: Annotated[
        str | None,
        typer.Option(
            "--repo",
            metavar="OWNER/NAME",
            help="Repository for the issues (default: that of the current directory).",
            show_default=False,
        ),
    ] = None,
    out_dir: OutDir = Path("reports"),
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Write an issue for each root cause that needs a person; --create files it."""
    from fmon.clients.github import open_github
    from fmon.report.issues import COLUMNS
    from fmon.report.issues import issues as issues_phase
    from fmon.store.read_only import require_writable
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    require_writable(out_dir)
    chosen = one_experiment(name, experiment)
    opened: list[GitHub] = []

    def open_tracker() -> GitHub:
        opened.append(open_github(repo))
        return opened[0]

    tracker = open_tracker if create else None
    done: list[Row] = []
    try:
        done.extend(issues_phase(open_study(data, chosen), out_dir, open_tracker=tracker, now=now()))
    finally:
        print_rows(COLUMNS, done, output)  # also what was filed before an error
        say(*(sentence for each in opened for sentence in each.label_faults))


def compare(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Two or more experiments; each is compared with the one before it.",
            show_default=False,
            autocompletion=complete_experiment,
        ),
    ] = None,
    *,
    experiment: ExperimentOptions = None,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out-dir",
            metavar="DIR",
            help="Directory for an HTML page of the comparison (default: no page).",
            show_default=False,
        ),
    ] = None,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Compare experiments: outcomes, fixed, new and recurring causes, state changes, suspects, cost."""
    from fmon.report.compare import compare as compare_phase
    from fmon.store.read_only import require_writable
    from fmon.terminal.comparison import print_comparison

    if out_dir is not None:
        require_writable(out_dir)
    ids = several_experiments(experiments, experiment)
    compared = compare_phase(data, ids, out=out_dir, now=now())
    print_comparison(compared, output)
    if compared.html:
        say(f"page: {compared.html}")


def audit(
    name: ExperimentArgument = None,
    *,
    experiment: ExperimentOption = None,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Check the records against F1-F5 and five quality criteria; exit with 0 only if all were followed."""
    from msgspec.structs import asdict

    from fmon.report.audit import COLUMNS, exit_status
    from fmon.report.audit import audit as audit_phase
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    found = audit_phase(open_study(data, one_experiment(name, experiment)))
    print_rows(COLUMNS, [asdict(row) for row in found], output)
    raise typer.Exit(exit_status(found))
