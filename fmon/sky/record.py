"""Parse SkyPilot's queue records into ``model.Record``.

Accepts all forms: the server's JSON, the CLI's JSON, recordings written by hand. A record without a usable
job_id, task_id or status is left out and reported. Any other field with an invalid value is None, which
means "unknown": SkyPilot writes -1 and "-" for that. ``invalid_fields`` names the times and durations that
had an impossible value: text, NaN, times before 1970 or after 2100, negative durations.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fmon.job_key import MAX_JOB_ID
from fmon.log_text import plain
from fmon.model import Record
from fmon.redact import redact
from fmon.sky.reader import JobSpec
from fmon.sky.user_yaml import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable

END_OF_TIME_S = 4_102_444_800.0
"""2100-01-01: a larger number is in milliseconds or wrong."""

MAX_COUNT = 2**63 - 1
MAX_NAME = 1_000
MAX_REASON = 4_000
STATUS_PREFIX = "ManagedJobStatus."
ENVS = {"experiment": "FMON_EXPERIMENT", "condition": "FMON_CONDITION", "cycle": "FMON_CYCLE"}


MEASURES = ("submitted_at", "start_at", "end_at", "last_recovered_at", "job_duration")
"""The fields with times and durations, as SkyPilot names them."""
INVALID = "invalid"
"""Written to a recording in place of a value that was left out."""
_UNKNOWN = (None, -1, 0, "", "-")
INITIALIZING = "<initializing>"
"""SkyPilot's word for a machine whose resources it does not know yet."""
_NO_MACHINE: dict[bool | None, str] = {True: INITIALIZING, False: "-"}


class _UnfitError(Exception):
    """The reason a record is unusable."""


def parse_records(raw: Iterable[Any]) -> tuple[list[Record], list[str]]:
    """Parse raw queue records.

    Parameters
    ----------
    raw
        Dicts as SkyPilot returns them; unknown fields are ignored, missing ones are unknown.

    Returns
    -------
    records, bad
        Allow-listed, typed and redacted records; one sentence per record that was left out.
    """
    records: list[Record] = []
    bad: list[str] = []
    seen: set[tuple[int, int]] = set()
    for index, item in enumerate(raw):
        try:
            record = _record(item)
        except _UnfitError as fault:
            bad.append(f"queue record {index}: {fault}")
            continue
        key = record.job_id, record.task_id
        if key in seen:
            bad.append(
                f"queue record {index}: job {key[0]} task {key[1]} appears twice; only the first one is used"
            )
            continue
        seen.add(key)
        records.append(record)
    return records, bad


def queue_record(record: Record) -> dict[str, Any]:
    """Return a record in SkyPilot's form, for a recording: ``parse_records`` returns the same record."""
    raw: dict[str, Any] = {
        "job_id": record.job_id,
        "task_id": record.task_id,
        "job_name": record.job_name,
        "task_name": record.task_name,
        "status": record.status,
        "submitted_at": _seconds(record.submitted_at),
        "start_at": _seconds(record.start_at),
        "end_at": _seconds(record.end_at),
        "last_recovered_at": _seconds(record.last_recovered_at),
        "job_duration": record.job_duration_s,
        "recovery_count": record.recovery_count,
        "details": record.details,
        "failure_reason": record.failure_reason,
        "resources": record.resources,
        "cluster_resources": record.machine or _NO_MACHINE.get(record.has_machine),
        "schedule_state": record.schedule_state,
        "cloud": record.cloud,
        "region": record.region,
        "zone": record.zone,
        "infra": record.infra,
        "user_name": record.user_name,
        "user_hash": record.user_hash,
        "workspace": record.workspace,
    }
    raw |= dict.fromkeys((record.invalid_fields or "").split(", "), INVALID)
    raw.pop("", None)
    tags = {
        "experiment": record.fmon_experiment,
        "condition": record.fmon_condition,
        "cycle": record.fmon_cycle,
    }
    tags = {key: value for key, value in tags.items() if value is not None}
    if tags:
        raw["metadata"] = {"fmon": tags}
    return {key: value for key, value in raw.items() if value is not None}


def _record(raw: Any) -> Record:
    """Parse one record."""
    if not isinstance(raw, dict):
        raise _UnfitError(f"it is {type(raw).__name__}, not an object")
    get = raw.get
    job_id = _id(get("job_id"), "job_id")
    task_id = get("task_id")
    experiment, condition, cycle = tags_of(get("metadata"), get("user_yaml"))
    resources = _text(get("resources"))
    machine, has_machine = _machine(get("cluster_resources", get("cluster_resources_full")), resources)
    record = Record(
        job_id=job_id,
        task_id=0 if task_id is None else _id(task_id, f"task_id of job {job_id}"),
        job_name=_text(get("job_name")),
        task_name=_text(get("task_name")),
        status=_status(get("status"), job_id),
        submitted_at=_time(get("submitted_at")),
        start_at=_time(get("start_at")),
        end_at=_time(get("end_at")),
        last_recovered_at=_time(get("last_recovered_at")),
        job_duration_s=_duration(get("job_duration")),
        recovery_count=_count(get("recovery_count")),
        details=_reason(get("details")),
        failure_reason=_reason(get("failure_reason")),
        resources=resources,
        machine=machine,
        has_machine=has_machine,
        schedule_state=_text(get("schedule_state")),
        cloud=_text(get("cloud")),
        region=_text(get("region")),
        zone=_text(get("zone")),
        infra=_text(get("infra")),
        user_name=_text(get("user_name")),
        user_hash=_text(get("user_hash")),
        workspace=_text(get("workspace")),
        fmon_experiment=experiment,
        fmon_condition=condition,
        fmon_cycle=cycle,
    )
    measured = (
        record.submitted_at,
        record.start_at,
        record.end_at,
        record.last_recovered_at,
        record.job_duration_s,
    )
    if None in measured:
        record.invalid_fields = _invalid(raw, measured)
    return record


def _invalid(raw: dict[str, Any], measured: tuple[float | None, ...]) -> str | None:
    """Name the fields that have a value, but none that they can have."""
    names = [
        name
        for name, value in zip(MEASURES, measured, strict=True)
        if value is None and raw.get(name) not in _UNKNOWN
    ]
    return ", ".join(names) or None


def _id(value: Any, name: str) -> int:
    """Parse an id; an integral float is accepted (pandas and jq write ids so)."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_JOB_ID:
        problem = "is missing" if value is None else f"is not a valid id ({type(value).__name__})"
        raise _UnfitError(f"{name} {problem}")
    return int(value)


def _status(value: Any, job_id: int) -> str:
    """Parse a status; one that fmon does not know is kept."""
    status = _text(value)
    if status is None:
        problem = "has no status" if value is None else f"has a status of type {type(value).__name__}"
        raise _UnfitError(f"job {job_id} {problem}")
    return status.removeprefix(STATUS_PREFIX)


def _text(value: Any) -> str | None:
    """Parse a short text."""
    if type(value) is not str or not value or value == "-":
        return None
    if len(value) > MAX_NAME:
        value = value[:MAX_NAME]
    return value if value.isascii() else _encodable(value)


def _encodable(text: str) -> str:
    """Replace halves of surrogate pairs: JSON allows them, UTF-8 does not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _reason(value: Any) -> str | None:
    """Parse a long text: make it plain, redact it, cut out its middle, the least useful of a traceback."""
    if type(value) is not str or not value or value == "-":
        return None
    if len(value) > 16 * MAX_REASON:
        value = _cut(value, 16 * MAX_REASON)
    text = redact(plain(value))
    if len(text) > MAX_REASON:
        text = _cut(text, MAX_REASON)
    return text if text.isascii() else _encodable(text)


def _cut(text: str, length: int) -> str:
    """Keep both ends of a text."""
    mark = f" ... [{len(text) - length} characters cut] ... "
    half = (length - len(mark)) // 2
    return text[:half] + mark + text[-half:]


def _time(value: Any) -> int | None:
    """Parse a time, seconds since the epoch or ISO 8601 (UTC without a zone), to microseconds."""
    if value is None:
        return None
    if type(value) is str:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return None
        value = (at.replace(tzinfo=UTC) if at.tzinfo is None else at).timestamp()
    if type(value) not in (float, int) or not 0 < value < END_OF_TIME_S:
        return None
    micros: int = round(value * 1e6)
    return micros


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1e6


def _duration(value: Any) -> float | None:
    if type(value) not in (float, int) or not 0 <= value < END_OF_TIME_S:
        return None
    return float(value)


def _count(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        return None
    return int(value)


def _machine(got: Any, requested: str | None) -> tuple[str | None, bool | None]:
    """Return the machine that a job has, and whether it has one.

    SkyPilot describes a machine as ``1x(gpus=L4:1, ...)``. Once it is gone, or before there is one, the field
    is the request or "-".
    """
    if not isinstance(got, str):
        return None, None
    text = _text(got)
    if text is None or text == requested:
        return None, False
    return (None if text == INITIALIZING else text), True


def tags_of(metadata: Any, user_yaml: Any) -> tuple[str | None, str | None, int | None]:
    """Return the metadata of a job that fmon launched: (experiment, condition, cycle)."""
    if isinstance(metadata, dict):
        tags = metadata.get("fmon")
    elif metadata is None and type(user_yaml) is str:
        tags = _tags_of_envs(user_yaml)
    else:
        tags = None
    if not isinstance(tags, dict):
        return None, None, None
    return _text(tags.get("experiment")), _text(tags.get("condition")), _count(tags.get("cycle"))


def _tags_of_envs(user_yaml: str) -> dict[str, Any] | None:
    """Read the metadata from the task's envs, if a queue has no metadata."""
    if ENVS["experiment"] not in user_yaml:
        return None
    envs = variables_of(user_yaml) or {}
    cycle = envs.get(ENVS["cycle"], "")
    return {
        "experiment": envs.get(ENVS["experiment"]),
        "condition": envs.get(ENVS["condition"]),
        "cycle": int(cycle) if cycle.isascii() and cycle.isdigit() and len(cycle) < 10 else None,
    }


def specs_of(raw: Iterable[Any]) -> dict[int, JobSpec]:
    """Return what raw queue records say about the submission of each job; invalid records are left out."""
    specs: dict[int, JobSpec] = {}
    for item in raw:
        if isinstance(item, dict) and type(item.get("job_id")) is int:
            texts = (item.get(name) for name in ("user_yaml", "entrypoint"))
            specs.setdefault(
                item["job_id"], JobSpec(*(text if type(text) is str else None for text in texts))
            )
    return specs
