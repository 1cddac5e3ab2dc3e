"""The events of an experiment: one struct per kind of event in ``events.jsonl``.

The tag (key ``event``) is the kind. ``docs/events.md`` and ``fmon/events.schema.json`` are generated from
these definitions; ``fmon.store.events`` writes and reads the file.

Stores are kept for years, and read by older and newer versions of fmon. So a kind never loses a field, a
field added later has a default, and fields that may get new values (``reason``, ``trigger``,
``action``) are text.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fmon.model import Time

At = Annotated[Time, Meta(description="when it happened [UTC]")]
ConditionId = Annotated[str, Meta(description="the condition")]
ConditionIds = Annotated[list[str], Meta(description="the conditions")]
Cycle = Annotated[int, Meta(description="the cycle")]
Image = Annotated[str | None, Meta(description="the image's reference; null = none")]
Digest = Annotated[str | None, Meta(description="the image's digest; null = unknown")]
KEYS = " (job_key if SkyPilot reused the id, docs/glossary.md)"
JobId = Annotated[int, Meta(description=f"the managed job{KEYS}")]
JobIds = Annotated[list[int], Meta(description=f"the managed jobs{KEYS}")]
Attached = Annotated[dict[str, int], Meta(description="the job attached to each condition")]
Person = Annotated[str, Meta(description="the person")]
Source = Annotated[str, Meta(description="where the queue was read from")]
Step = Annotated[str, Meta(description="tests, build or push")]
RootCauseId = Annotated[str, Meta(description="the root cause")]
AttemptKey = Annotated[str, Meta(description="condition, cycle and number of the launch")]
CancelReason = Annotated[str, Meta(description="kill_switch or person")]
Repository = Annotated[str | None, Meta(description="the tracker's repository; null = a replay has none")]


class BaseEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """Fields of every event."""

    at: At


class ActionEvent(BaseEvent, frozen=True, kw_only=True):
    """Fields of events that a replay only records: it changes nothing outside its store."""

    dry_run: Annotated[bool, Meta(description="the experiment is a replay: nothing was done")] = False


class AdoptEvent(BaseEvent, tag="adopt", frozen=True):
    """``fmon adopt`` created an experiment from jobs that were already in the queue, or attached more."""

    config: Annotated[str, Meta(description="the config's path")]
    source: Source
    jobs: Attached
    image: Image = None
    digest: Digest = None
    is_digest_assumed: Annotated[
        bool,
        Meta(description="the registry had the digest then; the jobs may have run with an earlier image"),
    ] = False
    is_bare_vm: Annotated[
        bool, Meta(description="a person allowed jobs without an image (``--allow-bare-vm``)")
    ] = False
    by: Annotated[str | None, Meta(description="who allowed jobs without an image; null = nobody")] = None


class ImageAssumedEvent(BaseEvent, tag="image_assumed", frozen=True):
    """``fmon fix`` recorded the digest of the adopted jobs' image, which ``fmon adopt`` could not read.

    The jobs may have run with an earlier image.
    """

    image: Image
    digest: Digest


class AttachEvent(BaseEvent, tag="attach", frozen=True):
    """A poll found new jobs of the experiment in the queue."""

    jobs: Attached
    source: Source


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished command of the config."""

    command: Annotated[str, Meta(description="the command, secrets redacted")]
    exit_status: Annotated[int, Meta(description="its exit status")]
    duration_s: Annotated[float, Meta(description="how long it ran [s]")]


class LaunchEvent(BaseEvent, tag="launch", frozen=True):
    """``fmon launch`` passed all checks and is about to launch."""

    config: Annotated[str, Meta(description="the config's path")]
    by: Person
    condition_count: Annotated[int, Meta(description="conditions to launch")]
    image: Image
    digest: Digest
    is_bare_vm: Annotated[bool, Meta(description="the task runs without an image")]
    estimated_cost_usd: Annotated[
        float | None, Meta(description="estimated cost of the experiment [USD]; null = unknown")
    ]
    budget_usd: Annotated[float | None, Meta(description="the config's budget [USD]; null = none")]
    is_over_budget_confirmed: Annotated[
        bool, Meta(description="a person confirmed an estimate that exceeds the budget")
    ]
    preflight: Annotated[
        list[CommandResult], Meta(description="the config's preflight commands, which all succeeded")
    ] = []


class LaunchIntentEvent(ActionEvent, tag="launch_intent", frozen=True):
    """A launch is about to be sent to SkyPilot; if no result follows, it may or may not have arrived."""

    attempt_key: AttemptKey
    condition_id: ConditionId
    cycle: Cycle
    job_name: Annotated[str, Meta(description="the job's name")]


class LaunchResultEvent(BaseEvent, tag="launch_result", frozen=True):
    """The result of a launch: what SkyPilot answered, or that it did not answer."""

    attempt_key: AttemptKey
    condition_id: ConditionId
    cycle: Cycle
    job_id: Annotated[int | None, Meta(description="the managed job; null = there is none, or unknown")]
    error_type: Annotated[str | None, Meta(description="the error in one word; null = launched")]
    error: Annotated[str | None, Meta(description="the error in one line; null = launched")]
    is_uncertain: Annotated[bool, Meta(description="the job may have been launched nevertheless")]


class KillSwitchEvent(ActionEvent, tag="kill_switch", frozen=True):
    """A poll found enough failures for the kill switch to fire."""

    trigger: Annotated[str, Meta(description="identical_errors or failed_ratio")]
    cycle: Cycle
    signature: Annotated[str | None, Meta(description="the identical error; null = failed_ratio")]
    category: Annotated[str | None, Meta(description="its category; null = failed_ratio")]
    member_job_ids: Annotated[list[int], Meta(description=f"the failed jobs{KEYS}")]
    first_failed_at: Annotated[Time | None, Meta(description="end of the first of them [UTC]")]
    failure_point_s: Annotated[float, Meta(description="longest run time of a failed job [s]")]
    combination: Annotated[
        dict[str, str], Meta(description="the levels that the failed jobs share, by factor; empty = all jobs")
    ]
    candidate_job_ids: Annotated[
        list[int],
        Meta(description=f"open jobs with these levels that had not passed the failure point{KEYS}"),
    ]
    no_action_reason: Annotated[
        str | None, Meta(description="why no job is proposed for cancelling; null = some are")
    ]

    @property
    def failed_count(self) -> int:
        """How many jobs failed."""
        return len(self.member_job_ids)


class CancelRequestedEvent(ActionEvent, tag="cancel_requested", frozen=True):
    """SkyPilot is about to be asked to cancel jobs."""

    job_ids: JobIds
    reason: CancelReason
    firing_ids: Annotated[
        list[int], Meta(description="the kill switch firings that request it, numbered from 1")
    ]
    by: Person


class CancelEvent(ActionEvent, tag="cancel", frozen=True):
    """``fmon cancel`` ended."""

    job_ids: Annotated[list[int], Meta(description=f"the jobs that have ended{KEYS}")]
    left_job_ids: Annotated[list[int], Meta(description=f"the jobs that are not known to have ended{KEYS}")]
    reason: CancelReason
    by: Person


class LostJobClosedEvent(ActionEvent, tag="lost_job_closed", frozen=True):
    """A person declared that a lost job has ended."""

    condition_id: ConditionId
    job_id: JobId
    by: Person
    reason: Annotated[str, Meta(description="the evidence that the job has ended")]


class DiagnosedCause(msgspec.Struct, frozen=True):
    """A root cause in a diagnosis."""

    root_cause_id: RootCauseId
    category: Annotated[str, Meta(description="its category")]
    remedy: Annotated[str | None, Meta(description="how it can be fixed; null = unknown")]
    confidence: Annotated[float | None, Meta(description="confidence in the category, 0 to 1")]
    job_ids: JobIds
    condition_ids: ConditionIds


class DiagnosisEvent(ActionEvent, tag="diagnosis", frozen=True):
    """``fmon diagnose`` found other root causes, or other jobs with them, than the previous diagnosis."""

    cycle: Cycle
    is_preliminary: Annotated[
        bool, Meta(description="jobs were open or failures not examined: no fix may be based on it")
    ]
    failed_count: Annotated[int, Meta(description="failed conditions")]
    causes: Annotated[list[DiagnosedCause], Meta(description="the root causes")]


class FixEvent(BaseEvent, tag="fix", frozen=True):
    """A person recorded with ``fmon fix record`` what was done about a root cause."""

    cycle: Cycle
    root_cause_id: RootCauseId
    what: Annotated[str, Meta(description="what was done")]
    by: Person


class NoFixEvent(BaseEvent, tag="no_fix", frozen=True):
    """A person recorded with ``fmon fix record --no-fix`` that nothing is changed for a root cause."""

    cycle: Cycle
    root_cause_id: RootCauseId
    reason: Annotated[str, Meta(description="why it is relaunched without a fix")]
    by: Person


class FixCommandBeginEvent(BaseEvent, tag="fix_command_begin", frozen=True):
    """``fmon fix run`` is about to run a command of the config."""

    step: Step
    command: Annotated[str, Meta(description="the command, without secrets")]


class FixCommandEndEvent(BaseEvent, tag="fix_command_end", frozen=True):
    """A command of ``fmon fix run`` ended."""

    step: Step
    exit_status: Annotated[int, Meta(description="its exit status")]
    duration_s: Annotated[float, Meta(description="how long it ran [s]")]


class VerifiedLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the chain from the diagnosis to the image (rule F3)."""

    link: Annotated[str, Meta(description="record, commit, tree, tests, digest or yaml")]
    result: Annotated[str, Meta(description="ok, broken or skipped")]
    evidence: Annotated[str, Meta(description="what was measured")]


class FixVerifiedEvent(ActionEvent, tag="fix_verified", frozen=True):
    """``fmon fix verify`` or ``fmon relaunch`` measured the chain from the diagnosis to the image."""

    cycle: Annotated[int, Meta(description="the cycle whose failures were fixed")]
    is_ok: Annotated[bool, Meta(description="no link is broken")]
    links: Annotated[list[VerifiedLink], Meta(description="the links")]
    image: Image
    digest: Digest
    commits: Annotated[list[str], Meta(description="commits of the fix since the diagnosis, newest first")]


class CycleAuthorizedEvent(ActionEvent, tag="cycle_authorized", frozen=True):
    """A person authorized one cycle beyond the limit (rule F4)."""

    cycle: Annotated[int, Meta(description="the cycle that may be launched")]
    budget_usd: Annotated[float, Meta(description="what it may cost [USD]")]
    by: Person


class RelaunchEvent(ActionEvent, tag="relaunch", frozen=True):
    """A cycle started; its launches follow."""

    cycle: Annotated[int, Meta(description="the cycle that started")]
    condition_ids: ConditionIds
    image: Image
    digest: Digest
    former_digest: Annotated[str | None, Meta(description="digest that the failed jobs ran with")]
    by: Annotated[str | None, Meta(description="who relaunched; null before this was recorded")] = None
    is_over_budget_confirmed: Annotated[
        bool, Meta(description="the estimate exceeds the budget, and that was allowed")
    ] = False


class IssueIntentEvent(BaseEvent, tag="issue_intent", frozen=True):
    """``fmon issues --create`` is about to write to the tracker."""

    root_cause_id: RootCauseId
    repository: Repository
    action: Annotated[str, Meta(description="create or comment")]
    url: Annotated[str | None, Meta(description="the issue to comment on; null = a new one")] = None


class IssueEvent(ActionEvent, tag="issue", frozen=True):
    """The tracker has an issue about a root cause."""

    root_cause_id: RootCauseId
    repository: Repository
    action: Annotated[str, Meta(description="create, comment, or find: it was there already")]
    url: Annotated[str | None, Meta(description="the issue; null = a replay has none")]


class UnknownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a kind that this version of fmon does not know; ``content`` is its JSON object."""

    content: dict[str, Any]


KnownEvent = (
    AdoptEvent
    | ImageAssumedEvent
    | AttachEvent
    | LaunchEvent
    | LaunchIntentEvent
    | LaunchResultEvent
    | KillSwitchEvent
    | CancelRequestedEvent
    | CancelEvent
    | LostJobClosedEvent
    | DiagnosisEvent
    | FixEvent
    | NoFixEvent
    | FixCommandBeginEvent
    | FixCommandEndEvent
    | FixVerifiedEvent
    | CycleAuthorizedEvent
    | RelaunchEvent
    | IssueIntentEvent
    | IssueEvent
)

Event = KnownEvent | UnknownEvent
