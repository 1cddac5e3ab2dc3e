"""Phase fix: the config's commands in order, up to the first that fails, behind F1 and F2."""

import subprocess
from datetime import UTC, datetime

import pytest

from fmon.chain import run_command
from fmon.errors import ConfigError, RuleError
from fmon.phases.fix import record, run_commands
from fmon.store.events import read_events
from fmon.warehouse import VIEWS, rows
from tests.studies import job, poll, study

pytestmark = pytest.mark.skipif("failure" not in VIEWS, reason="F2 needs view failure, not there yet")

NOW = datetime(2026, 3, 22, 12, 0, tzinfo=UTC)
CONFIG = """
experiment_name: study
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], fold: [0, 1, 2]}
"""
ENDED = [job(number, "SUCCEEDED") for number in range(1, 7)]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "train.yaml").write_text("run: x\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path / "experiment.yaml"


@pytest.fixture
def store(tmp_path, config):
    return study(tmp_path / "data", config_file=str(config))


def fix_run(store):
    return [(ran.step, ran.exit_status) for ran in run_commands(store.path.parent, clock=lambda: NOW)]


def events(store):
    return [(event["event"], event["step"], event.get("exit_status")) for event in read_events(store)]


def test_runs_tests_build_and_push_in_this_order_in_the_root_of_the_repository(store, config, tmp_path):
    poll(store, 20, ENDED)
    config.write_text(CONFIG + "verify: {push: pwd > pushed, tests: echo 1 >> log, build: echo 2 >> log}\n")
    assert fix_run(store) == [("tests", 0), ("build", 0), ("push", 0)]
    assert (tmp_path / "log").read_text() == "1\n2\n"
    assert (tmp_path / "pushed").read_text() == f"{tmp_path}\n"


def test_stops_at_the_first_that_fails_and_records_it(store, config, tmp_path):
    poll(store, 20, ENDED)
    config.write_text(CONFIG + "verify: {tests: 'true', build: exit 3, push: touch pushed}\n")
    assert fix_run(store) == [("tests", 0), ("build", 3)]
    assert not (tmp_path / "pushed").exists()
    assert events(store) == [
        ("fix_command_begin", "tests", None),
        ("fix_command_end", "tests", 0),
        ("fix_command_begin", "build", None),
        ("fix_command_end", "build", 3),
    ]


def test_starts_over_after_it_was_killed(store, config):
    poll(store, 20, ENDED)
    config.write_text(CONFIG + "verify: {tests: 'true', build: 'true'}\n")

    def killed(step, command, *, folder):
        if step == "build":
            raise KeyboardInterrupt
        return run_command(step, command, folder=folder)

    with pytest.raises(KeyboardInterrupt):
        list(run_commands(store.path.parent, clock=lambda: NOW, run=killed))
    assert fix_run(store) == [("tests", 0), ("build", 0)]


def test_secrets_of_a_command_are_not_stored(store, config):
    poll(store, 20, ENDED)
    config.write_text(CONFIG + "verify: {tests: 'true # ghp_%s'}\n" % ("a1B2" * 9))
    fix_run(store)
    assert "a1B2a1B2" not in store.events.read_text()


def test_without_commands_there_is_one_sentence(store, config):
    poll(store, 20, ENDED)
    config.write_text(CONFIG)
    with pytest.raises(ConfigError, match="has no commands to run; write verify:"):
        fix_run(store)


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([*ENDED[1:], job(1, "RUNNING")], 21),
        (ENDED[1:], 21),
        ([*ENDED[1:], job(1, "FAILED")], 22),
    ],
)
def test_f1_and_f2_refuse_and_nothing_is_run_or_written(store, config, tmp_path, records, code):
    poll(store, 20, records)
    config.write_text(CONFIG + "verify: {tests: touch ran}\n")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(RuleError) as refusal:
        fix_run(store)
    assert refusal.value.exit_code == code
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


class TestRecord:
    FAILED = (*ENDED[1:], job(1, "FAILED"))
    CAUSES = ("cuda_oom/torch", "code_bug/shape/ValueError/0badc0de")

    @pytest.fixture
    def examined(self, store, monkeypatch):
        """A store whose one failure was examined: its root cause is the first of CAUSES."""
        poll(store, 20, self.FAILED)
        found = [{"condition_id": "c1", "job_id": 1, "root_cause_id": self.CAUSES[0]}]
        real = rows
        monkeypatch.setattr(
            "fmon.phases.fix.rows", lambda con, sql: found if "from failure" in sql else real(con, sql)
        )
        return store

    def test_keeps_what_was_done_by_whom_without_secrets(self, examined):
        what = "batch size 2; key ghp_" + "a1B2" * 9
        record(examined.path.parent, None, self.CAUSES[0], what=what, by="ada", now=NOW)
        (event,) = read_events(examined)
        assert (event["event"], event["root_cause_id"], event["by"]) == ("fix", self.CAUSES[0], "ada")
        assert event["what"].startswith("batch size 2")
        assert "a1B2a1B2" not in event["what"]

    def test_a_cause_that_nobody_has_is_refused_with_near_ones_and_nothing_written(self, examined):
        with pytest.raises(ConfigError, match="did you mean 'cuda_oom/torch'") as refusal:
            record(examined.path.parent, None, "cuda_oom/torc", what="x", by="ada", now=NOW)
        assert refusal.value.exit_code == 2
        assert not examined.events.exists()

    def test_nothing_said_is_no_fix(self, examined):
        with pytest.raises(ConfigError, match="--what is empty"):
            record(examined.path.parent, None, self.CAUSES[0], what=" ", by="ada", now=NOW)

    def test_f1_refuses_and_nothing_is_written(self, store):
        poll(store, 20, [*ENDED[1:], job(1, "RUNNING")])
        with pytest.raises(RuleError) as refusal:
            record(store.path.parent, None, self.CAUSES[0], what="x", by="ada", now=NOW)
        assert refusal.value.exit_code == 21
        assert not store.events.exists()
