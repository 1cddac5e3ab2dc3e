"""Adopt jobs by the variables that SkyPilot recorded for them, before their names.

Pure functions of the manifest, the queue and the recorded task YAMLs. Only names of variables get into a
message: values may be secrets.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from fmon.job_key import job_id_of
from fmon.model import EPOCH, envs_of, level_text
from fmon.sky.endpoint import current_user
from fmon.sky.user_yaml import NOT_COMPARED, differing, variables_of
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from fmon.model import Entry, Manifest, Record
    from fmon.sky.reader import JobSpec


class Rejected(NamedTuple):
    """A job with the name of a condition but different variables.

    Attributes
    ----------
    variables
        Names of the variables that differ.
    """

    job_key: int
    job_name: str
    variables: list[str]

    def sentence(self) -> str:
        """Return why the job is not adopted."""
        return (
            f"job {job_id_of(self.job_key)} ({self.job_name}) is not adopted: "
            f"it has the name of a condition, but different values of {listed(self.variables)}"
        )


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """The jobs of the queue, sorted by their variables.

    Attributes
    ----------
    records
        All records but those of rejected jobs. A job whose variables are those of exactly one condition
        has the name of that condition.
    renamed
        The condition that each of these jobs was assigned to, by job.
    rejected
        Jobs with the name of a condition but different variables.
    contradicted
        Names of the variables that differ, by condition, for conditions that have only such jobs.
    agreeing
        Conditions with a job whose variables do not differ, or are not known.
    """

    records: list[Record] = field(default_factory=list)
    renamed: dict[int, str] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    contradicted: dict[str, list[str]] = field(default_factory=dict)
    agreeing: set[str] = field(default_factory=set)


def sort_by_variables(
    manifest: Manifest,
    records: Sequence[Record],
    specs: Mapping[int, JobSpec],
    *,
    owned_elsewhere: Collection[tuple[int, str]] = (),
) -> Sorted:
    """Compare the jobs' variables with those of the conditions.

    A job that the manifest knows, or that carries the id of an experiment, keeps its condition; it is only
    compared. Any other job with the name of a condition is rejected if its variables differ. A job of
    another name, or a rejected one, is assigned to the condition whose variables it has, if there is
    exactly one and no job has its name.

    Parameters
    ----------
    manifest
        The experiment.
    records
        Records of the queue.
    specs
        What SkyPilot recorded for the jobs, as far as it is known.
    owned_elsewhere
        (job_id, job name) of other experiments' attempts.
    """
    found = Sorted()
    entries = _Entries(manifest)
    candidates = _candidates(manifest, records)
    unsure: dict[int, str] = {}
    wrong: dict[str, list[str]] = {}
    for record in candidates:
        name = record.job_name or ""
        entry, is_certain = entries.of(record)
        is_certain = is_certain or (record.job_id, name) in owned_elsewhere
        names = _wrong_names(manifest, entry, specs.get(record.job_id)) if entry else []
        if entry is not None and not names:
            found.agreeing.add(entry.condition)
            continue
        if entry is not None:
            wrong.setdefault(entry.condition, names)
        if not is_certain:
            unsure[record.job_key] = name
            found.rejected.extend([Rejected(record.job_key, name, names)] if entry else [])
    found.renamed.update(_renamed(manifest, unsure, specs, agreeing=found.agreeing))
    found.rejected[:] = sorted(each for each in found.rejected if each.job_key not in found.renamed)
    left_out = {each.job_key for each in found.rejected}
    taken = set(found.renamed.values())
    for condition, names in wrong.items():
        if condition not in found.agreeing and entries.by_id[condition].job_name not in taken:
            found.contradicted[condition] = names
    found.records.extend(
        replace(record, job_name=found.renamed.get(record.job_key, record.job_name))
        for record in records
        if record.job_key not in left_out
    )
    return found


def contradictions(manifest: Manifest, found: Sorted) -> list[str]:
    """Return why this can't be the config of the jobs: levels of which every job has other variables.

    A single job with a wrong variable is a mistake in that job; all jobs of a level are one in the config.
    """
    with_job = found.agreeing | found.contradicted.keys()
    if not found.contradicted:
        return []
    levels: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in manifest.jobs:
        for factor, level in entry.factors.items() if entry.condition in with_job else ():
            levels[factor, level_text(level)].append(entry)
    without_agreeing = {
        key: entries
        for key, entries in levels.items()
        if len(entries) > 1 and not any(entry.condition in found.agreeing for entry in entries)
    }
    whole = [
        f"{factor}={level} ({counted(len(entries), 'job')})"
        for (factor, level), entries in without_agreeing.items()
    ]
    named = {entry.condition for entries in without_agreeing.values() for entry in entries}
    rest = len(found.contradicted.keys() - named)
    if not whole and found.agreeing:
        return []
    variables = listed(dict.fromkeys(name for names in found.contradicted.values() for name in names), 10)
    jobs = f"every job of {listed(whole, 8)}{f' and {rest} more' if rest else ''}"
    whose, have = (
        (jobs, "have" if rest else "has") if whole and found.agreeing else ("every one of them", "has")
    )
    return [
        f"{len(found.contradicted)} of the {len(with_job)} conditions that have a job with their name have "
        f"one with different variables: {whose} {have} different values of {variables}"
    ]


def _candidates(manifest: Manifest, records: Sequence[Record]) -> list[Record]:
    """Return the first task of each job that can belong to the experiment: of its user, not too old."""
    first = list({record.job_key: record for record in reversed(records)}.values())
    names = {entry.job_name for entry in manifest.jobs}
    user = manifest.user_hash or current_user()
    ours = [record for record in first if record.user_hash in (None, user)]
    if any(record.job_name in names for record in ours):
        first = ours
    if manifest.since is None:
        return first
    since = (manifest.since - EPOCH) // timedelta(microseconds=1)
    known = {entry.job_key for entry in manifest.jobs}
    return [each for each in first if each.job_key in known or (each.submitted_at or 0) >= since]


class _Entries:
    """Finds the condition of a job: by the manifest, by its metadata, or by its name."""

    def __init__(self, manifest: Manifest) -> None:
        self.by_id = {entry.condition: entry for entry in manifest.jobs}
        self._by_name = {entry.job_name: entry for entry in manifest.jobs}
        self._by_job = {entry.job_key: entry for entry in manifest.jobs if entry.job_key is not None}

    def of(self, record: Record) -> tuple[Entry | None, bool]:
        """Return the condition, and whether more than the job's name says so."""
        if record.job_key in self._by_job:
            return self._by_job[record.job_key], True
        if record.fmon_experiment is not None:
            return self.by_id.get(record.fmon_condition or ""), True
        return self._by_name.get(record.job_name or ""), False


def _renamed(
    manifest: Manifest,
    jobs: Mapping[int, str],
    specs: Mapping[int, JobSpec],
    *,
    agreeing: Collection[str],
) -> dict[int, str]:
    """Return the names of the conditions without a job of their name, by the jobs with their variables.

    Jobs of different names with the same variables belong to different experiments: none is assigned.
    """
    cells = _Cells(manifest)
    found: dict[str, list[int]] = defaultdict(list)
    for job_key in jobs:
        entry = cells.of(specs.get(job_id_of(job_key)))
        if entry is not None and entry.condition not in agreeing:
            found[entry.job_name].append(job_key)
    return {
        job_key: name
        for name, job_keys in found.items()
        if len({jobs[job_key] for job_key in job_keys}) == 1
        for job_key in job_keys
    }


class _Cells:
    """Finds the conditions whose variables a job has."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._by_values: dict[tuple[str, ...], dict[tuple[str, ...], list[Entry]]] = {}
        for entry in manifest.jobs:
            envs = envs_of(manifest, entry)
            names = tuple(sorted(name for name in envs if name not in NOT_COMPARED))
            values = tuple(envs[name] for name in names)
            self._by_values.setdefault(names, {}).setdefault(values, []).append(entry)

    def of(self, spec: JobSpec | None) -> Entry | None:
        """Return the condition whose variables a job certainly has; None unless there is exactly one."""
        if spec is None:
            return None
        values = variables_of(spec.user_yaml, spec.entrypoint) or {}
        found = list(self._having(values))
        if len(found) != 1:
            return None
        wrong = differing(envs_of(self._manifest, found[0]), spec.user_yaml, spec.entrypoint)
        return found[0] if wrong == [] else None

    def _having(self, values: Mapping[str, str]) -> Iterator[Entry]:
        for names, by_values in self._by_values.items():
            if values.keys() >= set(names):
                yield from by_values.get(tuple(values[name] for name in names), ())


def ids_to_ask(manifest: Manifest, records: Iterable[Record]) -> tuple[list[int], list[int]]:
    """Return the jobs with a condition's name, and all others that could be a condition's."""
    names = {entry.job_name for entry in manifest.jobs}
    known = {entry.job_key for entry in manifest.jobs}
    ids = {record.job_id: record for record in records}
    named = [
        job_id
        for job_id, record in ids.items()
        if record.job_name in names or record.job_key in known or record.fmon_experiment
    ]
    return sorted(named), sorted(ids.keys() - set(named))


def _wrong_names(manifest: Manifest, entry: Entry, spec: JobSpec | None) -> list[str]:
    """Return the variables that certainly differ; none if nothing is recorded."""
    if spec is None:
        return []
    return differing(envs_of(manifest, entry), spec.user_yaml, spec.entrypoint) or []
