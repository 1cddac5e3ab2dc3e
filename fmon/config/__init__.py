"""The experiment's YAML, checked and expanded; ``docs/config.md`` lists every key."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from fmon.config.design import read_design, texts
from fmon.config.grid import expand
from fmon.config.layered import flatten, is_layered
from fmon.config.levels import check_factors
from fmon.config.patterns import read_patterns
from fmon.config.shape import FlatKeys, LaunchKeys, MlflowKeys, check_keys, duration_s
from fmon.config.source import Source, read_source
from fmon.model import MAX_CONDITIONS, Experiment, LaunchLimits, Limits, Price, Tracking, Verify

__all__ = ["load_experiment"]


def load_experiment(
    path: Path, *, text: str | None = None, max_conditions: int = MAX_CONDITIONS, needs_task: bool = True
) -> Experiment:
    """Read an experiment's config, in the flat or the layered form.

    Parameters
    ----------
    path
        The YAML file.
    text
        Its content, if it has been read already.
    max_conditions
        Maximum number of conditions, checked before any is created.
    needs_task
        Whether the task YAML must exist; a recording may lack it.

    Returns
    -------
    Experiment
        Its conditions are in the order of the factors, with the baselines last; ``skypilot_yaml`` is
        relative to the config's folder.

    Raises
    ------
    ConfigError
        The config is invalid. The message is one sentence with the line and how to correct it.
    """
    source = read_source(path, text)
    has_layers = is_layered(source.value)
    inner = {}
    if has_layers:
        source, found = flatten(source, max_conditions=max_conditions)
        inner = check_factors(source, found, "inner") if found else {}
    keys = check_keys(FlatKeys, source.value, source)
    factors = check_factors(source, keys.factors, "factors")
    design = read_design(source, keys, factors, max_conditions=max_conditions)
    folder = path.absolute().parent
    return Experiment(
        experiment_name=keys.experiment_name,
        config_file=str(path),
        max_conditions=max_conditions,
        skypilot_yaml=_task_yaml(
            source,
            keys.skypilot_yaml,
            # The study writes the path relative to its repository: search the parent folders as well.
            folders=[folder, *folder.parents] if has_layers else [folder],
            is_needed=needs_task,
        ),
        factors=factors,
        conditions=expand(source, design),
        inner_factors=inner,
        limits=Limits(**keys.limits.model_dump()),
        prices={name: Price(**price.model_dump()) for name, price in keys.prices.items()},
        env_names=keys.envs,
        fixed=texts(keys.fixed),
        docker_image=keys.docker_image,
        patterns=read_patterns(source, keys.patterns),
        kill_switch=keys.kill_switch,
        max_failed_ratio=keys.max_failed_ratio,
        verify=Verify(**keys.verify.model_dump()),
        mlflow=_tracking(source, keys.mlflow),
        launch=_launch_limits(keys.launch),
    )


def _launch_limits(keys: LaunchKeys) -> LaunchLimits:
    """Return how jobs are submitted, with the duration in seconds."""
    values = keys.model_dump()
    return LaunchLimits(give_up_after_s=duration_s(values.pop("give_up_after")), **values)


def _tracking(source: Source, keys: MlflowKeys | None) -> Tracking | None:
    """Return the MLflow settings; refuse a login in the URI, which would end up in manifests and reports."""
    if keys is None:
        return None
    if "@" in urlsplit(keys.tracking_uri or "").netloc:
        message = (
            "mlflow.tracking_uri contains a login; remove it and set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD in the environment of fmon"
        )
        raise source.fault(message, "mlflow", "tracking_uri")
    return Tracking(**keys.model_dump())


def _task_yaml(source: Source, written: str, *, folders: list[Path], is_needed: bool) -> str:
    """Return the path of the task YAML, from the first folder that has it, relative to the first folder."""
    for folder in folders:
        if (folder / written).is_file():
            return written if folder == folders[0] else os.path.relpath(folder / written, folders[0])
    if is_needed:
        message = (
            f"the task YAML {written!r} is not in {source.path.parent}; "
            "write its path relative to the config's folder"
        )
        raise source.fault(message, "skypilot_yaml")
    return written
