"""Rule F3: nothing is relaunched with the image that failed.

A pure function of the measurements that ``fmon.fix.chain`` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from fmon.errors import RuleError
from fmon.events import LaunchEvent
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.events import Event


@dataclass(frozen=True, kw_only=True)
class BuildChain:
    """The measured chain from a diagnosis to a new image; nothing in it is assumed.

    Attributes
    ----------
    remedies
        Remedies of the conditions to relaunch: ``auto``, ``config``, ``code``, ``unrecoverable``;
        ``cancelled`` and ``lost`` if the attempt had no failure of its own; None and ``none`` count as code.
    commits
        Subjects of the commits since the diagnosis, newest first.
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
    bare_vm
        Who allowed the first launch without an image, and when; None = the failed attempts had one.
    is_bare
        The next attempts would run without an image too.
    is_empty
        The commits together change no file.
    """

    remedies: frozenset[str | None]
    commits: tuple[str, ...] = ()
    uncommitted: tuple[str, ...] = ()
    test_command: str | None = None
    test_status: int | None = None
    image: str | None = None
    old_digest: str | None = None
    digest: str | None = None
    registry_fault: str | None = None
    named_in: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    bare_vm: str | None = None
    is_bare: bool = False
    is_empty: bool = False


class Link(NamedTuple):
    """One link of the chain; ``skipped`` = not required, and the evidence says why."""

    link: Literal["commit", "tree", "tests", "digest", "yaml"]
    result: Literal["ok", "broken", "skipped"]
    evidence: str


NEEDS_NO_FIX = frozenset({"auto", "cancelled", "lost"})
"""Remedies that need no change: the same image is used again."""


def bare_vm_launch(events: Iterable[Event]) -> LaunchEvent | None:
    """Return the first launch without an image that a person allowed; None if there was none."""
    return next(
        (
            event
            for event in events
            if isinstance(event, LaunchEvent) and event.is_bare_vm and event.image is None
        ),
        None,
    )


def f3_links(chain: BuildChain) -> list[Link]:
    """Judge each link of the chain from diagnosis to image, in order.

    If there was nothing to fix, the image must be the same. If only settings needed a change and the
    commit changed them, the image may stay. On a bare VM that a person allowed at launch there is no
    image to check: a commit that changes a file, a clean tree and passing tests must suffice.
    """
    if chain.remedies <= NEEDS_NO_FIX:
        why = "nothing to fix: all conditions to relaunch are auto, cancelled or lost"
        return [
            Link("commit", "skipped", why),
            Link("tree", "skipped", why),
            Link("tests", "skipped", why),
            _unchanged_link(chain),
            Link("yaml", "skipped", why),
        ]
    digest = _digest_link(chain)
    yaml = digest._replace(link="yaml") if digest.result == "skipped" else _yaml_link(chain)
    return [_commit_link(chain), _tree_link(chain), _tests_link(chain), digest, yaml]


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
    broken = [f"{link.link}: {link.evidence}" for link in links if link.result == "broken"]
    if broken:
        raise RuleError(3, f"{'; '.join(broken)}. fmon fix verify shows the entire chain")


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
    if len(chain.commits) == 1:
        return Link("commit", "ok", f"one commit since the diagnosis: {chain.commits[0]}")
    evidence = f"{len(chain.commits):,} commits since the diagnosis, not one batch: {listed(chain.commits)}"
    return Link("commit", "ok", evidence)


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
        evidence = f"launched on a bare VM, allowed by {chain.bare_vm}; {chain.image} is now {chain.digest}"
        return Link("digest", "ok", evidence)
    if not has_moved:
        evidence = (
            f"{chain.image} is still the image that failed ({chain.digest}); "
            "build and push a new one: fmon fix run"
        )
        return Link("digest", "broken", evidence)
    return Link("digest", "ok", f"{chain.image} was {chain.old_digest} and is now {chain.digest}")


def _unchanged_link(chain: BuildChain) -> Link:
    if chain.bare_vm and chain.is_bare:
        return Link("digest", "skipped", _no_image(chain))
    if chain.bare_vm:
        evidence = (
            f"the attempts ran on a bare VM, allowed at launch by {chain.bare_vm}, and the next ones would "
            f"run in {chain.image or 'several images'}, although there was nothing to fix; remove it"
        )
        return Link("digest", "broken", evidence)
    unknown = _unknown_digest(chain)
    if unknown:
        return unknown
    if chain.old_digest != chain.digest:
        evidence = (
            f"{chain.image} was {chain.old_digest} and is now {chain.digest}, "
            "although there was nothing to fix"
        )
        return Link("digest", "broken", evidence)
    return Link("digest", "ok", f"{chain.image} is recorded and unchanged: {chain.digest}")


def _no_image(chain: BuildChain) -> str:
    return f"bare VM, allowed at launch by {chain.bare_vm}: no image to verify"


def _unknown_digest(chain: BuildChain) -> Link | None:
    if chain.image is None:
        evidence = (
            "neither the task YAML (image_id: docker:...) nor the config (docker_image) "
            "names exactly one image"
        )
        return Link("digest", "broken", evidence)
    if chain.digest is None:
        return Link(
            "digest", "broken", chain.registry_fault or f"the registry was not asked for {chain.image}"
        )
    if chain.old_digest is None and not chain.bare_vm:
        evidence = (
            "the digest that the failed attempts ran with is not recorded; "
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
