"""Rule F3: nothing is relaunched with the image that failed.

A pure function of the measurements that ``fmon.fix.chain`` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from fmon.errors import RuleError
from fmon.events import AdoptEvent, LaunchEvent
from fmon.text import counted, listed, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from fmon.events import Event


NEEDS_NO_RECORD = frozenset({"auto", "cancelled", "lost"})
"""Remedies that require no record."""

NEEDS_NO_FIX = NEEDS_NO_RECORD | {"no_fix"}
"""Remedies that need no change: the same image is used again."""


class RelaunchRemedy(msgspec.Struct, frozen=True):
    """What a condition to relaunch needs, and the newest record of ``fmon fix record`` about its cause.

    Attributes
    ----------
    root_cause_id
        Its root cause; None = it did not fail.
    remedy
        As in view ``relaunch_candidate``.
    fix
        What was done, or why nothing was; None = nothing is recorded.
    fixed_by
        The person who recorded it.
    is_without_fix
        Whether it is relaunched without a fix, for the reason in ``fix``.
    """

    root_cause_id: str | None
    remedy: str | None
    fix: str | None
    fixed_by: str | None
    is_without_fix: bool

    @property
    def effective_remedy(self) -> str | None:
        """The remedy; ``no_fix`` if a person recorded that nothing is changed."""
        return "no_fix" if self.is_without_fix else self.remedy

    @property
    def needs_record(self) -> bool:
        """Whether a person must record what was done about its cause."""
        return self.remedy not in NEEDS_NO_RECORD

    @property
    def sentence(self) -> str:
        """The cause with its record."""
        fix = without_fix(self.fix or "") if self.is_without_fix else self.fix
        return f"{self.root_cause_id}: {fix} ({self.fixed_by})"


def without_fix(reason: str) -> str:
    """Return how a relaunch without a fix is described everywhere."""
    return f"relaunched without a fix: {reason}"


@dataclass(frozen=True, kw_only=True)
class BuildChain:
    """The measured chain from a diagnosis to a new image; nothing in it is assumed.

    Attributes
    ----------
    remedies
        Remedies of the conditions to relaunch: ``auto``, ``config``, ``code``, ``unrecoverable``;
        ``cancelled`` and ``lost`` if the attempt had no failure of its own; ``no_fix`` if a person recorded
        that nothing is changed; None and ``none`` count as code.
    causes
        Their causes with what was recorded about each.
    commits
        Subjects of the commits since the diagnosis that count as the fix, newest first.
    minor_commits
        Subjects of the others: they can't change what a job does.
    max_commits
        Maximum number of commits of a fix.
    uncommitted
        Files that differ from the last commit.
    test_command, test_status
        ``verify.tests`` and its exit status now; None = not run.
    image
        Reference of the image that the next attempts would run with; None = not configured.
    old_digest, digest
        Digests of the failed attempts' image and of this image in the registry now; None = unknown.
    registry_fault
        Why the registry did not return the digest.
    named_in
        Where the task YAML names the image.
    changed
        Files in which the commits changed settings of the jobs: the task YAML, the config.
    assumed
        How the digest of the failed attempts' image was assumed; None = they ran with it.
    bare_vm
        Who allowed jobs without an image, and when: at launch by ..., or at adoption by ...; None = the
        failed attempts had one.
    is_bare
        The next attempts would run without an image too.
    is_empty
        The commits together change no file.
    """

    remedies: frozenset[str | None]
    causes: tuple[RelaunchRemedy, ...] = ()
    commits: tuple[str, ...] = ()
    minor_commits: tuple[str, ...] = ()
    max_commits: int = 1
    uncommitted: tuple[str, ...] = ()
    test_command: str | None = None
    test_status: int | None = None
    image: str | None = None
    old_digest: str | None = None
    digest: str | None = None
    registry_fault: str | None = None
    named_in: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    assumed: str | None = None
    bare_vm: str | None = None
    is_bare: bool = False
    is_empty: bool = False


class Link(NamedTuple):
    """One link of the chain; ``skipped`` = not required, and the evidence says why."""

    link: Literal["record", "commit", "tree", "tests", "digest", "yaml"]
    result: Literal["ok", "broken", "skipped"]
    evidence: str


class BareVm(NamedTuple):
    """Who allowed jobs without an image; ``step`` is launch or adoption."""

    step: str
    by: str
    at: datetime

    @property
    def sentence(self) -> str:
        """The step, the person and the time."""
        return f"at {self.step} by {self.by} at {timestamp(self.at)}"


def bare_vm(events: Iterable[Event]) -> BareVm | None:
    """Return who first allowed jobs without an image; None if nobody did."""
    for event in events:
        if isinstance(event, LaunchEvent | AdoptEvent) and event.is_bare_vm and event.image is None:
            step = "launch" if isinstance(event, LaunchEvent) else "adoption"
            return BareVm(step, event.by or "unknown", event.at)
    return None


ASSUMED = {
    "assumed_at_adoption": "assumed at adoption",
    "assumed_at_fix": "assumed at the first fix verify that reached the registry",
}
"""``docker_digest_source`` of a digest that adopted jobs may not have run with, in words."""


def f3_links(chain: BuildChain) -> list[Link]:
    """Judge each link of the chain from diagnosis to image, in order.

    The first is the record of every cause: without it, nobody could say later what was tried. If there was
    nothing to fix, the image must be the same. If only settings needed a change and the commit changed
    them, the image may stay. On a bare VM that a person allowed at launch there is no image to check: a
    commit that changes a file, a clean tree and passing tests must suffice.
    """
    if chain.remedies <= NEEDS_NO_FIX:
        why = "nothing to fix: all conditions to relaunch are auto, cancelled, lost or without a fix"
        return [
            _record_link(chain),
            Link("commit", "skipped", why),
            Link("tree", "skipped", why),
            Link("tests", "skipped", why),
            _unchanged_link(chain),
            Link("yaml", "skipped", why),
        ]
    digest = _digest_link(chain)
    yaml = digest._replace(link="yaml") if digest.result == "skipped" else _yaml_link(chain)
    return [_record_link(chain), _commit_link(chain), _tree_link(chain), _tests_link(chain), digest, yaml]


def f3_same_image(chain: BuildChain, *, image: str | None, digest: str | None) -> list[Link]:
    """Judge whether a started cycle can be resumed: all its jobs run with one image.

    Parameters
    ----------
    chain
        The current image and digest.
    image, digest
        Those that the cycle was started with; None = a bare VM, or a digest that was not requested.
    """
    if image is None and chain.bare_vm and chain.is_bare:
        return [Link("digest", "skipped", _no_image(chain))]
    if image is None and chain.image is not None:
        evidence = f"the cycle was started without an image; remove {chain.image} until it has ended"
        return [Link("digest", "broken", evidence)]
    if digest is None:
        return [Link("digest", "skipped", "the cycle was started without a digest")]
    if chain.digest is None:
        return [Link("digest", "broken", chain.registry_fault or "no image is configured any more")]
    if chain.digest != digest:
        evidence = (
            f"the cycle was started with {digest}, but {chain.image} is now {chain.digest}; "
            "push the former again"
        )
        return [Link("digest", "broken", evidence)]
    return [Link("digest", "ok", f"{chain.image} is the image that the cycle was started with: {digest}")]


def f3_rebuild_before_relaunch(links: Iterable[Link]) -> None:
    """F3: nothing is relaunched with the image that failed; commit, tests, image and YAML are checked.

    Parameters
    ----------
    links
        The links, from ``f3_links``.

    Raises
    ------
    RuleError
        Exit code 23; names every broken link with its evidence.

    Notes
    -----
    Prevents a relaunch with a stale image: the fix was committed, but the image never rebuilt.
    """
    broken = [link for link in links if link.result == "broken"]
    if broken:
        names = ", ".join(link.link for link in broken)
        sentence = f"the chain from diagnosis to image is broken at {names}; fmon fix verify shows every link"
        raise RuleError(3, sentence, details=[f"{link.link}: {link.evidence}" for link in broken])


def _record_link(chain: BuildChain) -> Link:
    """Judge whether a person recorded for each cause what was done about it, or why nothing was."""
    causes = [cause for cause in chain.causes if cause.needs_record]
    if not causes:
        return Link("record", "skipped", "all conditions to relaunch are auto, cancelled or lost")
    missing = sorted({cause.root_cause_id or "unknown" for cause in causes if cause.fix is None})
    if missing:
        evidence = (
            f"no fix is recorded for {', '.join(missing)}; run fmon fix record CAUSE --what TEXT for each, "
            "or --no-fix REASON if nothing is changed for it"
        )
        return Link("record", "broken", evidence)
    return Link("record", "ok", "; ".join(sorted({cause.sentence for cause in causes})))


def _commit_link(chain: BuildChain) -> Link:
    if not chain.commits:
        return Link(
            "commit", "broken", "no commit since the diagnosis; commit the fixes of all causes together"
        )
    if chain.bare_vm and chain.is_bare and chain.is_empty:
        evidence = (
            f"{listed(chain.commits)} change no file, and on a bare VM nothing else shows that there is a fix"
        )
        return Link("commit", "broken", evidence)
    count = len(chain.commits)
    if count > chain.max_commits:
        evidence = (
            f"{count:,} commits since the diagnosis, but all causes are fixed in one batch of "
            f"{counted(chain.max_commits, 'commit')}: {listed(chain.commits)}; squash them, or allow them "
            f"with verify: {{max_commits: {count}}}"
        )
        return Link("commit", "broken", evidence)
    minor = f"; not counted: {listed(chain.minor_commits)}" if chain.minor_commits else ""
    found = "one commit" if count == 1 else f"{count:,} commits"
    return Link("commit", "ok", f"{found} since the diagnosis: {listed(chain.commits)}{minor}")


def _tree_link(chain: BuildChain) -> Link:
    if not chain.uncommitted:
        return Link("tree", "ok", "the working tree is clean")
    return Link("tree", "broken", f"not committed or ignored: {listed(chain.uncommitted)}")


def _tests_link(chain: BuildChain) -> Link:
    if chain.test_command is None:
        return Link("tests", "broken", "the config has no test command; set verify.tests")
    if chain.test_status is None:
        return Link("tests", "broken", f"{chain.test_command} was not run")
    result: Literal["ok", "broken"] = "ok" if chain.test_status == 0 else "broken"
    return Link("tests", result, f"{chain.test_command} ended with exit status {chain.test_status}")


def _digest_link(chain: BuildChain) -> Link:
    if chain.bare_vm and chain.is_bare:
        return Link("digest", "skipped", _no_image(chain))
    is_settings_only = chain.remedies <= NEEDS_NO_FIX | {"config"}
    has_moved = None not in (chain.old_digest, chain.digest) and chain.old_digest != chain.digest
    if is_settings_only and chain.changed and not has_moved and not chain.bare_vm:
        evidence = f"only settings needed a change, and the commit changed {listed(chain.changed)}"
        return Link("digest", "skipped", evidence)
    unknown = _unknown_digest(chain)
    if unknown:
        return unknown
    if chain.bare_vm:
        evidence = f"on a bare VM, allowed {chain.bare_vm}; {chain.image} is now {chain.digest}"
        return Link("digest", "ok", evidence)
    if not has_moved:
        evidence = (
            f"{chain.image} is still the image that failed ({_known(chain.digest, chain)}); "
            "build and push a new one: fmon fix run"
        )
        if chain.assumed:
            evidence += ", or fmon fix record CAUSE --no-fix REASON if it already has the fix"
        return Link("digest", "broken", evidence)
    evidence = f"{chain.image} was {_known(chain.old_digest, chain)} and is now {chain.digest}"
    return Link("digest", "ok", evidence)


def _unchanged_link(chain: BuildChain) -> Link:
    if chain.bare_vm and chain.is_bare:
        return Link("digest", "skipped", _no_image(chain))
    if chain.bare_vm:
        evidence = (
            f"the attempts ran on a bare VM, allowed {chain.bare_vm}, and the next ones would "
            f"run in {chain.image or 'several images'}, although there was nothing to fix; remove it"
        )
        return Link("digest", "broken", evidence)
    unknown = _unknown_digest(chain)
    if unknown:
        return unknown
    if chain.old_digest != chain.digest:
        evidence = (
            f"{chain.image} was {_known(chain.old_digest, chain)} and is now {chain.digest}, although there "
            "was nothing to fix; name the former one in the task YAML or in docker_image: "
            f"{_pinned(chain)}"
        )
        return Link("digest", "broken", evidence)
    evidence = f"{chain.image} is recorded and unchanged: {_known(chain.digest, chain)}"
    return Link("digest", "ok", evidence)


def _known(digest: str | None, chain: BuildChain) -> str:
    """Return the digest of the failed attempts' image, and whether it is only assumed."""
    return f"{digest}, {chain.assumed}" if chain.assumed else f"{digest}"


def _pinned(chain: BuildChain) -> str:
    """Return the reference of the failed attempts' image that no push changes."""
    image = (chain.image or "").partition("@")[0]
    name, colon, tag = image.rpartition(":")
    return f"{name if colon and '/' not in tag else image}@{chain.old_digest}"


def _no_image(chain: BuildChain) -> str:
    return f"bare VM, allowed {chain.bare_vm}: no image to verify"


def _unknown_digest(chain: BuildChain) -> Link | None:
    if chain.image is None:
        evidence = (
            "neither the task YAML (image_id: docker:...) nor the config (docker_image) "
            "names exactly one image"
        )
        if chain.is_bare and chain.old_digest is None:
            evidence += "; if the jobs run on bare VMs, allow it: fmon adopt CONFIG --allow-bare-vm"
        return Link("digest", "broken", evidence)
    if chain.digest is None:
        return Link(
            "digest", "broken", chain.registry_fault or f"the registry was not asked for {chain.image}"
        )
    if chain.old_digest is None and not chain.bare_vm:
        evidence = (
            "the digest that the failed attempts ran with is not recorded; fmon fix verify records that "
            f"{chain.image} is now {chain.digest}"
        )
        return Link("digest", "broken", evidence)
    return None


def _yaml_link(chain: BuildChain) -> Link:
    if chain.named_in:
        return Link("yaml", "ok", f"the task YAML names {chain.image} in {listed(chain.named_in)}")
    what = chain.image or "the image"
    evidence = (
        f"the task YAML does not name {what}; set it as image_id: docker:... or as an environment variable"
    )
    return Link("yaml", "broken", evidence)
