"""Commands for the people who read: comparisons and queries (floor 7)."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from fmon.commands.options import Data, Output, Rows, now
from fmon.polling import DEFAULT_DATA, say


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
    from fmon.phases.compare import compare as compare_phase
    from fmon.terminal import print_comparison

    compared = compare_phase(data, experiments, out=out, now=now())
    print_comparison(compared, output)
    if compared.html:
        say(f"page: {compared.html}")


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
    from fmon.terminal import print_exported, print_rows
    from fmon.warehouse import connect, export, named_in, query_rows

    con = connect(data, views=named_in(query))
    if output in FILES:
        print_exported(partial(export, con, query, FILES[output]), output)
    else:
        print_rows(*query_rows(con, query), output)


def views(*, output: Rows = Output.table) -> None:
    """List the views with their columns, units and meanings."""
    from fmon.terminal import print_rows
    from fmon.warehouse import dictionary

    print_rows(*dictionary(), output)
