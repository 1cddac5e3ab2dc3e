"""Adopting matches the recorded variables first, and names where nothing is recorded."""

import pytest

from fmon.errors import ConfigError, QueueError, RegistryError
from fmon.launch import adopt as adopting
from fmon.manifest.file import read_manifest
from fmon.monitor.ingest import ingest
from fmon.monitor.poll import poll
from fmon.store.folder import find, stores
from tests.support.events import written_events
from tests.support.queries import select
from tests.support.queues import NAMES, START, FakeQueue, ended, job
from tests.support.recorded import DEBUG, DEPRECATED, recorded, study_jobs
from tests.support.world import CONFIG, DIGEST, write_config


@pytest.fixture(autouse=True)
def me(monkeypatch):
    """Who runs fmon."""
    monkeypatch.setenv("SKYPILOT_USER_ID", "aaaa1111")


def adopt(config, queue, data, **options):
    """Adopt without asking SkyPilot's catalog."""
    return adopting.adopt(config, queue, data, catalog=lambda names: {}, **options)


def envs_of(name):
    model, _, loss = name.partition("-")
    return {"MODEL": model, "LOSS": loss}


RUNNING = [recorded(number, name, envs_of(name)) for number, name in enumerate(NAMES, start=1)]


def entries(data):
    return {entry.condition: entry.job_id for entry in read_manifest(find(data)).jobs}


class TestTheStudysTwoDebugConfigs:
    """They give the same 34 names with different variables."""

    def test_the_right_one_adopts_all(self, data):
        adopted = adopt(DEBUG, FakeQueue(study_jobs("debug")), data, now=START)
        assert len(adopted.attached) == 34
        assert (adopted.missing, adopted.rejected, adopted.strangers) == ([], [], [])

    @pytest.mark.parametrize(("config", "launched_with"), [(DEPRECATED, "debug"), (DEBUG, "debug_factorial")])
    def test_the_wrong_one_is_refused_with_the_variables(self, data, config, launched_with):
        with pytest.raises(ConfigError) as refused:
            adopt(config, FakeQueue(study_jobs(launched_with)), data, now=START)
        assert stores(data) == []
        assert "is not the config of these jobs: 17 of the 34 conditions" in str(refused.value)
        levels = "model_family=sam3_topolora (8 jobs), model_family=sam3_hybrid (8 jobs)"
        assert f"every job of {levels} and 1 more have different values of" in str(refused.value)
        assert "BATCH_SIZE, GRAD_ACCUM_STEPS, GRADIENT_CHECKPOINTING" in str(refused.value)

    def test_the_wrong_one_is_refused_for_jobs_that_were_adopted_before(self, data):
        queue = FakeQueue(study_jobs("debug"))
        adopt(DEBUG, queue, data, now=START)
        before = find(data).manifest.read_bytes()
        with pytest.raises(ConfigError, match="is not the config of these jobs"):
            adopt(DEPRECATED, queue, data, now=START)
        assert find(data).manifest.read_bytes() == before

    @pytest.mark.slow
    def test_of_two_launches_with_the_same_names_the_configs_own_is_adopted(self, data):
        jobs = [*study_jobs("debug"), *study_jobs("debug_factorial", first_id=101)]
        adopted = adopt(DEBUG, FakeQueue(jobs), data, now=START)
        assert len(adopted.attached) == 34
        assert len(adopted.rejected) == 17
        assert adopted.attached["sam3_hybrid-dice_ce-true-0"] < 100


def test_a_single_job_with_another_value_is_left_out_and_stays_out(config, data):
    wrong = recorded(1, NAMES[0], {"MODEL": "dynunet", "LOSS": "focal"})
    queue = FakeQueue([wrong, *RUNNING[1:]])
    adopted = adopt(config, queue, data, now=START)
    assert adopted.missing == [NAMES[0]]
    assert adopted.rejected == [
        "job 1 (dynunet-dice_ce) is not adopted: it has the name of a condition, but different values of LOSS"
    ]
    assert "focal" not in " ".join(adopted.sentences())
    seen = ingest(find(data), queue.read(), source="sky", now=START)
    assert (seen.attached, seen.duplicates) == ({}, {})
    assert entries(data)[NAMES[0]] is None
    adopted = adopt(config, FakeQueue(RUNNING), data, now=START)  # its variables were read wrongly before
    assert entries(data)[NAMES[0]] == 1


def test_nothing_is_adopted_if_no_job_agrees(config, data):
    other = [recorded(number, name, {"MODEL": "x", "LOSS": "y"}) for number, name in enumerate(NAMES)]
    with pytest.raises(ConfigError, match=r"every one of them has different values of MODEL, LOSS"):
        adopt(config, FakeQueue(other), data, now=START)
    assert stores(data) == []


@pytest.mark.slow
def test_a_job_of_another_name_is_adopted_by_its_variables(config, data):
    jobs = [recorded(number, "train", envs_of(name)) for number, name in enumerate(NAMES, start=1)]
    queue = FakeQueue([*jobs, recorded(9, "other", {"MODEL": "dynunet", "LOSS": "focal"})])
    adopted = adopt(config, queue, data, now=START)
    assert entries(data) == dict(zip(NAMES, (1, 2, 3, 4), strict=True))
    assert adopted.strangers == ["other"]
    assert "4 jobs were adopted by their variables: train as dynunet-dice_ce" in " ".join(adopted.sentences())
    polled = poll(data, queue, now=START)
    assert [seen.duplicates for seen in polled.observed] == [{}]
    assert select(data, "select state, count(*)::bigint as n from condition group by all") == [
        {"state": "running", "n": 4}
    ]
    again = adopt(config, queue, data, now=START)
    assert (again.is_new, again.attached, len(stores(data))) == (False, {}, 1)


def test_jobs_of_different_names_with_the_same_variables_are_not_guessed_between(config, data):
    jobs = [*RUNNING[1:], recorded(7, "a", envs_of(NAMES[0])), recorded(8, "b", envs_of(NAMES[0]))]
    adopted = adopt(config, FakeQueue(jobs), data, now=START)
    assert adopted.missing == [NAMES[0]]
    assert adopted.strangers == ["a", "b"]


def test_a_job_of_another_name_does_not_replace_one_that_has_the_name(config, data):
    adopted = adopt(config, FakeQueue([*RUNNING, recorded(9, "smoke", envs_of(NAMES[0]))]), data, now=START)
    assert (adopted.attached[NAMES[0]], adopted.by_variables) == (1, {})


def test_jobs_without_recorded_variables_are_matched_by_name(config, data):
    jobs = [job(number, name) for number, name in enumerate(NAMES, start=1)]
    assert len(adopt(config, FakeQueue(jobs), data, now=START).attached) == 4


def test_only_jobs_with_the_names_are_asked_about_if_they_are_all_there(config, data):
    queue = FakeQueue([*RUNNING, job(9, "other")])
    adopt(config, queue, data, now=START)
    assert queue.asked == [[1, 2, 3, 4]]


def test_names_decide_with_a_warning_where_variables_can_not_be_read(config, data):
    queue = FakeQueue(RUNNING)
    queue.specs_error = QueueError("too busy", error_type="Timeout")
    adopted = adopt(config, queue, data, now=START)
    assert len(adopted.attached) == 4
    assert "matched by name only: their variables could not be read (too busy)" in adopted.warnings[0]


def test_other_users_and_older_jobs_do_not_contradict(config, data):
    theirs = [
        recorded(n, name, {"MODEL": "x", "LOSS": "y"}, user_hash="bbbb2222") for n, name in enumerate(NAMES)
    ]
    ours = [{**record, "job_id": record["job_id"] + 10, "user_hash": "aaaa1111"} for record in RUNNING]
    old = [recorded(n + 20, name, {"MODEL": "x", "LOSS": "y"}, minutes=-60) for n, name in enumerate(NAMES)]
    adopted = adopt(config, FakeQueue([*theirs, *ours, *old]), data, since=START, now=START)
    assert (len(adopted.attached), adopted.rejected) == (4, [])


class TestImage:
    """F3 needs the digest that the failed attempts ran with."""

    def test_its_digest_now_is_recorded_once(self, config, data):
        adopted = adopt(config, FakeQueue(RUNNING), data, now=START, digest_of=lambda image: DIGEST)
        assert read_manifest(find(data)).docker_digest == DIGEST
        assert any(f"train:1 is now {DIGEST}" in warning for warning in adopted.warnings)
        assert written_events(find(data))[0]["digest"] == DIGEST
        adopt(config, FakeQueue(RUNNING), data, now=START, digest_of=lambda image: "sha256:" + "b" * 64)
        assert read_manifest(find(data)).docker_digest == DIGEST

    def test_a_registry_that_does_not_answer_stops_nothing(self, config, data):
        def away(image):
            raise RegistryError("registry unreachable")

        adopted = adopt(config, FakeQueue(RUNNING), data, now=START, digest_of=away)
        assert len(adopted.attached) == 4
        assert read_manifest(find(data)).docker_digest is None
        said = (
            "not recorded (registry unreachable); the first fmon fix verify that reaches the registry records"
        )
        assert any(said in warning for warning in adopted.warnings)

    def test_it_is_marked_as_assumed(self, config, data):
        adopt(config, FakeQueue(RUNNING), data, now=START, digest_of=lambda image: DIGEST)
        assert read_manifest(find(data)).docker_digest_source == "assumed_at_adoption"
        assert written_events(find(data))[0]["is_digest_assumed"]

    def test_adopting_again_records_a_digest_that_the_registry_did_not_return_before(self, config, data):
        adopt(config, FakeQueue(RUNNING), data, now=START)
        adopt(config, FakeQueue(RUNNING), data, now=START, digest_of=lambda image: DIGEST)
        manifest = read_manifest(find(data))
        assert (manifest.docker_digest, manifest.docker_digest_source) == (DIGEST, "assumed_at_adoption")
        assert [event.get("digest") for event in written_events(find(data), "adopt")] == [None, DIGEST]

    @pytest.mark.parametrize("has_file", [True, False])
    def test_a_pinned_digest_is_certain_and_not_requested(self, config, data, has_file):
        task = f"resources: {{image_id: 'docker:registry.example/train:1@{DIGEST}'}}\nrun: x\n"
        jobs = [recorded(number, name, envs_of(name)) for number, name in enumerate(NAMES, start=1)]
        if has_file:  # it counts only if nothing is recorded
            (config.parent / "train.yaml").write_text(task)
            jobs = [job(number, name) for number, name in enumerate(NAMES, start=1)]
        else:
            for each in jobs:
                each["user_yaml"] = task
        asked = []
        adopt(config, FakeQueue(jobs), data, now=START, digest_of=asked.append)
        manifest = read_manifest(find(data))
        assert (manifest.docker_digest, manifest.docker_digest_source) == (DIGEST, "pinned")
        assert manifest.docker_image == f"registry.example/train:1@{DIGEST}"
        assert "is_digest_assumed" not in written_events(find(data))[0]
        assert asked == []

    def test_the_jobs_run_with_what_skypilot_recorded_not_with_a_changed_file(self, config, data):
        (config.parent / "train.yaml").write_text("resources: {image_id: 'docker:x:2'}\nrun: x\n")
        adopt(config, FakeQueue(RUNNING), data, now=START)
        assert read_manifest(find(data)).docker_image == "registry.example/train:1"

    def test_of_several_the_newest_jobs_counts_and_all_are_named(self, config, data):
        newer = recorded(4, NAMES[3], envs_of(NAMES[3]))
        newer["user_yaml"] = newer["user_yaml"].replace("train:1", "train:2")
        adopted = adopt(config, FakeQueue([*RUNNING[:3], newer]), data, now=START)
        assert read_manifest(find(data)).docker_image == "registry.example/train:2"
        several = "several images (registry.example/train:2, registry.example/train:1)"
        assert any(several in warning for warning in adopted.warnings)

    def test_it_is_that_of_the_recorded_task_where_there_is_no_file(self, tmp_path, data):
        config = write_config(tmp_path / "config", CONFIG)
        (config.parent / "train.yaml").unlink()
        adopted = adopt(config, FakeQueue(RUNNING), data, now=START)
        assert read_manifest(find(data)).docker_image == "registry.example/train:1"
        assert "train.yaml does not exist; fmon relaunch needs it" in adopted.warnings[0]


def test_a_task_that_is_named_on_the_command_line_must_exist(config, data, tmp_path):
    with pytest.raises(ConfigError, match="does not exist; pass its path with --task"):
        adopt(config, FakeQueue(RUNNING), data, task_file=tmp_path / "none.yaml", now=START)


def test_retries_of_one_condition_by_variables_are_earlier_attempts(config, data):
    retry = [
        ended(recorded(1, "train", envs_of(NAMES[0])), "FAILED"),
        recorded(9, "train", envs_of(NAMES[0])),
    ]
    adopted = adopt(config, FakeQueue([*retry, *RUNNING[1:]]), data, now=START)
    assert (adopted.attached[NAMES[0]], adopted.superseded) == (9, [1])
