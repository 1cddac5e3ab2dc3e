"""Shell completion: experiments, conditions, ``factor=level`` words, and names in a query.

It must be fast, since a person waits for it: experiments come from folder names, conditions from the
manifest, views and columns from the text of ``sql/``. If these can't be read, nothing is completed.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - Typer reads the annotations of a completion when it runs

from fmon.cli.poll import DATA_VARIABLE, DEFAULT_DATA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.model import Manifest

MOST = 200
"""Maximum number of words that are offered."""

COLUMN = re.compile(r"^comment on (?:(?:view|macro table|macro) (\w+)|column \w+\.(\w+)) is", re.MULTILINE)
LAST_NAME = re.compile(r"\w*$")


def complete_experiment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of an experiment."""
    found: list[str] = []
    with suppress(Exception):  # a shell would show a traceback in the middle of the line
        found += _experiments(_data(ctx))
    return _with_prefix(found, incomplete)


def complete_selection(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a condition id, ``factor=level`` or ``state=STATE``."""
    found: list[str] = []
    with suppress(Exception):
        words = _selectable(_manifest(ctx))
        key, start = _split_by_bash(ctx, incomplete)
        if key is None:
            found += _with_prefix(words, incomplete)
        else:
            found += _with_prefix((word.removeprefix(key) for word in words if word.startswith(key)), start)
    return found


def complete_query(incomplete: str) -> list[str]:
    """Complete the last name of a query: a view or a column."""
    found: list[str] = []
    with suppress(Exception):
        start = LAST_NAME.search(incomplete)
        head, name = (incomplete[: start.start()], start[0]) if start else (incomplete, "")
        found += [head + each for each in _with_prefix(_names(), name)]
    return found


def _data(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("data") or os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def _experiments(data: Path) -> list[str]:
    from fmon.store.folder import stores

    return [store.experiment_id for store in reversed(stores(data))]


def _manifest(ctx: typer.Context) -> Manifest:
    from fmon.manifest.file import read_manifest
    from fmon.store.folder import find

    return read_manifest(find(_data(ctx), ctx.params.get("experiment")))


def _selectable(manifest: Manifest) -> list[str]:
    from fmon.model import STATES, level_text

    levels = dict.fromkeys(
        f"{factor}={level_text(level)}" for entry in manifest.jobs for factor, level in entry.factors.items()
    )
    return [*levels, *(f"state={state}" for state in STATES), *(entry.condition for entry in manifest.jobs)]


def _split_by_bash(ctx: typer.Context, incomplete: str) -> tuple[str | None, str]:
    """Return the ``factor=`` already typed, if bash has split the word at ``=``, and the rest; else None.

    bash passes ``model=sa`` as three words, replaces only the last one, and passes ``model=`` as two.
    """
    before = [str(word) for word in ctx.params.get("selections") or ()]
    if incomplete == "=" and before:
        return f"{before[-1]}=", ""
    if len(before) > 1 and before[-1] == "=":
        return f"{before[-2]}=", incomplete
    return None, incomplete


def _names() -> list[str]:
    """List the views and columns that the files of ``sql/`` comment on."""
    from importlib.resources import files

    texts = (file.read_text() for file in files("fmon.sql").iterdir() if file.name.endswith(".sql"))
    return sorted({view or column for text in texts for view, column in COLUMN.findall(text)})


def _with_prefix(words: Iterable[str], start: str) -> list[str]:
    return [word for word in words if word.startswith(start)][:MOST]
