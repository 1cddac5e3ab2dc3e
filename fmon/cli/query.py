"""Queries on the command line: ``fmon sql`` and ``fmon views``."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from fmon.cli.complete import complete_experiment, complete_query
from fmon.cli.options import Data, Output, Rows
from fmon.cli.poll import DEFAULT_DATA


class RowsOrFile(StrEnum):
    """Output formats of a query."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


FILES: dict[RowsOrFile, Literal["csv", "parquet"]] = {RowsOrFile.csv: "csv", RowsOrFile.parquet: "parquet"}


def sql(
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="SQL query over the views that fmon views lists.",
            show_default=False,
            autocompletion=complete_query,
        ),
    ],
    *,
    output: Annotated[
        RowsOrFile,
        typer.Option("-o", "--output", metavar="FORMAT", help="Output format: table, json, csv or parquet."),
    ] = RowsOrFile.table,
    experiment: Annotated[
        str | None,
        typer.Option(
            "-e",
            "--experiment",
            metavar="EXPERIMENT",
            help="Experiment id or unique prefix (default: all experiments).",
            show_default=False,
            autocompletion=complete_experiment,
        ),
    ] = None,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Query the views of all experiments, or of one."""
    from fmon.terminal.export import print_exported
    from fmon.terminal.rows import print_rows
    from fmon.warehouse import connect, export, query_rows

    con = connect(data, experiment, queries=[query])
    if output in FILES:
        print_exported(partial(export, con, query, FILES[output]), output)
    else:
        print_rows(*query_rows(con, query), output)


def views(*, output: Rows = Output.table) -> None:
    """List the views with their columns, units and meanings."""
    from fmon.terminal.rows import print_rows
    from fmon.warehouse import dictionary

    print_rows(*dictionary(), output)
