"""fmon launch as a command: what is printed where, exit codes, the question, and going on to watch."""

import io
import subprocess

import pytest
import typer
from typer.testing import CliRunner

from fmon.cli import app as cli
from fmon.cli import launch as launching
from fmon.cli.ask import can_ask
from fmon.errors import ConfigError, LaunchError
from tests.support.commands import FMON
from tests.support.fake_skypilot import Fate
from tests.support.launching import CONFIG, launching_world


@pytest.fixture
def sky(tmp_path, monkeypatch):
    tried = launching_world(tmp_path)
    monkeypatch.setattr(launching, "dependencies", tried.dependencies)
    monkeypatch.chdir(tmp_path)
    return tried


def run(*arguments):
    return CliRunner().invoke(cli.app, ["launch", "project/experiment.yaml", *arguments])


def test_stdout_is_the_experiment_and_stderr_the_words(sky):
    done = run("--yes")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{sky.stores[-1].experiment_id}\n"
    assert "4 jobs launched, estimated at 1.84 USD; 4 of 4 conditions have a job" in done.stderr


def test_a_dry_run_prints_one_line_a_job(sky):
    done = run("--dry-run")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "dynunet-dice_ce",
        "dynunet-dice_ce_cldice",
        "sam3-dice_ce",
        "sam3-dice_ce_cldice",
    ]
    assert sky.server.jobs == []


def test_what_was_not_launched_is_refused_after_everything_else_is_said(sky):
    sky.fate = lambda submission: Fate(makes="refusal")
    done = run("--yes")
    assert isinstance(done.exception, LaunchError)
    assert "run fmon launch project/experiment.yaml to resume, nothing is launched twice" in str(
        done.exception
    )
    assert done.stdout == f"{sky.stores[-1].experiment_id}\n"


def test_watch_goes_on_with_the_experiment_that_was_launched(sky, monkeypatch):
    watched = []
    monkeypatch.setattr(
        launching, "watch", lambda *, experiment, **options: watched.append((experiment, options["queue"]))
    )
    assert run("--watch", "--yes").exit_code == 0
    assert run("--watch", "--dry-run").exit_code == 0
    assert watched == [(sky.stores[-1].experiment_id, "sky")]


def test_without_a_terminal_it_shows_the_launches_and_does_nothing(sky):
    done = run()
    assert isinstance(done.exception, ConfigError)
    assert (
        str(done.exception)
        == "no terminal to ask on; use --yes to launch or --dry-run to only show what would be done"
    )
    assert "dynunet-dice_ce EPOCHS=2 MODEL=dynunet" in done.stderr
    assert "would launch 4 jobs, estimated at 1.84 USD" in done.stderr
    assert (done.stdout, sky.stores, sky.server.jobs) == ("", [], [])


def test_on_a_terminal_it_asks_and_launches_after_a_yes(sky, person):
    asked = person(True)
    done = run()
    assert done.exit_code == 0, done.output
    assert asked == ["Launch 4 jobs?"]
    assert len(sky.server.jobs) == 4


def test_after_a_no_nothing_is_launched(sky, person):
    person(False)
    done = run()
    assert str(done.exception) == "nothing was launched: you answered no"
    assert (sky.stores, sky.server.jobs) == ([], [])


def test_ctrl_c_at_the_question_is_130(sky, person, monkeypatch):
    person()

    def interrupted(question, err):
        raise typer.Abort

    monkeypatch.setattr("typer.confirm", interrupted)
    assert run().exit_code == 130
    assert sky.server.jobs == []


def test_where_there_is_nothing_to_do_it_does_not_ask(sky, person):
    assert run("--yes").exit_code == 0
    asked = person()
    done = run()
    assert (done.exit_code, asked) == (0, [])
    assert "nothing to do" in done.stderr


def test_yes_does_not_stand_for_over_budget(sky, person):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    asked = person()
    done = run("--yes")
    assert isinstance(done.exception, ConfigError)
    assert "limits.budget_usd is 1; use --over-budget to launch 4 jobs anyway" in str(done.exception)
    assert (sky.stores, asked) == ([], [])
    assert run("--yes", "--over-budget").exit_code == 0
    assert sky.events("launch")[0]["is_over_budget_confirmed"]


def test_on_a_terminal_the_budget_is_a_question_of_its_own(sky, person):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    asked = person(True, False)
    assert str(run().exception) == "nothing was launched: you answered no"
    assert asked[0] == "Launch 4 jobs?"
    assert "limits.budget_usd is 1. Launch 4 jobs anyway?" in asked[1]
    assert sky.server.jobs == []
    asked = person(True, True)
    assert run().exit_code == 0
    assert len(asked) == 2


def test_over_budget_does_not_stand_for_yes(sky):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    assert "use --yes" in str(run("--over-budget").exception)
    assert sky.server.jobs == []


@pytest.mark.parametrize(("words", "name"), [(["--by", "anna"], "anna"), ([], "whoever")])
def test_the_audit_names_who_launched(sky, monkeypatch, words, name):
    monkeypatch.setattr("getpass.getuser", lambda: "whoever")
    run("--yes", *words)
    assert sky.events("launch")[0]["by"] == name


def test_only_where_both_streams_are_terminals_can_a_person_be_asked(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not can_ask()
    monkeypatch.setattr("sys.stderr", Terminal())
    assert can_ask()


def test_ctrl_c_is_130_and_says_how_to_carry_on(sky):
    def interrupted(submission):
        raise KeyboardInterrupt

    sky.fate = interrupted
    done = run("--yes")
    assert done.exit_code == 130
    assert "run the command again to resume, nothing is launched twice" in done.stderr


def test_without_a_server_it_is_11_in_one_sentence_and_no_experiment_is_made(tmp_path):
    launching_world(tmp_path)
    environ = {"HOME": str(tmp_path), "SKYPILOT_API_SERVER_ENDPOINT": "http://127.0.0.1:9", "PATH": ""}
    done = subprocess.run(
        [FMON, "launch", "project/experiment.yaml", "--yes"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (11, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("data/*/manifest.json")) == []
