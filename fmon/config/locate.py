"""Find the files that a config names: its task YAML and its regions."""

import os
from collections.abc import Iterator
from pathlib import Path

from fmon.config.base import Layers
from fmon.errors import ConfigError

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
    own_folder = source.path.absolute().parent
    if given is not None:
        if is_needed and not given.is_file():
            message = f"the task YAML {given} does not exist; pass its path with --task"
            raise ConfigError(message)
        return os.path.relpath(given.absolute(), own_folder)
    file, loc = source, ["skypilot_yaml"]
    if (written := source.value.get("skypilot_yaml") or "") and isinstance(written, str):
        if "skypilot_yaml" not in source.raw and source.base:
            file = source.base
        folders = [file.path.absolute().parent]
    elif study and (written := study.infrastructure("skypilot_yaml") or ""):
        folders = list(_up_to_root(study.source.path))
        file, loc = study.source, ["infrastructure", "skypilot_yaml"]
    elif not is_needed:
        return "train.yaml"
    else:
        message = "the config has no task YAML; add skypilot_yaml, or use --task TASK.yaml"
        raise source.fault(message)
    for folder in folders:
        if (folder / written).is_file():
            return os.path.relpath(folder / written, own_folder)
    if is_needed:
        message = (
            f"the task YAML {written!r} is not in {folders[0]}"
            + (" or a folder above it" if len(folders) > 1 else "")
            + "; write its path relative to the config's folder, or use --task TASK.yaml"
        )
        raise file.fault(message, *loc)
    return written


def region_file(layers: Layers, name: str) -> str | None:
    """Return the path of a region file; None if it does not exist.

    It is ``regions/NAME.yaml`` beside the config, or ``configs/cloud/regions/NAME.yaml`` in a folder above.
    """
    path = (layers.study or layers).source.path
    beside = path.absolute().parent / "regions" / f"{name}.yaml"
    above = (folder / REGIONS / f"{name}.yaml" for folder in _up_to_root(path))
    return next((str(each) for each in (beside, *above) if each.is_file()), None)


def _up_to_root(path: Path) -> Iterator[Path]:
    """Yield the folder of a file and those above it, up to the root of its git repository."""
    for folder in path.absolute().parents:
        yield folder
        if (folder / ".git").exists():
            return
