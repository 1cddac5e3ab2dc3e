"""Record the digest of the image of adopted jobs where ``fmon adopt`` could not reach the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import RegistryError
from fmon.events import ImageAssumedEvent
from fmon.fix.chain import current_image
from fmon.rules.f3_rebuild_before_relaunch import bare_vm
from fmon.store.durable import lock
from fmon.store.folder import POLL_WAIT_S, poll_lock
from fmon.study import Study

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


def assume_image(study: Study, ask: Callable[[str], str], *, now: datetime) -> Study:
    """Record the digest that the registry has now, if none is recorded; return the experiment as it is then.

    Without it, F3 could compare the image with nothing, and the jobs could never be relaunched. It stays
    marked as assumed: the jobs may have run with an earlier image.

    Parameters
    ----------
    study
        The experiment.
    ask
        Returns the digest of a reference from its registry. If it does not answer, nothing is recorded.
    now
        The clock [UTC].

    Raises
    ------
    ConfigError
        The config or the task YAML can't be read.
    StoreError
        The manifest or the event can't be written.
    """
    manifest = study.manifest
    if manifest.docker_digest is not None or manifest.is_replay or bare_vm(study.events):
        return study
    image = manifest.docker_image or current_image(study.experiment, study.task, None)
    if image is None:
        return study
    try:
        digest = ask(image)
    except RegistryError:
        return study
    with lock(poll_lock(study.data), wait_s=POLL_WAIT_S), study.manifest_file.changing() as changed:
        if changed.docker_digest is None:  # else another process has just recorded it
            changed.docker_image, changed.docker_digest = image, digest
            changed.docker_digest_source = "assumed_at_fix"
            study.append(ImageAssumedEvent(at=now, image=image, digest=digest))
            study.manifest_file.write(changed)
    return Study(study.store)
