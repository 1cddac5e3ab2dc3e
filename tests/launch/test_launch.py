"""fmon launch: gates before the first cent, the manifest first, and called again it resumes."""

import shutil
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import yaml

from fmon.clients.shell import Ran
from fmon.errors import ConfigError, LaunchError, QueueError, RegistryError
from fmon.launch.arguments import LaunchOptions
from fmon.launch.launch import launch
from fmon.manifest.file import read_manifest, write_manifest
from fmon.model import Price
from fmon.monitor.ingest import ingest
from tests.support.fake_skypilot import FINE, NO_QUOTA, OVERLOADED, FakeSubmitter, Fate, SkyPilotQueue
from tests.support.launching import CONFIG, TASK, launching_world
from tests.support.world import DIGEST


@pytest.fixture
def sky(tmp_path):
    made = launching_world(tmp_path)
    made.catalog = lambda names: {name: Price(on_demand=2.0) for name in names}
    return made


def end_jobs(sky):
    """Let all jobs end, which no poll has seen yet."""
    for job in sky.server.jobs:
        job.update(status="SUCCEEDED", start_at=job["submitted_at"], end_at=sky.server.clock().timestamp())


def test_every_condition_gets_one_job_with_its_variables_resources_and_metadata(sky):
    launched = sky.launch()
    assert len(launched.dispatched.launched) == 4
    sent = {each.job_name: yaml.safe_load(each.task_yaml) for each in sky.submitters[-1].submitted}
    sam3 = sent["sam3-dice_ce_cldice"]
    assert sam3["envs"] | {"FMON_EXPERIMENT": ""} == {
        "MODEL": "sam3", "LOSS": "dice_ce_cldice", "BATCH": "1", "EPOCHS": "2",
        "FMON_EXPERIMENT": "", "FMON_CONDITION": "sam3-dice_ce_cldice", "FMON_CYCLE": "0",
    }  # fmt: skip
    assert [task["resources"]["use_spot"] for name, task in sorted(sent.items())] == [
        True,
        True,
        False,
        False,
    ]
    tags = {"experiment": launched.experiment_id, "condition": "sam3-dice_ce_cldice", "cycle": 0}
    assert sam3["_metadata"]["fmon"] == tags


def test_the_manifest_is_written_before_the_first_launch_is_sent(sky):
    seen = []
    sky.fate = lambda submission: seen.append(len(read_manifest(sky.stores[-1]).jobs)) or FINE
    sky.launch()
    assert seen == [4] * 4


def test_manifest_and_audit_record_image_digest_cost_and_person(sky):
    sky.launch()
    manifest = read_manifest(sky.stores[-1])
    assert (manifest.docker_image, manifest.docker_digest) == ("registry/x:1", DIGEST)
    assert manifest.total_estimated_cost == pytest.approx(2 * 0.22 + 2 * 0.70)
    (event,) = sky.events("launch")
    assert (event["by"], event["digest"], event["is_bare_vm"], event["condition_count"]) == (
        "ada",
        DIGEST,
        False,
        4,
    )


def test_launching_again_does_nothing_while_jobs_are_open(sky):
    first = sky.launch()
    again = sky.launch()
    assert (again.experiment_id, again.had_count) == (first.experiment_id, 4)
    assert "nothing to do" in again.sentences()[-1]
    assert len(sky.server.jobs) == 4


def test_jobs_that_could_not_be_launched_are_named_with_15_and_launched_by_the_next_call(sky):
    sky.fate = lambda submission: Fate(makes="refusal") if "sam3" in submission.job_name else FINE
    done = sky.launch().dispatched
    with pytest.raises(
        LaunchError, match=r"2 conditions could not be launched: sam3-.*, sam3-.* \(ValueError: no\)"
    ) as said:
        done.require_all("fmon launch experiment.yaml")
    assert said.value.exit_code == 15
    sky.fate = lambda submission: FINE
    again = sky.launch()
    assert sorted(again.dispatched.launched) == ["sam3-dice_ce", "sam3-dice_ce_cldice"]
    again.dispatched.require_all("")
    assert (again.is_new, len(sky.stores), len(sky.server.jobs)) == (False, 1, 4)


def test_a_server_that_stops_answering_is_11(sky):
    sky.fate = lambda submission: Fate(is_away=True)
    with pytest.raises(QueueError, match="4 jobs left to launch") as said:
        sky.launch().dispatched.require_all("fmon launch experiment.yaml")
    assert said.value.exit_code == 11


@pytest.mark.slow
def test_a_finished_experiment_is_not_continued(sky):
    first = sky.launch().experiment_id
    end_jobs(sky)
    second = sky.launch()
    assert second.is_new
    assert second.experiment_id != first
    assert len(sky.server.jobs) == 8


@pytest.mark.slow
def test_an_interrupted_launch_is_continued_although_its_jobs_have_ended(sky):
    sky.fate = lambda submission: Fate(makes="refusal") if "sam3" in submission.job_name else FINE
    first = sky.launch().experiment_id
    end_jobs(sky)
    sky.fate = lambda submission: FINE
    assert sky.launch().experiment_id == first
    assert len(sky.server.jobs) == 4


@pytest.mark.slow
def test_an_experiment_whose_config_grew_is_continued_with_the_new_conditions(sky):
    sky.launch()
    sky.write(CONFIG.replace("[dynunet, sam3]", "[dynunet, sam3, vista]"))
    again = sky.launch()
    assert sorted(again.dispatched.launched) == ["vista-dice_ce", "vista-dice_ce_cldice"]
    assert read_manifest(sky.stores[-1]).expected_job_count == 6


def test_a_replay_of_the_same_name_is_not_continued(sky):
    first = sky.launch().experiment_id
    manifest = read_manifest(sky.stores[-1])
    manifest.is_replay = True
    write_manifest(sky.stores[-1], manifest)
    end_jobs(sky)
    assert sky.launch().experiment_id != first


def test_a_dry_run_shows_the_jobs_and_changes_nothing(sky):
    dry = sky.dry_run()
    assert len(dry.lines()) == 4
    assert dry.lines()[0].startswith(
        "sky jobs launch -n dynunet-dice_ce --env EPOCHS=2 --env MODEL=dynunet --env LOSS=dice_ce "
    )
    assert "would launch 4 jobs, estimated at 1.84 USD; nothing was changed" in dry.sentences()[-1]
    assert (sky.stores, sky.server.jobs) == ([], [])


def test_a_dry_run_needs_no_server_and_makes_no_folder(sky, monkeypatch):
    monkeypatch.setattr(SkyPilotQueue, "read", None)
    monkeypatch.setattr(sky, "open_submitter", None)
    assert len(sky.dry_run().lines()) == 4
    assert not sky.data.exists()
    assert [command for command, *_ in sky.parsed] == ["tasks"]


def test_a_dry_run_refuses_what_a_launch_would(sky):
    sky.write(CONFIG + "limits: {accelerators: [T4]}\n")
    with pytest.raises(ConfigError, match=r"L4 is not in limits\.accelerators"):
        sky.dry_run()


def test_the_preflight_commands_run_before_the_first_job_and_are_recorded(sky):
    sky.write(CONFIG + "preflight: [make check-data, make check-quota]\n")
    ran = []

    def run(step, command, *, folder):
        ran.append((step, command, len(sky.server.jobs), folder))
        return Ran(step, command, 0, 0.5)

    launch(sky.config, sky.data, sky.dependencies(run=run), LaunchOptions(by="ada"))
    assert ran == [
        ("preflight", "make check-data", 0, sky.project),
        ("preflight", "make check-quota", 0, sky.project),
    ]
    (event,) = sky.events("launch")
    assert [(each["command"], each["exit_status"]) for each in event["preflight"]] == [
        ("make check-data", 0),
        ("make check-quota", 0),
    ]


def test_a_dry_run_shows_the_preflight_commands_and_runs_none(sky):
    sky.write(CONFIG + "preflight: ['false']\n")
    done = sky.dry_run()
    assert done.sentences()[-2] == "before the first job: false"
    assert sky.stores == []


def test_a_preflight_command_that_fails_stops_the_launch(sky):
    sky.write(CONFIG + "preflight: ['false', 'true']\n")
    ran = []

    def run(step, command, *, folder):
        ran.append(command)
        return Ran(step, command, 1, 0.5)

    with sky.refused(ConfigError, "the preflight command 'false' ended with exit status 1"):
        launch(sky.config, sky.data, sky.dependencies(run=run), LaunchOptions(by="ada"))
    assert (ran, sky.stores) == (["false"], [])


def test_a_dry_run_of_a_partly_launched_experiment_shows_the_rest(sky):
    sky.fate = lambda submission: Fate(makes="refusal") if "sam3" in submission.job_name else FINE
    sky.launch()
    before = sky.files()
    assert len(sky.dry_run().lines()) == 2
    assert sky.files() == before


def test_jobs_are_submitted_as_the_config_says(sky):
    flying = []
    sky.fate = lambda submission: flying.append(len(sky.server.in_flight)) or Fate(takes_s=100.0)
    sky.write(CONFIG + "launch: {parallel: 2, per_minute: 6}\n")
    sky.launch()
    assert flying == [0, 1, 1, 1]
    sent = [datetime.fromisoformat(each["at"]) for each in sky.events("launch_intent")]
    assert min(after - before for before, after in pairwise(sent)) >= timedelta(seconds=10)


def test_an_overloaded_server_is_asked_again_as_often_as_the_config_says(sky):
    sky.fate = lambda submission: OVERLOADED
    sky.write(CONFIG + "launch: {retries: 0}\n")
    assert len(sky.launch().dispatched.queued) == 4
    assert sky.server.now_s < 10


@pytest.mark.slow
def test_what_is_queued_is_waited_for_from_each_call_of_a_person(sky):
    sky.fate = lambda submission: NO_QUOTA
    sky.write(CONFIG + "launch: {give_up_after: 12h}\n")
    sky.launch()
    until = read_manifest(sky.store).submit_until
    sky.server.pass_time(3600)
    sky.launch(resume=sky.store.experiment_id)
    assert read_manifest(sky.store).submit_until == until
    sky.launch()
    assert read_manifest(sky.store).submit_until > until + timedelta(hours=1)


def test_a_round_never_begins_a_new_experiment(sky):
    first = sky.launch().experiment_id
    end_jobs(sky)
    with pytest.raises(ConfigError, match=f"{first} has ended"):
        sky.launch(resume=first)
    assert (len(sky.stores), len(sky.server.jobs)) == (1, 4)


# Gates


def test_a_bare_vm_is_refused(sky):
    sky.write(task="resources: {accelerators: L4}\nrun: python train.py $MODEL $LOSS\n")
    with sky.refused(ConfigError, "bare VM.*--allow-bare-vm"):
        sky.launch()
    sky.launch(allow_bare_vm=True)
    assert sky.events("launch")[0]["is_bare_vm"]


def test_the_config_s_image_is_used_if_the_task_has_none_and_the_audit_says_so(sky):
    sky.write(
        CONFIG + "docker_image: registry/y:2\n",
        "resources: {accelerators: L4}\nrun: python train.py $MODEL $LOSS\n",
    )
    sky.launch()
    (event,) = sky.events("launch")
    assert (event["image"], event["digest"], event["is_bare_vm"]) == ("registry/y:2", DIGEST, True)


def test_an_image_that_its_registry_does_not_have_is_refused(sky):
    sky.digest = RegistryError("registry has no x:1")
    with sky.refused(RegistryError, "has no x:1"):
        sky.launch()


def test_an_image_that_changed_since_the_first_jobs_is_refused(sky):
    sky.fate = lambda submission: Fate(makes="refusal") if "sam3" in submission.job_name else FINE
    sky.launch()
    sky.digest = "sha256:" + "b" * 64
    with sky.refused(ConfigError, "could not be compared"):
        sky.launch()


@pytest.mark.parametrize(
    ("config", "task", "said"),
    [
        (CONFIG, TASK + "envs: {HF_TOKEN: }\n", "HF_TOKEN"),
        (CONFIG, TASK + "file_mounts: {/a: gone.txt}\n", "gone.txt"),
        (CONFIG + "limits: {accelerators: [A100]}\n", TASK, "L4 is not in limits.accelerators"),
        (CONFIG + "limits: {max_hourly_usd: 0.5}\n", TASK, "max_hourly_usd"),
    ],
)
def test_a_failed_check_is_refused_before_anything_is_created(sky, config, task, said):
    sky.write(config, task)
    with sky.refused(ConfigError, said):
        sky.launch()


def test_a_limit_that_cannot_be_checked_because_a_price_is_unknown_is_refused(sky):
    sky.catalog = lambda names: {}
    sky.write(CONFIG + "limits: {max_hourly_usd: 5}\n", TASK.replace("L4", "T4"))
    with sky.refused(ConfigError, "no price known for T4"):
        sky.launch()


def test_a_task_that_skypilot_refuses_is_a_config_error_and_one_it_could_not_parse_now_is_not(
    sky, monkeypatch
):
    def parse(self, task_yaml):
        raise error

    monkeypatch.setattr(FakeSubmitter, "parse", parse)
    error = QueueError("ValueError: no such field", error_type="ValueError")
    with sky.refused(ConfigError, "no such field"):
        sky.launch()
    error = QueueError("it took too long", error_type="Timeout")
    with sky.refused(QueueError, "could not check"):
        sky.launch()


def test_each_kind_of_resources_is_parsed_by_skypilot(sky, monkeypatch):
    parsed = []
    monkeypatch.setattr(FakeSubmitter, "parse", lambda self, text: parsed.append(yaml.safe_load(text)) or 1)
    sky.launch()
    assert [task["resources"]["use_spot"] for task in parsed] == [True, False]


@pytest.mark.parametrize("answer", [True, False])
def test_above_the_budget_it_asks(sky, answer):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    asked = []
    wish = {"confirm": lambda question: asked.append(question) or answer}
    if answer:
        sky.launch(**wish)
        assert sky.events("launch")[0]["is_over_budget_confirmed"]
    else:
        with sky.refused(ConfigError, "you answered no"):
            sky.launch(**wish)
    assert asked == ["about 1.84 USD, limits.budget_usd is 1. Launch 4 jobs anyway?"]


def test_without_a_budget_it_asks_above_20_usd(sky):
    sky.catalog = lambda names: {name: Price(on_demand=40.0, spot=40.0) for name in names}
    sky.write(CONFIG.replace("prices:", "#prices:"))
    with sky.refused(ConfigError, r"more than 20, and limits\.budget_usd is not set; use --over-budget"):
        sky.launch()


def test_above_the_budget_without_a_terminal_it_refuses(sky):
    sky.write(CONFIG + "limits: {budget_usd: 1}\n")
    with sky.refused(ConfigError, r"about 1.84 USD.*--over-budget"):
        sky.launch()


def test_open_jobs_of_another_launcher_with_these_names_are_refused(sky):
    sky.server.add("sam3-dice_ce")
    sky.server.pass_time(60)
    with sky.refused(ConfigError, r"open jobs have the names.*1 \(sam3-dice_ce\).*fmon adopt"):
        sky.launch()
    sky.server.jobs[0]["status"] = "FAILED"
    assert len(sky.launch().dispatched.launched) == 4


def test_a_second_experiment_of_a_lost_store_is_refused_while_the_first_runs(sky):
    sky.launch()
    shutil.rmtree(sky.data)
    with sky.refused(ConfigError, "open jobs have the names"):
        sky.launch()


def test_while_the_queue_is_unavailable_nothing_is_created(sky):
    sky.server.is_queue_away = lambda: True
    with sky.refused(QueueError, "away"):
        sky.launch()


def test_a_poll_attaches_the_launched_jobs_without_a_duplicate(sky):
    sky.launch()
    seen = ingest(sky.stores[-1], SkyPilotQueue(sky.server).read(), source="sky", now=sky.server.clock())
    assert (seen.own_count, seen.attached, seen.duplicates) == (4, {}, {})
