"""Read the runs of an experiment's jobs from MLflow; needs the extra ``fmon[mlflow]``.

mlflow-skinny uses the same login, hosts and proxies as the user's training code. Never changes anything.
"""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from fmon.errors import TrackingError
from fmon.model import CYCLE_TAG, EXPERIMENT_TAG
from fmon.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

    from fmon.model import Tracking

PAGE = 1_000
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""Timeouts [s] and retries, so that a report does not wait minutes; the user's settings take precedence."""

NAME_TAG, PARENT_TAG = "mlflow.runName", "mlflow.parentRunId"


def tracked_runs(settings: Tracking, since: datetime) -> list[dict[str, Any]]:
    """Return the MLflow runs that have one of the tags which identify their job.

    Parameters
    ----------
    settings
        The config's ``mlflow``.
    since
        Earliest start of a run [UTC].

    Returns
    -------
    list of dict
        The columns of ``schema.TRACKED_RUN`` except experiment_id, the oldest run first.

    Raises
    ------
    TrackingError
        mlflow is not installed, no server is configured, or it does not answer or lacks the experiment.
    """
    uri = settings.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        message = (
            "no MLflow server is configured; set mlflow.tracking_uri in the config, or MLFLOW_TRACKING_URI"
        )
        raise TrackingError(message)
    with _limits(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own deprecations
        client = _client(uri)
        from mlflow.exceptions import MlflowException

        try:
            found = client.get_experiment_by_name(settings.experiment)
            if found is None:
                message = (
                    f"MLflow at {_shown(uri)} has no experiment {settings.experiment!r}; correct the config"
                )
                raise TrackingError(message)
            read_at = datetime.now(UTC)
            runs = [_row(run, settings, _page(uri, found)) for run in _runs(client, found, since)]
        except MlflowException as fault:
            reason = redact(" ".join(str(fault).split()))[:200]
            message = f"MLflow at {_shown(uri)} did not answer: {reason}"
            raise TrackingError(message) from fault
    tags = ("experiment_tag", "condition_tag", "job_tag")
    return [{**run, "read_at": read_at} for run in runs if any(run[tag] for tag in tags)]


def _client(uri: str) -> MlflowClient:
    try:
        from mlflow import MlflowClient
    except ImportError:
        message = "the config uses MLflow, but mlflow is not installed; run pip install 'fmon[mlflow]'"
        raise TrackingError(message) from None
    return MlflowClient(tracking_uri=uri)


def _runs(client: MlflowClient, experiment: Experiment, since: datetime) -> Iterator[Run]:
    """Yield the experiment's runs, page by page."""
    condition = f"attributes.start_time >= {int(since.timestamp() * 1000)}"
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            filter_string=condition,
            max_results=PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _row(run: Run, settings: Tracking, page: str | None) -> dict[str, Any]:
    tags, metrics = run.data.tags, run.data.metrics
    names = settings.metrics or sorted(metrics)
    cycle = tags.get(CYCLE_TAG, "")
    return {
        "run_id": run.info.run_id,
        "run_name": tags.get(NAME_TAG),
        "parent_run_id": tags.get(PARENT_TAG),
        "status": run.info.status,
        "experiment_tag": tags.get(EXPERIMENT_TAG),
        "condition_tag": tags.get(settings.condition_tag),
        "job_tag": tags.get(settings.job_tag),
        "url": page and f"{page}{run.info.run_id}",
        "metrics": {name: metrics[name] for name in names if name in metrics},
        "cycle_tag": int(cycle) if cycle.isascii() and cycle.isdigit() and len(cycle) < 10 else None,
        "started_at": _time(run.info.start_time),
        "ended_at": _time(run.info.end_time),
    }


def _page(uri: str, experiment: Experiment) -> str | None:
    """Return the prefix of the URLs of runs; None if the tracking store has no web pages."""
    if urlsplit(uri).scheme not in ("http", "https"):
        return None
    return f"{_shown(uri).rstrip('/')}/#/experiments/{experiment.experiment_id}/runs/"


def _shown(uri: str) -> str:
    """Return a URI without its login."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


@contextmanager
def _limits() -> Iterator[None]:
    """Set the limits in the environment, except those that the user has set."""
    added = {name: value for name, value in LIMITS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
