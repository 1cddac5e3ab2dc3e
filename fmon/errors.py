"""All expected errors of fmon, with their exit codes.

A message says what happened, to which ids, and what to do next; ``entry.main`` prints it.
"""

from collections.abc import Sequence
from typing import Literal


class FmonError(Exception):
    """Base of all expected errors; ``exit_code`` is the exit code of the command."""

    exit_code = 1


class ConfigError(FmonError):
    """A flag, an argument or the experiment's config is wrong."""

    exit_code = 2


class QueueError(FmonError):
    """The job queue did not answer; the heartbeat records it and the next poll resumes.

    ``error_type`` is the kind of failure in one word, for the heartbeat: SkyPilot's error class if
    the server named one (ClusterNotUpError), otherwise ApiServerConnectionError, Timeout, HTTP500,
    AuthRequired, VersionMismatch, BadAnswer, OtherServer and the like.
    """

    exit_code = 11

    def __init__(self, message: str, *, error_type: str = "QueueError") -> None:
        super().__init__(message)
        self.error_type = error_type


class RegistryError(FmonError):
    """The image's registry can't be reached, does not have the image, or denies access to it."""

    exit_code = 11


class GitHubError(FmonError):
    """GitHub or its command line ``gh`` failed; everything done before that is recorded."""

    exit_code = 11


class TrackingError(FmonError):
    """MLflow can't be reached, or lacks what the config names; the report is written without it."""

    exit_code = 11


class SnapshotError(FmonError):
    """A queue record is invalid; all valid records were stored first."""

    exit_code = 12


class ManifestError(FmonError):
    """The manifest is missing, unreadable or contradicts itself."""

    exit_code = 13


class StoreError(FmonError):
    """The store can't be written (disk full, permission, lock held); its contents are intact."""

    exit_code = 14


class LaunchError(FmonError):
    """Some jobs were not launched, or possibly not; the others were launched and recorded."""

    exit_code = 15


class RuleError(FmonError):
    """One of the rules F1 to F5 forbids the command; the exit code is 20 + the rule's number.

    Parameters
    ----------
    rule
        1 to 5.
    message
        Why it is forbidden, for which ids, and what to do next.
    details
        More sentences, for lines of their own.

    Attributes
    ----------
    details
        As given.
    report
        Details for the person who decides, if one sentence is not enough (F4); otherwise None.
    """

    def __init__(self, rule: Literal[1, 2, 3, 4, 5], message: str, *, details: Sequence[str] = ()) -> None:
        super().__init__(f"F{rule}: {message}")
        self.rule = rule
        self.details = tuple(details)
        self.report: object = None
        self.exit_code = 20 + rule
