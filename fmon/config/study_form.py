"""Rewrite a config in the study's own form into fmon's form, with the variables of the study's launcher.

The file belongs to another program. ``factors.training`` (in the flat variant: ``factors``) creates the
jobs, and each job loops over the other layers itself; ``fixed`` holds parameters, not variables.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fmon.config.shape import ConfigKeys, MlflowKeys, StudyKeys, check_keys, shown
from fmon.config.source import Loc, Source
from fmon.model import level_text, value_key
from fmon.written import plain

JOB_NAME = "{model_family}-{loss_name}-calib{aux_calibration}-f{fold}"
BASELINE_NAME = "{model}-zeroshot-{dataset}-f{fold}"

ENVS: dict[str, Any] = {
    "model_family": "MODEL_FAMILY",
    "loss_name": "LOSS_NAME",
    "aux_calibration": "WITH_AUX_CALIB",
    "fold": "FOLD_ID",
    "experiment_name": "EXPERIMENT_NAME",
    "fixed.max_epochs": {"name": "MAX_EPOCHS", "default": 50},
    "fixed.max_train_volumes": {"name": "MAX_TRAIN_VOLUMES", "default": 0},
    "fixed.max_val_volumes": {"name": "MAX_VAL_VOLUMES", "default": 0},
    "fixed.batch_size": {"name": "BATCH_SIZE", "default": 2},
    "fixed.gradient_accumulation_steps": {"name": "GRAD_ACCUM_STEPS", "default": 1},
    "fixed.gradient_checkpointing": {"name": "GRADIENT_CHECKPOINTING", "default": False},
    "factors.post_training.method": "POST_TRAINING_METHODS",
    "post_training.methods": {"name": "POST_TRAINING_METHODS", "default": ["none", "swag"]},
}
"""The variables that the study's launcher sets for a cell; a config's ``envs`` take precedence."""

BASELINE_ENVS: dict[str, Any] = {
    "loss_name": "none",
    "aux_calibration": False,
    "fixed.max_epochs": 0,
    "fixed.gradient_checkpointing": None,
    "post_training.methods": "none",
}
"""What the launcher sets differently for a baseline, by key of ``envs``; None = it does not set it."""

DEFAULT_FOLDS = 3
DEFAULT_CALIBRATION = [False]
DEFAULT_DATASET = "minivess"

TRACKED = "training_experiment"
"""The study's key for the MLflow experiment of its jobs."""
MARKS = ("infrastructure", "zero_shot_baselines", "model_overrides")
"""Keys that only a file in the study's form has."""
PLACES = {
    "infrastructure": {"skypilot_yaml", "region_config", "max_wait_hours", "retry_interval_seconds"},
    "mlflow": {TRACKED, *MlflowKeys.model_fields},
    "fixed": {"num_folds"},
}
"""Keys of the study's mappings that fmon uses, apart from those that ``envs`` names."""

_HYDRA = re.compile(r"^#\s*@package\b", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class StudyForm:
    """A config in the study's form, rewritten.

    Attributes
    ----------
    source
        The config in fmon's form.
    unused
        The keys that fmon does not use, such as ``mlflow.evaluation_experiment``, with their values.
    defaults
        Defaults of the launcher for keys that the file lacks, as text.
    parameters
        The entries in ``fixed`` of the config on top that are parameters of the study.
    """

    source: Source
    unused: dict[str, Any]
    defaults: dict[str, str]
    parameters: Collection[str]

    def infrastructure(self, key: str) -> Any:
        """Return a key of ``infrastructure``; None if the file has none."""
        return self.source.written(f"infrastructure.{key}")

    def without_parameters(self, own: dict[Any, Any]) -> dict[Any, Any]:
        """Return a config on top without the entries of ``fixed`` that are parameters, not variables."""
        fixed = own.get("fixed")
        if not isinstance(fixed, dict):
            return own
        return {**own, "fixed": {key: each for key, each in fixed.items() if key not in self.parameters}}


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What a config with the study's file as its base adds to it before it is rewritten.

    Attributes
    ----------
    own
        The config; None = nothing stands on the file.
    envs, fixed, factors
        Its keys of this name, which win over those of the file.
    """

    own: Source | None = None
    envs: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    factors: dict[Any, Any] = field(default_factory=dict)


def additions(own: Source) -> Additions:
    """Collect what a config adds to the study's file; a value that is no mapping is refused later."""
    envs, fixed, factors = (
        value if isinstance(value := own.value.get(key), dict) else {} for key in ("envs", "fixed", "factors")
    )
    for key in envs:
        if not isinstance(key, str):
            message = f"envs has {shown(key)}, which is neither a factor nor a key of the config; quote it"
            raise own.fault(message, "envs", key)
    return Additions(own=own, envs=envs, fixed=fixed, factors=_not_empty(factors))


def _not_empty(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: each for key, each in value.items() if each is not None}


def is_study_form(value: Mapping[Any, Any], text: str) -> bool:
    """Return whether a config is in the study's form."""
    factors = value.get("factors")
    has_layers = isinstance(factors, dict) and isinstance(factors.get("training"), dict)
    is_hydra = isinstance(value.get("defaults"), list) or _HYDRA.search(text) is not None
    return has_layers or is_hydra or any(mark in value for mark in MARKS)


def rewrite(source: Source, added: Additions, *, max_conditions: int) -> StudyForm:
    """Rewrite a config in the study's form.

    Parameters
    ----------
    source
        The study's file.
    added
        What the config that has this file as its base adds.
    max_conditions
        Maximum number of conditions, checked before any is created.
    """
    keys = check_keys(StudyKeys, source.value, source)
    return _Rewriter(source, keys, added, max_conditions).run()


class _Rewriter:
    """One rewriting; each step adds to ``flat``."""

    def __init__(self, source: Source, keys: StudyKeys, added: Additions, max_conditions: int) -> None:
        self.source, self.keys, self.max_conditions = source, keys, max_conditions
        self.has_layers = isinstance(keys.factors.get("training"), dict)
        self.training: dict[Any, Any] = dict(keys.factors["training"] if self.has_layers else keys.factors)
        self.envs = {**ENVS, **keys.envs, **added.envs}
        known = {"num_folds", *keys.fixed, *(key.removeprefix("fixed.") for key in self.envs)}
        self.parameters = {key for key in added.fixed if key in known and key == key.lower()}
        own_fixed = _not_empty({key: added.fixed[key] for key in self.parameters})
        self.fixed = {**keys.fixed, **own_fixed}
        has_count = "num_folds" in own_fixed
        self.has_fold = "fold" in added.factors or ("fold" in self.training and not has_count)
        self.own_factors = added.factors
        self.folds_in = added.own if added.own and has_count else source
        self.names = {key: _name(value) for key, value in self.envs.items() if value is not None}
        self.defaults: dict[str, str] = {}
        self.inner_layers: dict[Any, str] = {}
        self.places: list[int] = []
        self.known_models: list[Any] = []
        self.flat: dict[Any, Any] = {
            key: value for key, value in source.value.items() if key in ConfigKeys.model_fields
        }

    def run(self) -> StudyForm:
        self._factors()
        self._inner_factors()
        self._variables()
        self._baselines()
        self._overrides()
        self._mlflow()
        self._launch()
        self.flat.pop("fixed", None)
        source = replace(self.source, value=self.flat, origin=self._origin)
        return StudyForm(
            source=source, unused=self._unused(), defaults=self.defaults, parameters=self.parameters
        )

    def _factors(self) -> None:
        """Add the factors that the launcher adds: the folds, and no calibration; then those on top."""
        if "aux_calibration" not in {**self.training, **self.own_factors}:
            self.training["aux_calibration"] = DEFAULT_CALIBRATION
            self.defaults["factors.training.aux_calibration"] = "false"
        if not self.has_fold:
            self.training["fold"] = list(range(self._fold_count()))
        order = dict.fromkeys((*self.training, "aux_calibration", "fold"))
        levels = {**self.training, **self.own_factors}
        self.training = {factor: levels[factor] for factor in (*order, *levels)}
        self.flat["factors"] = self.training
        if set(self.training) == {"model_family", "loss_name", "aux_calibration", "fold"}:
            self.flat.setdefault("job_name", JOB_NAME)

    def _fold_count(self) -> int:
        folds = self.fixed.get("num_folds")
        if folds is None:
            self.defaults["fixed.num_folds"] = str(DEFAULT_FOLDS)
            return DEFAULT_FOLDS
        if isinstance(folds, bool) or not isinstance(folds, int) or not 1 <= folds <= self.max_conditions:
            message = (
                f"fixed.num_folds is {shown(folds)}; it must be an integer from 1 to {self.max_conditions}"
            )
            raise self.folds_in.fault(message, "fixed", "num_folds")
        return folds

    def _inner_factors(self) -> None:
        """Collect the factors of the layers that create no jobs."""
        inner: dict[Any, Any] = {}
        for layer, factors in self.keys.factors.items() if self.has_layers else ():
            if layer == "training":
                continue
            if not isinstance(factors, dict):
                message = f"factors.{layer} is {shown(factors)}; write it as {{factor: [level, level]}}"
                raise self.source.fault(message, "factors", layer)
            for factor, levels in factors.items():
                if factor in inner:
                    message = (
                        f"factor {factor} is in the layers {self.inner_layers[factor]} and {layer}; "
                        "rename one of them"
                    )
                    raise self.source.fault(message, "factors", layer, factor)
                inner[factor], self.inner_layers[factor] = levels, layer
        if inner:
            self.flat["inner_factors"] = inner

    def _variables(self) -> None:
        """Keep the launcher's variables of factors that the file has, and those of keys."""
        self.flat["envs"] = {
            key: value
            for key, value in self.envs.items()
            if key not in ENVS or "." in key or key in self.training or key == "experiment_name"
        }

    def _baselines(self) -> None:
        """Expand the zero-shot baselines over the folds of the grid, as the launcher does."""
        baselines: list[dict[Any, Any]] = []
        for place, baseline in enumerate(self.keys.zero_shot_baselines):
            datasets = self._datasets(baseline.dataset, place)
            for fold in self._levels("fold"):
                name = BASELINE_NAME.format(model=baseline.model, dataset="-".join(datasets), fold=fold)
                baselines.append(
                    {
                        self._model_factor(): baseline.model,
                        "fold": fold,
                        "envs": self._baseline_envs(",".join(datasets)),
                        "resources": {"use_spot": None},
                        "job_name": name,
                    }
                )
                self.places.append(place)
        if baselines or self.keys.baselines:
            self.flat["baselines"] = baselines + list(self.keys.baselines)

    def _datasets(self, written: Any, place: int) -> list[str]:
        if written is None:
            self.defaults[f"zero_shot_baselines.{place}.dataset"] = DEFAULT_DATASET
            written = DEFAULT_DATASET
        datasets = written if isinstance(written, list) else [written]
        if not datasets or not all(isinstance(each, str) and each for each in datasets):
            message = "dataset must be a name or a list of names"
            raise self.source.fault(message, "zero_shot_baselines", place, "dataset")
        return datasets

    def _baseline_envs(self, dataset: str) -> dict[str, Any]:
        envs = {self.names[key]: value for key, value in BASELINE_ENVS.items() if key in self.names}
        return {**envs, "ZERO_SHOT": True, "EVAL_DATASET": dataset}

    def _overrides(self) -> None:
        """Rewrite ``model_overrides``: ``use_spot`` is a resource; the others replace those of ``fixed``."""
        if not self.keys.model_overrides:
            return
        baselines = [baseline.model for baseline in self.keys.zero_shot_baselines]
        self.known_models = [*self._levels(self._model_factor()), *baselines]
        changes = {
            level: {
                "envs": {
                    self.names[f"fixed.{key}"]: level_text(value)
                    for key, value in parameters.items()
                    if f"fixed.{key}" in self.names
                },
                "resources": {key: value for key, value in parameters.items() if key == "use_spot"},
            }
            for level, parameters in self.keys.model_overrides.items()
            if self._is_model(level)
        }
        if self._model_factor() in self.keys.overrides:
            message = "model_overrides and overrides both have settings for model_family; put them into one"
            raise self.source.fault(message, "overrides")
        self.flat["overrides"] = {self._model_factor(): changes, **self.keys.overrides}

    def _is_model(self, key: Any) -> bool:
        """Return whether a key of ``model_overrides`` is a known model: true is not 1."""
        return value_key(plain(key)) in map(value_key, self.known_models)

    def _levels(self, factor: str) -> list[Any]:
        """Return the levels of a factor; none if they are not a list, an error that is found later."""
        levels = self.training[factor]
        return levels if isinstance(levels, list) else []

    def _model_factor(self) -> str:
        if "model_family" in self.training:
            return "model_family"
        message = "model_overrides and zero_shot_baselines need a training factor model_family"
        raise self.source.fault(message, "factors", *(["training"] if self.has_layers else []))

    def _mlflow(self) -> None:
        tracking = {key: value for key, value in self.keys.mlflow.items() if key in PLACES["mlflow"]}
        if TRACKED in tracking:
            tracking.setdefault("experiment", tracking.pop(TRACKED))
        if "experiment" in tracking:
            self.flat["mlflow"] = tracking
        else:
            self.flat.pop("mlflow", None)

    def _launch(self) -> None:
        """Rewrite how long and how often the study's launcher keeps submitting."""
        found = {
            "give_up_after": self.keys.infrastructure.max_wait_hours,
            "retry_interval_s": self.keys.infrastructure.retry_interval_seconds,
        }
        launch = {key: value for key, value in found.items() if value is not None}
        if launch:
            self.flat["launch"] = {**launch, **self.keys.launch}

    def _origin(self, *loc: Any) -> Loc:
        """Map a location in fmon's form to that in the study's file."""
        layer = ("training",) if self.has_layers else ()
        match loc:
            case ("inner_factors", factor, *rest) if factor in self.inner_layers:
                return ("factors", self.inner_layers[factor], factor, *rest)
            case ("mlflow", "experiment", *rest) if TRACKED in self.keys.mlflow:
                return ("mlflow", TRACKED, *rest)
            case ("launch", "give_up_after") if "give_up_after" not in self.keys.launch:
                return ("infrastructure", "max_wait_hours")
            case ("launch", "retry_interval_s") if "retry_interval_s" not in self.keys.launch:
                return ("infrastructure", "retry_interval_seconds")
            case ("factors", "fold", *_) if "num_folds" in self.keys.fixed and not self.has_fold:
                return ("fixed", "num_folds")
            case ("factors", *rest):
                return ("factors", *layer, *rest)
            case ("baselines", int(number), *_) if number < len(self.places):
                return ("zero_shot_baselines", self.places[number])
            case ("baselines", int(number), *rest):
                return ("baselines", number - len(self.places), *rest)
            case ("overrides", "model_family", *rest) if self.keys.model_overrides:
                return ("model_overrides", *rest)
        return loc

    def _unused(self) -> dict[str, Any]:
        """List the keys that fmon does not use; a mapping without any used key counts as one."""
        used = {key for key in self.envs if "." in key}
        partly = {*PLACES, *(key.partition(".")[0] for key in used)} - {"factors"}
        unused: dict[str, Any] = {}
        for key, value in {**self.source.value, "fixed": self.fixed}.items():
            if key == "model_overrides":
                unused |= self._unused_overrides()
            elif key == "zero_shot_baselines":
                for place, baseline in enumerate(self.keys.zero_shot_baselines):
                    if baseline.folds not in (None, len(self._levels("fold"))):
                        unused[f"{key}.{place}.folds"] = baseline.folds
                    for name, each in (baseline.model_extra or {}).items():
                        unused.setdefault(f"{key}.{name}", []).append(each)
            elif isinstance(value, dict) and key in partly:
                unused |= {
                    f"{key}.{name}": each
                    for name, each in value.items()
                    if name not in PLACES.get(key, ()) and f"{key}.{name}" not in used
                }
            elif key not in ConfigKeys.model_fields:
                unused[str(key)] = value
        return unused

    def _unused_overrides(self) -> dict[str, Any]:
        """List the overrides of unknown models, and the parameters that no variable passes on."""
        unused: dict[str, Any] = {}
        for level, parameters in self.keys.model_overrides.items():
            place = f"model_overrides.{level}"
            if not self._is_model(level):
                unused[place] = parameters
                continue
            for key, value in parameters.items():
                if key != "use_spot" and f"fixed.{key}" not in self.names:
                    unused[f"{place}.{key}"] = value
        return unused


def _name(value: Any) -> str:
    """Return the variable that a value of ``envs`` names."""
    return str(value["name"] if isinstance(value, dict) and "name" in value else value)
