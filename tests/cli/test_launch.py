"""fmon launch as a command: what is printed where, exit codes, the question, and going on to watch."""

import getpass
import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fmon.cli import submitting
from fmon.cli.services import Services
from fmon.errors import ConfigError, LaunchError
from fmon.manifest.file import read_manifest
from tests.support.commands import FMON
from tests.support.fake_skypilot import Fate
from tests.support.launching import CONFIG, TASK, launching_world
from tests.support.queues import job
from tests.support.typed import FakeServices, typed


@pytest.fixture
def sky(tmp_path, monkeypatch):
    tried = launching_world(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tried


def run(sky, *words):
    return sky.type("launch", "project/experiment.yaml", *words)


def test_stdout_has_the_experiment_and_stderr_the_messages(sky):
    done = run(sky, "--yes")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{sky.stores[-1].experiment_id}\n"
    assert "4 jobs launched, estimated at 1.84 USD; 4 of 4 conditions have a job" in done.stderr


def test_a_dry_run_prints_one_command_per_job(sky):
    done = run(sky, "--dry-run")
    assert [line.split()[4] for line in done.stdout.splitlines()] == [
        "dynunet-dice_ce",
        "dynunet-dice_ce_cldice",
        "sam3-dice_ce",
        "sam3-dice_ce_cldice",
    ]
    assert sky.server.jobs == []


def test_jobs_that_were_not_launched_are_reported_last(sky):
    sky.fate = lambda submission: Fate(makes="refusal")
    done = run(sky, "--yes")
    assert isinstance(done.exception, LaunchError)
    assert "run fmon launch project/experiment.yaml to resume, nothing is launched twice" in str(
        done.exception
    )
    assert done.stdout == f"{sky.stores[-1].experiment_id}\n"


def test_watch_continues_with_the_launched_experiment(sky, monkeypatch):
    watched = []

    def watch(data, experiment, *, interval, rounds):
        watched.append(experiment)
        return SimpleNamespace(rows=[])

    monkeypatch.setattr(submitting, "run_watch", watch)
    assert run(sky, "--watch", "--yes").exit_code == 0
    assert run(sky, "--watch", "--dry-run").exit_code == 0
    assert watched == [sky.stores[-1].experiment_id]


def test_without_a_terminal_it_shows_the_launches_and_does_nothing(sky):
    done = run(sky)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "no terminal to ask on; use --yes to launch or --dry-run to preview"
    assert "sky jobs launch -n dynunet-dice_ce --env EPOCHS=2 --env MODEL=dynunet" in done.stderr
    assert "would launch 4 jobs, estimated at 1.84 USD" in done.stderr
    assert (done.stdout, sky.stores, sky.server.jobs) == ("", [], [])


def test_on_a_terminal_it_asks_and_launches_if_the_answer_is_yes(sky):
    asked = sky.seat(True)
    done = run(sky)
    assert done.exit_code == 0, done.output
    assert asked == ["Launch 4 jobs?"]
    assert len(sky.server.jobs) == 4


def test_if_the_answer_is_no_nothing_is_launched(sky):
    sky.seat(False)
    done = run(sky)
    assert str(done.exception) == "nothing was launched: you answered no"
    assert (sky.stores, sky.server.jobs) == ([], [])


class AtTerminal(FakeServices):
    """A person who types."""

    confirm = Services.confirm

    def can_ask(self):
        return True


@pytest.mark.parametrize(("keys", "exit_code", "job_count"), [("y\n", 0, 4), ("", 130, 0)])
def test_the_question_is_on_stderr_and_answering_ctrl_d_exits_with_130(sky, keys, exit_code, job_count):
    done = typed(AtTerminal(sky), "launch", "project/experiment.yaml", input=keys)
    assert done.exit_code == exit_code
    assert "Launch 4 jobs? [y/N]:" in done.stderr
    assert "Launch" not in done.stdout
    assert len(sky.server.jobs) == job_count


def test_with_nothing_to_do_it_does_not_ask(sky):
    assert run(sky, "--yes").exit_code == 0
    asked = sky.seat()
    done = run(sky)
    assert (done.exit_code, asked) == (0, [])
    assert "nothing to do" in done.stderr


def test_yes_does_not_imply_over_budget(sky):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    asked = sky.seat()
    done = run(sky, "--yes")
    assert isinstance(done.exception, ConfigError)
    assert "limits.budget_usd is 1; use --over-budget to launch 4 jobs anyway" in str(done.exception)
    assert (sky.stores, asked) == ([], [])
    assert run(sky, "--yes", "--over-budget").exit_code == 0
    assert sky.events("launch")[0]["is_over_budget_confirmed"]


def test_on_a_terminal_the_budget_is_a_separate_question(sky):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    asked = sky.seat(True, False)
    assert str(run(sky).exception) == "nothing was launched: you answered no"
    assert asked[0] == "Launch 4 jobs?"
    assert "limits.budget_usd is 1. Launch 4 jobs anyway?" in asked[1]
    assert sky.server.jobs == []
    asked = sky.seat(True, True)
    assert run(sky).exit_code == 0
    assert len(asked) == 2


def test_over_budget_does_not_imply_yes(sky):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    assert "use --yes" in str(run(sky, "--over-budget").exception)
    assert sky.server.jobs == []


@pytest.mark.parametrize(("words", "name"), [(["--by", "anna"], "anna"), ([], "whoever")])
def test_the_audit_names_who_launched(sky, monkeypatch, words, name):
    monkeypatch.setattr(getpass, "getuser", lambda: "whoever")
    run(sky, "--yes", *words)
    assert sky.events("launch")[0]["by"] == name


def test_a_person_is_asked_only_if_both_streams_are_terminals(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not Services().can_ask()
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert Services().can_ask()


def test_ctrl_c_is_130_and_says_how_to_resume(sky):
    def interrupted(submission):
        raise KeyboardInterrupt

    sky.fate = interrupted
    done = run(sky, "--yes")
    assert done.exit_code == 130
    assert "run the command again to resume, nothing is launched twice" in done.stderr


def test_without_a_server_it_is_11_in_one_sentence_and_no_experiment_is_created(tmp_path):
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


def test_the_task_and_the_env_file_may_be_given_on_the_command_line(sky, tmp_path):
    (tmp_path / "other.yaml").write_text(f"{TASK}secrets: {{KEY: }}\n")
    (tmp_path / "study.env").write_text("KEY=k_secret\n")
    done = run(sky, "--yes", "--task", "other.yaml", "--env-file", "study.env")
    assert done.exit_code == 0, done.output
    manifest = read_manifest(sky.store)
    assert (manifest.task, manifest.env_file) == (str(tmp_path / "other.yaml"), str(tmp_path / "study.env"))
    (submitter,) = sky.submitters
    assert all("k_secret" in each.task_yaml for each in submitter.submitted)
    assert "k_secret" not in done.output


def test_adopt_takes_another_task_too(sky, tmp_path):
    sky.server.jobs.append(job(1, "dynunet-dice_ce"))
    sky.task.rename(tmp_path / "other.yaml")
    done = sky.type("adopt", "project/experiment.yaml")
    assert "train.yaml does not exist; fmon relaunch needs it (skypilot_yaml" in done.stderr
    done = sky.type("adopt", "project/experiment.yaml", "--task", "other.yaml")
    assert (done.exit_code, "does not exist" in done.stderr) == (0, False)
    assert read_manifest(sky.store).task == str(tmp_path / "other.yaml")
