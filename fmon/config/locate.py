"""Find the files that a config names: its task YAML and its regions."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fmon.config.base import Layers
from fmon.config.shape import shown
from fmon.config.source import Source, is_file, is_folder, without_dots
from fmon.errors import ConfigError
from fmon.text import cut

REGIONS = Path("configs/cloud/regions")
"""Where the study keeps its region files, from the root of its repository."""


def task_path(layers: Layers, given: Path | None, *, is_needed: bool) -> str:
    """Return the path of the task YAML, relative to the config's folder.

    In order of precedence: ``--task``, ``skypilot_yaml``, and the study's ``infrastructure.skypilot_yaml``,
    which is relative to the root of its repository: it is looked for in the parent folders as well.

    Parameters
    ----------
    layers
        The config.
    given
        The path given with ``--task``, relative to the current folder.
    is_needed
        Whether it must exist.

    Raises
    ------
    ConfigError
        It is needed and does not exist, or none is named.
    """
    source, study = layers.source, layers.study
    own_folder = _folder_of(source)
    if given is not None:
        _check_given(given, is_needed=is_needed)
        return os.path.relpath(given.absolute(), own_folder)
    file, loc = source, ["skypilot_yaml"]
    if (written := source.value.get("skypilot_yaml") or "") and isinstance(written, str):
        if "skypilot_yaml" not in source.raw and source.base:
            file = source.base
        folders = [_folder_of(file)]
    elif study and (written := study.infrastructure("skypilot_yaml") or ""):
        folders = list(_up_to_root(_folder_of(study.source)))
        file, loc = study.source, ["infrastructure", "skypilot_yaml"]
    elif not is_needed:
        return "train.yaml"
    else:
        message = "the config has no task YAML; add skypilot_yaml, or use --task TASK.yaml"
        raise source.fault(message)
    for folder in folders:
        if is_file(folder / written):
            return os.path.relpath(folder / written, own_folder)
    if is_needed:
        if is_folder(folders[0] / written):
            message = f"the task YAML {shown(written)} is a directory; write the path of a file in it"
            raise file.fault(message, *loc)
        message = (
            f"the task YAML {shown(written)} is not in {folders[0]}"
            + (" or a folder above it" if len(folders) > 1 else "")
            + "; write its path relative to the config's folder, or use --task TASK.yaml"
        )
        raise file.fault(message, *loc)
    return written


def _check_given(given: Path, *, is_needed: bool) -> None:
    """Refuse a path given with ``--task`` that is a directory or, if a file is needed, is none."""
    if is_folder(given):
        message = f"the task YAML {given} is a directory; pass the path of a file with --task"
        raise ConfigError(message)
    if is_needed and not is_file(given):
        message = f"the task YAML {cut(str(given), 200)} does not exist; pass its path with --task"
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class Regions:
    """A file of regions that a config names.

    Attributes
    ----------
    name
        Its name.
    file
        Its path; None = it does not exist.
    searched
        The files that were looked for.
    """

    name: str
    file: str | None
    searched: list[str]


def find_regions(layers: Layers) -> Regions | None:
    """Find the file of regions of a config; None if it names none.

    It is ``regions/NAME.yaml`` beside the file that names it, or ``configs/cloud/regions/NAME.yaml`` in a
    folder above; for a config with a base, beside or above the base after that. An empty value in such a
    config turns the regions of the base off.
    """
    source, study = layers.source, layers.study
    files = [source, *([source.base] if source.base else [])]
    if source.base and "region_config" not in source.raw:
        files = [source.base]
    elif source.base and source.raw["region_config"] is None:
        return None
    name = source.value.get("region_config") or (study and study.infrastructure("region_config"))
    if not name:
        return None
    paths: list[Path] = []
    searched: list[str] = []
    for folder in dict.fromkeys(map(_folder_of, files)):
        folders = list(_up_to_root(folder))
        beside = folder / "regions" / f"{name}.yaml"
        paths += [beside, *(each / REGIONS / f"{name}.yaml" for each in folders)]
        shown_name = f"{cut(name, 80)}.yaml"
        searched += [
            os.path.normpath(folder / "regions" / shown_name),
            f"{REGIONS / shown_name} in the folders from {folder} up to {folders[-1]}",
        ]
    file = next((str(without_dots(each)) for each in paths if is_file(each)), None)
    return Regions(name=name, file=file, searched=searched)


def _folder_of(source: Source) -> Path:
    """Return the folder of a config, absolute and without ``..``, so that its parents are those above it."""
    return without_dots(source.path.absolute()).parent


def _up_to_root(folder: Path) -> Iterator[Path]:
    """Yield a folder and those above it, up to the root of its git repository."""
    for each in (folder, *folder.parents):
        yield each
        if (each / ".git").exists():
            return
