"""``fmon run``: launch, watch, diagnose and report for a parent batch, and the result that it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fmon.cli.monitor import current_status, exit_with
from fmon.cli.options import (
    AllowBareVm,
    By,
    Config,
    Data,
    EnvFile,
    Interval,
    MaxConditions,
    OutDir,
    Output,
    OverBudget,
    Rows,
    TaskFile,
    now,
    user,
)
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.services import services
from fmon.cli.submitting import LaunchCall, launch_and_watch
from fmon.model import MAX_CONDITIONS

if TYPE_CHECKING:
    from fmon.monitor.status import Status
    from fmon.warehouse.result import Row


def run(
    config: Config,
    *,
    task: TaskFile = None,
    env_file: EnvFile = None,
    over_budget: OverBudget = False,
    allow_bare_vm: AllowBareVm = False,
    by: By = None,
    interval: Interval = 60,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    out_dir: OutDir = Path("reports"),
    output: Rows = Output.json,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Launch, watch, diagnose and report unattended, without ever asking, fixing or relaunching."""
    import sys
    from contextlib import redirect_stdout

    with redirect_stdout(sys.stderr):  # stdout is for the result
        call = LaunchCall(
            config=config,
            data=data,
            by=by or user(),
            task=task,
            env_file=env_file,
            yes=True,
            over_budget=over_budget,
            allow_bare_vm=allow_bare_vm,
            max_conditions=max_conditions,
        )
        watched = launch_and_watch(call, interval=interval)
        seen = current_status(data, watched.seen.experiment_id)
        if seen.has_only_lost:  # F1: they may still run, as the watch has said
            exit_with(seen)
        conclusion = conclude(data, seen, out_dir)
    print_conclusion(conclusion, output)
    exit_with(seen)


def conclude(data: Path, seen: Status, out: Path) -> Row:
    """Diagnose and report an experiment that has no open job; nothing is fixed or relaunched.

    Parameters
    ----------
    data
        Data directory.
    seen
        The status of the experiment at its end.
    out
        Directory for the reports.

    Returns
    -------
    dict
        experiment_id, experiment_summary (conditions by state), progress, causes as in ``fmon diagnose``,
        jsonl, html.
    """
    from fmon.diagnose.diagnose import as_json, diagnose
    from fmon.report.report import report
    from fmon.study import open_study

    diagnosis = diagnose(open_study(data, seen.experiment_id), logs=services().open_logs("sky"), now=now())
    reported = report(open_study(data, seen.experiment_id), out, ask=services().reported_costs)
    return {
        "experiment_id": seen.experiment_id,
        "experiment_summary": {"condition_count": seen.condition_count, **seen.counts},
        "progress": seen.progress,
        "causes": as_json(diagnosis)["causes"],
        "jsonl": str(reported.jsonl),
        "html": str(reported.html),
    }


def print_conclusion(conclusion: Row, output: Output) -> None:
    """Print one JSON object, or the progress, the causes and the paths as lines."""
    from fmon.text import json_text, visible

    if output == Output.json:
        print(json_text(conclusion))  # noqa: T201
        return
    causes = [f"{cause['root_cause_id']}: {cause['description']}" for cause in conclusion["causes"]]
    first = f"{conclusion['experiment_id']}: {conclusion['progress']}"
    for line in (first, *causes, conclusion["jsonl"], conclusion["html"]):
        print(visible(line))  # noqa: T201
