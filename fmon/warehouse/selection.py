"""Select conditions by their current state and root causes, read from the views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.manifest.select import Current, needs_current, select
from fmon.store.folder import stores
from fmon.warehouse import open_views, rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fmon.manifest.stored import StoredExperiment

CURRENT = """
with failed as (
    select
        failure.condition_id,
        array_agg(failure.root_cause_id) filter (where failure.is_newest) as causes,
        array_agg(failure.root_cause_id) as earlier_causes
    from failure
    group by failure.condition_id
)

select
    condition.condition_id,
    condition.state,
    coalesce(failed.causes, []) as causes,
    coalesce(failed.earlier_causes, []) as earlier_causes
from condition
left join failed on condition.condition_id = failed.condition_id
"""


def select_current(stored: StoredExperiment, words: Sequence[str], *, now: datetime) -> dict[str, str]:
    """Return the selected conditions; the views are only read for ``state=`` and ``cause=``.

    Parameters
    ----------
    stored
        The experiment.
    words
        The words of the selection, as for ``fmon.manifest.select.select``.
    now
        The current time [UTC].

    Returns
    -------
    dict
        The words that select each condition, in the order of the manifest.

    Raises
    ------
    ConfigError
        A word matches nothing in the experiment.
    """
    _refuse_experiment(stored, words)
    if not needs_current(words):
        return select(stored.manifest, words)
    con = open_views(stored, now=now, queries=(CURRENT,))
    try:
        current = {
            row["condition_id"]: Current(
                row["state"], frozenset(row["causes"]), frozenset(row["earlier_causes"])
            )
            for row in rows(con, CURRENT)
        }
    finally:
        con.close()
    return select(stored.manifest, words, current)


def _refuse_experiment(stored: StoredExperiment, words: Sequence[str]) -> None:
    """Refuse the id of an experiment as a word: experiments are given with ``-e``."""
    conditions = {entry.condition for entry in stored.manifest.jobs}
    for word in words:
        if not word:
            raise ConfigError("a selection is an empty text; give a condition, or leave it out for all")
        if "=" in word or word in conditions:
            continue
        if any(store.experiment_id.startswith(word) for store in stores(stored.data)):
            raise ConfigError(f"{word} is an experiment, not a condition; use -e {word}")
