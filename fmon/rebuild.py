"""Rule F3 as a pure decision: what was measured of a fix in, judged links and a refusal out (floor 2).

Beside ``fmon.rules``, for its size; ``fmon.chain`` measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from fmon.errors import RuleError
from fmon.rules import listed

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What was measured of the way from a diagnosis to a new image; nothing in it is believed.

    Attributes
    ----------
    remedies : of the conditions to run again: ``auto``, ``config``, ``code``, ``unrecoverable``;
        ``cancelled`` and ``lost`` where the attempt had no failure of its own; None and ``none`` as code
    commits : subjects of the commits since the diagnosis, newest first
    uncommitted : files that differ from the commit
    test_command, test_status : ``verify.tests`` and the exit status that it has now; None = not run
    image : the reference that the next attempts would run with; None = nothing names one
    old_digest, digest : of the failed attempts' image and of this one in the registry now; None = unknown
    registry_fault : why the registry does not say
    named_in : where the task YAML names the image
    changed : files whose settings for the jobs the commits changed: the task YAML, the config's overrides
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


class Link(NamedTuple):
    """One link of the chain; ``skipped`` = it is not asked for, and the evidence says why."""

    link: Literal["commit", "tree", "tests", "digest", "yaml"]
    result: Literal["ok", "broken", "skipped"]
    evidence: str


NEEDS_NO_FIX = frozenset({"auto", "cancelled", "lost"})
"""Remedies that change nothing: the same image again."""


def f3_links(chain: Chain) -> list[Link]:
    """Judge each link of the chain from diagnosis to image, in order; pure.

    Where nothing was to be fixed, the image must be the same one. Where only settings were to be changed
    and the commit changed them, the image may stay.
    """
    if chain.remedies <= NEEDS_NO_FIX:
        why = "nothing is to be fixed: all conditions to run again are auto, cancelled or lost"
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


def f3_same_image(chain: Chain, digest: str | None) -> list[Link]:
    """Judge whether a cycle that was begun can be carried on: all its jobs run with one image.

    Parameters
    ----------
    chain : image and digest as they are now
    digest : of the image that the cycle was begun with; None = it was unknown, and not asked for
    """
    if digest is None:
        return [Link("digest", "skipped", "the cycle was begun without a digest")]
    if chain.digest is None:
        return [Link("digest", "broken", chain.registry_fault or "nothing names the image any more")]
    if chain.digest != digest:
        told = f"the cycle was begun with {digest}, {chain.image} is {chain.digest} now; push that one again"
        return [Link("digest", "broken", told)]
    return [Link("digest", "ok", f"{chain.image} is the image that the cycle was begun with: {digest}")]


def f3_rebuild_before_relaunch(links: Iterable[Link]) -> None:
    """F3: nothing is relaunched with the image that failed; tests, commit, image and YAML are looked at.

    Parameters
    ----------
    links : of ``f3_links``

    Raises
    ------
    RuleError
        Exit code 23; names every broken link and its evidence.

    Notes
    -----
    Prevents retries with a stale image: the fix was committed and the image never rebuilt.
    """
    broken = [f"{link.link}: {link.evidence}" for link in links if link.result == "broken"]
    if broken:
        raise RuleError(3, f"{'; '.join(broken)}. fmon fix verify shows the whole chain")


def _commit_link(chain: Chain) -> Link:
    if not chain.commits:
        return Link("commit", "broken", "no commit since the diagnosis; commit the fix of all causes as one")
    if len(chain.commits) == 1:
        return Link("commit", "ok", f"one commit since the diagnosis: {chain.commits[0]}")
    told = f"{len(chain.commits):,} commits since the diagnosis, not one batch: {listed(chain.commits)}"
    return Link("commit", "ok", told)


def _tree_link(chain: Chain) -> Link:
    if not chain.uncommitted:
        return Link("tree", "ok", "the working tree is clean")
    return Link("tree", "broken", f"not committed or ignored: {listed(chain.uncommitted)}")


def _tests_link(chain: Chain) -> Link:
    if chain.test_command is None:
        return Link("tests", "broken", "the config names no test command; write it into verify.tests")
    if chain.test_status is None:
        return Link("tests", "broken", f"{chain.test_command} was not run")
    result: Literal["ok", "broken"] = "ok" if chain.test_status == 0 else "broken"
    return Link("tests", result, f"{chain.test_command} ended with exit status {chain.test_status}")


def _digest_link(chain: Chain) -> Link:
    is_settings_only = chain.remedies <= NEEDS_NO_FIX | {"config"}
    has_moved = None not in (chain.old_digest, chain.digest) and chain.old_digest != chain.digest
    if is_settings_only and chain.changed and not has_moved:
        told = f"only settings were to be changed, and the commit changed {listed(chain.changed)}"
        return Link("digest", "skipped", told)
    unknown = _unknown_digest(chain)
    if unknown:
        return unknown
    if not has_moved:
        told = (
            f"{chain.image} is still the image that failed ({chain.digest}); build and push it: fmon fix run"
        )
        return Link("digest", "broken", told)
    return Link("digest", "ok", f"{chain.image} was {chain.old_digest} and is {chain.digest}")


def _unchanged_link(chain: Chain) -> Link:
    unknown = _unknown_digest(chain)
    if unknown:
        return unknown
    if chain.old_digest != chain.digest:
        told = f"{chain.image} was {chain.old_digest} and is {chain.digest}, though nothing was to be fixed"
        return Link("digest", "broken", told)
    return Link("digest", "ok", f"{chain.image} is recorded and unchanged: {chain.digest}")


def _unknown_digest(chain: Chain) -> Link | None:
    if chain.image is None:
        told = "neither the task YAML (image_id: docker:...) nor the config (docker_image) names one image"
        return Link("digest", "broken", told)
    if chain.digest is None:
        return Link("digest", "broken", chain.registry_fault or f"no registry was asked for {chain.image}")
    if chain.old_digest is None:
        told = (
            f"the digest that the failed attempts ran with is not recorded; {chain.image} is {chain.digest}"
        )
        return Link("digest", "broken", told)
    return None


def _yaml_link(chain: Chain) -> Link:
    if chain.named_in:
        return Link("yaml", "ok", f"the task YAML names {chain.image} in {listed(chain.named_in)}")
    what = chain.image or "the image"
    told = f"the task YAML does not name {what}; write it as image_id: docker:..., or as an env var"
    return Link("yaml", "broken", told)
