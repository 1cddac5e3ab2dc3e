"""What ``fmon run`` says at its end: outcome, root causes and reports, for a parent batch (floor 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.commands.options import Output, now

if TYPE_CHECKING:
    from pathlib import Path

    from fmon.phases.status import Status


def conclude(data: Path, seen: Status, out: Path) -> dict[str, Any]:
    """Diagnose and report an experiment none of whose jobs is open; nothing is fixed or run again.

    Parameters
    ----------
    data : data directory
    seen : the experiment as it ended
    out : folder of the reports

    Returns
    -------
    dict
        experiment_id, experiment_summary (conditions by state), progress, causes as of ``fmon diagnose``,
        jsonl, html.
    """
    from fmon.phases.diagnose import as_json, diagnose
    from fmon.phases.report import report
    from fmon.sky.costs import reported_costs
    from fmon.sky.logs import open_logs

    diagnosis = diagnose(data, seen.experiment_id, logs=open_logs("sky"), now=now())
    reported = report(data, seen.experiment_id, out, ask=reported_costs)
    return {
        "experiment_id": seen.experiment_id,
        "experiment_summary": {"condition_count": seen.condition_count, **seen.counts},
        "progress": seen.progress,
        "causes": as_json(diagnosis)["causes"],
        "jsonl": str(reported.jsonl),
        "html": str(reported.html),
    }


def print_conclusion(told: dict[str, Any], output: Output) -> None:
    """Print one JSON object, or what a person wants to know first."""
    from fmon.report.text import json_text
    from fmon.terminal import visible

    if output == Output.json:
        print(json_text(told))  # noqa: T201
        return
    causes = [f"{cause['root_cause_id']}: {cause['description']}" for cause in told["causes"]]
    for line in (f"{told['experiment_id']}: {told['progress']}", *causes, told["jsonl"], told["html"]):
        print(visible(line))  # noqa: T201
