"""Measure the chain from a diagnosis to a new image: git, the test command, the registry, the YAML.

Used by ``fix verify``, and again by ``relaunch``, which does not trust an earlier verification.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fmon.clients.git import (
    changed_files,
    commits_after,
    has_changed,
    project_folder,
    text_at,
    uncommitted,
)
from fmon.clients.registry import digest_of, parse_reference
from fmon.clients.shell import run_command
from fmon.config.source import read_text
from fmon.config.task import images_of
from fmon.errors import RegistryError
from fmon.launch.preflight import image_check
from fmon.rules.f3_rebuild_before_relaunch import ASSUMED, NEEDS_NO_FIX, BuildChain, bare_vm
from fmon.yaml_values import YamlValueError, load_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from fmon.clients.git import Commit
    from fmon.clients.shell import Ran
    from fmon.config.task import Task
    from fmon.model import Experiment
    from fmon.rules.f3_rebuild_before_relaunch import RelaunchRemedy
    from fmon.study import Study

JOB_KEYS = frozenset(
    {
        *("base", "baselines", "docker_image", "envs", "fixed", "overrides", "region_config"),
        *("infrastructure", "model_overrides", "post_training", "zero_shot_baselines"),
    }
)
"""Keys of a config that change the jobs, not how they are monitored."""

DOCUMENTATION = frozenset({".md", ".rst"})
"""Suffixes of files that are documentation, like any file in a folder ``docs``."""


def measure(
    study: Study,
    relaunched: Iterable[RelaunchRemedy],
    *,
    diagnosed_at: datetime,
    run: Callable[..., Ran] = run_command,
    ask: Callable[[str], str] = digest_of,
) -> BuildChain:
    """Measure every link of F3 that these conditions require.

    Parameters
    ----------
    study
        The experiment; its failed attempts ran with ``docker_digest`` of its manifest.
    relaunched
        Remedies of the conditions to relaunch, and what was recorded about their causes.
    diagnosed_at
        When the diagnosis that the fix follows was finished [UTC].
    run
        Runs the test command.
    ask
        Returns the digest of a reference from its registry.

    Raises
    ------
    ConfigError
        The config or the task YAML can't be read, or is in no git repository.
    """
    experiment, task = study.experiment, study.task
    image = current_image(experiment, task, study.manifest.docker_image)
    digest, fault = _digest(image, ask)
    # Once a cycle has used an image, the image counts, not the bare VM.
    former = study.manifest.docker_digest
    allowed = bare_vm(study.events) if former is None else None
    causes = tuple(dict.fromkeys(relaunched))
    known = BuildChain(
        remedies=frozenset(cause.effective_remedy for cause in causes),
        causes=causes,
        max_commits=experiment.verify.max_commits,
        image=image,
        old_digest=former,
        digest=digest,
        registry_fault=fault,
        named_in=tuple(_named_in(task, image, digest)),
        assumed=ASSUMED.get(study.manifest.docker_digest_source or ""),
        bare_vm=allowed.sentence if allowed else None,
        is_bare=image_check(task, experiment.docker_image).result != "ok",
    )
    if known.remedies <= NEEDS_NO_FIX:
        return known
    project = project_folder(study.config)
    command = experiment.verify.tests
    ran = run("tests", command, folder=project) if command else None
    # Checked after the tests: files that they create would be in the next image.
    commits, before = commits_after(project, diagnosed_at)
    batch = _batch(project, commits, study)
    return replace(
        known,
        commits=tuple(commit.subject for commit in batch),
        minor_commits=tuple(commit.subject for commit in commits if commit not in batch),
        uncommitted=tuple(uncommitted(project, besides=[study.data])),
        test_command=command,
        test_status=ran.exit_status if ran else None,
        changed=tuple(_changed(project, before, study)) if before else (),
        is_empty=before is not None and not has_changed(project, before),
    )


def current_image(experiment: Experiment, task: Task, former: str | None) -> str | None:
    """Return the image that the next attempts would run with; None if there is none, or a VM image.

    Parameters
    ----------
    experiment, task
        The config and its task YAML.
    former
        The image whose digest is recorded; of several images, that of the config counts, then this one.
    """
    images = images_of(task)
    if not images:
        return experiment.docker_image
    if not all(image.startswith("docker:") for image in images):
        return None
    names = [image.removeprefix("docker:") for image in images]
    if len(names) == 1:
        return names[0]
    return next((image for image in (experiment.docker_image, former) if image in names), None)


def _batch(project: Path, commits: list[Commit], study: Study) -> list[Commit]:
    """Return the commits that count for F3: those that may change what a job does.

    If there are none, all count: a fix may be in a text that the jobs read, or outside of the project.
    """
    relevant = [
        commit
        for commit in commits
        if any(
            _is_relevant(project, commit, path, study) for path in changed_files(project, commit.commit_id)
        )
    ]
    return relevant or commits


def _is_relevant(project: Path, commit: Commit, name: str, study: Study) -> bool:
    """Return whether a changed file may change what a job does; limits in the config do not."""
    path = PurePosixPath(name)
    if path.suffix in DOCUMENTATION or "docs" in path.parts[:-1]:
        return False
    file = project.resolve() / path
    if file == study.config.resolve():
        former, later = (
            text_at(project, commit_id, file) for commit_id in (f"{commit.commit_id}^", commit.commit_id)
        )
        return None in (former, later) or _settings(former or "", JOB_KEYS) != _settings(
            later or "", JOB_KEYS
        )
    return not file.is_relative_to(study.data.resolve())


def _changed(project: Path, before: str, study: Study) -> Iterator[str]:
    """Yield the files whose settings for the jobs the fix changed; comments do not count."""
    experiment, task = study.experiment, study.task
    files: list[tuple[Path, str, frozenset[str] | None]] = [
        (task.path, task.text, None),
        (study.config, study.config_text, JOB_KEYS),
    ]
    for named, keys in ((experiment.base_file, JOB_KEYS), (experiment.region_file, None)):
        if named is not None:
            files.append((Path(named), read_text(Path(named)), keys))
    for path, text, keys in files:
        old = text_at(project, before, path)
        if old is not None and _settings(old, keys) != _settings(text, keys):
            yield path.name


def _settings(text: str, keys: frozenset[str] | None) -> Any:
    """Return the content of a YAML file, of a config only what reaches the jobs; None if it is invalid."""
    try:
        documents = load_documents(text)
    except YamlValueError:
        return None
    if keys is None:
        return documents
    return [
        {key: value for key, value in each.items() if key in keys}
        for each in documents
        if isinstance(each, dict)
    ]


def _digest(image: str | None, ask: Callable[[str], str]) -> tuple[str | None, str | None]:
    if image is None:
        return None, None
    try:
        return ask(image), None
    except RegistryError as fault:
        return None, str(fault)


def _inside(project: Path, paths: list[Path]) -> list[Path]:
    root = project.resolve()
    return [path for path in paths if path.resolve().is_relative_to(root)]


def _named_in(task: Task, image: str | None, digest: str | None) -> Iterator[str]:
    """Yield where the task YAML names the image: its image_id, or a value of envs that is this reference."""
    if image is None:
        return
    if images_of(task):
        yield "image_id"
        return
    for document in task.documents:
        envs = document.get("envs")
        for name, value in (envs if isinstance(envs, dict) else {}).items():
            if isinstance(value, str) and _is_same(value, image, digest):
                yield f"envs.{name}"


def _is_same(value: str, image: str, digest: str | None) -> bool:
    """Return whether a variable's value is the image: the same reference, or its name with its digest."""
    try:
        found, expected = parse_reference(value), parse_reference(image)
    except RegistryError:
        return False
    if found[:2] != expected[:2]:
        return False
    return found.digest == digest if found.digest else found.tag == expected.tag
