"""The experiment's YAML, checked and expanded; ``docs/config.md`` lists every key."""

from pathlib import Path
from urllib.parse import urlsplit

from fmon.config.base import read_layers
from fmon.config.design import read_design, texts
from fmon.config.envs import read_variables
from fmon.config.grid import expand
from fmon.config.levels import check_factors
from fmon.config.locate import find_regions, task_path
from fmon.config.patterns import read_patterns
from fmon.config.shape import CONTROLLER, ConfigKeys, LaunchKeys, MlflowKeys, check_keys, duration_s
from fmon.config.source import Source
from fmon.model import MAX_CONDITIONS, Experiment, LaunchLimits, Limits, Price, Tracking, Verify
from fmon.written import plain

__all__ = ["load_experiment"]


def load_experiment(
    path: Path,
    *,
    text: str | None = None,
    task: Path | None = None,
    max_conditions: int = MAX_CONDITIONS,
    needs_task: bool = True,
) -> Experiment:
    """Read an experiment's config, in fmon's form or in the study's.

    Parameters
    ----------
    path
        The YAML file.
    text
        Its content, if it has been read already.
    task
        The task YAML to use instead of the config's (``--task``).
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
    layers = read_layers(path, text, max_conditions=max_conditions)
    source, study = layers.source, layers.study
    keys = check_keys(ConfigKeys, source.value, source)
    factors = check_factors(source, keys.factors, "factors")
    inner = check_factors(source, keys.inner_factors, "inner_factors") if keys.inner_factors else {}
    for name in inner:
        if name in factors:
            message = f"{name} is already a factor of the jobs; rename one of them"
            raise source.fault(message, "inner_factors", name)
    variables = read_variables(source, keys.envs, factors, inner)
    design = read_design(source, keys, factors, variables, max_conditions=max_conditions)
    regions = find_regions(layers)
    return Experiment(
        experiment_name=keys.experiment_name,
        config_file=str(path),
        max_conditions=max_conditions,
        skypilot_yaml=task_path(layers, task, is_needed=needs_task),
        factors=plain(factors),
        conditions=expand(source, design),
        inner_factors=plain(inner),
        limits=Limits(**keys.limits.model_dump()),
        prices={
            name: Price(**price.model_dump()) for name, price in keys.prices.items() if name != CONTROLLER
        },
        controller_usd_per_h=keys.prices[CONTROLLER].on_demand if CONTROLLER in keys.prices else None,
        written_levels=design.written_levels(),
        env_names=variables.of_factor,
        fixed={**variables.fixed, **texts(keys.fixed)},
        defaults={**variables.defaults, **(study.defaults if study else {})},
        task=None if task is None else str(task.absolute()),
        base_file=str(source.base.path) if source.base else None,
        study_file=str(study.source.path) if study else None,
        study_keys=plain(study.unused) if study else {},
        undeclared=keys.undeclared,
        allow_variables=keys.allow_variables,
        docker_image=keys.docker_image,
        region_config=regions.name if regions else None,
        region_file=regions.file if regions else None,
        region_searched=regions.searched if regions else [],
        patterns=read_patterns(source, keys.patterns),
        kill_switch=keys.kill_switch,
        max_failed_ratio=keys.max_failed_ratio,
        preflight=keys.preflight,
        parallel_jobs=keys.expect.parallel,
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
