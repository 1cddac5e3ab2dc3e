"""The registry client against Debian's docker-registry and skopeo: a moved tag has another digest."""

import json
import shutil
import time
from datetime import UTC, datetime

import pytest

from fmon.clients.registry import digest_of
from fmon.errors import RegistryError
from tests.e2e.images import image, push
from tests.support.commands import fmon
from tests.support.git import git

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def no_login(tmp_path, monkeypatch):
    """No credentials of the developer's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def test_a_moved_tag_has_another_digest_and_the_old_one_is_still_there(registry, tmp_path):
    reference = f"{registry}/study/train:v1"
    first = push(image(tmp_path / "first", "stale"), reference)
    assert digest_of(reference) == first
    second = push(image(tmp_path / "second", "fixed"), reference)
    assert digest_of(reference) == second != first
    assert digest_of(f"docker:{registry}/study/train@{first}") == first


def test_the_digest_of_an_index_is_its_own(registry, tmp_path):
    digest = push(image(tmp_path / "several", "all", is_index=True), f"{registry}/several:1")
    assert digest_of(f"{registry}/several:1") == digest


@pytest.mark.parametrize("reference", ["study/train:never", "nothing:1", "study/train@sha256:" + "0" * 64])
def test_what_was_never_pushed_is_not_there(registry, reference):
    with pytest.raises(RegistryError, match="has no image"):
        digest_of(f"{registry}/{reference}")


class TestAdopted:
    """Jobs that fmon did not launch pass F3, whatever the registry says when."""

    CONFIG = """\
experiment_name: adopted
skypilot_yaml: train.yaml
factors: {m: [a, b]}
prices: {L4: {spot: 0.20, on_demand: 1.00}}
expect: {minutes: 60}
"""
    REASON = "Cluster was preempted and could not be recovered"

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SKYPILOT_USER_ID", "aaaa1111")
        (tmp_path / "e.yaml").write_text(self.CONFIG)
        git(tmp_path, "init", "-q", at=datetime.now(UTC))
        return tmp_path

    def write(self, folder, image):
        task = f"resources: {{accelerators: L4, image_id: 'docker:{image}'}}\nrun: echo $M\n"
        (folder / "train.yaml").write_text(task)

    def queue(self, folder, **statuses):
        """Write the queue, an hour after the jobs were submitted."""
        now = time.time()
        ended = {"end_at": now - 60, "failure_reason": self.REASON}
        jobs = [
            {
                "job_id": number,
                "job_name": name,
                "status": status,
                "user_hash": "aaaa1111",
                "submitted_at": now - 3600,
                "start_at": now - 3500,
                "resources": "1x[L4:1]",
                **(ended if status != "RUNNING" else {}),
            }
            for number, (name, status) in enumerate(statuses.items(), start=1)
        ]
        (folder / "q.json").write_text(json.dumps(jobs))

    def fmon(self, folder, *words, code=0):
        done = fmon(*words, "--data", "d", cwd=folder)
        assert done.returncode == code, done.stderr
        return f"{' '.join(done.stdout.split())}\n{done.stderr}"

    def fail(self, folder):
        """Adopt two jobs; b then fails by a preemption."""
        self.queue(folder, a="RUNNING", b="RUNNING")
        said = self.fmon(folder, "adopt", "e.yaml", "--queue", "file:q.json")
        self.queue(folder, a="SUCCEEDED", b="FAILED_NO_RESOURCE")
        self.fmon(folder, "poll", "--queue", "file:q.json")
        self.fmon(folder, "diagnose", "--queue", "file:q.json")
        return said

    def relaunched(self, folder):
        return self.fmon(folder, "relaunch", "--queue", "file:q.json", "--dry-run")

    def test_a_digest_that_was_not_there_at_adoption_is_recorded_by_the_first_fix_verify(
        self, registry, folder
    ):
        image_name = f"{registry}/study/adopted"
        self.write(folder, f"{image_name}:v1")
        assert "the first fmon fix verify that reaches the registry records it" in self.fail(folder)
        assert "has no image" in self.fmon(folder, "fix", "verify", code=23)
        first = push(image(folder / "first", "first"), f"{image_name}:v1")
        verified = self.fmon(folder, "fix", "verify")
        assert f"{first}, assumed at the first fix verify that reached the registry" in verified
        assert "sky jobs launch -n b " in self.relaunched(folder)
        push(image(folder / "second", "second"), f"{image_name}:v1")
        moved = self.fmon(folder, "fix", "verify", code=23)
        assert f"name the former one in the task YAML or in docker_image: {image_name}@{first}" in moved
        self.write(folder, f"{image_name}@{first}")
        assert "sky jobs launch -n b " in self.relaunched(folder)

    def test_the_digest_of_a_tag_is_assumed_and_a_pinned_one_is_certain(self, registry, folder):
        reference = f"{registry}/study/tagged:v1"
        digest = push(image(folder / "first", "first"), reference)
        self.write(folder, reference)
        assert f"{reference} is now {digest}; recorded as the image of the adopted jobs" in self.fail(folder)
        assert f"{digest}, assumed at adoption" in self.fmon(folder, "fix", "verify")
        assert "image was assumed at adoption at " in self.fmon(folder, "audit")
        assert "sky jobs launch -n b " in self.relaunched(folder)
        shutil.rmtree(folder / "d")
        self.write(folder, f"{reference}@{digest}")
        self.fail(folder)
        assert "assumed" not in self.fmon(folder, "fix", "verify") + self.fmon(folder, "audit")
        assert "sky jobs launch -n b " in self.relaunched(folder)
