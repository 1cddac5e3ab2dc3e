"""The services and the options of a launch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmon.clients.shell import run_command
from fmon.launch.preflight import Consent
from fmon.sky.sdk import ask_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fmon.clients.shell import Ran
    from fmon.clock import Clock
    from fmon.launch.estimate import Estimate
    from fmon.launch.outcome import Launched
    from fmon.sky.prices import Catalog
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter


@dataclass(frozen=True, kw_only=True)
class LaunchDependencies:
    """The external services and settings that a launch uses.

    Attributes
    ----------
    open_submitter
        Opens what launches the jobs; gets the file descriptor of the launch lock.
    queue
        The queue to read the jobs from.
    digest_of
        Returns an image's digest in its registry.
    catalog
        Returns SkyPilot's prices of accelerators.
    environ
        Values for variables that the task declares without one.
    folder
        Folder that relative paths of the task YAML are relative to.
    clock
        The clock.
    ask
        Asks SkyPilot's parser, in a process of its own.
    run
        Runs the config's commands.
    progress
        Called with (number of settled jobs, number of all jobs).
    """

    open_submitter: Callable[[int], Submitter]
    queue: QueueReader
    digest_of: Callable[[str], str]
    catalog: Catalog
    environ: Mapping[str, str]
    folder: Path
    clock: Clock
    ask: Callable[..., Any] = ask_worker
    run: Callable[..., Ran] = run_command
    progress: Callable[[int, int], None] = lambda settled, total: None


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """The options of a launch.

    Attributes
    ----------
    by
        Person to record in the audit.
    task
        The task YAML to use instead of the config's.
    env_file
        File of variables that every job gets.
    allow_bare_vm
        Launch without a container image.
    is_over_budget_allowed
        Launch even if the estimate exceeds the budget.
    agree
        Called with what would be launched; False = launch nothing. None = do not ask.
    confirm
        Asks whether to exceed the budget; None = do not ask.
    resume
        Resume only this experiment, as its next round; None = a launch by a person.
    leave_out
        Conditions of that experiment that are not to be launched.
    accepted
        An estimate that may exceed the budget, as may any that is not higher; None = none.
    """

    by: str
    task: Path | None = None
    env_file: Path | None = None
    allow_bare_vm: bool = False
    is_over_budget_allowed: bool = False
    agree: Callable[[Launched], bool] | None = None
    confirm: Callable[[str], bool] | None = None
    resume: str | None = None
    leave_out: frozenset[str] = frozenset()
    accepted: Estimate | None = None

    @property
    def consent(self) -> Consent:
        """What the user has allowed."""
        return Consent(bare_vm=self.allow_bare_vm, over_budget=self.is_over_budget_allowed)
