"""Shell completion: experiments, conditions, ``factor=level`` words, and names in a query.

Cheap, since a person waits for it: folder names for experiments, the manifest for conditions, the text of
``sql/`` for views and columns. What can't be read completes to nothing.
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
"""Words that a shell can list usefully."""

COLUMN = re.compile(r"^comment on (?:(?:view|macro table|macro) (\w+)|column \w+\.(\w+)) is", re.MULTILINE)
LAST_NAME = re.compile(r"\w*$")


def complete_experiment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of an experiment."""
    found: list[str] = []
    with suppress(Exception):  # a shell shows a traceback in the middle of the line
        found += _experiments(_data(ctx))
    return _starting(found, incomplete)


def complete_selection(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a condition id, ``factor=level`` or ``state=STATE``."""
    found: list[str] = []
    with suppress(Exception):
        words = _selectable(_manifest(ctx))
        key, start = _split_by_bash(ctx, incomplete)
        if key is None:
            found += _starting(words, incomplete)
        else:
            found += _starting((word.removeprefix(key) for word in words if word.startswith(key)), start)
    return found


def complete_query(incomplete: str) -> list[str]:
    """Complete the last name of a query: a view or a column."""
    found: list[str] = []
    with suppress(Exception):
        start = LAST_NAME.search(incomplete)
        head, name = (incomplete[: start.start()], start[0]) if start else (incomplete, "")
        found += [head + each for each in _starting(_names(), name)]
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
    """Return the ``factor=`` that is typed already, where bash has split the word at ``=``; else None.

    bash passes ``model=sa`` as three words, replaces only the last one, and passes ``model=`` as two.
    """
    before = [str(word) for word in ctx.params.get("selections") or ()]
    if incomplete == "=" and before:
        return f"{before[-1]}=", ""
    if len(before) > 1 and before[-1] == "=":
        return f"{before[-2]}=", incomplete
    return None, incomplete


def _names() -> list[str]:
    """List the views and their columns, as the files of ``sql/`` comment them."""
    from importlib.resources import files

    texts = (file.read_text() for file in files("fmon.sql").iterdir() if file.name.endswith(".sql"))
    return sorted({view or column for text in texts for view, column in COLUMN.findall(text)})


def _starting(words: Iterable[str], start: str) -> list[str]:
    return [word for word in words if word.startswith(start)][:MOST]
