"""Find the launches that have not ended in SkyPilot's list of requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from fmon.errors import QueueError
from fmon.sky.record import tags_of
from fmon.sky.submit.submitter import InFlight

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LAUNCH = "sky.jobs.launch"
ACTIVE = {"PENDING", "WAITING", "RUNNING"}


def launches(requests: list[Any]) -> list[InFlight]:
    """Find the launches in the server's list of requests.

    Parameters
    ----------
    requests
        The requests as ``/api/status`` lists them; ended ones are ignored.

    Raises
    ------
    QueueError
        The list is invalid: treating it as "no launch" could launch a job twice.
    """
    try:
        return [_launch(each) for each in requests if each["name"] == LAUNCH and each["status"] in ACTIVE]
    except (KeyError, TypeError) as fault:
        message = f"SkyPilot's list of requests has an unknown structure ({type(fault).__name__})"
        raise QueueError(message, error_type="BadAnswer") from fault


def _launch(request: Mapping[str, Any]) -> InFlight:
    """Read the metadata of a launch; the server hides the bodies of other users' requests."""
    try:
        body = json.loads(request["request_body"])
        documents = [each for each in yaml.load_all(body["task"], Loader=yaml.CSafeLoader) if each]
        name = body.get("name") or documents[0].get("name")
        experiment_id, condition_id, cycle = next(_tags(documents), (None, None, None))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, yaml.YAMLError):
        return InFlight(request_id=request["request_id"], is_readable=False)
    return InFlight(
        request_id=request["request_id"],
        job_name=name,
        experiment_id=experiment_id,
        condition_id=condition_id,
        cycle=cycle,
    )


def _tags(documents: list[Any]) -> Iterator[tuple[str | None, str | None, int | None]]:
    for document in documents:
        tags = tags_of(document.get("_metadata"), None)
        if tags[0] is not None:
            yield tags
