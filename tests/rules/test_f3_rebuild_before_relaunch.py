"""F3 as a decision: which link is broken, what may be skipped, and what the refusal says."""

import re
from dataclasses import replace

import msgspec
import pytest

from fmon.errors import RuleError
from fmon.rules.f3_rebuild_before_relaunch import (
    BuildChain,
    RelaunchRemedy,
    f3_links,
    f3_rebuild_before_relaunch,
)

MENDED = RelaunchRemedy("code_bug/x", "code", "mended", "ada", is_without_fix=False)
LEFT = RelaunchRemedy("data_missing/y", "unrecoverable", "the bucket was away", "bob", is_without_fix=True)
SILENT = RelaunchRemedy("cuda_oom/z", "config", None, None, is_without_fix=False)
WHOLE = BuildChain(
    remedies=frozenset({"code"}),
    causes=(MENDED,),
    commits=("Fix the loss",),
    test_command="make test",
    test_status=0,
    image="ghcr.io/ada/study:v1",
    old_digest="sha256:old",
    digest="sha256:new",
    named_in=("image_id",),
)


def broken(chain):
    return [link.link for link in f3_links(chain) if link.result == "broken"]


def skipped(chain):
    return [link.link for link in f3_links(chain) if link.result == "skipped"]


def test_an_intact_chain_passes():
    links = f3_links(WHOLE)
    assert [link.link for link in links] == ["record", "commit", "tree", "tests", "digest", "yaml"]
    f3_rebuild_before_relaunch(f3_links(WHOLE))


@pytest.mark.parametrize(
    ("change", "link", "said"),
    [
        ({"commits": ()}, "commit", "no commit since the diagnosis"),
        ({"uncommitted": ("loss.py",)}, "tree", "not committed or ignored: loss.py"),
        ({"test_status": 1}, "tests", "make test ended with exit status 1"),
        ({"test_status": None}, "tests", "was not run"),
        ({"test_command": None, "test_status": None}, "tests", "verify.tests"),
        ({"digest": "sha256:old"}, "digest", "is still the image that failed .*fmon fix run"),
        ({"digest": None, "registry_fault": "x has no image"}, "digest", "x has no image"),
        ({"old_digest": None}, "digest", "is not recorded"),
        ({"image": None, "digest": None}, "digest", "names exactly one image"),
        ({"named_in": ()}, "yaml", "does not name ghcr.io/ada/study:v1"),
    ],
)
@pytest.mark.parametrize("remedies", [{"code"}, {"auto", "code"}, {"unrecoverable"}, {None}, {"config"}])
def test_each_broken_link_refuses_with_23_and_is_named(change, link, said, remedies):
    chain = replace(WHOLE, remedies=frozenset(remedies), **change)
    assert broken(chain) == [link]
    with pytest.raises(RuleError, match=f"F3: .* is broken at {link};") as refusal:
        f3_rebuild_before_relaunch(f3_links(chain))
    assert refusal.value.exit_code == 23
    (detail,) = refusal.value.details
    assert re.match(f"{link}: .*{said}", detail)


class TestCommits:
    def link(self, *commits, **changes):
        (found,) = [
            link for link in f3_links(replace(WHOLE, commits=commits, **changes)) if link.link == "commit"
        ]
        return found

    def test_several_commits_are_not_one_batch(self):
        link = self.link("two", "one")
        assert link.result == "broken"
        assert link.evidence.startswith(
            "2 commits since the diagnosis, but all causes are fixed in one batch"
        )
        assert "two, one; squash them" in link.evidence
        assert link.evidence.endswith("or allow them with verify: {max_commits: 2}")

    @pytest.mark.parametrize(("count", "result"), [(1, "ok"), (2, "ok"), (3, "ok"), (4, "broken")])
    def test_the_config_may_allow_more(self, count, result):
        assert self.link(*map(str, range(count)), max_commits=3).result == result

    def test_those_that_do_not_count_are_named(self):
        link = self.link("Fix", minor_commits=("Typo",))
        assert link.evidence == "one commit since the diagnosis: Fix; not counted: Typo"


class TestRecords:
    def link(self, *causes):
        remedies = frozenset(cause.effective_remedy for cause in causes)
        return f3_links(replace(WHOLE, remedies=remedies, causes=causes))[0]

    def test_a_cause_without_a_record_is_refused_in_one_sentence_with_the_command(self):
        link = self.link(MENDED, SILENT)
        assert link == (
            "record",
            "broken",
            "no fix is recorded for cuda_oom/z; run fmon fix record CAUSE --what TEXT for each, or --no-fix "
            "REASON if nothing is changed for it",
        )

    @pytest.mark.parametrize("remedy", ["config", "code", "unrecoverable", "none", None])
    def test_all_but_auto_cancelled_and_lost_need_one(self, remedy):
        assert self.link(msgspec.structs.replace(SILENT, remedy=remedy)).result == "broken"

    @pytest.mark.parametrize("remedy", ["auto", "cancelled", "lost"])
    def test_these_need_none(self, remedy):
        assert self.link(msgspec.structs.replace(SILENT, remedy=remedy)).result == "skipped"

    def test_the_evidence_is_what_was_recorded_by_whom(self):
        assert self.link(MENDED, LEFT, MENDED) == (
            "record",
            "ok",
            "code_bug/x: mended (ada); data_missing/y: relaunched without a fix: the bucket was away (bob)",
        )

    def test_if_all_are_relaunched_without_a_fix_the_image_must_be_the_same(self):
        chain = BuildChain(
            remedies=frozenset({LEFT.effective_remedy, "auto"}),
            causes=(LEFT,),
            image="x:1",
            old_digest="sha256:a",
            digest="sha256:a",
        )
        assert broken(chain) == []
        assert skipped(chain) == ["commit", "tree", "tests", "yaml"]
        assert broken(replace(chain, digest="sha256:b")) == ["digest"]

    def test_one_that_was_fixed_requires_the_full_chain(self):
        chain = replace(WHOLE, causes=(MENDED, LEFT), remedies=frozenset({"code", "no_fix"}))
        assert broken(chain) == []
        assert broken(replace(chain, commits=(), digest="sha256:old")) == ["commit", "digest"]


def test_all_broken_links_are_named_at_once():
    chain = BuildChain(remedies=frozenset({"code"}), causes=(SILENT,), uncommitted=("x",))
    with pytest.raises(RuleError, match=r"broken at record, commit, tree, tests, digest, yaml;") as refusal:
        f3_rebuild_before_relaunch(f3_links(chain))
    names = [detail.split(":")[0] for detail in refusal.value.details]
    assert names == ["record", "commit", "tree", "tests", "digest", "yaml"]


class TestSettingsOnly:
    UNBUILT = replace(WHOLE, remedies=frozenset({"config", "auto"}), digest="sha256:old", named_in=())

    def test_if_only_settings_changed_the_image_may_stay_and_the_evidence_says_why(self):
        chain = replace(self.UNBUILT, changed=("train.yaml",))
        assert skipped(chain) == ["digest", "yaml"]
        (digest,) = [link.evidence for link in f3_links(chain) if link.link == "digest"]
        assert "only settings needed a change, and the commit changed train.yaml" in digest
        f3_rebuild_before_relaunch(f3_links(chain))

    def test_if_nothing_changed_the_image_may_not_stay(self):
        assert broken(self.UNBUILT) == ["digest", "yaml"]

    def test_one_cause_in_the_code_requires_the_full_chain(self):
        chain = replace(self.UNBUILT, changed=("train.yaml",), remedies=frozenset({"config", "code"}))
        assert broken(chain) == ["digest", "yaml"]

    def test_tests_and_commit_are_still_required(self):
        chain = replace(self.UNBUILT, changed=("train.yaml",), commits=(), test_status=2)
        assert broken(chain) == ["commit", "tests"]

    def test_a_rebuilt_image_is_checked_completely(self):
        chain = replace(self.UNBUILT, changed=("train.yaml",), digest="sha256:new")
        assert broken(chain) == ["yaml"]


class TestNothingToFix:
    @pytest.mark.parametrize("remedies", [{"auto"}, {"cancelled", "lost"}, {"auto", "lost"}, set()])
    def test_only_the_digest_is_checked_and_must_be_the_same(self, remedies):
        chain = BuildChain(
            remedies=frozenset(remedies), image="x:1", old_digest="sha256:a", digest="sha256:a"
        )
        assert skipped(chain) == ["record", "commit", "tree", "tests", "yaml"]
        f3_rebuild_before_relaunch(f3_links(chain))
        assert broken(replace(chain, digest="sha256:b")) == ["digest"]
        assert broken(replace(chain, old_digest=None)) == ["digest"]

    def test_one_failure_to_fix_requires_the_full_chain(self):
        chain = BuildChain(remedies=frozenset({"auto", "code"}), image="x:1", old_digest="a", digest="a")
        assert broken(chain) == ["commit", "tests", "digest", "yaml"]


class TestAssumed:
    """Adopted jobs may have run with an earlier image than the registry had at adoption."""

    ASSUMED = replace(WHOLE, assumed="assumed at adoption")

    def evidence(self, **changes):
        (link,) = [link for link in f3_links(replace(self.ASSUMED, **changes)) if link.link == "digest"]
        return link.result, link.evidence

    def test_every_result_is_marked_as_assumed(self):
        image, outage = "ghcr.io/ada/study:v1", frozenset({"auto"})
        assert self.evidence() == (
            "ok",
            f"{image} was sha256:old, assumed at adoption and is now sha256:new",
        )
        assert self.evidence(remedies=outage, digest="sha256:old") == (
            "ok",
            f"{image} is recorded and unchanged: sha256:old, assumed at adoption",
        )
        assert self.evidence(digest="sha256:old") == (
            "broken",
            f"{image} is still the image that failed (sha256:old, assumed at adoption); build and push a new "
            "one: fmon fix run, or fmon fix record CAUSE --no-fix REASON if it already has the fix",
        )

    @pytest.mark.parametrize(
        ("image", "pinned"),
        [
            ("ghcr.io/ada/study:v1", "ghcr.io/ada/study@sha256:old"),
            ("localhost:5000/study", "localhost:5000/study@sha256:old"),
            ("study@sha256:new", "study@sha256:old"),
        ],
    )
    def test_if_the_tag_has_moved_the_former_image_can_be_named(self, image, pinned):
        result, evidence = self.evidence(remedies=frozenset({"auto"}), image=image)
        assert result == "broken"
        assert evidence.endswith(f"name the former one in the task YAML or in docker_image: {pinned}")


def test_adopted_jobs_without_an_image_can_be_allowed():
    bare = replace(WHOLE, image=None, digest=None, old_digest=None, is_bare=True)
    (digest,) = [link for link in f3_links(bare) if link.link == "digest"]
    assert digest.result == "broken"
    assert digest.evidence.endswith("allow it: fmon adopt CONFIG --allow-bare-vm")
