"""``fmon diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fmon.cli.options import (
    Data,
    ExperimentOption,
    Output,
    Queue,
    Rows,
    Selection,
    now,
)
from fmon.cli.poll import DEFAULT_DATA, DEFAULT_QUEUE
from fmon.cli.services import services
from fmon.cli.stderr import say


def diagnose(
    selections: Selection = None,
    *,
    experiment: ExperimentOption = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Allow open jobs; the result is preliminary and no basis for a fix."),
    ] = False,
    output: Rows = Output.table,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Group all failures by root cause, with affected jobs, evidence and fix."""
    from fmon.diagnose.diagnose import diagnose as diagnose_phase
    from fmon.study import open_study
    from fmon.terminal.diagnosis import print_diagnosis

    diagnosis = diagnose_phase(
        open_study(data, experiment),
        is_partial=partial,
        logs=services().open_logs(queue),
        now=now(),
        selections=tuple(selections or ()),
    )
    if sentence := diagnosis.examined.sentence():
        say(sentence)
    print_diagnosis(diagnosis, output)
    if diagnosis.unrecorded:
        say(diagnosis.unrecorded)
