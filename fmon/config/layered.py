"""Rewrite the layered form of the study that fmon was written for into the flat form.

Only ``factors.training`` creates jobs; each job loops over the other layers itself.
"""

from dataclasses import replace
from typing import Any

from fmon.config.shape import FlatKeys, LayeredKeys, check_keys, shown
from fmon.config.source import Loc, Source
from fmon.model import level_text

STUDY_NAME = "{model_family}-{loss_name}-calib{aux_calibration}-f{fold}"
"""How the study's script names its jobs; baselines are ``<model>-zeroshot-<dataset>-f<fold>``."""


TRACKED = "training_experiment"
"""The study's key for the MLflow experiment of its jobs."""


def is_layered(value: dict[Any, Any]) -> bool:
    """Return whether a config is in the layered form."""
    factors = value.get("factors")
    return isinstance(factors, dict) and isinstance(factors.get("training"), dict)


def flatten(source: Source, *, max_conditions: int) -> tuple[Source, dict[Any, Any]]:
    """Rewrite the layered form into the flat one.

    Returns
    -------
    tuple
        The config in the flat form, and the inner factors with their levels as written.
    """
    keys = check_keys(LayeredKeys, source.value, source)
    training = dict(keys.factors["training"])
    folds = _fold_count(source, keys, training, max_conditions=max_conditions)
    if folds is not None:
        training["fold"] = list(range(folds))
    model = next((name for name in ("model_family", "model") if name in training), None)
    flat: dict[Any, Any] = {key: source.value[key] for key in FlatKeys.model_fields if key in source.value}
    flat["factors"] = training
    if keys.fixed:
        flat["fixed"] = {key.upper(): value for key, value in keys.fixed.items()}
    if TRACKED in keys.mlflow:
        flat["mlflow"] = {"experiment" if key == TRACKED else key: each for key, each in keys.mlflow.items()}
    flat.setdefault("skypilot_yaml", keys.infrastructure.skypilot_yaml)
    if set(training) == {"model_family", "loss_name", "aux_calibration", "fold"}:
        flat.setdefault("job_name", STUDY_NAME)
    if model is None and (keys.model_overrides or keys.zero_shot_baselines):
        message = "model_overrides and zero_shot_baselines need a factor model_family in factors.training"
        raise source.fault(message, "factors", "training")
    baselines, places = _baselines(source, keys, str(model), folds=folds, max_conditions=max_conditions)
    flat["baselines"] = baselines + list(keys.baselines)
    if keys.model_overrides:
        flat["overrides"] = {str(model): _overrides(keys)} | source.value.get("overrides", {})

    inner, layer_of = _inner(source, keys)

    def origin(*loc: Any) -> Loc:
        match loc:
            case ("inner", factor, *rest):
                return ("factors", layer_of[factor], factor, *rest)
            case ("fixed", str(variable), *rest):
                written = next((key for key in keys.fixed if key.upper() == variable), variable)
                return ("fixed", written, *rest)
            case ("mlflow", "experiment", *rest) if TRACKED in keys.mlflow:
                return ("mlflow", TRACKED, *rest)
            case ("factors", "fold", *_) if folds is not None:
                return ("fixed", "num_folds")
            case ("factors", *rest):
                return ("factors", "training", *rest)
            case ("baselines", int(number), *_) if number < len(places):
                return ("zero_shot_baselines", places[number])
            case ("baselines", int(number), *rest):
                return ("baselines", number - len(places), *rest)
            case ("overrides", factor, *rest) if factor == model and keys.model_overrides:
                return ("model_overrides", *rest)
            case ("skypilot_yaml",) if keys.skypilot_yaml is None:
                return ("infrastructure", "skypilot_yaml")
        return loc

    return replace(source, value=flat, origin=origin), inner


def _fold_count(
    source: Source, keys: LayeredKeys, training: dict[Any, Any], *, max_conditions: int
) -> int | None:
    """Return ``fixed.num_folds``; None if the folds are a training factor or not set."""
    folds = keys.fixed.get("num_folds")
    if folds is None or "fold" in training:
        return None
    if isinstance(folds, bool) or not isinstance(folds, int) or not 1 <= folds <= max_conditions:
        message = f"fixed.num_folds is {shown(folds)}; it must be an integer from 1 to {max_conditions}"
        raise source.fault(message, "fixed", "num_folds")
    return folds


def _baselines(
    source: Source, keys: LayeredKeys, model: str, *, folds: int | None, max_conditions: int
) -> tuple[list[dict[Any, Any]], list[int]]:
    """Expand the zero-shot baselines over their folds; return them with their positions in the file."""
    expanded: list[dict[Any, Any]] = []
    places: list[int] = []
    for place, baseline in enumerate(keys.zero_shot_baselines):
        count = baseline.folds or folds or 1
        if count > max_conditions:
            message = (
                f"folds is {count}, more than the limit of {max_conditions}; raise it with --max-conditions"
            )
            raise source.fault(message, "zero_shot_baselines", place, "folds")
        several = baseline.dataset if isinstance(baseline.dataset, list) else [baseline.dataset]
        if not several or not all(isinstance(each, str) and each for each in several):
            message = "dataset must be a name or a list of names"
            raise source.fault(message, "zero_shot_baselines", place, "dataset")
        dataset = ",".join(several)
        for fold in range(count):
            expanded.append(
                {
                    model: baseline.model,
                    **({} if folds is None else {"fold": fold}),
                    "envs": {"ZERO_SHOT": "true", "EVAL_DATASET": dataset},
                    "job_name": f"{baseline.model}-zeroshot-{dataset}-f{fold}",
                }
            )
            places.append(place)
    return expanded, places


def _overrides(keys: LayeredKeys) -> dict[Any, Any]:
    """Rewrite ``model_overrides``: ``use_spot`` is a resource, every other key an environment variable."""
    return {
        level: {
            "envs": {key.upper(): level_text(value) for key, value in changes.items() if key != "use_spot"},
            "resources": {key: value for key, value in changes.items() if key == "use_spot"},
        }
        for level, changes in keys.model_overrides.items()
    }


def _inner(source: Source, keys: LayeredKeys) -> tuple[dict[Any, Any], dict[Any, str]]:
    """Collect the factors of the layers that create no jobs, and the layer of each."""
    inner: dict[Any, Any] = {}
    layer_of: dict[Any, str] = {}
    for layer, factors in keys.factors.items():
        if layer == "training":
            continue
        for factor, levels in factors.items():
            if factor in inner:
                message = (
                    f"factor {factor} is in the layers {layer_of[factor]} and {layer}; rename one of them"
                )
                raise source.fault(message, "factors", layer, factor)
            inner[factor], layer_of[factor] = levels, layer
    return inner, layer_of
