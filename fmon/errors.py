"""Every refusal of fmon, with its exit code.

A message says what happened, to which ids, and what to do next; ``entry.main`` is the only catcher.
"""

from typing import Literal


class FmonError(Exception):
    """Base of all expected errors; ``exit_code`` is what the command ends with."""

    exit_code = 1


class ConfigError(FmonError):
    """A flag, an argument or the experiment's config is wrong."""

    exit_code = 2


class QueueError(FmonError):
    """The job queue did not answer; the heartbeat says so and the next poll resumes.

    ``error_type`` is the kind of failure, one word for the heartbeat: SkyPilot's own class where
    the server named one (ClusterNotUpError), else ApiServerConnectionError, Timeout, HTTP500,
    AuthRequired, VersionMismatch, BadAnswer and the like.
    """

    exit_code = 11

    def __init__(self, message: str, *, error_type: str = "QueueError") -> None:
        super().__init__(message)
        self.error_type = error_type


class RegistryError(FmonError):
    """The image's registry can't be reached, has no such image, or denies it."""

    exit_code = 11


class GitHubError(FmonError):
    """GitHub, or its command line ``gh``, did not do what it was asked; what was done before is recorded."""

    exit_code = 11


class TrackingError(FmonError):
    """MLflow can't be reached, or lacks what the config names; a report is made without it."""

    exit_code = 11


class SnapshotError(FmonError):
    """A queue record does not fit; everything that fits was stored first."""

    exit_code = 12


class ManifestError(FmonError):
    """The manifest is missing, unreadable or contradicts itself."""

    exit_code = 13


class StoreError(FmonError):
    """The store can't be written (disk full, permission, lock held); what it held is intact."""

    exit_code = 14


class LaunchError(FmonError):
    """Some jobs were not launched, or it is unknown whether they were; the others are, and recorded."""

    exit_code = 15


class RuleError(FmonError):
    """One of the rules F1 to F5 forbids it; the exit code is 20 + the rule's number.

    Parameters
    ----------
    rule
        1 to 5.
    message
        What forbids it, which ids, what to do next.

    Attributes
    ----------
    report
        What the person who decides needs to know, where a sentence is not enough (F4); else None.
    """

    def __init__(self, rule: Literal[1, 2, 3, 4, 5], message: str) -> None:
        super().__init__(f"F{rule}: {message}")
        self.rule = rule
        self.report: object = None
        self.exit_code = 20 + rule
