"""Phase 4, fix: run the config's commands, record what was done, verify the chain of F3.

Reads the views and the config; writes events. The commands do whatever the user wrote into the config.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from fmon.clients.git import project_folder
from fmon.clients.registry import digest_of
from fmon.clients.shell import run_command
from fmon.diagnose.gate import QUERIES as GATHERED
from fmon.diagnose.gate import failures, require_full_diagnosis
from fmon.errors import ConfigError, RegistryError
from fmon.events import (
    FixCommandBeginEvent,
    FixCommandEndEvent,
    FixEvent,
    FixVerifiedEvent,
    NoFixEvent,
    VerifiedLink,
)
from fmon.fix.assumed_image import assume_image
from fmon.fix.candidates import QUERIES as CANDIDATES
from fmon.fix.candidates import choose, left_out_sentences, remedies_of
from fmon.fix.chain import measure
from fmon.redact import redact
from fmon.rules.f3_rebuild_before_relaunch import f3_links
from fmon.text import nearest
from fmon.warehouse import typed_rows
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from fmon.clients.shell import Ran
    from fmon.clock import Clock
    from fmon.rules.f3_rebuild_before_relaunch import Link
    from fmon.study import Study

BLOCKED = """
select
    failure.root_cause_id,
    count(*) as condition_count
from condition
inner join failure
    on condition.experiment_id = failure.experiment_id and condition.job_key = failure.job_key
left join relaunch_candidate
    on
        condition.experiment_id = relaunch_candidate.experiment_id
        and condition.condition_id = relaunch_candidate.condition_id
where failure.remedy = 'unrecoverable' and relaunch_candidate.condition_id is null
group by failure.root_cause_id
order by failure.root_cause_id
"""


class BlockedCause(msgspec.Struct, frozen=True):
    """An unrecoverable cause without a record; its conditions are not relaunched: columns of ``BLOCKED``."""

    root_cause_id: str
    condition_count: int


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The chain from diagnosis to image as measured now (F3).

    Attributes
    ----------
    cycle
        The cycle whose failures were fixed.
    rerun_count
        Number of conditions that ``relaunch`` would launch; if it is 0 the chain has no links.
    left_out
        Which conditions are not relaunched and why, in sentences.
    links
        The links with their evidence, secrets redacted.
    blocked
        Causes that need a person before their conditions can be relaunched.
    """

    experiment_id: str
    cycle: int
    rerun_count: int
    left_out: list[str]
    links: list[Link]
    blocked: list[BlockedCause]

    @property
    def broken(self) -> list[str]:
        """Names of the broken links."""
        return [link.link for link in self.links if link.result == "broken"]


def run_commands(
    study: Study,
    *,
    clock: Clock,
    run: Callable[..., Ran] = run_command,
    ask: Callable[[str], str] = digest_of,
) -> Iterator[Ran]:
    """Run the config's tests, build and push in this order, up to the first that fails.

    Each start and end is an event. A command that was killed has no end, and the next call starts over:
    only a command that was seen to succeed counts as done.

    Parameters
    ----------
    study
        The experiment.
    clock
        The clock.
    run
        Runs a command.
    ask
        Returns the digest of a reference from its registry: what adopted jobs ran with is recorded before
        a push replaces it.

    Yields
    ------
    Ran
        Each command that has ended; the last one may have failed.

    Raises
    ------
    RuleError
        F1 or F2 forbids it; nothing was run.
    ConfigError
        The experiment is a replay, or its config has no commands, or is in no git repository.
    """
    require_full_diagnosis(study.connect(GATHERED), study.events)
    if study.manifest.is_replay:
        message = f"{study.experiment_id} is a replayed recording: nothing is built or pushed for it"
        raise ConfigError(message)
    verify = study.experiment.verify
    steps = [("tests", verify.tests), ("build", verify.build), ("push", verify.push)]
    if not any(command for _, command in steps):
        message = f"{study.config} has no commands to run; add verify: {{tests: ..., build: ..., push: ...}}"
        raise ConfigError(message)
    project = project_folder(study.config)
    assume_image(study, ask, now=clock.now())
    for step, command in steps:
        if command is None:
            continue
        study.append(FixCommandBeginEvent(at=clock.now(), step=step, command=redact(command)))
        ran = run(step, command, folder=project)
        ended = FixCommandEndEvent(
            at=clock.now(), step=step, exit_status=ran.exit_status, duration_s=ran.duration_s
        )
        study.append(ended)
        yield ran
        if ran.exit_status != 0:
            return


def record(
    study: Study, root_cause_id: str, *, what: str, is_without_fix: bool = False, by: str, now: datetime
) -> None:
    """Record the fix of a root cause, or why there is none; required before its conditions are relaunched.

    Parameters
    ----------
    study
        The experiment.
    root_cause_id
        A root cause of the newest attempts.
    what
        What was done, or why nothing is; secrets in it are not stored.
    is_without_fix
        Nothing is changed for the cause, for the reason in ``what``.
    by
        The person who did or decided it.
    now
        The clock [UTC].

    Raises
    ------
    RuleError
        F1 or F2 forbids it.
    ConfigError
        No failure has this root cause (the message suggests one), or ``what`` is empty.
    """
    con = study.connect(GATHERED)
    require_full_diagnosis(con, study.events)
    cycle = study.manifest.current_cycle
    known = sorted({failure.root_cause_id for failure in failures(con)})
    if root_cause_id not in known:
        hint = nearest(root_cause_id, known) if known else "nothing has failed"
        message = f"{study.experiment_id} has no root cause {root_cause_id!r}; {hint}"
        raise ConfigError(message)
    if not what.strip():
        flag, describe = ("--no-fix", "why nothing is") if is_without_fix else ("--what", "what was")
        message = f"{flag} is empty; describe {describe} done in a few words"
        raise ConfigError(message)
    text = redact(what.strip())
    if is_without_fix:
        study.append(NoFixEvent(at=now, cycle=cycle, root_cause_id=root_cause_id, reason=text, by=by))
    else:
        study.append(FixEvent(at=now, cycle=cycle, root_cause_id=root_cause_id, what=text, by=by))


def verify(
    study: Study,
    *,
    now: datetime,
    run: Callable[..., Ran] = run_command,
    ask: Callable[[str], str] = digest_of,
    selections: tuple[str, ...] = (),
    include_cancelled: bool = False,
) -> Verified:
    """Measure the chain from the diagnosis to the image that the next attempts would run with.

    The chain is that of the conditions that ``relaunch`` with the same selection would launch.

    Parameters
    ----------
    study
        The experiment.
    now
        The clock [UTC].
    run, ask
        Run the test command and ask a registry for a digest; a replay asks no registry.
    selections
        Conditions to relaunch; empty = all candidates.
    include_cancelled
        Include jobs that a person cancelled.

    Raises
    ------
    RuleError
        F1 or F2 forbids it. A broken link raises no error here: it is part of the result.
    ConfigError
        The config or the task YAML can't be read, or is in no git repository.
    """
    con = study.connect((*GATHERED, *CANDIDATES, BLOCKED), now=now)
    since = require_full_diagnosis(con, study.events)
    manifest = study.manifest
    chosen = choose(
        con,
        include_cancelled=include_cancelled,
        selected=select_current(study, selections, now=now) if selections else None,
    )
    verified = Verified(
        experiment_id=study.experiment_id,
        cycle=manifest.current_cycle,
        rerun_count=len(chosen.jobs),
        left_out=left_out_sentences(
            unselected=chosen.unselected, not_candidates=chosen.not_candidates, left_out=chosen.left_out
        ),
        links=[],
        blocked=typed_rows(con, BLOCKED, BlockedCause),
    )
    if not chosen.jobs:
        return verified
    ask = _ask_no_registry if manifest.is_replay else ask
    study = assume_image(study, ask, now=now)
    chain = measure(study, remedies_of(chosen.jobs), diagnosed_at=since, run=run, ask=ask)
    links = [link._replace(evidence=redact(link.evidence)) for link in f3_links(chain)]
    verified = replace(verified, links=links)
    event = FixVerifiedEvent(
        at=now,
        cycle=manifest.current_cycle,
        is_ok=not verified.broken,
        links=[VerifiedLink(**link._asdict()) for link in links],
        image=chain.image,
        digest=chain.digest,
        commits=list(chain.commits),
    )
    study.append(event)
    return verified


def _ask_no_registry(reference: str) -> str:
    message = f"the registry was not asked for {reference}: the experiment is a replay"
    raise RegistryError(message)
