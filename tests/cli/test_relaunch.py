"""fmon relaunch and fmon audit as commands: what is printed where, the question, exit codes."""

import json
import sys

import pytest

from fmon.cli import app
from fmon.cli.entry import main
from fmon.errors import ConfigError, RuleError
from tests.support.relaunching import OLD, Repository, Stage
from tests.support.world import CONDITIONS

pytestmark = pytest.mark.slow

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
def world(when_fixed):
    """Two of four failed, were diagnosed and fixed."""
    return when_fixed.again()


def run(world, *words):
    return world.type(*words, "--data", world.data)


def test_a_dry_run_prints_one_command_per_line_and_messages_on_stderr(world):
    done = run(world, "relaunch", "--dry-run")
    assert done.exit_code == 0, done.output
    assert [line.split()[4] for line in done.stdout.splitlines()] == list(FAILED)
    assert "cycle 1: 2 failed; about $0.12; spent so far: $0.24" in done.stderr
    assert "dry run: nothing was changed" in done.stderr
    assert world.launched(1) == []


def test_a_broken_chain_is_printed_one_link_per_line(world, monkeypatch, capfd):
    world.digest = OLD
    monkeypatch.setattr(app, "app", lambda: world.relaunch())
    monkeypatch.setattr(sys, "argv", ["fmon", "relaunch"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 23
    first, link = capfd.readouterr().err.splitlines()
    assert first.startswith("fmon: F3: the chain from diagnosis to image is broken at digest; ")
    assert link.startswith("digest: ")


def test_without_a_terminal_it_shows_the_launches_and_does_nothing(world):
    done = run(world, "relaunch")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "no terminal to ask on; use --yes to launch or --dry-run to preview"
    assert "sky jobs launch -n sam3-dice_ce" in done.stderr
    assert (done.stdout, world.launched(1), world.events("relaunch")) == ("", [], [])


@pytest.mark.slow
def test_on_a_terminal_it_asks(world):
    asked = world.seat(False, True)
    assert str(run(world, "relaunch").exception) == "nothing was launched: you answered no"
    assert world.launched(1) == world.events("relaunch") == []
    assert run(world, "relaunch", "--by", "anna").exit_code == 0
    assert asked == ["Launch 2 jobs?"] * 2
    assert world.launched(1) == sorted(FAILED)
    assert world.events("relaunch")[0]["by"] == "anna"


def test_only_selected_candidates_run_and_the_others_are_named(world):
    done = run(world, "relaunch", "--yes", "loss=dice_ce", "dynunet-dice_ce")
    assert done.exit_code == 0, done.output
    assert world.launched(1) == ["sam3-dice_ce"]
    assert "not selected, left out: sam3-dice_ce_cldice" in done.stderr
    assert "selected, but there is nothing to relaunch: dynunet-dice_ce" in done.stderr


@pytest.mark.slow
def test_fix_verify_names_the_relaunch_of_the_same_selection(world):
    done = run(world, "fix", "verify", "loss=dice_ce", "--include-cancelled")
    assert done.exit_code == 0, done.output
    assert "not selected, left out: sam3-dice_ce_cldice" in done.stderr
    assert (
        "the chain is intact for 1 condition; next: fmon relaunch loss=dice_ce --include-cancelled --dry-run"
    ) in done.stderr


def test_a_selection_without_a_candidate_is_nothing_to_do(world):
    asked = world.seat()
    done = run(world, "relaunch", "state=succeeded")
    assert (done.exit_code, asked, world.launched(1)) == (0, [], [])
    assert "nothing to relaunch" in done.stderr


def with_budget(world, usd):
    """0.24 USD are spent, and two more jobs cost 0.12."""
    world.config.write_text(world.config.read_text() + f"limits: {{budget_usd: {usd}}}\n")
    world.fix()


def test_a_cycle_within_the_budget_needs_no_further_confirmation(world):
    with_budget(world, 0.37)
    assert run(world, "relaunch", "--yes").exit_code == 0
    assert "is_over_budget_confirmed" not in world.events("relaunch")[0]


@pytest.mark.slow
def test_a_cycle_beyond_the_budget_is_refused_or_asked_about(world):
    with_budget(world, 0.30)
    sums = "cycle 1 costs about $0.12 on top of $0.24 spent so far: $0.36 in total; limits.budget_usd is 0.3"
    shown = run(world, "relaunch", "--dry-run")
    assert shown.exit_code == 0
    assert f"over budget: {sums}" in shown.stderr
    done = run(world, "relaunch", "--yes")
    assert f"{sums}; use --over-budget to launch 2 jobs anyway" in str(done.exception)
    asked = world.seat(True, False)
    assert run(world, "relaunch").exception.exit_code == 2
    assert "Launch 2 jobs anyway?" in asked[1]
    assert world.launched(1) == world.events("relaunch") == []
    assert run(world, "relaunch", "--yes", "--over-budget").exit_code == 0
    assert world.events("relaunch")[0]["is_over_budget_confirmed"]


def test_yes_launches_and_prints_each_job_and_the_next_command(world):
    done = run(world, "relaunch", "--yes", "-o", "json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [(row["condition_id"], row["cycle"], row["result"]) for row in rows] == [
        (name, 1, "launched") for name in FAILED
    ]
    assert {row["job_id"] for row in rows} == {5, 6}
    assert f"2 launched; next: fmon watch -e {world.store.experiment_id}" in done.stderr


@pytest.mark.parametrize("words", [["--authorize-cycle", "3"], ["--budget", "5"]])
def test_a_cycle_is_authorized_only_with_a_budget(world, words):
    done = run(world, "relaunch", "--yes", *words)
    assert isinstance(done.exception, ConfigError)
    assert "must be used together" in str(done.exception)


@pytest.mark.parametrize("budget", ["nan", "inf", "-1"])
def test_an_invalid_budget_is_refused(world, budget):
    done = run(world, "relaunch", "--yes", "--authorize-cycle", "3", "--budget", budget)
    code = done.exit_code if isinstance(done.exception, SystemExit) else done.exception.exit_code
    assert code == 2
    assert world.events("cycle_authorized") == []


@pytest.mark.parametrize("output", ["table", "json"])
def test_after_two_cycles_the_report_is_on_stdout_and_the_refusal_on_stderr(when_worn, output):
    done = run(when_worn.again(), "relaunch", "--yes", "-o", output)
    assert isinstance(done.exception, RuleError)
    assert done.exception.exit_code == 24
    if output == "json":
        report = json.loads(done.stdout)
        assert [row["cycle"] for row in report["causes"]] == [0, 1, 2]
        assert (report["cycle"], report["condition_count"], report["estimate_usd"]) == (3, 2, 0.1206)
    assert "came back despite its fix" in done.stdout


@pytest.mark.slow
def test_the_audit_of_a_study_that_followed_the_rules_passes(world):
    world.relaunch()
    world.end()
    done = run(world, "audit", "-o", "json")
    found = json.loads(done.stdout)
    assert len(found) == CRITERIA
    assert {row["result"] for row in found} == {"pass"}
    assert done.exit_code == 0


def test_the_audit_exits_with_the_first_rule_that_was_not_followed(world):
    world.config.write_text(world.config.read_text().replace("[dynunet, sam3]", "[dynunet, sam3, late]"))
    done = run(world, "audit", "-o", "json")
    (broken,) = [row for row in json.loads(done.stdout) if not row["is_ok"]]
    assert (broken["criterion"], broken["rule"]) == ("F5 factorial manifest", 5)
    assert "the manifest lacks late-dice_ce, late-dice_ce_cldice of the config" in broken["evidence"]
    assert done.exit_code == 25


def test_the_audit_of_a_study_without_a_relaunch_says_so(world):
    done = run(world, "audit")
    assert done.exit_code == 0
    rows = [line for line in done.stdout.splitlines() if "did_not_happen" in line]
    assert len(rows) == 4
    assert all(row.endswith("no relaunch happened") for row in rows)


def test_an_audit_before_the_diagnosis_fails_because_no_diagnosis_names_the_failures(world):
    events = world.store.events.read_bytes().splitlines(keepends=True)
    world.store.events.write_bytes(b"".join(line for line in events if b'"diagnosis"' not in line))
    done = run(world, "audit")
    assert done.exit_code == 22
    assert "no diagnosis of cycle 0 names" in done.stdout
