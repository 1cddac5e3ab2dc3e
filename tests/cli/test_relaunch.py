"""fmon relaunch and fmon audit as commands: what is printed where, the question, exit codes."""

import json

import pytest
from typer.testing import CliRunner

from fmon.cli import app as cli
from fmon.errors import ConfigError, RuleError
from fmon.fix.chain import Ran
from fmon.relaunch.relaunch import relaunch
from tests.support.relaunching import Repository, Stage
from tests.support.world import CONDITIONS

FAILED = CONDITIONS[2:]
CRITERIA = 10


@pytest.fixture(scope="module")
def when_fixed(tmp_path_factory):
    world = Repository(tmp_path_factory.mktemp("fixed"))
    world.launch()
    world.end(FAILED)
    world.diagnose()
    world.fix()
    world.server.pass_time(60)
    return Stage(world)


@pytest.fixture(scope="module")
def when_worn(when_fixed):
    """Run again twice, and failed with the same each time; fixed once more."""
    world = when_fixed.again()
    for number in (1, 2):
        world.relaunch()
        world.end(FAILED)
        world.diagnose()
        world.fix("sha256:" + str(number + 1) * 64)
    return Stage(world)


@pytest.fixture
def meet(monkeypatch):
    """Let the commands meet a world's fake SkyPilot and its clock."""

    def met(world):
        monkeypatch.setattr(
            "fmon.cli.relaunch_candidate.dependencies", lambda queue, **changes: world.dependencies(**changes)
        )
        monkeypatch.setitem(
            relaunch.__kwdefaults__, "run", lambda step, command, *, folder: Ran(step, command, 0, 0.1)
        )
        return world

    return met


@pytest.fixture
def world(when_fixed, meet):
    """Two of four failed, were diagnosed and fixed."""
    return meet(when_fixed.again())


def run(world, *words):
    return CliRunner().invoke(cli.app, [*words, "--data", str(world.data)])


def test_a_dry_run_prints_a_command_a_line_and_the_words_on_stderr(world):
    done = run(world, "relaunch", "--dry-run")
    assert done.exit_code == 0, done.output
    assert [line.split()[4] for line in done.stdout.splitlines()] == list(FAILED)
    assert "cycle 1: 2 failed; about $0.12; spent so far: $0.24" in done.stderr
    assert "a dry run: nothing was changed" in done.stderr
    assert world.launched(1) == []


def test_it_asks_and_where_nobody_can_answer_it_refuses(world):
    done = run(world, "relaunch")
    assert isinstance(done.exception, ConfigError)
    assert "pass --yes to launch, or --dry-run to preview" in str(done.exception)
    assert world.launched(1) == world.events("relaunch") == []


def test_yes_launches_prints_each_job_and_says_what_comes_next(world):
    done = run(world, "relaunch", "--yes", "-o", "json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [(row["condition_id"], row["cycle"], row["result"]) for row in rows] == [
        (name, 1, "launched") for name in FAILED
    ]
    assert {row["job_id"] for row in rows} == {5, 6}
    assert f"2 launched; next: fmon watch {world.store.experiment_id}" in done.stderr


@pytest.mark.parametrize("words", [["--authorize-cycle", "3"], ["--budget", "5"]])
def test_a_cycle_is_authorized_with_a_sum_or_not_at_all(world, words):
    done = run(world, "relaunch", "--yes", *words)
    assert isinstance(done.exception, ConfigError)
    assert "belong together" in str(done.exception)


@pytest.mark.parametrize("budget", ["nan", "inf", "-1"])
def test_a_budget_that_is_no_sum_is_refused(world, budget):
    done = run(world, "relaunch", "--yes", "--authorize-cycle", "3", "--budget", budget)
    code = done.exit_code if isinstance(done.exception, SystemExit) else done.exception.exit_code
    assert code == 2
    assert world.events("cycle_authorized") == []


@pytest.mark.parametrize("output", ["table", "json"])
def test_after_two_cycles_the_report_stands_on_stdout_beside_the_refusal(when_worn, meet, output):
    done = run(meet(when_worn.again()), "relaunch", "--yes", "-o", output)
    assert isinstance(done.exception, RuleError)
    assert done.exception.exit_code == 24
    if output == "json":
        report = json.loads(done.stdout)
        assert [row["cycle"] for row in report["causes"]] == [0, 1, 2]
        assert (report["cycle"], report["condition_count"], report["estimate_usd"]) == (3, 2, 0.12)
    assert "came back in spite of its fix" in done.stdout


def test_the_audit_of_a_study_that_went_by_the_rules_holds(world):
    world.relaunch()
    world.end()
    done = run(world, "audit", "-o", "json")
    found = json.loads(done.stdout)
    assert len(found) == CRITERIA
    assert [row["evidence"] for row in found if not row["is_ok"]] == []
    assert done.exit_code == 0


def test_the_audit_exits_with_the_first_rule_that_was_not_kept(world):
    world.config.write_text(world.config.read_text().replace("[dynunet, sam3]", "[dynunet, sam3, late]"))
    done = run(world, "audit", "-o", "json")
    (broken,) = [row for row in json.loads(done.stdout) if not row["is_ok"]]
    assert (broken["criterion"], broken["rule"]) == ("F5 factorial manifest", 5)
    assert "the manifest lacks late-dice_ce, late-dice_ce_cldice of the config" in broken["evidence"]
    assert done.exit_code == 25


def test_an_audit_before_the_diagnosis_fails_for_the_failures_that_none_names(world):
    events = world.store.events.read_bytes().splitlines(keepends=True)
    world.store.events.write_bytes(b"".join(line for line in events if b'"diagnosis"' not in line))
    done = run(world, "audit")
    assert done.exit_code == 22
    assert "no diagnosis of cycle 0 names" in done.stdout
