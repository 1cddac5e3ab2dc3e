"""The links of F3 measured in a real git repository, with a registry that says what a test tells it to."""

from datetime import UTC, datetime, timedelta

import pytest

from fmon.clients.git import project_folder
from fmon.clients.shell import run_command
from fmon.errors import ConfigError, RegistryError
from fmon.fix.chain import measure
from fmon.rules.f3_rebuild_before_relaunch import RelaunchRemedy, f3_links
from fmon.study import open_study
from tests.support.git import commit, git
from tests.support.studies import study
from tests.support.world import write_config

DIAGNOSED = datetime(2026, 3, 22, 12, 0, tzinfo=UTC)
CONFIG = """
experiment_name: study
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], fold: [0, 1, 2]}
docker_image: localhost:5000/study:v1
overrides: {model: {sam3: {envs: {BATCH: "2"}}}}
verify: {tests: "test -f fixed"}
"""
TASK = "envs: {IMAGE: localhost:5000/study:v1, MODEL: null, LOSS: null}\nrun: python train.py\n"


class Project:
    """A git repository with a study in a folder of it; minutes count from the diagnosis."""

    def __init__(self, root):
        self.root = root
        self.config = write_config(root / "study", CONFIG, TASK)
        self.task = self.config.with_name("train.yaml")
        self.git("init", "-q")
        self.commit("First", minute=-60)

    def git(self, *words, minute=0.0):
        git(self.root, *words, at=DIAGNOSED + timedelta(minutes=minute))

    def commit(self, message, *, minute):
        commit(self.root, message, at=DIAGNOSED + timedelta(minutes=minute))

    def fix(self, *, minute=10.0):
        (self.root / "fixed").write_text("yes")
        self.commit("Fix the loss", minute=minute)

    def write(self, name, text, *, minute):
        """Commit one file, or nothing."""
        if name is None:
            self.git("commit", "-q", "--allow-empty", "-m", "Beside", minute=minute)
            return
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.commit("Beside", minute=minute)

    def measure(self, remedies=("code",), *, ask=lambda _: "sha256:new"):
        data = self.root / "data"
        if not data.exists():
            study(data, config_file=str(self.config), docker_digest="sha256:old")
        relaunched = [RelaunchRemedy("code_bug/x", each, "mended", "ada", False) for each in remedies]
        return measure(open_study(data), relaunched, diagnosed_at=DIAGNOSED, ask=ask)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "with space")


def broken(chain):
    return [link.link for link in f3_links(chain) if link.result == "broken"]


def test_a_fix_that_is_committed_tested_pushed_and_named_passes(project):
    project.fix()
    chain = project.measure()
    assert broken(chain) == []
    assert chain.commits == ("Fix the loss",)
    assert chain.named_in == ("envs.IMAGE",)


def test_a_commit_of_before_the_diagnosis_is_no_fix(project):
    project.fix(minute=0)
    assert broken(project.measure()) == ["commit"]


def test_files_changed_or_new_break_the_tree_and_stores_and_ignored_ones_do_not(project):
    (project.root / ".gitignore").write_text("*.log\n")
    project.fix()
    (project.root / "x.log").write_text("x")
    assert project.measure().uncommitted == ()
    project.task.write_text(TASK + "# more\n")
    (project.root / "new.py").write_text("x")
    assert project.measure().uncommitted == ("study/train.yaml", "new.py")


def test_the_tests_are_run_now(project):
    project.fix()
    assert project.measure().test_status == 0
    (project.root / "fixed").unlink()
    assert broken(project.measure()) == ["tree", "tests"]


def test_a_merged_branch_is_one_commit(project):
    project.git("checkout", "-q", "-b", "fix")
    for number in range(3):
        (project.root / f"part{number}").write_text("x")
        project.commit(f"Part {number}", minute=number + 1)
    project.git("checkout", "-q", "-")
    project.git("merge", "-q", "--no-ff", "-m", "Merge the fix", "fix", minute=10)
    assert project.measure().commits == ("Merge the fix",)


@pytest.mark.slow
def test_several_commits_break_the_link_unless_the_config_allows_them(project):
    project.fix()
    (project.root / "more.py").write_text("x")
    project.commit("Fix the model", minute=11)
    chain = project.measure()
    assert chain.commits == ("Fix the model", "Fix the loss")
    assert broken(chain) == ["commit"]
    project.config.write_text(CONFIG.replace("verify: {", "verify: {max_commits: 2, "))
    project.commit("Allow two", minute=12)
    allowed = project.measure()
    assert (broken(allowed), allowed.minor_commits) == ([], ("Allow two",))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "x"),
        ("docs/figures/loss.svg", "x"),
        ("data/heartbeat.parquet", "x"),
        ("study/experiment.yaml", CONFIG + "limits: {budget_usd: 5}\n"),
        (None, ""),
    ],
)
def test_a_commit_that_cannot_change_a_job_does_not_count_beside_the_fix(project, name, text):
    project.measure()  # makes the data directory
    project.fix()
    project.write(name, text, minute=11)
    chain = project.measure()
    assert (chain.commits, chain.minor_commits) == (("Fix the loss",), ("Beside",))
    assert broken(chain) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tests/test_loss.py", "x"),
        ("requirements.txt", "x"),
        ("study/experiment.yaml", CONFIG.replace('"2"', '"1"')),
        ("study/train.yaml", TASK + "setup: pip install x\n"),
    ],
)
def test_any_other_commit_counts(project, name, text):
    project.fix()
    project.write(name, text, minute=11)
    assert project.measure().commits == ("Beside", "Fix the loss")


def test_a_merge_of_documentation_does_not_count(project):
    project.fix()
    project.git("checkout", "-q", "-b", "words", "HEAD~1")
    project.write("README.md", "x", minute=11)
    project.git("checkout", "-q", "-")
    project.git("merge", "-q", "--no-ff", "-m", "Merge the words", "words", minute=12)
    assert project.measure().commits == ("Fix the loss",)


def test_if_nothing_else_was_committed_any_commit_counts(project):
    project.write("prompt.md", "x", minute=10)
    assert project.measure().commits == ("Beside",)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('BATCH: "2"', 'BATCH: "1"', ("experiment.yaml",)),
        ("experiment_name: study", "experiment_name: study\nmax_failed_ratio: 0.5", ()),
        ("experiment_name: study", "# a word\nexperiment_name: study", ()),
    ],
)
def test_of_the_config_only_what_reaches_the_jobs_counts_as_changed(project, old, new, changed):
    project.config.write_text(CONFIG.replace(old, new))
    project.fix()
    assert project.measure(["config"]).changed == changed


def test_the_task_yaml_counts_as_changed(project):
    project.task.write_text(TASK.replace("python", "python -u"))
    project.fix()
    chain = project.measure(["config"], ask=lambda _: "sha256:old")
    assert chain.changed == ("train.yaml",)
    assert broken(chain) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("base.yaml", "EPOCHS: 2", "EPOCHS: 3", ("base.yaml",)),
        ("base.yaml", "budget_usd: 5", "budget_usd: 6", ()),
        ("regions/europe.yaml", "europe-west4", "europe-west1", ("europe.yaml",)),
    ],
)
def test_the_base_and_the_regions_of_the_config_count_too(project, file, old, new, changed):
    texts = {
        "experiment.yaml": "base: base.yaml\nregion_config: europe\n",
        "base.yaml": f"{CONFIG}fixed: {{EPOCHS: 2}}\nlimits: {{budget_usd: 5}}\n",
        "regions/europe.yaml": "regions: {gcp: {L4: [{region: europe-west4}]}}\n",
    }
    (project.root / "study/regions").mkdir()
    for name, text in texts.items():
        (project.root / "study" / name).write_text(text)
    project.commit("Stand on a base", minute=-30)
    (project.root / "study" / file).write_text(texts[file].replace(old, new))
    project.fix()
    assert project.measure(["config"]).changed == changed


@pytest.mark.parametrize(
    ("task", "named_in"),
    [
        ("run: x\n", ()),
        ("envs: {IMAGE: localhost:5000/study:v2}\nrun: x\n", ()),
        ("envs: {IMAGE: localhost:5000/study-of-others:v1}\nrun: x\n", ()),
        ("envs: {IMAGE: docker:localhost:5000/study:v1}\nrun: x\n", ("envs.IMAGE",)),
        ("envs: {IMAGE: localhost:5000/study@sha256:%s}\nrun: x\n" % ("c" * 64), ("envs.IMAGE",)),
        ("envs: {IMAGE: localhost:5000/study@sha256:%s}\nrun: x\n" % ("d" * 64), ()),
        ("resources: {image_id: docker:localhost:5000/study:v1}\nrun: x\n", ("image_id",)),
    ],
)
def test_the_task_yaml_names_the_image_exactly(project, task, named_in):
    project.task.write_text(task)
    project.fix()
    chain = project.measure(ask=lambda _: "sha256:" + "c" * 64)
    assert chain.named_in == named_in


def test_the_image_of_the_task_yaml_is_the_one_that_is_asked_for(project):
    project.task.write_text("resources: {image_id: docker:ghcr.io/a/b:2}\nrun: x\n")
    asked = []
    project.measure(ask=lambda image: asked.append(image) or "sha256:new")
    assert asked == ["ghcr.io/a/b:2"]


def test_a_registry_that_does_not_answer_breaks_the_link_with_its_reason(project):
    def ask(_):
        raise RegistryError("localhost:5000 can't be reached")

    project.fix()
    chain = project.measure(ask=ask)
    assert broken(chain) == ["digest"]
    assert f3_links(chain)[4].evidence == "localhost:5000 can't be reached"


def test_where_nothing_is_to_be_fixed_neither_git_nor_tests_are_asked(project):
    (project.root / ".git").rename(project.root / "no-git")
    chain = project.measure(["auto", "lost"], ask=lambda _: "sha256:old")
    assert broken(chain) == []
    assert chain.test_status is None


def test_without_a_repository_there_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="is not in a git repository"):
        project_folder(tmp_path / "experiment.yaml")


def test_the_repository_of_another_user_gets_the_command_of_git(project, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(
        ConfigError, match=r"another user owns it; if you trust it, run git config"
    ) as refusal:
        project_folder(project.config)
    assert str(refusal.value).endswith(f"git config --global --add safe.directory '{project.root}'")


@pytest.mark.parametrize(
    ("command", "status"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("a | b", 127)]
)
def test_a_command_of_the_config_is_a_line_for_the_shell(tmp_path, command, status):
    assert run_command("tests", command, folder=tmp_path).exit_status == status


def test_its_output_is_words_not_data(tmp_path, capfd):
    run_command("build", "echo built; echo warned >&2; pwd", folder=tmp_path)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == f"built\nwarned\n{tmp_path}\n"
