"""Phase fix: the plan, the config's commands, the record, the chain, behind F1, F2 and a full diagnosis."""

import getpass
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmon.cli import fix as fix_command
from fmon.clients.shell import run_command
from fmon.clock import Clock
from fmon.diagnose.diagnose import diagnose
from fmon.errors import ConfigError, RuleError
from fmon.events import DiagnosisEvent, RelaunchEvent
from fmon.fix.plan import fix_plan
from fmon.fix.steps import record, run_commands, verify
from fmon.manifest.file import read_manifest
from fmon.monitor.classify import examine
from fmon.monitor.replay import replay
from fmon.sky.reader import LogRequest
from fmon.store.events import append_event
from fmon.store.unexamined import mark_pending
from fmon.study import Study
from tests.support import ROOT
from tests.support.events import written_events
from tests.support.fixing import CONFIG, ENDED, NOW, OOM, diagnosed
from tests.support.queues import FakeLogs
from tests.support.relaunching import NEW, OLD, OUTAGE, Repository
from tests.support.studies import job, poll, study
from tests.support.world import CONDITIONS

FMON = Path(sys.executable).with_name("fmon")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "train.yaml").write_text("run: x\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path / "experiment.yaml"


@pytest.fixture
def store(tmp_path, config):
    return study(tmp_path / "data", config_file=str(config))


def fix_run(store):
    return [(ran.step, ran.exit_status) for ran in run_commands(Study(store), clock=Clock(now=lambda: NOW))]


def events(store):
    return [
        (event["event"], event["step"], event.get("exit_status"))
        for event in written_events(store)
        if event["event"].startswith("fix_command")
    ]


@pytest.mark.slow
def test_runs_tests_build_and_push_in_this_order_in_the_root_of_the_repository(store, config, tmp_path):
    diagnosed(store)
    config.write_text(CONFIG + "verify: {push: pwd > pushed, tests: echo 1 >> log, build: echo 2 >> log}\n")
    assert fix_run(store) == [("tests", 0), ("build", 0), ("push", 0)]
    assert (tmp_path / "log").read_text() == "1\n2\n"
    assert (tmp_path / "pushed").read_text() == f"{tmp_path}\n"


@pytest.mark.slow
def test_stops_at_the_first_that_fails_and_records_it(store, config, tmp_path):
    diagnosed(store)
    config.write_text(CONFIG + "verify: {tests: 'true', build: exit 3, push: touch pushed}\n")
    assert fix_run(store) == [("tests", 0), ("build", 3)]
    assert not (tmp_path / "pushed").exists()
    assert events(store) == [
        ("fix_command_begin", "tests", None),
        ("fix_command_end", "tests", 0),
        ("fix_command_begin", "build", None),
        ("fix_command_end", "build", 3),
    ]


@pytest.mark.slow
def test_starts_over_after_it_was_killed(store, config):
    diagnosed(store)
    config.write_text(CONFIG + "verify: {tests: 'true', build: 'true'}\n")

    def killed(step, command, *, folder):
        if step == "build":
            raise KeyboardInterrupt
        return run_command(step, command, folder=folder)

    with pytest.raises(KeyboardInterrupt):
        list(run_commands(Study(store), clock=Clock(now=lambda: NOW), run=killed))
    assert fix_run(store) == [("tests", 0), ("build", 0)]


@pytest.mark.slow
def test_secrets_of_a_command_are_not_stored(store, config):
    diagnosed(store)
    config.write_text(CONFIG + "verify: {tests: 'true # ghp_%s'}\n" % ("a1B2" * 9))
    fix_run(store)
    assert "a1B2a1B2" not in store.events.read_text()


@pytest.mark.slow
def test_without_commands_there_is_one_sentence(store, config):
    diagnosed(store)
    config.write_text(CONFIG)
    with pytest.raises(ConfigError, match="has no commands to run; add verify:"):
        fix_run(store)


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([*ENDED[1:], job(1, "RUNNING")], 21),
        (ENDED[1:], 21),
        ([*ENDED[1:], job(1, "FAILED")], 22),
        (ENDED, 22),
    ],
)
@pytest.mark.parametrize(
    "step",
    [
        fix_run,
        lambda store: record(Study(store), "cuda_oom/torch", what="x", by="ada", now=NOW),
        lambda store: verify(Study(store), now=NOW),
        lambda store: fix_plan(Study(store)),
    ],
    ids=["run", "record", "verify", "plan"],
)
def test_f1_and_f2_refuse_and_nothing_is_run_or_written(store, config, tmp_path, step, records, code):
    poll(store, 20, records)
    config.write_text(CONFIG + "verify: {tests: touch ran}\n")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(RuleError) as refusal:
        step(store)
    assert refusal.value.exit_code == code
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


class TestDiagnosis:
    """What a fix stands on."""

    FAILED = (*ENDED[1:], job(1, "FAILED"))

    @pytest.mark.slow
    def test_a_preliminary_one_opens_no_fix(self, store, config):
        config.write_text(CONFIG)
        poll(store, 20, [*ENDED[1:], job(1, "RUNNING")])
        diagnose(Study(store), is_partial=True, logs=None, now=NOW)
        poll(store, 30, ENDED)
        with pytest.raises(RuleError, match="cycle 0 has only a preliminary diagnosis") as refusal:
            fix_plan(Study(store))
        assert refusal.value.exit_code == 22

    def test_one_of_an_earlier_cycle_opens_no_fix(self, store, config):
        config.write_text(CONFIG)
        poll(store, 20, ENDED)
        append_event(store, DiagnosisEvent(at=NOW, cycle=1, is_preliminary=False, failed_count=0, causes=[]))
        with pytest.raises(RuleError, match="cycle 0 has no diagnosis"):
            fix_plan(Study(store))

    @pytest.mark.slow
    def test_what_has_failed_since_makes_it_out_of_date(self, store, config):
        config.write_text(CONFIG)
        diagnosed(store, self.FAILED, {LogRequest(1): OOM})
        fix_plan(Study(store))
        poll(store, 29, [*ENDED[2:], job(1, "FAILED"), job(2, "RUNNING")])  # it runs again
        poll(store, 30, [*ENDED[2:], job(1, "FAILED"), job(2, "FAILED")])
        mark_pending(store)
        examine(store, read_manifest(store), FakeLogs({LogRequest(2): OOM}), now=NOW)
        with pytest.raises(RuleError, match="the results of job 2 have changed; run fmon diagnose again"):
            fix_plan(Study(store))


@pytest.mark.slow
class TestRecord:
    FAILED = (*ENDED[1:], job(1, "FAILED"))

    @pytest.fixture
    def examined(self, store):
        """A store whose one failure was diagnosed as cuda_oom/torch."""
        diagnosed(store, self.FAILED, {LogRequest(1): OOM})
        return store

    def record(self, store, cause="cuda_oom/torch", what="batch size 2"):
        record(Study(store), cause, what=what, by="ada", now=NOW)

    def test_keeps_what_was_done_by_whom_without_secrets(self, examined):
        self.record(examined, what="batch size 2; key ghp_" + "a1B2" * 9)
        event = written_events(examined)[-1]
        assert (event["event"], event["root_cause_id"], event["by"]) == ("fix", "cuda_oom/torch", "ada")
        assert event["cycle"] == 0
        assert event["what"].startswith("batch size 2")
        assert "a1B2a1B2" not in event["what"]

    def test_a_cause_that_nobody_has_is_refused_with_near_ones_and_nothing_written(self, examined):
        before = examined.events.read_bytes()
        with pytest.raises(ConfigError, match="did you mean 'cuda_oom/torch'") as refusal:
            self.record(examined, cause="cuda_oom/torc")
        assert refusal.value.exit_code == 2
        assert examined.events.read_bytes() == before

    def test_a_user_id_without_a_name_is_recorded_as_its_number(self, examined, monkeypatch):
        def nameless():
            raise KeyError("getpwuid(): uid not found")

        monkeypatch.setattr(getpass, "getuser", nameless)
        fix_command.record("cuda_oom/torch", what="batch size 2", data=examined.path.parent)
        assert written_events(examined)[-1]["by"] == f"uid {os.getuid()}"

    def test_that_nothing_is_changed_is_kept_with_the_reason_and_without_secrets(self, examined):
        reason = "one bad node; key ghp_" + "a1B2" * 9
        record(Study(examined), "cuda_oom/torch", what=reason, is_without_fix=True, by="ada", now=NOW)
        event = written_events(examined)[-1]
        assert (event["event"], event["root_cause_id"], event["by"]) == ("no_fix", "cuda_oom/torch", "ada")
        assert event["reason"].startswith("one bad node")
        assert "a1B2a1B2" not in event["reason"]

    def test_a_reason_is_required(self, examined):
        with pytest.raises(ConfigError, match="--no-fix is empty; describe why nothing is done"):
            record(Study(examined), "cuda_oom/torch", what=" ", is_without_fix=True, by="ada", now=NOW)

    @pytest.mark.parametrize("options", [{}, {"what": "x", "no_fix": "y"}])
    def test_exactly_one_of_fix_and_reason_is_recorded(self, examined, options):
        with pytest.raises(ConfigError, match="use exactly one of --what TEXT"):
            fix_command.record("cuda_oom/torch", **options, data=examined.path.parent)

    def test_nothing_said_is_no_fix(self, examined):
        with pytest.raises(ConfigError, match="--what is empty"):
            self.record(examined, what=" ")


@pytest.mark.slow
class TestVerify:
    @pytest.fixture
    def world(self, tmp_path):
        world = Repository(tmp_path)
        world.launch()
        return world

    def verify(self, world):
        return verify(world.study, now=world.server.clock(), ask=world.digest_of)

    def checks(self, world):
        return written_events(world.store, "fix_verified")

    @pytest.mark.slow
    def test_a_chain_without_a_fix_is_broken_where_nothing_was_done(self, world):
        world.end(CONDITIONS[2:])
        world.diagnose()
        verified = self.verify(world)
        assert verified.broken == ["record", "commit", "tests", "digest"]
        (event,) = self.checks(world)
        assert (event["is_ok"], event["cycle"], event["digest"]) == (False, 0, OLD)
        assert [link["link"] for link in event["links"]] == [link.link for link in verified.links]

    @pytest.mark.slow
    def test_a_whole_chain_is_recorded_with_its_image_and_commits(self, world):
        world.end(CONDITIONS[2:])
        world.diagnose()
        world.fix()
        verified = self.verify(world)
        assert (verified.broken, verified.rerun_count) == ([], 2)
        (event,) = self.checks(world)
        assert (event["is_ok"], event["digest"], event["commits"]) == (True, NEW, ["Fix the loss"])

    @pytest.mark.slow
    def test_looking_again_at_the_diagnosis_does_not_make_the_fix_too_old(self, world):
        world.end(CONDITIONS[2:])
        world.diagnose()
        world.fix()
        world.diagnose()
        assert self.verify(world).broken == []

    @pytest.mark.slow
    def test_where_a_relaunch_alone_may_do_only_the_image_is_looked_at(self, world):
        world.end(CONDITIONS[2:], log=OUTAGE)
        world.diagnose()
        results = {link.link: link.result for link in self.verify(world).links}
        assert results == {
            "record": "skipped",
            "commit": "skipped",
            "tree": "skipped",
            "tests": "skipped",
            "digest": "ok",
            "yaml": "skipped",
        }

    def test_without_a_condition_to_run_again_there_is_nothing_to_verify(self, world):
        world.end()
        world.diagnose()
        verified = self.verify(world)
        assert (verified.rerun_count, verified.links) == (0, [])
        assert self.checks(world) == []

    @pytest.mark.slow
    def test_what_only_a_person_can_fix_is_named(self, world):
        world.end(CONDITIONS[2:], log="FileNotFoundError: [Errno 2] No such file or directory: 'splits/a'\n")
        world.diagnose()
        verified = self.verify(world)
        assert (verified.rerun_count, verified.links) == (0, [])
        (cause,) = verified.blocked
        assert cause.condition_count == 2
        done = world.type("fix", "verify", "--data", world.data)
        assert done.exit_code == 0
        assert f"{cause.root_cause_id} needs a person: 2 conditions can't be relaunched" in done.stderr

    @pytest.mark.slow
    def test_without_a_fix_the_same_image_is_required_and_the_reason_shown(self, world):
        world.end(CONDITIONS[2:])
        world.diagnose()
        (cause,) = world.events("diagnosis")[-1]["causes"]
        now = world.server.clock()
        record(world.study, cause["root_cause_id"], what="a bad node", is_without_fix=True, by="ada", now=now)
        verified = self.verify(world)
        assert verified.broken == []
        assert verified.links[0].evidence.endswith(": relaunched without a fix: a bad node (ada)")
        world.digest = NEW
        assert self.verify(world).broken == ["digest"]

    @pytest.mark.slow
    def test_a_cycle_that_was_cut_short_is_carried_on_first(self, world):
        world.end(CONDITIONS[2:])
        world.diagnose()
        append_event(
            world.store,
            RelaunchEvent(
                at=world.server.clock(),
                cycle=1,
                condition_ids=[CONDITIONS[2]],
                image=None,
                digest=None,
                former_digest=None,
            ),
        )
        with pytest.raises(RuleError, match="cycle 1 was started but has no job yet") as refusal:
            self.verify(world)
        assert refusal.value.exit_code == 21


class TestCommand:
    """As whole processes, over a recording."""

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, tmp_path_factory):
        data = tmp_path_factory.mktemp("fix")
        replay(ROOT / "data/demo", data)
        return data

    def fmon(self, *words, data):
        return subprocess.run(
            [FMON, *words, "--data", data], capture_output=True, text=True, cwd=ROOT, check=False
        )

    @pytest.mark.slow
    def test_refuses_then_plans_records_and_verifies(self, data):
        refused = self.fmon("fix", "plan", data=data)
        assert (refused.returncode, refused.stdout) == (22, "")
        assert "fmon diagnose" in refused.stderr
        assert self.fmon("diagnose", data=data).returncode == 0

        plan = json.loads(self.fmon("fix", "plan", "-o", "json", data=data).stdout)
        assert [order["category"] for order in plan["orders"]] == [
            "cuda_oom",
            "import_error",
            "data_missing",
        ]
        assert [order["needs_person"] for order in plan["orders"]] == [False, False, True]

        text = self.fmon("fix", "plan", data=data)
        assert "3 root causes of 7 failed conditions, to fix together" in text.stdout

        unknown = self.fmon("fix", "record", "cuda_oom/torc", "--what", "x", data=data)
        assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
        done = self.fmon("fix", "record", "cuda_oom/torch", "--what", "batch 1", data=data)
        assert (done.returncode, done.stdout) == (0, "")

        built = self.fmon("fix", "run", data=data)
        assert (built.returncode, built.stdout) == (2, "")
        assert "is a replay" in built.stderr

        chain = self.fmon("fix", "verify", "-o", "json", data=data)
        assert chain.returncode == 23
        links = {link["link"]: link["result"] for link in json.loads(chain.stdout)}
        assert links["digest"] == "broken"
        person, cancelled, broken = chain.stderr.splitlines()
        assert cancelled.startswith("cancelled by a person, relaunched only with --include-cancelled: ")
        assert person.startswith("data_missing/file/FileNotFoundError/a79497c8 needs a person: 1 condition")
        assert broken.startswith("fmon: F3: the chain is broken at record, ")

        nothing = self.fmon("fix", "record", "cuda_oom/torch", data=data)
        assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)
        assert "use exactly one of --what TEXT" in nothing.stderr
        left = self.fmon("fix", "record", "cuda_oom/torch", "--no-fix", "one bad node", data=data)
        assert (left.returncode, left.stdout) == (0, "")
        assert "recorded: cuda_oom/torch will be relaunched without a fix" in left.stderr
        planned = self.fmon("fix", "plan", data=data).stdout
        assert "relaunched without a fix: one bad node (" in planned
        assert "no fix recorded: import_error/" in planned
