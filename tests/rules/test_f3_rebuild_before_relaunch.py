"""F3 as a decision: which link is broken, what may be skipped, and what the refusal says."""

from dataclasses import replace

import pytest

from fmon.errors import RuleError
from fmon.rules.f3_rebuild_before_relaunch import BuildChain, f3_links, f3_rebuild_before_relaunch

WHOLE = BuildChain(
    remedies=frozenset({"code"}),
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
    assert [link.link for link in f3_links(WHOLE)] == ["commit", "tree", "tests", "digest", "yaml"]
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
    with pytest.raises(RuleError, match=f"F3: {link}: .*{said}") as refusal:
        f3_rebuild_before_relaunch(f3_links(chain))
    assert refusal.value.exit_code == 23


def test_several_commits_pass_and_are_mentioned():
    links = f3_links(replace(WHOLE, commits=("two", "one")))
    assert links[0].result == "ok"
    assert "2 commits since the diagnosis, not one batch: two, one" in links[0].evidence


def test_all_broken_links_are_named_at_once():
    with pytest.raises(RuleError, match=r"commit: .*tree: .*tests: .*digest: .*yaml: "):
        f3_rebuild_before_relaunch(f3_links(BuildChain(remedies=frozenset({"code"}), uncommitted=("x",))))


class TestSettingsOnly:
    UNBUILT = replace(WHOLE, remedies=frozenset({"config", "auto"}), digest="sha256:old", named_in=())

    def test_if_only_settings_changed_the_image_may_stay_and_the_evidence_says_why(self):
        chain = replace(self.UNBUILT, changed=("train.yaml",))
        assert skipped(chain) == ["digest", "yaml"]
        assert (
            "only settings needed a change, and the commit changed train.yaml" in f3_links(chain)[3].evidence
        )
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
        assert skipped(chain) == ["commit", "tree", "tests", "yaml"]
        f3_rebuild_before_relaunch(f3_links(chain))
        assert broken(replace(chain, digest="sha256:b")) == ["digest"]
        assert broken(replace(chain, old_digest=None)) == ["digest"]

    def test_one_failure_to_fix_requires_the_full_chain(self):
        chain = BuildChain(remedies=frozenset({"auto", "code"}), image="x:1", old_digest="a", digest="a")
        assert broken(chain) == ["commit", "tests", "digest", "yaml"]
