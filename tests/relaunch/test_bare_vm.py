"""F3 where a person allowed jobs without a container image: what has no image is held by the other links."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from fmon.errors import RuleError
from fmon.events import LaunchEvent
from fmon.manifest.file import read_manifest
from fmon.rules.f3_rebuild_before_relaunch import BuildChain, bare_vm, f3_links, f3_same_image
from tests.support.git import commit, git
from tests.support.relaunching import CONFIG, IMAGE, NEW, Repository
from tests.support.world import CONDITIONS

FAILED = CONDITIONS[2:]
SAID = "bare VM, allowed at launch by ada at 2026-03-22T05:00:00Z: no image to verify"
BARE = BuildChain(
    remedies=frozenset({"code"}),
    commits=("Fix the loss",),
    test_command="make test",
    test_status=0,
    bare_vm="at launch by ada at 2026-03-22T05:00:00Z",
    is_bare=True,
)
GAINED = replace(BARE, is_bare=False, image=IMAGE, digest=NEW, named_in=("image_id",))


def results(chain):
    return {link.link: link.result for link in f3_links(chain)}


def broken(chain):
    return [name for name, result in results(chain).items() if result == "broken"]


class TestLinks:
    def test_the_links_of_the_image_are_replaced_by_who_allowed_it(self):
        links = {link.link: link for link in f3_links(BARE)}
        assert results(BARE) == {
            "record": "skipped", "commit": "ok", "tree": "ok", "tests": "ok",
            "digest": "skipped", "yaml": "skipped",
        }  # fmt: skip
        assert links["digest"].evidence == links["yaml"].evidence == SAID

    @pytest.mark.parametrize(
        ("change", "link"),
        [
            ({"commits": ()}, "commit"),
            ({"is_empty": True}, "commit"),
            ({"uncommitted": ("loss.py",)}, "tree"),
            ({"test_status": 1}, "tests"),
        ],
    )
    @pytest.mark.parametrize("remedy", ["code", "config"])
    def test_all_others_hold(self, change, link, remedy):
        assert broken(replace(BARE, remedies=frozenset({remedy}), **change)) == [link]

    def test_where_nothing_was_to_be_fixed_nothing_is_asked(self):
        assert set(results(replace(BARE, remedies=frozenset({"auto", "lost"}))).values()) == {"skipped"}

    def test_without_a_persons_word_an_image_is_still_demanded(self):
        assert broken(replace(BARE, bare_vm=None)) == ["digest", "yaml"]

    def test_an_image_that_came_later_is_looked_at(self):
        assert broken(GAINED) == []
        assert broken(replace(GAINED, digest=None, registry_fault="no answer")) == ["digest"]
        assert broken(replace(GAINED, named_in=())) == ["yaml"]
        settings = replace(GAINED, remedies=frozenset({"config"}), changed=("experiment.yaml",), digest=None)
        assert broken(settings) == ["digest"]

    def test_an_image_that_came_though_nothing_was_to_be_fixed_is_refused(self):
        assert broken(replace(GAINED, remedies=frozenset({"auto"}))) == ["digest"]

    def test_a_cycle_is_carried_on_as_it_was_begun(self):
        assert f3_same_image(BARE, image=None, digest=None)[0] == ("digest", "skipped", SAID)
        assert f3_same_image(GAINED, image=None, digest=None)[0].result == "broken"

    def test_only_a_launch_without_any_image_counts(self):
        named = msgspec.structs.replace(LAUNCH, image=IMAGE)
        assert bare_vm([named, msgspec.structs.replace(named, is_bare_vm=False)]) is None
        assert bare_vm([named, LAUNCH]).sentence == "at launch by ada at 2026-03-22T05:00:00Z"


LAUNCH = LaunchEvent(
    at=datetime(2026, 3, 22, 5, tzinfo=UTC),
    config="study.yaml",
    by="ada",
    condition_count=4,
    image=None,
    digest=None,
    is_bare_vm=True,
    estimated_cost_usd=None,
    budget_usd=None,
    is_over_budget_confirmed=False,
)


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """Launched on a bare VM, which a person allowed; two failed and were diagnosed."""
    config = CONFIG.replace(f"docker_image: {IMAGE}\n", "")
    made = Repository(
        tmp_path_factory.mktemp("bare"),
        config,
        "resources: {accelerators: L4}\nrun: python train.py $MODEL $LOSS\n",
    )
    made.launch(allow_bare_vm=True)
    made.end(FAILED)
    made.diagnose()
    return made


@pytest.fixture
def world(failed):
    """The commands meet the fake; project and stores are put back behind each test."""
    root, now_s = failed.root, failed.server.now_s
    jobs, tags = failed.jobs(), dict(failed.server.tags)
    kept = root.with_name(f"{root.name}-kept")
    shutil.copytree(root, kept)
    yield failed
    shutil.rmtree(root)
    kept.rename(root)
    failed.server.jobs[:], failed.server.tags, failed.server.now_s = jobs, tags, now_s


def run(world, *words):
    return world.type(*words, "--data", world.data)


@pytest.mark.slow
def test_without_a_fix_relaunch_refuses_for_the_commit_and_not_for_an_image(world):
    done = run(world, "relaunch", "--yes")
    assert isinstance(done.exception, RuleError)
    assert done.exception.exit_code == 23
    assert [line.split(":")[0] for line in done.exception.details] == ["record", "commit"]
    assert done.exception.details[1].startswith("commit: no commit since the diagnosis")
    assert world.launched(1) == []


@pytest.mark.slow
def test_an_empty_commit_is_no_fix(world):
    world.server.pass_time(60)
    (world.project / "fixed").write_text("x")
    now = world.server.clock()
    commit(world.project, "Fix", at=now)
    git(world.project, "rm", "-q", "fixed", at=now)
    commit(world.project, "Take it back", at=now)
    done = run(world, "relaunch", "--yes")
    commit_link = done.exception.details[1]
    assert "change no file, and on a bare VM nothing else shows that there is a fix" in commit_link


@pytest.mark.slow
def test_a_fix_is_verified_and_run_again_and_the_audit_says_who_allowed_it(world):
    world.fix()
    world.server.pass_time(60)
    verified = run(world, "fix", "verify", "-o", "json")
    assert verified.exit_code == 0, verified.output
    assert "bare VM, allowed at launch by ada at 2026-03-22T05:00:00" in verified.stdout
    done = run(world, "relaunch", "--yes")
    assert done.exit_code == 0, done.output
    assert world.launched(1) == list(FAILED)
    world.end()
    (rebuilt,) = [row for row in json.loads(run(world, "audit", "-o", "json").stdout) if row["rule"] == 3][:1]
    assert rebuilt["is_ok"]
    assert rebuilt["evidence"].endswith(
        "; on a bare VM, allowed at launch by ada at 2026-03-22T05:00:00Z: no image to verify"
    )


@pytest.mark.slow
def test_an_image_that_the_config_has_gained_is_recorded_and_from_then_on_it_counts(world):
    world.config.write_text(world.config.read_text() + f"docker_image: {IMAGE}\n")
    world.task.write_text(
        f"resources: {{accelerators: L4}}\nenvs: {{IMAGE: {IMAGE}}}\nrun: python train.py $MODEL $LOSS\n"
    )
    world.fix()
    world.relaunch()
    assert read_manifest(world.store).docker_digest == NEW
    world.end(FAILED)
    world.diagnose()
    world.fix("sha256:" + "2" * 64)
    world.digest = NEW  # committed, and never pushed
    with pytest.raises(RuleError, match="broken at digest;") as refusal:
        world.relaunch()
    assert "is still the image that failed" in refusal.value.details[0]
