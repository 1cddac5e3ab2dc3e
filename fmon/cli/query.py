"""Commands for the people who read: comparisons and queries."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from fmon.cli.options import Data, Output, Rows
from fmon.cli.poll import DEFAULT_DATA


class RowsOrFile(StrEnum):
    """How the rows of a query are printed: for people, or for a program behind a pipe."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


FILES: dict[RowsOrFile, Literal["csv", "parquet"]] = {RowsOrFile.csv: "csv", RowsOrFile.parquet: "parquet"}


def sql(
    query: Annotated[
        str, typer.Argument(help="SQL over the views; fmon views lists them.", show_default=False)
    ],
    *,
    output: Annotated[
        RowsOrFile, typer.Option("-o", "--output", help="How rows are printed; csv and parquet go to a file.")
    ] = RowsOrFile.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Run a query over the views of all experiments."""
    from fmon.terminal.export import print_exported
    from fmon.terminal.rows import print_rows
    from fmon.warehouse import connect, export, query_rows

    con = connect(data, queries=[query])
    if output in FILES:
        print_exported(partial(export, con, query, FILES[output]), output)
    else:
        print_rows(*query_rows(con, query), output)


def views(*, output: Rows = Output.table) -> None:
    """List the views with their columns, units and meanings."""
    from fmon.terminal.rows import print_rows
    from fmon.warehouse import dictionary

    print_rows(*dictionary(), output)
