"""A study whose jobs have ended and whose failures were diagnosed: where a fix begins."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from fmon.diagnose.diagnose import Diagnosis, diagnose
from fmon.model import Record
from fmon.sky.reader import LogRequest
from fmon.store.folder import Store
from fmon.store.unexamined import mark_pending
from fmon.study import Study
from tests.support.queues import FakeLogs
from tests.support.studies import job, poll

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB.\n"
NOW = datetime(2026, 3, 22, 12, 0, tzinfo=UTC)
CONFIG = """
experiment_name: study
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], fold: [0, 1, 2]}
"""
ENDED = [job(number, "SUCCEEDED") for number in range(1, 7)]


def diagnosed(
    store: Store, records: Sequence[Record] = ENDED, logs: Mapping[LogRequest, str] | None = None
) -> Diagnosis:
    """Poll, and diagnose in full."""
    poll(store, 20, records)
    mark_pending(store)
    return diagnose(Study(store), logs=FakeLogs(logs), now=NOW)
