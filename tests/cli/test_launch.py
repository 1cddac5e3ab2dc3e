"""fmon launch as a command: what is printed where, exit codes, the question, and going on to watch."""

import io
import subprocess

import pytest
from typer.testing import CliRunner

from fmon.cli import app as cli
from fmon.cli import launch as launching
from fmon.errors import LaunchError
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
    done = run()
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
    done = run()
    assert isinstance(done.exception, LaunchError)
    assert "fmon launch project/experiment.yaml resumes and launches nothing twice" in str(done.exception)
    assert done.stdout == f"{sky.stores[-1].experiment_id}\n"


def test_watch_goes_on_with_the_experiment_that_was_launched(sky, monkeypatch):
    watched = []
    monkeypatch.setattr(
        launching, "watch", lambda experiment, **options: watched.append((experiment, options["queue"]))
    )
    assert run("--watch").exit_code == 0
    assert run("--watch", "--dry-run").exit_code == 0
    assert watched == [(sky.stores[-1].experiment_id, "sky")]


def test_yes_answers_the_question_about_the_budget(sky):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    assert "--yes" in str(run().exception)
    assert sky.stores == []
    assert run("--yes").exit_code == 0


def test_only_who_sits_at_a_terminal_is_asked(monkeypatch):
    assert launching.asking(yes=False) is None

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    monkeypatch.setattr("sys.stderr", Terminal())
    assert launching.asking(yes=False)("Launch 4 jobs?")


def test_ctrl_c_is_130_and_says_how_to_carry_on(sky):
    def interrupted(submission):
        raise KeyboardInterrupt

    sky.fate = interrupted
    done = run()
    assert done.exit_code == 130
    assert "resumes and launches nothing twice" in done.stderr


def test_without_a_server_it_is_11_in_one_sentence_and_no_experiment_is_made(tmp_path):
    launching_world(tmp_path)
    environ = {"HOME": str(tmp_path), "SKYPILOT_API_SERVER_ENDPOINT": "http://127.0.0.1:9", "PATH": ""}
    done = subprocess.run(
        [FMON, "launch", "project/experiment.yaml"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (11, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("data/*/manifest.json")) == []
