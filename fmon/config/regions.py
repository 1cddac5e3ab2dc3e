"""Read a region file, and restrict a task to its regions, in the order of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.config.shape import shown
from fmon.config.source import Source, read_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

DEFAULT_CLOUD = "gcp"
"""The cloud of a task that does not set one, as in the study's launcher."""
REPLACED = ("accelerators", "any_of", "ordered")


def with_regions(documents: Iterable[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Return a task with ``ordered``: one machine per accelerator and region, instead of ``accelerators``.

    Parameters
    ----------
    documents
        The YAML documents of the task; the cloud of each selects the part of the file.
    path
        The file: ``regions: {CLOUD: {ACCELERATOR: [{region: NAME}, ...]}}``.

    Raises
    ------
    ConfigError
        The file is not of this form, or has no regions of the task's cloud.
    """
    source = read_source(path)
    return [_with_ordered(document, source) for document in documents]


def _with_ordered(document: dict[str, Any], source: Source) -> dict[str, Any]:
    resources = document.get("resources")
    if not isinstance(resources, dict):
        return document
    kept = {key: value for key, value in resources.items() if key not in REPLACED}
    return {
        **document,
        "resources": {**kept, "ordered": _ordered(source, cloud_of(resources) or DEFAULT_CLOUD)},
    }


def cloud_of(resources: Mapping[str, Any]) -> str | None:
    """Return the cloud that resources request, in lower case; None = any."""
    named = resources.get("cloud") or str(resources.get("infra") or "").partition("/")[0]
    return None if named in ("", "*") else str(named).lower()


def region_of(resources: dict[str, Any]) -> str | None:
    """Return the region that resources request; None = any."""
    parts = [*str(resources.get("infra") or "").split("/"), "", ""]
    named = resources.get("region") or parts[1]
    return None if named in ("", "*") else str(named)


def _ordered(source: Source, cloud: str) -> list[dict[str, str]]:
    """List the machines of a cloud in the file's order."""
    clouds = _mapping(source, "regions")
    if cloud not in clouds:
        known = ", ".join(map(str, clouds))
        message = f"there are no regions for {cloud}, the cloud of the task; the file has regions for {known}"
        raise source.fault(message, "regions")
    found: list[dict[str, str]] = []
    for accelerator, regions in _mapping(source, "regions", cloud).items():
        machine = _with_count(source, accelerator, cloud)
        if not regions:
            message = f"{accelerator} has no region; write {accelerator}: [{{region: NAME}}], or remove it"
            raise source.fault(message, "regions", cloud, accelerator)
        for place, region in enumerate(regions if isinstance(regions, list) else [regions]):
            name = region.get("region") if isinstance(region, dict) else region
            if not isinstance(region, dict) or not isinstance(name, str) or not name.strip():
                written = "empty" if isinstance(name, str) and not name.strip() else shown(region)
                message = f"a region is {written}; write it as {{region: NAME}}"
                raise source.fault(message, "regions", cloud, accelerator, place)
            found.append({"accelerators": machine, "region": name})
    return found


def _with_count(source: Source, accelerator: Any, cloud: str) -> str:
    """Return an accelerator with its count, which is 1 if the file has none."""
    name, colon, count = str(accelerator).partition(":")
    if not isinstance(accelerator, str) or not name.strip() or (colon and not count.strip()):
        message = (
            f"an accelerator is {shown(accelerator)}; write a name such as L4, or L4:8 for eight of them"
        )
        raise source.fault(message, "regions", cloud, accelerator)
    return accelerator if colon else f"{accelerator}:1"


def _mapping(source: Source, *loc: str) -> dict[Any, Any]:
    value: Any = source.value
    for step in loc:
        value = value.get(step)
    if not isinstance(value, dict) or not value:
        message = (
            f"{'.'.join(loc)} is {shown(value or None)}; write {{CLOUD: {{ACCELERATOR: [{{region: NAME}}]}}}}"
        )
        raise source.fault(message, *loc)
    return value
